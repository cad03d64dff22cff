//! What needs a second person: asked for, approved, refused, withdrawn.
//!
//! Invariant: what the settings name is carried out only in the transaction that marks its request approved ([`gate`]), so it happens once
//! and only when a second person said so, however many say something at the same time. Whoever asks cannot approve, neither by their
//! session nor by a token that they made; and it happens only when whoever asked may still do it. For both, the role counts that they have
//! where it happens: for the client or group that it is about.

mod wish;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;

pub use self::wish::Wish;
use super::{
    Error,
    people::{self, Actor},
    settings,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, approvals,
        audit::{self, Origin},
        events,
    },
    domain::{
        approval::{Approval, ApprovalState, NotYours, Risk, may_approve},
        people::Role,
        reach::Reach,
        settings::{APPROVAL_ACTIONS, APPROVAL_HOURS, APPROVAL_MASS_ABOVE},
    },
};

/// Rows that are read at once where some are left out.
const PORTION: i64 = 200;

/// A second person who says yes, while what was asked for is carried out.
#[derive(Clone)]
struct Grant {
    approval: i64,
    by: Actor,
    used: Arc<AtomicBool>,
}

tokio::task_local! {
    static GRANT: Grant;
}

/// What a use case passes before it changes anything: gives the transaction back when it may go on. When the settings want a second person
/// for it, the wish is kept instead, and the use case ends with [`Error::AwaitsApproval`]. `clients` says how many it is for.
///
/// # Errors
/// It needs an approval; or the approval that it is carried out with does not hold any more.
pub async fn gate(
    ctx: &Ctx,
    tx: Tx,
    wish: &Wish,
    risk: Option<Risk>,
    clients: usize,
    actor: &str,
) -> Result<Tx, Error> {
    gate_when(ctx, tx, wish, risk, false, clients, actor).await
}

/// The same, where the object itself may want a second person whatever the settings say.
///
/// # Errors
/// As [`gate`].
pub async fn gate_when(
    ctx: &Ctx,
    mut tx: Tx,
    wish: &Wish,
    risk: Option<Risk>,
    always: bool,
    clients: usize,
    actor: &str,
) -> Result<Tx, Error> {
    if let Ok(grant) = GRANT.try_with(Clone::clone) {
        if !grant.used.load(Ordering::Acquire) {
            use_up(ctx, &mut tx, &grant).await?;
        }
        return Ok(tx);
    }
    // The server itself needs nobody.
    let Some(origin) = Origin::current() else { return Ok(tx) };
    let settings = settings::current(&mut tx).await?;
    let mass = i64::try_from(clients).unwrap_or(i64::MAX) > settings.number(&APPROVAL_MASS_ABOVE);
    let risks = risk.into_iter().chain(mass.then_some(Risk::MassAction));
    let mut needed = risks.filter(|risk| settings.has(&APPROVAL_ACTIONS, risk.as_str()));
    let wanted = || always.then_some(risk.unwrap_or(Risk::MassAction));
    let Some(risk) = needed.next().or_else(wanted) else { return Ok(tx) };
    let now = ctx.now();
    let person = people::person(&mut tx, &origin.via, &origin.actor).await?;
    let mut approval = Approval {
        id: 0,
        wish: serde_json::to_value(wish).map_err(|error| Error::Internal(error.into()))?,
        summary: wish.summary(clients),
        risk,
        role: wish.role(),
        asked_by: actor.to_owned(),
        person,
        pass: origin.via.clone(),
        asked_at: now,
        expires_at: now + settings.number(&APPROVAL_HOURS) * 3600 * SECOND,
        state: ApprovalState::Pending,
        decided_by: None,
        decided_at: None,
        reason: String::new(),
    };
    if let Some(same) = approvals::pending_same(&mut tx, &approval.person, &approval.wish, now).await? {
        return Err(Error::AwaitsApproval { approval: same.id, summary: same.summary });
    }
    approval.id = approvals::create(&mut tx, &approval).await?;
    let after = json!({ "wish": approval.wish, "risk": approval.risk, "expires_at": approval.expires_at });
    audit::note(&mut tx, "approval.ask", &format!("approval {}", approval.id), &(), &after).await?;
    let detail = format!("{} ({})", approval.summary, approval.id);
    events::add(&mut tx, "approval.asked", None, None, actor, &detail, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Err(Error::AwaitsApproval { approval: approval.id, summary: approval.summary })
}

/// Marks the request approved, in the transaction that carries it out.
async fn use_up(ctx: &Ctx, tx: &mut Tx, grant: &Grant) -> Result<(), Error> {
    let now = ctx.now();
    let approval = get(tx, grant.approval).await?;
    check(tx, &approval, &grant.by, now).await?;
    if !approvals::decide(tx, approval.id, ApprovalState::Approved, &grant.by.name, "", now).await? {
        return Err(decided(&get(tx, approval.id).await?));
    }
    grant.used.store(true, Ordering::Release);
    note(tx, &approval, ApprovalState::Approved, "", &grant.by.name, now).await
}

async fn check(tx: &mut Tx, approval: &Approval, by: &Actor, now: i64) -> Result<(), Error> {
    if approval.state != ApprovalState::Pending || approval.expires_at <= now {
        return Err(decided(approval));
    }
    let person = people::person(tx, &people::pass_word(&by.pass), &by.name).await?;
    may(tx, approval, &person, &by.reach)
        .await?
        .map_err(|why| Error::Forbidden(format!("request {} ({}): {why}", approval.id, approval.summary)))?;
    let role = match people::reach_now(tx, &approval.pass, &approval.person, now).await? {
        Some(reach) => role_there(tx, approval, &reach).await?,
        None => None,
    };
    if role.is_none_or(|role| role < approval.role) {
        return Err(Error::conflict(
            format!("{} asked for it, but may not do it any more: {}", approval.asked_by, approval.summary),
            format!("refuse it: `lotse approval refuse {}`", approval.id),
        ));
    }
    Ok(())
}

/// The role that somebody has where a request would happen.
async fn role_there(tx: &mut Tx, approval: &Approval, reach: &Reach) -> Result<Option<Role>, Error> {
    // One that nobody understands any more is for those who have everything.
    match serde_json::from_value::<Wish>(approval.wish.clone()) {
        Ok(wish) => wish.role_there(tx, reach).await,
        Err(_) => Ok(reach.everywhere),
    }
}

/// Whether somebody may decide about a request, by the role that they have where it would happen.
///
/// # Errors
/// The database refuses.
pub async fn may(
    tx: &mut Tx,
    approval: &Approval,
    person: &str,
    reach: &Reach,
) -> Result<Result<(), NotYours>, Error> {
    let role = role_there(tx, approval, reach).await?;
    Ok(may_approve(approval, person, role.filter(|_| !reach.read_only)))
}

/// Whether somebody sees a request: they help where it would happen, or have asked for it.
async fn is_seen(tx: &mut Tx, approval: &Approval, person: &str, reach: &Reach) -> Result<bool, Error> {
    Ok(approval.person == person || role_there(tx, approval, reach).await? >= Some(Role::Helpdesk))
}

fn decided(approval: &Approval) -> Error {
    let how = match (&approval.state, &approval.decided_by) {
        (ApprovalState::Pending | ApprovalState::Expired, _) => "has expired".to_owned(),
        (state, Some(by)) => format!("was {} by {by}", state.as_str()),
        (state, None) => format!("is {}", state.as_str()),
    };
    Error::conflict(
        format!("request {} ({}) {how}", approval.id, approval.summary),
        "if it is still wanted, somebody has to ask again",
    )
}

async fn note(
    tx: &mut Tx,
    approval: &Approval,
    state: ApprovalState,
    reason: &str,
    actor: &str,
    now: i64,
) -> Result<(), Error> {
    let (action, kind) = match state {
        ApprovalState::Approved => ("approval.approve", "approval.approved"),
        ApprovalState::Refused => ("approval.refuse", "approval.refused"),
        ApprovalState::Withdrawn | ApprovalState::Pending | ApprovalState::Expired => {
            ("approval.withdraw", "approval.withdrawn")
        }
    };
    let before = json!({ "state": approval.state, "wish": approval.wish, "asked_by": approval.asked_by });
    let after =
        json!({ "state": state, "reason": reason, "wish": approval.wish, "asked_by": approval.asked_by });
    audit::note(tx, action, &format!("approval {}", approval.id), &before, &after).await?;
    events::add(tx, kind, None, None, actor, &format!("{} ({})", approval.summary, approval.id), now).await?;
    Ok(())
}

/// A request that must exist.
async fn get(tx: &mut Tx, id: i64) -> Result<Approval, Error> {
    approvals::find(tx, id).await?.ok_or_else(|| missing(id))
}

fn missing(id: i64) -> Error {
    Error::not_found(format!("request {id} for approval"))
}

/// A request that somebody sees.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn show(tx: &mut Tx, id: i64, asking: &Actor) -> Result<Approval, Error> {
    let approval = get(tx, id).await?;
    let person = people::person(tx, &people::pass_word(&asking.pass), &asking.name).await?;
    if is_seen(tx, &approval, &person, &asking.reach).await? { Ok(approval) } else { Err(missing(id)) }
}

/// Requests before a number that somebody sees, newest first.
///
/// # Errors
/// The database refuses.
pub async fn list(
    tx: &mut Tx,
    asking: &Actor,
    state: Option<ApprovalState>,
    before: i64,
    limit: i64,
) -> Result<Vec<Approval>, Error> {
    let person = people::person(tx, &people::pass_word(&asking.pass), &asking.name).await?;
    let (mut seen, mut before) = (Vec::new(), before);
    loop {
        let portion = approvals::list(tx, state, before, PORTION).await?;
        let Some(last) = portion.last() else { return Ok(seen) };
        before = last.id;
        for approval in portion {
            if is_seen(tx, &approval, &person, &asking.reach).await? {
                seen.push(approval);
            }
            if i64::try_from(seen.len()).is_ok_and(|count| count >= limit) {
                return Ok(seen);
            }
        }
    }
}

/// How many wait for a decision that somebody may make.
///
/// # Errors
/// The database refuses.
pub async fn pending(ctx: &Ctx, tx: &mut Tx, asking: &Actor) -> Result<i64, Error> {
    if approvals::count_pending(tx, ctx.now()).await? == 0 {
        return Ok(0);
    }
    let person = people::person(tx, &people::pass_word(&asking.pass), &asking.name).await?;
    let mut count = 0;
    for approval in approvals::list(tx, Some(ApprovalState::Pending), i64::MAX, PORTION).await? {
        if approval.expires_at > ctx.now() && may(tx, &approval, &person, &asking.reach).await?.is_ok() {
            count += 1;
        }
    }
    Ok(count)
}

/// Approves a request and carries it out, in one transaction; when it cannot be carried out, it stays as it was.
///
/// # Errors
/// Whoever asks may not approve it, it was decided about, whoever asked for it may not any more, or what stands against carrying it out.
pub async fn approve(ctx: &Ctx, id: i64, by: &Actor) -> Result<(), Error> {
    let approval = {
        let mut tx = ctx.db.read().await?;
        let approval = show(&mut tx, id, by).await?;
        check(&mut tx, &approval, by, ctx.now()).await?;
        approval
    };
    let wish: Wish =
        serde_json::from_value(approval.wish.clone()).map_err(|error| Error::Internal(error.into()))?;
    let grant = Grant { approval: id, by: by.clone(), used: Arc::default() };
    let actor = format!("{} (approved by {})", approval.asked_by, by.name);
    // Boxed, because what is carried out may itself pass the gate.
    GRANT.scope(grant, Box::pin(wish.carry_out(ctx, &actor))).await
}

/// Refuses a request; whoever asked for it withdraws it so.
///
/// # Errors
/// It was decided about, or whoever asks could not approve it either.
pub async fn refuse(ctx: &Ctx, id: i64, by: &Actor, reason: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let approval = show(&mut tx, id, by).await?;
    let person = people::person(&mut tx, &people::pass_word(&by.pass), &by.name).await?;
    let state = if person == approval.person {
        ApprovalState::Withdrawn
    } else {
        may(&mut tx, &approval, &person, &by.reach)
            .await?
            .map_err(|why| Error::Forbidden(why.to_string()))?;
        ApprovalState::Refused
    };
    let reason: String = reason.trim().chars().filter(|letter| !letter.is_control()).take(500).collect();
    if !approvals::decide(&mut tx, id, state, &by.name, &reason, now).await? {
        return Err(decided(&get(&mut tx, id).await?));
    }
    note(&mut tx, &approval, state, &reason, &by.name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Ends what nobody has decided about in time.
///
/// # Errors
/// The database refuses.
pub async fn expire(ctx: &Ctx) -> Result<(), Error> {
    let due = {
        let mut tx = ctx.db.read().await?;
        approvals::any_overdue(&mut tx, ctx.now()).await?
    };
    if !due {
        return Ok(());
    }
    let mut tx = ctx.db.write().await?;
    if approvals::expire(&mut tx, ctx.now()).await? > 0 {
        tx.commit().await?;
        ctx.presence.events_came();
    }
    Ok(())
}
