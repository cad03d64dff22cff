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
