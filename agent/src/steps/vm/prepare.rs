//! Makes this system a host: the directory and pool for disks, and the network.

use std::path::Path;

use wire::vm::VmNetwork;

use super::{StepContext, StepError, change, define, libvirt};
use crate::vm::{DIRECTORY, NAME, place};

pub(super) async fn execute(ctx: &StepContext<'_>, network: &VmNetwork) -> Result<(), StepError> {
    let network = place::network(network).map_err(StepError::Refused)?;
    let virsh = libvirt(ctx);
    let is_in = |names: Vec<String>| names.iter().any(|name| name == NAME);
    ctx.host.create_dir(Path::new(DIRECTORY))?;
    if !is_in(virsh.names(&["pool-list", "--all", "--name"]).await?) {
        define(ctx, "pool-define", &place::pool().write()).await?;
    }
    if !is_in(virsh.names(&["pool-list", "--name"]).await?) {
        change(ctx, &["pool-start", NAME]).await?;
    }
    change(ctx, &["pool-autostart", NAME]).await?;
    // Machines may be in it: whoever wants another network removes this one first.
    if is_in(virsh.names(&["net-list", "--all", "--name"]).await?) {
        ctx.say(&format!("the network {NAME} is there already and stays as it is"));
    } else {
        define(ctx, "net-define", &network.write()).await?;
    }
    if !is_in(virsh.names(&["net-list", "--name"]).await?) {
        change(ctx, &["net-start", NAME]).await?;
    }
    change(ctx, &["net-autostart", NAME]).await
}
