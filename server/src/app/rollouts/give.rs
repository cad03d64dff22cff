//! One client's work: given, and taken back as long as no agent has begun it.

use wire::{ClientId, JobId, enrol::Realm};

use super::Error;
use crate::{
    app::{
        installation,
        jobs::{self, JobOrder},
    },
    context::Ctx,
    db::{
        Tx, clients, jobs as rows,
        rollouts::{Rollout, members::InFlight},
    },
    domain::{
        client::{Client, Stage},
        job::JobState,
        rollout::RolloutWork,
    },
    queue,
};

/// Queues what a client gets. What is not begun until then is not begun at all: the queue itself refuses it.
///
/// # Errors
/// It cannot be planned, or the client cannot have it.
pub(super) async fn give(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    client: &Client,
    until: Option<i64>,
) -> Result<Vec<JobId>, Error> {
    let by = rollout.started_by.as_deref().unwrap_or(&rollout.created_by);
    let actor = format!("rollout {} ({by})", rollout.id);
    let now = ctx.now();
    let order = |job_type: &str, params: &serde_json::Value, needs: Vec<JobId>| JobOrder {
        job_type: job_type.to_owned(),
        params: params.clone(),
        hold: false,
        // Should the clock jump back, the window of this order has not begun.
        not_before: Some(now),
        // Only beginnings are bound by windows: a client that has begun ends its work.
        expires_at: if needs.is_empty() { until } else { None },
        needs,
    };
    match &rollout.spec.work {
        RolloutWork::Jobs { jobs: wanted } => {
            let mut given: Vec<JobId> = Vec::with_capacity(wanted.len());
            for job in wanted {
                let order = order(&job.job_type, &job.params, given.last().copied().into_iter().collect());
                let id = jobs::add(ctx, tx, client, &order, &actor).await?;
                jobs::plan_if_possible(ctx, tx, id, client).await?;
                given.push(id);
            }
            Ok(given)
        }
        RolloutWork::Reinstall => {
            let mut given = installation::queue_chain(ctx, tx, client.id, &actor).await?.jobs;
            // The installer begins with a restart; a machine that runs no system is in it already.
            if client.realm == Some(Realm::System) {
                let restart = order("reboot", &serde_json::json!({}), Vec::new());
                let id = jobs::add(ctx, tx, client, &restart, &actor).await?;
                jobs::plan_if_possible(ctx, tx, id, client).await?;
                given.push(id);
            }
            Ok(given)
        }
    }
}

/// Takes a client's jobs back, unless one of them has begun; tells whether it did.
///
/// # Errors
/// The database refuses.
pub(super) async fn take_back(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    client: &InFlight,
    reason: &str,
) -> Result<bool, Error> {
    clients::lock(tx, client.client).await?;
    for (id, _) in &client.jobs {
        let begun = match rows::find(tx, *id).await? {
            Some(job) => !matches!(job.state, JobState::Held | JobState::Queued),
            None => false,
        };
        if begun {
            return Ok(false);
        }
    }
    let given: Vec<_> = client.jobs.iter().map(|(id, _)| *id).collect();
    cancel_open(ctx, tx, rollout, client.client, &given, reason).await?;
    Ok(true)
}

/// Cancels what waits of some jobs of a client, which the caller has locked.
///
/// # Errors
/// The database refuses.
pub(super) async fn cancel_open(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    client: ClientId,
    given: &[JobId],
    reason: &str,
) -> Result<(), Error> {
    clients::lock(tx, client).await?;
    let mut begun = false;
    for id in given {
        // Cancelling one cancels those that need it, so look again before each.
        let Some(job) = rows::find(tx, *id).await? else { continue };
        if matches!(job.state, JobState::Held | JobState::Queued) {
            queue::cancel(tx, &job, "rollout", reason, ctx.now()).await?;
        } else {
            begun |= job.attempts > 0;
        }
    }
    if matches!(rollout.spec.work, RolloutWork::Reinstall) && !begun {
        // Its installation has not begun, so what runs is what it had.
        let found = clients::find(tx, client).await?;
        if found.is_some_and(|found| found.stage == Stage::Installing && found.realm == Some(Realm::System)) {
            clients::set_stage(tx, client, Stage::Installed).await?;
        }
    }
    Ok(())
}
