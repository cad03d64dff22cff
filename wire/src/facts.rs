//! What an agent measured about its machine: `POST /agent/v1/facts`.
//!
//! Every field may be missing on some machine; an empty text or list says "not known", never a guess.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Mac, enrol::Realm, vm::VmHost};

/// A machine, as measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Facts {
    /// When.
    pub collected_at: i64,
    /// Where the agent ran.
    pub realm: Realm,
    /// The agent's version.
    pub agent_version: String,
    /// Kind of firmware.
    pub firmware: Firmware,
    /// Secure Boot was enforced at boot.
    #[serde(default)]
    pub secure_boot: bool,
    /// Processors.
    pub cpu: Cpu,
    /// Usable memory.
    pub memory_bytes: u64,
    /// Mainboard and case, from SMBIOS.
    pub dmi: Dmi,
    /// Kind of virtual machine or container (`kvm`, `qemu`, `xen`, `vmware` …); empty on bare metal.
    #[serde(default)]
    pub virtualization: String,
    /// Block devices that can carry a system.
    pub disks: Vec<Disk>,
    /// File systems that are mounted from a device, in the order of their mount points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<MountedFileSystem>,
    /// Network interfaces that are hardware (or look like it).
    pub nics: Vec<Nic>,
    /// The running system.
    pub os: OperatingSystem,
    /// The virtual machines that it hosts; absent when it is no host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_host: Option<VmHost>,
}

/// Which firmware starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// PC BIOS or UEFI in compatibility mode.
    Bios,
    /// UEFI.
    Uefi,
    /// A firmware of a newer version.
    #[serde(other)]
    Unknown,
}

/// Processors of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cpu {
    /// As the processor names itself.
    pub model: String,
    /// Kernel's name of the architecture, such as `x86_64`.
    pub architecture: String,
    /// Physical cores.
    pub cores: u32,
    /// Hardware threads.
    pub threads: u32,
}

/// SMBIOS identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dmi {
    /// Maker of the machine.
    pub vendor: String,
    /// Model.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// UUID in lower case.
    pub uuid: String,
    /// Firmware version.
    pub bios_version: String,
    /// When the firmware was made, as it says itself: `MM/DD/YYYY`.
    #[serde(default)]
    pub bios_date: String,
}

/// A file system that is mounted from a device, and how full it is (statvfs(3)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MountedFileSystem {
    /// Where it is mounted, such as `/home`.
    pub mount: String,
    /// Device node, as it was named when it was mounted.
    pub device: String,
    /// What the kernel calls its type: `ext4`, `xfs`, `vfat` …
    pub format: String,
    /// How much it can hold.
    pub size_bytes: u64,
    /// What users other than root can still write.
    pub free_bytes: u64,
}

impl MountedFileSystem {
    /// How full it is, in percent, rounded up; what only root may still write counts as used. 0 for one without a size.
    #[must_use]
    pub fn used_percent(&self) -> u64 {
        let used = self.size_bytes.saturating_sub(self.free_bytes);
        used.saturating_mul(100).div_ceil(self.size_bytes.max(1))
    }

    /// So little is free that somebody should look before nothing is: under a tenth, and under 10 GiB.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.free_bytes < (10 << 30) && self.used_percent() > 90
    }
}

/// A block device that can carry a system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Device node, such as `/dev/nvme0n1`.
    pub path: String,
    /// Vendor and model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// World wide name.
    pub wwn: String,
    /// Size.
    pub size_bytes: u64,
    /// Logical sector size.
    pub sector_bytes: u32,
    /// Physical sector size.
    pub physical_sector_bytes: u32,
    /// Turning platters.
    pub rotational: bool,
    /// Can be pulled out (stick, card).
    pub removable: bool,
    /// Cannot be written.
    pub read_only: bool,
    /// `nvme`, `sata`, `scsi`, `virtio`, `usb`, `mmc`; empty when unknown.
    pub transport: String,
    /// Partition table: `gpt`, `mbr`, or empty.
    pub table: String,
    /// What the whole disk carries when it is not partitioned (`ext4`, `LVM2_member`, `linux_raid_member`, `crypto_LUKS` …).
    pub content: String,
    /// Partitions by number.
    pub partitions: Vec<DiskPartition>,
}

/// A partition that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskPartition {
    /// Device node.
    pub path: String,
    /// Number from 1.
    pub number: u32,
    /// First byte.
    pub start_bytes: u64,
    /// Length.
    pub size_bytes: u64,
    /// GPT type GUID in lower case, or MBR type such as `0x83`.
    pub type_code: String,
    /// GPT partition GUID in lower case; empty on MBR.
    pub guid: String,
    /// GPT partition name.
    pub name: String,
    /// What it carries (`ext4`, `vfat`, `swap`, `LVM2_member` …); empty when nothing was recognised.
    pub content: String,
    /// Label of the content.
    pub label: String,
    /// UUID of the content.
    pub uuid: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// Kernel's name.
    pub name: String,
    /// Hardware address.
    pub mac: Mac,
    /// Kernel driver.
    pub driver: String,
    /// A cable with a link.
    pub carrier: bool,
    /// Megabits a second; 0 when unknown.
    pub speed_mbit: u32,
    /// Addresses with prefix length, such as `10.0.0.5/24`.
    pub addresses: Vec<String>,
    /// The machine booted over this one.
    pub booted: bool,
}

/// The running system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatingSystem {
    /// `ID` of os-release(5).
    pub id: String,
    /// `VERSION_ID` of os-release(5).
    pub version: String,
    /// `PRETTY_NAME` of os-release(5).
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Host name.
    pub hostname: String,
    /// Why the system wants a reboot; empty when it does not.
    pub reboot_wanted: String,
}
