//! Storage layouts that admins made; those that Lotse brings are files in `job-scripts/layouts`.

use super::{Error, Tx, args};

/// Keeps a layout, replacing an older one of the name.
pub async fn set(tx: &mut Tx, name: &str, yaml: &str, now: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO layouts (name, yaml, updated_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET yaml = excluded.yaml, updated_at = excluded.updated_at, version = layouts.version + 1",
        args![name, yaml, now],
    )
    .await?;
    Ok(())
}

/// The text of a layout.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<String>, Error> {
    tx.optional("SELECT yaml FROM layouts WHERE name = $1", args![name])
        .await?
        .map(|row| row.text("yaml"))
        .transpose()
}

/// Names and texts of all layouts.
pub async fn list(tx: &mut Tx) -> Result<Vec<(String, String)>, Error> {
    let rows = tx.all("SELECT name, yaml FROM layouts ORDER BY name", []).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.text("yaml")?))).collect()
}

/// Removes a layout.
pub async fn delete(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM layouts WHERE name = $1", args![name]).await? == 1)
}

/// How many clients use a layout, and the names of the first `limit`. Those that are retired need none.
pub async fn used_by(tx: &mut Tx, name: &str, limit: i64) -> Result<(i64, Vec<String>), Error> {
    // A quote inside of a value is escaped in JSON, so this is the field and nothing else; a name has no wildcard of LIKE.
    let sign = format!("%\"layout\":\"{name}\"%");
    let sql = "SELECT count(*) AS count FROM clients WHERE stage <> 'retired' AND config LIKE $1";
    let count = tx.optional(sql, args![&sign]).await?.map_or(Ok(0), |row| row.int("count"))?;
    let sql = "SELECT name FROM clients WHERE stage <> 'retired' AND config LIKE $1 ORDER BY name LIMIT $2";
    let rows = tx.all(sql, args![&sign, limit]).await?;
    Ok((count, rows.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?))
}
