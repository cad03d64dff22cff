//! The package cache as people see and steer it. What apt gets is in `crate::cache`.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Error, settings};
use crate::{
    cache::{Failure, How, Mirror},
    clock::SECOND,
    context::Ctx,
    db::{audit, events},
    domain::settings::{CACHE_LIMIT_GIB, CACHE_OFFLINE},
};

/// Most files in one answer.
pub const MOST_FILES: usize = 1000;
const DAY: i64 = 86_400 * SECOND;

/// The package cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct CacheStatus {
    /// No mirror is asked for anything.
    pub offline: bool,
    /// Files that are stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Most bytes that are kept.
    pub limit_bytes: u64,
    /// Bytes that are free on the disk.
    pub free_bytes: u64,
    /// The mirrors.
    pub mirrors: Vec<MirrorStatus>,
}

/// A mirror of the package cache; counts are since the server started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct MirrorStatus {
    /// Its name under `/mirror/`.
    pub name: String,
    /// Since when it does not answer.
    pub down_since: Option<i64>,
    /// How it fails to answer.
    pub down_why: Option<String>,
    /// What it gave last that is not what is signed; absent once the right thing has come.
    pub unfit: Option<UnfitFile>,
    /// Nothing of it can be verified, because no keyring is there: nothing is passed on.
    pub lacks_keyring: bool,
    /// When it last answered.
    pub answered_at: Option<i64>,
    /// How many seconds this server's clock is ahead of its.
    pub ahead_s: Option<i64>,
    /// Requests that were answered from the disk.
    pub hits: u64,
    /// Requests that began a transfer.
    pub misses: u64,
    /// Requests that joined a transfer.
    pub joined: u64,
    /// Bytes that went to clients.
    pub served_bytes: u64,
    /// Bytes that came from the mirror.
    pub fetched_bytes: u64,
    /// Files that were not passed on.
    pub refused: u64,
    /// Its suites, as far as they were asked for.
    pub suites: Vec<SuiteStatus>,
}

/// Something that a mirror gave and that is not what is signed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct UnfitFile {
    /// When.
    pub at: i64,
    /// Below the mirror.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// A suite that clients have asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SuiteStatus {
    /// Where it is below the mirror.
    pub path: String,
    /// When the archive signed what clients get.
    pub dated_at: i64,
    /// When the mirror last said that nothing newer is there; absent when it was not asked since the server started.
    pub asked_at: Option<i64>,
}

/// A file of the package cache.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct CachedFile {
    /// Mirror and path; empty when it was not asked for since that was forgotten.
    pub name: String,
    /// Its content.
    #[schema(value_type = String)]
    pub sha256: wire::Sha256,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last asked for.
    pub used_at: i64,
}

/// What shall be removed; what is being read stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanWish {
    /// Only of this mirror.
    pub mirror: Option<String>,
    /// Only what nobody has asked for in so many days.
    pub unused_days: Option<u32>,
    /// Only what has this in its name.
    pub contains: Option<String>,
}

/// What was removed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Cleaned {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that shall be there before a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchWish {
    /// Which mirror.
    pub mirror: String,
    /// Below it, such as `pool/main/h/hello/hello_2.10-3_amd64.deb` or `dists/bookworm/InRelease`.
    pub path: String,
}

/// A file that is there or comes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FetchedFile {
    /// Its length.
    pub size_bytes: u64,
    /// It was there; else it is on its way, and comes also when nobody waits.
    pub was_there: bool,
}

/// How the cache is.
pub fn status(ctx: &Ctx) -> CacheStatus {
    let store = ctx.cache.store();
    let (files, bytes) = store.size();
    CacheStatus {
        offline: ctx.cache.is_offline(),
        files,
        bytes,
        limit_bytes: store.limit(),
        free_bytes: store.free(),
        mirrors: ctx.cache.mirrors().iter().map(|mirror| mirror_status(ctx, mirror)).collect(),
    }
}

/// How one mirror is, by its name.
pub fn mirror(ctx: &Ctx, name: &str) -> Option<MirrorStatus> {
    let all = ctx.cache.mirrors();
    all.iter().find(|mirror| *mirror.name == *name).map(|mirror| mirror_status(ctx, mirror))
}

fn mirror_status(ctx: &Ctx, mirror: &Mirror) -> MirrorStatus {
    let (state, counts) = (mirror.state(), &mirror.counts);
    let (down_since, down_why) = state.down.map(|(since, why)| (since, why.to_string())).unzip();
    let suite = |(path, dated_at, asked_at): (String, i64, i64)| SuiteStatus {
        path,
        dated_at,
        asked_at: (asked_at > 0).then_some(asked_at),
    };
    MirrorStatus {
        name: mirror.name.to_string(),
        down_since,
        down_why,
        unfit: state.unfit.map(|(at, path, why)| UnfitFile {
            at,
            path: path.to_string(),
            why: why.to_string(),
        }),
        lacks_keyring: ctx.cache.lacks_keyring(mirror),
        answered_at: state.answered_at,
        ahead_s: state.ahead_s,
        hits: counts.hits.load(Ordering::Relaxed),
        misses: counts.misses.load(Ordering::Relaxed),
        joined: counts.joined.load(Ordering::Relaxed),
        served_bytes: counts.served.load(Ordering::Relaxed),
        fetched_bytes: counts.fetched.load(Ordering::Relaxed),
        refused: counts.unfit.load(Ordering::Relaxed),
        suites: ctx.cache.known_suites(&mirror.name).into_iter().map(suite).collect(),
    }
}

/// Stored files whose name has `contains` in it, the last used first, and how many there are.
pub fn files(ctx: &Ctx, contains: &str, limit: usize) -> (Vec<CachedFile>, usize) {
    let found: Vec<_> =
        ctx.cache.store().list().into_iter().filter(|file| file.name.contains(contains)).collect();
    let count = found.len();
    let file = |file: crate::cache::Stored| CachedFile {
        name: file.name,
        sha256: file.sha256,
        size_bytes: file.size,
        used_at: file.used_at,
    };
    (found.into_iter().take(limit.clamp(1, MOST_FILES)).map(file).collect(), count)
}

/// Removes files.
///
/// # Errors
/// There is no such mirror, or the database refuses.
pub async fn clean(ctx: &Ctx, wish: &CleanWish, actor: &str) -> Result<Cleaned, Error> {
    if let Some(name) = &wish.mirror
        && mirror(ctx, name).is_none()
    {
        return Err(Error::not_found(format!("mirror {name}")));
    }
    let before = wish.unused_days.map(|days| ctx.now() - i64::from(days) * DAY);
    let (cache, wanted) = (ctx.cache.clone(), wish.clone());
    let gone = move |file: &crate::cache::Stored| {
        wanted.mirror.as_ref().is_none_or(|mirror| {
            file.name.strip_prefix(mirror.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }) && wanted.contains.as_ref().is_none_or(|part| file.name.contains(part.as_str()))
            && before.is_none_or(|before| file.used_at < before)
    };
    let (files, bytes) = tokio::task::spawn_blocking(move || cache.store().clean(gone))
        .await
        .map_err(|error| Error::Internal(error.into()))?;
    let mut tx = ctx.db.write().await?;
    let removed = json!({ "files": files, "bytes": bytes, "wish": wish });
    audit::note(&mut tx, "cache.clean", "package cache", &removed, &()).await?;
    let detail = format!("{files} files, {bytes} bytes");
    events::add(&mut tx, "cache.cleaned", None, None, actor, &detail, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(Cleaned { files, bytes })
}

/// Fetches a file, so that it is there before a client asks for it; returns when it begins to come.
///
/// # Errors
/// Why it does not come.
pub async fn fetch(ctx: &Ctx, wish: &FetchWish) -> Result<FetchedFile, Error> {
    match ctx.cache.get(&wish.mirror, wish.path.trim_start_matches('/')).await {
        Ok(found) => Ok(FetchedFile {
            size_bytes: found.size,
            was_there: matches!(found.how, How::Hit | How::Stale(_)),
        }),
        Err(failure) => Err(refused(&failure)),
    }
}

fn refused(failure: &Failure) -> Error {
    match failure {
        Failure::NoMirror(name) => Error::not_found(format!("mirror {name}")),
        Failure::NotThere { .. } | Failure::NotNamed { .. } => Error::invalid(
            failure.to_string(),
            "name a path as an index of the mirror has it, such as pool/main/h/hello/hello_2.10-3_amd64.deb",
        ),
        Failure::NotPlain => {
            Error::invalid(failure.to_string(), "name a path as an index of the mirror has it")
        }
        Failure::Broken(why) => Error::Internal(anyhow::anyhow!("{why}")),
        Failure::Down { .. }
        | Failure::Unfit { .. }
        | Failure::NoKeyring(_)
        | Failure::Offline(_)
        | Failure::NoRoom(_) => Error::Unavailable {
            title: failure.to_string(),
            remedy: "look at the package cache: `lotse cache status`".to_owned(),
        },
    }
}

/// Lets the settings count.
///
/// # Errors
/// The database refuses.
pub async fn apply_settings(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let settings = settings::current(&mut tx).await?;
    let limit = u64::try_from(settings.number(&CACHE_LIMIT_GIB)).unwrap_or(0) << 30;
    ctx.cache.set(settings.text(&CACHE_OFFLINE) == "on", limit);
    Ok(())
}

/// Lets the settings count, and tells what mirrors have done.
///
/// # Errors
/// The database refuses.
pub async fn look_after(ctx: &Ctx) -> Result<(), Error> {
    apply_settings(ctx).await?;
    let reports = ctx.cache.take_reports();
    if reports.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.db.write().await?;
    for report in reports {
        events::add(&mut tx, report.kind, None, None, "server", &report.text, report.at).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}
