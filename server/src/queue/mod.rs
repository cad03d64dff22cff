//! The job queue: who works on what. Claiming is one statement, work is held by a lease, the attempt number is the fencing token.
//!
//! Invariants (held by the database and proved by the fleet tests): one running job per client; a report of an attempt that is not
//! running any more changes nothing; a job ends in exactly one final state; what a failed job was needed for is cancelled with it.
//! Jobs that are carried out together share the attempt of the first of them. It succeeds for all; otherwise nobody has failed by it,
//! and each of them is queued again, to be run by itself.

use std::collections::BTreeSet;

use serde_json::json;
use wire::{
    AttemptId, ClientId, JobId,
    enrol::Realm,
    event::{Event, EventKind, Outcome, ReportResponse, Verdict},
};

use crate::{
    app::Error,
    clock::SECOND,
    db::{self, Tx, attempts, audit, clients, events, integrations, jobs},
    domain::{
        client::Stage,
        job::{Attempt, AttemptState, Job, JobEvent, JobState, NewJob},
    },
};

/// Queues a job and notes it in the event stream.
pub async fn enqueue(tx: &mut Tx, job: &NewJob, now: i64) -> Result<JobId, db::Error> {
    let id = jobs::create(tx, job, now).await?;
    let after =
        json!({ "client": job.client, "job_type": job.job_type, "params": job.params, "held": job.held });
    audit::note(tx, "job.create", &format!("job {id}"), &(), &after).await?;
    let kind = if job.held.is_some() { "job.held" } else { "job.queued" };
    events::add(tx, kind, Some(job.client), Some(id), &job.created_by, &job.job_type, now).await?;
    Ok(id)
}

/// Takes the next job for an agent and begins an attempt.
pub async fn claim(
    tx: &mut Tx,
    client: ClientId,
    realm: Realm,
    boot_id: &str,
    lease_s: u32,
    now: i64,
) -> Result<Option<(Job, AttemptId)>, db::Error> {
    clients::lock(tx, client).await?;
    let Some(job) = jobs::claim(tx, client, realm, now).await? else { return Ok(None) };
    let attempt = attempts::create(tx, &job, boot_id, now + i64::from(lease_s) * SECOND, now).await?;
    let actor = format!("client {client}");
    let reason = format!("attempt {attempt}");
    jobs::add_history(tx, job.id, Some(JobState::Queued), JobState::Running, &actor, &reason, now).await?;
    events::add(tx, "job.running", Some(client), Some(job.id), &actor, &reason, now).await?;
    Ok(Some((job, attempt)))
}

/// Carries more jobs out within an attempt that has begun; none of them may be claimed by anybody meanwhile.
pub async fn join(
    tx: &mut Tx,
    (leader, attempt): (&Job, AttemptId),
    joined: &[Job],
    now: i64,
) -> Result<(), Error> {
    let actor = format!("client {}", leader.client);
    let reason = format!("together with job {}, attempt {attempt}", leader.id);
    for job in joined {
        if !jobs::join(tx, job, leader.id).await? {
            return Err(Error::Internal(anyhow::anyhow!(
                "job {} was changed below its client's lock",
                job.id
            )));
        }
        jobs::add_history(tx, job.id, Some(job.state), JobState::Running, &actor, &reason, now).await?;
        events::add(tx, "job.running", Some(job.client), Some(job.id), &actor, &reason, now).await?;
    }
    Ok(())
}

/// Moves a job by an event that the domain allows; what depended on a job that will not succeed is cancelled.
///
/// # Errors
/// [`Error::Conflict`] when the event makes no sense in the job's state, or somebody else was faster.
pub async fn transition(
    tx: &mut Tx,
    job: &Job,
    event: JobEvent,
    actor: &str,
    reason: &str,
    not_before: Option<i64>,
    now: i64,
) -> Result<JobState, Error> {
    let to = job.state.apply(event)?;
    if !jobs::set_state(tx, job, to, actor, reason, not_before, now).await? {
        return Err(Error::conflict(
            format!("job {} was changed by somebody else", job.id),
            "look at it and try again",
        ));
    }
    let (before, after) = (json!({ "state": job.state }), json!({ "state": to, "reason": reason }));
    audit::note(tx, action_of(event), &format!("job {}", job.id), &before, &after).await?;
    events::add(tx, &format!("job.{to}"), Some(job.client), Some(job.id), actor, reason, now).await?;
    match to {
        JobState::Failed | JobState::Cancelled | JobState::Expired => {
            let because = format!("needs job {} ({}), which {}", job.id, job.job_type, ended(to));
            cancel_dependents(tx, job.id, &because, now).await?;
        }
        JobState::Held | JobState::Queued | JobState::Running | JobState::Succeeded => {}
    }
    Ok(to)
}

/// The audit's word for an event; only the first two and the last two are caused by people.
fn action_of(event: JobEvent) -> &'static str {
    match event {
        JobEvent::Accept => "job.accept",
        JobEvent::Hold => "job.hold",
        JobEvent::Claim => "job.claim",
        JobEvent::Succeed => "job.succeed",
        JobEvent::Retry => "job.retry",
        JobEvent::Fail => "job.fail",
        JobEvent::Cancel => "job.cancel",
        JobEvent::Expire => "job.expire",
    }
}

fn ended(state: JobState) -> &'static str {
    match state {
        JobState::Failed => "failed",
        JobState::Cancelled => "was cancelled",
        JobState::Expired => "expired",
        JobState::Held | JobState::Queued | JobState::Running | JobState::Succeeded => "did not end",
    }
}

/// Cancels what needs a job, and what needs that, without recursion.
async fn cancel_dependents(tx: &mut Tx, id: JobId, because: &str, now: i64) -> Result<(), Error> {
    let mut waiting = jobs::dependents(tx, id).await?;
    while let Some(next) = waiting.pop() {
        let Some(job) = jobs::find(tx, next).await? else { continue };
        // Only jobs that wait can depend on one that did not succeed; a running one has had its needs fulfilled.
        if let Ok(to) = job.state.apply(JobEvent::Cancel)
            && job.state != JobState::Running
            && jobs::set_state(tx, &job, to, "queue", because, None, now).await?
        {
            events::add(tx, "job.cancelled", Some(job.client), Some(job.id), "queue", because, now).await?;
            waiting.extend(jobs::dependents(tx, next).await?);
        }
    }
    Ok(())
}

/// Stores what an agent reports, and ends the attempt when it says so.
///
/// # Errors
/// [`Error::NotFound`] for an attempt that the client never had.
pub async fn report(
    tx: &mut Tx,
    client: ClientId,
    id: AttemptId,
    reported: &[Event],
    lease_s: u32,
    now: i64,
) -> Result<ReportResponse, Error> {
    clients::lock(tx, client).await?;
    let attempt = attempts::find(tx, id)
        .await?
        .filter(|attempt| attempt.client == client)
        .ok_or_else(|| Error::not_found(format!("attempt {id} of client {client}")))?;
    if attempt.state != AttemptState::Running {
        let last = u64::try_from(attempt.stored_seq).unwrap_or(0);
        // The answer to the last report was lost: what it told is stored, so repeating it is fine.
        let known = reported.last().is_none_or(|event| event.seq <= last);
        let verdict = if known && attempt.state != AttemptState::Lost {
            Verdict::Continue
        } else {
            Verdict::Superseded {
                reason: format!("attempt {id} is {}: {}", attempt.state.as_str(), attempt.reason),
            }
        };
        return Ok(ReportResponse { stored_seq: last, verdict });
    }
    let stored = attempts::store(tx, &attempt, reported).await?;
    attempts::extend(tx, id, now + i64::from(lease_s) * SECOND).await?;
    let stored_seq = u64::try_from(stored).unwrap_or(0);
    let outcome = reported.iter().find_map(|event| match &event.kind {
        EventKind::Finished { outcome } if event.seq <= stored_seq => Some(outcome.clone()),
        _ => None,
    });
    if let Some(outcome) = outcome {
        finish(tx, &attempt, &outcome, now).await?;
        return Ok(ReportResponse { stored_seq, verdict: Verdict::Continue });
    }
    let job =
        jobs::find(tx, attempt.job).await?.ok_or_else(|| Error::not_found(format!("job {}", attempt.job)))?;
    let verdict = match job.cancel_reason {
        Some(reason) => Verdict::Cancel { reason },
        None if job.released => Verdict::Release,
        None => Verdict::Continue,
    };
    Ok(ReportResponse { stored_seq, verdict })
}

/// Ends an attempt and moves its job on.
async fn finish(tx: &mut Tx, attempt: &Attempt, outcome: &Outcome, now: i64) -> Result<(), Error> {
    let (state, event, reason) = match outcome {
        Outcome::Succeeded => (AttemptState::Succeeded, JobEvent::Succeed, String::new()),
        Outcome::Failed { step, reason, transient } => {
            let event = if *transient { JobEvent::Retry } else { JobEvent::Fail };
            let text = if step.is_empty() { reason.clone() } else { format!("step {step}: {reason}") };
            (AttemptState::Failed, event, text)
        }
        Outcome::Refused { reason } => {
            (AttemptState::Refused, JobEvent::Fail, format!("the agent refused: {reason}"))
        }
        Outcome::Cancelled => (AttemptState::Cancelled, JobEvent::Cancel, "cancelled".to_owned()),
        Outcome::Unknown => (
            AttemptState::Failed,
            JobEvent::Fail,
            "the agent reported an outcome that this server does not know".to_owned(),
        ),
    };
    end(tx, attempt, state, event, &reason, now).await
}

/// Ends an attempt whose agent is not heard any more.
pub async fn lose(tx: &mut Tx, attempt: &Attempt, reason: &str, now: i64) -> Result<(), Error> {
    end(tx, attempt, AttemptState::Lost, JobEvent::Retry, reason, now).await
}

async fn end(
    tx: &mut Tx,
    attempt: &Attempt,
    state: AttemptState,
    event: JobEvent,
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    let joined: Vec<Job> = jobs::joined(tx, attempt.job).await?;
    let joined: Vec<Job> = joined.into_iter().filter(|job| job.state == JobState::Running).collect();
    let is_split = !joined.is_empty() && matches!(event, JobEvent::Fail | JobEvent::Retry);
    let told = if is_split {
        &format!("{reason}\n(together with {}; now each is run by itself)", numbers(&joined))
    } else {
        reason
    };
    if !attempts::finish(tx, attempt.id, state, told, now).await? {
        return Ok(());
    }
    let Some(job) = jobs::find(tx, attempt.job).await? else { return Ok(()) };
    let actor = format!("client {}", attempt.client);
    if is_split {
        let not_before = (event == JobEvent::Retry).then(|| now + job.retry_after_s * SECOND);
        let why = format!("attempt {} carried out several jobs, and did not succeed: {reason}", attempt.id);
        for one in [&[job][..], &joined].concat() {
            leave(tx, &one, &actor, &why, not_before, true, now).await?;
        }
        return Ok(());
    }
    let (event, not_before) = match event {
        JobEvent::Retry if job.cancel_reason.is_some() => (JobEvent::Cancel, None),
        JobEvent::Retry if job.attempts < job.max_attempts => {
            (JobEvent::Retry, Some(now + job.retry_after_s * SECOND))
        }
        JobEvent::Retry => (JobEvent::Fail, None),
        other => (other, None),
    };
    let reason = match (event, job.cancel_reason.as_deref()) {
        (JobEvent::Cancel, Some(because)) => because,
        _ => reason,
    };
    let to = transition(tx, &job, event, &actor, reason, not_before, now).await?;
    for one in &joined {
        if to == JobState::Succeeded {
            let reason = format!("together with job {}, attempt {}", job.id, attempt.id);
            transition(tx, one, JobEvent::Succeed, &actor, &reason, None, now).await?;
        } else {
            let why = format!("job {}, with which it was carried out, {}", job.id, ended(to));
            leave(tx, one, &actor, &why, None, false, now).await?;
        }
    }
    Ok(())
}

/// Puts a job back into the queue whose attempt was not its own; what somebody wanted to stop stops here.
async fn leave(
    tx: &mut Tx,
    job: &Job,
    actor: &str,
    why: &str,
    not_before: Option<i64>,
    alone: bool,
    now: i64,
) -> Result<(), Error> {
    match &job.cancel_reason {
        Some(because) => transition(tx, job, JobEvent::Cancel, actor, because, None, now).await?,
        None => transition(tx, job, JobEvent::Retry, actor, why, not_before, now).await?,
    };
    jobs::part(tx, job.id, alone).await?;
    Ok(())
}

/// `job 4`, `jobs 4, 5`.
fn numbers(jobs: &[Job]) -> String {
    let numbers: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    format!("{} {}", if numbers.len() == 1 { "job" } else { "jobs" }, numbers.join(", "))
}

/// Cancels a job: at once when it waits, through its agent when it runs.
///
/// # Errors
/// [`Error::Conflict`] when it has ended already.
pub async fn cancel(tx: &mut Tx, job: &Job, actor: &str, reason: &str, now: i64) -> Result<(), Error> {
    if job.state == JobState::Running {
        jobs::set_wish(tx, job.id, Some(reason), job.released).await?;
        let state = |wish: Option<&str>| json!({ "state": job.state, "cancel_reason": wish });
        let (before, after) = (state(job.cancel_reason.as_deref()), state(Some(reason)));
        audit::note(tx, "job.cancel", &format!("job {}", job.id), &before, &after).await?;
        events::add(tx, "job.cancelling", Some(job.client), Some(job.id), actor, reason, now).await?;
        return Ok(());
    }
    transition(tx, job, JobEvent::Cancel, actor, reason, None, now).await.map(|_| ())
}

/// Ends leases and expiry times that ran out. Idempotent; gives the clients whose queue changed.
pub async fn reap(tx: &mut Tx, now: i64) -> Result<Vec<ClientId>, Error> {
    let mut touched = BTreeSet::new();
    for attempt in attempts::expired(tx, now).await? {
        touched.insert(attempt.client);
    }
    for id in jobs::overdue(tx, now).await? {
        touched.extend(jobs::find(tx, id).await?.map(|job| job.client));
    }
    for client in &touched {
        clients::lock(tx, *client).await?;
    }
    // Looked at again: before the lock was there, an agent may have been heard after all.
    for attempt in attempts::expired(tx, now).await? {
        if touched.contains(&attempt.client) {
            lose(tx, &attempt, "the agent was not heard any more, and its lease ran out", now).await?;
        }
    }
    for id in jobs::overdue(tx, now).await? {
        if let Some(job) = jobs::find(tx, id).await?.filter(|job| touched.contains(&job.client)) {
            transition(tx, &job, JobEvent::Expire, "queue", "it was not begun in time", None, now).await?;
        }
    }
    Ok(touched.into_iter().collect())
}

/// The client's stage after its agent was heard in a realm.
pub async fn follow_stage(
    tx: &mut Tx,
    client: ClientId,
    stage: Stage,
    realm: Realm,
    now: i64,
) -> Result<(), Error> {
    let to = match (stage, realm) {
        (Stage::Registered, Realm::Installer) => Stage::Discovered,
        (Stage::Registered | Stage::Discovered | Stage::Installing, Realm::System) => Stage::Installed,
        _ => return Ok(()),
    };
    clients::set_stage(tx, client, to).await?;
    if stage == Stage::Installing {
        integrations::forget(tx, client).await?;
    }
    let kind = format!("client.{}", to.as_str());
    events::add(tx, &kind, Some(client), None, &format!("client {client}"), "", now).await?;
    Ok(())
}
