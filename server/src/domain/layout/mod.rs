//! A storage layout: the wanted disks, nested, by match rather than by name. The format is documented in `docs/layouts.md`.
//!
//! Invariant: a [`Layout`] that [`Layout::parse`] gives is free of contradictions that can be seen without a machine; what depends on
//! the machine is the planner's.

mod check;
pub mod size;
mod write;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::storage::{FileSystem, TableFormat};

pub use size::Size;

/// A wanted storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// What a person reads, by language.
    #[serde(default)]
    pub title: BTreeMap<String, String>,
    /// Disks by a name of the layout's own.
    pub disks: BTreeMap<String, DiskLayout>,
    /// Place of LVM volume groups in the format; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lvm: Option<serde_json::Value>,
    /// Place of RAID arrays in the format; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raid: Option<serde_json::Value>,
    /// Place of encrypted volumes in the format; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luks: Option<serde_json::Value>,
}

/// A wanted disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskLayout {
    /// Which disk of the machine is meant.
    #[serde(default, rename = "match")]
    pub wanted: DiskMatch,
    /// Partition table.
    pub table: TableFormat,
    /// What is on the disk may be destroyed.
    #[serde(default)]
    pub wipe: bool,
    /// Partitions that are there and stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<KeptPartition>,
    /// New partitions in the order in which they lie.
    #[serde(default)]
    pub partitions: Vec<PartitionLayout>,
}

/// A partition that is there and stays: its place, its type, its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPartition {
    /// Its name in the layout.
    pub id: String,
    /// Which partition of the disk is meant.
    #[serde(rename = "match")]
    pub wanted: PartitionMatch,
    /// Where the installed system mounts it.
    #[serde(default)]
    pub mount: Option<String>,
    /// Mount options, comma separated.
    #[serde(default)]
    pub options: Option<String>,
}

/// Which partition is meant; every word that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionMatch {
    /// Its number in the table, from 1.
    #[serde(default)]
    pub number: Option<u32>,
    /// Its name in a GPT; Lotse writes the `id` there.
    #[serde(default)]
    pub name: Option<String>,
    /// Its GUID in a GPT.
    #[serde(default)]
    pub guid: Option<String>,
    /// Label of its file system.
    #[serde(default)]
    pub label: Option<String>,
    /// UUID of its file system.
    #[serde(default)]
    pub uuid: Option<String>,
}

/// Which disk is meant; every word that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskMatch {
    /// At least this large.
    #[serde(default)]
    pub min_size: Option<Size>,
    /// At most this large.
    #[serde(default)]
    pub max_size: Option<Size>,
    /// Serial number.
    #[serde(default)]
    pub serial: Option<String>,
    /// World wide name.
    #[serde(default)]
    pub wwn: Option<String>,
    /// Device node.
    #[serde(default)]
    pub path: Option<String>,
    /// Turning platters.
    #[serde(default)]
    pub rotational: YesNoAny,
    /// `nvme`, `sata`, `scsi`, `virtio`, `usb`, `mmc`.
    #[serde(default)]
    pub transport: Option<String>,
}

impl DiskMatch {
    /// The disk is named rather than described; then sticks and cards may be meant too.
    pub fn names_one(&self) -> bool {
        self.serial.is_some() || self.wwn.is_some() || self.path.is_some()
    }
}

/// Yes, no, or no matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YesNoAny {
    /// It must be.
    Yes,
    /// It must not be.
    No,
    /// No matter.
    #[default]
    Any,
}

/// A wanted partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionLayout {
    /// Its name in the layout; the GPT partition name too.
    pub id: String,
    /// Its size.
    pub size: Size,
    /// It must not become smaller than this.
    #[serde(default)]
    pub min: Option<Size>,
    /// What it is for; by default what its format says.
    #[serde(default, rename = "type")]
    pub purpose: Option<Purpose>,
    /// Its file system.
    #[serde(default)]
    pub format: Option<FileSystem>,
    /// Where it is mounted.
    #[serde(default)]
    pub mount: Option<String>,
    /// Mount options, comma separated.
    #[serde(default)]
    pub options: Option<String>,
    /// File-system label.
    #[serde(default)]
    pub label: Option<String>,
    /// Only on machines with this firmware.
    #[serde(default)]
    pub when: Option<When>,
    /// Volume group that the partition belongs to; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lvm: Option<String>,
    /// Array that the partition belongs to; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raid: Option<String>,
    /// Encrypted volume that the partition carries; not available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luks: Option<String>,
}

/// What a partition is for, where its format does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A Linux file system.
    Linux,
    /// Swap space.
    Swap,
    /// EFI system partition.
    EfiSystem,
    /// Room for GRUB on GPT disks of BIOS machines.
    BiosBoot,
}

/// On which firmware a partition is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// One thing that stands against a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayoutProblem {
    /// Line of the YAML text, from 1; 0 when no line is to blame.
    pub line: usize,
    /// Where, such as `disks.system.partitions[2]`.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for LayoutProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

impl Layout {
    /// A text as far as it has the form of a layout, whatever contradictions are in it; for a picture in which they can be mended.
    pub fn sketch(text: &str) -> Option<Self> {
        serde_yaml::from_str(text).ok()
    }

    /// Reads a layout.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<LayoutProblem>> {
        let layout: Self = serde_yaml::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            vec![LayoutProblem { line, place: String::new(), message: error.to_string() }]
        })?;
        let mut problems = layout.check();
        for problem in &mut problems {
            problem.line = line_of(text, &problem.place);
        }
        if problems.is_empty() { Ok(layout) } else { Err(problems) }
    }
}

/// The line on which a place such as `disks.system.partitions[2]` begins: the YAML library keeps no positions, so the names are looked up
/// in the text, each below the one before.
pub fn line_of(text: &str, place: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    let mut found = 0;
    for part in place.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let key = format!("{name}:");
        let Some(offset) =
            lines[at..].iter().position(|line| line.trim_start().trim_start_matches("- ").starts_with(&key))
        else {
            return found;
        };
        at += offset;
        found = at + 1;
        if let Some(index) = index {
            let entries =
                lines[at + 1..].iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("- "));
            if let Some((offset, _)) = entries.take(index + 1).last() {
                at += offset + 1;
                found = at + 1;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
