//! Taking a client out of service, and back. Its record and history stay; its identity does not.

use serde_json::json;
use wire::ClientId;

use super::{
    Error,
    approvals::{self, Wish},
    clients as cases, providers,
};
use crate::{
    context::Ctx,
    db::{Tx, attempts, audit, clients, events, identities, jobs as rows},
    domain::{
        approval::Risk,
        client::{Client, Stage},
        job::{AttemptState, JobEvent, JobState},
    },
    queue,
};

/// Takes a client out of service: from now on its agent is refused, with the reason; what waited or ran for it is cancelled.
///
/// # Errors
/// It is retired already.
pub async fn retire(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    clients::lock(&mut tx, client.id).await?;
    if client.stage == Stage::Retired {
        return Err(Error::conflict(format!("client {name} is retired already"), "nothing needs to be done"));
    }
    providers::check_no_host(&mut tx, name, "retired").await?;
    let wish = Wish::Retire { client: name.to_owned() };
    let mut tx = approvals::gate(ctx, tx, &wish, Some(Risk::Retire), 1, actor).await?;
    let reason = format!("client {name} was retired by {actor}");
    end_jobs(&mut tx, client.id, actor, &reason, now).await?;
    identities::revoke(&mut tx, client.id, &reason, now).await?;
    identities::forget_tokens(&mut tx, client.id).await?;
    clients::set_adopted_key(&mut tx, client.id, None).await?;
    clients::set_stage(&mut tx, client.id, Stage::Retired).await?;
    let (before, after) = (json!({ "stage": client.stage }), json!({ "stage": Stage::Retired }));
    audit::note(&mut tx, "client.retire", &format!("client {name}"), &before, &after).await?;
    events::add(&mut tx, "client.retired", Some(client.id), None, actor, name, now).await?;
    tx.commit().await?;
    ctx.presence.forget_certificates(client.id);
    // A poll that waits ends with the reason.
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    Ok(())
}

async fn end_jobs(tx: &mut Tx, id: ClientId, actor: &str, reason: &str, now: i64) -> Result<(), Error> {
    for job in rows::open(tx, id).await? {
        // Cancelling one job cancels those that need it, so look again before each.
        let Some(job) = rows::find(tx, job.id).await? else { continue };
        if job.state == JobState::Running {
            // Its agent will not be heard any more, so nobody else can end it.
            if let Some(attempt) = attempts::running(tx, id).await? {
                attempts::finish(tx, attempt.id, AttemptState::Cancelled, reason, now).await?;
            }
        }
        if !job.state.is_final() {
            queue::transition(tx, &job, JobEvent::Cancel, actor, reason, None, now).await?;
        }
    }
    Ok(())
}

/// Takes a retired client back: it is registered, and gets a new identity at its next boot or enrolment.
///
/// # Errors
/// It is not retired.
pub async fn reinstate(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    if client.stage != Stage::Retired {
        return Err(Error::conflict(
            format!("client {name} is {}, not retired", client.stage.as_str()),
            "nothing needs to be done",
        ));
    }
    clients::set_stage(&mut tx, client.id, Stage::Registered).await?;
    let (before, after) = (json!({ "stage": client.stage }), json!({ "stage": Stage::Registered }));
    audit::note(&mut tx, "client.reinstate", &format!("client {name}"), &before, &after).await?;
    events::add(&mut tx, "client.reinstated", Some(client.id), None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// The reason why nothing may be done with a client that is retired.
pub(super) fn check_in_service(client: &Client) -> Result<(), Error> {
    if client.stage == Stage::Retired {
        return Err(Error::conflict(
            format!("client {} is retired", client.name),
            format!("take it back into service first: `lotse client reinstate {}`", client.name),
        ));
    }
    Ok(())
}
