//! The machines of the sample: two makes of a school, half of them older.

use anyhow::Result;
use wire::{
    enrol::Realm,
    facts::{Disk, DiskPartition, Facts, Firmware, MountedFileSystem, OperatingSystem},
};

use super::mac;

const GIB: u64 = 1 << 30;
const FACTS: &str = include_str!("../../../job-scripts/_facts/metal-uefi-nvme.json");

/// A machine of a school; every third is older.
pub(super) fn machine(number: u8, installed: bool, at: i64) -> Result<Facts> {
    let mut facts: Facts = serde_json::from_str(FACTS)?;
    let old = number.is_multiple_of(3);
    facts.collected_at = at;
    facts.realm = if installed { Realm::System } else { Realm::Installer };
    facts.firmware = if old { Firmware::Bios } else { Firmware::Uefi };
    facts.memory_bytes = if old { 8 * GIB } else { 16 * GIB };
    facts.cpu.model =
        if old { "Intel(R) Core(TM) i5-6500T CPU @ 2.50GHz" } else { "AMD Ryzen 5 PRO 5650GE" }.to_owned();
    (facts.cpu.cores, facts.cpu.threads) = if old { (4, 4) } else { (6, 12) };
    facts.dmi.vendor = if old { "Dell Inc." } else { "LENOVO" }.to_owned();
    facts.dmi.product = if old { "OptiPlex 3040" } else { "ThinkCentre M75q Gen 2" }.to_owned();
    facts.dmi.serial = format!("PF2X{number:03}C");
    for nic in &mut facts.nics {
        nic.mac = mac(number);
        nic.addresses = vec![format!("10.20.0.{}/24", 50 + u16::from(number))];
    }
    for disk in &mut facts.disks {
        disk.model = if old { "WDC WD5000AAKX" } else { "SAMSUNG MZVL2512HCJQ-00BL7" }.to_owned();
        disk.serial = format!("S64KNX0R{number:03}");
        disk.rotational = old;
        if installed {
            partition(disk, old);
        }
    }
    if installed {
        // The older the machine, the fuller its disk.
        let used = if old { 94 } else { 31 + u64::from(number) };
        facts.file_systems = [("/", "ext4", 22 * GIB), ("/home", "xfs", 100 * GIB)]
            .into_iter()
            .zip(2..)
            .map(|((mount, format, size), part)| MountedFileSystem {
                mount: mount.to_owned(),
                device: format!("/dev/nvme0n1p{}", part + 1),
                format: format.to_owned(),
                size_bytes: size,
                free_bytes: size / 100 * (100 - used),
            })
            .collect();
        facts.os = OperatingSystem {
            id: "debian".to_owned(),
            version: "12".to_owned(),
            name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-28-amd64".to_owned(),
            hostname: String::new(),
            reboot_wanted: if number == 4 { "linux-image-amd64".to_owned() } else { String::new() },
        };
    }
    Ok(facts)
}

pub(super) fn partition(disk: &mut Disk, old: bool) {
    disk.table = "gpt".to_owned();
    let first = if old { ("", "bios", 1 << 20) } else { ("vfat", "esp", GIB / 2) };
    let rest = disk.size_bytes - 30 * GIB - first.2 - (2 << 20);
    let mut start = 1 << 20;
    for (number, (content, name, size)) in
        [first, ("swap", "swap", 8 * GIB), ("ext4", "root", 22 * GIB), ("xfs", "home", rest)]
            .into_iter()
            .enumerate()
    {
        disk.partitions.push(DiskPartition {
            path: format!("{}p{}", disk.path, number + 1),
            number: u32::try_from(number + 1).unwrap_or(0),
            start_bytes: start,
            size_bytes: size,
            name: name.to_owned(),
            content: content.to_owned(),
            ..DiskPartition::default()
        });
        start += size;
    }
}
