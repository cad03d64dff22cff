//! Jobs: made, looked at, accepted, held, cancelled, tried again, released.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use wire::{ClientId, JobId};

use super::{
    Error,
    approvals::{self, Wish},
    planning, repositories,
    retirement::check_in_service,
    selections,
};
use crate::{
    catalog::JobType,
    context::Ctx,
    db::{Tx, audit, clients, jobs, repositories as repository_rows},
    domain::{
        approval::Risk,
        client::{Client, Stage},
        job::{Job, JobEvent, JobState, NewJob, Wait, waits_for},
    },
    presence::ONLINE_FOR,
    queue,
};

/// What somebody wants done.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobOrder {
    /// The job script's name, such as `package-install`.
    pub job_type: String,
    /// Its parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub params: Value,
    /// Keep it held until somebody accepts it.
    #[serde(default)]
    pub hold: bool,
    /// Not before this time, microseconds since the Unix epoch.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// Expires when it was not begun by this time, microseconds since the Unix epoch.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// Jobs that must succeed first.
    #[serde(default)]
    pub needs: Vec<JobId>,
}

/// Queues a job for a client.
///
/// # Errors
/// The job type is unknown, parameters are wrong, or a needed job is missing or failed.
pub async fn create(ctx: &Ctx, client: ClientId, order: &JobOrder, actor: &str) -> Result<JobId, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let client =
        clients::find(&mut tx, client).await?.ok_or_else(|| Error::not_found(format!("client {client}")))?;
    check_expiry(order, now)?;
    for needed in &order.needs {
        still_possible(&mut tx, *needed).await?;
    }
    let wish = Wish::Job { client: client.name.clone(), order: order.clone() };
    let mut tx = approvals::gate(ctx, tx, &wish, risk_of(&client, &order.job_type), 1, actor).await?;
    let id = add(ctx, &mut tx, &client, order, actor).await?;
    plan_if_possible(ctx, &mut tx, id, &client).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    Ok(id)
}

/// What a second person may have to approve about a job.
fn risk_of(client: &Client, job_type: &str) -> Option<Risk> {
    Risk::of_job_type(job_type).filter(|risk| *risk != Risk::InstallOver || client.stage == Stage::Installed)
}

/// Refuses a job that would expire before anybody could begin it.
pub(super) fn check_expiry(order: &JobOrder, now: i64) -> Result<(), Error> {
    let latest = [Some(now), order.not_before].into_iter().flatten().max();
    if order.expires_at.is_some_and(|at| latest.is_some_and(|latest| at <= latest)) {
        return Err(Error::invalid(
            "the job would expire before it could begin",
            "give an expires_at after now and after not_before, or none",
        ));
    }
    Ok(())
}

/// The job script of an order that anybody may give, and its parameters as that wants them.
pub(super) fn check_type(ctx: &Ctx, order: &JobOrder) -> Result<Checked, Error> {
    if order.job_type == repositories::JOB_TYPE {
        return Err(Error::conflict(
            "packages are taken into a repository, which this order does not name",
            "order it there: `lotse repository take REPOSITORY CLIENT PACKAGE`",
        ));
    }
    known_type(ctx, order)
}

/// A job script, and parameters as it wants them.
pub(super) type Checked = (Arc<JobType>, Value);

/// The same for an order that somebody was allowed to give already, or may give elsewhere.
pub(super) fn known_type(ctx: &Ctx, order: &JobOrder) -> Result<Checked, Error> {
    let job_type = ctx
        .catalog
        .job_type(&order.job_type)
        .ok_or_else(|| Error::not_found(format!("job type {}", order.job_type)))?;
    let params = job_type
        .params
        .check(&order.params)
        .map_err(|fields| Error::fields(format!("the parameters of {} are wrong", order.job_type), fields))?;
    Ok((job_type, params))
}

/// Checks an order against its job script and queues it, without planning it.
pub(super) async fn add(
    ctx: &Ctx,
    tx: &mut Tx,
    client: &Client,
    order: &JobOrder,
    actor: &str,
) -> Result<JobId, Error> {
    put(ctx, tx, client, order, check_type(ctx, order)?, actor).await
}

/// Queues an order that was checked.
pub(super) async fn put(
    ctx: &Ctx,
    tx: &mut Tx,
    client: &Client,
    order: &JobOrder,
    (job_type, mut params): Checked,
    actor: &str,
) -> Result<JobId, Error> {
    check_in_service(client)?;
    if order.job_type == selections::JOB_TYPE {
        params = selections::filled(tx, &params).await?;
    }
    let job = NewJob {
        client: client.id,
        job_type: order.job_type.clone(),
        params,
        realm: job_type.realm,
        priority: job_type.priority,
        held: order.hold.then(|| format!("waits for somebody to accept it ({actor} asked for that)")),
        not_before: order.not_before,
        expires_at: order.expires_at,
        max_attempts: job_type.retry.attempts,
        retry_after_s: job_type.retry.after_s,
        created_by: actor.to_owned(),
        needs: order.needs.clone(),
    };
    Ok(queue::enqueue(tx, &job, ctx.now()).await?)
}

/// Plans a job as soon as the machine is known; whoever orders it learns at once what cannot be done.
pub(super) async fn plan_if_possible(
    ctx: &Ctx,
    tx: &mut Tx,
    id: JobId,
    client: &Client,
) -> Result<(), Error> {
    if client.facts.is_some() {
        let job = get(tx, id).await?;
        planning::plan(ctx, tx, &job).await?;
    }
    Ok(())
}

/// A job that must exist.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, id: JobId) -> Result<Job, Error> {
    jobs::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("job {id}")))
}

/// A job that must exist and that nobody else changes until the transaction ends.
async fn get_to_change(tx: &mut Tx, id: JobId) -> Result<Job, Error> {
    let client = get(tx, id).await?.client;
    clients::lock(tx, client).await?;
    get(tx, id).await
}

/// For what a job waits; `None` when it does not wait.
///
/// # Errors
/// The database refuses.
pub async fn waiting_for(ctx: &Ctx, tx: &mut Tx, job: &Job) -> Result<Option<Wait>, Error> {
    if job.state.is_final() || job.state == JobState::Running {
        return Ok(None);
    }
    let now = ctx.now();
    let mut around = jobs::surroundings(tx, job).await?;
    if let Some(client) = clients::find(tx, job.client).await? {
        around.alarm = client.alarm;
        around.realm = client.realm;
        around.last_seen_at = client.last_seen_at;
    }
    if let Some(seen) = ctx.presence.seen(job.client) {
        around.realm = Some(seen.realm);
        around.online = now - seen.at < ONLINE_FOR;
        around.last_seen_at = Some(seen.at);
    }
    Ok(waits_for(job, &around, now))
}

async fn change(ctx: &Ctx, id: JobId, event: JobEvent, actor: &str, reason: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let job = get_to_change(&mut tx, id).await?;
    queue::transition(&mut tx, &job, event, actor, reason, job.not_before, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(job.client);
    ctx.presence.events_came();
    Ok(())
}

/// Lets a held job run.
///
/// # Errors
/// [`Error::Conflict`] when it is not held.
pub async fn accept(ctx: &Ctx, id: JobId, actor: &str) -> Result<(), Error> {
    change(ctx, id, JobEvent::Accept, actor, "accepted").await
}

/// Holds a queued job back.
///
/// # Errors
/// [`Error::Conflict`] when it is not queued.
pub async fn hold(ctx: &Ctx, id: JobId, actor: &str, reason: &str) -> Result<(), Error> {
    change(ctx, id, JobEvent::Hold, actor, reason).await
}

/// Cancels a job: at once when it waits, through its agent when it runs.
///
/// # Errors
/// [`Error::Conflict`] when it has ended.
pub async fn cancel(ctx: &Ctx, id: JobId, actor: &str, reason: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let job = get_to_change(&mut tx, id).await?;
    queue::cancel(&mut tx, &job, actor, reason, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(job.client);
    ctx.presence.events_came();
    Ok(())
}

/// Lets a running job that waits for people (rescue) end well.
///
/// # Errors
/// [`Error::Conflict`] when it is not running.
pub async fn release(ctx: &Ctx, id: JobId) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let job = get_to_change(&mut tx, id).await?;
    if job.state != JobState::Running {
        return Err(Error::conflict(
            format!("job {id} is {}, not running", job.state),
            "only a running job can be released",
        ));
    }
    jobs::set_wish(&mut tx, id, job.cancel_reason.as_deref(), true).await?;
    let state = |released: bool| json!({ "job_type": job.job_type, "released": released });
    audit::note(&mut tx, "job.release", &format!("job {id}"), &state(job.released), &state(true)).await?;
    tx.commit().await?;
    Ok(())
}

/// Queues the same again as a new job, and with it whatever the queue has cancelled because the old one did not succeed.
///
/// # Errors
/// [`Error::Conflict`] unless it failed, was cancelled or expired, when something it needs has not succeeded, or when the same is open.
pub async fn retry(ctx: &Ctx, id: JobId, actor: &str) -> Result<JobId, Error> {
    let mut tx = ctx.db.write().await?;
    let client = get(&mut tx, id).await?.client;
    clients::lock(&mut tx, client).await?;
    let client =
        clients::find(&mut tx, client).await?.ok_or_else(|| Error::not_found(format!("client {client}")))?;
    let job = get(&mut tx, id).await?;
    if !job.state.is_final() || job.state == JobState::Succeeded {
        return Err(Error::conflict(
            format!("job {id} is {}", job.state),
            "only a job that failed, was cancelled or expired can be tried again",
        ));
    }
    let open = jobs::open(&mut tx, client.id).await?;
    if let Some(same) = open.iter().find(|other| other.job_type == job.job_type && other.params == job.params)
    {
        return Err(Error::conflict(
            format!("the same as job {id} is {} already, as job {}", same.state, same.id),
            format!("watch that one: `lotse job watch {}`", same.id),
        ));
    }
    let wish = Wish::RetryJob { job: id };
    let mut tx = approvals::gate(ctx, tx, &wish, risk_of(&client, &job.job_type), 1, actor).await?;
    let mut again: BTreeMap<JobId, JobId> = BTreeMap::new();
    let mut waiting = BTreeSet::from([id]);
    // In the order of their numbers, so that what a job needs has its new number first.
    while let Some(old) = waiting.pop_first() {
        let job = get(&mut tx, old).await?;
        if job.client != client.id {
            continue;
        }
        let mut needs = Vec::new();
        for needed in &job.needs {
            needs.push(match again.get(needed) {
                Some(new) => *new,
                None => still_possible(&mut tx, *needed).await?,
            });
        }
        let order = JobOrder { job_type: job.job_type, params: job.params, needs, ..JobOrder::default() };
        let new = put(ctx, &mut tx, &client, &order, known_type(ctx, &order)?, actor).await?;
        repository_rows::take_again(&mut tx, old, new).await?;
        plan_if_possible(ctx, &mut tx, new, &client).await?;
        again.insert(old, new);
        waiting.extend(jobs::cancelled_with(&mut tx, old).await?);
    }
    tx.commit().await?;
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    again.remove(&id).ok_or_else(|| Error::not_found(format!("job {id}")))
}

/// A job that another one needs, unless it will never succeed.
async fn still_possible(tx: &mut Tx, needed: JobId) -> Result<JobId, Error> {
    let job = jobs::find(tx, needed).await?.ok_or_else(|| Error::not_found(format!("job {needed}")))?;
    if job.state.is_final() && job.state != JobState::Succeeded {
        return Err(Error::conflict(
            format!("job {needed} is {}, so a job that needs it would never run", job.state),
            format!("try that one again first: `lotse job retry {needed}`"),
        ));
    }
    Ok(needed)
}
