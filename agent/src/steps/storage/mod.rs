//! Writes partition tables and file systems, exactly as planned. Everything is checked on the disks themselves before the first byte is
//! written; when something fails after it, the new partitions are taken out of the tables again, so that nobody boots half a system.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use wire::storage::{Partition, StorageAction, StorageWork, Volume};

use super::{StepContext, StepError, mount};
use crate::{
    disk::{
        self, filesystem, identify,
        table::{self, NewTable, Refusal},
        usage,
    },
    facts::block,
};

/// Carries the work out.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &StorageWork) -> Result<(), StepError> {
    let disks = Disks::find(ctx, work)?;
    disks.let_go(ctx).await?;
    disks.inspect(ctx)?;
    let mut touched = Vec::new();
    let Err(error) = write(ctx, &disks, &mut touched).await else { return Ok(()) };
    if touched.is_empty() {
        return Err(error);
    }
    Err(match (take_back(ctx, &disks, &touched), error) {
        (Ok(()), StepError::Refused(why)) => StepError::Permanent(anyhow!(why)),
        (Ok(()), error) => error,
        (Err(left), error) => StepError::Permanent(left.context(format!("{error}; and then"))),
    })
}

/// The plan's disks on this machine.
struct Disks<'a> {
    work: &'a StorageWork,
    paths: BTreeMap<&'a str, PathBuf>,
}

impl<'a> Disks<'a> {
    /// Finds every disk again, and refuses what this agent does not know.
    fn find(ctx: &StepContext<'_>, work: &'a StorageWork) -> Result<Self, StepError> {
        let refused = |why: String| StepError::Refused(format!("{why}; nothing was written"));
        let mut paths = BTreeMap::new();
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
            if paths.values().any(|other| *other == path) {
                return Err(refused(format!("the plan names {} twice", path.display())));
            }
            paths.insert(expected.disk.as_str(), path);
        }
        for action in &work.actions {
            if named(action).is_none_or(|disk| !paths.contains_key(disk)) {
                return Err(refused("the plan has storage work that this agent does not know".to_owned()));
            }
        }
        let disks = Self { work, paths };
        for expected in &work.disks {
            if !disks.is_in_order(&expected.disk) {
                return Err(refused(format!(
                    "the plan makes or mounts file systems on disk `{}` where it makes no partitions",
                    expected.disk
                )));
            }
        }
        Ok(disks)
    }

    /// First the table, once, and then only what lies in it: else a file system would be made over one that nobody looked at.
    fn is_in_order(&self, name: &str) -> bool {
        let mut table: Option<&[Partition]> = None;
        self.work.actions.iter().filter(|action| named(action) == Some(name)).all(|action| {
            let has = |volume: &Volume, keep: bool| {
                let Volume::Partition { number, .. } = volume else { return false };
                let mut partitions = table.into_iter().flatten();
                partitions.any(|partition| partition.number == *number && partition.keep == keep)
            };
            match action {
                StorageAction::Wipe { .. } => table.is_none(),
                StorageAction::WriteTable { partitions, .. } => table.replace(partitions).is_none(),
                StorageAction::Format { volume, .. } => has(volume, false),
                StorageAction::Mount(entry) => has(&entry.volume, entry.keep),
                StorageAction::Unknown => false,
            }
        })
    }

    fn tables(&self) -> impl Iterator<Item = (&Path, NewTable<'a>)> {
        self.work.disks.iter().filter_map(|expected| {
            let path = self.paths.get(expected.disk.as_str())?;
            let may_destroy = self
                .work
                .actions
                .iter()
                .any(|action| matches!(action, StorageAction::Wipe { disk } if *disk == expected.disk));
            let table = self.work.actions.iter().find_map(|action| match action {
                StorageAction::WriteTable { disk, table, guid, partitions } if *disk == expected.disk => {
                    Some(NewTable {
                        format: *table,
                        guid,
                        partitions,
                        sector_bytes: expected.sector_bytes,
                        size_bytes: expected.size_bytes,
                        may_destroy,
                    })
                }
                _ => None,
            })?;
            Some((path.as_path(), table))
        })
    }

    fn table_of(&self, path: &Path) -> Option<NewTable<'a>> {
        self.tables().find_map(|(disk, table)| (disk == path).then_some(table))
    }

    /// Lets go of what an earlier attempt has in use, after nobody else was found to use any of the disks.
    async fn let_go(&self, ctx: &StepContext<'_>) -> Result<(), StepError> {
        for path in self.paths.values() {
            usage::refuse_if_used(ctx, path)?;
        }
        // Also what is not of these disks: the new system is mounted there.
        usage::unmount_below(ctx, ctx.target)?;
        for path in self.paths.values() {
            usage::let_go(ctx, path).await?;
        }
        Ok(())
    }

    /// Looks at every disk, alone with it, whether it may be written.
    fn inspect(&self, ctx: &StepContext<'_>) -> Result<(), StepError> {
        for (path, table) in self.tables() {
            table::inspect(ctx.host, path, &table).map_err(|refusal| {
                let found = match refusal {
                    Refusal::NotBlank(_) => format!(" ({})", what_is_on(ctx, path)),
                    Refusal::Unfit(_) | Refusal::NotKept { .. } | Refusal::Disk(_) => String::new(),
                };
                StepError::Refused(format!("{}{found}: {refusal}", path.display()))
            })?;
        }
        Ok(())
    }
}

/// The disk of an action; `None` for what this agent does not know.
fn named(action: &StorageAction) -> Option<&str> {
    fn on(volume: &Volume) -> Option<&str> {
        match volume {
            Volume::Partition { disk, .. } => Some(disk),
            Volume::Unknown => None,
        }
    }
    match action {
        StorageAction::Wipe { disk } | StorageAction::WriteTable { disk, .. } => Some(disk),
        StorageAction::Format { volume, .. } => on(volume),
        StorageAction::Mount(entry) => on(&entry.volume),
        StorageAction::Unknown => None,
    }
}

/// What a disk carries, for people.
fn what_is_on(ctx: &StepContext<'_>, path: &Path) -> String {
    let disks = block::disks(ctx.host);
    let Some(disk) = disks.iter().find(|disk| Path::new(&disk.path) == path) else { return String::new() };
    let partitions =
        disk.partitions.iter().map(|partition| format!("{} {}", partition.path, partition.content));
    let found: Vec<String> = [disk.table.clone(), disk.content.clone()]
        .into_iter()
        .chain(partitions)
        .filter(|word| !word.trim().is_empty())
        .collect();
    if found.is_empty() {
        "data that nothing recognises".to_owned()
    } else {
        format!("it carries {}", found.join(", "))
    }
}

async fn write(
    ctx: &StepContext<'_>,
    disks: &Disks<'_>,
    touched: &mut Vec<PathBuf>,
) -> Result<(), StepError> {
    let actions = &disks.work.actions;
    for (at, action) in actions.iter().enumerate() {
        if ctx.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        let progress = |message| {
            ctx.voice.progress(u8::try_from(at * 100 / actions.len()).unwrap_or(100), message);
        };
        match action {
            StorageAction::Wipe { disk } => {
                let path = &disks.paths[disk.as_str()];
                // With partitions that stay, it only says that the others may go.
                if disks.table_of(path).is_none_or(|table| !table.keeps_some()) {
                    progress("wiping old signatures");
                    touched.push(path.clone());
                    disk::wipe_signatures(ctx, path).await?;
                }
            }
            StorageAction::WriteTable { disk, .. } => {
                let path = &disks.paths[disk.as_str()];
                let Some(table) = disks.table_of(path) else { continue };
                progress("writing the partition table");
                touched.push(path.clone());
                table::write(ctx.host, path, &table).map_err(StepError::Permanent)?;
                ctx.host.reread_partitions(path)?;
                for partition in table.partitions {
                    see(ctx, path, partition)?;
                }
                ctx.say(&format!("wrote {} partitions to {}", table.partitions.len(), path.display()));
            }
            StorageAction::Format { volume, format, uuid, label } => {
                let Volume::Partition { disk, number } = volume else { continue };
                let device = identify::partition(&disks.paths[disk.as_str()], *number);
                progress("making file systems");
                filesystem::make(ctx, &device, *format, uuid, label).await?;
            }
            StorageAction::Mount(entry) => {
                progress("mounting");
                mount::execute(ctx, std::slice::from_ref(entry)).await?;
            }
            StorageAction::Unknown => {}
        }
    }
    ctx.voice.progress(100, "");
    Ok(())
}

/// The kernel has the partition where the table says: else a file system would be made somewhere else, or in a plain file.
fn see(ctx: &StepContext<'_>, disk: &Path, partition: &Partition) -> Result<(), StepError> {
    /// `/sys/block` counts in these, whatever the disk's own sectors are.
    const UNIT: u64 = 512;
    let device = identify::partition(disk, partition.number);
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = format!("/sys/block/{}/{}", name(disk), name(&device));
    let number = |file: &str| {
        crate::facts::text(ctx.host, &format!("{place}/{file}"))
            .parse::<u64>()
            .ok()
            .map(|sectors| sectors * UNIT)
    };
    let found = (number("start"), number("size"));
    // Of an extended partition the kernel shows the first sectors only.
    let is_there =
        found.0 == Some(partition.start_bytes) && (partition.keep || found.1 == Some(partition.size_bytes));
    if !is_there || !ctx.host.exists(&device) {
        return Err(StepError::Permanent(anyhow!(
            "the kernel does not show {} as it was written to the table",
            device.display()
        )));
    }
    Ok(())
}

/// Lets go of the disks and takes their new partitions out of the tables.
fn take_back(ctx: &StepContext<'_>, disks: &Disks<'_>, touched: &[PathBuf]) -> anyhow::Result<()> {
    usage::unmount_below(ctx, ctx.target)?;
    let mut left = Vec::new();
    for (path, table) in disks.tables().filter(|(path, _)| touched.iter().any(|touched| touched == path)) {
        let kept: Vec<Partition> =
            table.partitions.iter().filter(|partition| partition.keep).cloned().collect();
        ctx.say(&format!(
            "taking the new partitions of {} back: the disk is not left half done",
            path.display()
        ));
        let result = if kept.is_empty() {
            disk::clear(ctx.host, path)
        } else {
            table::write(ctx.host, path, &NewTable { partitions: &kept, may_destroy: true, ..table })
                .and_then(|()| Ok(ctx.host.reread_partitions(path)?))
        };
        if let Err(error) = result {
            left.push(format!("{}: {error:#}", path.display()));
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(anyhow!("the new partition table could not be taken back, do not boot from it: {}", left.join(", ")))
}

#[cfg(test)]
mod tests;
