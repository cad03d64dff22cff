//! Rollouts as they are stored, their waves and what became of them.
//!
//! Invariant: whoever changes one, its waves or its clients has it locked ([`lock`], [`lock_if_free`]), so two servers never order twice.

pub mod members;
pub mod schedules;

use super::{Error, Row, Tx, args, dialect, to_json};
use crate::domain::rollout::{Counts, Progress, RolloutSpec, RolloutState, WaveProgress, Why};

/// A rollout as it is stored.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Rollout {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub title: String,
    /// What is rolled out, to whom, and how carefully.
    pub spec: RolloutSpec,
    /// Where it is in its life.
    pub state: RolloutState,
    /// Why it does not run, when it does not.
    #[schema(value_type = Option<Object>)]
    pub why: Option<Why>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: i64,
    /// Who started it.
    pub started_by: Option<String>,
    /// When.
    pub started_at: Option<i64>,
    /// When it was at its end.
    pub finished_at: Option<i64>,
    /// Whoever waits then is left out: the end of the period of a recurring one.
    pub ends_at: Option<i64>,
    /// The schedule that made it.
    pub schedule: Option<i64>,
    /// When its period began.
    pub period_at: Option<i64>,
}

/// What happened to a rollout.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutEvent {
    /// When.
    pub at: i64,
    /// What, such as `wave` or `halted`.
    pub kind: String,
    /// Which wave, from 1.
    pub wave: Option<i64>,
    /// How many clients.
    pub count: Option<i64>,
    /// Why.
    #[schema(value_type = Option<Object>)]
    pub why: Option<Why>,
    /// Who did it; `lotse` by itself.
    pub actor: String,
}

const COLUMNS: &str = "id, title, spec, state, why, created_by, created_at, started_by, started_at, finished_at, ends_at, schedule_id, period_at";

fn from_row(row: &Row) -> Result<Rollout, Error> {
    Ok(Rollout {
        id: row.int("id")?,
        title: row.text("title")?,
        spec: row.json("spec")?,
        state: row.parsed("state")?,
        why: why(row)?,
        created_by: row.text("created_by")?,
        created_at: row.int("created_at")?,
        started_by: row.opt_text("started_by")?,
        started_at: row.opt_int("started_at")?,
        finished_at: row.opt_int("finished_at")?,
        ends_at: row.opt_int("ends_at")?,
        schedule: row.opt_int("schedule_id")?,
        period_at: row.opt_int("period_at")?,
    })
}

fn why(row: &Row) -> Result<Option<Why>, Error> {
    row.opt_text("why")?.map(|_| row.json("why")).transpose()
}

/// A rollout that does not exist yet.
#[derive(Clone, Debug)]
pub struct NewRollout<'a> {
    /// What people call it.
    pub title: &'a str,
    /// What it is.
    pub spec: &'a RolloutSpec,
    /// Who makes it.
    pub actor: &'a str,
    /// The schedule, and the beginning and end of its period.
    pub period: Option<(i64, i64, Option<i64>)>,
}

/// Makes a rollout that nobody has started.
///
/// # Errors
/// [`Error::Exists`] when the schedule has made one for the same period.
pub async fn create(tx: &mut Tx, new: &NewRollout<'_>, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO rollouts (title, spec, state, created_by, created_at, schedule_id, period_at, ends_at) \
               VALUES ($1, $2, 'planned', $3, $4, $5, $6, $7) RETURNING id";
    let (schedule, period, end) =
        new.period.map_or((None, None, None), |(schedule, period, end)| (Some(schedule), Some(period), end));
    let id =
        tx.insert(sql, args![new.title, to_json(new.spec)?, new.actor, now, schedule, period, end]).await?;
    note(tx, id, "created", None, None, None, new.actor, now).await?;
    Ok(id)
}

/// A rollout by number.
pub async fn find(tx: &mut Tx, id: i64) -> Result<Option<Rollout>, Error> {
    let row = tx.optional(&format!("SELECT {COLUMNS} FROM rollouts WHERE id = $1"), args![id]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Lets nobody else change the rollout until the transaction ends; waits for whoever does.
pub async fn lock(tx: &mut Tx, id: i64) -> Result<(), Error> {
    let sql = format!("SELECT id FROM rollouts WHERE id = $1 {}", dialect::for_update(tx));
    tx.optional(&sql, args![id]).await.map(drop)
}

/// The same, unless somebody else has it: another server works on it.
pub async fn lock_if_free(tx: &mut Tx, id: i64) -> Result<bool, Error> {
    let sql = format!("SELECT id FROM rollouts WHERE id = $1 {}", dialect::skip_locked(tx));
    Ok(tx.optional(&sql, args![id]).await?.is_some())
}

/// Rollouts before a number, newest first.
pub async fn list(tx: &mut Tx, before: i64, limit: i64) -> Result<Vec<Rollout>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM rollouts WHERE id < $1 ORDER BY id DESC LIMIT $2");
    tx.all(&sql, args![before, limit]).await?.iter().map(from_row).collect()
}

/// Rollouts that run, or that have clients with open jobs.
pub async fn active(tx: &mut Tx) -> Result<Vec<i64>, Error> {
    let sql = "SELECT id FROM rollouts WHERE state = 'running' \
               UNION SELECT rollout_id AS id FROM rollout_clients WHERE state IN ('held', 'queued', 'running') ORDER BY id";
    tx.all(sql, []).await?.iter().map(|row| row.int("id")).collect()
}

/// Changes the state, with the reason, and notes it.
pub async fn set_state(
    tx: &mut Tx,
    id: i64,
    state: RolloutState,
    why: Option<&Why>,
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE rollouts SET state = $2, why = $3, finished_at = $4 WHERE id = $1";
    let ended = state.is_final().then_some(now);
    tx.execute(sql, args![id, state.as_str(), why.map(to_json).transpose()?, ended]).await?;
    Ok(())
}

/// Notes who started it, and when.
pub async fn set_started(tx: &mut Tx, id: i64, actor: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE rollouts SET started_by = $2, started_at = $3 WHERE id = $1";
    tx.execute(sql, args![id, actor, now]).await?;
    Ok(())
}

/// It does not end with its period any more.
pub async fn clear_end(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("UPDATE rollouts SET ends_at = NULL WHERE id = $1", args![id]).await.map(drop)
}

/// Notes what happened to it.
#[expect(clippy::too_many_arguments, reason = "the columns of one row")]
pub async fn note(
    tx: &mut Tx,
    id: i64,
    kind: &str,
    wave: Option<i64>,
    count: Option<i64>,
    why: Option<&Why>,
    actor: &str,
    now: i64,
) -> Result<(), Error> {
    let sql = "INSERT INTO rollout_history (rollout_id, at, kind, wave, count, why, actor) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    tx.execute(sql, args![id, now, kind, wave, count, why.map(to_json).transpose()?, actor]).await?;
    Ok(())
}

/// What happened to it, oldest first.
pub async fn history(tx: &mut Tx, id: i64, limit: i64) -> Result<Vec<RolloutEvent>, Error> {
    let sql = "SELECT at, kind, wave, count, why, actor FROM (SELECT id, at, kind, wave, count, why, actor FROM rollout_history \
               WHERE rollout_id = $1 ORDER BY id DESC LIMIT $2) AS newest ORDER BY id";
    let rows = tx.all(sql, args![id, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(RolloutEvent {
                at: row.int("at")?,
                kind: row.text("kind")?,
                wave: row.opt_int("wave")?.map(|wave| wave + 1),
                count: row.opt_int("count")?,
                why: why(row)?,
                actor: row.text("actor")?,
            })
        })
        .collect()
}

/// Adds waves behind those that are there.
pub async fn add_waves(tx: &mut Tx, id: i64, first: i64, count: i64) -> Result<(), Error> {
    for number in first..first + count {
        tx.execute("INSERT INTO rollout_waves (rollout_id, number) VALUES ($1, $2)", args![id, number])
            .await?;
    }
    Ok(())
}

/// Everything that decides what a rollout does next.
pub async fn progress(tx: &mut Tx, rollout: &Rollout) -> Result<Progress, Error> {
    let sql = "SELECT started_at, settled_at, forgiven, waved_through, released FROM rollout_waves \
               WHERE rollout_id = $1 ORDER BY number";
    let mut waves = Vec::new();
    for row in tx.all(sql, args![rollout.id]).await? {
        waves.push(WaveProgress {
            counts: Counts::default(),
            started_at: row.opt_int("started_at")?,
            settled_at: row.opt_int("settled_at")?,
            forgiven: row.int("forgiven")?,
            waved_through: row.bool("waved_through")?,
            released: row.bool("released")?,
        });
    }
    for (wave, state, count) in members::counts(tx, rollout.id).await? {
        if let Some(wave) = usize::try_from(wave).ok().and_then(|wave| waves.get_mut(wave)) {
            wave.counts.add(state, count);
        }
    }
    Ok(Progress { state: rollout.state, waves, ends_at: rollout.ends_at })
}

/// Keeps how a wave stands; its counts are those of its clients.
pub async fn set_wave(tx: &mut Tx, id: i64, number: i64, wave: &WaveProgress) -> Result<(), Error> {
    let sql = "UPDATE rollout_waves SET started_at = $3, settled_at = $4, forgiven = $5, waved_through = $6, released = $7 \
               WHERE rollout_id = $1 AND number = $2";
    let args =
        args![id, number, wave.started_at, wave.settled_at, wave.forgiven, wave.waved_through, wave.released];
    tx.execute(sql, args).await?;
    Ok(())
}
