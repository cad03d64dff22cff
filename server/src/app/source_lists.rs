//! Source lists: those of distributions and own repositories, and those that admins made, which win; who gets which; and what the
//! package cache has to know of them.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::json;
use wire::problem::FieldProblem;

use super::{Error, clients, repositories, search, tag};
use crate::{
    cache::{Added, Announced, Failure},
    context::Ctx,
    db::{Tx, audit, events, groups as group_rows, source_lists},
    domain::{
        client::{Client, is_name},
        repository::Suite,
        source_list::{ListWish, NamedList, PackageSource, Place, cache_name},
    },
};

/// A source list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SourceList {
    /// Its name.
    pub name: String,
    /// What is in it.
    #[serde(flatten)]
    pub wish: ListWish,
    /// Release of its distribution, such as `bookworm`; empty for lists that are for all.
    pub release: String,
    /// Whose it is: `own`, `distribution` or `repository`.
    pub origin: ListOrigin,
    /// When it was last changed; absent when nobody has made it.
    pub changed_at: Option<i64>,
    /// By whom.
    pub changed_by: Option<String>,
}

/// Whose a source list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListOrigin {
    /// Somebody has made it.
    Own,
    /// A distribution brings it.
    Distribution,
    /// It leads to an own repository.
    Repository,
}

/// Who has a source list beside those whose distribution it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ListUsers {
    /// Names of groups.
    pub groups: Vec<String>,
    /// Names of clients.
    pub clients: Vec<String>,
}

/// What an archive said when it was asked for one suite of a source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SourceCheck {
    /// Which source of the list, from 0.
    pub source: usize,
    /// Which address.
    pub uri: String,
    /// Which suite.
    pub suite: String,
    /// When its archive signed it; absent when something stands against it.
    pub dated_at: Option<i64>,
    /// What stands against it.
    pub problem: Option<String>,
}

/// To whom a list is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver<'a> {
    /// All members of a group, also later ones.
    Group(&'a str),
    /// One client.
    Client(&'a str),
}

/// All source lists by name.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx) -> Result<Vec<SourceList>, Error> {
    let kept = source_lists::list(tx).await?;
    let mut all: Vec<_> = kept
        .into_iter()
        .map(|kept| SourceList {
            release: release(ctx, &kept.wish),
            origin: ListOrigin::Own,
            changed_at: Some(kept.changed_at),
            changed_by: Some(kept.changed_by),
            name: kept.name,
            wish: kept.wish,
        })
        .collect();
    let brought = |name: &str, wish: ListWish, origin| SourceList {
        name: name.to_owned(),
        release: release(ctx, &wish),
        wish,
        origin,
        changed_at: None,
        changed_by: None,
    };
    for (name, distribution) in ctx.catalog.distributions() {
        if !all.iter().any(|list| list.name == name) {
            all.push(brought(name, distribution.source_list(name), ListOrigin::Distribution));
        }
    }
    for repository in repositories::names(tx).await? {
        for suite in Suite::ALL {
            let name = suite.list_name(&repository);
            if !all.iter().any(|list| list.name == name) {
                all.push(brought(&name, repository_list(&repository, suite), ListOrigin::Repository));
            }
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn repository_list(repository: &str, suite: Suite) -> ListWish {
    let source = PackageSource {
        uris: vec![format!("repository:{repository}")],
        suites: vec![suite.as_str().to_owned()],
        components: vec!["main".to_owned()],
        ..PackageSource::default()
    };
    ListWish { sources: vec![source], ..ListWish::default() }
}

fn release(ctx: &Ctx, wish: &ListWish) -> String {
    let distribution = wish.distribution.as_ref().and_then(|name| ctx.catalog.distribution(name));
    distribution.map(|distribution| distribution.suite.clone()).unwrap_or_default()
}

/// A source list that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<SourceList, Error> {
    let found = list(ctx, tx).await?.into_iter().find(|list| list.name == name);
    found.ok_or_else(|| Error::not_found(format!("source list {name}")))
}

/// Who has a list.
///
/// # Errors
/// The database refuses.
pub async fn users(tx: &mut Tx, name: &str) -> Result<ListUsers, Error> {
    let (groups, clients) = source_lists::users(tx, name).await?;
    Ok(ListUsers { groups, clients })
}

/// Asks the archives of a list for every suite, and verifies what they say. Nothing is kept.
///
/// # Errors
/// The list cannot be a list, whatever archives say.
pub async fn check(ctx: &Ctx, wish: &ListWish) -> Result<Vec<SourceCheck>, Error> {
    let mut problems = wish.check();
    let distribution = wish.distribution.as_ref();
    if let Some(name) = distribution.filter(|name| ctx.catalog.distribution(name).is_none()) {
        let message = format!("there is no distribution {name}");
        problems.push(FieldProblem { field: "distribution".to_owned(), message });
    }
    if !problems.is_empty() {
        return Err(Error::fields("the source list cannot be used", problems));
    }
    let mut asked = Vec::new();
    for (at, source) in wish.sources.iter().enumerate() {
        for uri in &source.uris {
            for suite in &source.suites {
                asked.push(check_suite(ctx, wish, (at, source), uri, suite));
            }
        }
    }
    Ok(join_all(asked).await)
}

async fn check_suite(
    ctx: &Ctx,
    wish: &ListWish,
    (at, source): (usize, &PackageSource),
    uri: &str,
    suite: &str,
) -> SourceCheck {
    let checked = async {
        let announced = match Place::of(uri) {
            Some(Place::Url(url)) => {
                let keyring = keyring(ctx, wish, source).await.map_err(|error| error.to_string())?;
                ctx.cache.try_out(url, suite, keyring).await.map_err(|failure| said(&failure))?
            }
            Some(Place::Mirror(name)) => {
                ctx.cache.announced(name, suite).await.map_err(|failure| said(&failure))?
            }
            Some(Place::Repository(name)) => {
                repositories::announced(ctx, name, suite).await.map_err(|error| error.to_string())?
            }
            None => return Err("the address cannot be read".to_owned()),
        };
        fits(ctx, wish, source, suite, &announced)?;
        Ok(announced.dated_at)
    };
    let result: Result<i64, String> = checked.await;
    let (dated_at, problem) = match result {
        Ok(dated_at) => (Some(dated_at), None),
        Err(problem) => (None, Some(problem)),
    };
    SourceCheck { source: at, uri: uri.to_owned(), suite: suite.to_owned(), dated_at, problem }
}

fn said(failure: &Failure) -> String {
    match failure {
        Failure::Unfit { mirror, path, why } => format!("what {mirror} gives for {path} {why}"),
        Failure::Down { mirror, why } => format!("{mirror} {why}"),
        Failure::NotThere { mirror, path } => format!("{mirror} has no {path}"),
        Failure::NoKeyring(mirror) => {
            format!(
                "what {mirror} gives cannot be verified: the keyring of the distribution is not on the server; give its key"
            )
        }
        other => other.to_string(),
    }
}

/// The architecture that a list is for.
pub(super) fn architecture(ctx: &Ctx, wish: &ListWish) -> String {
    let distribution = wish.distribution.as_ref().and_then(|name| ctx.catalog.distribution(name));
    match distribution {
        _ if !wish.architecture.is_empty() => wish.architecture.clone(),
        Some(distribution) => distribution.architecture.clone(),
        None => "amd64".to_owned(),
    }
}

fn fits(
    ctx: &Ctx,
    wish: &ListWish,
    source: &PackageSource,
    suite: &str,
    announced: &Announced,
) -> Result<(), String> {
    // Some archives name their components with a path before it, such as `updates/main`.
    let has = |wanted: &String| {
        announced.components.iter().any(|known| known == wanted || known.rsplit('/').next() == Some(wanted))
    };
    if let Some(missing) =
        source.components.iter().find(|wanted| !announced.components.is_empty() && !has(wanted))
    {
        return Err(format!(
            "the suite {suite} has no component {missing}; it has {}",
            announced.components.join(", ")
        ));
    }
    let architecture = architecture(ctx, wish);
    let is_all = announced.architectures.iter().any(|known| known == "all");
    if !announced.architectures.is_empty() && !announced.architectures.contains(&architecture) && !is_all {
        return Err(format!(
            "the suite {suite} has nothing for {architecture}; it has {}",
            announced.architectures.join(", ")
        ));
    }
    Ok(())
}

/// The file with the key of a source: its own, else its distribution's.
async fn keyring(ctx: &Ctx, wish: &ListWish, source: &PackageSource) -> Result<PathBuf, Error> {
    let key = source.key.trim();
    let Some(on_clients) = source.key_path() else {
        let distribution = wish.distribution.as_ref().and_then(|name| ctx.catalog.distribution(name));
        let keyring = distribution.map(|distribution| PathBuf::from(&distribution.keyring));
        return keyring.ok_or_else(|| {
            Error::invalid(
                "the source has no key, and its list no distribution that would have one",
                "give the key of the archive",
            )
        });
    };
    let directory = ctx.config.data.join("cache/keyrings");
    let path = directory.join(on_clients.rsplit('/').next().unwrap_or_default());
    let failed = |error: std::io::Error| {
        Error::Internal(anyhow::Error::from(error).context("keeping the key of an archive"))
    };
    if !fs_err::tokio::try_exists(&path).await.map_err(failed)? {
        fs_err::tokio::create_dir_all(&directory).await.map_err(failed)?;
        let partial = tempfile::NamedTempFile::new_in(&directory).map_err(failed)?;
        fs_err::tokio::write(partial.path(), key).await.map_err(failed)?;
        partial.persist(&path).map_err(|error| failed(error.error))?;
    }
    Ok(path)
}

/// Keeps a list, once every archive in it has said what it must; with `expected` only when it still has that tag.
///
/// # Errors
/// What is wrong with it, for each field and each suite.
pub async fn set(
    ctx: &Ctx,
    name: &str,
    wish: &ListWish,
    expected: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::invalid(
            format!("`{name}` cannot be a source list's name"),
            "use small letters, digits and hyphens",
        ));
    }
    let checks = check(ctx, wish).await?;
    let problems: Vec<_> = checks
        .into_iter()
        .filter_map(|check| {
            let message = check.problem?;
            Some(FieldProblem {
                field: format!("sources[{}] {} {}", check.source, check.uri, check.suite),
                message,
            })
        })
        .collect();
    if !problems.is_empty() {
        return Err(Error::fields(
            format!("the source list {name} is not kept, since clients could not use it"),
            problems,
        ));
    }
    let mut tx = ctx.db.write().await?;
    if expected.is_some() {
        let present = get(ctx, &mut tx, name).await.map(|list| list.wish).unwrap_or_default();
        tag::check(&format!("source list {name}"), &present, expected)?;
    }
    let before = source_lists::find(&mut tx, name).await?.map(|kept| kept.wish);
    source_lists::set(&mut tx, name, wish, actor, ctx.now()).await?;
    audit::note(&mut tx, "source-list.change", &format!("source list {name}"), &before, wish).await?;
    noted(ctx, tx, "source-list.changed", name, actor).await?;
    reload(ctx).await
}

/// Removes an own list; one of the same name that Lotse brings counts again, and whoever had this one keeps that.
///
/// # Errors
/// There is no such own list.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let before = source_lists::find(&mut tx, name).await?.map(|kept| kept.wish);
    if !source_lists::delete(&mut tx, name).await? {
        return Err(Error::not_found(format!("own source list {name}")));
    }
    if !list(ctx, &mut tx).await?.iter().any(|other| other.name == name) {
        source_lists::release(&mut tx, name).await?;
    }
    audit::note(&mut tx, "source-list.delete", &format!("source list {name}"), &before, &()).await?;
    noted(ctx, tx, "source-list.deleted", name, actor).await?;
    reload(ctx).await
}

/// Gives a list to a group or a client, or takes it away; clients have it in their files after the next job `package-sources`.
///
/// # Errors
/// There is no such list, group or client.
pub async fn give(ctx: &Ctx, name: &str, to: Receiver<'_>, given: bool, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    get(ctx, &mut tx, name).await?;
    let before = users(&mut tx, name).await?;
    let receiver = match to {
        Receiver::Group(group) => {
            let id = group_rows::find(&mut tx, group).await?;
            let id = id.ok_or_else(|| Error::not_found(format!("group {group}")))?;
            source_lists::set_group(&mut tx, name, id, given).await?;
            format!("group {group}")
        }
        Receiver::Client(client) => {
            let id = clients::get(&mut tx, client).await?.id;
            source_lists::set_client(&mut tx, name, id, given).await?;
            format!("client {client}")
        }
    };
    let after = users(&mut tx, name).await?;
    let action = if given { "source-list.give" } else { "source-list.take" };
    let of = |users: ListUsers| json!({ "list": name, "groups": users.groups, "clients": users.clients });
    audit::note(&mut tx, action, &receiver, &of(before), &of(after)).await?;
    noted(ctx, tx, "source-list.given", &format!("{name}: {receiver}"), actor).await
}

async fn noted(ctx: &Ctx, mut tx: Tx, kind: &str, detail: &str, actor: &str) -> Result<(), Error> {
    events::add(&mut tx, kind, None, None, actor, detail, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// The lists that a client has: its distribution's, then those that are given to it or to its groups, by name. Those for another
/// distribution are left out; own repositories have their key.
///
/// # Errors
/// The database refuses.
pub async fn of_client(ctx: &Ctx, tx: &mut Tx, client: &Client) -> Result<Vec<NamedList>, Error> {
    let distribution = &client.config.distribution;
    let mut wanted = source_lists::given_to_client(tx, client.id).await?;
    let given = source_lists::given_to_groups(tx).await?;
    if !given.is_empty() {
        let found = search::groups_of(ctx, tx, &[client.id]).await?.remove(&client.id).unwrap_or_default();
        let names = group_rows::names(tx).await?;
        let is_member = |group| {
            client.groups.contains(group) || names.get(group).is_some_and(|name| found.contains(name))
        };
        wanted.extend(given.iter().filter(|(_, group)| is_member(group)).map(|(list, _)| list.clone()));
    }
    let mut all = list(ctx, tx).await?;
    all.retain(|list| {
        let is_for = list.wish.distribution.as_ref().is_none_or(|wanted| wanted == distribution);
        list.name == *distribution || (is_for && wanted.contains(&list.name))
    });
    all.sort_by_key(|list| (list.name != *distribution, list.name.clone()));
    let mut lists = Vec::with_capacity(all.len());
    for list in all {
        let mut wish = list.wish;
        for source in &mut wish.sources {
            let is_repository = source.places().any(|place| matches!(place, Place::Repository(_)));
            if is_repository && source.key.is_empty() {
                source.key = repositories::public_key(ctx, tx).await?;
            }
        }
        lists.push(NamedList { name: list.name, wish });
    }
    Ok(lists)
}

/// Tells the package cache which archives lists name. Done at the start, after every change, and now and then, since another node may
/// have changed something.
///
/// # Errors
/// The database or the disk refuses.
pub async fn reload(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let kept = source_lists::list(&mut tx).await?;
    drop(tx);
    let mut added = Vec::new();
    for list in &kept {
        for source in &list.wish.sources {
            for place in source.places() {
                let Place::Url(url) = place else { continue };
                // Without a key there was a distribution when it was kept; if that is gone, the archive is not known any more.
                let Ok(keyring) = keyring(ctx, &list.wish, source).await else { continue };
                let url = url.trim_end_matches('/');
                added.push(Added { name: cache_name(url, &source.key), url: url.to_owned(), keyring });
            }
        }
    }
    added.sort_by(|a, b| a.name.cmp(&b.name));
    added.dedup_by(|a, b| a.name == b.name);
    ctx.cache.set_added(added);
    Ok(())
}
