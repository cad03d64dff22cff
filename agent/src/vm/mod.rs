//! The virtual machines of this host, as libvirt keeps them: [`virsh`] asks, [`domain`] and [`place`] are what libvirt is given, [`inventory`]
//! is what the server is told; [`console`] is a machine's screen, [`serial`] what it prints.
//!
//! Invariants: libvirt is reached by virsh(1) with argument vectors alone; XML is made of elements and never of text; what does not carry our
//! mark is looked at and never changed.

pub(crate) mod console;
pub(crate) mod domain;
pub(crate) mod inventory;
pub(crate) mod place;
pub(crate) mod serial;
pub(crate) mod virsh;
pub(crate) mod xml;

use std::path::{Path, PathBuf};

use crate::host::Host;

/// Where disks and images of machines are. A host of machines is a system that has it.
pub(crate) const DIRECTORY: &str = "/var/lib/lotse-vms";
/// The storage pool in that directory, and the network of the machines.
pub(crate) const NAME: &str = "lotse";
/// Where libvirt keeps what is defined, and what runs.
const STATE: [&str; 2] = ["/etc/libvirt/qemu", "/run/libvirt/qemu"];

/// Whether this system hosts machines.
pub(crate) fn is_host(host: &dyn Host) -> bool {
    host.exists(Path::new(DIRECTORY))
}

/// A number that changes when a machine is made, changed, started, stopped or removed; 0 where none is hosted. Asks nobody.
pub(crate) fn stamp(host: &dyn Host) -> u64 {
    if !is_host(host) {
        return 0;
    }
    let [defined, running] = STATE.map(|path| host.stamp(Path::new(path)));
    (defined.rotate_left(1) ^ running).max(1)
}

/// The name of a machine's disk in the pool.
pub(crate) fn volume(name: &str) -> String {
    format!("{name}.qcow2")
}

/// A machine's disk.
pub(crate) fn disk(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(volume(name))
}

/// The disc with a machine's user-data.
pub(crate) fn seed(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}-seed.iso"))
}
