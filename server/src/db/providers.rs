//! Providers and pools of them.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::provider::{Pool, PoolMember, ProviderDifference, ProviderStanding, ProviderWish};

/// A provider as it is stored; its keys are apart.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ProviderRecord {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What is wanted of it.
    pub wish: ProviderWish,
    /// How it has been lately.
    pub standing: ProviderStanding,
    /// What was found there and is not known here, and the reverse.
    pub differences: Vec<ProviderDifference>,
    /// When what is there was last compared with the journal; 0 when never.
    pub compared_at: i64,
    /// When it was registered.
    pub created_at: i64,
    /// Grows with every change of wish or keys.
    pub version: i64,
}

fn from_row(row: &Row) -> Result<ProviderRecord, Error> {
    Ok(ProviderRecord {
        id: row.int("id")?,
        name: row.text("name")?,
        wish: row.json("wish")?,
        standing: ProviderStanding {
            failures: row.int("failures")?,
            rests_until: row.int("rests_until")?,
            problem: row.text("problem")?,
        },
        differences: row.json("differences")?,
        compared_at: row.int("compared_at")?,
        created_at: row.int("created_at")?,
        version: row.int("version")?,
    })
}

const COLUMNS: &str =
    "id, name, wish, failures, rests_until, problem, differences, compared_at, created_at, version";

/// Registers a provider; `keys` are sealed.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    wish: &ProviderWish,
    keys: &str,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO providers (name, wish, keys, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    tx.insert(sql, args![name, to_json(wish)?, keys, now]).await
}

/// All providers by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<ProviderRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM providers ORDER BY name");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// A provider by name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<ProviderRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM providers WHERE name = $1");
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// A provider by number.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<ProviderRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM providers WHERE id = $1");
    tx.optional(&sql, args![id]).await?.as_ref().map(from_row).transpose()
}

/// A provider's sealed keys.
pub async fn keys(tx: &mut Tx, id: i64) -> Result<Option<String>, Error> {
    let row = tx.optional("SELECT keys FROM providers WHERE id = $1", args![id]).await?;
    row.map(|row| row.text("keys")).transpose()
}

/// Changes what is wanted of a provider, and its keys where new ones are given; what it failed with is forgotten.
pub async fn update(tx: &mut Tx, id: i64, wish: &ProviderWish, keys: Option<&str>) -> Result<(), Error> {
    let sql = "UPDATE providers SET wish = $1, keys = coalesce($2, keys), failures = 0, rests_until = 0, problem = '', \
               version = version + 1 WHERE id = $3";
    tx.execute(sql, args![to_json(wish)?, keys, id]).await?;
    Ok(())
}

/// Notes how a provider has been.
pub async fn set_standing(tx: &mut Tx, id: i64, standing: &ProviderStanding) -> Result<(), Error> {
    let sql = "UPDATE providers SET failures = $1, rests_until = $2, problem = $3 WHERE id = $4";
    tx.execute(sql, args![standing.failures, standing.rests_until, &standing.problem, id]).await?;
    Ok(())
}

/// Notes what a comparison of what is there with what is known here has found.
pub async fn set_compared(
    tx: &mut Tx,
    id: i64,
    differences: &[ProviderDifference],
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE providers SET differences = $1, compared_at = $2 WHERE id = $3";
    tx.execute(sql, args![to_json(&differences)?, now, id]).await?;
    Ok(())
}

/// Takes the comparison of a provider, so that no other server makes it before `until`; tells whether it is due.
pub async fn take_comparison(tx: &mut Tx, id: i64, before: i64, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE providers SET compared_at = $1 WHERE id = $2 AND compared_at <= $3";
    Ok(tx.execute(sql, args![now, id, before]).await? == 1)
}

/// Removes a provider.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM providers WHERE id = $1", args![id]).await?;
    Ok(())
}

/// How many lines of the journal say that something is there.
pub async fn parts_there(tx: &mut Tx, id: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS id FROM desktop_parts WHERE provider_id = $1 AND state <> 'gone'";
    tx.insert(sql, args![id]).await
}

/// All pools by name.
pub async fn pools(tx: &mut Tx) -> Result<Vec<Pool>, Error> {
    let rows = tx.all("SELECT name, members FROM provider_pools ORDER BY name", []).await?;
    rows.iter().map(pool_from).collect()
}

fn pool_from(row: &Row) -> Result<Pool, Error> {
    Ok(Pool { name: row.text("name")?, members: row.json("members")? })
}

/// A pool by name.
pub async fn pool(tx: &mut Tx, name: &str) -> Result<Option<Pool>, Error> {
    let row = tx.optional("SELECT name, members FROM provider_pools WHERE name = $1", args![name]).await?;
    row.as_ref().map(pool_from).transpose()
}

/// Keeps a pool.
pub async fn set_pool(tx: &mut Tx, name: &str, members: &[PoolMember]) -> Result<(), Error> {
    let sql = "INSERT INTO provider_pools (name, members) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET members = excluded.members";
    tx.execute(sql, args![name, to_json(&members)?]).await?;
    Ok(())
}

/// Removes a pool.
pub async fn delete_pool(tx: &mut Tx, name: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM provider_pools WHERE name = $1", args![name]).await?;
    Ok(())
}
