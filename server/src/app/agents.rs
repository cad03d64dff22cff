//! What agents with an identity ask for: work, and somebody who takes their reports. How they get one is in [`super::enrolment`].

use std::time::Duration;

use wire::{
    AttemptId, ClientId,
    enrol::{BlobRef, Realm},
    event::{ReportRequest, ReportResponse},
    facts::Facts,
    poll::{Lease, Order, PollRequest, PollResponse},
    problem::FieldProblem,
};

use super::{Error, joining, planning};
use crate::{
    boot::timeline,
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx, attempts, clients, events, hosted,
        identities::{self, Certificate},
        images,
    },
    domain::{
        boot::BootEventKind,
        client::{Client, Stage},
        image,
        job::{Attempt, AttemptState, JobEvent},
    },
    presence::Seen,
    queue,
};

/// Longest time that a poll may wait here.
const LONGEST_WAIT_S: u32 = 60;
/// A poll that a newer one of the same client has overtaken is not repeated at once: two machines with one identity would chase
/// each other.
const OVERTAKEN_MS: u64 = 1000;
/// A certificate is looked up again after this long, so that a revocation on another node is noticed.
const CERTIFICATE_CACHED_FOR: i64 = 10 * SECOND;
/// Why a certificate is revoked that nobody needs any more.
pub(super) const REPLACED: &str = "replaced by a newer identity";

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

/// The tool set of the installer realm.
pub(super) async fn tools(tx: &mut Tx) -> Result<Option<BlobRef>, db::Error> {
    Ok(images::find(tx, image::INSTALLER).await?.and_then(|mut image| image.parts.remove("tools")))
}

/// A client that must exist.
pub(super) async fn find(tx: &mut Tx, id: ClientId) -> Result<Client, Error> {
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
    if let Some(told) = &facts.vm_host {
        hosted::follow(&mut tx, client, &told.machines, now).await?;
    }
    events::add(&mut tx, "client.facts", Some(client), None, &format!("client {client}"), "", now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Longest word of an agent about itself; a boot id has 36 letters.
const LONGEST_WORD: usize = 100;

/// Refuses words of an agent about itself that are longer than any real one: they are kept in memory and in every attempt.
pub(super) fn short(words: &[(&str, &str)]) -> Result<(), Error> {
    let fields: Vec<_> = words
        .iter()
        .filter(|(_, word)| word.len() > LONGEST_WORD)
        .map(|(field, word)| FieldProblem {
            field: (*field).to_owned(),
            message: format!("must have at most {LONGEST_WORD} bytes, this has {}", word.len()),
        })
        .collect();
    if fields.is_empty() {
        Ok(())
    } else {
        Err(Error::fields("the agent says too much about itself", fields))
    }
}

/// Waits until there is work for the client, or the time is over.
///
/// # Errors
/// The agent's words about itself are too long, or the database refuses.
pub async fn poll(ctx: &Ctx, client: ClientId, request: &PollRequest) -> Result<PollResponse, Error> {
    short(&[("boot_id", &request.boot_id), ("agent_version", &request.agent_version)])?;
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
    let plan = attempts::find_plan(tx, attempt)
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
                let silence = planning::silence(&plan);
                if silence > 0 {
                    attempts::set_silence(&mut tx, id, silence).await?;
                }
                let plan = joining::join(ctx, &mut tx, (&job, id), request.realm, plan).await?;
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
        ctx.presence.events_came();
    }
    if !request.events.is_empty() {
        ctx.presence.output_came(id);
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
    let plan = attempts::find_plan(&mut tx, &attempt).await?.map(|plan| plan.text).unwrap_or_default();
    if !planning::names_secret(&plan, reference) {
        return Err(Error::Forbidden(format!("the plan of attempt {id} names no secret `{reference}`")));
    }
    clients::find_secret(&mut tx, client, reference)
        .await?
        .ok_or_else(|| Error::not_found(format!("secret `{reference}` of client {client}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_longer_than_any_real_one_are_refused_by_field() {
        assert!(
            short(&[("boot_id", "6f0e7e1c-0f3c-4f0e-9d53-1c1f8a3f0b52"), ("agent_version", "0.1.0")]).is_ok()
        );
        let Err(Error::Invalid { fields, .. }) =
            short(&[("boot_id", "b"), ("agent_version", &"9".repeat(101))])
        else {
            panic!("it is accepted")
        };
        assert_eq!(fields[0].field, "agent_version");
    }
}
