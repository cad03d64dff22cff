//! Makes the next state of a suite, and forgets old ones.
//!
//! Invariant: files are on the disk before the text that names them counts, and that counts with one transaction.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use wire::Sha256;

use super::{KEPT_STATES, get, latest, not_stored};
use crate::{
    app::{Error, package_search},
    archive::index::{self, COMPONENT, Item},
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, archives, audit, events,
        repositories::{self, Documents, Package, Snapshot},
    },
    domain::repository::Suite,
};

/// Uploads are not removed sooner: they may be on their way into a suite.
const UNUSED_FOR: Duration = Duration::from_hours(1);

/// A change of a suite.
pub(super) struct Change<'a> {
    pub(super) suite: Suite,
    pub(super) why: &'static str,
    pub(super) actor: &'a str,
    pub(super) note: Option<Note>,
}

/// What the audit says of it.
pub(super) struct Note {
    pub(super) action: &'static str,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// Makes the next state of a suite: `choose` says which packages it has, from those that are there and all of the repository.
pub(super) async fn publish(
    ctx: &Ctx,
    name: &str,
    change: &Change<'_>,
    choose: impl FnOnce(&[i64], &[Package]) -> Result<Vec<i64>, Error>,
) -> Result<(), Error> {
    let _publishing = ctx.publishing.lock().await;
    let Change { suite, why, actor, .. } = *change;
    let mut tx = ctx.db.read().await?;
    let repository = get(&mut tx, name).await?;
    let before = latest(&mut tx, repository.id, suite).await?;
    let all = repositories::packages(&mut tx, repository.id).await?;
    let is_signed = repositories::anything_signed(&mut tx).await?;
    drop(tx);
    let present = before.as_ref().map(|state| state.packages.as_slice()).unwrap_or_default();
    let mut chosen = choose(present, &all)?;
    chosen.sort_unstable();
    if before.as_ref().is_some_and(|before| before.packages == chosen) {
        return Ok(());
    }
    // apt takes nothing that is not younger than what it has, and knows whole seconds only.
    let now = ctx.now() / SECOND * SECOND;
    let made_at = before.as_ref().map_or(now, |before| now.max(before.made_at + SECOND));
    let items: Vec<Item> = all
        .iter()
        .filter(|package| chosen.contains(&package.id))
        .map(|package| Item {
            control: package.control.clone(),
            sha256: package.sha256.clone(),
            size_bytes: u64::try_from(package.size_bytes).unwrap_or(0),
        })
        .collect();
    let architectures = index::architectures(&items);
    let packing = items.clone();
    let files = tokio::task::spawn_blocking(move || index::files(&packing))
        .await
        .map_err(|error| Error::Internal(error.into()))?
        .map_err(|error| Error::Internal(error.into()))?;
    let listed = index::listed(&files);
    let release = index::release(name, suite, &architectures, &listed, made_at);
    let signed = ctx
        .archive_key
        .sign(&release, is_signed, ctx.now())
        .map_err(|error| Error::Internal(error.into()))?;
    for content in files.into_values() {
        let content = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
        ctx.packages.store(content, None).await.map_err(not_stored)?;
    }
    let documents = Documents {
        made_at,
        release,
        in_release: signed.inline,
        signature: signed.detached,
        files: listed.into_iter().map(|(path, listed)| (path, listed.sha256)).collect(),
    };
    let number = before.map_or(1, |before| before.number + 1);
    let (why, made_by) = (why.to_owned(), actor.to_owned());
    let state = Snapshot { number, packages: chosen, why, made_at, made_by };
    let mut tx = ctx.db.write().await?;
    repositories::add_snapshot(&mut tx, repository.id, suite, &state, &documents).await?;
    offer(ctx, &mut tx, name, suite, (&architectures, &items), &documents).await?;
    if let Some(Note { action, before, after }) = &change.note {
        audit::note(&mut tx, action, &format!("repository {name}"), before, after).await?;
    }
    let detail = format!("{name}: {} {}", suite.as_str(), state.why);
    events::add(&mut tx, "repository.changed", None, None, actor, &detail, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Lets people find the packages of a suite.
async fn offer(
    ctx: &Ctx,
    tx: &mut Tx,
    name: &str,
    suite: Suite,
    (architectures, items): (&BTreeSet<String>, &[Item]),
    documents: &Documents,
) -> Result<(), Error> {
    let now = ctx.now();
    for architecture in architectures {
        let place = archives::Place {
            archive: package_search::repository_archive(name),
            suite: suite.as_str().to_owned(),
            component: COMPONENT.to_owned(),
            architecture: architecture.clone(),
        };
        let index = archives::want(tx, &place, now).await?;
        let version = archives::begin(tx, index, now).await?;
        let entries: Vec<_> = index::of_architecture(items, architecture)
            .into_iter()
            .map(|item| archives::Entry {
                name: item.control.name.clone(),
                version: item.control.version.clone(),
                section: item.control.section.clone(),
                size_bytes: i64::try_from(item.size_bytes).unwrap_or(i64::MAX),
                installed_bytes: item.control.installed_bytes,
                description: item.control.description.clone(),
            })
            .collect();
        archives::add(tx, version, 0, &entries).await?;
        let sha256 = documents.files.get(&format!("{COMPONENT}/binary-{architecture}/Packages"));
        let sha256 = sha256.map(Sha256::as_str).unwrap_or_default();
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        archives::publish(tx, index, version, (sha256, documents.made_at, count), now).await?;
    }
    Ok(())
}

/// Forgets states that are too old to go back to, packages that no state has, and files that nothing names.
///
/// # Errors
/// The database or the disk refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let _publishing = ctx.publishing.lock().await;
    let before = ctx.now() - i64::try_from(UNUSED_FOR.as_micros()).unwrap_or(i64::MAX);
    let mut tx = ctx.db.write().await?;
    repositories::prune(&mut tx, KEPT_STATES).await?;
    for repository in repositories::list(&mut tx).await? {
        let mut used = HashSet::new();
        for suite in Suite::ALL {
            let states = repositories::snapshots(&mut tx, repository.id, suite, KEPT_STATES).await?;
            used.extend(states.into_iter().flat_map(|state| state.packages));
        }
        let all = repositories::packages(&mut tx, repository.id).await?;
        let unused: Vec<i64> = all
            .iter()
            .filter(|package| !used.contains(&package.id) && package.uploaded_at < before)
            .map(|package| package.id)
            .collect();
        repositories::remove_packages(&mut tx, &unused).await?;
    }
    let needed: HashSet<Sha256> = repositories::needed(&mut tx).await?.into_iter().collect();
    tx.commit().await?;
    let files = ctx.packages.clone();
    let removed = tokio::task::spawn_blocking(move || files.retain(&needed, UNUSED_FOR));
    removed
        .await
        .map_err(|error| Error::Internal(error.into()))?
        .map_err(|error| Error::Internal(error.into()))?;
    Ok(())
}
