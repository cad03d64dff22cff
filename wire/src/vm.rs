//! Virtual machines on a host that runs an agent: what a step does there ([`VmWork`]), and what is there ([`VmHost`], a part of its facts).
//!
//! A machine is named by its name, which libvirt gives to one machine only. What Lotse has made carries a mark; nothing else is ever changed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Mac, enrol::BlobRef};

/// What a step does on a host of virtual machines. Each may be repeated: what is done already is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum VmWork {
    /// Makes the place for disks and the network `lotse`; a network of that name that is there stays.
    Prepare {
        /// The network.
        network: VmNetwork,
    },
    /// Makes a machine with its disk, without starting it.
    Create {
        /// The machine.
        machine: NewMachine,
    },
    /// Switches a machine.
    Power {
        /// Its name.
        name: String,
        /// How.
        order: VmPower,
    },
    /// Keeps a machine's state, goes back to one, or forgets one.
    Snapshot {
        /// The machine's name.
        name: String,
        /// The snapshot's name.
        snapshot: String,
        /// What is done with it.
        order: SnapshotOrder,
    },
    /// Takes boot image and user-data out of a machine's drives.
    Eject {
        /// Its name.
        name: String,
    },
    /// Removes a machine with its disk and its snapshots.
    Delete {
        /// Its name.
        name: String,
    },
    /// Work of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// The network of a host's machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum VmNetwork {
    /// One of their own, behind the host's address.
    Nat {
        /// The host's address in it with prefix length, such as `192.168.150.1/24`; the others are given to machines by DHCP.
        address: String,
    },
    /// The host's own, through a bridge that is there.
    Bridge {
        /// The bridge's name.
        interface: String,
    },
    /// A network of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// A machine to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewMachine {
    /// Its name.
    pub name: String,
    /// How people know it; may be empty.
    pub title: String,
    /// Processors.
    pub processors: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Size of its disk.
    pub disk_bytes: u64,
    /// What it starts from while its disk is empty.
    pub boot: VmBoot,
    /// Its hardware address; absent: any.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Name of the secret that holds its user-data; absent: it has none.
    #[serde(default)]
    pub user_data: Option<String>,
}

/// What a machine starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum VmBoot {
    /// Its disk, and an image in its drive while that is empty.
    Iso {
        /// The image.
        blob: BlobRef,
    },
    /// The network first, at every start, so that a server decides.
    Network {},
    /// Something of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// How a machine is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VmPower {
    /// On.
    Start,
    /// Its system is asked to switch off; when it does not, the machine is switched off.
    Stop,
    /// Off, without asking its system.
    ForceOff,
    /// Its system is asked to restart.
    Reboot,
    /// Restarted without asking its system.
    Reset,
    /// It stands still.
    Pause,
    /// It goes on.
    Resume,
    /// An order of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotOrder {
    /// The state is kept under its name.
    Take,
    /// The machine goes back to it.
    Revert,
    /// It is forgotten.
    Forget,
    /// An order of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// A host of virtual machines, as measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmHost {
    /// Version of libvirt.
    pub version: String,
    /// Machines run on the processor itself; else they are emulated, many times slower.
    pub kvm: bool,
    /// Size of the place for disks.
    pub disk_bytes: u64,
    /// Free there now.
    pub disk_free_bytes: u64,
    /// Networks that machines can be in, by name.
    pub networks: Vec<String>,
    /// Every machine by name.
    pub machines: Vec<HostedMachine>,
    /// Why some of this could not be measured; empty when all was.
    #[serde(default)]
    pub problem: String,
}

/// A virtual machine that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostedMachine {
    /// Its name.
    pub name: String,
    /// How people know it; empty when Lotse has not made it.
    pub title: String,
    /// Lotse has made it.
    pub ours: bool,
    /// Where it is in its life, in libvirt's word, such as `running` or `shut off`.
    pub state: String,
    /// Processors.
    pub processors: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Size of its disk as the machine sees it; 0 when Lotse has not made it.
    pub disk_bytes: u64,
    /// What of that takes up room now.
    pub disk_used_bytes: u64,
    /// Its address, where the host gives addresses; else empty.
    pub address: String,
    /// File of the image in its drive; empty when there is none.
    pub iso: String,
}
