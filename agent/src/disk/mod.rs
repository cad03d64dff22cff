//! Disks: found again by what they are, let go of, partitioned, formatted, wiped.

mod edges;
pub mod filesystem;
mod gpt_table;
pub mod identify;
mod mbr_table;
pub mod table;
pub mod usage;

use std::path::Path;

use anyhow::Context as _;

use crate::{
    host::{Command, Host},
    steps::{StepContext, StepError},
};

/// Removes every signature from a disk and from the partitions that it has.
///
/// # Errors
/// wipefs(8) fails, or the disk refuses.
pub async fn wipe_signatures(ctx: &StepContext<'_>, disk: &Path) -> Result<(), StepError> {
    for device in identify::partitions(ctx.host, disk) {
        ctx.run(&Command::new(["wipefs", "--all", "--force", "--quiet", &device.display().to_string()]))
            .await?;
    }
    ctx.run(&Command::new(["wipefs", "--all", "--force", "--quiet", &disk.display().to_string()])).await?;
    clear(ctx.host, disk).map_err(StepError::Permanent)
}

/// Overwrites both ends of a disk with zeros, so that it has no table and no boot code, and lets the kernel know.
///
/// # Errors
/// The disk refuses, or is in use.
pub fn clear(host: &dyn Host, disk: &Path) -> anyhow::Result<()> {
    let mut file = host.open_disk(disk)?;
    let size = file.seek(std::io::SeekFrom::End(0))?;
    edges::zero(file.as_mut(), 0, size)
        .and_then(|()| file.sync())
        .with_context(|| format!("clearing {}", disk.display()))?;
    drop(file);
    Ok(host.reread_partitions(disk)?)
}

#[cfg(test)]
pub(crate) mod tests;
