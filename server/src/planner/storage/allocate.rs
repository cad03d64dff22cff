//! Where each partition lies on its disk.

use wire::{
    facts::Disk,
    storage::{FileSystem, TableFormat},
};

use super::described;
use crate::domain::layout::{DiskLayout, LayoutProblem, PartitionLayout, Size, size::human};

/// Every partition begins and ends on a multiple of this: right for 512-byte and 4K sectors and for every RAID stripe in use.
const ALIGNMENT: u64 = 1 << 20;
/// MBR counts sectors with 32 bits.
const MBR_SECTORS: u64 = u32::MAX as u64;

/// A stretch of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// Lays the partitions out one behind the other.
///
/// # Errors
/// They do not fit, or one would become smaller than its minimum.
pub(super) fn allocate(
    wanted: &DiskLayout,
    disk: &Disk,
    made: &[(usize, &PartitionLayout)],
    place: &str,
) -> Result<Vec<Extent>, Vec<LayoutProblem>> {
    let problem = |place: String, message: String| vec![LayoutProblem { line: 0, place, message }];
    if disk.sector_bytes != 512 && disk.sector_bytes != 4096 {
        return Err(problem(
            place.to_owned(),
            format!(
                "{} has sectors of {} bytes, which Lotse does not know",
                described(disk),
                disk.sector_bytes
            ),
        ));
    }
    // GPT keeps a head (LBA 0 and 1, 32 entries of 512 bytes and more) inside the first MiB, and a mirror image at the end.
    let end = match wanted.table {
        TableFormat::Gpt => disk.size_bytes.saturating_sub(ALIGNMENT),
        TableFormat::Mbr => disk.size_bytes.min(MBR_SECTORS.saturating_mul(u64::from(disk.sector_bytes))),
    };
    let usable = down(end).saturating_sub(ALIGNMENT);
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
    let mut start = ALIGNMENT;
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
