//! Writes partition tables and file systems, exactly as planned. Everything is checked before the first byte is written; when something
//! fails after it, the partition tables are cleared, so that nobody boots half a system.

use std::{collections::BTreeMap, path::PathBuf};

use wire::storage::{StorageAction, StorageWork, Volume};

use super::{StepContext, StepError, mount};
use crate::{
    disk::{self, filesystem, identify},
    host::Host,
};

/// Carries the work out.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &StorageWork) -> Result<(), StepError> {
    let disks = check(ctx, work)?;
    leave(ctx, &disks)?;
    let mut touched: Vec<PathBuf> = Vec::new();
    let result = write(ctx, work, &disks, &mut touched).await;
    if result.is_err() {
        for path in &touched {
            ctx.say(&format!(
                "clearing the partition table of {}: the disk is not left half done",
                path.display()
            ));
            if let Err(error) = disk::clear_table(ctx.host, path) {
                ctx.say(&format!("that did not work: {error:#}"));
            }
        }
    }
    result
}

/// Finds every disk again, and refuses what this agent does not know, before anything is written.
fn check(ctx: &StepContext<'_>, work: &StorageWork) -> Result<BTreeMap<String, PathBuf>, StepError> {
    let mut disks = BTreeMap::new();
    for expected in &work.disks {
        let path =
            identify::find(ctx.host, expected).map_err(|error| StepError::Refused(error.to_string()))?;
        ctx.say(&format!(
            "disk `{}` is {} (serial {}, {} bytes)",
            expected.disk,
            path.display(),
            expected.serial,
            expected.size_bytes
        ));
        disks.insert(expected.disk.clone(), path);
    }
    for action in &work.actions {
        let named = match action {
            StorageAction::Wipe { disk } | StorageAction::WriteTable { disk, .. } => Some(disk),
            StorageAction::Format { volume: Volume::Partition { disk, .. }, .. } => Some(disk),
            StorageAction::Mount(entry) => match &entry.volume {
                Volume::Partition { disk, .. } => Some(disk),
                Volume::Unknown => None,
            },
            StorageAction::Format { volume: Volume::Unknown, .. } | StorageAction::Unknown => None,
        };
        if named.is_none_or(|disk| !disks.contains_key(disk)) {
            return Err(StepError::Refused(
                "the plan has storage work that this agent does not know; nothing was written".to_owned(),
            ));
        }
    }
    Ok(disks)
}

/// Lets go of what an earlier attempt, or the installer itself, has in use on these disks.
fn leave(ctx: &StepContext<'_>, disks: &BTreeMap<String, PathBuf>) -> Result<(), StepError> {
    let text = ctx.host.read(std::path::Path::new("/proc/self/mountinfo"))?;
    let text = String::from_utf8_lossy(&text);
    let mut places: Vec<&str> = Vec::new();
    for line in text.lines() {
        let source = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
        if disks.values().any(|disk| source.starts_with(&disk.display().to_string())) {
            places.extend(line.split(' ').nth(4));
        }
    }
    // The last one mounted lies on top.
    for place in places.into_iter().rev() {
        ctx.say(&format!("letting go of {place}"));
        ctx.host.unmount(std::path::Path::new(place))?;
    }
    Ok(())
}

async fn write(
    ctx: &StepContext<'_>,
    work: &StorageWork,
    disks: &BTreeMap<String, PathBuf>,
    touched: &mut Vec<PathBuf>,
) -> Result<(), StepError> {
    let sector = |name: &str| {
        work.disks
            .iter()
            .find(|expected| expected.disk == *name)
            .map_or(512, |expected| expected.sector_bytes)
    };
    for (at, action) in work.actions.iter().enumerate() {
        if ctx.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        let percent = u8::try_from(at * 100 / work.actions.len()).unwrap_or(100);
        match action {
            StorageAction::Wipe { disk } => {
                ctx.voice.progress(percent, "wiping old signatures");
                touched.push(disks[disk].clone());
                disk::wipe_signatures(ctx, &disks[disk]).await?;
            }
            StorageAction::WriteTable { disk, table, guid, partitions } => {
                let path = &disks[disk];
                ctx.voice.progress(percent, "writing the partition table");
                touched.push(path.clone());
                disk::write_table(ctx.host, path, *table, guid, partitions, sector(disk))
                    .map_err(StepError::Permanent)?;
                ctx.host.reread_partitions(path)?;
                wait_for(ctx.host, path, partitions.len())?;
                ctx.say(&format!("wrote {} partitions to {}", partitions.len(), path.display()));
            }
            StorageAction::Format { volume, format, uuid, label } => {
                let Volume::Partition { disk, number } = volume else { continue };
                let device = identify::partition(&disks[disk], *number);
                ctx.voice.progress(percent, "making file systems");
                filesystem::make(ctx, &device, *format, uuid, label).await?;
            }
            StorageAction::Mount(entry) => {
                ctx.voice.progress(percent, "mounting");
                mount::execute(ctx, std::slice::from_ref(entry)).await?;
            }
            StorageAction::Unknown => {}
        }
    }
    ctx.voice.progress(100, "");
    Ok(())
}

/// The nodes of the new partitions are there when [`Host::reread_partitions`] has come back; if not, formatting would make plain files.
fn wait_for(host: &dyn Host, disk: &std::path::Path, partitions: usize) -> Result<(), StepError> {
    for number in 1..=partitions {
        let device = identify::partition(disk, u32::try_from(number).unwrap_or(0));
        if !host.exists(&device) {
            return Err(StepError::Permanent(anyhow::anyhow!(
                "the kernel does not show {} after the table was written",
                device.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
