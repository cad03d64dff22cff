//! Installing a client: a chain of jobs, each visible, each repeatable, all planned and shown before the first one runs.

use serde_json::json;
use wire::{ClientId, JobId, Sha256, plan::Plan};

use super::{
    Error,
    approvals::{self, Wish},
    jobs::{self, JobOrder},
    planning, providers,
    retirement::check_in_service,
    selections,
};
use crate::{
    context::Ctx,
    db::{Tx, audit, clients, events, integrations, jobs as rows},
    domain::{
        approval::Risk,
        client::{Client, Stage},
        job::Job,
    },
    planner, queue,
};

/// A chain that was queued.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Installation {
    /// The jobs, in order.
    pub jobs: Vec<JobId>,
    /// Their plans; empty when the machine is not known yet and the plans are made when it appears.
    pub plans: Vec<Plan>,
    /// What it costs beside what is on the disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Lets the machine that showed this fingerprint become the client.
///
/// # Errors
/// The client has announced no key, or another one.
pub async fn adopt(
    tx: &mut Tx,
    client: &Client,
    fingerprint: Option<&Sha256>,
    actor: &str,
    now: i64,
) -> Result<(), Error> {
    check_in_service(client)?;
    let Some(announced) = &client.announced_key else {
        return Err(Error::conflict(
            format!("client {} has not announced itself, so there is nothing to adopt", client.name),
            "boot the machine over the network first",
        ));
    };
    if let Some(expected) = fingerprint.filter(|expected| *expected != announced) {
        return Err(Error::conflict(
            format!("the machine shows the fingerprint {announced}, expected was {expected}"),
            "compare with the machine's screen; if they differ, somebody else answers in its place",
        ));
    }
    clients::set_adopted_key(tx, client.id, Some(announced)).await?;
    let (before, after) = (json!({ "key": client.adopted_key }), json!({ "key": announced }));
    audit::note(tx, "client.adopt", &format!("client {}", client.name), &before, &after).await?;
    events::add(tx, "client.adopted", Some(client.id), None, actor, announced.as_str(), now).await?;
    Ok(())
}

/// Queues the installation of a client; with `dry_run` only shows what would happen.
///
/// # Errors
/// The layout cannot hold on this machine, an image is missing, or an installation is under way.
pub async fn install(ctx: &Ctx, id: ClientId, dry_run: bool, actor: &str) -> Result<Installation, Error> {
    install_for(ctx, id, dry_run, |client| Wish::Install { client }, actor).await
}

/// The same as a part of something larger, which is what a second person approves.
pub(super) async fn install_for(
    ctx: &Ctx,
    id: ClientId,
    dry_run: bool,
    wish: impl FnOnce(String) -> Wish,
    actor: &str,
) -> Result<Installation, Error> {
    let mut tx = ctx.db.write().await?;
    if !dry_run {
        clients::lock(&mut tx, id).await?;
        let client =
            clients::find(&mut tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))?;
        check(&mut tx, &client).await?;
        let risk = (client.stage == Stage::Installed).then_some(Risk::InstallOver);
        tx = approvals::gate(ctx, tx, &wish(client.name.clone()), risk, 1, actor).await?;
    }
    let installation = queue_chain(ctx, &mut tx, id, actor).await?;
    if dry_run {
        return Ok(installation);
    }
    tx.commit().await?;
    ctx.presence.work_waits_for(id);
    ctx.presence.events_came();
    Ok(installation)
}

/// What an installation of a client costs beside what is on its disks.
///
/// # Errors
/// The database refuses.
pub async fn warnings(tx: &mut Tx, client: &Client) -> Result<Vec<String>, Error> {
    let name = &client.name;
    let mut warnings = Vec::new();
    if let Some(provider) = providers::hosted_by(tx, name).await? {
        warnings.push(format!(
            "client {name} hosts the machines of provider {provider}: all of them are lost with its disks"
        ));
    }
    if integrations::find(tx, client.id).await?.is_some() {
        warnings.push(format!(
            "the system of {name} was taken over: nobody but who has installed it knows how to make it again"
        ));
    }
    Ok(warnings)
}

/// Queues the installation of a client as part of something larger, which has passed the gate.
pub(super) async fn queue_chain(
    ctx: &Ctx,
    tx: &mut Tx,
    id: ClientId,
    actor: &str,
) -> Result<Installation, Error> {
    clients::lock(tx, id).await?;
    let client = clients::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))?;
    check(tx, &client).await?;
    let chain = planner::installation(&client);
    let warnings = warnings(tx, &client).await?;
    let mut installation = Installation { jobs: Vec::new(), plans: Vec::new(), warnings };
    for entry in &chain {
        let needs = entry.needs.iter().filter_map(|at| installation.jobs.get(*at).copied()).collect();
        let order = JobOrder {
            job_type: entry.job_type.clone(),
            params: entry.params.clone(),
            hold: false,
            not_before: None,
            expires_at: None,
            needs,
        };
        let job = jobs::add(ctx, tx, &client, &order, actor).await?;
        installation.jobs.push(job);
        if client.facts.is_some() {
            let job = jobs::get(tx, job).await?;
            let signed = planning::plan(ctx, tx, &job).await?;
            installation
                .plans
                .push(serde_json::from_str(&signed.text).map_err(|error| Error::Internal(error.into()))?);
        }
    }
    let last = installation.jobs.last().copied();
    for job in selections::after_installation(ctx, tx, &client, last, actor).await? {
        installation.jobs.push(job);
        if client.facts.is_some() {
            let job = jobs::get(tx, job).await?;
            let signed = planning::plan(ctx, tx, &job).await?;
            installation
                .plans
                .push(serde_json::from_str(&signed.text).map_err(|error| Error::Internal(error.into()))?);
        }
    }
    clients::set_stage(tx, client.id, Stage::Installing).await?;
    let config = &client.config;
    let after = json!({ "stage": Stage::Installing, "distribution": config.distribution, "layout": config.layout, "jobs": installation.jobs });
    let object = format!("client {}", client.name);
    audit::note(tx, "client.install", &object, &json!({ "stage": client.stage }), &after).await?;
    events::add(tx, "client.installing", Some(client.id), None, actor, &config.distribution, ctx.now())
        .await?;
    Ok(installation)
}

async fn check(tx: &mut Tx, client: &Client) -> Result<(), Error> {
    check_in_service(client)?;
    if let Some(alarm) = &client.alarm {
        return Err(Error::conflict(
            format!("client {} is stopped by an alarm: {alarm}", client.name),
            format!("look at it, then clear the alarm: `lotse client clear-alarm {}`", client.name),
        ));
    }
    // A second chain beside what is left of a first one would wipe the disk between two of its jobs.
    let open: Vec<Job> = rows::open(tx, client.id).await?;
    let chain = planner::installation(client);
    let part =
        |job: &&Job| job.job_type != "reboot" && chain.iter().any(|entry| entry.job_type == job.job_type);
    if let Some(job) = open.iter().find(part) {
        return Err(Error::conflict(
            format!(
                "an installation of {} is under way: job {} ({}) is {}",
                client.name, job.id, job.job_type, job.state
            ),
            format!("wait for its end, or cancel it: `lotse client reset {}`", client.name),
        ));
    }
    Ok(())
}

/// Drops everything that waits for a client, so that it can begin anew.
///
/// # Errors
/// The database refuses.
pub async fn reset(ctx: &Ctx, id: ClientId, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    reset_in(&mut tx, id, actor, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(id);
    ctx.presence.events_came();
    Ok(())
}

/// The same as part of something larger.
pub(super) async fn reset_in(tx: &mut Tx, id: ClientId, actor: &str, now: i64) -> Result<(), Error> {
    clients::lock(tx, id).await?;
    let client = clients::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))?;
    let open = rows::open(tx, id).await?;
    let before = json!({ "stage": client.stage, "jobs": open.iter().map(|job| job.id).collect::<Vec<_>>() });
    for job in open {
        // Cancelling one job cancels those that need it, so look again before each.
        let job = jobs::get(tx, job.id).await?;
        if !job.state.is_final() {
            queue::cancel(tx, &job, actor, "the client was set back", now).await?;
        }
    }
    if client.stage == Stage::Installing {
        let stage = if client.facts.is_some() { Stage::Discovered } else { Stage::Registered };
        clients::set_stage(tx, id, stage).await?;
    }
    let after = json!({ "stage": clients::stage(tx, id).await?, "jobs": [] });
    audit::note(tx, "client.reset", &format!("client {}", client.name), &before, &after).await?;
    Ok(())
}
