//! Settings that differ from their defaults.

use serde_json::Value;

use super::{Error, Tx, args, to_json};

/// A setting that somebody has set.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// When it was set.
    pub changed_at: i64,
    /// By whom.
    pub changed_by: String,
}

/// All that were set.
pub async fn list(tx: &mut Tx) -> Result<Vec<Kept>, Error> {
    tx.all("SELECT name, value, changed_at, changed_by FROM settings ORDER BY name", [])
        .await?
        .iter()
        .map(|row| {
            Ok(Kept {
                name: row.text("name")?,
                value: row.json("value")?,
                changed_at: row.int("changed_at")?,
                changed_by: row.text("changed_by")?,
            })
        })
        .collect()
}

/// Sets a setting.
pub async fn set(tx: &mut Tx, name: &str, value: &Value, actor: &str, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO settings (name, value, changed_at, changed_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at, \
               changed_by = excluded.changed_by";
    tx.execute(sql, args![name, to_json(value)?, now, actor]).await?;
    Ok(())
}

/// Forgets what was set: the default counts again.
pub async fn unset(tx: &mut Tx, name: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM settings WHERE name = $1", args![name]).await?;
    Ok(())
}
