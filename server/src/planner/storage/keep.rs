//! Which partitions of a disk stay. What is meant is found by its match; absence and ambiguity are errors that name the candidates.

use wire::{
    facts::{Disk, DiskPartition},
    storage::{FileSystem, Partition, PartitionPurpose, TableFormat},
};

use super::{allocate::Extent, described};
use crate::domain::layout::{DiskLayout, KeptPartition, LayoutProblem, PartitionMatch, size::human};

/// A partition of the layout that stays, and the one on the disk that it is.
pub(super) struct Kept<'a> {
    pub(super) wanted: &'a KeptPartition,
    pub(super) there: &'a DiskPartition,
}

impl Kept<'_> {
    pub(super) fn extent(&self) -> Extent {
        Extent { start: self.there.start_bytes, size: self.there.size_bytes }
    }

    /// As it stands in the new table.
    pub(super) fn partition(&self) -> Partition {
        Partition {
            number: self.there.number,
            id: self.wanted.id.clone(),
            start_bytes: self.there.start_bytes,
            size_bytes: self.there.size_bytes,
            purpose: PartitionPurpose::Other,
            guid: self.there.guid.clone(),
            keep: true,
            type_code: self.there.type_code.clone(),
        }
    }

    /// The file system that the installed system mounts.
    pub(super) fn format(&self) -> Option<FileSystem> {
        match self.there.content.as_str() {
            "ext4" => Some(FileSystem::Ext4),
            "xfs" => Some(FileSystem::Xfs),
            "btrfs" => Some(FileSystem::Btrfs),
            "vfat" => Some(FileSystem::Vfat),
            _ => None,
        }
    }
}

/// Finds the partitions that stay.
///
/// # Errors
/// What stands against it, each with its place in the layout.
pub(super) fn find<'a>(
    wanted: &'a DiskLayout,
    disk: &'a Disk,
    place: &str,
) -> Result<Vec<Kept<'a>>, Vec<LayoutProblem>> {
    if wanted.keep.is_empty() {
        return Ok(Vec::new());
    }
    let table = match wanted.table {
        TableFormat::Gpt => "gpt",
        TableFormat::Mbr => "mbr",
    };
    let problem = |place: String, message: String| LayoutProblem { line: 0, place, message };
    if disk.table != table {
        let there = if disk.table.is_empty() { "none" } else { &disk.table };
        let message = format!(
            "partitions can be kept only in the table that is there, which is to be {table}: {} has {there}",
            described(disk)
        );
        return Err(vec![problem(place.to_owned(), message)]);
    }
    let mut kept: Vec<Kept<'_>> = Vec::new();
    let mut problems = Vec::new();
    for (at, wanted) in wanted.keep.iter().enumerate() {
        let place = format!("{place}.keep[{at}]");
        match one(wanted, disk, &kept) {
            Ok(there) => kept.push(Kept { wanted, there }),
            Err(message) => problems.push(problem(place, message)),
        }
    }
    if problems.is_empty() { Ok(kept) } else { Err(problems) }
}

fn one<'a>(wanted: &KeptPartition, disk: &'a Disk, others: &[Kept<'_>]) -> Result<&'a DiskPartition, String> {
    let fitting: Vec<&DiskPartition> =
        disk.partitions.iter().filter(|partition| fits(&wanted.wanted, partition)).collect();
    let all = |partitions: &mut dyn Iterator<Item = &DiskPartition>| {
        partitions.map(described_partition).collect::<Vec<_>>().join(", ")
    };
    let there = match fitting.as_slice() {
        [there] => *there,
        [] if disk.partitions.is_empty() => {
            return Err(format!("`{}` cannot be kept: {} has no partitions", wanted.id, described(disk)));
        }
        [] => {
            let candidates = all(&mut disk.partitions.iter());
            return Err(format!("no partition fits `{}`; {} has {candidates}", wanted.id, described(disk)));
        }
        several => {
            let candidates = all(&mut several.iter().copied());
            return Err(format!(
                "{} partitions fit `{}`: {candidates}; name one by `number`, `guid` or `uuid`",
                several.len(),
                wanted.id
            ));
        }
    };
    let name = described_partition(there);
    if let Some(other) = others.iter().find(|other| other.there.number == there.number) {
        return Err(format!("{name} is kept as `{}` already", other.wanted.id));
    }
    if disk.table == "mbr" && there.number > 4 {
        return Err(format!(
            "{name} is a logical partition, which can only stay with the extended one around it"
        ));
    }
    let extent = Extent { start: there.start_bytes, size: there.size_bytes };
    let collides =
        |other: &Kept<'_>| extent.start < other.extent().end() && other.extent().start < extent.end();
    let sector = u64::from(disk.sector_bytes.max(1));
    let is_whole = extent.start.is_multiple_of(sector) && extent.size.is_multiple_of(sector);
    if extent.size == 0 || extent.end() > disk.size_bytes || !is_whole || others.iter().any(collides) {
        return Err(format!("{name} cannot be kept: the table that is there contradicts itself"));
    }
    if wanted.mount.is_some() {
        let content = Kept { wanted, there }.format();
        if content.is_none() || there.uuid.is_empty() {
            return Err(format!("{name} cannot be mounted: it has no ext4, xfs, btrfs or vfat with a UUID"));
        }
    }
    Ok(there)
}

fn fits(wanted: &PartitionMatch, partition: &DiskPartition) -> bool {
    let same = |want: &Option<String>, have: &str| {
        want.as_ref().is_none_or(|want| !have.is_empty() && want.eq_ignore_ascii_case(have))
    };
    wanted.number.is_none_or(|number| number == partition.number)
        && wanted.name.as_ref().is_none_or(|name| *name == partition.name)
        && wanted.label.as_ref().is_none_or(|label| *label == partition.label)
        && same(&wanted.guid, &partition.guid)
        && same(&wanted.uuid, &partition.uuid)
}

/// A partition for people.
pub(super) fn described_partition(partition: &DiskPartition) -> String {
    let size = human(partition.size_bytes);
    if partition.content.is_empty() {
        format!("{} ({size})", partition.path)
    } else {
        format!("{} ({}, {size})", partition.path, partition.content)
    }
}
