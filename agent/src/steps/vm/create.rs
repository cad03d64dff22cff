//! Makes a machine: image, user-data, disk, and at last its description, so that a machine that is there is whole.

use std::path::{Path, PathBuf};

use wire::vm::{NewMachine, VmBoot};

use super::{StepContext, StepError, change, define, images, libvirt, ours, remove};
use crate::{
    host::Command,
    vm::{
        NAME,
        domain::{Accelerator, made},
        inventory, is_host, seed, volume,
    },
};

/// Where user-data lies while its disc is made; in memory.
const DESK: &str = "/run/lotse-agent/vm";
/// By this label the agent in the machine finds its user-data (`NoCloud`).
const LABEL: &str = "CIDATA";

pub(super) async fn execute(ctx: &StepContext<'_>, machine: &NewMachine) -> Result<(), StepError> {
    let name = &machine.name;
    if !is_host(ctx.host) {
        let why = "this system is no host of machines yet: run the job vm-host on it first";
        return Err(StepError::Refused(why.to_owned()));
    }
    if ours(ctx, name).await?.is_some() {
        ctx.say(&format!("the machine {name} is there already"));
        return Ok(());
    }
    if !libvirt(ctx).names(&["net-list", "--name"]).await?.iter().any(|network| network == NAME) {
        return Err(StepError::Refused(format!(
            "the network {NAME} is not active: run the job vm-host again"
        )));
    }
    remove::unfinished(ctx, name).await?;
    if ctx.host.exists(&crate::vm::disk(name)) {
        return Err(StepError::Refused(format!(
            "{} is there already, and no machine has it: move it away, or choose another name",
            crate::vm::disk(name).display()
        )));
    }
    let iso = match &machine.boot {
        VmBoot::Iso { blob } => Some(images::fetched(ctx, blob).await?),
        VmBoot::Network {} => None,
        VmBoot::Unknown => {
            return Err(StepError::Refused("this agent does not know how it shall boot".to_owned()));
        }
    };
    remove::mark_unfinished(ctx, name)?;
    if let Some(secret) = &machine.user_data {
        let text = ctx.ask(|| ctx.server.secret(ctx.attempt, secret)).await?;
        burn(ctx, name, &text).await?;
    }
    let size = machine.disk_bytes.to_string();
    change(ctx, &["vol-create-as", NAME, &volume(name), &size, "--format", "qcow2"]).await?;
    let accelerator = if inventory::has_kvm(ctx.host) { Accelerator::Kvm } else { Accelerator::Emulation };
    if accelerator == Accelerator::Emulation {
        ctx.say("this host has no /dev/kvm: the machine is emulated, which is slow");
    }
    let iso = iso.as_ref().map(|path| path.display().to_string());
    define(ctx, "define", &made(machine, accelerator, iso.as_deref()).write()).await?;
    Ok(remove::forget_unfinished(ctx, name)?)
}

/// Makes the disc with the user-data; only root and the machine itself can read it.
async fn burn(ctx: &StepContext<'_>, name: &str, text: &str) -> Result<(), StepError> {
    let desk = Path::new(DESK).join(name);
    ctx.host.write(&desk.join("user-data"), text.as_bytes(), 0o600)?;
    let metadata = format!("instance-id: {name}\nlocal-hostname: {name}\n");
    ctx.host.write(&desk.join("meta-data"), metadata.as_bytes(), 0o600)?;
    let disc = seed(name);
    // Made first, so that it is never readable for others.
    ctx.host.write(&disc, b"", 0o600)?;
    let burnt = ctx.run(&command(&disc, &desk)).await;
    ctx.host.remove(&desk)?;
    burnt.map(drop).map_err(StepError::from)
}

fn command(disc: &Path, desk: &Path) -> Command {
    let text = |path: &Path| path.display().to_string();
    let (disc, desk) = (text(disc), text(&PathBuf::from(desk)));
    Command::new([
        "xorriso", "-as", "mkisofs", "-quiet", "-volid", LABEL, "-joliet", "-rock", "-output", &disc, &desk,
    ])
}
