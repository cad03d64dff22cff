//! From a layout and a machine to the exact storage work. Pure; sizes, places, UUIDs and order come out the same every time.
//!
//! Properties (tested with random layouts on random disks): what is accepted fits, does not overlap, is aligned to 1 MiB, keeps every
//! minimum, and comes out the same twice; what is refused names its line.

mod allocate;
mod select;

use std::collections::BTreeMap;

use uuid::Uuid;
use wire::{
    facts::{Disk, Facts, Firmware},
    storage::{
        DiskExpectation, FileSystem, MountEntry, Partition, PartitionPurpose, StorageAction, StorageWork,
        Volume,
    },
};

use crate::domain::layout::{DiskLayout, Layout, LayoutProblem, PartitionLayout, Purpose, When};

/// Names Lotse's own UUIDs (version 5, RFC 9562): the same client, disk and partition always get the same.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c6f_7473_6500_4c61_b90d_7374_6f72_6167);

/// Plans the storage of a machine. `seed` names whose storage it is, such as `client 7`.
///
/// # Errors
/// Everything that stands against it, each with the place in the layout.
pub fn plan(layout: &Layout, facts: &Facts, seed: &str) -> Result<StorageWork, Vec<LayoutProblem>> {
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
    seed: &str,
) -> Result<PlannedDisk, Vec<LayoutProblem>> {
    let place = format!("disks.{name}");
    if !wanted.wipe
        && let Some(lost) = what_would_be_lost(disk)
    {
        let message =
            format!("{} carries {lost}; write `wipe: true` to allow that it is destroyed", described(disk));
        return Err(vec![LayoutProblem { line: 0, place, message }]);
    }
    let made: Vec<(usize, &PartitionLayout)> =
        wanted.partitions.iter().enumerate().filter(|(_, partition)| is_made(partition, firmware)).collect();
    let extents = allocate::allocate(wanted, disk, &made, &place)?;
    let named = |what: &str| Uuid::new_v5(&NAMESPACE, format!("{seed}\n{name}\n{what}").as_bytes());
    let expectation = DiskExpectation {
        disk: name.to_owned(),
        path: disk.path.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size_bytes: disk.size_bytes,
        sector_bytes: disk.sector_bytes,
        model: disk.model.clone(),
    };
    let mut partitions = Vec::new();
    let mut formats = Vec::new();
    let mut mounts = Vec::new();
    for ((number, (_, partition)), extent) in (1..).zip(&made).zip(&extents) {
        partitions.push(Partition {
            number,
            id: partition.id.clone(),
            start_bytes: extent.start,
            size_bytes: extent.size,
            purpose: purpose(partition),
            guid: named(&format!("partition {}", partition.id)).to_string(),
            keep: false,
        });
        let Some(format) = partition.format else { continue };
        let volume = Volume::Partition { disk: name.to_owned(), number };
        let uuid = file_system_uuid(format, named(&format!("content {}", partition.id)));
        formats.push(StorageAction::Format {
            volume: volume.clone(),
            format,
            uuid: uuid.clone(),
            label: partition.label.clone().unwrap_or_default(),
        });
        if let Some(mount) = mount_point(partition, format) {
            let options =
                partition.options.clone().unwrap_or_else(|| default_options(partition, format).to_owned());
            mounts.push(MountEntry { volume, disk: expectation.clone(), format, uuid, mount, options });
        }
    }
    let mut actions = Vec::new();
    if wanted.wipe {
        actions.push(StorageAction::Wipe { disk: name.to_owned() });
    }
    actions.push(StorageAction::WriteTable {
        disk: name.to_owned(),
        table: wanted.table,
        guid: named("table").to_string(),
        partitions,
    });
    actions.append(&mut formats);
    Ok(PlannedDisk { expectation, actions, mounts })
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

/// What is on a disk, for people; `None` when it is blank.
fn what_would_be_lost(disk: &Disk) -> Option<String> {
    let mut parts: Vec<String> = disk
        .partitions
        .iter()
        .map(|partition| {
            let content = if partition.content.is_empty() { "unknown content" } else { &partition.content };
            format!(
                "{} ({content}, {})",
                partition.path,
                crate::domain::layout::size::human(partition.size_bytes)
            )
        })
        .collect();
    if parts.is_empty() && !disk.content.is_empty() {
        parts.push(disk.content.clone());
    }
    if parts.is_empty() && !disk.table.is_empty() {
        parts.push(format!("an empty {} table", disk.table));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A disk for people: path, serial, size.
pub fn described(disk: &Disk) -> String {
    let serial = if disk.serial.is_empty() { "no serial" } else { &disk.serial };
    format!("{} ({serial}, {})", disk.path, crate::domain::layout::size::human(disk.size_bytes))
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

/// What a storage job does to one disk, for people who decide about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DiskPreview {
    /// The disk: path, serial, size.
    pub disk: String,
    /// What is destroyed; empty when the disk is blank.
    pub destroyed: String,
    /// The new partitions, in order.
    pub written: Vec<PartitionPreview>,
}

/// One new partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct PartitionPreview {
    /// Its id in the layout.
    pub id: String,
    /// First byte.
    pub start_bytes: u64,
    /// Length.
    pub size_bytes: u64,
    /// File system, or what the partition is for.
    pub content: String,
    /// Where it is mounted; empty when it is not.
    pub mount: String,
}

/// What storage work does, disk by disk.
pub fn preview(work: &StorageWork, facts: &Facts) -> Vec<DiskPreview> {
    let disks: BTreeMap<&str, &Disk> = facts.disks.iter().map(|disk| (disk.path.as_str(), disk)).collect();
    let mut previews = Vec::new();
    for expectation in &work.disks {
        let there = disks.get(expectation.path.as_str());
        let mut written = Vec::new();
        for action in &work.actions {
            if let StorageAction::WriteTable { disk, partitions, .. } = action
                && *disk == expectation.disk
            {
                written.extend(
                    partitions.iter().map(|partition| preview_partition(work, &expectation.disk, partition)),
                );
            }
        }
        previews.push(DiskPreview {
            disk: there.map_or_else(|| expectation.path.clone(), |disk| described(disk)),
            destroyed: there.and_then(|disk| what_would_be_lost(disk)).unwrap_or_default(),
            written,
        });
    }
    previews
}

fn preview_partition(work: &StorageWork, on: &str, partition: &Partition) -> PartitionPreview {
    let here = Volume::Partition { disk: on.to_owned(), number: partition.number };
    let format = work.actions.iter().find_map(|action| match action {
        StorageAction::Format { volume, format, .. } if *volume == here => Some(*format),
        _ => None,
    });
    let mount = work.actions.iter().find_map(|action| match action {
        StorageAction::Mount(entry) if entry.volume == here && entry.mount != "none" => {
            Some(entry.mount.clone())
        }
        _ => None,
    });
    let content = match format {
        Some(format) => format!("{format:?}").to_lowercase(),
        None => format!("{:?}", partition.purpose).to_lowercase(),
    };
    PartitionPreview {
        id: partition.id.clone(),
        start_bytes: partition.start_bytes,
        size_bytes: partition.size_bytes,
        content,
        mount: mount.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
