//! What needs a second person: asked for, approved, refused, withdrawn.
//!
//! Invariant: what the settings name is carried out only in the transaction that marks its request approved ([`gate`]), so it happens once
//! and only when a second person said so, however many say something at the same time. Whoever asks cannot approve, neither by their
//! session nor by a token that they made; and it happens only when whoever asked may still do it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::JobId;

use super::{
    Error,
    batches::{self, BatchOrder},
    clients, groups, helpdesk, installation,
    jobs::{self, JobOrder},
    mass_installation::{self, MassOrder},
    people::{self, Actor},
    recovery, retirement,
    rollouts::{self, ScheduleOrder},
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
        approval::{Approval, ApprovalState, Risk, may_approve},
        people::Role,
        settings::{APPROVAL_ACTIONS, APPROVAL_HOURS, APPROVAL_MASS_ABOVE},
    },
};

/// What can be asked for and carried out later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Wish {
    /// Install a client.
    Install {
        /// Its name.
        client: String,
    },
    /// Install it anew, and restart it for that.
    Redo {
        /// Its name.
        client: String,
    },
    /// Take it out of service.
    Retire {
        /// Its name.
        client: String,
    },
    /// Remove it.
    DeleteClient {
        /// Its name.
        client: String,
    },
    /// Queue a job.
    Job {
        /// For which client.
        client: String,
        /// Which.
        order: JobOrder,
    },
    /// Queue the same job again.
    RetryJob {
        /// Which.
        job: JobId,
    },
    /// Install it anew, and do again what had succeeded on it.
    Recover {
        /// Its name.
        client: String,
    },
    /// Install many machines; passwords are in no wish.
    MassInstall {
        /// Which, and how.
        order: Box<MassOrder>,
    },
    /// Order something for many clients.
    Batch {
        /// What, and for which.
        order: Box<BatchOrder>,
    },
    /// Start a rollout.
    StartRollout {
        /// Its number.
        rollout: i64,
    },
    /// Let a rollout go on.
    ResumeRollout {
        /// Its number.
        rollout: i64,
    },
    /// Let a rollout come again and again.
    ScheduleRollout {
        /// What, and under which name.
        order: Box<ScheduleOrder>,
    },
    /// Queue a job for every member of a group.
    GroupJobs {
        /// Its name.
        group: String,
        /// Which job.
        order: JobOrder,
    },
}

impl Wish {
    /// The least role that may carry it out.
    fn role(&self) -> Role {
        match self {
            Self::Redo { .. } => Role::Helpdesk,
            Self::Batch { order } => order.order.role(),
            Self::Install { .. }
            | Self::Retire { .. }
            | Self::Job { .. }
            | Self::RetryJob { .. }
            | Self::Recover { .. }
            | Self::MassInstall { .. }
            | Self::StartRollout { .. }
            | Self::ResumeRollout { .. }
            | Self::ScheduleRollout { .. }
            | Self::GroupJobs { .. } => Role::Operator,
            Self::DeleteClient { .. } => Role::Admin,
        }
    }

    fn summary(&self, clients: usize) -> String {
        match self {
            Self::Install { client } => format!("install {client}"),
            Self::Redo { client } => format!("install {client} anew"),
            Self::Retire { client } => format!("retire {client}"),
            Self::DeleteClient { client } => format!("delete {client}"),
            Self::Job { client, order } => format!("{} on {client}", order.job_type),
            Self::RetryJob { job } => format!("job {job} again"),
            Self::Recover { client } => format!("recover {client}"),
            Self::MassInstall { .. } => {
                format!("install {clients} machines, without passwords: set those afterwards")
            }
            Self::Batch { order } => format!("{} for {clients} clients", order.order.as_str()),
            Self::StartRollout { rollout } => format!("start rollout {rollout} for {clients} clients"),
            Self::ResumeRollout { rollout } => {
                format!("let rollout {rollout} go on with the {clients} clients that wait")
            }
            Self::ScheduleRollout { order } => {
                format!("roll out {} again and again, now for {clients} clients", order.name)
            }
            Self::GroupJobs { group, order } => {
                format!("{} on the {clients} clients of group {group}", order.job_type)
            }
        }
    }

    async fn carry_out(&self, ctx: &Ctx, actor: &str) -> Result<(), Error> {
        let id = async |name: &str| -> Result<wire::ClientId, Error> {
            let mut tx = ctx.db.read().await?;
            Ok(clients::get(&mut tx, name).await?.id)
        };
        match self {
            Self::Install { client } => {
                installation::install(ctx, id(client).await?, false, actor).await.map(drop)
            }
            Self::Redo { client } => helpdesk::redo(ctx, client, actor).await.map(drop),
            Self::Retire { client } => retirement::retire(ctx, client, actor).await,
            Self::DeleteClient { client } => clients::delete(ctx, client, actor).await,
            Self::Job { client, order } => jobs::create(ctx, id(client).await?, order, actor).await.map(drop),
            Self::RetryJob { job } => jobs::retry(ctx, *job, actor).await.map(drop),
            Self::Recover { client } => recovery::recover(ctx, client, false, actor).await.map(drop),
            Self::MassInstall { order } => mass_installation::begin(ctx, order, actor).await.map(drop),
            Self::StartRollout { rollout } => rollouts::start(ctx, *rollout, actor).await,
            Self::ResumeRollout { rollout } => rollouts::resume(ctx, *rollout, actor).await,
            Self::ScheduleRollout { order } => rollouts::schedule(ctx, order, actor).await,
            Self::Batch { order } => batches::order(ctx, order, actor, order.order.role()).await.map(drop),
            Self::GroupJobs { group, order } => groups::create_jobs(ctx, group, order, actor).await.map(drop),
        }
    }
}

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
    may_approve(approval, &person, by.role)
        .map_err(|why| Error::Forbidden(format!("request {} ({}): {why}", approval.id, approval.summary)))?;
    let role = people::role_now(tx, &approval.pass, &approval.person, now).await?;
    if role.is_none_or(|role| role < approval.role) {
        return Err(Error::conflict(
            format!("{} asked for it, but may not do it any more: {}", approval.asked_by, approval.summary),
            format!("refuse it: `lotse approval refuse {}`", approval.id),
        ));
    }
    Ok(())
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
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, id: i64) -> Result<Approval, Error> {
    approvals::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("request {id} for approval")))
}

/// Requests before a number, newest first.
///
/// # Errors
/// The database refuses.
pub async fn list(
    tx: &mut Tx,
    state: Option<ApprovalState>,
    before: i64,
    limit: i64,
) -> Result<Vec<Approval>, Error> {
    Ok(approvals::list(tx, state, before, limit).await?)
}

/// How many wait for a decision.
///
/// # Errors
/// The database refuses.
pub async fn pending(ctx: &Ctx, tx: &mut Tx) -> Result<i64, Error> {
    Ok(approvals::count_pending(tx, ctx.now()).await?)
}

/// Approves a request and carries it out, in one transaction; when it cannot be carried out, it stays as it was.
///
/// # Errors
/// Whoever asks may not approve it, it was decided about, whoever asked for it may not any more, or what stands against carrying it out.
pub async fn approve(ctx: &Ctx, id: i64, by: &Actor) -> Result<(), Error> {
    let approval = {
        let mut tx = ctx.db.read().await?;
        let approval = get(&mut tx, id).await?;
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
    let approval = get(&mut tx, id).await?;
    let person = people::person(&mut tx, &people::pass_word(&by.pass), &by.name).await?;
    let state = if person == approval.person {
        ApprovalState::Withdrawn
    } else {
        may_approve(&approval, &person, by.role).map_err(|why| Error::Forbidden(why.to_string()))?;
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
