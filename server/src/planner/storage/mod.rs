//! From a layout and a machine to the exact storage work. Pure; sizes, places, UUIDs and order come out the same every time.
//!
//! Properties (tested with random layouts on random disks): what is accepted fits, does not overlap, is aligned to 1 MiB, keeps every
//! minimum, and comes out the same twice; what is refused names its line.

mod allocate;
mod boot;
mod example;
mod keep;
mod preview;
mod select;

use uuid::Uuid;
use wire::{
    facts::{Disk, Facts, Firmware},
    storage::{
        DiskExpectation, FileSystem, MountEntry, Partition, PartitionPurpose, StorageAction, StorageWork,
        Volume,
    },
};

use self::{
    allocate::Extent,
    keep::{Kept, described_partition},
};
pub use self::{
    boot::boot_disks,
    example::example_machine,
    preview::{DiskPreview, PartitionPreview, preview},
};
use crate::domain::layout::{DiskLayout, Layout, LayoutProblem, PartitionLayout, Purpose, When, size::human};

/// Names Lotse's own UUIDs (version 5, RFC 9562): the same client, disk and partition always get the same.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c6f_7473_6500_4c61_b90d_7374_6f72_6167);

/// Whose storage it is, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Purposes<'a> {
    /// Names the client for good, such as `client 7`: file systems have the same UUIDs in every job of an installation.
    pub client: &'a str,
    /// Names the job that writes, as no other job is ever named, or `None` for one that only uses what was written: that one is not asked
    /// whether the disks are blank. Tables and new partitions have GUIDs of this job, by which the agent knows its own interrupted work
    /// from a system that was once installed.
    pub job: Option<&'a str>,
}

/// Plans the storage of a machine.
///
/// # Errors
/// Everything that stands against it, each with the place in the layout.
pub fn plan(layout: &Layout, facts: &Facts, seed: Purposes<'_>) -> Result<StorageWork, Vec<LayoutProblem>> {
    let chosen = select::select(layout, facts)?;
    let mut problems = Vec::new();
    let mut work = StorageWork { disks: Vec::new(), actions: Vec::new() };
    let mut mounts = Vec::new();
    for (name, disk) in chosen {
        let wanted = &layout.disks[name];
        match plan_disk(name, wanted, disk, facts.firmware, seed) {
            Ok(mut planned) => {
                work.disks.push(planned.expectation);
                work.actions.append(&mut planned.actions);
                mounts.append(&mut planned.mounts);
            }
            Err(mut more) => problems.append(&mut more),
        }
    }
    // Parents are mounted before what lies below them; swap comes last.
    mounts.sort_by_key(|entry: &MountEntry| {
        (
            entry.format == FileSystem::Swap,
            entry.mount.matches('/').count() + usize::from(entry.mount != "/"),
            entry.mount.clone(),
        )
    });
    work.actions.extend(mounts.into_iter().map(StorageAction::Mount));
    if problems.is_empty() {
        problems = boot::what_is_missing(layout, &work, facts.firmware);
    }
    if problems.is_empty() { Ok(work) } else { Err(problems) }
}

struct PlannedDisk {
    expectation: DiskExpectation,
    actions: Vec<StorageAction>,
    mounts: Vec<MountEntry>,
}

fn plan_disk(
    name: &str,
    wanted: &DiskLayout,
    disk: &Disk,
    firmware: Firmware,
    seed: Purposes<'_>,
) -> Result<PlannedDisk, Vec<LayoutProblem>> {
    let place = format!("disks.{name}");
    let problem = |message| vec![LayoutProblem { line: 0, place: place.clone(), message }];
    let kept = keep::find(wanted, disk, &place)?;
    let stays = |number| kept.iter().any(|kept| kept.there.number == number);
    let lost = what_would_be_lost(disk, stays);
    if let (false, true, Some(lost)) = (wanted.wipe, seed.job.is_some(), lost) {
        let message =
            format!("{} carries {lost}; write `wipe: true` to allow that it is destroyed", described(disk));
        return Err(problem(message));
    }
    let made: Vec<(usize, &PartitionLayout)> =
        wanted.partitions.iter().enumerate().filter(|(_, partition)| is_made(partition, firmware)).collect();
    let taken: Vec<Extent> = kept.iter().map(Kept::extent).collect();
    let free = allocate::free(wanted.table, disk, &taken).map_err(problem)?;
    let extents = allocate::allocate(disk, free, &made, &place)?;
    let named =
        |whose: &str, what: &str| Uuid::new_v5(&NAMESPACE, format!("{whose}\n{name}\n{what}").as_bytes());
    let job = format!("{}\n{}", seed.client, seed.job.unwrap_or_default());
    let expectation = DiskExpectation {
        disk: name.to_owned(),
        path: disk.path.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size_bytes: disk.size_bytes,
        sector_bytes: disk.sector_bytes,
        model: disk.model.clone(),
    };
    let mut partitions: Vec<Partition> = kept.iter().map(Kept::partition).collect();
    let mut formats = Vec::new();
    let mut mounts: Vec<MountEntry> =
        kept.iter().filter_map(|kept| mount_of_kept(name, &expectation, kept)).collect();
    let numbers = (1..).filter(|number| kept.iter().all(|kept| kept.there.number != *number));
    for ((number, (_, partition)), extent) in numbers.zip(&made).zip(&extents) {
        partitions.push(Partition {
            number,
            id: partition.id.clone(),
            start_bytes: extent.start,
            size_bytes: extent.size,
            purpose: purpose(partition),
            guid: named(&job, &format!("partition {}", partition.id)).to_string(),
            keep: false,
            type_code: String::new(),
        });
        let Some(format) = partition.format else { continue };
        let volume = Volume::Partition { disk: name.to_owned(), number };
        let uuid = file_system_uuid(format, named(seed.client, &format!("content {}", partition.id)));
        formats.push(StorageAction::Format {
            volume: volume.clone(),
            format,
            uuid: uuid.clone(),
            label: partition.label.clone().unwrap_or_default(),
        });
        if let Some(mount) = mount_point(partition, format) {
            let options =
                partition.options.clone().unwrap_or_else(|| default_options(partition, format).to_owned());
            let disk = expectation.clone();
            mounts.push(MountEntry { volume, disk, format, uuid, mount, options, keep: false });
        }
    }
    partitions.sort_by_key(|partition| partition.number);
    let mut actions = Vec::new();
    if wanted.wipe {
        actions.push(StorageAction::Wipe { disk: name.to_owned() });
    }
    actions.push(StorageAction::WriteTable {
        disk: name.to_owned(),
        table: wanted.table,
        guid: named(&job, "table").to_string(),
        partitions,
    });
    actions.append(&mut formats);
    Ok(PlannedDisk { expectation, actions, mounts })
}

fn mount_of_kept(name: &str, disk: &DiskExpectation, kept: &Kept<'_>) -> Option<MountEntry> {
    Some(MountEntry {
        volume: Volume::Partition { disk: name.to_owned(), number: kept.there.number },
        disk: disk.clone(),
        format: kept.format()?,
        uuid: kept.there.uuid.clone(),
        mount: kept.wanted.mount.clone()?,
        options: kept.wanted.options.clone().unwrap_or_else(|| "defaults".to_owned()),
        keep: true,
    })
}

fn is_made(partition: &PartitionLayout, firmware: Firmware) -> bool {
    match partition.when {
        None => true,
        Some(When::Uefi) => firmware == Firmware::Uefi,
        Some(When::Bios) => firmware != Firmware::Uefi,
    }
}

fn purpose(partition: &PartitionLayout) -> PartitionPurpose {
    match (partition.purpose, partition.format) {
        (Some(Purpose::EfiSystem), _) => PartitionPurpose::EfiSystem,
        (Some(Purpose::BiosBoot), _) => PartitionPurpose::BiosBoot,
        (Some(Purpose::Swap), _) | (None, Some(FileSystem::Swap)) => PartitionPurpose::Swap,
        (Some(Purpose::Linux) | None, _) => PartitionPurpose::Linux,
    }
}

/// vfat has a serial of 32 bits, written as blkid(8) shows it; the others take a whole UUID.
fn file_system_uuid(format: FileSystem, uuid: Uuid) -> String {
    match format {
        FileSystem::Vfat => {
            let (first, _, _, _) = uuid.as_fields();
            format!("{:04X}-{:04X}", first >> 16, first & 0xffff)
        }
        FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Btrfs | FileSystem::Swap => uuid.to_string(),
    }
}

fn mount_point(partition: &PartitionLayout, format: FileSystem) -> Option<String> {
    match format {
        FileSystem::Swap => Some("none".to_owned()),
        FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Btrfs | FileSystem::Vfat => partition.mount.clone(),
    }
}

fn default_options(partition: &PartitionLayout, format: FileSystem) -> &'static str {
    match (partition.purpose, format, partition.mount.as_deref()) {
        (_, FileSystem::Swap, _) => "sw",
        // The EFI system partition holds boot keys and random seeds: only root may look.
        (Some(Purpose::EfiSystem), _, _) => "umask=0077",
        (_, FileSystem::Ext4, Some("/")) => "errors=remount-ro",
        _ => "defaults",
    }
}

/// What is on a disk and does not stay, for people; `None` when that is nothing.
fn what_would_be_lost(disk: &Disk, stays: impl Fn(u32) -> bool) -> Option<String> {
    let is_changed = disk.partitions.iter().any(|partition| stays(partition.number));
    let mut parts: Vec<String> = disk
        .partitions
        .iter()
        .filter(|partition| !stays(partition.number))
        .map(described_partition)
        .collect();
    if parts.is_empty() && !is_changed && !disk.content.is_empty() {
        parts.push(disk.content.clone());
    }
    if parts.is_empty() && !is_changed && !disk.table.is_empty() {
        parts.push(format!("an empty {} table", disk.table));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A disk for people: path, serial, size.
pub fn described(disk: &Disk) -> String {
    let serial = if disk.serial.is_empty() { "no serial" } else { &disk.serial };
    format!("{} ({serial}, {})", disk.path, human(disk.size_bytes))
}

/// A machine in one line: maker, model, memory, disks.
pub fn hardware(facts: &wire::facts::Facts) -> String {
    let disks: Vec<_> = facts.disks.iter().map(described).collect();
    let machine = format!("{} {}", facts.dmi.vendor, facts.dmi.product);
    let parts = [machine.trim().to_owned(), human(facts.memory_bytes), disks.join(" + ")];
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

/// The client's fstab(5).
pub fn fstab(work: &StorageWork) -> String {
    let mut text = String::from("# Written by Lotse when this system was installed.\n");
    for action in &work.actions {
        let StorageAction::Mount(entry) = action else { continue };
        let kind = match entry.format {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
            FileSystem::Vfat => "vfat",
            FileSystem::Swap => "swap",
        };
        let pass = match (entry.format, entry.mount.as_str()) {
            (FileSystem::Ext4, "/") => 1,
            (FileSystem::Ext4 | FileSystem::Vfat, _) => 2,
            _ => 0,
        };
        text.push_str(&format!("UUID={} {} {kind} {} 0 {pass}\n", entry.uuid, entry.mount, entry.options));
    }
    text
}

#[cfg(test)]
mod tests;
