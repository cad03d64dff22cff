//! What the server does for rollouts by itself: looks at their jobs, asks `domain::rollout` what to do, and does that, step by step.
//!
//! Invariant: idempotent. Each step is one transaction that has the rollout locked, looks again under the lock, and does one bounded thing;
//! killed anywhere, the next round goes on from what is stored. A server that finds a rollout locked leaves it to the one that has it.

use std::collections::{BTreeSet, HashMap};

use wire::ClientId;

use super::{Error, expiry, give, schedules, taken_back, target, window};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, clients, events,
        rollouts::{
            self, Rollout,
            members::{self, Become, InFlight},
        },
    },
    domain::{
        client_status::ONLINE_FOR,
        job::JobState,
        rollout::{
            Action, Followed, Latecomers, RolloutClientState, RolloutState, Why, cause, decide, follow,
        },
    },
};

/// Clients that are given work, or from whom it is taken back, in one transaction.
const CHUNK: i64 = 25;
/// Steps for one rollout before the next one has its turn.
const STEPS: usize = 40;
/// Whoever has not looked for longer has not heard agents that were there.
const DEAF: i64 = 60 * SECOND;
/// Latecomers are looked for this often.
const LATECOMERS_EVERY: i64 = 30 * SECOND;

/// What this server remembers between two rounds: only how long it has been looking without a gap, which can delay a decision but is
/// no part of it.
#[derive(Debug, Default)]
pub struct Looks {
    since: Option<i64>,
    last: i64,
    latecomers: HashMap<i64, i64>,
}

impl Looks {
    /// Notes that it looks now; tells whether it has looked for long enough to know who is offline. After a start, and when the clock has
    /// jumped, nobody was heard for a while who may well be there.
    fn look(&mut self, now: i64) -> bool {
        let steady = self.since.is_some() && (0..=DEAF).contains(&(now - self.last));
        self.last = now;
        if !steady {
            self.since = Some(now);
        }
        self.since.is_some_and(|since| now - since >= ONLINE_FOR)
    }
}

/// Looks after all rollouts. Tells whether something is left to do at once.
///
/// # Errors
/// The database refuses; what went wrong for one client is noted there instead.
pub async fn work(ctx: &Ctx, looks: &mut Looks) -> Result<bool, Error> {
    let knows_offline = looks.look(ctx.now());
    schedules::begin_due(ctx).await?;
    let active = {
        let mut tx = ctx.db.read().await?;
        rollouts::active(&mut tx).await?
    };
    looks.latecomers.retain(|id, _| active.contains(id));
    let mut left = false;
    for id in active {
        let now = ctx.now();
        if looks.latecomers.get(&id).is_none_or(|at| !(*at..*at + LATECOMERS_EVERY).contains(&now)) {
            looks.latecomers.insert(id, now);
            latecomers(ctx, id).await?;
        }
        let mut steps = 0..STEPS;
        loop {
            if ctx.presence.closing().is_cancelled() {
                return Ok(false);
            }
            if steps.next().is_none() {
                left = true;
                break;
            }
            if !step(ctx, id, knows_offline).await? {
                break;
            }
        }
    }
    Ok(left)
}

/// What is to be done for a rollout, as somebody sees it who only reads.
struct Look {
    rollout: Rollout,
    /// Clients that have become something else than what is written.
    changed: Vec<(InFlight, Followed)>,
    /// Clients whose jobs nobody has begun and that are offline: somebody else can have their turn.
    gone: Vec<InFlight>,
    /// Clients whose jobs nobody has begun.
    idle: Vec<InFlight>,
    overdue: bool,
    action: Option<Action>,
}

impl Look {
    fn is_idle(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty() && !self.overdue && self.action.is_none()
    }
}

async fn look(ctx: &Ctx, tx: &mut Tx, id: i64, knows_offline: bool) -> Result<Option<Look>, Error> {
    let now = ctx.now();
    let Some(rollout) = rollouts::find(tx, id).await? else { return Ok(None) };
    let (mut changed, mut gone, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for client in members::in_flight(tx, id, now).await? {
        let jobs: Vec<_> = client.jobs.iter().map(|(_, seen)| seen.clone()).collect();
        let followed = follow(&jobs);
        if followed.state != client.state {
            changed.push((client, followed));
        } else if matches!(client.state, RolloutClientState::Queued | RolloutClientState::Held) {
            if knows_offline && !client.online && client.state == RolloutClientState::Queued {
                gone.push(client.clone());
            }
            idle.push(client);
        }
    }
    let running = rollout.state == RolloutState::Running;
    let overdue = knows_offline && running && members::any_overdue(tx, id, now).await?;
    let progress = rollouts::progress(tx, &rollout).await?;
    let mut action = decide(&rollout.spec, &progress, window(&rollout.spec, now), now);
    match &action {
        Some(Action::Order { up_to, .. })
            if members::next(tx, id, place(*up_to), 1, now).await?.is_empty() =>
        {
            action = None;
        }
        // Jobs that somebody holds are taken back only with the rollout.
        Some(Action::TakeBack) => {
            let ended =
                rollout.state == RolloutState::Cancelled || rollout.ends_at.is_some_and(|end| end <= now);
            idle.retain(|client| ended || client.state == RolloutClientState::Queued);
            if idle.is_empty() {
                action = None;
            }
        }
        _ => {}
    }
    Ok(Some(Look { rollout, changed, gone, idle, overdue, action }))
}

fn place(wave: usize) -> i64 {
    i64::try_from(wave).unwrap_or(i64::MAX)
}

/// One step; tells whether there may be another one.
async fn step(ctx: &Ctx, id: i64, knows_offline: bool) -> Result<bool, Error> {
    {
        let mut tx = ctx.db.read().await?;
        if look(ctx, &mut tx, id, knows_offline).await?.is_none_or(|look| look.is_idle()) {
            return Ok(false);
        }
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if !rollouts::lock_if_free(&mut tx, id).await? {
        return Ok(false);
    }
    let Some(look) = look(ctx, &mut tx, id, knows_offline).await? else { return Ok(false) };
    if look.is_idle() {
        return Ok(false);
    }
    let rollout = &look.rollout;
    // What has become of clients comes first: the decision was made without it.
    if !look.changed.is_empty() || !look.gone.is_empty() || look.overdue {
        for (client, followed) in look.changed.iter().take(200) {
            settle(ctx, &mut tx, rollout, client, followed).await?;
        }
        take_back(ctx, &mut tx, rollout, &look.gone, "its client went offline before it began").await?;
        if look.overdue {
            members::expire(&mut tx, id, now).await?;
        }
        tx.commit().await?;
        ctx.presence.events_came();
        return Ok(true);
    }
    let Some(action) = look.action else { return Ok(false) };
    let woken = act(ctx, &mut tx, rollout, &action, &look.idle).await?;
    tx.commit().await?;
    for client in woken {
        ctx.presence.work_waits_for(client);
    }
    ctx.presence.events_came();
    Ok(true)
}

/// Writes what has become of a client.
async fn settle(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    client: &InFlight,
    followed: &Followed,
) -> Result<(), Error> {
    let state = match followed.state {
        RolloutClientState::Waiting => taken_back(rollout.state),
        other => other,
    };
    let ids: Vec<_> = client.jobs.iter().map(|(id, _)| *id).collect();
    if !state.is_in_flight() {
        give::cancel_open(ctx, tx, rollout, client.client, &ids, "its rollout does not go on with it")
            .await?;
    }
    let telling = client.jobs.iter().find(|(_, seen)| match state {
        RolloutClientState::Failed => matches!(seen.state, JobState::Failed | JobState::Expired),
        RolloutClientState::Running => matches!(seen.state, JobState::Running | JobState::Queued),
        RolloutClientState::Cancelled => seen.state == JobState::Cancelled,
        _ => false,
    });
    let job = telling.or(client.jobs.last()).map(|(id, _)| *id);
    let cause = if state == RolloutClientState::Failed {
        cause(&followed.reason, &client.name)
    } else {
        String::new()
    };
    let to = Become { state, reason: &followed.reason, cause: &cause, job };
    members::set(tx, rollout.id, client.client, &to, ctx.now()).await?;
    Ok(())
}

/// Takes back what was not begun, of some clients.
async fn take_back(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    idle: &[InFlight],
    reason: &str,
) -> Result<Vec<ClientId>, Error> {
    let mut taken = Vec::new();
    for client in idle.iter().take(usize::try_from(CHUNK).unwrap_or(0)) {
        if give::take_back(ctx, tx, rollout, client, reason).await? {
            let state = taken_back(rollout.state);
            let reason = if state == RolloutClientState::Waiting { "" } else { reason };
            let to = Become { state, reason, cause: "", job: None };
            members::set(tx, rollout.id, client.client, &to, ctx.now()).await?;
            taken.push(client.client);
        }
    }
    Ok(taken)
}

/// Does what was decided; tells whose agents are to be woken.
async fn act(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    action: &Action,
    idle: &[InFlight],
) -> Result<Vec<ClientId>, Error> {
    let (id, now) = (rollout.id, ctx.now());
    match action {
        Action::Begin { wave } | Action::Settle { wave } => {
            let mut progress = rollouts::progress(tx, rollout).await?;
            let Some(found) = progress.waves.get_mut(*wave) else { return Ok(Vec::new()) };
            let begins = matches!(action, Action::Begin { .. });
            if begins {
                found.started_at = Some(now);
                members::set_expiry(tx, id, place(*wave), expiry(&rollout.spec, now)).await?;
            } else {
                found.settled_at = Some(now);
            }
            rollouts::set_wave(tx, id, place(*wave), found).await?;
            let (kind, count) =
                if begins { ("wave", found.counts.total()) } else { ("settled", found.counts.succeeded) };
            if found.counts.total() > 0 {
                rollouts::note(tx, id, kind, Some(place(*wave)), Some(count), None, "lotse", now).await?;
            }
            Ok(Vec::new())
        }
        Action::Order { up_to, at_most, until } => {
            let next = members::next(tx, id, place(*up_to), (*at_most).min(CHUNK), now).await?;
            order(ctx, tx, rollout, next, *until).await
        }
        Action::TakeBack => {
            let reason = match rollout.state {
                RolloutState::Running => "the window of its rollout is closed",
                RolloutState::Paused => "its rollout is paused",
                RolloutState::Halted => "its rollout was halted",
                _ => "its rollout was cancelled",
            };
            take_back(ctx, tx, rollout, idle, reason).await
        }
        Action::LeaveOut => {
            let (to, reason) =
                (RolloutClientState::Skipped, "its turn did not come before the period was over");
            members::end_waiting(tx, id, to, reason, now).await?;
            Ok(Vec::new())
        }
        Action::Pause(why) => end_up(ctx, tx, rollout, RolloutState::Paused, "paused", Some(why)).await,
        Action::Halt(why) => end_up(ctx, tx, rollout, RolloutState::Halted, "halted", Some(why)).await,
        Action::Finish => end_up(ctx, tx, rollout, RolloutState::Finished, "finished", None).await,
    }
}

/// The rollout changes its state by itself.
async fn end_up(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    to: RolloutState,
    kind: &str,
    why: Option<&Why>,
) -> Result<Vec<ClientId>, Error> {
    let now = ctx.now();
    rollouts::set_state(tx, rollout.id, to, why, now).await?;
    rollouts::note(tx, rollout.id, kind, None, None, why, "lotse", now).await?;
    let reason = why.map(|why| format!(": {why}")).unwrap_or_default();
    let detail = format!("{} ({}){reason}", rollout.title, rollout.id);
    events::add(tx, &format!("rollout.{kind}"), None, None, "lotse", &detail, now).await?;
    Ok(Vec::new())
}

/// Gives clients their work. One that cannot have it is left out or has failed, with the reason; the others are not touched by that.
async fn order(
    ctx: &Ctx,
    tx: &mut Tx,
    rollout: &Rollout,
    mut next: Vec<ClientId>,
    until: Option<i64>,
) -> Result<Vec<ClientId>, Error> {
    let now = ctx.now();
    next.sort_unstable();
    for client in &next {
        clients::lock(tx, *client).await?;
    }
    let skipped = target::skipped(ctx, tx, &rollout.spec, &next).await?;
    let found = clients::find_many(tx, &next).await?;
    let mut woken = Vec::with_capacity(found.len());
    for client in &found {
        if let Some(reason) = skipped.get(&client.id) {
            let to =
                Become { state: RolloutClientState::Skipped, reason: reason.as_str(), cause: "", job: None };
            members::set(tx, rollout.id, client.id, &to, now).await?;
            continue;
        }
        members::mark(tx).await?;
        match give::give(ctx, tx, rollout, client, until).await {
            Ok(jobs) => {
                members::give(tx, rollout.id, client.id, &jobs, now).await?;
                woken.push(client.id);
            }
            Err(error @ (Error::Internal(_) | Error::Unavailable { .. })) => return Err(error),
            Err(error) => {
                members::back(tx).await?;
                let reason = error.to_string();
                let cause = cause(&reason, &client.name);
                let to =
                    Become { state: RolloutClientState::Failed, reason: &reason, cause: &cause, job: None };
                members::set(tx, rollout.id, client.id, &to, now).await?;
            }
        }
    }
    Ok(woken)
}

/// Looks who has come to the target of a rollout, and who has left it.
async fn latecomers(ctx: &Ctx, id: i64) -> Result<(), Error> {
    let (rollout, come, left) = {
        let mut tx = ctx.db.read().await?;
        let Some(rollout) = rollouts::find(&mut tx, id).await? else { return Ok(()) };
        if rollout.state != RolloutState::Running || rollout.spec.target.latecomers == Latecomers::Ignore {
            return Ok(());
        }
        let Ok(meant) = target::choose(ctx, &mut tx, &rollout.spec).await else {
            // Its group was removed: nobody comes any more.
            return Ok(());
        };
        let (come, left) = difference(&mut tx, id, &meant).await?;
        (rollout, come, left)
    };
    if come.is_empty() && left.is_empty() {
        return Ok(());
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if !rollouts::lock_if_free(&mut tx, id).await? {
        return Ok(());
    }
    let progress = rollouts::progress(&mut tx, &rollout).await?;
    members::leave(&mut tx, id, &left, "it left the target of the rollout", now).await?;
    let mut wave = progress.waves.len().saturating_sub(1);
    let begun = progress.waves.last().is_some_and(|wave| wave.started_at.is_some());
    if !come.is_empty() && rollout.spec.target.latecomers == Latecomers::NewWave {
        let planned = rollout.spec.waves.len();
        // A wave of latecomers that has not begun takes more of them.
        if wave < planned || begun {
            wave += 1;
            rollouts::add_waves(&mut tx, id, place(wave), 1).await?;
        }
    }
    let started = progress.waves.get(wave).and_then(|wave| wave.started_at);
    let until = started.map(|_| expiry(&rollout.spec, now));
    let come: Vec<_> = come.into_iter().map(|client| (client, place(wave))).collect();
    let first = members::last_place(&mut tx, id).await? + 1;
    members::add(&mut tx, id, first, &come, until, now).await?;
    if !come.is_empty() {
        let count = i64::try_from(come.len()).unwrap_or(i64::MAX);
        rollouts::note(&mut tx, id, "latecomers", Some(place(wave)), Some(count), None, "lotse", now).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Who is meant and not there, and who waits and is not meant any more.
async fn difference(
    tx: &mut Tx,
    id: i64,
    meant: &[ClientId],
) -> Result<(Vec<ClientId>, Vec<ClientId>), Error> {
    let there = members::all(tx, id).await?;
    let known: BTreeSet<_> = there.iter().map(|(client, _)| *client).collect();
    let wanted: BTreeSet<_> = meant.iter().copied().collect();
    let come = meant.iter().copied().filter(|client| !known.contains(client)).collect();
    let waits = |state: RolloutClientState| state == RolloutClientState::Waiting;
    let left = there
        .into_iter()
        .filter(|(client, state)| waits(*state) && !wanted.contains(client))
        .map(|(client, _)| client)
        .collect();
    Ok((come, left))
}
