//! Which packages are installed on which client: what inventories fill and searches read.
//!
//! Packages are kept once for all clients, since most clients have the same ones. Rows are written many at a time: the first word of a
//! client is thousands.

use std::collections::{BTreeMap, BTreeSet};

use wire::{
    ClientId, JobId,
    packages::{Condition, Package, PackageKey, PackageUpdate},
};

use super::{Arg, Error, Row, Tx, args, dialect, reach::seen, to_json};
use crate::domain::{
    inventory::{Change, Inventory, PackageChange},
    reach::Sees,
    search::version::key,
};

/// Rows of one statement; what is left goes by smaller ones, so that there are few different statements.
const PORTIONS: [usize; 3] = [100, 10, 1];

/// Gives a list in portions.
fn portions<T>(mut rest: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = PORTIONS.into_iter().find(|length| *length <= rest.len())?;
        let (portion, left) = rest.split_at(length);
        rest = left;
        Some(portion)
    })
}

/// `($1, $2), ($3, $4)`: places of rows.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// What is known about the packages of a client as a whole, with their hash.
pub async fn inventory(tx: &mut Tx, client: ClientId) -> Result<Option<(String, Inventory)>, Error> {
    let sql = "SELECT i.*, c.updates, c.security_updates FROM inventories i JOIN clients c ON c.id = i.client_id \
               WHERE i.client_id = $1";
    let Some(row) = tx.optional(sql, args![client]).await? else { return Ok(None) };
    let known = |count: i64| (count >= 0).then_some(count);
    let family = serde_json::Value::String(row.text("family")?);
    let inventory = Inventory {
        family: serde_json::from_value(family)
            .map_err(|source| Error::Value { column: "family".to_owned(), source: source.into() })?,
        collected_at: row.int("collected_at")?,
        received_at: row.int("received_at")?,
        first_at: row.int("first_at")?,
        packages: row.int("packages")?,
        updates: known(row.int("updates")?),
        security_updates: known(row.int("security_updates")?),
        condition: row.json("condition")?,
    };
    Ok(Some((row.text("sha256")?, inventory)))
}

/// Keeps what is known about the packages of a client as a whole.
pub async fn set_inventory(
    tx: &mut Tx,
    client: ClientId,
    sha256: &str,
    inventory: &Inventory,
) -> Result<(), Error> {
    let family = serde_json::to_value(inventory.family).unwrap_or_default();
    tx.execute(
        "INSERT INTO inventories (client_id, sha256, family, collected_at, received_at, first_at, packages, condition) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (client_id) DO UPDATE SET sha256 = excluded.sha256, \
         family = excluded.family, collected_at = excluded.collected_at, received_at = excluded.received_at, \
         first_at = excluded.first_at, packages = excluded.packages, condition = excluded.condition",
        args![
            client,
            sha256,
            family.as_str().unwrap_or("unknown"),
            inventory.collected_at,
            inventory.received_at,
            inventory.first_at,
            inventory.packages,
            to_json(&inventory.condition)?
        ],
    )
    .await?;
    tx.execute(
        "UPDATE clients SET updates = $1, security_updates = $2, reboot_needed = $3 WHERE id = $4",
        args![
            inventory.updates.unwrap_or(-1),
            inventory.security_updates.unwrap_or(-1),
            !inventory.condition.reboot_why.is_empty(),
            client
        ],
    )
    .await?;
    Ok(())
}

/// The conditions of all clients that have told of them.
pub async fn conditions(tx: &mut Tx) -> Result<BTreeMap<ClientId, Condition>, Error> {
    let rows = tx.all("SELECT client_id, condition FROM inventories", []).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("client_id")?), row.json("condition")?))).collect()
}

fn package_key(row: &Row) -> Result<PackageKey, Error> {
    Ok(PackageKey {
        name: row.text("name")?,
        architecture: row.text("architecture")?,
        version: row.text("version")?,
    })
}

/// What is installed on a client, in the order of the keys.
pub async fn installed(tx: &mut Tx, client: ClientId) -> Result<Vec<Package>, Error> {
    let sql = "SELECT p.name, p.architecture, p.version, c.automatic, c.held, c.size_bytes, u.version AS newer, \
               coalesce(u.security, FALSE) AS security FROM client_packages c JOIN packages p ON p.id = c.package_id \
               LEFT JOIN client_updates u ON u.client_id = c.client_id AND u.package_id = c.package_id WHERE c.client_id = $1";
    let rows = tx.all(sql, args![client]).await?;
    let package = |row: &Row| {
        let security = row.bool("security")?;
        Ok(Package {
            key: package_key(row)?,
            automatic: row.bool("automatic")?,
            held: row.bool("held")?,
            size_bytes: u64::try_from(row.int("size_bytes")?).unwrap_or(0),
            update: row.opt_text("newer")?.map(|version| PackageUpdate { version, security }),
        })
    };
    let mut packages = rows.iter().map(package).collect::<Result<Vec<_>, Error>>()?;
    // Databases order texts by the rules of languages.
    packages.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(packages)
}

/// The numbers of packages that are known.
async fn numbers(tx: &mut Tx, keys: &BTreeSet<&PackageKey>) -> Result<BTreeMap<PackageKey, i64>, Error> {
    let names: BTreeSet<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut found = BTreeMap::new();
    for portion in portions(&names) {
        let list: Vec<_> = (1..=portion.len()).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT id, name, architecture, version FROM packages WHERE name IN ({})",
            list.join(", ")
        );
        for row in tx.all(&sql, portion.iter().map(|name| Arg::from(*name))).await? {
            let key = package_key(&row)?;
            if keys.contains(&key) {
                found.insert(key, row.int("id")?);
            }
        }
    }
    Ok(found)
}

/// Makes packages known. Several servers may bring the same ones at the same moment: call it in a transaction of its own, so that none waits
/// for long, and all take the same order, so that none waits for each other.
pub async fn make_known<'a>(
    tx: &mut Tx,
    keys: impl IntoIterator<Item = &'a PackageKey>,
) -> Result<(), Error> {
    let keys: BTreeSet<&PackageKey> = keys.into_iter().collect();
    let known = numbers(tx, &keys).await?;
    let new: Vec<&PackageKey> = keys.into_iter().filter(|key| !known.contains_key(*key)).collect();
    for portion in portions(&new) {
        let sql = format!(
            "INSERT INTO packages (name, architecture, version, version_key) VALUES {} ON CONFLICT DO NOTHING",
            places(portion.len(), 4)
        );
        let row = |new: &&PackageKey| args![&new.name, &new.architecture, &new.version, key(&new.version)];
        tx.execute(&sql, portion.iter().flat_map(row)).await?;
    }
    Ok(())
}

/// Writes what differs between what is installed on a client by the database and what is by its agent. All packages must be known.
pub async fn store(tx: &mut Tx, client: ClientId, old: &[Package], new: &[Package]) -> Result<(), Error> {
    let before: BTreeMap<&PackageKey, &Package> = old.iter().map(|package| (&package.key, package)).collect();
    let after: BTreeSet<&PackageKey> = new.iter().map(|package| &package.key).collect();
    let gone: Vec<&PackageKey> = before.keys().copied().filter(|key| !after.contains(*key)).collect();
    let set: Vec<&Package> =
        new.iter().filter(|package| before.get(&package.key).is_none_or(|known| known != package)).collect();
    let touched: BTreeSet<&PackageKey> =
        gone.iter().copied().chain(set.iter().map(|package| &package.key)).collect();
    let numbers = numbers(tx, &touched).await?;
    let number = |key: &PackageKey| {
        numbers.get(key).copied().ok_or_else(|| Error::Value {
            column: "packages.id".to_owned(),
            source: format!("the package {} {} is not known", key.name, key.version).into(),
        })
    };
    let gone: Vec<i64> = gone.into_iter().map(number).collect::<Result<_, _>>()?;
    let changed: Vec<i64> = set.iter().map(|package| number(&package.key)).collect::<Result<_, _>>()?;
    let had_update: Vec<i64> = old
        .iter()
        .filter(|package| package.update.is_some() && touched.contains(&package.key))
        .map(|package| number(&package.key))
        .collect::<Result<_, _>>()?;
    for (table, ids) in [("client_updates", &had_update), ("client_packages", &gone)] {
        for portion in portions(ids) {
            let list: Vec<_> = (2..portion.len() + 2).map(|place| format!("${place}")).collect();
            let sql =
                format!("DELETE FROM {table} WHERE client_id = $1 AND package_id IN ({})", list.join(", "));
            let ids = portion.iter().map(|id| Arg::from(*id));
            tx.execute(&sql, [Arg::from(client)].into_iter().chain(ids)).await?;
        }
    }
    let rows: Vec<(i64, &Package)> = changed.into_iter().zip(set).collect();
    for portion in portions(&rows) {
        let sql = format!(
            "INSERT INTO client_packages (client_id, package_id, automatic, held, size_bytes) VALUES {} \
             ON CONFLICT (client_id, package_id) DO UPDATE SET automatic = excluded.automatic, held = excluded.held, \
             size_bytes = excluded.size_bytes",
            places(portion.len(), 5)
        );
        let row = |(id, package): &(i64, &Package)| {
            let size = i64::try_from(package.size_bytes).unwrap_or(i64::MAX);
            args![client, *id, package.automatic, package.held, size]
        };
        tx.execute(&sql, portion.iter().flat_map(row)).await?;
    }
    let updates: Vec<(i64, &PackageUpdate)> =
        rows.iter().filter_map(|(id, package)| Some((*id, package.update.as_ref()?))).collect();
    for portion in portions(&updates) {
        let sql = format!(
            "INSERT INTO client_updates (client_id, package_id, version, security) VALUES {}",
            places(portion.len(), 4)
        );
        let row = |(id, update): &(i64, &PackageUpdate)| args![client, *id, &update.version, update.security];
        tx.execute(&sql, portion.iter().flat_map(row)).await?;
    }
    Ok(())
}

/// Keeps what has changed on a client.
pub async fn add_changes(
    tx: &mut Tx,
    client: ClientId,
    changes: &[Change],
    job: Option<JobId>,
    now: i64,
) -> Result<(), Error> {
    for portion in portions(changes) {
        let sql = format!(
            "INSERT INTO package_changes (client_id, at, name, architecture, was, became, job_id) VALUES {}",
            places(portion.len(), 7)
        );
        let job = job.map(|job| job.0);
        let row = |change: &Change| {
            args![client, now, &change.name, &change.architecture, &change.was, &change.became, job]
        };
        tx.execute(&sql, portion.iter().flat_map(row)).await?;
    }
    Ok(())
}

/// What has changed on a client, the newest first: before a number, not before a time; of packages whose name holds a text.
pub async fn changes(
    tx: &mut Tx,
    client: ClientId,
    before: i64,
    since: i64,
    name: &str,
    limit: i64,
) -> Result<Vec<PackageChange>, Error> {
    let sql = "SELECT c.id, c.at, c.name, c.architecture, c.was, c.became, c.job_id, j.created_by FROM package_changes c \
               LEFT JOIN jobs j ON j.id = c.job_id WHERE c.client_id = $1 AND c.id < $2 AND c.at >= $3 \
               AND c.name LIKE $4 ESCAPE '!' ORDER BY c.id DESC LIMIT $5";
    let like = format!("%{}%", dialect::within_like(&name.to_lowercase()));
    let rows = tx.all(sql, args![client, before, since, like, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(PackageChange {
                id: row.int("id")?,
                at: row.int("at")?,
                name: row.text("name")?,
                architecture: row.text("architecture")?,
                was: row.text("was")?,
                became: row.text("became")?,
                job: row.opt_int("job_id")?.map(JobId),
                by: row.opt_text("created_by")?,
            })
        })
        .collect()
}

/// Forgets changes from before a time, at most so many; tells how many.
pub async fn prune_changes(tx: &mut Tx, before: i64, limit: i64) -> Result<u64, Error> {
    let old = tx
        .optional(
            "SELECT max(id) AS id FROM (SELECT id FROM package_changes WHERE at < $1 ORDER BY at LIMIT $2) AS oldest",
            args![before, limit],
        )
        .await?;
    let Some(last) = old.map(|row| row.opt_int("id")).transpose()?.flatten() else { return Ok(0) };
    let forgotten =
        tx.execute("DELETE FROM package_changes WHERE at < $1 AND id <= $2", args![before, last]).await?;
    tx.execute("UPDATE inventories SET first_at = $1 WHERE first_at < $1", args![before]).await?;
    Ok(forgotten)
}

/// A package in one version, and on how many clients it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Which.
    pub key: PackageKey,
    /// On how many.
    pub clients: i64,
}

/// On how many clients each package is; of all clients or of some.
pub async fn spread(
    tx: &mut Tx,
    among: Option<&BTreeSet<ClientId>>,
    sees: &Sees,
) -> Result<Vec<Spread>, Error> {
    let seen = seen(sees, "client_id");
    let mut found: BTreeMap<PackageKey, i64> = BTreeMap::new();
    match among {
        None => {
            let sql = format!(
                "SELECT p.name, p.architecture, p.version, n.clients FROM \
                 (SELECT package_id, count(*) AS clients FROM client_packages WHERE {seen} GROUP BY package_id) AS n \
                 JOIN packages p ON p.id = n.package_id"
            );
            for row in tx.all(&sql, []).await? {
                found.insert(package_key(&row)?, row.int("clients")?);
            }
        }
        Some(clients) => {
            let clients: Vec<i64> = clients.iter().map(|client| client.0).collect();
            for portion in portions(&clients) {
                let list: Vec<_> = (1..=portion.len()).map(|place| format!("${place}")).collect();
                let sql = format!(
                    "SELECT p.name, p.architecture, p.version, n.clients FROM \
                     (SELECT package_id, count(*) AS clients FROM client_packages WHERE client_id IN ({}) AND {seen} GROUP BY package_id) AS n \
                     JOIN packages p ON p.id = n.package_id",
                    list.join(", ")
                );
                for row in tx.all(&sql, portion.iter().map(|id| Arg::from(*id))).await? {
                    *found.entry(package_key(&row)?).or_default() += row.int("clients")?;
                }
            }
        }
    }
    Ok(found.into_iter().map(|(key, clients)| Spread { key, clients }).collect())
}

/// Names of packages that begin so, for completion.
pub async fn names(tx: &mut Tx, beginning: &str, limit: i64) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT name FROM packages WHERE name LIKE $1 ESCAPE '!' ORDER BY name LIMIT $2";
    let rows = tx.all(sql, args![format!("{}%", super::search::literal(beginning)), limit]).await?;
    rows.iter().map(|row| row.text("name")).collect()
}
