//! Switches a machine on and off, and lets it stand still.

use std::time::Duration;

use wire::vm::VmPower;

use super::{StepContext, StepError, change, libvirt, needed};
use crate::vm::virsh::domain;

/// A system that was asked to switch off has this much time, ...
const PATIENCE: Duration = Duration::from_secs(90);
/// ... and is looked at this often.
const GLANCE: Duration = Duration::from_secs(2);

pub(super) async fn execute(ctx: &StepContext<'_>, name: &str, order: VmPower) -> Result<(), StepError> {
    needed(ctx, name).await?;
    let state = libvirt(ctx).state(name).await?;
    let machine = domain(name);
    let is_off = matches!(state.as_str(), "shut off" | "crashed");
    match order {
        VmPower::Start | VmPower::Resume if state == "paused" => change(ctx, &["resume", &machine]).await?,
        VmPower::Start | VmPower::Reboot | VmPower::Reset if is_off => {
            change(ctx, &["start", &machine]).await?;
        }
        VmPower::Stop if is_off || state == "paused" => off(ctx, name).await?,
        VmPower::Stop => stop(ctx, name).await?,
        VmPower::ForceOff => off(ctx, name).await?,
        VmPower::Reboot => change(ctx, &["reboot", &machine]).await?,
        VmPower::Reset => change(ctx, &["reset", &machine]).await?,
        VmPower::Pause if state == "running" => change(ctx, &["suspend", &machine]).await?,
        VmPower::Pause | VmPower::Resume if is_off => {
            return Err(StepError::Refused(format!("the machine {name} is off")));
        }
        VmPower::Start | VmPower::Pause | VmPower::Resume => {
            ctx.say(&format!("the machine {name} is {state}"));
        }
        VmPower::Unknown => {
            return Err(StepError::Refused("this agent does not know such an order".to_owned()));
        }
    }
    // What was on comes back after a restart of the host, and what was off stays off.
    match order {
        VmPower::Start | VmPower::Reboot | VmPower::Reset => change(ctx, &["autostart", &machine]).await,
        VmPower::Stop | VmPower::ForceOff => change(ctx, &["autostart", &machine, "--disable"]).await,
        VmPower::Pause | VmPower::Resume | VmPower::Unknown => Ok(()),
    }
}

async fn is_off(ctx: &StepContext<'_>, name: &str) -> Result<bool, StepError> {
    Ok(libvirt(ctx).state(name).await? == "shut off")
}

/// Off at once, when it is not already.
pub(super) async fn off(ctx: &StepContext<'_>, name: &str) -> Result<(), StepError> {
    if is_off(ctx, name).await? {
        return Ok(());
    }
    let switched = change(ctx, &["destroy", &domain(name)]).await;
    // It may just have gone off by itself.
    if is_off(ctx, name).await? { Ok(()) } else { switched }
}

async fn stop(ctx: &StepContext<'_>, name: &str) -> Result<(), StepError> {
    change(ctx, &["shutdown", &domain(name)]).await?;
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if is_off(ctx, name).await? {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(GLANCE) => waited += GLANCE,
            () = ctx.stop.cancelled() => return Err(StepError::Stopped),
        }
    }
    ctx.say(&format!("{name} has not switched off within {} s and is switched off", PATIENCE.as_secs()));
    off(ctx, name).await
}
