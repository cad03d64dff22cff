//! Jobs, their dependencies, history and plans.

use wire::{ClientId, JobId, enrol::Realm, plan::SignedPlan};

use super::{Error, Row, Tx, args, dialect, reach, to_json};
use crate::domain::{
    job::{Job, JobState, NewJob, Surroundings},
    reach::Sees,
};

pub(super) const COLUMNS: &str = "id, client_id, job_type, params, realm, priority, state, reason, not_before, expires_at, \
                       max_attempts, retry_after_s, attempts, cancel_reason, released, created_at, created_by, \
                       finished_at, version, joined_to, alone";

pub(super) fn realm_word(realm: Option<Realm>) -> Option<&'static str> {
    match realm {
        Some(Realm::Installer) => Some("installer"),
        Some(Realm::System) => Some("system"),
        Some(Realm::Unknown) | None => None,
    }
}

pub(super) fn realm_from(word: &str) -> Option<Realm> {
    match word {
        "installer" => Some(Realm::Installer),
        "system" => Some(Realm::System),
        _ => None,
    }
}

pub(super) fn from_row(row: &Row) -> Result<Job, Error> {
    Ok(Job {
        id: JobId(row.int("id")?),
        client: ClientId(row.int("client_id")?),
        job_type: row.text("job_type")?,
        params: row.json("params")?,
        realm: row.opt_text("realm")?.and_then(|word| realm_from(&word)),
        priority: row.int("priority")?,
        state: row.parsed("state")?,
        reason: row.text("reason")?,
        not_before: row.opt_int("not_before")?,
        expires_at: row.opt_int("expires_at")?,
        max_attempts: row.int("max_attempts")?,
        retry_after_s: row.int("retry_after_s")?,
        attempts: row.int("attempts")?,
        cancel_reason: row.opt_text("cancel_reason")?,
        released: row.bool("released")?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
        finished_at: row.opt_int("finished_at")?,
        version: row.int("version")?,
        joined_to: row.opt_int("joined_to")?.map(JobId),
        alone: row.bool("alone")?,
        needs: Vec::new(),
    })
}

async fn with_needs(tx: &mut Tx, mut job: Job) -> Result<Job, Error> {
    let sql = "SELECT needs_job_id FROM job_dependencies WHERE job_id = $1 ORDER BY needs_job_id";
    job.needs = tx
        .all(sql, args![job.id])
        .await?
        .iter()
        .map(|row| row.int("needs_job_id").map(JobId))
        .collect::<Result<_, _>>()?;
    Ok(job)
}

/// Makes a job, with its dependencies and its first line of history.
pub async fn create(tx: &mut Tx, job: &NewJob, now: i64) -> Result<JobId, Error> {
    let state = if job.held.is_some() { JobState::Held } else { JobState::Queued };
    let reason = job.held.clone().unwrap_or_default();
    let id = tx
        .insert(
            "INSERT INTO jobs (client_id, job_type, params, realm, priority, state, reason, not_before, expires_at, \
             max_attempts, retry_after_s, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
            args![
                job.client,
                &job.job_type,
                to_json(&job.params)?,
                realm_word(job.realm),
                job.priority,
                state.as_str(),
                &reason,
                job.not_before,
                job.expires_at,
                job.max_attempts,
                job.retry_after_s,
                now,
                &job.created_by
            ],
        )
        .await?;
    for needed in &job.needs {
        tx.execute("INSERT INTO job_dependencies (job_id, needs_job_id) VALUES ($1, $2)", args![id, *needed])
            .await?;
    }
    add_history(tx, JobId(id), None, state, &job.created_by, &reason, now).await?;
    Ok(JobId(id))
}

/// A job by number.
pub async fn find(tx: &mut Tx, id: JobId) -> Result<Option<Job>, Error> {
    match tx.optional(&format!("SELECT {COLUMNS} FROM jobs WHERE id = $1"), args![id]).await? {
        Some(row) => with_needs(tx, from_row(&row)?).await.map(Some),
        None => Ok(None),
    }
}

/// Which jobs are wanted; what is absent is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// In this state.
    pub state: Option<JobState>,
    /// Of this type.
    pub job_type: Option<String>,
    /// With this text in their reason, whatever its case.
    pub cause: Option<String>,
}

/// Jobs of the clients that somebody sees, newest first, before a number.
pub async fn list(
    tx: &mut Tx,
    sees: &Sees,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<Job>, Error> {
    // Only what is asked for stands in the statement, so that the index for it is used.
    let mut conditions = vec!["id < $1".to_owned(), reach::seen(sees, "client_id")];
    let mut values: Vec<super::Arg> = args![before].to_vec();
    let mut wanted = |condition: &str, value: super::Arg| {
        values.push(value);
        conditions.push(condition.replace("{}", &format!("${}", values.len())));
    };
    if let Some(client) = filter.client {
        wanted("client_id = {}", client.into());
    }
    if let Some(state) = filter.state {
        wanted("state = {}", state.as_str().into());
    }
    if let Some(job_type) = &filter.job_type {
        wanted("job_type = {}", job_type.into());
    }
    if let Some(cause) = &filter.cause {
        let escaped = cause.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
        wanted("lower(reason) LIKE {} ESCAPE '!'", format!("%{escaped}%").into());
    }
    values.push(limit.into());
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE {} ORDER BY id DESC LIMIT ${}",
        conditions.join(" AND "),
        values.len()
    );
    let rows = tx.all(&sql, values).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.push(with_needs(tx, from_row(row)?).await?);
    }
    Ok(jobs)
}

/// Jobs of a client that are held, queued or running, in the order in which they will run.
pub async fn open(tx: &mut Tx, client: ClientId) -> Result<Vec<Job>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE client_id = $1 AND state IN ('held', 'queued', 'running') ORDER BY priority, id"
    );
    let rows = tx.all(&sql, args![client]).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.push(with_needs(tx, from_row(row)?).await?);
    }
    Ok(jobs)
}

/// Jobs of a client that were made from a time on, oldest first.
pub async fn since(tx: &mut Tx, client: ClientId, at: i64) -> Result<Vec<Job>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM jobs WHERE client_id = $1 AND created_at >= $2 ORDER BY id LIMIT 200");
    tx.all(&sql, args![client, at]).await?.iter().map(from_row).collect()
}

/// Takes the client's next job for an agent in this realm: queued, due, nothing of the client running, all it needs succeeded.
///
/// One statement decides and writes, so two nodes or two requests never take the same job; the unique index on running jobs
/// is the second lock.
pub async fn claim(tx: &mut Tx, client: ClientId, realm: Realm, now: i64) -> Result<Option<Job>, Error> {
    let sql = claim_statement(tx);
    match tx.optional(&sql, args![client, realm_word(Some(realm)), now]).await? {
        Some(row) => with_needs(tx, from_row(&row)?).await.map(Some),
        None => Ok(None),
    }
}

/// The statement of [`claim`]: `$1` client, `$2` realm, `$3` now. Benchmarks run it alone.
pub fn claim_statement(tx: &Tx) -> String {
    format!(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, version = version + 1 WHERE id = ( \
           SELECT j.id FROM jobs j WHERE j.client_id = $1 AND j.state = 'queued' \
             AND (j.realm IS NULL OR j.realm = $2) \
             AND (j.not_before IS NULL OR j.not_before <= $3) AND (j.expires_at IS NULL OR j.expires_at > $3) \
             AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.client_id = $1 AND r.state = 'running') \
             AND NOT EXISTS (SELECT 1 FROM clients c WHERE c.id = $1 AND c.alarm IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM job_dependencies d JOIN jobs n ON n.id = d.needs_job_id \
                             WHERE d.job_id = j.id AND n.state <> 'succeeded') \
           ORDER BY j.priority, j.id LIMIT 1 {}) RETURNING {COLUMNS}",
        dialect::skip_locked(tx)
    )
}

/// Jobs of a client that wait and are due, in the order in which they will be claimed; what they need is not looked at.
pub async fn due(
    tx: &mut Tx,
    client: ClientId,
    realm: Realm,
    now: i64,
    limit: i64,
) -> Result<Vec<Job>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE client_id = $1 AND state = 'queued' AND (realm IS NULL OR realm = $2) \
         AND (not_before IS NULL OR not_before <= $3) AND (expires_at IS NULL OR expires_at > $3) \
         ORDER BY priority, id LIMIT $4"
    );
    let rows = tx.all(&sql, args![client, realm_word(Some(realm)), now, limit]).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.push(with_needs(tx, from_row(row)?).await?);
    }
    Ok(jobs)
}

/// Which of the jobs that a job needs have not succeeded.
pub async fn unmet(tx: &mut Tx, id: JobId) -> Result<Vec<JobId>, Error> {
    let sql = "SELECT n.id FROM job_dependencies d JOIN jobs n ON n.id = d.needs_job_id \
               WHERE d.job_id = $1 AND n.state <> 'succeeded'";
    tx.all(sql, args![id]).await?.iter().map(|row| row.int("id").map(JobId)).collect()
}

/// Carries a queued job out within the attempt of another one; tells whether it was still queued.
pub async fn join(tx: &mut Tx, job: &Job, leader: JobId) -> Result<bool, Error> {
    let sql = "UPDATE jobs SET state = 'running', joined_to = $1, version = version + 1 \
               WHERE id = $2 AND version = $3 AND state = 'queued'";
    Ok(tx.execute(sql, args![leader, job.id, job.version]).await? == 1)
}

/// Jobs that are carried out within the attempt of another one, or were with success.
pub async fn joined(tx: &mut Tx, leader: JobId) -> Result<Vec<Job>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE joined_to = $1 ORDER BY id");
    tx.all(&sql, args![leader]).await?.iter().map(from_row).collect()
}

/// Takes a job that is queued again out of the company that it was in. `alone`: it may not get into another one, and an attempt that
/// it has led was nobody's own.
pub async fn part(tx: &mut Tx, id: JobId, alone: bool) -> Result<(), Error> {
    let sql = "UPDATE jobs SET joined_to = NULL, alone = $1, \
               max_attempts = CASE WHEN $1 AND joined_to IS NULL THEN max_attempts + 1 ELSE max_attempts END, \
               version = version + 1 WHERE id = $2";
    tx.execute(sql, args![alone, id]).await?;
    Ok(())
}

/// Writes a change of state that the domain has allowed; tells whether the job was still in the expected version.
pub async fn set_state(
    tx: &mut Tx,
    job: &Job,
    to: JobState,
    actor: &str,
    reason: &str,
    not_before: Option<i64>,
    now: i64,
) -> Result<bool, Error> {
    let changed = tx
        .execute(
            "UPDATE jobs SET state = $1, reason = $2, not_before = $3, finished_at = $4, version = version + 1 \
             WHERE id = $5 AND version = $6",
            args![to.as_str(), reason, not_before, to.is_final().then_some(now), job.id, job.version],
        )
        .await?;
    if changed == 1 {
        add_history(tx, job.id, Some(job.state), to, actor, reason, now).await?;
        note_failure(tx, job, to).await?;
    }
    Ok(changed == 1)
}

/// Keeps with the client which job failed last, as long as none has succeeded after it: searches and lists tell its health by that.
async fn note_failure(tx: &mut Tx, job: &Job, to: JobState) -> Result<(), Error> {
    let sql = match to {
        JobState::Failed => {
            "UPDATE clients SET failed_job = $2 WHERE id = $1 AND (failed_job IS NULL OR failed_job < $2) \
             AND NOT EXISTS (SELECT 1 FROM jobs s WHERE s.client_id = $1 AND s.id > $2 AND s.state = 'succeeded')"
        }
        JobState::Succeeded => "UPDATE clients SET failed_job = NULL WHERE id = $1 AND failed_job < $2",
        JobState::Held | JobState::Queued | JobState::Running | JobState::Cancelled | JobState::Expired => {
            return Ok(());
        }
    };
    tx.execute(sql, args![job.client, job.id]).await?;
    Ok(())
}

/// Notes that a running job shall stop, or be released.
pub async fn set_wish(
    tx: &mut Tx,
    id: JobId,
    cancel_reason: Option<&str>,
    released: bool,
) -> Result<(), Error> {
    let sql = "UPDATE jobs SET cancel_reason = $1, released = $2, version = version + 1 WHERE id = $3";
    tx.execute(sql, args![cancel_reason, released, id]).await?;
    Ok(())
}

/// Jobs that need this one, directly, and are not ended.
pub async fn dependents(tx: &mut Tx, id: JobId) -> Result<Vec<JobId>, Error> {
    let sql = "SELECT d.job_id FROM job_dependencies d JOIN jobs j ON j.id = d.job_id \
               WHERE d.needs_job_id = $1 AND j.finished_at IS NULL ORDER BY d.job_id";
    tx.all(sql, args![id]).await?.iter().map(|row| row.int("job_id").map(JobId)).collect()
}

/// Jobs that the queue has cancelled because this one did not succeed; not those that somebody has cancelled.
pub async fn cancelled_with(tx: &mut Tx, id: JobId) -> Result<Vec<JobId>, Error> {
    let sql = "SELECT d.job_id FROM job_dependencies d JOIN jobs j ON j.id = d.job_id \
               WHERE d.needs_job_id = $1 AND j.state = 'cancelled' AND 'queue' = \
               (SELECT h.actor FROM job_history h WHERE h.job_id = j.id ORDER BY h.id DESC LIMIT 1) ORDER BY d.job_id";
    tx.all(sql, args![id]).await?.iter().map(|row| row.int("job_id").map(JobId)).collect()
}

/// Queued jobs whose time to begin is over.
pub async fn overdue(tx: &mut Tx, now: i64) -> Result<Vec<JobId>, Error> {
    let sql = "SELECT id FROM jobs WHERE state IN ('held', 'queued') AND expires_at IS NOT NULL AND expires_at <= $1";
    tx.all(sql, args![now]).await?.iter().map(|row| row.int("id").map(JobId)).collect()
}

/// Clients that have a queued job which is due.
pub async fn clients_with_work(tx: &mut Tx, now: i64) -> Result<Vec<ClientId>, Error> {
    let sql = "SELECT DISTINCT client_id FROM jobs WHERE state = 'queued' AND (not_before IS NULL OR not_before <= $1)";
    tx.all(sql, args![now]).await?.iter().map(|row| row.int("client_id").map(ClientId)).collect()
}

/// Whether a job of the installer realm is queued or running for the client.
pub async fn wants_installer(tx: &mut Tx, client: ClientId) -> Result<bool, Error> {
    let sql = "SELECT id FROM jobs WHERE client_id = $1 AND realm = 'installer' AND state IN ('queued', 'running') LIMIT 1";
    Ok(tx.optional(sql, args![client]).await?.is_some())
}

/// What surrounds a job, for [`crate::domain::job::waits_for`]; presence is added by the caller.
pub async fn surroundings(tx: &mut Tx, job: &Job) -> Result<Surroundings, Error> {
    let named = |row: &Row| Ok::<_, Error>((JobId(row.int("id")?), row.text("job_type")?));
    let running = tx
        .optional(
            "SELECT id, job_type FROM jobs WHERE client_id = $1 AND state = 'running' AND joined_to IS NULL",
            args![job.client],
        )
        .await?;
    let needs = tx
        .all(
            "SELECT n.id, n.job_type, n.state FROM job_dependencies d JOIN jobs n ON n.id = d.needs_job_id \
             WHERE d.job_id = $1 AND n.state <> 'succeeded' ORDER BY n.id",
            args![job.id],
        )
        .await?;
    let before = tx
        .optional(
            "SELECT id, job_type FROM jobs WHERE client_id = $1 AND state = 'queued' AND realm IS NOT DISTINCT FROM $2 \
             AND (priority < $3 OR (priority = $3 AND id < $4)) ORDER BY priority, id LIMIT 1",
            args![job.client, realm_word(job.realm), job.priority, job.id],
        )
        .await?;
    Ok(Surroundings {
        running: running.as_ref().map(named).transpose()?,
        needs: needs
            .iter()
            .map(|row| Ok((JobId(row.int("id")?), row.text("job_type")?, row.parsed("state")?)))
            .collect::<Result<_, Error>>()?,
        before: before.as_ref().map(named).transpose()?,
        ..Surroundings::default()
    })
}

/// One change of a job's state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct HistoryLine {
    /// The state before; none for the job's first.
    pub from: Option<JobState>,
    /// The state after.
    pub to: JobState,
    /// Who changed it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: i64,
}

/// Notes a change of state.
pub async fn add_history(
    tx: &mut Tx,
    job: JobId,
    from: Option<JobState>,
    to: JobState,
    actor: &str,
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO job_history (job_id, from_state, to_state, actor, reason, at) VALUES ($1, $2, $3, $4, $5, $6)",
        args![job, from.map(JobState::as_str), to.as_str(), actor, reason, now],
    )
    .await?;
    Ok(())
}

/// All changes of a job's state, oldest first.
pub async fn history(tx: &mut Tx, job: JobId) -> Result<Vec<HistoryLine>, Error> {
    let sql = "SELECT from_state, to_state, actor, reason, at FROM job_history WHERE job_id = $1 ORDER BY id";
    tx.all(sql, args![job])
        .await?
        .iter()
        .map(|row| {
            Ok(HistoryLine {
                from: row.opt_text("from_state")?.map(|_| row.parsed("from_state")).transpose()?,
                to: row.parsed("to_state")?,
                actor: row.text("actor")?,
                reason: row.text("reason")?,
                at: row.int("at")?,
            })
        })
        .collect()
}

/// Keeps a job's plan. A plan is written once.
pub async fn set_plan(tx: &mut Tx, job: JobId, plan: &SignedPlan, now: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO plans (job_id, text, sha256, signature, created_at) VALUES ($1, $2, $3, $4, $5)",
        args![job, &plan.text, &plan.sha256, &plan.signature, now],
    )
    .await?;
    Ok(())
}

/// A job's plan.
pub async fn find_plan(tx: &mut Tx, job: JobId) -> Result<Option<SignedPlan>, Error> {
    let row = tx.optional("SELECT text, sha256, signature FROM plans WHERE job_id = $1", args![job]).await?;
    row.as_ref().map(plan_from_row).transpose()
}

pub(super) fn plan_from_row(row: &Row) -> Result<SignedPlan, Error> {
    Ok(SignedPlan {
        text: row.text("text")?,
        sha256: row.parsed("sha256")?,
        signature: row.text("signature")?,
    })
}

/// Whether a job of the client, of a type like this (`LIKE`), has ended otherwise than well after a time.
pub async fn failed_since(tx: &mut Tx, client: ClientId, types: &str, after: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM jobs WHERE client_id = $1 AND job_type LIKE $2 AND finished_at > $3 \
               AND state IN ('failed', 'cancelled', 'expired') LIMIT 1";
    Ok(tx.optional(sql, args![client, types, after]).await?.is_some())
}

/// The newest job of a client that has failed and after which none has succeeded: number, type and reason.
pub async fn last_failed(tx: &mut Tx, client: ClientId) -> Result<Option<(JobId, String, String)>, Error> {
    let sql =
        "SELECT id, job_type, reason FROM jobs WHERE id = (SELECT failed_job FROM clients WHERE id = $1)";
    let row = tx.optional(sql, args![client]).await?;
    row.map(|row| Ok((JobId(row.int("id")?), row.text("job_type")?, row.text("reason")?))).transpose()
}
