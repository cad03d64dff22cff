//! What helps the user of one machine: install it anew, restart it, open a rescue system, let an installed system enrol.

use serde_json::json;
use wire::{ClientId, JobId, enrol::Realm};

use super::{
    Error,
    approvals::Wish,
    clients as cases,
    installation::{self, Installation},
    jobs::{self, JobOrder},
    retirement::check_in_service,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        audit, events,
        identities::{self, TokenUse},
        jobs as rows,
    },
    domain::{
        client::{Client, Stage},
        job::JobState,
    },
    identity::token::Token,
    presence::ONLINE_FOR,
};

/// A restart that was not begun by then is not wanted any more.
const RESTART_WITHIN: i64 = 15 * 60 * SECOND;
/// An enrolment command must be used within this time.
const ENROL_WITHIN: i64 = 3600 * SECOND;

/// How a system that is installed already becomes a client. The only time that the token is shown.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct EnrolCommand {
    /// To be run as root on the machine; it holds the one-time token and the CA's fingerprint.
    pub command: String,
    /// Not accepted after this time.
    pub expires_at: i64,
}

fn order(job_type: &str, params: serde_json::Value, expires_at: Option<i64>) -> JobOrder {
    JobOrder {
        job_type: job_type.to_owned(),
        params,
        hold: false,
        not_before: None,
        expires_at,
        needs: Vec::new(),
    }
}

async fn id_of(ctx: &Ctx, name: &str) -> Result<ClientId, Error> {
    let mut tx = ctx.db.read().await?;
    Ok(cases::get(&mut tx, name).await?.id)
}

/// Installs a client anew that was installed before; one whose system runs is restarted into the installer.
///
/// # Errors
/// It was never installed, or as [`installation::install`].
pub async fn redo(ctx: &Ctx, name: &str, actor: &str) -> Result<Installation, Error> {
    let (id, stage) = {
        let mut tx = ctx.db.read().await?;
        let client = cases::get(&mut tx, name).await?;
        (client.id, client.stage)
    };
    if !matches!(stage, Stage::Installing | Stage::Installed) {
        return Err(Error::conflict(
            format!(
                "client {name} is {}: it was never installed, so nothing can be done again",
                stage.as_str()
            ),
            "let an operator install it: `lotse client install`",
        ));
    }
    let installation =
        installation::install_for(ctx, id, false, |client| Wish::Redo { client }, actor).await?;
    if runs_system(ctx, id) {
        restart(ctx, name, actor).await?;
    }
    Ok(installation)
}

/// Whether the agent is connected from the installed system, so that it can restart the machine.
pub(super) fn runs_system(ctx: &Ctx, id: ClientId) -> bool {
    let seen = ctx.presence.seen(id);
    seen.is_some_and(|seen| seen.realm == Realm::System && ctx.now() - seen.at < ONLINE_FOR)
}

/// Restarts a machine through its agent.
///
/// # Errors
/// There is no such client.
pub async fn restart(ctx: &Ctx, name: &str, actor: &str) -> Result<JobId, Error> {
    let id = id_of(ctx, name).await?;
    jobs::create(ctx, id, &order("reboot", json!({}), Some(ctx.now() + RESTART_WITHIN)), actor).await
}

/// Wakes a machine over the network. Whether it wakes shows in its boot timeline.
///
/// # Errors
/// It has no hardware address, is out of service, or nothing can be sent.
pub async fn wake(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    check_in_service(&client)?;
    if client.macs.is_empty() {
        return Err(Error::conflict(
            format!("client {name} has no hardware address, so it cannot be woken"),
            "boot it over the network once: then its address is known",
        ));
    }
    crate::boot::wake::wake(&client.macs).await.map_err(|error| Error::Unavailable {
        title: format!("nothing could be sent to wake {name}: {error}"),
        remedy: "look at the network of the server's host".to_owned(),
    })?;
    audit::note(&mut tx, "client.wake", &format!("client {name}"), &(), &json!({ "macs": client.macs }))
        .await?;
    events::add(&mut tx, "client.woken", Some(client.id), None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Queues a rescue system that lets these keys in as root.
///
/// # Errors
/// A key cannot be read, or a rescue is under way.
pub async fn rescue(ctx: &Ctx, name: &str, keys: &[String], actor: &str) -> Result<JobId, Error> {
    let id = id_of(ctx, name).await?;
    let open = {
        let mut tx = ctx.db.read().await?;
        rows::open(&mut tx, id).await?
    };
    if let Some(job) = open.iter().find(|job| job.job_type == "rescue") {
        return Err(Error::conflict(
            format!("a rescue of {name} is under way: job {} is {}", job.id, job.state),
            "use that one, or end it: `lotse client release`",
        ));
    }
    jobs::create(ctx, id, &order("rescue", json!({ "authorized_keys": keys }), None), actor).await
}

/// Ends the rescue of a client: the running one well, one that waits by cancelling it.
///
/// # Errors
/// There is none.
pub async fn release(ctx: &Ctx, name: &str, actor: &str) -> Result<JobId, Error> {
    let id = id_of(ctx, name).await?;
    let open = {
        let mut tx = ctx.db.read().await?;
        rows::open(&mut tx, id).await?
    };
    let Some(job) = open.iter().find(|job| job.job_type == "rescue") else {
        return Err(Error::conflict(format!("client {name} has no rescue"), "nothing needs to be done"));
    };
    match job.state {
        JobState::Running => jobs::release(ctx, job.id).await?,
        _ => jobs::cancel(ctx, job.id, actor, "the rescue is not needed any more").await?,
    }
    Ok(job.id)
}

/// Whether a machine may become this client now.
pub(super) fn check_may_enrol(client: &Client) -> Result<(), Error> {
    check_in_service(client)?;
    match &client.alarm {
        None => Ok(()),
        Some(alarm) => Err(Error::conflict(
            format!("client {} is stopped by an alarm: {alarm}", client.name),
            "look at it, then clear the alarm: `lotse client clear-alarm`",
        )),
    }
}

/// Makes the command with which a system that is installed already becomes this client.
///
/// # Errors
/// An alarm stops the client.
pub async fn enrol_command(ctx: &Ctx, name: &str, actor: &str) -> Result<EnrolCommand, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    check_may_enrol(&client)?;
    let token = Token::new();
    let expires_at = now + ENROL_WITHIN;
    identities::create_token(&mut tx, &token.hash(), client.id, None, TokenUse::Once, expires_at, now)
        .await?;
    let after = json!({ "expires_at": expires_at });
    audit::note(&mut tx, "client.enrol-command", &format!("client {name}"), &(), &after).await?;
    events::add(&mut tx, "client.enrol-command", Some(client.id), None, actor, name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    let addresses = &ctx.addresses;
    let command = format!(
        "LOTSE_TOKEN={} lotse-agent enrol --server {} --boot {} --ca {}",
        token.reveal(),
        addresses.https,
        addresses.boot,
        addresses.ca
    );
    Ok(EnrolCommand { command, expires_at })
}
