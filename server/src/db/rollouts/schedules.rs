//! Schedules: rollouts that come again and again.

use super::super::{Error, Row, Tx, args, to_json};
use crate::domain::rollout::RolloutSpec;

/// A rollout that comes again and again.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutSchedule {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What is rolled out in each of its periods; the open windows are the periods.
    pub spec: RolloutSpec,
    /// Nothing begins while it is off.
    pub enabled: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: i64,
    /// Grows with every change.
    pub version: i64,
}

const COLUMNS: &str = "id, name, spec, enabled, created_by, created_at, version";

fn from_row(row: &Row) -> Result<RolloutSchedule, Error> {
    Ok(RolloutSchedule {
        id: row.int("id")?,
        name: row.text("name")?,
        spec: row.json("spec")?,
        enabled: row.bool("enabled")?,
        created_by: row.text("created_by")?,
        created_at: row.int("created_at")?,
        version: row.int("version")?,
    })
}

/// Makes one.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    spec: &RolloutSpec,
    actor: &str,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO rollout_schedules (name, spec, created_by, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    tx.insert(sql, args![name, to_json(spec)?, actor, now]).await
}

/// All of them, by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<RolloutSchedule>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM rollout_schedules ORDER BY name");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// One by name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<RolloutSchedule>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM rollout_schedules WHERE name = $1");
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// Switches one on or off.
pub async fn set_enabled(tx: &mut Tx, id: i64, enabled: bool) -> Result<(), Error> {
    let sql = "UPDATE rollout_schedules SET enabled = $2, version = version + 1 WHERE id = $1";
    tx.execute(sql, args![id, enabled]).await.map(drop)
}

/// Removes one; its rollouts stay.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM rollout_schedules WHERE id = $1", args![id]).await.map(drop)
}

/// Whether it has made a rollout for a period.
pub async fn has_period(tx: &mut Tx, id: i64, period_at: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM rollouts WHERE schedule_id = $1 AND period_at = $2";
    Ok(tx.optional(sql, args![id, period_at]).await?.is_some())
}

/// The newest rollout that each schedule has made: schedule, rollout.
pub async fn newest(tx: &mut Tx) -> Result<Vec<(i64, i64)>, Error> {
    let sql = "SELECT schedule_id, max(id) AS rollout FROM rollouts WHERE schedule_id IS NOT NULL GROUP BY schedule_id";
    tx.all(sql, []).await?.iter().map(|row| Ok((row.int("schedule_id")?, row.int("rollout")?))).collect()
}
