//! What the agent measures about its machine.

use std::path::Path;

use wire::{
    Mac,
    enrol::Realm,
    facts::{Cpu, Dmi, Facts, Firmware, Nic, OperatingSystem},
};

use crate::host::Host;

/// Measures the machine.
pub async fn gather(host: &dyn Host, realm: Realm) -> Facts {
    let uefi = host.exists(Path::new("/sys/firmware/efi"));
    Facts {
        collected_at: host.now(),
        realm,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        firmware: if uefi { Firmware::Uefi } else { Firmware::Bios },
        secure_boot: false,
        cpu: Cpu::default(),
        memory_bytes: 0,
        dmi: Dmi::default(),
        virtualization: String::new(),
        disks: Vec::new(),
        nics: nics(host),
        os: OperatingSystem::default(),
    }
}

fn nics(host: &dyn Host) -> Vec<Nic> {
    let names = host.list(Path::new("/sys/class/net")).unwrap_or_default();
    let text = |name: &str, file: &str| {
        let content = host.read(&Path::new("/sys/class/net").join(name).join(file)).unwrap_or_default();
        String::from_utf8_lossy(&content).trim().to_owned()
    };
    let nic = |name: String| {
        let mac: Mac = text(&name, "address").parse().ok()?;
        (name != "lo").then(|| Nic {
            mac,
            driver: String::new(),
            carrier: text(&name, "carrier") == "1",
            speed_mbit: 0,
            addresses: Vec::new(),
            booted: false,
            name,
        })
    };
    names.into_iter().filter_map(nic).collect()
}
