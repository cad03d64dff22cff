//! Jobs as people look at them: with client, plan, history, attempts and output.

use wire::{AttemptId, JobId, event::Event, plan::Plan};

use super::{Error, clients, jobs, planning};
use crate::{
    context::Ctx,
    db::{Tx, attempts, clients as client_rows, jobs as rows},
    domain::{
        job::{Attempt, Job, JobState, Wait},
        reach::Sees,
    },
};

pub use crate::db::jobs::HistoryLine;

/// A job with what surrounds it.
pub struct JobRecord {
    /// The job.
    pub job: Job,
    /// Name of its client.
    pub client_name: String,
    /// For what it waits; `None` when it does not.
    pub waits_for: Option<Wait>,
    /// Every change of its state; empty in lists.
    pub history: Vec<HistoryLine>,
    /// Its attempts, oldest first; empty in lists.
    pub attempts: Vec<Attempt>,
    /// Jobs that are, or were, carried out within its attempt; empty in lists.
    pub joined: Vec<JobId>,
}

/// Which jobs are wanted; what is absent is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of the client with this name.
    pub client: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// Of this type.
    pub job_type: Option<String>,
    /// With this text in their reason, whatever its case.
    pub cause: Option<String>,
}

/// Jobs of the clients that somebody sees, newest first, before a number.
///
/// # Errors
/// There is no such client.
pub async fn list(
    ctx: &Ctx,
    tx: &mut Tx,
    sees: &Sees,
    wanted: &Wanted,
    before: i64,
    limit: i64,
) -> Result<Vec<JobRecord>, Error> {
    let client = match &wanted.client {
        Some(name) => Some(clients::get(tx, name).await?.id),
        None => None,
    };
    let filter = rows::Filter {
        client,
        state: wanted.state,
        job_type: wanted.job_type.clone(),
        cause: wanted.cause.clone(),
    };
    let mut records = Vec::new();
    for job in rows::list(tx, sees, &filter, before, limit).await? {
        records.push(record(ctx, tx, job).await?);
    }
    Ok(records)
}

async fn record(ctx: &Ctx, tx: &mut Tx, job: Job) -> Result<JobRecord, Error> {
    let client = client_rows::find(tx, job.client).await?;
    Ok(JobRecord {
        client_name: client.map(|client| client.name).unwrap_or_default(),
        waits_for: jobs::waiting_for(ctx, tx, &job).await?,
        history: Vec::new(),
        attempts: Vec::new(),
        joined: Vec::new(),
        job,
    })
}

/// One job, with history and attempts.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn whole(ctx: &Ctx, tx: &mut Tx, id: JobId) -> Result<JobRecord, Error> {
    let job = jobs::get(tx, id).await?;
    let record = record(ctx, tx, job).await?;
    let joined = rows::joined(tx, id).await?.into_iter().map(|job| job.id).collect();
    let (history, attempts) = (rows::history(tx, id).await?, attempts::list(tx, id).await?);
    Ok(JobRecord { history, attempts, joined, ..record })
}

/// Exactly what a job does: its plan, or what its plan would be now when it has none yet.
///
/// # Errors
/// There is no such job, or what stands against planning it.
pub async fn plan(ctx: &Ctx, tx: &mut Tx, id: JobId) -> Result<Plan, Error> {
    let job = jobs::get(tx, id).await?;
    if let Some(signed) = rows::find_plan(tx, id).await? {
        return serde_json::from_str(&signed.text).map_err(|error| Error::Internal(error.into()));
    }
    let client = client_rows::find(tx, job.client).await?;
    let client = client.ok_or_else(|| Error::not_found(format!("client {}", job.client)))?;
    planning::preview(ctx, tx, &job, &client).await
}

/// The attempts of a job, oldest first.
///
/// # Errors
/// There is no such job.
pub async fn attempts_of(tx: &mut Tx, id: JobId) -> Result<Vec<Attempt>, Error> {
    jobs::get(tx, id).await?;
    Ok(attempts::list(tx, id).await?)
}

/// An attempt that must exist.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn attempt(tx: &mut Tx, id: AttemptId) -> Result<Attempt, Error> {
    attempts::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("attempt {id}")))
}

/// What an attempt reported after a number.
///
/// # Errors
/// The database refuses.
pub async fn output(tx: &mut Tx, id: AttemptId, after: i64, limit: i64) -> Result<Vec<Event>, Error> {
    Ok(attempts::events(tx, id, after, limit).await?)
}
