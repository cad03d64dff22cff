//! Block devices that can carry a system, from `/sys/block` alone.

use std::path::Path;

use wire::facts::{Disk, DiskPartition};

use super::{content, table, text};
use crate::host::Host;

/// Devices that are no disks of their own.
const NOT_DISKS: [&str; 12] =
    ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock", "zd", "bcache", "drbd"];
/// `/sys/block` counts in these, whatever the device's own sectors are.
const UNIT: u64 = 512;

/// All disks, by name.
pub fn disks(host: &dyn Host) -> Vec<Disk> {
    let names = host.list(Path::new("/sys/block")).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        // The boot and key areas of eMMC, and the single paths below a disk of several `NVMe` controllers.
        .filter(|name| !(name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"))))
        .filter(|name| text(host, &format!("/sys/block/{name}/hidden")) != "1")
        .map(|name| disk(host, &name))
        .filter(|disk| disk.size_bytes > 0)
        .collect()
}

fn disk(host: &dyn Host, name: &str) -> Disk {
    let directory = format!("/sys/block/{name}");
    let field = |file: &str| text(host, &format!("{directory}/{file}"));
    let number = |file: &str| field(file).parse::<u64>().unwrap_or(0);
    let path = format!("/dev/{name}");
    let sector_bytes = u32::try_from(number("queue/logical_block_size")).unwrap_or(0);
    let table = table::read(host, Path::new(&path), sector_bytes);
    let size_bytes = number("size") * UNIT;
    let content = if table.format.is_empty() {
        content::of_device(host, &path, size_bytes).content
    } else {
        String::new()
    };
    let transport = transport(host, &directory, name);
    Disk {
        model: model(&field),
        serial: serial(host, &directory, &transport),
        wwn: wwn(&[field("wwid"), field("device/wwid")]),
        size_bytes,
        sector_bytes,
        physical_sector_bytes: u32::try_from(number("queue/physical_block_size")).unwrap_or(0),
        rotational: field("queue/rotational") == "1",
        removable: field("removable") == "1",
        read_only: field("ro") == "1",
        transport,
        partitions: partitions(host, name, &table),
        table: table.format.to_owned(),
        content,
        path,
    }
}

/// Maker and model. What virtio calls its vendor is a number, what libata does is no maker.
fn model(field: &impl Fn(&str) -> String) -> String {
    let vendor = field("device/vendor");
    let vendor = if vendor == "ATA" || vendor.starts_with("0x") { String::new() } else { vendor };
    let model = field("device/model");
    let model = if model.is_empty() { field("device/name") } else { model };
    [vendor, model].join(" ").trim().to_owned()
}

/// virtio and `NVMe` write it plainly; SCSI and ATA in page 0x80 of the vital product data (SPC-4, 7.8.15), behind four bytes of header;
/// a stick has it in the USB device that it hangs from.
fn serial(host: &dyn Host, directory: &str, transport: &str) -> String {
    for file in ["serial", "device/serial"] {
        let plain = text(host, &format!("{directory}/{file}"));
        if !plain.is_empty() {
            return plain;
        }
    }
    let page = host.read(Path::new(&format!("{directory}/device/vpd_pg80"))).unwrap_or_default();
    let serial = page.get(4..).unwrap_or_default();
    let serial = String::from_utf8_lossy(serial);
    let serial = serial.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if serial.is_empty() && transport == "usb" { usb_serial(host, directory) } else { serial.to_owned() }
}

fn usb_serial(host: &dyn Host, directory: &str) -> String {
    let Ok(link) = host.read_link(Path::new(directory)) else { return String::new() };
    // `../devices/pci…/usb2/2-1/2-1:1.0/host7/…/block/sdc`, relative to /sys/block.
    let place = Path::new("/sys").join(link.strip_prefix("..").unwrap_or(&link));
    let above = place.ancestors().map(|place| text(host, &place.join("serial").display().to_string()));
    above.into_iter().find(|serial| !serial.is_empty()).unwrap_or_default()
}

/// What begins with `t10.` or `nvme.` only repeats maker, model and serial.
fn wwn(candidates: &[String]) -> String {
    let repeats = |name: &String| name.starts_with("t10.") || name.starts_with("nvme.");
    candidates.iter().find(|name| !name.is_empty() && !repeats(name)).cloned().unwrap_or_default()
}

fn transport(host: &dyn Host, directory: &str, name: &str) -> String {
    let link =
        host.read_link(Path::new(directory)).map(|link| link.display().to_string()).unwrap_or_default();
    // The first that fits: a SCSI host may hang from a virtio device, and a SCSI disk from USB or ATA.
    let by_path = [
        ("/usb", "usb"),
        ("/nvme", "nvme"),
        ("/ata", "sata"),
        ("/host", "scsi"),
        ("/virtio", "virtio"),
        ("/mmc", "mmc"),
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

fn partitions(host: &dyn Host, disk: &str, table: &table::Table) -> Vec<DiskPartition> {
    let directory = format!("/sys/block/{disk}");
    let mut found: Vec<DiskPartition> = host
        .list(Path::new(&directory))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| {
            let field = |file: &str| text(host, &format!("{directory}/{name}/{file}"));
            let number = field("partition").parse().ok()?;
            let path = format!("/dev/{name}");
            let size_bytes = field("size").parse::<u64>().unwrap_or(0) * UNIT;
            let inside = content::of_device(host, &path, size_bytes);
            let entry =
                table.entries.iter().find(|entry| entry.number == number).cloned().unwrap_or_default();
            Some(DiskPartition {
                number,
                start_bytes: field("start").parse::<u64>().unwrap_or(0) * UNIT,
                size_bytes,
                type_code: entry.type_code,
                guid: entry.guid,
                name: entry.name,
                content: inside.content,
                label: inside.label,
                uuid: inside.uuid,
                path,
            })
        })
        .collect();
    found.sort_by_key(|partition| partition.number);
    found
}
