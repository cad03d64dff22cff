//! What clients get of own repositories: signed texts, indices, packages, and the key.

use std::{collections::BTreeSet, path::PathBuf};

use super::get;
use crate::{
    app::Error,
    archive::index::COMPONENT,
    cache::Announced,
    context::Ctx,
    db::{Tx, repositories},
    domain::repository::Suite,
};

/// The key that own repositories are signed with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RepositoryKey {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The public key in armour.
    pub key: String,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// A text that changes: its content, and when it was signed.
    Document(String, i64),
    /// A file that never changes.
    File(PathBuf),
}

/// What an own repository says of a suite.
///
/// # Errors
/// There is no such repository or suite.
pub async fn announced(ctx: &Ctx, name: &str, suite: &str) -> Result<Announced, Error> {
    let suite = suite_of(name, suite)?;
    let mut tx = ctx.db.read().await?;
    let repository = get(&mut tx, name).await?;
    let documents = repositories::documents(&mut tx, repository.id, suite).await?.unwrap_or_default();
    let architecture = |path: &String| path.split("/binary-").nth(1)?.split('/').next().map(str::to_owned);
    let architectures: BTreeSet<String> = documents.files.keys().filter_map(architecture).collect();
    Ok(Announced {
        dated_at: documents.made_at,
        components: vec![COMPONENT.to_owned()],
        architectures: architectures.into_iter().collect(),
    })
}

fn suite_of(name: &str, suite: &str) -> Result<Suite, Error> {
    suite.parse().map_err(|_| Error::not_found(format!("suite {suite} of the repository {name}")))
}

/// A file of a repository, by its path below it.
///
/// # Errors
/// There is no such file.
pub async fn serve(ctx: &Ctx, name: &str, path: &str) -> Result<Served, Error> {
    let gone = || Error::not_found(format!("{path} in the repository {name}"));
    let mut tx = ctx.db.read().await?;
    let repository = get(&mut tx, name).await?;
    let parts: Vec<&str> = path.split('/').collect();
    let content = match parts.as_slice() {
        ["pool", sha256, _] => {
            let sha256 = sha256.parse().map_err(|_| gone())?;
            repositories::has_content(&mut tx, repository.id, &sha256).await?.then_some(sha256)
        }
        ["dists", suite, .., "by-hash", "SHA256", sha256] => {
            let sha256 = sha256.parse().map_err(|_| gone())?;
            let suite = suite_of(name, suite)?;
            repositories::names_index(&mut tx, repository.id, suite, &sha256).await?.then_some(sha256)
        }
        ["dists", suite, rest @ ..] => {
            let documents = repositories::documents(&mut tx, repository.id, suite_of(name, suite)?).await?;
            let documents = documents.ok_or_else(gone)?;
            match rest {
                ["InRelease"] => return Ok(Served::Document(documents.in_release, documents.made_at)),
                ["Release"] => return Ok(Served::Document(documents.release, documents.made_at)),
                ["Release.gpg"] => return Ok(Served::Document(documents.signature, documents.made_at)),
                rest => documents.files.get(&rest.join("/")).cloned(),
            }
        }
        _ => None,
    };
    let found = content.and_then(|sha256| ctx.packages.find(&sha256));
    found.map(Served::File).ok_or_else(gone)
}

/// The public key in armour, as clients have it.
///
/// # Errors
/// The key file is gone or damaged.
pub async fn public_key(ctx: &Ctx, tx: &mut Tx) -> Result<String, Error> {
    let is_signed = repositories::anything_signed(tx).await?;
    ctx.archive_key.public(is_signed, ctx.now()).map_err(|error| Error::Internal(error.into()))
}

/// The key that own repositories are signed with; made when nobody needed it before.
///
/// # Errors
/// The key file is gone or damaged.
pub async fn key(ctx: &Ctx) -> Result<RepositoryKey, Error> {
    let mut tx = ctx.db.read().await?;
    let is_signed = repositories::anything_signed(&mut tx).await?;
    let failed = |error| Error::Internal(anyhow::Error::from(error));
    Ok(RepositoryKey {
        fingerprint: ctx.archive_key.fingerprint(is_signed, ctx.now()).map_err(failed)?,
        key: ctx.archive_key.public(is_signed, ctx.now()).map_err(failed)?,
    })
}
