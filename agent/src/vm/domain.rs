//! A machine as libvirt describes it: made from what the plan says, and understood again.
//!
//! Elements as in libvirt's "Domain XML format". Whatever Lotse has made carries the element `lotse:machine` in its metadata.

use wire::vm::{NewMachine, VmBoot};

use super::{NAME, disk, seed, serial, xml::Element};

/// Name space of our mark.
const MARK: &str = "urn:lotse:machine";
/// The slots of the two drives: boot image and user-data.
const ISO_DRIVE: &str = "sda";
const SEED_DRIVE: &str = "sdb";

/// How guests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// On the processor itself.
    Kvm,
    /// Emulated.
    Emulation,
}

/// What libvirt is given for a machine with this boot image in its drive.
pub(crate) fn made(machine: &NewMachine, accelerator: Accelerator, iso: Option<&str>) -> Element {
    let (kind, processor) = match accelerator {
        Accelerator::Kvm => ("kvm", "host-passthrough"),
        Accelerator::Emulation => ("qemu", "maximum"),
    };
    let mark = Element::new("lotse:machine")
        .with("xmlns:lotse", MARK)
        .with("title", &machine.title)
        .with("disk-bytes", machine.disk_bytes);
    let mut domain =
        Element::new("domain").with("type", kind).holds([Element::new("name").text(&machine.name)]);
    if !machine.title.is_empty() {
        domain = domain.holds([Element::new("title").text(&machine.title)]);
    }
    domain.holds([
        Element::new("metadata").holds([mark]),
        Element::new("memory").with("unit", "bytes").text(machine.memory_bytes),
        Element::new("vcpu").text(machine.processors),
        Element::new("os")
            .holds([Element::new("type").with("arch", "x86_64").with("machine", "q35").text("hvm")]),
        Element::new("features").holds([Element::new("acpi"), Element::new("apic")]),
        Element::new("cpu").with("mode", processor),
        Element::new("clock").with("offset", "utc"),
        Element::new("on_poweroff").text("destroy"),
        Element::new("on_reboot").text("restart"),
        Element::new("on_crash").text("destroy"),
        devices(machine, iso),
    ])
}

fn devices(machine: &NewMachine, iso: Option<&str>) -> Element {
    let by_network = matches!(machine.boot, VmBoot::Network {});
    let boot = |order: u8| Element::new("boot").with("order", order);
    let mut devices = Element::new("devices").holds([Element::new("disk")
        .with("type", "file")
        .with("device", "disk")
        .holds([
            Element::new("driver").with("name", "qemu").with("type", "qcow2").with("discard", "unmap"),
            Element::new("source").with("file", disk(&machine.name).display()),
            Element::new("target").with("dev", "vda").with("bus", "virtio"),
            boot(if by_network { 2 } else { 1 }),
        ])]);
    if let Some(iso) = iso {
        devices = devices.holds([drive(ISO_DRIVE, iso).holds([boot(2)])]);
    }
    if machine.user_data.is_some() {
        devices = devices.holds([drive(SEED_DRIVE, &seed(&machine.name).display().to_string())]);
    }
    let mut card = Element::new("interface")
        .with("type", "network")
        .holds([Element::new("source").with("network", NAME), Element::new("model").with("type", "virtio")]);
    if let Some(mac) = machine.mac {
        card = card.holds([Element::new("mac").with("address", mac)]);
    }
    if by_network {
        card = card.holds([boot(1)]);
    }
    devices.holds([
        card,
        Element::new("serial").with("type", "pty").holds([Element::new("log")
            .with("file", serial::log(&machine.name).display())
            .with("append", "on")]),
        // Only root on this host reaches the screen.
        Element::new("graphics").with("type", "vnc").holds([Element::new("listen").with("type", "socket")]),
        Element::new("video").holds([Element::new("model").with("type", "virtio")]),
        Element::new("rng")
            .with("model", "virtio")
            .holds([Element::new("backend").with("model", "random").text("/dev/urandom")]),
    ])
}

fn drive(slot: &str, file: &str) -> Element {
    Element::new("disk").with("type", "file").with("device", "cdrom").holds([
        Element::new("driver").with("name", "qemu").with("type", "raw"),
        Element::new("source").with("file", file),
        Element::new("target").with("dev", slot).with("bus", "sata"),
        Element::new("readonly"),
    ])
}

/// What is known of a machine by its description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// Lotse has made it.
    pub(crate) ours: bool,
    pub(crate) title: String,
    pub(crate) processors: u32,
    pub(crate) memory_bytes: u64,
    /// 0 when Lotse has not made it.
    pub(crate) disk_bytes: u64,
    /// File of the boot image; empty when there is none.
    pub(crate) iso: String,
    /// Drives with something in them, by slot.
    pub(crate) full_drives: Vec<String>,
}

/// Understands a description.
pub(crate) fn described(domain: &Element) -> Described {
    let mark =
        domain.find(&["metadata", "lotse:machine"]).filter(|mark| mark.attribute("xmlns:lotse") == MARK);
    let number = |name: &str| domain.find(&[name]).and_then(|element| element.content().parse().ok());
    let memory = domain.find(&["memory"]);
    let unit = memory.map_or(1, |memory| unit_bytes(memory.attribute("unit")));
    let full: Vec<(String, String)> = domain
        .find(&["devices"])
        .into_iter()
        .flat_map(|devices| devices.all("disk"))
        .filter(|disk| disk.attribute("device") == "cdrom")
        .filter_map(|drive| {
            // One that was emptied while the machine runs keeps a source that has only a number.
            let file = drive.find(&["source"])?.attribute("file").to_owned();
            Some((drive.find(&["target"])?.attribute("dev").to_owned(), file))
        })
        .filter(|(_, file)| !file.is_empty())
        .collect();
    Described {
        ours: mark.is_some(),
        title: mark.map(|mark| mark.attribute("title").to_owned()).unwrap_or_default(),
        processors: number("vcpu").and_then(|count: u64| u32::try_from(count).ok()).unwrap_or(0),
        memory_bytes: number("memory").unwrap_or(0_u64).saturating_mul(unit),
        disk_bytes: mark.and_then(|mark| mark.attribute("disk-bytes").parse().ok()).unwrap_or(0),
        iso: full
            .iter()
            .find(|(slot, _)| slot == ISO_DRIVE)
            .map(|(_, file)| file.clone())
            .unwrap_or_default(),
        full_drives: full.into_iter().map(|(slot, _)| slot).collect(),
    }
}

/// Units of libvirt's memory and sizes; without one it means KiB.
fn unit_bytes(unit: &str) -> u64 {
    match unit {
        "b" | "bytes" => 1,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => 1 << 10,
    }
}

/// Takes everything out of the drives; tells whether there was anything.
pub(crate) fn empty_drives(domain: &mut Element) -> bool {
    let mut any = false;
    for devices in domain.all_mut("devices") {
        for drive in devices.all_mut("disk").filter(|disk| disk.attribute("device") == "cdrom") {
            any |= drive.remove("source");
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_that_was_emptied_while_the_machine_ran_is_empty() {
        // As QEMU's driver shows it.
        let drive = |source: &str| {
            let text = format!(
                "<domain><devices><disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}\
                 <target dev='sda' bus='sata'/><readonly/></disk></devices></domain>"
            );
            described(&Element::read(&text).unwrap()).full_drives
        };
        assert_eq!(drive("<source index='4'/>"), Vec::<String>::new());
        assert_eq!(drive(""), Vec::<String>::new());
        assert_eq!(drive("<source file='/a.iso' index='4'/>"), ["sda"]);
    }
}
