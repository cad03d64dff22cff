//! What agents ask for: an identity, work, and somebody who takes their reports.

use std::time::Duration;

use wire::{
    AttemptId, ClientId, Mac, Sha256,
    enrol::{BlobRef, EnrolRequest, EnrolResponse, Identity, Realm, RenewRequest},
    event::{ReportRequest, ReportResponse},
    facts::{Dmi, Facts},
    poll::{Lease, Order, PollRequest, PollResponse},
};

use super::{Error, planning};
use crate::{
    boot::timeline,
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx, attempts, clients, events,
        identities::{self, Certificate},
        images, jobs,
    },
    domain::{
        boot::BootEventKind,
        client::{Client, ClientConfig, Stage},
        image,
        job::{Attempt, AttemptState, JobEvent},
    },
    identity::{self, Authority, token},
    presence::Seen,
    queue,
};

/// A machine that waits for adoption asks again after this long.
const ASK_AGAIN_S: u32 = 3;
/// Longest time that a poll may wait here.
const LONGEST_WAIT_S: u32 = 60;
/// More unknown machines than this may not wait for adoption: anybody on the network can announce some.
const MOST_DISCOVERED: i64 = 5000;
/// A poll that a newer one of the same client has overtaken is not repeated at once: two machines with one identity would chase
/// each other.
const OVERTAKEN_MS: u64 = 1000;
/// A certificate is looked up again after this long, so that a revocation on another node is noticed.
const CERTIFICATE_CACHED_FOR: i64 = 10 * SECOND;
/// Why a certificate is revoked that nobody needs any more.
const REPLACED: &str = "replaced by a newer identity";

/// The client that a certificate belongs to.
///
/// # Errors
/// [`Error::Unauthenticated`] when it is unknown, expired or revoked.
pub async fn authenticate(ctx: &Ctx, serial: &str) -> Result<ClientId, Error> {
    let now = ctx.now();
    if let Some(client) = ctx.presence.certificate(serial, now) {
        return Ok(client);
    }
    let mut tx = ctx.db.read().await?;
    let certificate = identities::find_certificate(&mut tx, serial).await?;
    match certificate {
        Some(certificate) if certificate.revoked_at.is_none() && certificate.expires_at > now => {
            if identities::has_replaced(&mut tx, serial).await? {
                drop(tx);
                retire_replaced(ctx, &certificate, now).await?;
            }
            let until = certificate.expires_at.min(now + CERTIFICATE_CACHED_FOR);
            ctx.presence.keep_certificate(serial, certificate.client, until);
            Ok(certificate.client)
        }
        Some(_) => {
            let because = match identities::revocation(&mut tx, serial).await? {
                Some(because) => format!("was revoked: {because}"),
                None => "has expired".to_owned(),
            };
            Err(Error::Unauthenticated(format!(
                "this certificate {because}; an admin can let the client in again with a new token"
            )))
        }
        None => {
            Err(Error::Unauthenticated("this certificate belongs to no client of this server".to_owned()))
        }
    }
}

/// Whoever uses a new identity has it: only now the one that it replaced is worth nothing any more. Earlier, an agent whose
/// answer was lost on the way would be locked out.
async fn retire_replaced(ctx: &Ctx, used: &Certificate, now: i64) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    identities::revoke_replaced(&mut tx, &used.serial, REPLACED, now).await?;
    tx.commit().await?;
    ctx.presence.forget_certificates(used.client);
    Ok(())
}

/// Gives a machine its identity, or takes note of it and lets it wait.
///
/// # Errors
/// The token is unknown, expired, of another machine or used by another key; the CSR is not acceptable.
pub async fn enrol(ctx: &Ctx, request: &EnrolRequest) -> Result<EnrolResponse, Error> {
    let key = Authority::request_fingerprint(&request.csr_pem).map_err(unacceptable)?;
    let answer = match &request.token {
        Some(token) => enrol_with_token(ctx, request, token, &key).await,
        None => announce(ctx, request, &key).await,
    };
    if let Err(error) = &answer {
        timeline::note(ctx, request.mac, BootEventKind::Refused, &error.to_string()).await;
    }
    answer
}

fn unacceptable(error: identity::Error) -> Error {
    match error {
        identity::Error::Request(reason) => Error::invalid(
            format!("the certificate request cannot be accepted: {reason}"),
            "send a PKCS #10 request with a P-256 key and without extensions",
        ),
        other => Error::Internal(other.into()),
    }
}

async fn enrol_with_token(
    ctx: &Ctx,
    request: &EnrolRequest,
    token: &str,
    key: &Sha256,
) -> Result<EnrolResponse, Error> {
    let now = ctx.now();
    let hash = token::hash(token);
    let mut tx = ctx.db.write().await?;
    let unknown = || {
        Error::Unauthenticated(
            "this enrolment token is unknown or was replaced by a newer one: restart the machine to get a new one".to_owned(),
        )
    };
    let known = identities::find_token(&mut tx, &hash).await?.ok_or_else(unknown)?;
    clients::lock(&mut tx, known.client).await?;
    // Looked at again: the same request may have come twice.
    let known = identities::find_token(&mut tx, &hash).await?.ok_or_else(unknown)?;
    let client = clients::find(&mut tx, known.client).await?.ok_or_else(unknown)?;
    if let Some(mac) = known.mac.filter(|mac| *mac != request.mac) {
        // That machine has got nothing, so an identity that was given for the token stays good.
        let alarm = format!(
            "the enrolment token of {mac} was used by a machine with the address {}: it was read on the network, or copied",
            request.mac
        );
        return Err(raise(ctx, tx, &client, &alarm, Identities::StayGood, now).await?);
    }
    if !identities::use_token(&mut tx, &hash, key, now).await? {
        match known.used_by {
            // The answer was lost on the way, and the same key asks again.
            Some(used_by) if used_by == key.as_str() && known.expires_at > now => {}
            // The real machine may have been the second one, so neither is believed.
            Some(_) if known.expires_at > now => {
                let alarm = "the enrolment token was used a second time, with another key: somebody may have read it on the network";
                return Err(raise(ctx, tx, &client, alarm, Identities::AreRevoked, now).await?);
            }
            // Each boot gets a new token, so this one comes from whoever kept the old one.
            Some(_) => {
                let alarm = "an enrolment token that was used long ago came again, with another key: somebody has read it on the network";
                return Err(raise(ctx, tx, &client, alarm, Identities::StayGood, now).await?);
            }
            None => {
                return Err(Error::Unauthenticated(
                    "this enrolment token has expired: restart the machine to get a new one".to_owned(),
                ));
            }
        }
    }
    admit(ctx, tx, &client, request, key, "by token").await
}

/// Gives a machine that may have one its identity.
async fn admit(
    ctx: &Ctx,
    mut tx: Tx,
    client: &Client,
    request: &EnrolRequest,
    key: &Sha256,
    how: &str,
) -> Result<EnrolResponse, Error> {
    let now = ctx.now();
    clients::set_facts(&mut tx, client.id, &request.facts, now).await?;
    let identity =
        issue(ctx, &mut tx, client, &request.csr_pem, request.realm, &request.boot_id, now).await?;
    // Not those of this key: the request may come twice, and the agent may hear the first answer.
    identities::revoke_in_realm(&mut tx, client.id, request.realm, key, REPLACED, now).await?;
    tx.commit().await?;
    ctx.presence.forget_certificates(client.id);
    timeline::note(ctx, request.mac, BootEventKind::Enrolled, &format!("as {}, {how}", client.name)).await;
    Ok(EnrolResponse::Enrolled(Box::new(identity)))
}

/// What an alarm means for identities that were given before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identities {
    /// Nobody else can have got one.
    StayGood,
    /// Nobody knows whose they are.
    AreRevoked,
}

/// Stops a client, keeps the reason, and gives the error for whoever asked.
async fn raise(
    ctx: &Ctx,
    mut tx: Tx,
    client: &Client,
    reason: &str,
    identities: Identities,
    now: i64,
) -> Result<Error, Error> {
    let then = if identities == Identities::AreRevoked { ", then restart the machine" } else { "" };
    let alarm = format!(
        "{reason}; find out which machine that was, then `lotse client clear-alarm {}`{then}",
        client.name
    );
    clients::set_alarm(&mut tx, client.id, Some(&alarm)).await?;
    if identities == Identities::AreRevoked {
        identities::revoke(&mut tx, client.id, reason, now).await?;
    }
    events::add(&mut tx, "client.alarm", Some(client.id), None, "enrolment", &alarm, now).await?;
    tx.commit().await?;
    ctx.presence.forget_certificates(client.id);
    ctx.presence.events_came();
    Ok(Error::Forbidden(format!("{reason}; an admin has to look at client {} first", client.name)))
}

async fn announce(ctx: &Ctx, request: &EnrolRequest, key: &Sha256) -> Result<EnrolResponse, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let waiting = |message: &str| EnrolResponse::Waiting {
        fingerprint: key.clone(),
        ask_again_s: ASK_AGAIN_S,
        message: message.to_owned(),
    };
    let Some(client) = clients::find_by_mac(&mut tx, request.mac).await? else {
        let id = discover(&mut tx, request, key, now).await?;
        tx.commit().await?;
        ctx.presence.events_came();
        timeline::note(ctx, request.mac, BootEventKind::Announced, &format!("a new machine, client {id}"))
            .await;
        return Ok(waiting("this machine is new here and waits for an admin to adopt it"));
    };
    if client.adopted_key.as_ref() == Some(key) {
        clients::lock(&mut tx, client.id).await?;
        return admit(ctx, tx, &client, request, key, "adopted").await;
    }
    if client.announced_key.as_ref() != Some(key)
        && let Some(known) = client.facts.as_ref().filter(|known| is_another(&known.dmi, &request.facts.dmi))
    {
        let words = format!(
            "another machine has the address of client {}: serial number `{}`, known is `{}`",
            client.name, request.facts.dmi.serial, known.dmi.serial
        );
        let remedy = format!(
            "give one of the two another address; if this one takes its place, `lotse client delete {}` and restart it",
            client.name
        );
        drop(tx);
        timeline::note_once(ctx, request.mac, BootEventKind::Refused, &format!("{words}; {remedy}")).await;
        return Ok(waiting(&format!("{words}; an admin has to decide.")));
    }
    match client.stage {
        Stage::Registered | Stage::Discovered => {
            if client.announced_key.as_ref() != Some(key) {
                clients::set_announced_key(&mut tx, client.id, key).await?;
                clients::set_facts(&mut tx, client.id, &request.facts, now).await?;
                clients::set_stage(&mut tx, client.id, Stage::Discovered).await?;
                events::add(&mut tx, "client.discovered", Some(client.id), None, "enrolment", "", now)
                    .await?;
                tx.commit().await?;
                ctx.presence.events_came();
                timeline::note(ctx, request.mac, BootEventKind::Announced, "waits for an admin").await;
            }
            Ok(waiting("this machine waits for an admin to adopt it"))
        }
        Stage::Retired => {
            drop(tx);
            let words = format!(
                "client {} is retired; to take it back, `lotse client reinstate {}`",
                client.name, client.name
            );
            timeline::note_once(ctx, request.mac, BootEventKind::Refused, &words).await;
            Ok(waiting(&words))
        }
        Stage::Installing | Stage::Installed => {
            if client.announced_key.as_ref() != Some(key) {
                clients::set_announced_key(&mut tx, client.id, key).await?;
                tx.commit().await?;
            }
            let words = format!(
                "a machine without an identity asks to be let in as {}; when the fingerprint on its screen is {key}, \
                 `lotse client adopt {} --fingerprint {key}`",
                client.name, client.name
            );
            timeline::note_once(ctx, request.mac, BootEventKind::Refused, &words).await;
            Ok(waiting(
                "a client with this machine's address is managed already; an admin has to let it in again",
            ))
        }
    }
}

/// Whether two descriptions are certainly of two machines: boards without numbers may be the same.
fn is_another(known: &Dmi, seen: &Dmi) -> bool {
    let differ = |known: &str, seen: &str| !known.is_empty() && !seen.is_empty() && known != seen;
    differ(&known.uuid, &seen.uuid) || (known.uuid != seen.uuid && differ(&known.serial, &seen.serial))
}

async fn discover(tx: &mut Tx, request: &EnrolRequest, key: &Sha256, now: i64) -> Result<ClientId, Error> {
    if clients::count(tx, Stage::Discovered).await? >= MOST_DISCOVERED {
        return Err(Error::Unavailable {
            title: format!("{MOST_DISCOVERED} discovered machines wait for adoption already"),
            remedy: "adopt the machines that are yours, and delete the others: `lotse client list --stage discovered`".to_owned(),
        });
    }
    let name = format!("new-{}", request.mac.to_string().replace(':', ""));
    let macs: Vec<Mac> = others_without_owner(tx, request).await?;
    let id = clients::create(tx, &name, Stage::Discovered, &ClientConfig::default(), &macs, now).await?;
    clients::set_announced_key(tx, id, key).await?;
    clients::set_facts(tx, id, &request.facts, now).await?;
    events::add(tx, "client.discovered", Some(id), None, "enrolment", &name, now).await?;
    Ok(id)
}

/// The address that booted, and the machine's other ones that no client has.
async fn others_without_owner(tx: &mut Tx, request: &EnrolRequest) -> Result<Vec<Mac>, Error> {
    let mut macs = vec![request.mac];
    for nic in &request.facts.nics {
        if !macs.contains(&nic.mac) && clients::find_by_mac(tx, nic.mac).await?.is_none() {
            macs.push(nic.mac);
        }
    }
    Ok(macs)
}

async fn issue(
    ctx: &Ctx,
    tx: &mut Tx,
    client: &Client,
    csr_pem: &str,
    realm: Realm,
    boot_id: &str,
    now: i64,
) -> Result<Identity, Error> {
    if let Some(alarm) = &client.alarm {
        return Err(Error::Forbidden(format!("client {} is stopped by an alarm: {alarm}", client.name)));
    }
    if client.stage == Stage::Retired {
        return Err(Error::Forbidden(format!("client {} is retired", client.name)));
    }
    let issued = ctx.authority.issue(csr_pem, client.id, now).map_err(unacceptable)?;
    let certificate = Certificate {
        serial: issued.serial.clone(),
        client: client.id,
        fingerprint: issued.key_fingerprint.clone(),
        expires_at: issued.expires_at,
        revoked_at: None,
    };
    identities::create_certificate(tx, &certificate, realm, boot_id, now).await?;
    Ok(Identity {
        client: client.id,
        name: client.name.clone(),
        certificate_pem: issued.pem,
        expires_at: issued.expires_at,
        ca_pem: ctx.authority.ca_pem().to_owned(),
        plan_key: ctx.authority.plan_key(),
        agents_url: ctx.addresses.agents.clone(),
        boot_url: ctx.addresses.boot.clone(),
        tools: tools(tx).await?,
    })
}

async fn tools(tx: &mut Tx) -> Result<Option<BlobRef>, db::Error> {
    Ok(images::find(tx, image::INSTALLER).await?.and_then(|mut image| image.parts.remove("tools")))
}

/// Exchanges an identity for a new one. The old one is good until the new one is used.
///
/// # Errors
/// The CSR is not acceptable, or the client may not have an identity now.
pub async fn renew(ctx: &Ctx, client: ClientId, request: &RenewRequest) -> Result<Identity, Error> {
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let client = find(&mut tx, client).await?;
    let identity =
        issue(ctx, &mut tx, &client, &request.csr_pem, request.realm, &request.boot_id, ctx.now()).await?;
    tx.commit().await?;
    Ok(identity)
}

async fn find(tx: &mut Tx, id: ClientId) -> Result<Client, Error> {
    clients::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))
}

/// Keeps what an agent measured.
///
/// # Errors
/// The database refuses.
pub async fn facts(ctx: &Ctx, client: ClientId, facts: &Facts) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    clients::set_facts(&mut tx, client, facts, now).await?;
    events::add(&mut tx, "client.facts", Some(client), None, &format!("client {client}"), "", now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Waits until there is work for the client, or the time is over.
///
/// # Errors
/// The database refuses.
pub async fn poll(ctx: &Ctx, client: ClientId, request: &PollRequest) -> Result<PollResponse, Error> {
    let seen = Seen {
        boot_id: request.boot_id.clone(),
        realm: request.realm,
        agent_version: request.agent_version.clone(),
        at: ctx.now(),
    };
    let mine = ctx.presence.begins_poll(client);
    if ctx.presence.heard(client, seen) {
        arrive(ctx, client, request).await?;
    }
    let answer = |order| Ok(PollResponse { server_at: ctx.now(), order });
    let wait = Duration::from_secs(u64::from(request.wait_s.min(LONGEST_WAIT_S)));
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let wake = ctx.presence.wake(client);
        // Registered before looking, so that work which arrives in between is noticed.
        let woken = wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        if !ctx.presence.is_newest_poll(client, mine) {
            return answer(Order::Rest { again_ms: OVERTAKEN_MS });
        }
        if let Some(order) = held_work(ctx, client, request).await? {
            return answer(order);
        }
        if ctx.presence.take_work(client) {
            if let Some(lease) = claim(ctx, client, request).await? {
                if ctx.presence.is_newest_poll(client, mine) {
                    return answer(Order::Run(Box::new(lease)));
                }
                // The newer one finds it as work that is held.
                wake.notify_waiters();
                continue;
            }
            check_in_service(ctx, client).await?;
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep_until(deadline) => return answer(Order::Rest { again_ms: 0 }),
            // A stopping server sends its agents away spread over some seconds, so that its successor is not overrun.
            () = ctx.presence.closing().cancelled() => {
                return answer(Order::Rest { again_ms: 500 + client.0.unsigned_abs() % 50 * 100 });
            }
        }
    }
}

/// A client that was retired or removed while its agent waited.
async fn check_in_service(ctx: &Ctx, client: ClientId) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    match clients::stage(&mut tx, client).await? {
        None => Err(Error::Unauthenticated("this client was removed from the server".to_owned())),
        Some(Stage::Retired) => Err(Error::Unauthenticated("this client is retired".to_owned())),
        Some(_) => Ok(()),
    }
}

/// The agent's first word in a boot or realm.
async fn arrive(ctx: &Ctx, client: ClientId, request: &PollRequest) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let known = find(&mut tx, client).await?;
    clients::set_seen(&mut tx, client, &request.boot_id, request.realm, &request.agent_version, now).await?;
    queue::follow_stage(&mut tx, client, known.stage, request.realm, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    if let Some(mac) = known.macs.first() {
        let place = match request.realm {
            Realm::Installer => "in the installer",
            Realm::System | Realm::Unknown => "in the installed system",
        };
        timeline::note(ctx, *mac, BootEventKind::Connected, place).await;
    }
    Ok(())
}

/// What becomes of work that the client holds by its own or by our account.
async fn held_work(ctx: &Ctx, client: ClientId, request: &PollRequest) -> Result<Option<Order>, Error> {
    if request.working.is_none() && !ctx.presence.may_hold_work(client) {
        return Ok(None);
    }
    let begun = ctx.presence.begun(client);
    if request.working.is_none() {
        let mut tx = ctx.db.read().await?;
        if attempts::running(&mut tx, client).await?.is_none() {
            ctx.presence.holds_no_work(client, begun);
            return Ok(None);
        }
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let running = attempts::running(&mut tx, client).await?;
    let order = match (running, request.working) {
        (None, None) => None,
        (None, Some(attempt)) => Some(dropped(&mut tx, attempt).await?),
        (Some(running), Some(attempt)) if running.id == attempt => {
            attempts::extend(&mut tx, attempt, now + i64::from(ctx.config.lease_s) * SECOND).await?;
            Some(Order::Run(Box::new(lease(ctx, &mut tx, &running).await?)))
        }
        (Some(_), Some(attempt)) => Some(dropped(&mut tx, attempt).await?),
        // The answer that carried the plan was lost: nothing has begun, so the same attempt goes out again.
        (Some(running), None) if running.boot_id == request.boot_id => {
            Some(Order::Run(Box::new(lease(ctx, &mut tx, &running).await?)))
        }
        (Some(running), None) => {
            let reason = "the machine was restarted in the middle of it";
            queue::lose(&mut tx, &running, reason, now).await?;
            ctx.presence.work_waits_for(client);
            None
        }
    };
    tx.commit().await?;
    Ok(order)
}

async fn dropped(tx: &mut Tx, id: AttemptId) -> Result<Order, Error> {
    let reason = match attempts::find(tx, id).await? {
        Some(attempt) if attempt.reason.is_empty() => format!("the attempt is {}", attempt.state.as_str()),
        Some(attempt) => format!("the attempt is {}: {}", attempt.state.as_str(), attempt.reason),
        None => "this server does not know the attempt".to_owned(),
    };
    Ok(Order::Drop { attempt: id, reason })
}

async fn lease(ctx: &Ctx, tx: &mut Tx, attempt: &Attempt) -> Result<Lease, Error> {
    let plan = jobs::find_plan(tx, attempt.job)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("job {} runs without a plan", attempt.job)))?;
    Ok(Lease { attempt: attempt.id, lease_s: ctx.config.lease_s, plan, tools: tools(tx).await? })
}

/// Takes the next job and its plan. A job that cannot be planned fails with the reason, and the next one is tried.
async fn claim(ctx: &Ctx, client: ClientId, request: &PollRequest) -> Result<Option<Lease>, Error> {
    loop {
        let now = ctx.now();
        let mut tx = ctx.db.write().await?;
        let claimed =
            queue::claim(&mut tx, client, request.realm, &request.boot_id, ctx.config.lease_s, now).await;
        // Another request of the same client was faster in the same moment; the database keeps the two apart.
        let claimed = match claimed {
            Err(db::Error::Exists(_)) => return Ok(None),
            other => other?,
        };
        let Some((job, id)) = claimed else { return Ok(None) };
        let planned = planning::plan(ctx, &mut tx, &job).await;
        match planned {
            Ok(plan) => {
                let tools = tools(&mut tx).await?;
                // Before, because whoever asked may be gone afterwards; after, because who looked in between saw nothing.
                ctx.presence.begins_work(client);
                tx.commit().await?;
                ctx.presence.begins_work(client);
                ctx.presence.events_came();
                return Ok(Some(Lease { attempt: id, lease_s: ctx.config.lease_s, plan, tools }));
            }
            Err(Error::Internal(error)) => return Err(Error::Internal(error)),
            Err(error) => {
                let reason = format!("it could not be planned: {error}");
                attempts::finish(&mut tx, id, AttemptState::Refused, &reason, now).await?;
                queue::transition(&mut tx, &job, JobEvent::Fail, "planner", &reason, None, now).await?;
                tx.commit().await?;
                ctx.presence.events_came();
            }
        }
    }
}

/// Takes a report.
///
/// # Errors
/// The client never had the attempt.
pub async fn report(
    ctx: &Ctx,
    client: ClientId,
    id: AttemptId,
    request: &ReportRequest,
) -> Result<ReportResponse, Error> {
    ctx.presence.still_there(client, ctx.now());
    let mut tx = ctx.db.write().await?;
    let response = queue::report(&mut tx, client, id, &request.events, ctx.config.lease_s, ctx.now()).await?;
    let ended =
        attempts::find(&mut tx, id).await?.is_some_and(|attempt| attempt.state != AttemptState::Running);
    tx.commit().await?;
    if ended {
        ctx.presence.work_waits_for(client);
    }
    if !request.events.is_empty() {
        ctx.presence.events_came();
    }
    Ok(response)
}

/// A secret that a step of the client's running attempt names.
///
/// # Errors
/// The attempt is not running, its plan does not name the secret, or the secret does not exist.
pub async fn secret(ctx: &Ctx, client: ClientId, id: AttemptId, reference: &str) -> Result<String, Error> {
    let mut tx = ctx.db.read().await?;
    let attempt = attempts::find(&mut tx, id)
        .await?
        .filter(|attempt| attempt.client == client && attempt.state == AttemptState::Running)
        .ok_or_else(|| Error::Forbidden(format!("attempt {id} is not running on this client")))?;
    let plan = jobs::find_plan(&mut tx, attempt.job).await?.map(|plan| plan.text).unwrap_or_default();
    if !planning::names_secret(&plan, reference) {
        return Err(Error::Forbidden(format!("the plan of attempt {id} names no secret `{reference}`")));
    }
    clients::find_secret(&mut tx, client, reference)
        .await?
        .ok_or_else(|| Error::not_found(format!("secret `{reference}` of client {client}")))
}
