//! Where each partition lies on its disk.

use wire::{
    facts::Disk,
    storage::{FileSystem, TableFormat},
};

use super::described;
use crate::domain::layout::{LayoutProblem, PartitionLayout, Size, size::human};

/// Every partition begins and ends on a multiple of this: right for 512-byte and 4K sectors and for every RAID stripe in use.
const ALIGNMENT: u64 = 1 << 20;
/// MBR counts sectors with 32 bits.
const MBR_SECTORS: u64 = u32::MAX as u64;
/// Both ends of a disk and something between them.
const SMALLEST_DISK: u64 = 4 << 20;

/// A stretch of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) size: u64,
}

impl Extent {
    pub(super) fn end(self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// The stretch for new partitions: the largest that the kept ones leave, without what the table needs at both ends.
///
/// # Errors
/// The disk is none that Lotse can partition.
pub(super) fn free(table: TableFormat, disk: &Disk, kept: &[Extent]) -> Result<Extent, String> {
    if disk.sector_bytes != 512 && disk.sector_bytes != 4096 {
        return Err(format!(
            "{} has sectors of {} bytes, which Lotse does not know",
            described(disk),
            disk.sector_bytes
        ));
    }
    if disk.size_bytes < SMALLEST_DISK || !disk.size_bytes.is_multiple_of(disk.sector_bytes.into()) {
        return Err(format!(
            "{} cannot be partitioned: it is too small or no whole sectors",
            described(disk)
        ));
    }
    // GPT keeps a head (LBA 0 and 1, 32 entries of 512 bytes and more) inside the first MiB, and a mirror image at the end.
    let end = match table {
        TableFormat::Gpt => disk.size_bytes - ALIGNMENT,
        TableFormat::Mbr => disk.size_bytes.min(MBR_SECTORS.saturating_mul(u64::from(disk.sector_bytes))),
    };
    let mut kept = kept.to_vec();
    kept.sort_by_key(|extent| extent.start);
    let mut largest = Extent { start: ALIGNMENT, size: 0 };
    let mut start = ALIGNMENT;
    for next in kept.iter().copied().chain([Extent { start: end, size: 0 }]) {
        let size = down(next.start.min(end)).saturating_sub(start);
        if size > largest.size {
            largest = Extent { start, size };
        }
        start = start.max(next.end().checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX));
    }
    Ok(largest)
}

/// Lays the new partitions out one behind the other.
///
/// # Errors
/// They do not fit, or one would become smaller than its minimum.
pub(super) fn allocate(
    disk: &Disk,
    free: Extent,
    made: &[(usize, &PartitionLayout)],
    place: &str,
) -> Result<Vec<Extent>, Vec<LayoutProblem>> {
    let problem = |place: String, message: String| vec![LayoutProblem { line: 0, place, message }];
    let usable = free.size;
    let fixed: Vec<Option<u64>> =
        made.iter().map(|(_, partition)| fixed_size(partition.size, usable)).collect();
    let taken = fixed.iter().flatten().fold(0_u64, |sum, size| sum.saturating_add(*size));
    if taken > usable {
        let message = format!(
            "the partitions need {}, {} has {} for them: {} are missing",
            human(taken),
            described(disk),
            human(usable),
            human(taken - usable)
        );
        return Err(problem(place.to_owned(), message));
    }
    let mut extents = Vec::with_capacity(made.len());
    let mut problems = Vec::new();
    let mut start = free.start;
    for ((at, partition), size) in made.iter().zip(fixed) {
        let size = size.unwrap_or(usable - taken);
        let least = minimum(partition);
        if size < least {
            let message = format!(
                "`{}` would have {} on {}, needs {}: {} are missing",
                partition.id,
                human(size),
                described(disk),
                human(least),
                human(least - size)
            );
            problems.push(LayoutProblem { line: 0, place: format!("{place}.partitions[{at}]"), message });
        }
        extents.push(Extent { start, size });
        start += size;
    }
    if problems.is_empty() { Ok(extents) } else { Err(problems) }
}

fn fixed_size(size: Size, usable: u64) -> Option<u64> {
    match size {
        Size::Bytes(bytes) => Some(bytes.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)),
        // Rounded down, so that percentages which add up to 100 fit.
        Size::Percent(percent) => Some(down(usable / 100 * u64::from(percent))),
        Size::Rest => None,
    }
}

/// What the partition's own `min` and its file system ask for at least.
fn minimum(partition: &PartitionLayout) -> u64 {
    let own = match partition.min {
        Some(Size::Bytes(bytes)) => bytes,
        Some(Size::Percent(_) | Size::Rest) | None => 0,
    };
    // mkfs.xfs(8) refuses less than 300 MiB, mkfs.btrfs(8) less than about 109 MiB; FAT32 needs 65 525 clusters.
    let format = match partition.format {
        Some(FileSystem::Xfs) => 300 << 20,
        Some(FileSystem::Btrfs) => 128 << 20,
        Some(FileSystem::Vfat) => 36 << 20,
        Some(FileSystem::Ext4) => 8 << 20,
        Some(FileSystem::Swap) | None => ALIGNMENT,
    };
    own.max(format)
}

fn down(bytes: u64) -> u64 {
    bytes - bytes % ALIGNMENT
}
