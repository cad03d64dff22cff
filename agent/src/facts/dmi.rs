//! Mainboard and case as SMBIOS names them (`/sys/class/dmi/id`), and what follows about virtual machines.

use wire::facts::Dmi;

use super::text;
use crate::host::Host;

/// Reads what the kernel shows. Makers who filled in nothing are left out.
pub(super) fn gather(host: &dyn Host) -> Dmi {
    let field = |name: &str| {
        let value = text(host, &format!("/sys/class/dmi/id/{name}"));
        let placeholder =
            ["To Be Filled By O.E.M.", "Default string", "Not Specified", "None", "System Serial Number"];
        if placeholder.iter().any(|nothing| value.eq_ignore_ascii_case(nothing)) {
            String::new()
        } else {
            value
        }
    };
    Dmi {
        vendor: field("sys_vendor"),
        product: field("product_name"),
        serial: field("product_serial"),
        uuid: field("product_uuid").to_lowercase(),
        bios_version: field("bios_version"),
        bios_date: field("bios_date"),
    }
}

/// Kind of virtual machine or container; empty on bare metal. What a hypervisor shows of itself counts more than what its firmware says.
pub(super) fn virtualization(host: &dyn Host, dmi: &Dmi, cpuinfo: &str) -> String {
    let container = text(host, "/run/systemd/container");
    if !container.is_empty() {
        return container;
    }
    let clocks = text(host, "/sys/devices/system/clocksource/clocksource0/available_clocksource");
    if clocks.contains("kvm-clock") {
        return "kvm".to_owned();
    }
    let hypervisor = text(host, "/sys/hypervisor/type");
    if !hypervisor.is_empty() {
        return hypervisor;
    }
    let names = [
        ("QEMU", "qemu"),
        ("KVM", "kvm"),
        ("OpenStack", "kvm"),
        ("Apache Software Foundation", "kvm"),
        ("VMware", "vmware"),
        ("VirtualBox", "oracle"),
        ("innotek", "oracle"),
        ("Xen", "xen"),
        ("Microsoft Corporation Virtual", "microsoft"),
        ("Amazon EC2", "amazon"),
        ("Google Compute", "google"),
        ("Bochs", "bochs"),
    ];
    let named = format!("{} {}", dmi.vendor, dmi.product);
    if let Some((_, kind)) = names.iter().find(|(name, _)| named.contains(name)) {
        return (*kind).to_owned();
    }
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if flags.split_whitespace().any(|flag| flag == "hypervisor") { "other".to_owned() } else { String::new() }
}
