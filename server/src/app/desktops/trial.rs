//! Which provider is tried next, and what a fault there leads to.

use super::{
    super::{Error, providers},
    work::{Halt, Next, Turn},
};
use crate::{
    clock::{SECOND, rfc3339},
    db::{
        Tx,
        desktops::{parts, set_state, trials},
        providers::{self as rows, ProviderRecord},
    },
    domain::{
        desktop::{DesktopState, DesktopWish, FaultClass, PartState, ProviderTrial, TrialState},
        provider::{Candidate, next},
    },
    identity::token::random_bytes,
    vm,
};

/// All providers are tried so often, one after the other.
const ROUNDS: i64 = 3;
/// Seconds between two rounds; twice as many before the third.
const BETWEEN_ROUNDS_S: i64 = 30;
/// Something at one provider is tried again so often.
const RETRIES: i64 = 6;

/// Seconds before something is tried again, after so many times.
pub(super) fn pause(times: i64) -> i64 {
    (1_i64 << times.clamp(0, 6)).min(60)
}

/// Begins to try the next provider, or finds that there is none.
pub(super) async fn begin(turn: &Turn<'_>) -> Result<Next, Halt> {
    let now = turn.ctx.now();
    let desktop = &turn.desktop;
    let current = || turn.trials.iter().filter(|trial| trial.round >= desktop.first_round);
    if let Some(last) = current().next_back().filter(|last| last.class == Some(FaultClass::Caller)) {
        // What was asked for is wrong; others would say the same.
        return fail(turn, &last.reason).await;
    }
    let known = {
        let mut tx = turn.ctx.db.read().await?;
        candidates(&mut tx, &desktop.wish).await?
    };
    if known.is_empty() {
        return fail(turn, "no provider that it may be made at is there and switched on").await;
    }
    let mut round = current().map(|trial| trial.round).max().unwrap_or(desktop.first_round);
    let mut tried: Vec<_> = current().filter(|trial| trial.round == round).collect();
    let is_tried = |tried: &[&ProviderTrial], id| tried.iter().any(|trial| trial.provider_id == id);
    let rests = |record: &ProviderRecord| record.standing.rests_until > now;
    // Who is left alone for a while does not hold up those who could be tried once more.
    let over = known.iter().all(|(record, _)| is_tried(&tried, record.id) || rests(record));
    if over && !tried.is_empty() {
        let rounds = round - desktop.first_round + 1;
        let hopeless = tried.len() == known.len() && tried.iter().all(|trial| trial.class.is_none());
        if rounds >= ROUNDS || hopeless {
            let told: Vec<_> =
                tried.iter().map(|trial| format!("{}: {}", trial.provider, trial.reason)).collect();
            return fail(turn, &told.join("; ")).await;
        }
        let ended = tried.iter().filter_map(|trial| trial.ended_at).max().unwrap_or(now);
        let due = ended + BETWEEN_ROUNDS_S * rounds * SECOND;
        if due > now {
            let last = tried.last().map_or("", |trial| trial.reason.as_str());
            say(
                turn,
                &format!("no provider could make it, all are tried again soon; the last one said: {last}"),
            )
            .await?;
            return Ok(Next::After((due - now) / SECOND + 1));
        }
        round += 1;
        tried.clear();
    }
    let untried: Vec<_> = known.iter().filter(|(record, _)| !is_tried(&tried, record.id)).collect();
    let awake: Vec<Candidate> =
        untried.iter().filter(|(record, _)| !rests(record)).map(|(_, candidate)| candidate.clone()).collect();
    let chosen = next(&awake, u64::from_ne_bytes(random_bytes()));
    if let Some((record, _)) = untried.iter().find(|(record, _)| Some(record.id) == chosen) {
        let mut tx = turn.write().await?;
        trials::begin(&mut tx, desktop.id, (record.id, &record.name), round, now).await?;
        set_state(&mut tx, desktop.id, DesktopState::Creating, "", now).await?;
        tx.commit().await?;
        return Ok(Next::Now);
    }
    let Some((record, _)) = untried.iter().min_by_key(|(record, _)| record.standing.rests_until) else {
        return Ok(Next::After(BETWEEN_ROUNDS_S));
    };
    let (until, problem) = (record.standing.rests_until, &record.standing.problem);
    say(
        turn,
        &format!("provider {} is left alone until {}, because of: {problem}", record.name, rfc3339(until)),
    )
    .await?;
    Ok(Next::After((until - now) / SECOND + 1))
}

/// Says what a desktop waits for.
pub(super) async fn say(turn: &Turn<'_>, reason: &str) -> Result<(), Halt> {
    if turn.desktop.reason != reason {
        let mut tx = turn.write().await?;
        set_state(&mut tx, turn.desktop.id, turn.desktop.state, reason, turn.ctx.now()).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn fail(turn: &Turn<'_>, reason: &str) -> Result<Next, Halt> {
    let tx = turn.write().await?;
    turn.become_state(tx, DesktopState::Failed, reason).await?;
    Ok(Next::Idle)
}

/// Providers at which the desktop may be made, whether or not they rest.
pub(super) async fn candidates(
    tx: &mut Tx,
    wish: &DesktopWish,
) -> Result<Vec<(ProviderRecord, Candidate)>, Error> {
    let members = match (&wish.provider, &wish.pool) {
        (Some(provider), _) => vec![(provider.clone(), 0, 1)],
        (None, Some(pool)) => {
            let pool = rows::pool(tx, pool).await?;
            let members = pool.map(|pool| pool.members).unwrap_or_default();
            members.into_iter().map(|member| (member.provider, member.order, member.weight)).collect()
        }
        (None, None) => Vec::new(),
    };
    let mut found = Vec::new();
    for (name, order, weight) in members {
        if let Some(record) = rows::find(tx, &name).await?.filter(|record| record.wish.enabled) {
            let candidate = Candidate { provider: record.id, order, weight };
            found.push((record, candidate));
        }
    }
    Ok(found)
}

/// What follows from a fault while something is made: another try here, or this provider is given up. With `part` that part was not made.
pub(super) async fn met(
    turn: &Turn<'_>,
    trial: &ProviderTrial,
    error: &vm::Error,
    part: Option<i64>,
) -> Result<Next, Halt> {
    let now = turn.ctx.now();
    let mut tx = turn.write().await?;
    let reason = error.to_string();
    providers::note(&mut tx, trial.provider_id, Some((error.class, &reason)), now).await?;
    let may_wait =
        matches!(error.class, FaultClass::Transient | FaultClass::Ambiguous) && trial.retries < RETRIES;
    if let Some(part) = part {
        if error.class == FaultClass::Ambiguous {
            parts::set_problem(&mut tx, part, &reason).await?;
        } else {
            parts::set_state(&mut tx, part, PartState::Gone, None, None, now).await?;
            parts::set_problem(&mut tx, part, &reason).await?;
        }
    }
    if may_wait {
        trials::note(&mut tx, trial.id, error.class, &reason).await?;
    } else {
        trials::give_up(&mut tx, trial.id, error.class, &reason).await?;
    }
    tx.commit().await?;
    if may_wait {
        Ok(Next::After(error.again_after_s.unwrap_or_else(|| pause(trial.retries))))
    } else {
        Ok(Next::Now)
    }
}

/// Gives a provider up: what was made there is removed, then the next one is tried.
pub(super) async fn give_up(turn: &Turn<'_>, trial: &ProviderTrial, error: &vm::Error) -> Result<Next, Halt> {
    let reason = error.to_string();
    let mut tx = turn.write().await?;
    providers::note(&mut tx, trial.provider_id, Some((error.class, &reason)), turn.ctx.now()).await?;
    trials::give_up(&mut tx, trial.id, error.class, &reason).await?;
    tx.commit().await?;
    Ok(Next::Now)
}

/// Gives a provider up at which nothing was begun, for a reason that speaks neither against it nor against what is asked for.
pub(super) async fn unfit(turn: &Turn<'_>, trial: &ProviderTrial, reason: &str) -> Result<Next, Halt> {
    let now = turn.ctx.now();
    let mut tx = turn.write().await?;
    trials::refuse(&mut tx, trial.id, reason).await?;
    trials::end(&mut tx, trial.id, TrialState::Failed, now).await?;
    tx.commit().await?;
    Ok(Next::Now)
}
