//! Orders for many clients, and how far each has come.

use wire::ClientId;

use super::{Arg, Error, MOST_IN_LIST, Tx, args, id_list, to_json};
use crate::domain::batch::{Action, Candidate, Skip};

/// A batch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// What was ordered.
    pub action: Action,
    /// Which clients were meant; empty when they were named.
    pub query: String,
    /// By whom.
    pub actor: String,
    /// When.
    pub created_at: i64,
    /// When the last client was done.
    pub finished_at: Option<i64>,
    /// How many clients wait for their turn.
    pub waiting: i64,
    /// How many are being worked on.
    pub working: i64,
    /// For how many it was ordered.
    pub done: i64,
    /// For how many it makes no sense.
    pub skipped: i64,
    /// For how many it could not be ordered.
    pub failed: i64,
}

/// A client of a batch, with the reason of its state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct BatchLine {
    /// Its name.
    pub client: String,
    /// `failed` or `skipped`.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// What decides for some clients whether an order makes sense.
pub async fn candidates(tx: &mut Tx, ids: &[ClientId], group: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(MOST_IN_LIST) {
        let (list, mut args) = id_list(chunk.iter().map(|id| id.0));
        args.push(Arg::from(group.unwrap_or_default()));
        let sql = format!(
            "SELECT c.id, c.name, c.stage, c.alarmed, c.last_seen_at, \
             CAST(CASE WHEN c.announced_key IS NOT NULL AND c.adopted_key IS NULL AND c.stage = 'discovered' \
               THEN 1 ELSE 0 END AS BIGINT) AS stranger, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM client_macs m WHERE m.client_id = c.id) THEN 1 ELSE 0 END AS BIGINT) AS has_mac, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.client_id = c.id AND j.state IN ('held', 'queued', 'running') \
               AND j.realm = 'installer' AND j.job_type <> 'rescue') THEN 1 ELSE 0 END AS BIGINT) AS installing, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.client_id = c.id AND j.state IN ('held', 'queued', 'running') \
               AND j.job_type = 'rescue') THEN 1 ELSE 0 END AS BIGINT) AS rescued, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM group_members m JOIN client_groups g ON g.id = m.group_id \
               WHERE m.client_id = c.id AND g.name = ${}) THEN 1 ELSE 0 END AS BIGINT) AS member \
             FROM clients c WHERE c.id IN {list} ORDER BY c.name",
            args.len()
        );
        for row in tx.all(&sql, args).await? {
            found.push(Candidate {
                id: ClientId(row.int("id")?),
                name: row.text("name")?,
                stage: row.parsed("stage")?,
                alarmed: row.bool("alarmed")?,
                waits_for_adoption: row.int("stranger")? > 0,
                last_seen_at: row.opt_int("last_seen_at")?,
                has_mac: row.int("has_mac")? > 0,
                installing: row.int("installing")? > 0,
                rescued: row.int("rescued")? > 0,
                member: row.int("member")? > 0,
            });
        }
    }
    Ok(found)
}

/// Keeps an order with its clients: those that wait for it, and those for which it makes no sense.
pub async fn create(
    tx: &mut Tx,
    action: &Action,
    query: &str,
    actor: &str,
    clients: &[(ClientId, Option<Skip>)],
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO batches (action, query, actor, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    let batch = tx.insert(sql, args![to_json(action)?, query, actor, now]).await?;
    for chunk in clients.chunks(100) {
        let mut places = Vec::with_capacity(chunk.len());
        let mut args = args![batch, now].to_vec();
        for (client, skip) in chunk {
            let state = if skip.is_some() { "skipped" } else { "waiting" };
            args.extend([
                Arg::from(*client),
                Arg::from(state),
                Arg::from(skip.map(Skip::as_str).unwrap_or_default()),
            ]);
            let last = args.len();
            places.push(format!("($1, ${}, ${}, ${last}, $2)", last - 2, last - 1));
        }
        let sql = format!(
            "INSERT INTO batch_clients (batch_id, client_id, state, reason, changed_at) VALUES {}",
            places.join(", ")
        );
        tx.execute(&sql, args).await?;
    }
    Ok(batch)
}

/// Batches, newest first, before a number.
pub async fn list(tx: &mut Tx, before: i64, limit: i64) -> Result<Vec<Batch>, Error> {
    let sql = format!("{SELECT} WHERE b.id < $1 GROUP BY b.id ORDER BY b.id DESC LIMIT $2");
    tx.all(&sql, args![before, limit]).await?.iter().map(from_row).collect()
}

/// A batch by number.
pub async fn find(tx: &mut Tx, id: i64) -> Result<Option<Batch>, Error> {
    let sql = format!("{SELECT} WHERE b.id = $1 GROUP BY b.id");
    tx.optional(&sql, args![id]).await?.as_ref().map(from_row).transpose()
}

const SELECT: &str = "SELECT b.id, b.action, b.query, b.actor, b.created_at, b.finished_at, \
    count(CASE WHEN m.state = 'waiting' THEN 1 END) AS waiting, count(CASE WHEN m.state = 'working' THEN 1 END) AS working, \
    count(CASE WHEN m.state = 'done' THEN 1 END) AS done, count(CASE WHEN m.state = 'skipped' THEN 1 END) AS skipped, \
    count(CASE WHEN m.state = 'failed' THEN 1 END) AS failed \
    FROM batches b LEFT JOIN batch_clients m ON m.batch_id = b.id";

fn from_row(row: &super::Row) -> Result<Batch, Error> {
    Ok(Batch {
        id: row.int("id")?,
        action: row.json("action")?,
        query: row.text("query")?,
        actor: row.text("actor")?,
        created_at: row.int("created_at")?,
        finished_at: row.opt_int("finished_at")?,
        waiting: row.int("waiting")?,
        working: row.int("working")?,
        done: row.int("done")?,
        skipped: row.int("skipped")?,
        failed: row.int("failed")?,
    })
}

/// Clients of a batch for which nothing was ordered, failed ones first, by name.
pub async fn lines(tx: &mut Tx, batch: i64, limit: i64) -> Result<Vec<BatchLine>, Error> {
    let sql = "SELECT c.name, m.state, m.reason FROM batch_clients m JOIN clients c ON c.id = m.client_id \
               WHERE m.batch_id = $1 AND m.state IN ('failed', 'skipped') ORDER BY m.state, c.name LIMIT $2";
    let rows = tx.all(sql, args![batch, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(BatchLine {
                client: row.text("name")?,
                state: row.text("state")?,
                reason: row.text("reason")?,
            })
        })
        .collect()
}

/// The oldest batch that is not finished: number, action, who ordered it.
pub async fn unfinished(tx: &mut Tx) -> Result<Option<(i64, Action, String)>, Error> {
    let sql = "SELECT id, action, actor FROM batches WHERE finished_at IS NULL ORDER BY id LIMIT 1";
    let row = tx.optional(sql, []).await?;
    row.map(|row| Ok((row.int("id")?, row.json("action")?, row.text("actor")?))).transpose()
}

/// Clients of a batch that wait for their turn.
pub async fn waiting(tx: &mut Tx, batch: i64, limit: i64) -> Result<Vec<(ClientId, String)>, Error> {
    let sql = "SELECT c.id, c.name FROM batch_clients m JOIN clients c ON c.id = m.client_id \
               WHERE m.batch_id = $1 AND m.state = 'waiting' ORDER BY m.client_id LIMIT $2";
    let rows = tx.all(sql, args![batch, limit]).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("id")?), row.text("name")?))).collect()
}

/// Takes a client of a batch to work on it; tells whether nobody else did.
pub async fn take(tx: &mut Tx, batch: i64, client: ClientId, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE batch_clients SET state = 'working', changed_at = $3 \
               WHERE batch_id = $1 AND client_id = $2 AND state = 'waiting'";
    Ok(tx.execute(sql, args![batch, client, now]).await? == 1)
}

/// Notes how it went for a client.
pub async fn settle(
    tx: &mut Tx,
    batch: i64,
    client: ClientId,
    failure: Option<&str>,
    now: i64,
) -> Result<(), Error> {
    let state = if failure.is_some() { "failed" } else { "done" };
    let sql = "UPDATE batch_clients SET state = $3, reason = $4, changed_at = $5 WHERE batch_id = $1 AND client_id = $2";
    tx.execute(sql, args![batch, client, state, failure.unwrap_or_default(), now]).await?;
    Ok(())
}

/// Gives those up on which somebody works since before a time: the server ended, and nobody knows whether it was ordered.
pub async fn give_up(tx: &mut Tx, batch: i64, before: i64, reason: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE batch_clients SET state = 'failed', reason = $3, changed_at = $4 \
               WHERE batch_id = $1 AND state = 'working' AND changed_at < $2";
    tx.execute(sql, args![batch, before, reason, now]).await?;
    Ok(())
}

/// Finishes a batch when no client is open any more.
pub async fn finish(tx: &mut Tx, batch: i64, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE batches SET finished_at = $2 WHERE id = $1 AND finished_at IS NULL AND NOT EXISTS \
               (SELECT 1 FROM batch_clients WHERE batch_id = $1 AND state IN ('waiting', 'working'))";
    Ok(tx.execute(sql, args![batch, now]).await? == 1)
}

/// Takes back what waits in a batch; tells how many clients.
pub async fn stop(tx: &mut Tx, batch: i64, reason: &str, now: i64) -> Result<u64, Error> {
    let sql = "UPDATE batch_clients SET state = 'skipped', reason = $2, changed_at = $3 \
               WHERE batch_id = $1 AND state = 'waiting'";
    tx.execute(sql, args![batch, reason, now]).await
}
