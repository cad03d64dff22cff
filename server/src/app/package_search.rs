//! Looking for a package in what archives offer: by an index in the database, which is read anew when its archive has signed another.
//!
//! Invariant: no search asks an archive or runs a program. An index is read when somebody first searches in it, and forgotten when nobody
//! has for a while; it changes as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, clients, source_lists};
use crate::{
    cache::Listed,
    clock::SECOND,
    context::Ctx,
    db::{
        Tx,
        archives::{self, Entry, Index, Place},
    },
    domain::source_list::{self, ListWish, cache_name},
};

/// Most packages in one answer.
pub const MOST: i64 = 500;
/// Words of a search that count.
const MOST_WORDS: usize = 8;
/// Archives are asked at least so often for indices that somebody searches in; when a client makes the cache ask, at once.
const ASK_EVERY: i64 = 6 * 3600 * SECOND;
/// After something went wrong, an archive is asked again then.
const AGAIN_AFTER: i64 = 10 * 60 * SECOND;
/// That somebody searches is written down this often.
const WANTED_EVERY: i64 = 86_400 * SECOND;
/// An index in which nobody searches is kept for so long.
const KEPT_FOR: i64 = 60 * 86_400 * SECOND;
/// A version that does not count goes when it is so old: until then another node may be writing it.
const UNFINISHED_FOR: i64 = 3600 * SECOND;
/// Packages that are written, and rows that are removed, in one transaction: others want to write meanwhile.
const AT_ONCE: usize = 2000;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchWish {
    /// Words that name or description must have in them.
    pub words: String,
    /// In this source list only.
    pub list: Option<String>,
    /// In the source lists of this client only.
    pub client: Option<String>,
    /// At most so many.
    pub limit: i64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FoundPackages {
    /// The packages, the likeliest first.
    pub packages: Vec<FoundPackage>,
    /// There are more.
    pub more: bool,
    /// The indices that were searched, and how old they are.
    pub indices: Vec<SearchedIndex>,
}

/// A package that an archive offers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FoundPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its section.
    pub section: String,
    /// Bytes that are fetched.
    pub size_bytes: i64,
    /// Bytes that it takes on the disk.
    pub installed_bytes: i64,
    /// One line.
    pub description: String,
    /// Which archive: a mirror of the package cache, or `repository:NAME`.
    pub archive: String,
    /// Which suite.
    pub suite: String,
    /// Which component.
    pub component: String,
}

/// An index that was searched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SearchedIndex {
    /// Which archive.
    pub archive: String,
    /// Which suite.
    pub suite: String,
    /// Which component.
    pub component: String,
    /// Which architecture.
    pub architecture: String,
    /// How many packages it has; absent while it was not read yet.
    pub packages: Option<i64>,
    /// When its archive signed it.
    pub dated_at: Option<i64>,
    /// When its archive was last asked.
    pub read_at: Option<i64>,
    /// Why it could not be read anew.
    pub problem: Option<String>,
}

/// The indices of a list.
fn places(ctx: &Ctx, wish: &ListWish) -> BTreeSet<Place> {
    let architecture = source_lists::architecture(ctx, wish);
    let mut found = BTreeSet::new();
    for source in &wish.sources {
        if !source.enabled || !source.types.iter().any(|kind| kind == "deb") {
            continue;
        }
        for place in source.places() {
            let archive = match place {
                source_list::Place::Url(url) => cache_name(url.trim_end_matches('/'), &source.key),
                source_list::Place::Mirror(name) => name.to_owned(),
                source_list::Place::Repository(name) => repository_archive(name),
            };
            for suite in &source.suites {
                found.extend(source.components.iter().map(|component| Place {
                    archive: archive.clone(),
                    suite: suite.clone(),
                    component: component.clone(),
                    architecture: architecture.clone(),
                }));
            }
        }
    }
    found
}

/// The name of an own repository among archives.
pub(super) fn repository_archive(name: &str) -> String {
    format!("repository:{name}")
}

async fn wanted_places(ctx: &Ctx, tx: &mut Tx, wish: &SearchWish) -> Result<Option<BTreeSet<Place>>, Error> {
    match (&wish.list, &wish.client) {
        (Some(list), _) => Ok(Some(places(ctx, &source_lists::get(ctx, tx, list).await?.wish))),
        (None, Some(client)) => {
            let client = clients::get(tx, client).await?;
            let lists = source_lists::of_client(ctx, tx, &client).await?;
            Ok(Some(lists.iter().flat_map(|list| places(ctx, &list.wish)).collect()))
        }
        (None, None) => Ok(None),
    }
}

/// Looks for packages in a source list, in those of a client, or in every index that was read.
///
/// # Errors
/// There is no such list or client.
pub async fn search(ctx: &Ctx, wish: &SearchWish) -> Result<FoundPackages, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.read().await?;
    let known = archives::list(&mut tx).await?;
    let wanted = wanted_places(ctx, &mut tx, wish).await?;
    let searched: Vec<&Index> = known
        .iter()
        .filter(|index| wanted.as_ref().is_none_or(|wanted| wanted.contains(&index.place)))
        .collect();
    let by_version: BTreeMap<i64, &Index> =
        searched.iter().filter_map(|index| Some((index.live?, *index))).collect();
    let words: Vec<String> =
        wish.words.to_lowercase().split_whitespace().take(MOST_WORDS).map(str::to_owned).collect();
    let limit = wish.limit.clamp(1, MOST);
    let versions: Vec<i64> = by_version.keys().copied().collect();
    let mut found = if words.is_empty() || versions.is_empty() {
        Vec::new()
    } else {
        archives::search(&mut tx, &versions, &words, limit + 1).await?
    };
    drop(tx);
    let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let packages = found.into_iter().filter_map(|(version, entry)| {
        let place = &by_version.get(&version)?.place;
        Some(FoundPackage {
            name: entry.name,
            version: entry.version,
            section: entry.section,
            size_bytes: entry.size_bytes,
            installed_bytes: entry.installed_bytes,
            description: entry.description,
            archive: place.archive.clone(),
            suite: place.suite.clone(),
            component: place.component.clone(),
        })
    });
    let mut answer = FoundPackages { packages: packages.collect(), more, indices: Vec::new() };
    answer.indices = searched.iter().map(|index| shown(index)).collect();
    if let Some(wanted) = wanted {
        let is_new = |place: &&Place| {
            known.iter().all(|index| index.place != **place || now - index.wanted_at > WANTED_EVERY)
        };
        let new: Vec<&Place> = wanted.iter().filter(is_new).collect();
        if !new.is_empty() {
            let mut tx = ctx.db.write().await?;
            for place in &new {
                archives::want(&mut tx, place, now).await?;
            }
            tx.commit().await?;
            ctx.presence.indices().notify_one();
        }
        for place in new {
            if known.iter().all(|index| index.place != *place) {
                answer.indices.push(unread(place));
            }
        }
    }
    Ok(answer)
}

fn shown(index: &Index) -> SearchedIndex {
    let is_read = index.live.is_some();
    SearchedIndex {
        packages: is_read.then_some(index.packages),
        dated_at: is_read.then_some(index.dated_at),
        read_at: (index.read_at > 0).then_some(index.read_at),
        problem: Some(index.problem.clone()).filter(|problem| !problem.is_empty()),
        ..unread(&index.place)
    }
}

fn unread(place: &Place) -> SearchedIndex {
    SearchedIndex {
        archive: place.archive.clone(),
        suite: place.suite.clone(),
        component: place.component.clone(),
        architecture: place.architecture.clone(),
        packages: None,
        dated_at: None,
        read_at: None,
        problem: None,
    }
}

/// Lets the archives of a list be asked now, whether they have something newer.
///
/// # Errors
/// There is no such list.
pub async fn ask_again(ctx: &Ctx, list: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let wish = source_lists::get(ctx, &mut tx, list).await?.wish;
    for place in places(ctx, &wish) {
        let id = archives::want(&mut tx, &place, now).await?;
        archives::ask_again(&mut tx, id).await?;
    }
    tx.commit().await?;
    ctx.presence.indices().notify_one();
    Ok(())
}

/// Reads every index anew of which there is a newer one, and forgets what nobody needs. Done one after the other, by one task.
///
/// # Errors
/// The database refuses.
pub async fn look_after(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let all = archives::list(&mut tx).await?;
    drop(tx);
    let before = ctx.now() - KEPT_FOR;
    if all.iter().any(|index| index.wanted_at < before) {
        let mut tx = ctx.db.write().await?;
        archives::forget(&mut tx, before).await?;
        tx.commit().await?;
    }
    for index in all.iter().filter(|index| !index.place.archive.starts_with("repository:")) {
        refresh(ctx, index).await?;
    }
    remove_old(ctx).await
}

async fn refresh(ctx: &Ctx, index: &Index) -> Result<(), Error> {
    let now = ctx.now();
    let age = now - index.read_at;
    let failed = !index.problem.is_empty();
    let ask = if failed || index.live.is_none() { age > AGAIN_AFTER } else { age > ASK_EVERY };
    let Place { archive, suite, component, architecture } = &index.place;
    let found = ctx.cache.index_now(archive, suite, (component, architecture), ask).await;
    let newer = match found {
        Ok(Some(newer)) if newer.sha256.as_str() != index.sha256 => newer,
        Ok(_) if ask => return noted(ctx, index.id, "").await,
        Ok(_) => return Ok(()),
        Err(failure) if ask => return noted(ctx, index.id, &failure.to_string()).await,
        Err(_) => return Ok(()),
    };
    // A failure of a moment ago is not tried again with every round.
    if failed && !ask {
        return Ok(());
    }
    match ctx.cache.offered(archive, &newer).await {
        Ok(listed) => {
            let entries: Vec<Entry> = listed.into_iter().map(entry).collect();
            let version = write(ctx, index.id, &entries).await?;
            let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
            let mut tx = ctx.db.write().await?;
            let what = (newer.sha256.as_str(), newer.dated_at, count);
            archives::publish(&mut tx, index.id, version, what, ctx.now()).await?;
            tx.commit().await?;
            ctx.presence.events_came();
            Ok(())
        }
        Err(failure) => noted(ctx, index.id, &failure.to_string()).await,
    }
}

fn entry(listed: Listed) -> Entry {
    Entry {
        name: listed.name,
        version: listed.version,
        section: listed.section,
        size_bytes: listed.size_bytes,
        installed_bytes: listed.installed_bytes,
        description: listed.description,
    }
}

async fn noted(ctx: &Ctx, id: i64, problem: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    archives::asked(&mut tx, id, problem, ctx.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn write(ctx: &Ctx, index: i64, entries: &[Entry]) -> Result<i64, Error> {
    let mut tx = ctx.db.write().await?;
    let version = archives::begin(&mut tx, index, ctx.now()).await?;
    tx.commit().await?;
    for (at, some) in entries.chunks(AT_ONCE).enumerate() {
        let mut tx = ctx.db.write().await?;
        archives::add(&mut tx, version, at * AT_ONCE, some).await?;
        tx.commit().await?;
    }
    Ok(version)
}

async fn remove_old(ctx: &Ctx) -> Result<(), Error> {
    loop {
        let mut tx = ctx.db.write().await?;
        let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let removed = archives::remove_some(&mut tx, ctx.now() - UNFINISHED_FOR, most).await?;
        tx.commit().await?;
        if removed == 0 {
            return Ok(());
        }
    }
}
