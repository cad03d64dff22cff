//! What reports are made from. Large tables are read in portions, or counted by the database.

use std::collections::BTreeMap;

use wire::{ClientId, JobId, facts::Facts, packages::Condition};

use super::{Error, Row, Tx, args, reach::seen};
use crate::domain::{
    client::Stage,
    machine_changes::{self, MachineChange},
    reach::Sees,
    report::DayCount,
};

const MACHINE: &str = "c.id, c.name, c.stage, c.facts, c.facts_at, c.last_seen_at, c.agent_version, c.config, c.updates, \
                       c.security_updates, i.packages, i.condition, i.received_at";
const MACHINES: &str = "clients c LEFT JOIN inventories i ON i.client_id = c.id";
/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// What reports read of a client.
pub struct Machine {
    /// Its number.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub stage: Stage,
    /// What was measured.
    pub facts: Option<Facts>,
    /// When.
    pub facts_at: Option<i64>,
    /// When its agent was last heard.
    pub last_seen_at: Option<i64>,
    /// Version of its agent.
    pub agent_version: String,
    /// Packages that it has, and those that could be newer: all, and security updates. Absent: not known.
    pub packages: Option<i64>,
    /// See [`Machine::packages`].
    pub updates: Option<i64>,
    /// See [`Machine::packages`].
    pub security_updates: Option<i64>,
    /// What its system needs, and when it said so.
    pub condition: Option<(Condition, i64)>,
    /// When it was bought, `YYYY-MM-DD`; empty when nobody has said so.
    pub purchased_on: String,
}

/// Clients that are in service and that somebody sees, after a number.
pub async fn machines(tx: &mut Tx, sees: &Sees, after: ClientId, limit: i64) -> Result<Vec<Machine>, Error> {
    let sql = format!(
        "SELECT {MACHINE} FROM {MACHINES} WHERE c.id > $1 AND c.stage <> 'retired' AND {} ORDER BY c.id LIMIT $2",
        seen(sees, "c.id")
    );
    tx.all(&sql, args![after, limit]).await?.iter().map(machine).collect()
}

/// Those of some clients that are in service and that somebody sees.
pub async fn these_machines(tx: &mut Tx, sees: &Sees, ids: &[ClientId]) -> Result<Vec<Machine>, Error> {
    let numbers: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT {MACHINE} FROM {MACHINES} WHERE c.id IN ({}) AND c.stage <> 'retired' AND {} ORDER BY c.id",
        numbers.join(", "),
        seen(sees, "c.id")
    );
    tx.all(&sql, []).await?.iter().map(machine).collect()
}

fn machine(row: &Row) -> Result<Machine, Error> {
    let config: crate::domain::client::ClientConfig = row.json("config")?;
    Ok(Machine {
        id: ClientId(row.int("id")?),
        name: row.text("name")?,
        stage: row.parsed("stage")?,
        facts: row.opt_text("facts")?.map(|_| row.json::<Facts>("facts")).transpose()?,
        facts_at: row.opt_int("facts_at")?,
        last_seen_at: row.opt_int("last_seen_at")?,
        agent_version: row.opt_text("agent_version")?.unwrap_or_default(),
        packages: row.opt_int("packages")?,
        updates: Some(row.int("updates")?).filter(|count| *count >= 0),
        security_updates: Some(row.int("security_updates")?).filter(|count| *count >= 0),
        condition: match row.opt_int("received_at")? {
            Some(at) => Some((row.json("condition")?, at)),
            None => None,
        },
        purchased_on: config.purchased_on,
    })
}

/// When a job that brings all packages up to date last ended well, by client.
pub async fn last_updates(tx: &mut Tx, sees: &Sees) -> Result<BTreeMap<ClientId, i64>, Error> {
    let sql = format!(
        "SELECT client_id, max(finished_at) AS at FROM jobs WHERE state = 'succeeded' \
         AND job_type IN ('package-upgrade', 'base-system') AND {} GROUP BY client_id",
        seen(sees, "client_id")
    );
    let rows = tx.all(&sql, []).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("client_id")?), row.int("at")?))).collect()
}

/// Jobs of a client that failed by the same reason.
pub struct Failure {
    /// Their type.
    pub job_type: String,
    /// The reason.
    pub reason: String,
    /// Whose.
    pub client: ClientId,
    /// How many.
    pub count: i64,
    /// When the last one failed.
    pub last_at: i64,
    /// The last one.
    pub last: JobId,
}

/// Jobs that failed between two times.
pub async fn failures(tx: &mut Tx, sees: &Sees, from: i64, to: i64) -> Result<Vec<Failure>, Error> {
    let sql = format!(
        "SELECT job_type, reason, client_id, count(*) AS count, max(finished_at) AS last_at, max(id) AS last FROM jobs \
         WHERE state = 'failed' AND finished_at >= $1 AND finished_at < $2 AND {} GROUP BY job_type, reason, client_id",
        seen(sees, "client_id")
    );
    tx.all(&sql, args![from, to])
        .await?
        .iter()
        .map(|row| {
            Ok(Failure {
                job_type: row.text("job_type")?,
                reason: row.text("reason")?,
                client: ClientId(row.int("client_id")?),
                count: row.int("count")?,
                last_at: row.int("last_at")?,
                last: JobId(row.int("last")?),
            })
        })
        .collect()
}

/// How many jobs of each client failed on each day between two times, by day.
pub async fn failures_by_day(
    tx: &mut Tx,
    sees: &Sees,
    from: i64,
    to: i64,
) -> Result<Vec<(ClientId, DayCount)>, Error> {
    let sql = format!(
        "SELECT client_id, finished_at / {DAY} AS day, count(*) AS count FROM jobs \
         WHERE state = 'failed' AND finished_at >= $1 AND finished_at < $2 AND {} GROUP BY client_id, finished_at / {DAY} \
         ORDER BY day",
        seen(sees, "client_id")
    );
    let rows = tx.all(&sql, args![from, to]).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("client_id")?), day_count(row)?))).collect()
}

fn day_count(row: &Row) -> Result<DayCount, Error> {
    Ok(DayCount { day: row.int("day")?, count: row.int("count")? })
}

/// A difference between two measurements of a machine, or something that was done with its record.
pub struct Changed {
    /// When.
    pub at: i64,
    /// Whose.
    pub client_id: ClientId,
    /// Its name.
    pub client: String,
    /// What.
    pub what: String,
    /// What it was.
    pub was: String,
    /// What it became.
    pub became: String,
}

/// What changed between two times, oldest first, at most `limit`.
pub async fn changes(
    tx: &mut Tx,
    sees: &Sees,
    from: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<Changed>, Error> {
    let sql = format!(
        "SELECT d.at, d.client_id, c.name, d.what, d.was, d.became FROM \
                 (SELECT at, id, client_id, what, was, became FROM client_changes WHERE at >= $1 AND at < $2 \
                  UNION ALL \
                  SELECT at, id, client_id, kind AS what, '' AS was, detail AS became FROM events WHERE at >= $1 AND at < $2 AND kind IN \
                    ('client.registered', 'client.adopted', 'client.installed', 'client.changed', 'client.retired', 'client.reinstated', 'client.alarm')) d \
               JOIN clients c ON c.id = d.client_id WHERE {} ORDER BY d.at, d.id LIMIT $3",
        seen(sees, "c.id")
    );
    tx.all(&sql, args![from, to, limit])
        .await?
        .iter()
        .map(|row| {
            Ok(Changed {
                at: row.int("at")?,
                client_id: ClientId(row.int("client_id")?),
                client: row.text("name")?,
                what: row.text("what")?,
                was: row.text("was")?,
                became: row.text("became")?,
            })
        })
        .collect()
}

/// Notes what is different about a machine that was measured again; call it before the new facts are kept.
pub(super) async fn note_changes(tx: &mut Tx, client: ClientId, new: &Facts, now: i64) -> Result<(), Error> {
    let sql = "SELECT facts FROM clients WHERE id = $1 AND facts IS NOT NULL";
    let Some(row) = tx.optional(sql, args![client]).await? else { return Ok(()) };
    let old: Facts = row.json("facts")?;
    for MachineChange { what, was, became } in machine_changes::between(&old, new) {
        let sql = "INSERT INTO client_changes (client_id, at, what, was, became) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, args![client, now, what, was, became]).await?;
    }
    Ok(())
}

/// Keeps a count of a day, replacing the one that was kept earlier on that day.
pub async fn set_measure(tx: &mut Tx, name: &str, day: i64, value: i64) -> Result<(), Error> {
    let sql = "INSERT INTO measures (name, day, value) VALUES ($1, $2, $3) ON CONFLICT (name, day) DO UPDATE SET value = excluded.value";
    tx.execute(sql, args![name, day, value]).await?;
    Ok(())
}

/// Counts of the days from one on, oldest first.
pub async fn measures(tx: &mut Tx, name: &str, from: i64) -> Result<Vec<DayCount>, Error> {
    let sql = "SELECT day, value AS count FROM measures WHERE name = $1 AND day >= $2 ORDER BY day";
    tx.all(sql, args![name, from]).await?.iter().map(day_count).collect()
}

/// How many installed clients were not heard since a time.
pub async fn count_silent(tx: &mut Tx, since: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM clients WHERE stage = 'installed' AND (last_seen_at IS NULL OR last_seen_at < $1)";
    tx.optional(sql, args![since]).await?.map_or(Ok(0), |row| row.int("count"))
}

/// How many clients want to be restarted.
pub async fn count_reboots(tx: &mut Tx) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM clients WHERE stage <> 'retired' AND reboot_needed";
    tx.optional(sql, []).await?.map_or(Ok(0), |row| row.int("count"))
}

/// How many installed clients had no job since a time that brought all packages up to date.
pub async fn count_overdue(tx: &mut Tx, since: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM clients c WHERE c.stage = 'installed' AND NOT EXISTS \
               (SELECT 1 FROM jobs j WHERE j.client_id = c.id AND j.state = 'succeeded' \
                AND j.job_type IN ('package-upgrade', 'base-system') AND j.finished_at >= $1)";
    tx.optional(sql, args![since]).await?.map_or(Ok(0), |row| row.int("count"))
}
