//! Attempts and what their agents reported.

use std::sync::LazyLock;

use wire::{
    AttemptId, ClientId, JobId,
    event::{Event, EventKind, Stream},
    plan::SignedPlan,
};

use super::{Error, Row, Tx, args, jobs, to_json};
use crate::domain::job::{Attempt, AttemptState, Job};

/// So many bytes of output are kept of one attempt: whoever prints without end must not fill the server's disk.
pub const OUTPUT_LIMIT: i64 = 32 << 20;
/// Attempts whose output is removed in one statement.
const REMOVED_AT_ONCE: i64 = 500;

pub(super) const COLUMNS: &str = "id, job_id, client_id, number, boot_id, state, reason, step, percent, message, started_at, \
                       leased_until, finished_at, stored_seq, output_bytes";

pub(super) fn from_row(row: &Row) -> Result<Attempt, Error> {
    Ok(Attempt {
        id: AttemptId(row.int("id")?),
        job: JobId(row.int("job_id")?),
        client: ClientId(row.int("client_id")?),
        number: row.int("number")?,
        boot_id: row.text("boot_id")?,
        state: row.parsed("state")?,
        reason: row.text("reason")?,
        step: row.text("step")?,
        percent: row.int("percent")?,
        message: row.text("message")?,
        started_at: row.int("started_at")?,
        leased_until: row.int("leased_until")?,
        finished_at: row.opt_int("finished_at")?,
        stored_seq: row.int("stored_seq")?,
        output_bytes: row.int("output_bytes")?,
    })
}

/// Begins an attempt of a job that was just claimed.
pub async fn create(
    tx: &mut Tx,
    job: &Job,
    boot_id: &str,
    leased_until: i64,
    now: i64,
) -> Result<AttemptId, Error> {
    tx.insert(
        "INSERT INTO attempts (job_id, client_id, number, boot_id, state, started_at, leased_until) \
         VALUES ($1, $2, $3, $4, 'running', $5, $6) RETURNING id",
        args![job.id, job.client, job.attempts, boot_id, now, leased_until],
    )
    .await
    .map(AttemptId)
}

/// Keeps the plan of an attempt that carries out several jobs.
pub async fn set_plan(tx: &mut Tx, id: AttemptId, plan: &SignedPlan) -> Result<(), Error> {
    let sql = "INSERT INTO attempt_plans (attempt_id, text, sha256, signature) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, args![id, &plan.text, &plan.sha256, &plan.signature]).await?;
    Ok(())
}

/// The plan of an attempt: its own, or that of its job.
pub async fn find_plan(tx: &mut Tx, attempt: &Attempt) -> Result<Option<SignedPlan>, Error> {
    let sql = "SELECT text, sha256, signature FROM attempt_plans WHERE attempt_id = $1";
    match tx.optional(sql, args![attempt.id]).await? {
        Some(row) => jobs::plan_from_row(&row).map(Some),
        None => jobs::find_plan(tx, attempt.job).await,
    }
}

/// An attempt by number.
pub async fn find(tx: &mut Tx, id: AttemptId) -> Result<Option<Attempt>, Error> {
    let row = tx.optional(&format!("SELECT {COLUMNS} FROM attempts WHERE id = $1"), args![id]).await?;
    row.as_ref().map(from_row).transpose()
}

/// The attempt that a client works on.
pub async fn running(tx: &mut Tx, client: ClientId) -> Result<Option<Attempt>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM attempts WHERE client_id = $1 AND state = 'running'");
    tx.optional(&sql, args![client]).await?.as_ref().map(from_row).transpose()
}

/// Attempts of a job, oldest first.
pub async fn list(tx: &mut Tx, job: JobId) -> Result<Vec<Attempt>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM attempts WHERE job_id = $1 ORDER BY id");
    tx.all(&sql, args![job]).await?.iter().map(from_row).collect()
}

/// Running attempts whose lease ran out, the longest ago first: in the order of the index, since in that of the table SQLite reads the
/// whole history.
pub async fn expired(tx: &mut Tx, now: i64) -> Result<Vec<Attempt>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts WHERE state = 'running' AND leased_until <= $1 ORDER BY leased_until"
    );
    tx.all(&sql, args![now]).await?.iter().map(from_row).collect()
}

/// Ends leases at the latest then. One that is longer was given by a clock that was wrong, and nobody would wait for its end.
pub async fn shorten(tx: &mut Tx, latest: i64) -> Result<u64, Error> {
    let sql = "UPDATE attempts SET leased_until = $1 + silence_us WHERE state = 'running' AND leased_until > $1 + silence_us";
    tx.execute(sql, args![latest]).await
}

/// Lets no lease end before then: while nobody could be heard, no agent could extend its own.
pub async fn lengthen(tx: &mut Tx, earliest: i64) -> Result<u64, Error> {
    let sql = "UPDATE attempts SET leased_until = $1 WHERE state = 'running' AND leased_until < $1";
    tx.execute(sql, args![earliest]).await
}

/// Extends the lease of a running attempt.
pub async fn extend(tx: &mut Tx, id: AttemptId, leased_until: i64) -> Result<(), Error> {
    tx.execute(
        "UPDATE attempts SET leased_until = $1 + silence_us WHERE id = $2 AND state = 'running'",
        args![leased_until, id],
    )
    .await?;
    Ok(())
}

/// Lets the agent of a running attempt be silent for so many microseconds longer than its lease says.
pub async fn set_silence(tx: &mut Tx, id: AttemptId, silence_us: i64) -> Result<(), Error> {
    tx.execute(
        "UPDATE attempts SET leased_until = leased_until + $1, silence_us = $1 WHERE id = $2 AND state = 'running'",
        args![silence_us, id],
    )
    .await?;
    Ok(())
}

/// Ends a running attempt; tells whether it was still running.
pub async fn finish(
    tx: &mut Tx,
    id: AttemptId,
    state: AttemptState,
    reason: &str,
    now: i64,
) -> Result<bool, Error> {
    let sql =
        "UPDATE attempts SET state = $1, reason = $2, finished_at = $3 WHERE id = $4 AND state = 'running'";
    Ok(tx.execute(sql, args![state.as_str(), reason, now, id]).await? == 1)
}

/// Stores events that follow the last stored one without a gap; what is stored already is skipped, what comes after a gap is left.
/// Of output beyond [`OUTPUT_LIMIT`] only one line that tells so is kept. Gives the number of the last stored event.
pub async fn store(tx: &mut Tx, attempt: &Attempt, events: &[Event]) -> Result<i64, Error> {
    let mut stored = attempt.stored_seq;
    let (mut step, mut percent, mut message) =
        (attempt.step.clone(), attempt.percent, attempt.message.clone());
    let (mut new, mut output_bytes) = (Vec::new(), attempt.output_bytes);
    for event in events {
        let Ok(seq) = i64::try_from(event.seq) else { break };
        if seq <= stored {
            continue;
        }
        if seq != stored + 1 {
            break;
        }
        stored = seq;
        if let EventKind::Output { step, line, .. } = &event.kind {
            let before = output_bytes;
            output_bytes =
                output_bytes.saturating_add(i64::try_from(line.len()).unwrap_or(i64::MAX).saturating_add(1));
            if before > OUTPUT_LIMIT {
                continue;
            }
            if output_bytes > OUTPUT_LIMIT {
                let line = format!(
                    "There is more output than {} MiB. What follows is not kept.",
                    OUTPUT_LIMIT >> 20
                );
                let end = EventKind::Output { step: step.clone(), stream: Stream::Agent, line };
                new.push(args![attempt.id, seq, event.at, to_json(&end)?]);
                continue;
            }
        }
        new.push(args![attempt.id, seq, event.at, to_json(&event.kind)?]);
        match &event.kind {
            EventKind::StepStarted { step: started } => {
                (step, percent, message) = (started.clone(), 0, String::new());
            }
            EventKind::Progress { percent: now_at, message: text, .. } => {
                (percent, message) = (i64::from(*now_at), text.clone());
            }
            EventKind::StepFinished { .. } => percent = 100,
            EventKind::Output { .. }
            | EventKind::Transaction { .. }
            | EventKind::Finished { .. }
            | EventKind::Unknown => {}
        }
    }
    if stored == attempt.stored_seq {
        return Ok(stored);
    }
    let mut new = new.into_iter();
    for (rows, sql) in INSERTS.iter() {
        while new.len() >= *rows {
            tx.execute(sql, new.by_ref().take(*rows).flatten().collect::<Vec<_>>()).await?;
        }
    }
    tx.execute(
        "UPDATE attempts SET stored_seq = $1, step = $2, percent = $3, message = $4, output_bytes = $5 WHERE id = $6",
        args![stored, step, percent, message, output_bytes, attempt.id],
    )
    .await?;
    Ok(stored)
}

/// Statements that store so many events at once. Few lengths, so that each is prepared once.
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [64, 8, 1].map(|rows| {
        let values: Vec<_> = (0..rows)
            .map(|row| row * 4)
            .map(|at| format!("(${}, ${}, ${}, ${})", at + 1, at + 2, at + 3, at + 4))
            .collect();
        let values = values.join(", ");
        (rows, format!("INSERT INTO attempt_events (attempt_id, seq, at, event) VALUES {values}"))
    })
});

/// Events of an attempt after a number.
pub async fn events(tx: &mut Tx, id: AttemptId, after: i64, limit: i64) -> Result<Vec<Event>, Error> {
    let sql =
        "SELECT seq, at, event FROM attempt_events WHERE attempt_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    tx.all(sql, args![id, after, limit])
        .await?
        .iter()
        .map(|row| {
            Ok(Event { seq: row.int("seq")?.unsigned_abs(), at: row.int("at")?, kind: row.json("event")? })
        })
        .collect()
}

/// Removes what was reported of attempts that ended before then, but for the line that says so. How each ended stays.
/// Gives how many attempts it was; call again until none is left.
pub async fn remove_output(tx: &mut Tx, before: i64, now: i64) -> Result<u64, Error> {
    let sql = "SELECT id, stored_seq, step FROM attempts \
               WHERE finished_at IS NOT NULL AND output_removed_at IS NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2";
    let old = tx.all(sql, args![before, REMOVED_AT_ONCE]).await?;
    for row in &old {
        let (id, seq) = (row.int("id")?, row.int("stored_seq")?);
        tx.execute("DELETE FROM attempt_events WHERE attempt_id = $1", args![id]).await?;
        tx.execute("UPDATE attempts SET output_removed_at = $1 WHERE id = $2", args![now, id]).await?;
        if seq > 0 {
            let line =
                "The output was removed for its age, as the settings say (retention.output-days).".to_owned();
            let left = EventKind::Output { step: row.text("step")?, stream: Stream::Agent, line };
            let sql = "INSERT INTO attempt_events (attempt_id, seq, at, event) VALUES ($1, $2, $3, $4)";
            tx.execute(sql, args![id, seq, now, to_json(&left)?]).await?;
        }
    }
    Ok(old.len() as u64)
}
