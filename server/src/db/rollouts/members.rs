//! The clients of rollouts: who is next, who is at it, and why some failed. What is done for many is one statement.

use std::collections::HashMap;

use wire::{ClientId, JobId};

use super::super::{Arg, Error, Tx, args};
use crate::domain::{
    client_status::ONLINE_FOR,
    rollout::{JobSeen, RolloutClientState},
};

/// Rows of one statement that adds clients.
const ROWS: usize = 200;

/// A client of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutMember {
    /// Its number.
    pub client: ClientId,
    /// Its name.
    pub name: String,
    /// Its wave, from 1.
    pub wave: i64,
    /// Its place among all clients.
    pub place: i64,
    /// How it stands.
    pub state: RolloutClientState,
    /// Why.
    pub reason: String,
    /// The job that tells most.
    pub job: Option<JobId>,
    /// When its state changed.
    pub changed_at: i64,
}

/// Clients that failed for the same cause.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutCause {
    /// The reason without what differs from machine to machine.
    pub cause: String,
    /// How many clients.
    pub count: i64,
    /// The first of them.
    pub clients: Vec<RolloutMember>,
}

/// A client with open jobs, as a round looks at it.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Its number.
    pub client: ClientId,
    /// Its name.
    pub name: String,
    /// What was written of it.
    pub state: RolloutClientState,
    /// Why.
    pub reason: String,
    /// Which of its turns it is.
    pub turn: i64,
    /// Whether its agent was heard a moment ago.
    pub online: bool,
    /// Its jobs, in order.
    pub jobs: Vec<(JobId, JobSeen)>,
}

/// How many clients of each wave are in which state.
pub async fn counts(tx: &mut Tx, rollout: i64) -> Result<Vec<(i64, RolloutClientState, i64)>, Error> {
    let sql = "SELECT wave, state, count(*) AS count FROM rollout_clients WHERE rollout_id = $1 GROUP BY state, wave";
    let rows = tx.all(sql, args![rollout]).await?;
    rows.iter().map(|row| Ok((row.int("wave")?, row.parsed("state")?, row.int("count")?))).collect()
}

/// How many clients of some rollouts are in which state.
pub async fn totals(tx: &mut Tx, rollouts: &[i64]) -> Result<Vec<(i64, RolloutClientState, i64)>, Error> {
    let (list, args) = super::super::id_list(rollouts.iter().copied());
    let sql = format!(
        "SELECT rollout_id, state, count(*) AS count FROM rollout_clients WHERE rollout_id IN {list} GROUP BY rollout_id, state"
    );
    let rows = tx.all(&sql, args).await?;
    rows.iter().map(|row| Ok((row.int("rollout_id")?, row.parsed("state")?, row.int("count")?))).collect()
}

/// Adds clients that wait, in their order: each with its wave.
pub async fn add(
    tx: &mut Tx,
    rollout: i64,
    first_place: i64,
    clients: &[(ClientId, i64)],
    expires_at: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let mut place = first_place;
    for chunk in clients.chunks(ROWS) {
        let mut rows = Vec::with_capacity(chunk.len());
        let mut args = args![rollout, now, expires_at].to_vec();
        for (client, wave) in chunk {
            args.extend([Arg::from(*client), Arg::from(*wave), Arg::from(place)]);
            let last = args.len();
            rows.push(format!("($1, ${}, ${}, ${last}, 'waiting', $3, $2)", last - 2, last - 1));
            place += 1;
        }
        let sql = format!(
            "INSERT INTO rollout_clients (rollout_id, client_id, wave, place, state, expires_at, changed_at) VALUES {} \
             ON CONFLICT DO NOTHING",
            rows.join(", ")
        );
        tx.execute(&sql, args).await?;
    }
    Ok(())
}

/// Numbers of all clients, with their states.
pub async fn all(tx: &mut Tx, rollout: i64) -> Result<Vec<(ClientId, RolloutClientState)>, Error> {
    let sql = "SELECT client_id, state FROM rollout_clients WHERE rollout_id = $1";
    let rows = tx.all(sql, args![rollout]).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("client_id")?), row.parsed("state")?))).collect()
}

/// Clients with open jobs, by number.
pub async fn in_flight(tx: &mut Tx, rollout: i64, now: i64) -> Result<Vec<InFlight>, Error> {
    let sql = "SELECT m.client_id, c.name, m.state, m.reason, m.turn, c.last_seen_at, j.id AS job, j.state AS job_state, \
               j.reason AS job_reason FROM rollout_clients m JOIN clients c ON c.id = m.client_id \
               LEFT JOIN rollout_jobs r ON r.rollout_id = m.rollout_id AND r.client_id = m.client_id AND r.turn = m.turn \
               LEFT JOIN jobs j ON j.id = r.job_id \
               WHERE m.rollout_id = $1 AND m.state IN ('held', 'queued', 'running') ORDER BY m.client_id, j.id";
    let mut found: Vec<InFlight> = Vec::new();
    for row in tx.all(sql, args![rollout]).await? {
        let client = ClientId(row.int("client_id")?);
        if found.last().is_none_or(|last| last.client != client) {
            found.push(InFlight {
                client,
                name: row.text("name")?,
                state: row.parsed("state")?,
                reason: row.text("reason")?,
                turn: row.int("turn")?,
                online: row.opt_int("last_seen_at")?.is_some_and(|at| now - at < ONLINE_FOR),
                jobs: Vec::new(),
            });
        }
        if let (Some(job), Some(last)) = (row.opt_int("job")?, found.last_mut()) {
            let seen = JobSeen { state: row.parsed("job_state")?, reason: row.text("job_reason")? };
            last.jobs.push((JobId(job), seen));
        }
    }
    Ok(found)
}

/// Clients that wait and are online, the first ones first: those of waves up to one.
pub async fn next(
    tx: &mut Tx,
    rollout: i64,
    up_to: i64,
    limit: i64,
    now: i64,
) -> Result<Vec<ClientId>, Error> {
    let sql = "SELECT m.client_id FROM rollout_clients m JOIN clients c ON c.id = m.client_id \
               WHERE m.rollout_id = $1 AND m.state = 'waiting' AND m.wave <= $2 AND c.last_seen_at > $3 \
               ORDER BY m.wave, m.place LIMIT $4";
    let rows = tx.all(sql, args![rollout, up_to, now - ONLINE_FOR, limit]).await?;
    rows.iter().map(|row| row.int("client_id").map(ClientId)).collect()
}

/// What a client has become.
#[derive(Clone, Debug)]
pub struct Become<'a> {
    /// How it stands.
    pub state: RolloutClientState,
    /// Why.
    pub reason: &'a str,
    /// Of a failure: what others have in common with it.
    pub cause: &'a str,
    /// The job that tells most.
    pub job: Option<JobId>,
}

/// Writes what a client has become.
pub async fn set(
    tx: &mut Tx,
    rollout: i64,
    client: ClientId,
    to: &Become<'_>,
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE rollout_clients SET state = $3, reason = $4, cause = $5, job_id = $6, changed_at = $7 \
               WHERE rollout_id = $1 AND client_id = $2";
    let job = to.job.map(|job| job.0);
    tx.execute(sql, args![rollout, client, to.state.as_str(), to.reason, to.cause, job, now]).await?;
    Ok(())
}

/// Writes the jobs that a client was given.
pub async fn give(
    tx: &mut Tx,
    rollout: i64,
    client: ClientId,
    jobs: &[JobId],
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE rollout_clients SET state = 'queued', reason = '', cause = '', turn = turn + 1, job_id = $3, changed_at = $4 \
               WHERE rollout_id = $1 AND client_id = $2 RETURNING turn";
    let row = tx.optional(sql, args![rollout, client, jobs.first().map(|job| job.0), now]).await?;
    let Some(row) = row else { return Ok(()) };
    let turn = row.int("turn")?;
    for job in jobs {
        let sql = "INSERT INTO rollout_jobs (rollout_id, client_id, turn, job_id) VALUES ($1, $2, $3, $4)";
        tx.execute(sql, args![rollout, client, turn, *job]).await?;
    }
    Ok(())
}

/// Clients of a wave that wait have time until then.
pub async fn set_expiry(tx: &mut Tx, rollout: i64, wave: i64, at: i64) -> Result<(), Error> {
    let sql = "UPDATE rollout_clients SET expires_at = $3 WHERE rollout_id = $1 AND wave = $2 AND state = 'waiting'";
    tx.execute(sql, args![rollout, wave, at]).await?;
    Ok(())
}

const OVERDUE: &str = "rollout_id = $1 AND state = 'waiting' AND expires_at IS NOT NULL AND expires_at <= $2 AND EXISTS \
    (SELECT 1 FROM clients c WHERE c.id = client_id AND (c.last_seen_at IS NULL OR c.last_seen_at <= $3))";

/// Whether somebody waits whose time is over, and is offline.
pub async fn any_overdue(tx: &mut Tx, rollout: i64, now: i64) -> Result<bool, Error> {
    let sql = format!("SELECT client_id FROM rollout_clients WHERE {OVERDUE} LIMIT 1");
    Ok(tx.optional(&sql, args![rollout, now, now - ONLINE_FOR]).await?.is_some())
}

/// Gives those up whose time is over and who are offline; tells how many.
pub async fn expire(tx: &mut Tx, rollout: i64, now: i64) -> Result<u64, Error> {
    let sql = format!(
        "UPDATE rollout_clients SET state = 'offline-expired', reason = 'it stayed offline', changed_at = $2 WHERE {OVERDUE}"
    );
    tx.execute(&sql, args![rollout, now, now - ONLINE_FOR]).await
}

/// Everybody who waits becomes something else; tells how many.
pub async fn end_waiting(
    tx: &mut Tx,
    rollout: i64,
    to: RolloutClientState,
    reason: &str,
    now: i64,
) -> Result<u64, Error> {
    let sql = "UPDATE rollout_clients SET state = $2, reason = $3, changed_at = $4 WHERE rollout_id = $1 AND state = 'waiting'";
    tx.execute(sql, args![rollout, to.as_str(), reason, now]).await
}

/// These leave, when they still wait.
pub async fn leave(
    tx: &mut Tx,
    rollout: i64,
    clients: &[ClientId],
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    for chunk in clients.chunks(super::super::MOST_IN_LIST) {
        let (list, mut args) = super::super::id_list(chunk.iter().map(|id| id.0));
        args.extend(args![rollout, reason, now]);
        let last = args.len();
        let sql = format!(
            "UPDATE rollout_clients SET state = 'skipped', reason = ${}, changed_at = ${last} \
             WHERE rollout_id = ${} AND state = 'waiting' AND client_id IN {list}",
            last - 1,
            last - 2
        );
        tx.execute(&sql, args).await?;
    }
    Ok(())
}

/// Those that failed, and with `offline` those that were given up, wait again; tells how many.
pub async fn retry(
    tx: &mut Tx,
    rollout: i64,
    offline: bool,
    expires_at: i64,
    now: i64,
) -> Result<u64, Error> {
    let states = if offline { "('failed', 'offline-expired')" } else { "('failed')" };
    let sql = format!(
        "UPDATE rollout_clients SET state = 'waiting', reason = '', cause = '', expires_at = $2, changed_at = $3 \
         WHERE rollout_id = $1 AND state IN {states}"
    );
    tx.execute(&sql, args![rollout, expires_at, now]).await
}

/// Which clients of a rollout are wanted; what is absent is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Members<'a> {
    /// In this state.
    pub state: Option<RolloutClientState>,
    /// In this wave, from 0.
    pub wave: Option<i64>,
    /// That failed for this cause.
    pub cause: Option<&'a str>,
    /// Behind this place.
    pub after: i64,
    /// At most so many.
    pub limit: i64,
}

/// Clients of a rollout in their order.
pub async fn list(tx: &mut Tx, rollout: i64, wanted: &Members<'_>) -> Result<Vec<RolloutMember>, Error> {
    let mut sql = "SELECT m.client_id, c.name, m.wave, m.place, m.state, m.reason, m.job_id, m.changed_at FROM rollout_clients m \
                   JOIN clients c ON c.id = m.client_id WHERE m.rollout_id = $1 AND m.place > $2"
        .to_owned();
    let mut args = args![rollout, wanted.after].to_vec();
    let conditions = [
        ("state", wanted.state.map(|state| Arg::from(state.as_str()))),
        ("wave", wanted.wave.map(Arg::from)),
        ("cause", wanted.cause.map(Arg::from)),
    ];
    for (column, value) in conditions {
        if let Some(value) = value {
            args.push(value);
            sql.push_str(&format!(" AND m.{column} = ${}", args.len()));
        }
    }
    args.push(Arg::from(wanted.limit));
    sql.push_str(&format!(" ORDER BY m.place LIMIT ${}", args.len()));
    let rows = tx.all(&sql, args).await?;
    rows.iter()
        .map(|row| {
            Ok(RolloutMember {
                client: ClientId(row.int("client_id")?),
                name: row.text("name")?,
                wave: row.int("wave")? + 1,
                place: row.int("place")?,
                state: row.parsed("state")?,
                reason: row.text("reason")?,
                job: row.opt_int("job_id")?.map(JobId),
                changed_at: row.int("changed_at")?,
            })
        })
        .collect()
}

/// The causes for which clients failed, the most frequent first, each with its first clients.
pub async fn causes(tx: &mut Tx, rollout: i64, limit: i64, names: i64) -> Result<Vec<RolloutCause>, Error> {
    let sql = "SELECT cause, count(*) AS count FROM rollout_clients WHERE rollout_id = $1 AND state = 'failed' \
               GROUP BY cause ORDER BY count(*) DESC, cause LIMIT $2";
    let mut causes = Vec::new();
    for row in tx.all(sql, args![rollout, limit]).await? {
        let (cause, count) = (row.text("cause")?, row.int("count")?);
        let failed = Some(RolloutClientState::Failed);
        let wanted = Members { state: failed, cause: Some(&cause), after: -1, limit: names, wave: None };
        let clients = list(tx, rollout, &wanted).await?;
        causes.push(RolloutCause { cause, count, clients });
    }
    Ok(causes)
}

/// The last place that a client of the rollout has; -1 when it has none.
pub async fn last_place(tx: &mut Tx, rollout: i64) -> Result<i64, Error> {
    let sql = "SELECT max(place) AS place FROM rollout_clients WHERE rollout_id = $1";
    Ok(tx
        .optional(sql, args![rollout])
        .await?
        .map(|row| row.opt_int("place"))
        .transpose()?
        .flatten()
        .unwrap_or(-1))
}

/// A point in a transaction to which [`back`] takes it back.
pub async fn mark(tx: &mut Tx) -> Result<(), Error> {
    tx.execute("SAVEPOINT rollout_client", []).await.map(drop)
}

/// Takes back what was done since [`mark`].
pub async fn back(tx: &mut Tx) -> Result<(), Error> {
    tx.execute("ROLLBACK TO SAVEPOINT rollout_client", []).await.map(drop)
}

/// Names of clients.
pub async fn names(tx: &mut Tx, ids: &[ClientId]) -> Result<HashMap<ClientId, String>, Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(super::super::MOST_IN_LIST) {
        let (list, args) = super::super::id_list(chunk.iter().map(|id| id.0));
        for row in tx.all(&format!("SELECT id, name FROM clients WHERE id IN {list}"), args).await? {
            found.insert(ClientId(row.int("id")?), row.text("name")?);
        }
    }
    Ok(found)
}
