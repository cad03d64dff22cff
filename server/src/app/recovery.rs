//! Getting a client back as it was: installed anew, and then everything done again that people had done to it since.

use wire::JobId;

use super::{
    Error,
    approvals::{self, Wish},
    clients as cases, helpdesk,
    installation::{self, Installation},
    jobs::{self, JobOrder},
    selections::JOB_TYPE,
};
use crate::{
    context::Ctx,
    db::{Tx, clients, jobs as rows, selections},
    domain::{
        approval::Risk,
        client::{Client, Stage},
        job::{Job, JobState},
        reach::Sees,
    },
    planner,
};

/// Jobs that are not done again: they belong to a moment, not to the client's state.
const OF_A_MOMENT: [&str; 6] =
    ["reboot", "shutdown", "rescue", "wipe-disk", "hardware-detection", "services"];
/// Most jobs that are looked back at.
const LOOK_BACK: i64 = 2000;

/// Queues an installation and, after it, what succeeded on the client before, in the same order; what was done several times is done once,
/// at its last place. With `dry_run` only shows what would happen.
///
/// # Errors
/// It was never installed, or as [`installation::install`].
pub async fn recover(ctx: &Ctx, name: &str, dry_run: bool, actor: &str) -> Result<Installation, Error> {
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    clients::lock(&mut tx, client.id).await?;
    if !matches!(client.stage, Stage::Installing | Stage::Installed) {
        return Err(Error::conflict(
            format!(
                "client {name} is {}: it was never installed, so nothing can be recovered",
                client.stage.as_str()
            ),
            "install it: `lotse client install`",
        ));
    }
    if !dry_run {
        let wish = Wish::Recover { client: name.to_owned() };
        let risk = (client.stage == Stage::Installed).then_some(Risk::InstallOver);
        tx = approvals::gate(ctx, tx, &wish, risk, 1, actor).await?;
    }
    let again = done_before(&mut tx, &client).await?;
    let mut installation = installation::queue_chain(ctx, &mut tx, client.id, actor).await?;
    let mut after: Option<JobId> = installation.jobs.last().copied();
    for job in again {
        let order = JobOrder {
            job_type: job.job_type,
            params: job.params,
            needs: after.into_iter().collect(),
            ..JobOrder::default()
        };
        let id = jobs::add(ctx, &mut tx, &client, &order, actor).await?;
        jobs::plan_if_possible(ctx, &mut tx, id, &client).await?;
        installation.jobs.push(id);
        after = Some(id);
    }
    if dry_run {
        return Ok(installation);
    }
    tx.commit().await?;
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    if helpdesk::runs_system(ctx, client.id) {
        helpdesk::restart(ctx, name, actor).await?;
    }
    Ok(installation)
}

/// What would be done again on a client after its installation, in order.
///
/// # Errors
/// The database refuses.
pub async fn done_before(tx: &mut Tx, client: &Client) -> Result<Vec<Job>, Error> {
    let chain: Vec<String> = planner::installation(client).into_iter().map(|entry| entry.job_type).collect();
    let mut again: Vec<Job> = Vec::new();
    let filter =
        rows::Filter { client: Some(client.id), state: Some(JobState::Succeeded), ..rows::Filter::default() };
    let of_groups: Vec<String> = selections::of_client(tx, client.id)
        .await?
        .into_iter()
        .map(|(selection, _)| selection.name)
        .collect();
    for mut job in rows::list(tx, &Sees::Everything, &filter, i64::MAX, LOOK_BACK).await? {
        // The chain itself ends with the selections that the client has, as they are now.
        let is_of_group =
            job.job_type == JOB_TYPE && of_groups.iter().any(|name| job.params["selection"] == name.as_str());
        let part = chain.contains(&job.job_type)
            || OF_A_MOMENT.contains(&job.job_type.as_str())
            || job.params["preview"] == true
            || is_of_group;
        // What was accepted were the changes of the system as it was.
        if job.params["accepted"].is_array() {
            job.params["accepted"] = serde_json::json!([]);
        }
        let there = again.iter().any(|other| other.job_type == job.job_type && other.params == job.params);
        if !part && !there {
            again.push(job);
        }
    }
    again.reverse();
    Ok(again)
}
