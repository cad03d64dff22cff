//! A machine that a layout would fit, for those who draw a layout before there is one.
//!
//! It is an example and says so by its names; nothing is ever written by it.

use wire::{
    enrol::Realm,
    facts::{Cpu, Disk, Dmi, Facts, Firmware, OperatingSystem},
};

use crate::domain::layout::{DiskMatch, Layout, Size, YesNoAny};

/// What the machine's disks have when the layout does not say otherwise.
const ORDINARY: u64 = 256 << 30;

/// A machine with one blank disk for each of the layout's; `None` when the layout keeps partitions, which no blank disk has.
pub fn example_machine(layout: &Layout, firmware: Firmware) -> Option<Facts> {
    if layout.disks.values().any(|disk| !disk.keep.is_empty()) {
        return None;
    }
    let disks = layout.disks.iter().enumerate().map(|(at, (name, disk))| blank(at, name, &disk.wanted));
    Some(Facts {
        collected_at: 0,
        realm: Realm::Installer,
        agent_version: String::new(),
        firmware,
        secure_boot: false,
        cpu: Cpu::default(),
        memory_bytes: 0,
        dmi: Dmi::default(),
        virtualization: String::new(),
        disks: disks.collect(),
        nics: Vec::new(),
        file_systems: Vec::new(),
        vm_host: None,
        os: OperatingSystem::default(),
    })
}

fn blank(at: usize, name: &str, wanted: &DiskMatch) -> Disk {
    let bytes = |size: Option<Size>| match size {
        Some(Size::Bytes(bytes)) => Some(bytes),
        _ => None,
    };
    let least = bytes(wanted.min_size).unwrap_or(0);
    let size = ORDINARY.max(least).min(bytes(wanted.max_size).unwrap_or(u64::MAX));
    // Whole sectors, within the layout's limits.
    let whole = size - size % 4096;
    let size_bytes = if whole < least { size.next_multiple_of(4096) } else { whole };
    let letter = char::from(b'a' + u8::try_from(at.min(25)).unwrap_or(25));
    Disk {
        path: wanted.path.clone().unwrap_or_else(|| format!("/dev/sd{letter}")),
        serial: wanted.serial.clone().unwrap_or_else(|| format!("EXAMPLE-{name}")),
        wwn: wanted.wwn.clone().unwrap_or_default(),
        size_bytes,
        sector_bytes: 512,
        physical_sector_bytes: 4096,
        rotational: wanted.rotational == YesNoAny::Yes,
        transport: wanted.transport.clone().unwrap_or_else(|| "sata".to_owned()),
        ..Disk::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::storage::{Purposes, plan};

    #[test]
    fn every_layout_that_keeps_nothing_fits_its_example() {
        let text = "\
disks:
  data: { match: { min_size: 1TiB, rotational: yes, transport: scsi }, table: gpt, partitions: [{ id: d, size: rest, format: xfs, mount: /d }] }
  system: { match: { max_size: 100GB, rotational: no }, table: gpt, partitions: [{ id: b, size: 1MiB, type: bios-boot, when: bios }, { id: e, size: 1GiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }, { id: r, size: rest, format: ext4, mount: / }] }
";
        let layout = Layout::parse(text).unwrap();
        for firmware in [Firmware::Bios, Firmware::Uefi] {
            let facts = example_machine(&layout, firmware).unwrap();
            let work = plan(&layout, &facts, Purposes { client: "example", job: Some("example") }).unwrap();
            assert_eq!(work.disks.len(), 2);
        }
    }
}
