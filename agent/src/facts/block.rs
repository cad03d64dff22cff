//! Block devices that can carry a system, from `/sys/block` alone.

use std::path::Path;

use wire::facts::{Disk, DiskPartition};

use super::{content, text};
use crate::host::Host;

/// Devices that are no disks of their own.
const NOT_DISKS: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];
/// `/sys/block` counts in these, whatever the device's own sectors are.
const UNIT: u64 = 512;

/// All disks, by name.
pub fn disks(host: &dyn Host) -> Vec<Disk> {
    let names = host.list(Path::new("/sys/block")).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        .map(|name| disk(host, &name))
        .filter(|disk| disk.size_bytes > 0)
        .collect()
}

fn disk(host: &dyn Host, name: &str) -> Disk {
    let directory = format!("/sys/block/{name}");
    let field = |file: &str| text(host, &format!("{directory}/{file}"));
    let number = |file: &str| field(file).parse::<u64>().unwrap_or(0);
    let path = format!("/dev/{name}");
    let model = [field("device/vendor"), field("device/model")].join(" ").trim().to_owned();
    let found = content::of_device(host, &path);
    Disk {
        model,
        serial: serial(host, &directory),
        wwn: wwn(&[field("wwid"), field("device/wwid")]),
        size_bytes: number("size") * UNIT,
        sector_bytes: u32::try_from(number("queue/logical_block_size")).unwrap_or(0),
        physical_sector_bytes: u32::try_from(number("queue/physical_block_size")).unwrap_or(0),
        rotational: field("queue/rotational") == "1",
        removable: field("removable") == "1",
        read_only: field("ro") == "1",
        transport: transport(host, &directory, name),
        partitions: partitions(host, name),
        table: found.table,
        content: found.content,
        path,
    }
}

/// virtio and `NVMe` write it plainly; SCSI and ATA in page 0x80 of the vital product data (SPC-4, 7.8.15), behind four bytes of header.
fn serial(host: &dyn Host, directory: &str) -> String {
    for file in ["serial", "device/serial"] {
        let plain = text(host, &format!("{directory}/{file}"));
        if !plain.is_empty() {
            return plain;
        }
    }
    let page = host.read(Path::new(&format!("{directory}/device/vpd_pg80"))).unwrap_or_default();
    let serial = page.get(4..).unwrap_or_default();
    String::from_utf8_lossy(serial).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

/// What begins with `t10.` only repeats maker, model and serial.
fn wwn(candidates: &[String]) -> String {
    candidates.iter().find(|name| !name.is_empty() && !name.starts_with("t10.")).cloned().unwrap_or_default()
}

fn transport(host: &dyn Host, directory: &str, name: &str) -> String {
    let link =
        host.read_link(Path::new(directory)).map(|link| link.display().to_string()).unwrap_or_default();
    let by_path = [
        ("/usb", "usb"),
        ("/nvme", "nvme"),
        ("/virtio", "virtio"),
        ("/ata", "sata"),
        ("/mmc", "mmc"),
        ("/host", "scsi"),
    ];
    if let Some((_, kind)) = by_path.iter().find(|(part, _)| link.contains(part)) {
        return (*kind).to_owned();
    }
    let by_name = [("nvme", "nvme"), ("vd", "virtio"), ("mmcblk", "mmc")];
    by_name
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, kind)| (*kind).to_owned())
        .unwrap_or_default()
}

fn partitions(host: &dyn Host, disk: &str) -> Vec<DiskPartition> {
    let directory = format!("/sys/block/{disk}");
    let mut found: Vec<DiskPartition> = host
        .list(Path::new(&directory))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| {
            let field = |file: &str| text(host, &format!("{directory}/{name}/{file}"));
            let number = field("partition").parse().ok()?;
            let path = format!("/dev/{name}");
            let inside = content::of_device(host, &path);
            Some(DiskPartition {
                number,
                start_bytes: field("start").parse::<u64>().unwrap_or(0) * UNIT,
                size_bytes: field("size").parse::<u64>().unwrap_or(0) * UNIT,
                content: inside.content,
                label: inside.label,
                uuid: inside.uuid,
                path,
                ..DiskPartition::default()
            })
        })
        .collect();
    found.sort_by_key(|partition| partition.number);
    found
}
