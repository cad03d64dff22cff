//! What many clients do and how they are: a few statements, however many clients.

use std::collections::HashMap;

use wire::{ClientId, JobId};

use super::{Error, Tx, attempts, id_list, jobs};
use crate::domain::job::{Attempt, Job, JobState};

/// What is known of one client beside its record.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// Its first open job: the one that runs, or runs next.
    pub next: Option<Job>,
    /// Number and type of the job that runs.
    pub running: Option<(JobId, String)>,
    /// The attempt that runs.
    pub attempt: Option<Attempt>,
    /// Jobs that the first open one needs and that have not succeeded: number, type, state.
    pub needs: Vec<(JobId, String, JobState)>,
    /// The newest job that has failed and after which none has succeeded: number, type, reason.
    pub failed: Option<(JobId, String, String)>,
    /// How many of its packages could be newer; `None`: nobody knows.
    pub updates: Option<i64>,
}

/// What these clients do; at most [`super::MOST_IN_LIST`] of them.
pub async fn deeds(tx: &mut Tx, clients: &[ClientId]) -> Result<HashMap<ClientId, Deeds>, Error> {
    let mut found: HashMap<ClientId, Deeds> = clients.iter().map(|id| (*id, Deeds::default())).collect();
    let (list, args) = id_list(clients.iter().map(|id| id.0));
    let sql = format!(
        "SELECT {} FROM jobs WHERE client_id IN {list} AND state IN ('held', 'queued', 'running') \
         ORDER BY client_id, priority, id",
        jobs::COLUMNS
    );
    let mut waiting = Vec::new();
    for row in tx.all(&sql, args.clone()).await? {
        let job = jobs::from_row(&row)?;
        let Some(deeds) = found.get_mut(&job.client) else { continue };
        if job.state == JobState::Running && job.joined_to.is_none() {
            deeds.running = Some((job.id, job.job_type.clone()));
        }
        if deeds.next.is_none() {
            waiting.push((job.id, job.client));
            deeds.next = Some(job);
        }
    }
    let sql =
        format!("SELECT {} FROM attempts WHERE client_id IN {list} AND state = 'running'", attempts::COLUMNS);
    for row in tx.all(&sql, args.clone()).await? {
        let attempt = attempts::from_row(&row)?;
        if let Some(deeds) = found.get_mut(&attempt.client) {
            deeds.attempt = Some(attempt);
        }
    }
    let sql = format!(
        "SELECT j.id, j.client_id, j.job_type, j.reason FROM jobs j \
         WHERE j.id IN (SELECT failed_job FROM clients WHERE id IN {list})"
    );
    for row in tx.all(&sql, args.clone()).await? {
        if let Some(deeds) = found.get_mut(&ClientId(row.int("client_id")?)) {
            deeds.failed = Some((JobId(row.int("id")?), row.text("job_type")?, row.text("reason")?));
        }
    }
    let sql = format!("SELECT id, updates FROM clients WHERE id IN {list} AND updates >= 0");
    for row in tx.all(&sql, args).await? {
        if let Some(deeds) = found.get_mut(&ClientId(row.int("id")?)) {
            deeds.updates = Some(row.int("updates")?);
        }
    }
    let owners: HashMap<JobId, ClientId> = waiting.into_iter().collect();
    if !owners.is_empty() {
        let (list, args) = id_list(owners.keys().map(|id| id.0));
        let sql = format!(
            "SELECT d.job_id, n.id, n.job_type, n.state FROM job_dependencies d JOIN jobs n ON n.id = d.needs_job_id \
             WHERE d.job_id IN {list} AND n.state <> 'succeeded' ORDER BY n.id"
        );
        for row in tx.all(&sql, args).await? {
            let owner = owners.get(&JobId(row.int("job_id")?));
            if let Some(deeds) = owner.and_then(|owner| found.get_mut(owner)) {
                deeds.needs.push((JobId(row.int("id")?), row.text("job_type")?, row.parsed("state")?));
            }
        }
    }
    Ok(found)
}
