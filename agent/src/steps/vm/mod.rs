//! Virtual machines on this host: made, switched, kept, removed. Only what Lotse has made is ever changed.
//!
//! Every step can be taken again: it looks first, and does what is still to do.

mod create;
mod images;
mod power;
mod prepare;
mod remove;
mod snapshot;
#[cfg(test)]
mod tests;

use wire::vm::VmWork;

use super::{StepContext, StepError};
use crate::{
    host::{self, Command},
    vm::{
        domain::{Described, described},
        virsh::{self, Virsh},
    },
};

/// Does the work.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &VmWork) -> Result<(), StepError> {
    match work {
        VmWork::Prepare { network } => prepare::execute(ctx, network).await,
        VmWork::Create { machine } => create::execute(ctx, machine).await,
        VmWork::Power { name, order } => power::execute(ctx, name, *order).await,
        VmWork::Snapshot { name, snapshot, order } => snapshot::execute(ctx, name, snapshot, *order).await,
        VmWork::Eject { name } => remove::eject(ctx, name).await,
        VmWork::Delete { name } => remove::delete(ctx, name).await,
        VmWork::Unknown => {
            Err(StepError::Refused("this agent cannot do such a thing with machines".to_owned()))
        }
    }
}

impl From<virsh::Error> for StepError {
    fn from(error: virsh::Error) -> Self {
        match error {
            virsh::Error::Host(error) => of_libvirt(error),
            virsh::Error::Answer { .. } => Self::Permanent(error.into()),
        }
    }
}

/// A libvirt that is just being restarted is there again soon.
fn of_libvirt(error: host::Error) -> StepError {
    match error {
        host::Error::Status { ref last_lines, .. }
            if last_lines.contains("failed to connect to the hypervisor") =>
        {
            StepError::Transient(error.into())
        }
        other => other.into(),
    }
}

fn libvirt<'a>(ctx: &'a StepContext<'_>) -> Virsh<'a> {
    Virsh::new(ctx.host, ctx.stop)
}

/// Lets libvirt change something, with what it says in the report.
async fn change(ctx: &StepContext<'_>, words: &[&str]) -> Result<(), StepError> {
    run(ctx, virsh::command(words.iter().copied())).await
}

/// The same with a description on its standard input.
async fn define(ctx: &StepContext<'_>, word: &str, description: &str) -> Result<(), StepError> {
    run(ctx, virsh::command([word, "/dev/stdin"]).with_stdin(description)).await
}

async fn run(ctx: &StepContext<'_>, command: Command) -> Result<(), StepError> {
    ctx.run(&command).await.map(drop).map_err(of_libvirt)
}

/// A machine that Lotse has made; `None` when there is none of this name.
///
/// # Errors
/// Somebody else has made it.
async fn ours(ctx: &StepContext<'_>, name: &str) -> Result<Option<Described>, StepError> {
    let virsh = libvirt(ctx);
    if !virsh.machines().await?.iter().any(|known| known == name) {
        return Ok(None);
    }
    let machine = described(&virsh.definition(name, false).await?);
    if machine.ours {
        Ok(Some(machine))
    } else {
        Err(StepError::Refused(format!("the machine {name} was not made by Lotse, so it is left alone")))
    }
}

/// The same for one that has to be there.
async fn needed(ctx: &StepContext<'_>, name: &str) -> Result<Described, StepError> {
    ours(ctx, name)
        .await?
        .ok_or_else(|| StepError::Refused(format!("there is no machine {name} on this host")))
}
