//! Disks: found again by what they are, partitioned, formatted, wiped.

pub mod filesystem;
mod gpt_table;
pub mod identify;
#[cfg(test)]
pub(crate) mod loop_host;
mod mbr_table;

use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::Context as _;
use wire::storage::{Partition, TableFormat};

use crate::{
    host::{Command, DiskFile, Host},
    steps::{StepContext, StepError},
};

/// Boot code, tables and most signatures lie in the first and last stretch of this length.
const EDGE: u64 = 1 << 20;

/// Writes a partition table and reads it back.
///
/// # Errors
/// The disk refuses, or what is read back is not what was written.
pub fn write_table(
    host: &dyn Host,
    path: &Path,
    table: TableFormat,
    guid: &str,
    partitions: &[Partition],
    sector_bytes: u32,
) -> anyhow::Result<()> {
    let mut file = host.open_disk(path)?;
    match table {
        TableFormat::Gpt => gpt_table::write(&mut file, guid, partitions, sector_bytes),
        TableFormat::Mbr => mbr_table::write(&mut file, guid, partitions, sector_bytes),
    }
    .with_context(|| format!("writing the partition table of {}", path.display()))?;
    file.sync().with_context(|| format!("writing the partition table of {}", path.display()))
}

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
    clear_table(ctx.host, disk).map_err(StepError::Permanent)?;
    ctx.host.reread_partitions(disk)?;
    Ok(())
}

/// Overwrites both edges of a disk with zeros: no table, no boot code.
///
/// # Errors
/// The disk refuses.
pub fn clear_table(host: &dyn Host, disk: &Path) -> anyhow::Result<()> {
    let mut file = host.open_disk(disk)?;
    zero_edges(&mut file).with_context(|| format!("clearing {}", disk.display()))?;
    // A partition table that is gone is news to the kernel too.
    drop(file);
    Ok(())
}

fn zero_edges(file: &mut Box<dyn DiskFile>) -> std::io::Result<()> {
    let size = file.seek(SeekFrom::End(0))?;
    let zeros = vec![0; usize::try_from(EDGE.min(size)).unwrap_or(0)];
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&zeros)?;
    file.seek(SeekFrom::Start(size.saturating_sub(EDGE)))?;
    file.write_all(&zeros)?;
    file.sync()
}

#[cfg(test)]
mod tests;
