//! Finding out what has become of a part whose answer nobody heard, and whether one is still there.

use super::{
    super::Error,
    trial::pause,
    work::{Halt, Turn},
};
use crate::{
    clock::SECOND,
    db::desktops::parts,
    domain::desktop::{DesktopPart, PartKind, PartState},
    vm::{self, Progress, Provider, RulesOf},
};

/// What was asked for and is not found after so many looks has not come.
const LOOKS: i64 = 3;

/// Where a part is after a look.
pub(super) enum Settled {
    /// It is there.
    Made,
    /// It is not there and does not come.
    Gone,
    /// Nobody knows yet: look again after so many seconds.
    Open(i64),
    /// The provider has said that it went wrong; what it left is in the journal.
    Failed(vm::Error),
    /// The provider does not say.
    Unheard(vm::Error),
}

/// By what an opening of a network to the outside is found: the network and the address that is let out.
pub(super) fn egress_tag(network: &str, source: &str) -> String {
    format!("{network} {source}")
}

/// By what a new public address is found: the network, and the addresses that it had before.
pub(super) fn address_tag<'a>(network: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    format!("{network} {}", known.join(","))
}

fn two(tag: &str) -> (&str, &str) {
    tag.split_once(' ').unwrap_or((tag, ""))
}

/// Finds out what has become of a part that was asked for, and writes it down.
pub(super) async fn settle(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    part: &DesktopPart,
) -> Result<Settled, Halt> {
    match &part.job {
        Some(job) if part.state == PartState::Making => ended(turn, provider, part, job).await,
        _ => look(turn, provider, part).await,
    }
}

async fn look(turn: &Turn<'_>, provider: &dyn Provider, part: &DesktopPart) -> Result<Settled, Halt> {
    let now = turn.ctx.now();
    let found = match find(turn, provider, part).await? {
        Ok(found) => found,
        Err(error) => return Ok(Settled::Unheard(error)),
    };
    let mut tx = turn.write().await?;
    let settled = match found {
        Some(id) => {
            parts::set_state(&mut tx, part.id, PartState::Made, Some(&id), None, now).await?;
            Settled::Made
        }
        None if part.looks + 1 >= LOOKS => {
            parts::set_state(&mut tx, part.id, PartState::Gone, None, None, now).await?;
            parts::set_problem(&mut tx, part.id, "it was asked for and did not come").await?;
            Settled::Gone
        }
        None => {
            parts::looked(&mut tx, part.id).await?;
            Settled::Open(pause(part.looks))
        }
    };
    tx.commit().await?;
    Ok(settled)
}

async fn ended(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    part: &DesktopPart,
    job: &str,
) -> Result<Settled, Halt> {
    let now = turn.ctx.now();
    let left = |id: &Option<String>| if id.is_some() { PartState::Made } else { PartState::Intended };
    match provider.job(job).await {
        Ok(Progress::Pending) => Ok(Settled::Open(patience(now - part.changed_at))),
        Ok(Progress::Done(id)) => {
            let id = part.remote.clone().or(id);
            let mut tx = turn.write().await?;
            parts::set_state(&mut tx, part.id, left(&id), id.as_deref(), None, now).await?;
            tx.commit().await?;
            Ok(if id.is_some() { Settled::Made } else { Settled::Open(0) })
        }
        Ok(Progress::Failed(error)) => {
            // Something may be left of it, such as a machine that could not be made and is shown as broken.
            let mut tx = turn.write().await?;
            parts::set_state(&mut tx, part.id, left(&part.remote), None, None, now).await?;
            parts::set_problem(&mut tx, part.id, &error.to_string()).await?;
            tx.commit().await?;
            Ok(Settled::Failed(error))
        }
        Err(error) if error.class == crate::domain::desktop::FaultClass::Gone => {
            // The provider has forgotten the job, so only a look tells.
            let mut tx = turn.write().await?;
            parts::set_state(&mut tx, part.id, PartState::Intended, None, None, now).await?;
            tx.commit().await?;
            Ok(Settled::Open(0))
        }
        Err(error) => Ok(Settled::Unheard(error)),
    }
}

/// Seconds until a job that has run for so long is asked about again.
pub(super) fn patience(microseconds: i64) -> i64 {
    (microseconds / SECOND / 4).clamp(2, 10)
}

/// The id of what was asked for, by what it was written down with.
async fn find(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    part: &DesktopPart,
) -> Result<Result<Option<String>, vm::Error>, Error> {
    let address = part.address.clone().unwrap_or_default();
    let port = part.port.and_then(|port| u16::try_from(port).ok());
    let found = match part.kind {
        PartKind::Vm => {
            provider.vms(Some(&part.tag)).await.map(|found| found.into_iter().next().map(|vm| vm.id))
        }
        PartKind::Forwarding | PartKind::Firewall => {
            let of = if part.kind == PartKind::Forwarding {
                RulesOf::Forwarding(address)
            } else {
                RulesOf::Firewall(address)
            };
            let ours = |rule: &vm::Rule| {
                Some(rule.port) == port
                    && rule.last_port == rule.port
                    // A forwarded port that leads to somebody else's machine is theirs.
                    && (part.kind == PartKind::Firewall || turn.parts.iter().any(|part| part.remote.as_ref() == Some(&rule.vm)))
            };
            provider.rules(&of).await.map(|found| found.into_iter().find(ours).map(|rule| rule.id))
        }
        PartKind::Egress => {
            let (network, source) = two(&part.tag);
            let source = format!("{source}/32");
            let of = RulesOf::Egress(network.to_owned());
            provider.rules(&of).await.map(|found| {
                found.into_iter().find(|rule| rule.sources == [source.as_str()]).map(|rule| rule.id)
            })
        }
        PartKind::Address => {
            let (network, known) = two(&part.tag);
            let others = {
                let mut tx = turn.ctx.db.read().await?;
                parts::addresses(&mut tx, part.provider_id).await?
            };
            let is_new = |id: &str| {
                known.split(',').all(|known| known != id)
                    && others.iter().all(|(other, _)| other.as_deref() != Some(id))
            };
            let found = provider.addresses(network).await;
            found.map(|found| found.into_iter().find(|address| is_new(&address.id)).map(|address| address.id))
        }
    };
    Ok(found)
}

/// Whether a part is there, by its id.
pub(super) async fn is_there(provider: &dyn Provider, part: &DesktopPart) -> Result<bool, vm::Error> {
    let Some(id) = &part.remote else { return Ok(false) };
    let address = part.address.clone().unwrap_or_default();
    let rules = async |of: RulesOf| Ok(provider.rules(&of).await?.iter().any(|rule| rule.id == *id));
    match part.kind {
        PartKind::Vm => Ok(provider.vm(id).await?.is_some()),
        PartKind::Forwarding => rules(RulesOf::Forwarding(address)).await,
        PartKind::Firewall => rules(RulesOf::Firewall(address)).await,
        PartKind::Egress => rules(RulesOf::Egress(two(&part.tag).0.to_owned())).await,
        PartKind::Address => {
            let found = provider.addresses(two(&part.tag).0).await?;
            Ok(found.iter().any(|address| address.id == *id))
        }
    }
}
