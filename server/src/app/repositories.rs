//! Own repositories: packages are uploaded into `testing`, promoted to `production`, and each suite can go back to an earlier state.
//!
//! Invariant: what clients get of a suite changes as a whole, in one transaction: signed text, indices and packages belong together, and
//! every file is on the disk before the text that names it counts. A name with a version never changes its content.

mod building;
mod publishing;
mod serving;
mod taking;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};
use wire::Sha256;

use self::publishing::{Change, Note, publish};
pub use self::{
    building::build,
    publishing::prune,
    serving::{RepositoryKey, Served, announced, key, public_key, serve},
    taking::{JOB_TYPE, Taking, take, taken},
};
use super::{Error, package_search, source_lists};
use crate::{
    archive::deb,
    blobs,
    context::Ctx,
    db::{
        Tx, archives, audit, events,
        repositories::{self, Package, Repository, Snapshot},
    },
    domain::{
        client::is_name,
        repository::{Control, Member, Suite, with_newest},
    },
};

/// States of a suite that are kept, the present one included.
const KEPT_STATES: i64 = 30;
/// Most versions of a package in testing.
const MOST_VERSIONS: i64 = 100;

/// An own repository.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct OwnRepository {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// So many versions of a package stay in testing.
    pub keep: i64,
    /// When it was made.
    pub created_at: i64,
    /// How many packages testing has.
    pub testing: usize,
    /// How many packages production has.
    pub production: usize,
    /// Testing and production have the same packages.
    pub promoted: bool,
}

/// What is wanted of a new repository.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRepository {
    /// Its name: small letters, digits and hyphens.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// So many versions of a package stay in testing; 3 unless said otherwise.
    #[serde(default = "default_keep")]
    pub keep: i64,
}

fn default_keep() -> i64 {
    3
}

/// A package of an own repository.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RepositoryPackage {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// One line.
    pub description: String,
    /// Its length.
    pub size_bytes: i64,
    /// Its content.
    #[schema(value_type = String)]
    pub sha256: Sha256,
    /// When it came.
    pub uploaded_at: i64,
    /// Who sent it.
    pub uploaded_by: String,
    /// The suites that have it now.
    pub suites: Vec<Suite>,
}

/// A state of a suite.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SuiteState {
    /// Its suite.
    pub suite: Suite,
    /// From 1; the highest is what clients get.
    pub number: i64,
    /// How many packages it has.
    pub packages: usize,
    /// What came with it, `NAME VERSION`.
    pub added: Vec<String>,
    /// What went with it, `NAME VERSION`.
    pub removed: Vec<String>,
    /// `upload`, `remove`, `promote` or `roll-back`.
    pub why: String,
    /// When it was made.
    pub made_at: i64,
    /// By whom.
    pub made_by: String,
}

/// To which state a suite shall go back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// Which suite.
    pub suite: Suite,
    /// The number of the state whose packages shall be there again.
    pub number: i64,
}

/// Names of all repositories.
pub(super) async fn names(tx: &mut Tx) -> Result<Vec<String>, Error> {
    Ok(repositories::list(tx).await?.into_iter().map(|repository| repository.name).collect())
}

async fn get(tx: &mut Tx, name: &str) -> Result<Repository, Error> {
    let found = repositories::find(tx, name).await?;
    found.ok_or_else(|| Error::not_found(format!("repository {name}")))
}

async fn latest(tx: &mut Tx, repository: i64, suite: Suite) -> Result<Option<Snapshot>, Error> {
    Ok(repositories::snapshots(tx, repository, suite, 1).await?.pop())
}

async fn shown(tx: &mut Tx, repository: Repository) -> Result<OwnRepository, Error> {
    let testing =
        latest(tx, repository.id, Suite::Testing).await?.map(|state| state.packages).unwrap_or_default();
    let production =
        latest(tx, repository.id, Suite::Production).await?.map(|state| state.packages).unwrap_or_default();
    Ok(OwnRepository {
        name: repository.name,
        description: repository.description,
        keep: repository.keep,
        created_at: repository.created_at,
        testing: testing.len(),
        production: production.len(),
        promoted: testing == production,
    })
}

/// All own repositories by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<OwnRepository>, Error> {
    let mut all = Vec::new();
    for repository in repositories::list(tx).await? {
        all.push(shown(tx, repository).await?);
    }
    Ok(all)
}

/// A repository that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn show(tx: &mut Tx, name: &str) -> Result<OwnRepository, Error> {
    let repository = get(tx, name).await?;
    shown(tx, repository).await
}

/// Makes a repository, with two empty suites.
///
/// # Errors
/// The name cannot be used or is taken, by a repository or a source list.
pub async fn create(ctx: &Ctx, wish: &NewRepository, actor: &str) -> Result<(), Error> {
    let name = &wish.name;
    if !is_name(name) {
        return Err(Error::invalid(
            format!("`{name}` cannot be a repository's name"),
            "use small letters, digits and hyphens",
        ));
    }
    if !(1..=MOST_VERSIONS).contains(&wish.keep) {
        return Err(Error::invalid(
            "`keep` must be a number from 1 to 100",
            "say how many versions of a package stay in testing",
        ));
    }
    let mut tx = ctx.db.write().await?;
    let lists = source_lists::list(ctx, &mut tx).await?;
    let taken = Suite::ALL.map(|suite| suite.list_name(name));
    if let Some(list) = lists.iter().find(|list| taken.contains(&list.name)) {
        return Err(Error::conflict(
            format!(
                "there is a source list {} already, and the repository's own would have its name",
                list.name
            ),
            "choose another name",
        ));
    }
    repositories::create(&mut tx, name, &wish.description, wish.keep, ctx.now()).await?;
    audit::note(&mut tx, "repository.create", &format!("repository {name}"), &(), wish).await?;
    events::add(&mut tx, "repository.created", None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    for suite in Suite::ALL {
        let change = Change { suite, why: "create", actor, note: None };
        publish(ctx, name, &change, |_, _| Ok(Vec::new())).await?;
    }
    Ok(())
}

/// Removes a repository with all its packages. Clients that still have its source list cannot refresh their lists any more.
///
/// # Errors
/// There is no such repository, or somebody is given its source lists.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let repository = get(&mut tx, name).await?;
    for suite in Suite::ALL {
        let list = suite.list_name(name);
        let users = source_lists::users(&mut tx, &list).await?;
        let all: Vec<String> = users.groups.into_iter().chain(users.clients).collect();
        if !all.is_empty() {
            return Err(Error::conflict(
                format!("the source list {list} of the repository is given to {}", all.join(", ")),
                "take it from them, and let them write their package sources, first",
            ));
        }
    }
    let before = json!({ "name": name, "description": repository.description });
    repositories::delete(&mut tx, repository.id).await?;
    archives::forget_archive(&mut tx, &package_search::repository_archive(name)).await?;
    audit::note(&mut tx, "repository.delete", &format!("repository {name}"), &before, &()).await?;
    events::add(&mut tx, "repository.deleted", None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// All packages of a repository, by name, with the suites that have them.
///
/// # Errors
/// There is no such repository.
pub async fn packages(tx: &mut Tx, name: &str) -> Result<Vec<RepositoryPackage>, Error> {
    let repository = get(tx, name).await?;
    let mut in_suites = Vec::new();
    for suite in Suite::ALL {
        let state = latest(tx, repository.id, suite).await?;
        in_suites.push((suite, state.map(|state| state.packages).unwrap_or_default()));
    }
    let all = repositories::packages(tx, repository.id).await?;
    let shown = |package: Package| RepositoryPackage {
        suites: in_suites
            .iter()
            .filter(|(_, ids)| ids.contains(&package.id))
            .map(|(suite, _)| *suite)
            .collect(),
        id: package.id,
        name: package.control.name,
        version: package.control.version,
        architecture: package.control.architecture,
        description: package.control.description,
        size_bytes: package.size_bytes,
        sha256: package.sha256,
        uploaded_at: package.uploaded_at,
        uploaded_by: package.uploaded_by,
    };
    Ok(all.into_iter().map(shown).collect())
}

/// The states of both suites, the newest first, each with what it brought.
///
/// # Errors
/// There is no such repository.
pub async fn states(tx: &mut Tx, name: &str) -> Result<Vec<SuiteState>, Error> {
    let repository = get(tx, name).await?;
    let all = repositories::packages(tx, repository.id).await?;
    let named = |ids: &[i64], others: &[i64]| {
        let mut names: Vec<String> = all
            .iter()
            .filter(|package| ids.contains(&package.id) && !others.contains(&package.id))
            .map(|package| format!("{} {}", package.control.name, package.control.version))
            .collect();
        names.sort();
        names
    };
    let mut found = Vec::new();
    for suite in Suite::ALL {
        let states = repositories::snapshots(tx, repository.id, suite, KEPT_STATES).await?;
        for (at, state) in states.iter().enumerate() {
            let before = states.get(at + 1).map(|state| state.packages.as_slice()).unwrap_or_default();
            found.push(SuiteState {
                suite,
                number: state.number,
                packages: state.packages.len(),
                added: named(&state.packages, before),
                removed: named(before, &state.packages),
                why: state.why.clone(),
                made_at: state.made_at,
                made_by: state.made_by.clone(),
            });
        }
    }
    found.sort_by_key(|state| std::cmp::Reverse((state.made_at, state.number)));
    Ok(found)
}

/// Takes a package into a repository; it is in testing at once. The same package again is fine.
///
/// # Errors
/// There is no such repository, it is no package, or there is another one of this name, version and architecture.
pub async fn upload<E>(
    ctx: &Ctx,
    name: &str,
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    actor: &str,
) -> Result<RepositoryPackage, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    receive(ctx, name, content, actor, |_| Ok(())).await
}

/// The same, where a package may be refused by what it says of itself.
async fn receive<E>(
    ctx: &Ctx,
    name: &str,
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    actor: &str,
    admit: impl FnOnce(&Control) -> Result<(), Error>,
) -> Result<RepositoryPackage, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    get(&mut ctx.db.read().await?, name).await?;
    let blob = ctx.packages.store(content, None).await.map_err(not_stored)?;
    let path = ctx
        .packages
        .find(&blob.sha256)
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("a stored package is gone")))?;
    let read = move || deb::control(std::io::BufReader::new(fs_err::File::open(path)?));
    let control = tokio::task::spawn_blocking(read).await.map_err(|error| Error::Internal(error.into()))?;
    // What is no package stays on the disk until it is old enough to be no upload that is still on its way.
    let control = control.map_err(|error| match error {
        deb::Error::NotOne(_) => Error::invalid(
            format!("the file is not taken into the repository {name}: {error}"),
            "upload a .deb file as dpkg-deb makes them",
        ),
        deb::Error::Io(_) => Error::Internal(error.into()),
    })?;
    admit(&control)?;
    let what = format!("{} {} ({})", control.name, control.version, control.architecture);
    let mut tx = ctx.db.write().await?;
    let repository = get(&mut tx, name).await?;
    let size = i64::try_from(blob.size_bytes).unwrap_or(i64::MAX);
    let id = match repositories::find_package(&mut tx, repository.id, &control).await? {
        Some(known) if known.sha256 == blob.sha256 => known.id,
        Some(_) => {
            return Err(Error::conflict(
                format!("the repository {name} has {what} already, with another content"),
                "give the new one a higher version: clients that have the old one would never see it otherwise",
            ));
        }
        None => {
            let content = (&blob.sha256, size);
            repositories::add_package(&mut tx, repository.id, &control, content, actor, ctx.now()).await?
        }
    };
    let after = json!({ "package": what, "sha256": blob.sha256 });
    audit::note(&mut tx, "repository.upload", &format!("repository {name}"), &(), &after).await?;
    tx.commit().await?;
    let keep = usize::try_from(repository.keep).unwrap_or(1);
    let change = Change { suite: Suite::Testing, why: "upload", actor, note: None };
    publish(ctx, name, &change, |present, all| {
        let members =
            all.iter().filter(|package| present.contains(&package.id) || package.id == id).map(member);
        Ok(with_newest(&members.collect::<Vec<_>>(), keep, id))
    })
    .await?;
    let mut tx = ctx.db.read().await?;
    let found = packages(&mut tx, name).await?.into_iter().find(|package| package.id == id);
    found.ok_or_else(|| Error::not_found(format!("package {what}")))
}

fn not_stored(error: blobs::Error) -> Error {
    match error {
        blobs::Error::Receive(_) | blobs::Error::Mismatch { .. } => {
            Error::invalid("the package did not arrive whole; nothing was stored", "send it again")
        }
        blobs::Error::Io { .. } => Error::Unavailable {
            title: format!("the package could not be stored: {:#}", anyhow::Error::from(error)),
            remedy: "look for free space in the server's data directory".to_owned(),
        },
    }
}

fn member(package: &Package) -> Member {
    Member {
        id: package.id,
        name: package.control.name.clone(),
        version: package.control.version.clone(),
        architecture: package.control.architecture.clone(),
    }
}

/// Takes a package out of testing; production keeps it until the next promotion.
///
/// # Errors
/// There is no such repository, or testing has no such package.
pub async fn remove(ctx: &Ctx, name: &str, id: i64, actor: &str) -> Result<(), Error> {
    let note = Note { action: "repository.remove", before: json!({ "package": id }), after: Value::Null };
    let change = Change { suite: Suite::Testing, why: "remove", actor, note: Some(note) };
    publish(ctx, name, &change, |present, _| {
        if !present.contains(&id) {
            return Err(Error::not_found(format!("package {id} in testing of the repository {name}")));
        }
        Ok(present.iter().copied().filter(|other| *other != id).collect())
    })
    .await
}

/// Lets production have what testing has.
///
/// # Errors
/// There is no such repository, or production has the same already.
pub async fn promote(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let repository = get(&mut tx, name).await?;
    let state = latest(&mut tx, repository.id, Suite::Testing).await?;
    drop(tx);
    let (number, testing) = state.map(|state| (state.number, state.packages)).unwrap_or_default();
    let after = json!({ "testing": number, "packages": testing.len() });
    let note = Note { action: "repository.promote", before: Value::Null, after };
    let change = Change { suite: Suite::Production, why: "promote", actor, note: Some(note) };
    publish(ctx, name, &change, |present, _| {
        if present == testing {
            return Err(Error::conflict(
                format!("production of the repository {name} has the packages of testing already"),
                "upload something first",
            ));
        }
        Ok(testing.clone())
    })
    .await
}

/// Lets a suite have the packages of an earlier state again. Clients that have newer ones keep them until a job allows older versions.
///
/// # Errors
/// There is no such repository or state.
pub async fn roll_back(ctx: &Ctx, name: &str, wish: &RollBack, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let repository = get(&mut tx, name).await?;
    let states = repositories::snapshots(&mut tx, repository.id, wish.suite, KEPT_STATES).await?;
    drop(tx);
    let what = || format!("state {} of {} of the repository {name}", wish.number, wish.suite.as_str());
    let wanted =
        states.iter().find(|state| state.number == wish.number).ok_or_else(|| Error::not_found(what()))?;
    let before = json!({ "number": states.first().map(|state| state.number) });
    let note = Note { action: "repository.roll-back", before, after: json!(wish) };
    let change = Change { suite: wish.suite, why: "roll-back", actor, note: Some(note) };
    publish(ctx, name, &change, |present, _| {
        if present == wanted.packages {
            return Err(Error::conflict(
                format!("{} has the packages that are there now", what()),
                "choose another one",
            ));
        }
        Ok(wanted.packages.clone())
    })
    .await
}
