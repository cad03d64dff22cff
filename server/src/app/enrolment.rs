//! How machines get an identity: by a token, or by being announced and adopted; and what happens to those who may not have one.

use wire::{
    ClientId, Mac, Sha256,
    enrol::{EnrolRequest, EnrolResponse, Identity, Realm, RenewRequest},
    facts::Dmi,
};

use super::{
    Error,
    agents::{REPLACED, find, short, tools},
    rules,
};
use crate::{
    boot::timeline,
    context::Ctx,
    db::{
        Tx, clients, events,
        identities::{self, Certificate},
        jobs,
    },
    domain::{
        boot::{self, BootDecision, BootEventKind, BootState},
        client::{Client, ClientConfig, Stage},
    },
    identity::{self, Authority, token},
};

/// A machine that waits for adoption asks again after this long.
const ASK_AGAIN_S: u32 = 3;
/// More unknown machines than this may not wait for adoption: anybody on the network can announce some.
const MOST_DISCOVERED: i64 = 5000;

/// So many addresses of its own may an unknown machine name: who names more takes them from machines that have yet to come.
const MOST_NICS: usize = 32;

/// Gives a machine its identity, or takes note of it and lets it wait.
///
/// # Errors
/// The token is unknown, expired, of another machine or used by another key; the CSR is not acceptable.
pub async fn enrol(ctx: &Ctx, request: &EnrolRequest) -> Result<EnrolResponse, Error> {
    short(&[("boot_id", &request.boot_id), ("agent_version", &request.agent_version)])?;
    let key = Authority::request_fingerprint(&request.csr_pem).map_err(unacceptable)?;
    if !request.looked.is_empty() {
        // The newest first: what was found comes last, and long lines are cut.
        let looked: Vec<_> = request.looked.iter().rev().map(String::as_str).collect();
        timeline::note(ctx, request.mac, BootEventKind::Searched, &looked.join("; ")).await;
    }
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
            // Everybody on that machine can read its user-data, so this is nothing to be alarmed about.
            Some(_) if known.lasting && is_same_machine(&client, request) => {
                if known.expires_at <= now || !starts_installer(&mut tx, &client, request.realm).await? {
                    return Err(Error::Unauthenticated(format!(
                        "the token in this machine's user-data is used up, and client {} does not wait for the installer: take the boot medium \
                         out, or order an installation and make new user-data",
                        client.name
                    )));
                }
            }
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

/// The machine that has used the client's token before, as far as boards have numbers.
fn is_same_machine(client: &Client, request: &EnrolRequest) -> bool {
    client.facts.as_ref().is_some_and(|known| !is_another(&known.dmi, &request.facts.dmi))
}

/// The boot script, too, would give this machine a token for the installer now.
async fn starts_installer(tx: &mut Tx, client: &Client, realm: Realm) -> Result<bool, Error> {
    let installer_job = jobs::wants_installer(tx, client.id).await?;
    let state = BootState { stage: client.stage, installer_job, alarm: client.alarm.is_some() };
    Ok(realm == Realm::Installer && boot::decide(Some(state)) == BootDecision::Installer)
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
    // A cloud gives the address, so nobody could say it before.
    if client.macs.is_empty() && clients::find_by_mac(&mut tx, request.mac).await?.is_none() {
        clients::add_mac(&mut tx, client.id, request.mac).await?;
    }
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
        rules::meet(ctx, id).await;
        return Ok(waiting("this machine is new here and waits for an admin to adopt it"));
    };
    if client.adopted_key.as_ref() == Some(key) {
        clients::lock(&mut tx, client.id).await?;
        return admit(ctx, tx, &client, request, key, "adopted").await;
    }
    let words = keep_waiting(ctx, tx, &client, request, key).await?;
    Ok(waiting(&words))
}

/// Takes note of a machine that shows a known address and may not have the identity; gives the words for its screen.
async fn keep_waiting(
    ctx: &Ctx,
    mut tx: Tx,
    client: &Client,
    request: &EnrolRequest,
    key: &Sha256,
) -> Result<String, Error> {
    let now = ctx.now();
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
        return Ok(format!("{words}; an admin has to decide."));
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
            Ok("this machine waits for an admin to adopt it".to_owned())
        }
        Stage::Retired => {
            drop(tx);
            let words = format!(
                "client {} is retired; to take it back, `lotse client reinstate {}`",
                client.name, client.name
            );
            timeline::note_once(ctx, request.mac, BootEventKind::Refused, &words).await;
            Ok(words)
        }
        Stage::Installing | Stage::Installed => {
            if client.announced_key.as_ref() == Some(key) {
                drop(tx);
            } else {
                clients::set_announced_key(&mut tx, client.id, key).await?;
                tx.commit().await?;
            }
            let words = format!(
                "a machine without an identity asks to be let in as {}; when the fingerprint on its screen is {key}, \
                 `lotse client adopt {} --fingerprint {key}`",
                client.name, client.name
            );
            timeline::note_once(ctx, request.mac, BootEventKind::Refused, &words).await;
            Ok("a client with this machine's address is managed already; an admin has to let it in again"
                .to_owned())
        }
    }
}

/// Whether two descriptions are certainly of two machines: boards without numbers may be the same.
fn is_another(known: &Dmi, seen: &Dmi) -> bool {
    let both = |known: &str, seen: &str| !known.is_empty() && !seen.is_empty();
    if both(&known.uuid, &seen.uuid) {
        return known.uuid != seen.uuid;
    }
    both(&known.serial, &seen.serial) && known.serial != seen.serial
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
    for nic in request.facts.nics.iter().take(MOST_NICS) {
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

/// Exchanges an identity for a new one. The old one is good until the new one is used.
///
/// # Errors
/// The CSR is not acceptable, or the client may not have an identity now.
pub async fn renew(ctx: &Ctx, client: ClientId, request: &RenewRequest) -> Result<Identity, Error> {
    short(&[("boot_id", &request.boot_id)])?;
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let client = find(&mut tx, client).await?;
    let identity =
        issue(ctx, &mut tx, &client, &request.csr_pem, request.realm, &request.boot_id, ctx.now()).await?;
    tx.commit().await?;
    Ok(identity)
}
