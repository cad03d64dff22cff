//! Rules for machines that announce themselves.

use super::{Error, Tx, args, to_json};
use crate::domain::rule::Rule;

/// Keeps a rule, replacing an older one of the name.
pub async fn set(tx: &mut Tx, rule: &Rule, now: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO discovery_rules (name, position, rule, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) \
         DO UPDATE SET position = excluded.position, rule = excluded.rule, updated_at = excluded.updated_at",
        args![&rule.name, rule.position, to_json(rule)?, now],
    )
    .await?;
    Ok(())
}

/// All rules, in the order in which they count.
pub async fn list(tx: &mut Tx) -> Result<Vec<Rule>, Error> {
    let rows = tx.all("SELECT rule FROM discovery_rules ORDER BY position, name", []).await?;
    rows.iter().map(|row| row.json("rule")).collect()
}

/// Removes a rule.
pub async fn delete(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM discovery_rules WHERE name = $1", args![name]).await? == 1)
}
