//! Which packages are installed on which client: what inventories fill and searches read.
//!
//! Packages are kept once for all clients, since most clients have the same ones.

use std::collections::BTreeSet;

use wire::ClientId;

use super::{Error, Tx, args};
use crate::domain::search::version::key;

/// A package in one version.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, such as `amd64`.
    pub architecture: String,
    /// Its version, as in deb-version(7).
    pub version: String,
}

/// Keeps what is installed on a client; what was there before and is not named is there no more.
pub async fn replace(tx: &mut Tx, client: ClientId, packages: &[Package]) -> Result<(), Error> {
    let known = tx.all("SELECT package_id FROM client_packages WHERE client_id = $1", args![client]).await?;
    let known: BTreeSet<i64> = known.iter().map(|row| row.int("package_id")).collect::<Result<_, _>>()?;
    let mut wanted = BTreeSet::new();
    for package in packages {
        wanted.insert(number(tx, package).await?);
    }
    for gone in known.difference(&wanted) {
        let sql = "DELETE FROM client_packages WHERE client_id = $1 AND package_id = $2";
        tx.execute(sql, args![client, *gone]).await?;
    }
    for new in wanted.difference(&known) {
        let sql = "INSERT INTO client_packages (client_id, package_id) VALUES ($1, $2)";
        tx.execute(sql, args![client, *new]).await?;
    }
    Ok(())
}

async fn number(tx: &mut Tx, package: &Package) -> Result<i64, Error> {
    let find = "SELECT id FROM packages WHERE name = $1 AND architecture = $2 AND version = $3";
    let args = || args![&package.name, &package.architecture, &package.version];
    if let Some(row) = tx.optional(find, args()).await? {
        return row.int("id");
    }
    // Another node may bring the same package at the same moment.
    tx.execute(
        "INSERT INTO packages (name, architecture, version, version_key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        args![&package.name, &package.architecture, &package.version, key(&package.version)],
    )
    .await?;
    match tx.optional(find, args()).await? {
        Some(row) => row.int("id"),
        None => Err(Error::Exists(format!("package {}", package.name))),
    }
}

/// What is installed on a client, by name.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Vec<Package>, Error> {
    let sql = "SELECT p.name, p.architecture, p.version FROM packages p JOIN client_packages c ON c.package_id = p.id \
               WHERE c.client_id = $1 ORDER BY p.name, p.architecture, p.version";
    let rows = tx.all(sql, args![client]).await?;
    rows.iter()
        .map(|row| {
            Ok(Package {
                name: row.text("name")?,
                architecture: row.text("architecture")?,
                version: row.text("version")?,
            })
        })
        .collect()
}

/// Names of packages that begin so, for completion.
pub async fn names(tx: &mut Tx, beginning: &str, limit: i64) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT name FROM packages WHERE name LIKE $1 ESCAPE '!' ORDER BY name LIMIT $2";
    let rows = tx.all(sql, args![format!("{}%", super::search::literal(beginning)), limit]).await?;
    rows.iter().map(|row| row.text("name")).collect()
}
