//! What the agent measures about its machine. Texts of the kernel are read through [`Host`] and understood by pure functions.
//!
//! Works in the first stage of the installer, which has no tools: everything comes from `/proc` and `/sys`, and from the first bytes of
//! partitions. What cannot be read stays empty.

pub mod block;
pub(crate) mod content;
mod cpu;
mod dmi;
mod file_systems;
pub(crate) mod net;
pub(crate) mod os;
mod table;

use std::path::Path;

use wire::{
    enrol::Realm,
    facts::{Facts, Firmware},
};

use crate::{host::Host, vm::inventory};

/// Measures the machine.
pub async fn gather(host: &dyn Host, realm: Realm) -> Facts {
    let uefi = host.exists(Path::new("/sys/firmware/efi"));
    let cpuinfo = text(host, "/proc/cpuinfo");
    let dmi = dmi::gather(host);
    Facts {
        collected_at: host.now(),
        realm,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        firmware: if uefi { Firmware::Uefi } else { Firmware::Bios },
        secure_boot: uefi && secure_boot(host),
        virtualization: dmi::virtualization(host, &dmi, &cpuinfo),
        cpu: cpu::parse(&cpuinfo, std::env::consts::ARCH),
        memory_bytes: memory(&text(host, "/proc/meminfo")),
        dmi,
        disks: block::disks(host),
        file_systems: file_systems::gather(host),
        nics: net::gather(host).await,
        os: os::gather(host),
        vm_host: inventory::gather(host).await,
    }
}

/// A text of the kernel without white space around it; empty when there is none.
pub(crate) fn text(host: &dyn Host, path: &str) -> String {
    String::from_utf8_lossy(&host.read(Path::new(path)).unwrap_or_default()).trim().to_owned()
}

/// `MemTotal` of `proc_meminfo(5)`, which counts in KiB.
fn memory(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(0, |kib| kib << 10)
}

/// The variable `SecureBoot` (UEFI specification, 3.3): four bytes of attributes, then 1 or 0.
fn secure_boot(host: &dyn Host) -> bool {
    let path = Path::new("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    host.read(path).is_ok_and(|bytes| bytes.get(4) == Some(&1))
}

#[cfg(test)]
mod tests;
