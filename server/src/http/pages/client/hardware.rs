//! A machine's hardware as people read it, and its disks to scale: as they are, and as they would become.

use serde::Serialize;
use wire::facts::{Disk, Facts, Firmware, MountedFileSystem, Nic};

use crate::{
    domain::layout::size::human,
    planner::storage::{DiskPreview, PartitionPreview, described},
};

/// A machine.
#[derive(Serialize)]
pub(in crate::http::pages) struct FactsView {
    machine: String,
    serial: String,
    cpu: String,
    memory: String,
    firmware: String,
    system: String,
    kernel: String,
    virtualization: String,
    reboot_wanted: String,
    cards: Vec<CardView>,
    disks: Vec<DiskView>,
    file_systems: Vec<FileSystemView>,
}

#[derive(Serialize)]
struct CardView {
    name: String,
    mac: String,
    addresses: String,
    speed: String,
    carrier: bool,
    booted: bool,
}

#[derive(Serialize)]
struct DiskView {
    described: String,
    model: String,
    parts: Vec<PartView>,
}

/// How full a file system is.
#[derive(Serialize)]
struct FileSystemView {
    mount: String,
    device: String,
    format: String,
    size: String,
    free: String,
    percent: u64,
    /// So full that it should be looked at.
    scarce: bool,
}

/// A stretch of a disk; where it begins and its length are percent of the disk.
#[derive(Serialize)]
pub(in crate::http::pages) struct PartView {
    name: String,
    content: String,
    size: String,
    /// It carries files.
    mounted: bool,
    start: u64,
    width: u64,
}

/// What an installation does to a disk.
#[derive(Serialize)]
pub(in crate::http::pages) struct PreviewView {
    disk: String,
    destroyed: String,
    parts: Vec<PartView>,
}

pub(super) fn facts_view(facts: &Facts) -> FactsView {
    let card = |nic: &Nic| CardView {
        name: nic.name.clone(),
        mac: nic.mac.to_string(),
        addresses: nic.addresses.join(", "),
        speed: match nic.speed_mbit {
            0 => String::new(),
            speed if speed % 1000 == 0 => format!("{} Gbit/s", speed / 1000),
            speed => format!("{speed} Mbit/s"),
        },
        carrier: nic.carrier,
        booted: nic.booted,
    };
    FactsView {
        machine: format!("{} {}", facts.dmi.vendor, facts.dmi.product).trim().to_owned(),
        serial: facts.dmi.serial.clone(),
        cpu: format!("{} ({} × {})", facts.cpu.model, facts.cpu.threads, facts.cpu.architecture),
        memory: human(facts.memory_bytes),
        firmware: format!(
            "{}{} {}",
            if facts.firmware == Firmware::Uefi { "UEFI" } else { "BIOS" },
            if facts.secure_boot { ", Secure Boot" } else { "" },
            facts.dmi.bios_version
        )
        .trim()
        .to_owned(),
        system: facts.os.name.clone(),
        kernel: facts.os.kernel.clone(),
        virtualization: facts.virtualization.clone(),
        reboot_wanted: facts.os.reboot_wanted.clone(),
        cards: facts.nics.iter().map(card).collect(),
        disks: facts.disks.iter().map(disk_view).collect(),
        file_systems: facts.file_systems.iter().map(file_system_view).collect(),
    }
}

fn file_system_view(there: &MountedFileSystem) -> FileSystemView {
    FileSystemView {
        mount: there.mount.clone(),
        device: there.device.clone(),
        format: there.format.clone(),
        size: human(there.size_bytes),
        free: human(there.free_bytes),
        percent: there.used_percent(),
        scarce: there.is_scarce(),
    }
}

fn disk_view(disk: &Disk) -> DiskView {
    let parts = disk.partitions.iter().map(|there| PartView {
        name: if there.name.is_empty() { there.label.clone() } else { there.name.clone() },
        content: there.content.clone(),
        mounted: !["", "swap"].contains(&there.content.as_str()),
        size: human(there.size_bytes),
        start: percent(there.start_bytes, disk.size_bytes),
        width: percent(there.size_bytes, disk.size_bytes).max(1),
    });
    let kind = match (disk.transport.as_str(), disk.rotational) {
        ("nvme", _) => "NVMe",
        ("virtio", _) => "virtio",
        ("usb", _) => "USB",
        (_, true) => "HDD",
        (_, false) => "SSD",
    };
    DiskView {
        described: described(disk),
        model: format!("{} {kind} {}", disk.model, disk.table.to_uppercase()).trim().to_owned(),
        parts: parts.collect(),
    }
}

pub(in crate::http::pages) fn preview_view(preview: DiskPreview) -> PreviewView {
    let whole = preview.written.iter().map(|part| part.start_bytes + part.size_bytes).max().unwrap_or(1);
    let part = |part: PartitionPreview| PartView {
        mounted: !part.mount.is_empty(),
        name: if part.mount.is_empty() { part.id } else { part.mount },
        content: part.content,
        size: human(part.size_bytes),
        start: percent(part.start_bytes, whole),
        width: percent(part.size_bytes, whole).max(1),
    };
    PreviewView {
        disk: preview.disk,
        destroyed: preview.destroyed,
        parts: preview.written.into_iter().map(part).collect(),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}
