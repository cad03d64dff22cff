//! Removing what was made for a desktop: rules first, then the machine with its disks, at last addresses. A part is gone when its provider
//! does not show it any more, not when it has promised to remove it.

use super::{
    super::Error,
    finding::{Settled, is_there, patience, settle},
    trial::pause,
    work::{Halt, Next, Turn},
};
use crate::{
    db::desktops::parts,
    domain::desktop::{DesktopPart, FaultClass, PartKind, PartState},
    vm::{self, Progress, Provider, RulesOf},
};

/// What cannot be removed until somebody does something is tried again after so many seconds.
const STUCK_S: i64 = 60;

/// One step with each of these parts.
pub(super) async fn step(turn: &Turn<'_>, left: &[&DesktopPart]) -> Result<Next, Halt> {
    let mut ordered = left.to_vec();
    ordered.sort_by_key(|part| part.kind);
    let only_addresses = left.iter().all(|part| part.kind == PartKind::Address);
    let (mut moved, mut wait) = (false, None);
    for part in ordered {
        if part.kind == PartKind::Address && !only_addresses {
            continue;
        }
        let (_, opened) = turn.provider(part.provider_id).await?;
        match one(turn, opened.provider.as_ref(), part).await? {
            Next::Now => moved = true,
            Next::After(seconds) => wait = Some(wait.map_or(seconds, |least: i64| least.min(seconds))),
            Next::Idle => {}
        }
    }
    Ok(if moved { Next::Now } else { Next::After(wait.unwrap_or(STUCK_S)) })
}

async fn one(turn: &Turn<'_>, provider: &dyn Provider, part: &DesktopPart) -> Result<Next, Halt> {
    match part.state {
        PartState::Intended | PartState::Making => match settle(turn, provider, part).await? {
            Settled::Made | Settled::Gone | Settled::Failed(_) | Settled::Open(0) => Ok(Next::Now),
            Settled::Open(seconds) => Ok(Next::After(seconds)),
            Settled::Unheard(error) => trouble(turn, part, &error).await,
        },
        PartState::Made if part.kind == PartKind::Address => give_back(turn, provider, part).await,
        PartState::Made => remove(turn, provider, part).await,
        PartState::Leaving => match &part.job {
            Some(job) => ended(turn, provider, part, job).await,
            None => match is_there(provider, part).await {
                Ok(true) => remove(turn, provider, part).await,
                Ok(false) => set(turn, part, PartState::Gone, None).await,
                Err(error) if error.class == FaultClass::Gone => set(turn, part, PartState::Gone, None).await,
                Err(error) => trouble(turn, part, &error).await,
            },
        },
        PartState::Gone => Ok(Next::Now),
    }
}

async fn set(turn: &Turn<'_>, part: &DesktopPart, state: PartState, job: Option<&str>) -> Result<Next, Halt> {
    let mut tx = turn.write().await?;
    parts::set_state(&mut tx, part.id, state, None, job, turn.ctx.now()).await?;
    tx.commit().await?;
    Ok(Next::Now)
}

/// Notes why a part is still there, and waits.
async fn trouble(turn: &Turn<'_>, part: &DesktopPart, error: &vm::Error) -> Result<Next, Halt> {
    let mut tx = turn.write().await?;
    parts::looked(&mut tx, part.id).await?;
    parts::set_problem(&mut tx, part.id, &format!("{error}; {}", error.remedy())).await?;
    tx.commit().await?;
    Ok(match error.class {
        FaultClass::Transient | FaultClass::Ambiguous => {
            Next::After(error.again_after_s.unwrap_or_else(|| pause(part.looks)))
        }
        _ => Next::After(STUCK_S),
    })
}

/// Asks the provider to remove a part; that it was asked is written down before.
async fn remove(turn: &Turn<'_>, provider: &dyn Provider, part: &DesktopPart) -> Result<Next, Halt> {
    let Some(id) = &part.remote else { return set(turn, part, PartState::Gone, None).await };
    if part.state != PartState::Leaving {
        set(turn, part, PartState::Leaving, None).await?;
    }
    let answer = match part.kind {
        PartKind::Vm => provider.destroy(id).await,
        PartKind::Address => provider.release(id).await,
        PartKind::Forwarding | PartKind::Firewall | PartKind::Egress => provider.close(part.kind, id).await,
    };
    match answer {
        Ok(begun) => {
            set(turn, part, PartState::Leaving, begun.job.as_deref()).await?;
            // Without a job a look tells at once; then it is asked again only after a pause.
            Ok(if begun.job.is_some() { Next::After(1) } else { Next::After(pause(part.looks)) })
        }
        Err(error) if error.class == FaultClass::Gone => set(turn, part, PartState::Gone, None).await,
        Err(error) => trouble(turn, part, &error).await,
    }
}

/// What has become of removing a part.
async fn ended(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    part: &DesktopPart,
    job: &str,
) -> Result<Next, Halt> {
    let over = match provider.job(job).await {
        Ok(Progress::Pending) => return Ok(Next::After(patience(turn.ctx.now() - part.changed_at))),
        Ok(Progress::Done(_)) => None,
        Ok(Progress::Failed(error)) => Some(error),
        Err(error) if error.class == FaultClass::Gone => None,
        Err(error) => return trouble(turn, part, &error).await,
    };
    // Whatever the job says: whether the part is there decides.
    set(turn, part, PartState::Leaving, None).await?;
    match over {
        Some(error) => trouble(turn, part, &error).await,
        None => Ok(Next::Now),
    }
}

/// Gives a public address back, unless somebody else needs it.
async fn give_back(turn: &Turn<'_>, provider: &dyn Provider, part: &DesktopPart) -> Result<Next, Halt> {
    let Some(id) = &part.remote else { return set(turn, part, PartState::Gone, None).await };
    match is_used(turn, provider, part, id).await? {
        Ok(false) => {}
        Ok(true) => return Ok(Next::Now),
        Err(error) => return trouble(turn, part, &error).await,
    }
    remove(turn, provider, part).await
}

/// Whether others use an address: then it goes to one of them, or stays when they are none of ours.
async fn is_used(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    part: &DesktopPart,
    id: &str,
) -> Result<Result<bool, vm::Error>, Halt> {
    let mut rules = 0;
    for of in [RulesOf::Forwarding(id.to_owned()), RulesOf::Firewall(id.to_owned())] {
        match provider.rules(&of).await {
            Ok(found) => rules += found.len(),
            Err(error) => return Ok(Err(error)),
        }
    }
    let now = turn.ctx.now();
    let mut tx = turn.write().await?;
    if let Some(other) = parts::other_user(&mut tx, part.provider_id, id, part.desktop).await? {
        parts::hand_over(&mut tx, part.id, other).await?;
    } else if rules > 0 {
        parts::set_state(&mut tx, part.id, PartState::Gone, None, None, now).await?;
        parts::set_problem(&mut tx, part.id, "it stays, because rules are on it that Lotse has not made")
            .await?;
    } else {
        parts::set_state(&mut tx, part.id, PartState::Leaving, None, None, now).await?;
        tx.commit().await.map_err(Error::from)?;
        return Ok(Ok(false));
    }
    tx.commit().await.map_err(Error::from)?;
    Ok(Ok(true))
}
