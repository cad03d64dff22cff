//! What the database says about itself, and what it knows of the other parts of the server.

use super::{Error, Tx, args};
use crate::domain::boot::BootEventKind;

/// Version of the schema.
pub async fn schema(tx: &mut Tx) -> Result<i64, Error> {
    let row = tx.optional("SELECT max(version) AS version FROM schema_versions", []).await?;
    row.map_or(Ok(0), |row| row.int("version"))
}

/// Which database it is, with its version.
pub async fn engine(tx: &mut Tx) -> Result<String, Error> {
    let (name, sql) = match tx {
        Tx::Sqlite(..) => ("SQLite", "SELECT sqlite_version() AS version"),
        Tx::Postgres(_) => ("PostgreSQL", "SELECT current_setting('server_version') AS version"),
    };
    let version = tx.optional(sql, []).await?.map_or(Ok(String::new()), |row| row.text("version"))?;
    Ok(format!("{name} {version}"))
}

/// How many bytes it takes.
pub async fn size(tx: &mut Tx) -> Result<i64, Error> {
    let sql = match tx {
        Tx::Sqlite(..) => {
            "SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size()"
        }
        Tx::Postgres(_) => "SELECT pg_database_size(current_database()) AS size",
    };
    tx.optional(sql, []).await?.map_or(Ok(0), |row| row.int("size"))
}

/// Versions of agents, and how many clients have each.
pub async fn agent_versions(tx: &mut Tx) -> Result<Vec<(String, i64)>, Error> {
    let sql = "SELECT agent_version, count(*) AS count FROM clients \
               WHERE agent_version IS NOT NULL AND stage <> 'retired' GROUP BY agent_version ORDER BY count DESC, agent_version";
    let rows = tx.all(sql, []).await?;
    rows.iter().map(|row| Ok((row.text("agent_version")?, row.int("count")?))).collect()
}

/// When an address was last given to a machine.
pub async fn last_lease(tx: &mut Tx) -> Result<Option<i64>, Error> {
    let sql = "SELECT max(at) AS at FROM boot_events WHERE kind = $1";
    let row = tx.optional(sql, args![BootEventKind::Dhcp.as_str()]).await?;
    row.map_or(Ok(None), |row| row.opt_int("at"))
}
