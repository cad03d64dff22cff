//! Which disks a machine boots from, and what its firmware needs for that: asked before anything is wiped, not when the boot loader fails.

use std::collections::BTreeSet;

use wire::{
    facts::Firmware,
    storage::{
        DiskExpectation, FileSystem, MountEntry, PartitionPurpose, StorageAction, StorageWork, TableFormat,
        Volume,
    },
};

use crate::domain::layout::{Layout, LayoutProblem};

/// The disks that get a boot sector: those with room for GRUB, or else the one that carries `/boot` or the root. Others may be somebody's
/// who boots from them.
pub fn boot_disks(work: &StorageWork) -> Vec<DiskExpectation> {
    let mut names: BTreeSet<&str> = with(work, PartitionPurpose::BiosBoot).collect();
    if names.is_empty() {
        names.extend(carrier(work, "/boot").or_else(|| carrier(work, "/")));
    }
    work.disks.iter().filter(|disk| names.contains(disk.disk.as_str())).cloned().collect()
}

/// What keeps the machine from booting with this storage.
pub(super) fn what_is_missing(layout: &Layout, work: &StorageWork, firmware: Firmware) -> Vec<LayoutProblem> {
    let Some(root) = carrier(work, "/boot").or_else(|| carrier(work, "/")) else { return Vec::new() };
    let message = match firmware {
        Firmware::Uefi
            if !mounts(work).any(|entry| entry.mount == "/boot/efi" && entry.format == FileSystem::Vfat) =>
        {
            "the machine starts by UEFI, which needs `{ type: efi-system, format: vfat, mount: /boot/efi }`"
        }
        Firmware::Bios | Firmware::Unknown
            if layout.disks.get(root).is_some_and(|disk| disk.table == TableFormat::Gpt)
                && with(work, PartitionPurpose::BiosBoot).next().is_none() =>
        {
            "the machine starts by BIOS, which needs `{ size: 1MiB, type: bios-boot }` on a disk with a GPT"
        }
        Firmware::Uefi | Firmware::Bios | Firmware::Unknown => return Vec::new(),
    };
    vec![LayoutProblem { line: 0, place: format!("disks.{root}.partitions"), message: message.to_owned() }]
}

fn mounts(work: &StorageWork) -> impl Iterator<Item = &MountEntry> {
    work.actions.iter().filter_map(|action| match action {
        StorageAction::Mount(entry) => Some(entry),
        _ => None,
    })
}

/// The disk on which a mount point lies.
fn carrier<'a>(work: &'a StorageWork, mount: &str) -> Option<&'a str> {
    mounts(work).filter(|entry| entry.mount == mount).find_map(|entry| match &entry.volume {
        Volume::Partition { disk, .. } => Some(disk.as_str()),
        Volume::Unknown => None,
    })
}

/// The disks with a partition for this purpose.
fn with(work: &StorageWork, purpose: PartitionPurpose) -> impl Iterator<Item = &str> {
    work.actions.iter().filter_map(move |action| match action {
        StorageAction::WriteTable { disk, partitions, .. } => {
            partitions.iter().any(|partition| partition.purpose == purpose).then_some(disk.as_str())
        }
        _ => None,
    })
}
