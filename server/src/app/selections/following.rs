//! Who has which selection: follows the members of groups, named or found, queues what somebody has not been given yet, and takes back
//! what waits for somebody who left.
//!
//! Idempotent: a client stands in the list once, with the job that was queued for it in the same transaction.

use std::collections::BTreeSet;

use wire::{ClientId, JobId};

use super::{Error, Selection, order, rows};
use crate::{
    app::{groups, integration, jobs},
    context::Ctx,
    db::{Tx, clients, jobs as job_rows},
    domain::{
        client::{Client, Stage},
        job::JobState,
    },
    queue,
};

/// Whom jobs are given by that follow from a group.
const ACTOR: &str = "selections";

/// Whether a group has any selection.
///
/// # Errors
/// The database refuses.
pub(in crate::app) async fn has_any(tx: &mut Tx, group: wire::GroupId) -> Result<bool, Error> {
    Ok(rows::has_any(tx, group).await?)
}

/// Brings the list of who has which selection up to date, and gives those who are installed what they lack.
///
/// # Errors
/// The database refuses.
pub async fn follow(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    let (mut come, mut gone) = (Vec::new(), Vec::new());
    for selection in rows::list(&mut tx).await? {
        let mut wanted: BTreeSet<ClientId> = BTreeSet::new();
        for group in &selection.groups {
            match groups::member_ids(ctx, &mut tx, group).await {
                Ok(members) => wanted.extend(members),
                // A search that a newer program wrote finds nobody here, and takes nobody out.
                Err(Error::Invalid { .. }) => {
                    tracing::warn!(group, "the search of this group cannot be read");
                    wanted.extend(rows::holders(&mut tx, selection.id).await?.iter().map(|it| it.client));
                }
                Err(error) => return Err(error),
            }
        }
        let holders = rows::holders(&mut tx, selection.id).await?;
        let present: BTreeSet<ClientId> = holders.iter().map(|holder| holder.client).collect();
        come.extend(wanted.difference(&present).map(|client| (selection.id, *client)));
        gone.extend(present.difference(&wanted).map(|client| (selection.clone(), *client)));
    }
    drop(tx);
    if !come.is_empty() {
        let mut tx = ctx.db.write().await?;
        for (selection, client) in come {
            if clients::stage(&mut tx, client).await?.is_some() {
                rows::add_holder(&mut tx, selection, client).await?;
            }
        }
        tx.commit().await?;
    }
    for (selection, client) in gone {
        leave(ctx, &selection, client).await?;
    }
    let mut tx = ctx.db.read().await?;
    let due = rows::due(&mut tx).await?;
    drop(tx);
    for client in due {
        // One for whom it cannot be queued keeps nobody else waiting.
        if let Err(error) = give(ctx, client).await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(%client, error, "giving selections of packages to a client");
        }
    }
    Ok(())
}

/// A client has a selection no longer: the job that would bring it is cancelled unless an agent has begun it.
async fn leave(ctx: &Ctx, selection: &Selection, client: ClientId) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let job = rows::remove_holder(&mut tx, selection.id, client).await?;
    let because = format!("no group of the client gives it the selection {} any more", selection.name);
    if let Some(job) = job {
        cancel_waiting(&mut tx, job, &because, ctx.now()).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Cancels the jobs that would bring a selection which there will not be any more.
///
/// # Errors
/// The database refuses.
pub(super) async fn cancel_all(tx: &mut Tx, selection: &Selection, now: i64) -> Result<(), Error> {
    let because = format!("the selection {} was deleted", selection.name);
    for (client, job) in rows::waiting(tx, selection.id).await? {
        clients::lock(tx, client).await?;
        cancel_waiting(tx, job, &because, now).await?;
    }
    Ok(())
}

/// Cancels a job of a client that is locked, as long as nobody has begun it.
async fn cancel_waiting(tx: &mut Tx, job: JobId, because: &str, now: i64) -> Result<(), Error> {
    match job_rows::find(tx, job).await? {
        Some(job) if matches!(job.state, JobState::Held | JobState::Queued) => {
            queue::cancel(tx, &job, ACTOR, because, now).await
        }
        _ => Ok(()),
    }
}

/// Queues for a client what no job has brought yet.
async fn give(ctx: &Ctx, id: ClientId) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, id).await?;
    let Some(client) = clients::find(&mut tx, id).await? else { return Ok(()) };
    if client.stage != Stage::Installed {
        return Ok(());
    }
    // A machine that was taken over stays as it is until somebody says otherwise.
    let hold = integration::is_integrated(&mut tx, id).await?;
    for (selection, job) in rows::of_client(&mut tx, id).await? {
        if job.is_none() {
            let order = jobs::JobOrder { hold, ..order(&selection.name) };
            let job = jobs::add(ctx, &mut tx, &client, &order, ACTOR).await?;
            rows::set_job(&mut tx, selection.id, id, job).await?;
        }
    }
    tx.commit().await?;
    ctx.presence.work_waits_for(id);
    ctx.presence.events_came();
    Ok(())
}

/// Queues the selections of a client behind the chain that installs it anew.
pub(in crate::app) async fn after_installation(
    ctx: &Ctx,
    tx: &mut Tx,
    client: &Client,
    last: Option<JobId>,
    actor: &str,
) -> Result<Vec<JobId>, Error> {
    for selection in rows::list(tx).await? {
        for group in &selection.groups {
            if groups::member_ids(ctx, tx, group).await?.contains(&client.id) {
                rows::add_holder(tx, selection.id, client.id).await?;
            }
        }
    }
    let mut queued = Vec::new();
    for (selection, _) in rows::of_client(tx, client.id).await? {
        let order = jobs::JobOrder { needs: last.into_iter().collect(), ..order(&selection.name) };
        let job = jobs::add(ctx, tx, client, &order, actor).await?;
        rows::set_job(tx, selection.id, client.id, job).await?;
        queued.push(job);
    }
    Ok(queued)
}
