//! What people do with a rollout: start it, hold it, let it go on, end it, try again what failed. Each is one transaction that has the
//! rollout locked; what follows from it, the next round does.

use serde_json::json;

use super::{Error, expiry, get, risk, target};
use crate::{
    app::approvals::{self, Wish},
    context::Ctx,
    db::{
        Tx, audit, events,
        rollouts::{self, Rollout, members},
    },
    domain::rollout::{Latecomers, RolloutClientState, RolloutState, Why, split},
};

/// Longest reason that somebody gives.
const REASON: usize = 500;

async fn locked(ctx: &Ctx, id: i64) -> Result<(Tx, Rollout), Error> {
    let mut tx = ctx.db.write().await?;
    rollouts::lock(&mut tx, id).await?;
    let rollout = get(&mut tx, id).await?;
    Ok((tx, rollout))
}

fn impossible(rollout: &Rollout, what: &str, remedy: &str) -> Error {
    let (id, title, state) = (rollout.id, &rollout.title, rollout.state.as_str());
    Error::conflict(format!("rollout {id} ({title}) is {state}, so it cannot be {what}"), remedy)
}

/// A change of state, as the audit, the history of the rollout and the event stream know it.
struct Change<'a> {
    /// Such as `pause`; the audit's word.
    action: &'a str,
    /// Such as `paused`; the word of history and events.
    kind: &'a str,
    to: RolloutState,
    why: Option<&'a Why>,
    count: Option<i64>,
}

async fn change(
    ctx: &Ctx,
    mut tx: Tx,
    rollout: &Rollout,
    change: &Change<'_>,
    actor: &str,
) -> Result<(), Error> {
    let now = ctx.now();
    rollouts::set_state(&mut tx, rollout.id, change.to, change.why, now).await?;
    rollouts::note(&mut tx, rollout.id, change.kind, None, change.count, change.why, actor, now).await?;
    let (before, after) = (
        json!({ "state": rollout.state, "why": rollout.why }),
        json!({ "state": change.to, "why": change.why, "count": change.count }),
    );
    let (action, object) = (format!("rollout.{}", change.action), format!("rollout {}", rollout.id));
    audit::note(&mut tx, &action, &object, &before, &after).await?;
    let detail = format!("{} ({})", rollout.title, rollout.id);
    events::add(&mut tx, &format!("rollout.{}", change.kind), None, None, actor, &detail, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    ctx.presence.rollout_came();
    Ok(())
}

/// Starts a rollout: from now on its clients are fixed, unless it takes latecomers.
///
/// # Errors
/// It was started, it is for nobody, or it needs an approval.
pub async fn start(ctx: &Ctx, id: i64, actor: &str) -> Result<(), Error> {
    let (mut tx, rollout) = locked(ctx, id).await?;
    if rollout.state != RolloutState::Planned {
        return Err(impossible(&rollout, "started", "make another one with the same words"));
    }
    let ids = target::choose(ctx, &mut tx, &rollout.spec).await?;
    let wish = Wish::StartRollout { rollout: id };
    let (risk, forced) = (risk(&rollout.spec), rollout.spec.approve_start);
    let mut tx = approvals::gate_when(ctx, tx, &wish, risk, forced, ids.len(), actor).await?;
    begin(ctx, &mut tx, &rollout, ids, actor).await?;
    change(ctx, tx, &rollout, &started(), actor).await
}

fn started() -> Change<'static> {
    Change { action: "start", kind: "started", to: RolloutState::Running, why: None, count: None }
}

/// Gives each client its wave and its place.
async fn begin(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    mut ids: Vec<wire::ClientId>,
    actor: &str,
) -> Result<(), Error> {
    let (spec, id) = (&rollout.spec, rollout.id);
    if ids.is_empty() && spec.target.latecomers == Latecomers::Ignore && rollout.schedule.is_none() {
        return Err(Error::conflict(
            format!("rollout {id} ({}) is for no client", rollout.title),
            "look whom its group or search means now",
        ));
    }
    target::sort(spec, id, &mut ids);
    let sizes: Vec<_> = spec.waves.iter().map(|wave| wave.size).collect();
    let total = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let mut rest = ids.into_iter();
    let mut clients = Vec::with_capacity(rest.len());
    for (wave, part) in (0_i64..).zip(split(total, &sizes)) {
        clients.extend(rest.by_ref().take(usize::try_from(part).unwrap_or(0)).map(|client| (client, wave)));
    }
    let now = ctx.now();
    rollouts::add_waves(tx, id, 0, i64::try_from(sizes.len()).unwrap_or(0)).await?;
    members::add(tx, id, 0, &clients, None, now).await?;
    rollouts::set_started(tx, id, actor, now).await?;
    Ok(())
}

/// Starts one that a schedule has just made, in the transaction that made it; somebody had it approved when the schedule was made.
pub(super) async fn start_scheduled(ctx: &Ctx, mut tx: Tx, id: i64, actor: &str) -> Result<(), Error> {
    let rollout = get(&mut tx, id).await?;
    let ids = target::choose(ctx, &mut tx, &rollout.spec).await?;
    begin(ctx, &mut tx, &rollout, ids, actor).await?;
    change(ctx, tx, &rollout, &started(), actor).await
}

fn person(actor: &str, reason: &str) -> Why {
    let reason = reason.trim().chars().filter(|letter| !letter.is_control()).take(REASON).collect();
    Why::Person { actor: actor.to_owned(), reason }
}

/// Holds a rollout: what runs ends, nothing begins.
///
/// # Errors
/// It does not run.
pub async fn pause(ctx: &Ctx, id: i64, reason: &str, actor: &str) -> Result<(), Error> {
    let (tx, rollout) = locked(ctx, id).await?;
    if rollout.state != RolloutState::Running {
        return Err(impossible(&rollout, "paused", "only one that runs can be"));
    }
    let why = person(actor, reason);
    let paused =
        Change { action: "pause", kind: "paused", to: RolloutState::Paused, why: Some(&why), count: None };
    change(ctx, tx, &rollout, &paused, actor).await
}

/// Stops a rollout because something is wrong: what runs ends, nothing begins.
///
/// # Errors
/// It does not run and is not paused.
pub async fn halt(ctx: &Ctx, id: i64, reason: &str, actor: &str) -> Result<(), Error> {
    let (tx, rollout) = locked(ctx, id).await?;
    if !matches!(rollout.state, RolloutState::Running | RolloutState::Paused) {
        return Err(impossible(&rollout, "halted", "only one that runs or is paused can be"));
    }
    let why = person(actor, reason);
    let halted =
        Change { action: "halt", kind: "halted", to: RolloutState::Halted, why: Some(&why), count: None };
    change(ctx, tx, &rollout, &halted, actor).await
}

/// Lets a rollout go on. Whoever does that knows what has failed: only further failures stop it again.
///
/// # Errors
/// It is neither paused nor halted, or it needs an approval.
pub async fn resume(ctx: &Ctx, id: i64, actor: &str) -> Result<(), Error> {
    let (mut tx, rollout) = locked(ctx, id).await?;
    if !matches!(rollout.state, RolloutState::Paused | RolloutState::Halted) {
        return Err(impossible(&rollout, "resumed", "only one that is paused or halted can be"));
    }
    if matches!(rollout.why, Some(Why::PausePoint { .. })) && rollout.spec.approve_pauses {
        let clients = rollouts::progress(&mut tx, &rollout).await?.counts().waiting;
        let wish = Wish::ResumeRollout { rollout: id };
        let clients = usize::try_from(clients).unwrap_or(0);
        tx = approvals::gate_when(ctx, tx, &wish, None, true, clients, actor).await?;
    }
    let last = {
        let mut progress = rollouts::progress(&mut tx, &rollout).await?;
        let waves = progress.waves.len();
        let let_through = match &rollout.why {
            Some(Why::NobodySucceeded { wave, .. } | Why::NotEnoughSucceeded { wave: Some(wave), .. }) => {
                *wave
            }
            Some(Why::NotEnoughSucceeded { wave: None, .. }) => waves,
            _ => 0,
        };
        let released = match &rollout.why {
            Some(Why::PausePoint { wave }) => *wave,
            _ => 0,
        };
        for (place, wave) in progress.waves.iter_mut().enumerate() {
            wave.forgiven = wave.counts.failed;
            wave.waved_through |= place + 1 == let_through;
            wave.released |= place + 1 == released;
            let number = i64::try_from(place).unwrap_or(i64::MAX);
            rollouts::set_wave(&mut tx, id, number, wave).await?;
        }
        progress.counts().failed
    };
    let resumed = Change {
        action: "resume",
        kind: "resumed",
        to: RolloutState::Running,
        why: None,
        count: (last > 0).then_some(last),
    };
    change(ctx, tx, &rollout, &resumed, actor).await
}

/// Ends a rollout: who waits is cancelled, what no agent has taken is taken back, what runs ends by itself.
///
/// # Errors
/// It is at its end.
pub async fn cancel(ctx: &Ctx, id: i64, reason: &str, actor: &str) -> Result<(), Error> {
    let (mut tx, rollout) = locked(ctx, id).await?;
    if rollout.state.is_final() {
        return Err(impossible(&rollout, "cancelled", "nothing needs to be done"));
    }
    let why = person(actor, reason);
    let (to, words) = (RolloutClientState::Cancelled, format!("the rollout was cancelled by {actor}"));
    let waiting = members::end_waiting(&mut tx, id, to, &words, ctx.now()).await?;
    let cancelled = Change {
        action: "cancel",
        kind: "cancelled",
        to: RolloutState::Cancelled,
        why: Some(&why),
        count: Some(i64::try_from(waiting).unwrap_or(i64::MAX)),
    };
    change(ctx, tx, &rollout, &cancelled, actor).await
}

/// Lets those wait again that failed, and with `offline` those that stayed offline; nobody else has the work again. Tells how many.
///
/// # Errors
/// Nobody failed, or the rollout was not started or was cancelled.
pub async fn retry(ctx: &Ctx, id: i64, offline: bool, actor: &str) -> Result<i64, Error> {
    let (mut tx, rollout) = locked(ctx, id).await?;
    if matches!(rollout.state, RolloutState::Planned | RolloutState::Cancelled) {
        return Err(impossible(&rollout, "tried again", "make another one with the same words"));
    }
    let now = ctx.now();
    let count = members::retry(&mut tx, id, offline, expiry(&rollout.spec, now), now).await?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if count == 0 {
        return Err(Error::conflict(
            format!("no client of rollout {id} ({}) failed", rollout.title),
            "nothing needs to be done; with `offline`, those that stayed offline are tried again, too",
        ));
    }
    let progress = rollouts::progress(&mut tx, &rollout).await?;
    let current = progress.current();
    for (place, mut wave) in progress.waves.into_iter().enumerate() {
        wave.forgiven = 0;
        if Some(place) == current {
            wave.settled_at = None;
        }
        rollouts::set_wave(&mut tx, id, i64::try_from(place).unwrap_or(i64::MAX), &wave).await?;
    }
    rollouts::clear_end(&mut tx, id).await?;
    let retried =
        Change { action: "retry", kind: "retried", to: RolloutState::Running, why: None, count: Some(count) };
    change(ctx, tx, &rollout, &retried, actor).await?;
    Ok(count)
}
