//! A desktop whose machine is there: what somebody has ordered, and taking the boot image out of its drive once the installation needs it no more.

use wire::enrol::Realm;

use super::{
    super::Error,
    finding::patience,
    trial::pause,
    work::{Halt, Next, Turn},
};
use crate::{
    db::{self, desktops},
    domain::{
        client::Stage,
        desktop::{DesktopPart, DesktopState, FaultClass, MachineChange, PartKind, PartState, PowerOrder},
    },
    vm::{self, Begun, Progress, Provider, Vm, VmState},
};

/// While a machine is installed from the image, whether it needs it is looked at this often, in seconds.
const IMAGE_S: i64 = 2;

/// The next step of a desktop whose machine is there.
pub(super) async fn step(turn: &Turn<'_>) -> Result<Next, Halt> {
    let is_it = |part: &&DesktopPart| part.kind == PartKind::Vm && part.state == PartState::Made;
    let Some(part) = turn.parts.iter().rev().find(is_it) else { return lost(turn).await };
    let desktop = &turn.desktop;
    let due = match (desktop.doing, desktop.order) {
        (Some(_), _) | (None, Some(_)) => true,
        (None, None) if desktop.iso_attached => needs_no_image(turn).await?,
        (None, None) => return Ok(Next::Idle),
    };
    if !due {
        return Ok(Next::After(IMAGE_S));
    }
    let (_, opened) = turn.provider(part.provider_id).await?;
    let provider = opened.provider.as_ref();
    let id = part.remote.as_deref().unwrap_or_default();
    match (desktop.doing, &desktop.doing_job) {
        (Some(doing), Some(job)) => ended(turn, provider, id, doing, job).await,
        (Some(doing), None) => over(turn, provider, id, doing, None).await,
        (None, _) => {
            let machine = match provider.vm(id).await {
                Ok(Some(machine)) => machine,
                Ok(None) => return lost(turn).await,
                Err(error) => return Ok(unheard(&error)),
            };
            match desktop.order {
                Some(order) => obey(turn, provider, &machine, order).await,
                None if machine.iso.is_none() => seen(turn, &machine).await,
                None => ask(turn, MachineChange::Detach, None, provider.detach_iso(id)).await,
            }
        }
    }
}

/// Whether the installation has left the image behind: all that is still to do is done by the installed system, or is the restart into it.
async fn needs_no_image(turn: &Turn<'_>) -> Result<bool, Error> {
    let Some(client) = turn.desktop.client else { return Ok(false) };
    let mut tx = turn.ctx.db.read().await?;
    let stage = db::clients::stage(&mut tx, client).await?;
    Ok(match stage {
        Some(Stage::Installed) => true,
        Some(Stage::Installing) => {
            let open = db::jobs::open(&mut tx, client).await?;
            open.iter().all(|job| job.job_type == "reboot" || job.realm == Some(Realm::System))
        }
        _ => false,
    })
}

async fn lost(turn: &Turn<'_>) -> Result<Next, Halt> {
    let tx = turn.write().await?;
    let reason = "its machine is not at the provider any more, and nobody has deleted it here";
    turn.become_state(tx, DesktopState::Lost, reason).await?;
    Ok(Next::Idle)
}

fn unheard(error: &vm::Error) -> Next {
    Next::After(error.again_after_s.unwrap_or_else(|| pause(3)))
}

/// Keeps what the provider shows.
async fn seen(turn: &Turn<'_>, machine: &Vm) -> Result<Next, Halt> {
    let mut tx = turn.write().await?;
    desktops::set_power(&mut tx, turn.desktop.id, &machine.state_text, machine.iso.is_some()).await?;
    tx.commit().await?;
    Ok(Next::Now)
}

async fn obey(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    machine: &Vm,
    order: PowerOrder,
) -> Result<Next, Halt> {
    let change = match (order, machine.state) {
        (_, VmState::Moving) => return Ok(Next::After(3)),
        (PowerOrder::Start, VmState::Running) | (PowerOrder::Stop, VmState::Stopped) => {
            let mut tx = turn.write().await?;
            desktops::set_order(&mut tx, turn.desktop.id, None).await?;
            desktops::set_power(&mut tx, turn.desktop.id, &machine.state_text, machine.iso.is_some()).await?;
            tx.commit().await?;
            return Ok(Next::Now);
        }
        (PowerOrder::Stop, _) => MachineChange::Stop,
        (PowerOrder::Reboot, VmState::Running) => MachineChange::Reboot,
        (PowerOrder::Start | PowerOrder::Reboot, _) => MachineChange::Start,
    };
    let asked = match change {
        MachineChange::Stop => PowerOrder::Stop,
        MachineChange::Reboot => PowerOrder::Reboot,
        MachineChange::Start | MachineChange::Detach => PowerOrder::Start,
    };
    ask(turn, change, Some(order), provider.power(&machine.id, asked)).await
}

/// Writes down what is asked for, asks, and writes down what came of it.
async fn ask(
    turn: &Turn<'_>,
    change: MachineChange,
    order: Option<PowerOrder>,
    answer: vm::Doing<'_, Begun>,
) -> Result<Next, Halt> {
    let id = turn.desktop.id;
    let mut tx = turn.write().await?;
    desktops::set_doing(&mut tx, id, Some(change), None).await?;
    tx.commit().await?;
    let answer = answer.await;
    let mut tx = turn.write().await?;
    let next = match answer {
        Ok(begun) => {
            desktops::set_doing(&mut tx, id, Some(change), begun.job.as_deref()).await?;
            Next::After(1)
        }
        // A look at the machine tells.
        Err(error) if error.class == FaultClass::Ambiguous => Next::After(2),
        Err(error) => {
            desktops::set_doing(&mut tx, id, None, None).await?;
            if error.class == FaultClass::Transient {
                unheard(&error)
            } else {
                // It would go wrong again and again.
                let reason = format!("{error}; {}", error.remedy());
                desktops::set_state(&mut tx, id, DesktopState::Ready, &reason, turn.ctx.now()).await?;
                if order.is_some() {
                    desktops::set_order(&mut tx, id, None).await?;
                    Next::Now
                } else {
                    Next::After(60)
                }
            }
        }
    };
    tx.commit().await?;
    Ok(next)
}

async fn ended(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    id: &str,
    doing: MachineChange,
    job: &str,
) -> Result<Next, Halt> {
    match provider.job(job).await {
        Ok(Progress::Pending) => Ok(Next::After(patience(0))),
        Ok(Progress::Done(_)) => over(turn, provider, id, doing, None).await,
        Ok(Progress::Failed(error)) => over(turn, provider, id, doing, Some(error)).await,
        Err(error) if error.class == FaultClass::Gone => over(turn, provider, id, doing, None).await,
        Err(error) => Ok(unheard(&error)),
    }
}

/// What was asked for is over: the machine shows how it is now. A restart of which nobody knows is not repeated.
async fn over(
    turn: &Turn<'_>,
    provider: &dyn Provider,
    id: &str,
    doing: MachineChange,
    failed: Option<vm::Error>,
) -> Result<Next, Halt> {
    let machine = match provider.vm(id).await {
        Ok(Some(machine)) => machine,
        Ok(None) => return lost(turn).await,
        Err(error) => return Ok(unheard(&error)),
    };
    let desktop = &turn.desktop;
    let mut tx = turn.write().await?;
    desktops::set_doing(&mut tx, desktop.id, None, None).await?;
    desktops::set_power(&mut tx, desktop.id, &machine.state_text, machine.iso.is_some()).await?;
    let done = match (desktop.order, doing) {
        (Some(PowerOrder::Start | PowerOrder::Reboot), MachineChange::Start) => {
            machine.state == VmState::Running
        }
        (Some(PowerOrder::Stop), MachineChange::Stop) => machine.state == VmState::Stopped,
        (Some(PowerOrder::Reboot), MachineChange::Reboot) => true,
        _ => false,
    };
    if done || (failed.is_some() && doing != MachineChange::Detach) {
        desktops::set_order(&mut tx, desktop.id, None).await?;
    }
    let reason = failed.as_ref().map(|error| format!("{error}; {}", error.remedy())).unwrap_or_default();
    desktops::set_state(&mut tx, desktop.id, DesktopState::Ready, &reason, turn.ctx.now()).await?;
    tx.commit().await?;
    Ok(if failed.is_some() { Next::After(60) } else { Next::After(1) })
}
