//! What happened: the stream that pages and programs follow.

use wire::{ClientId, JobId};

use super::{Error, Row, Tx, args, reach};
use crate::domain::reach::Sees;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ServerEvent {
    /// Its number: the offset from which a reader resumes.
    pub id: i64,
    /// When.
    pub at: i64,
    /// What, such as `client.discovered` or `job.running`.
    pub kind: String,
    /// About which client.
    pub client: Option<ClientId>,
    /// About which job.
    pub job: Option<JobId>,
    /// Who did it.
    pub actor: String,
    /// More about it.
    pub detail: String,
}

/// Notes that something happened.
pub async fn add(
    tx: &mut Tx,
    kind: &str,
    client: Option<ClientId>,
    job: Option<JobId>,
    actor: &str,
    detail: &str,
    now: i64,
) -> Result<(), Error> {
    announce_number(tx).await?;
    tx.execute(
        "INSERT INTO events (at, kind, client_id, job_id, actor, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        args![now, kind, client.map(|id| id.0), job.map(|id| id.0), actor, detail],
    )
    .await?;
    Ok(())
}

/// What happened after a number to the clients that somebody sees; what is about no client is for those who see everything. What comes later has a greater number than everything that was given here.
pub async fn after(tx: &mut Tx, sees: &Sees, id: i64, limit: i64) -> Result<Vec<ServerEvent>, Error> {
    let settled = settled(tx).await?;
    let sql = format!(
        "SELECT id, at, kind, client_id, job_id, actor, detail FROM events WHERE id > $1 AND id <= $3 AND {} \
         ORDER BY id LIMIT $2",
        reach::seen(sees, "client_id")
    );
    tx.all(&sql, args![id, limit, settled]).await?.iter().map(from_row).collect()
}

/// What has happened to a client before a number, newest first.
pub async fn of_client(
    tx: &mut Tx,
    client: ClientId,
    before: i64,
    limit: i64,
) -> Result<Vec<ServerEvent>, Error> {
    let sql = "SELECT id, at, kind, client_id, job_id, actor, detail FROM events \
               WHERE client_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    tx.all(sql, args![client, before, limit]).await?.iter().map(from_row).collect()
}

pub(super) fn from_row(row: &Row) -> Result<ServerEvent, Error> {
    Ok(ServerEvent {
        id: row.int("id")?,
        at: row.int("at")?,
        kind: row.text("kind")?,
        client: row.opt_int("client_id")?.map(ClientId),
        job: row.opt_int("job_id")?.map(JobId),
        actor: row.text("actor")?,
        detail: row.text("detail")?,
    })
}

/// Number of the newest event.
pub async fn newest(tx: &mut Tx) -> Result<i64, Error> {
    let settled = settled(tx).await?;
    let row = tx.optional("SELECT max(id) AS id FROM events WHERE id <= $1", args![settled]).await?;
    Ok(row.map_or(Ok(None), |row| row.opt_int("id"))?.unwrap_or(0))
}

/// Forgets all but the newest `kept` of the events that machines and strangers cause by themselves. What people did stays.
///
/// Whoever reaches a listener can cause some; this is what keeps them from filling the disk.
pub async fn prune(tx: &mut Tx, kept: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - $1 \
               AND kind IN ('client.boot', 'client.discovered', 'client.alarm', 'client.facts', 'login.failed', \
               'mirror.unfit', 'mirror.down', 'mirror.back')";
    tx.execute(sql, args![kept]).await
}

// SQLite's one writer commits in the order of the numbers. On PostgreSQL a number that was given earlier may be committed later, and
// a reader that went on after the later one would lose it. So whoever is about to take numbers first shows, as the key of an advisory
// lock that ends with its transaction, from where on; readers stop before the first such place. Shared locks never make anybody wait.

/// Shows, once in a transaction, that numbers after the last one given will be taken.
async fn announce_number(tx: &mut Tx) -> Result<(), Error> {
    if let Tx::Postgres(_) = tx {
        tx.execute(
            "SELECT CASE WHEN current_setting('lotse.numbering', true) = 'yes' THEN '' ELSE \
               pg_advisory_xact_lock_shared((1::bigint << 44) | (SELECT last_value FROM events_id_seq))::text || \
               set_config('lotse.numbering', 'yes', true) END",
            [],
        )
        .await?;
    }
    Ok(())
}

/// The number up to which every event is either visible or will never be.
async fn settled(tx: &mut Tx) -> Result<i64, Error> {
    if let Tx::Sqlite(..) = tx {
        return Ok(i64::MAX);
    }
    // First the last number, then who is taking some: who took one up to it and is not shown any more has ended.
    let last = tx.insert("SELECT last_value AS id FROM events_id_seq", []).await?;
    let sql = "SELECT min((((classid::bigint & 4095) << 32) | objid::bigint)) AS place FROM pg_locks \
               WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 12 = 1 AND pid <> pg_backend_pid() \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let place = tx.optional(sql, []).await?.map_or(Ok(None), |row| row.opt_int("place"))?;
    // Its own number may be the very place where it began: a sequence that was never used gives that one first.
    Ok(place.map_or(last, |place| last.min(place - 1)))
}
