//! Takes images out of a machine's drives, and removes a machine with all that it has.
//!
//! Whoever makes or removes a machine says so in a file before: what bears that name here then belongs to nobody while no machine of the
//! name is there, and is removed by whoever comes next.

use std::path::{Path, PathBuf};

use super::{StepContext, StepError, change, define, libvirt, needed, ours, power};
use crate::{
    host,
    vm::{
        DIRECTORY, NAME,
        domain::{described, empty_drives},
        seed, serial,
        virsh::domain,
        volume,
    },
};

fn unfinished_file(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}.unfinished"))
}

/// Says that what bears this name belongs to nobody.
pub(super) fn mark_unfinished(ctx: &StepContext<'_>, name: &str) -> Result<(), host::Error> {
    ctx.host.write(&unfinished_file(name), b"", 0o600)
}

/// The machine is there, or nothing of it is.
pub(super) fn forget_unfinished(ctx: &StepContext<'_>, name: &str) -> Result<(), host::Error> {
    ctx.host.remove(&unfinished_file(name))
}

/// Removes what an interrupted attempt has left of a machine that is not there.
pub(super) async fn unfinished(ctx: &StepContext<'_>, name: &str) -> Result<(), StepError> {
    if !ctx.host.exists(&unfinished_file(name)) {
        return Ok(());
    }
    let volume = volume(name);
    let there = libvirt(ctx).ask(&["vol-info", "--pool", NAME, &volume]).await.is_ok();
    if there {
        change(ctx, &["vol-delete", "--pool", NAME, &volume]).await?;
    }
    ctx.host.remove(&seed(name))?;
    serial::forget(ctx.host, name)?;
    Ok(forget_unfinished(ctx, name)?)
}

pub(super) async fn eject(ctx: &StepContext<'_>, name: &str) -> Result<(), StepError> {
    needed(ctx, name).await?;
    let virsh = libvirt(ctx);
    let mut next = virsh.definition(name, true).await?;
    if empty_drives(&mut next) {
        define(ctx, "define", &next.write()).await?;
    }
    if virsh.state(name).await? != "shut off" {
        for slot in described(&virsh.definition(name, false).await?).full_drives {
            // The guest may have locked its drive.
            change(ctx, &["change-media", &domain(name), &slot, "--eject", "--live", "--force"]).await?;
        }
    }
    Ok(ctx.host.remove(&seed(name))?)
}

pub(super) async fn delete(ctx: &StepContext<'_>, name: &str) -> Result<(), StepError> {
    if ours(ctx, name).await?.is_some() {
        power::off(ctx, name).await?;
        mark_unfinished(ctx, name)?;
        change(ctx, &["undefine", &domain(name), "--managed-save", "--snapshots-metadata"]).await?;
    }
    unfinished(ctx, name).await
}
