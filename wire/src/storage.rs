//! What the storage step writes: decided by the server's planner down to the byte, checked again by the agent.
//!
//! RAID, LVM and LUKS will be further [`StorageAction`]s that make further [`Volume`]s.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The whole work of one storage step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StorageWork {
    /// Every disk that is touched. All are checked before the first byte is written.
    pub disks: Vec<DiskExpectation>,
    /// What to do, in order.
    pub actions: Vec<StorageAction>,
}

/// A disk as the planner saw it; the agent refuses to write when the machine no longer has it like this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskExpectation {
    /// The disk's key in the layout, such as `system`.
    pub disk: String,
    /// Device node at planning time, such as `/dev/vda`; a hint, not an identity.
    pub path: String,
    /// Serial number; empty when the disk has none.
    pub serial: String,
    /// World wide name; empty when the disk has none.
    #[serde(default)]
    pub wwn: String,
    /// Size.
    pub size_bytes: u64,
    /// Logical sector size: 512 or 4096.
    pub sector_bytes: u32,
    /// Vendor and model, for people.
    #[serde(default)]
    pub model: String,
}

/// Where a file system lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "on", rename_all = "kebab-case")]
pub enum Volume {
    /// A partition of a disk of [`StorageWork::disks`].
    Partition {
        /// The disk's key in the layout.
        disk: String,
        /// Partition number, from 1.
        number: u32,
    },
    /// A volume of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// One thing done to storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum StorageAction {
    /// What is on the disk may be destroyed; only planned where the layout says `wipe: true`. Removes every old signature from the disk and
    /// from its old partitions, unless its new table keeps some.
    Wipe {
        /// The disk's key.
        disk: String,
    },
    /// Writes a partition table. Kept partitions are listed with [`Partition::keep`] and stay byte for byte; the disk then keeps its GUID and
    /// its boot code too. Without [`StorageAction::Wipe`] the disk has to be blank but for them.
    WriteTable {
        /// The disk's key.
        disk: String,
        /// Format of the table.
        table: TableFormat,
        /// GPT disk GUID, or the first four bytes of it as MBR signature. Derived from client and job, like the GUIDs of new partitions: an
        /// agent recognises what an interrupted attempt of this very job has written, and nothing else.
        guid: String,
        /// All partitions of the new table, by number.
        partitions: Vec<Partition>,
    },
    /// Makes a file system or swap space.
    Format {
        /// Where.
        volume: Volume,
        /// Which.
        format: FileSystem,
        /// File-system UUID (for vfat the eight digits of its serial, `ABCD-1234`).
        uuid: String,
        /// Volume label; empty for none.
        #[serde(default)]
        label: String,
    },
    /// Mounts a volume below `/target`, or activates swap.
    Mount(MountEntry),
    /// An action of a newer version: refused before anything is written.
    #[serde(other)]
    Unknown,
}

/// Format of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableFormat {
    /// GUID partition table (UEFI specification, chapter 5).
    Gpt,
    /// Master boot record with four primary partitions.
    Mbr,
}

/// One partition of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Partition {
    /// Number from 1.
    pub number: u32,
    /// The partition's id in the layout; it becomes the GPT partition name.
    pub id: String,
    /// First byte; a multiple of 1 MiB for new partitions.
    pub start_bytes: u64,
    /// Length; a multiple of the sector size.
    pub size_bytes: u64,
    /// What it is for.
    pub purpose: PartitionPurpose,
    /// GPT partition GUID.
    pub guid: String,
    /// The partition is there already and stays as it is.
    #[serde(default)]
    pub keep: bool,
    /// Type of a kept partition, as [`crate::facts::DiskPartition::type_code`] has it; empty for new ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub type_code: String,
}

/// What a partition is for; decides GPT type GUID and MBR type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionPurpose {
    /// Any Linux file system.
    Linux,
    /// Swap space.
    Swap,
    /// EFI system partition.
    EfiSystem,
    /// Room for GRUB on GPT disks of BIOS machines.
    BiosBoot,
    /// Member of a RAID array.
    Raid,
    /// LVM physical volume.
    Lvm,
    /// A kept partition of a type that Lotse does not make.
    Other,
}

/// File systems that Lotse makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystem {
    /// Linux ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT32.
    Vfat,
    /// Swap space.
    Swap,
}

/// One line of the target's fstab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MountEntry {
    /// What is mounted.
    pub volume: Volume,
    /// The disk that carries it, so that a mount step alone finds it again.
    pub disk: DiskExpectation,
    /// File system.
    pub format: FileSystem,
    /// File-system UUID.
    pub uuid: String,
    /// Mount point in the installed system, such as `/home`; `none` for swap.
    pub mount: String,
    /// Mount options, comma separated; `defaults` when there are none.
    pub options: String,
    /// It is on a kept partition: the installed system mounts it, an installation never does, so that nothing it does reaches its content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}
