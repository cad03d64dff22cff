//! Master boot records with primary partitions, by the crate `mbrman`.

use anyhow::{Context as _, ensure};
use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBR, MBRPartitionEntry};
use wire::storage::{Partition, PartitionPurpose};

use crate::host::DiskFile;

/// Partition types as fdisk(8) lists them.
fn kind(purpose: PartitionPurpose) -> u8 {
    match purpose {
        PartitionPurpose::Linux | PartitionPurpose::Other | PartitionPurpose::BiosBoot => 0x83,
        PartitionPurpose::Swap => 0x82,
        PartitionPurpose::EfiSystem => 0xef,
        PartitionPurpose::Raid => 0xfd,
        PartitionPurpose::Lvm => 0x8e,
    }
}

/// Writes the record and reads it back.
pub(super) fn write(
    file: &mut Box<dyn DiskFile>,
    guid: &str,
    partitions: &[Partition],
    sector_bytes: u32,
) -> anyhow::Result<()> {
    let signature = uuid::Uuid::parse_str(guid).context("understanding the disk's GUID")?;
    let mut first = [0; 4];
    first.copy_from_slice(&signature.as_bytes()[..4]);
    let mut table = MBR::new_from(file, sector_bytes, first).context("beginning a new table")?;
    // Some firmware boots only a disk that has an active partition; the last one carries the system in every layout that has one.
    let active = partitions
        .iter()
        .rev()
        .find(|partition| partition.purpose == PartitionPurpose::Linux)
        .map(|partition| partition.number);
    for partition in partitions {
        let number = usize::try_from(partition.number).unwrap_or(0);
        ensure!((1..=4).contains(&number), "an MBR table has no partition {number}");
        let sectors = |bytes: u64| {
            u32::try_from(bytes / u64::from(sector_bytes))
                .context("a partition lies behind what an MBR table can name")
        };
        table[number] = MBRPartitionEntry {
            boot: if active == Some(partition.number) { BOOT_ACTIVE } else { BOOT_INACTIVE },
            first_chs: CHS::empty(),
            sys: kind(partition.purpose),
            last_chs: CHS::empty(),
            starting_lba: sectors(partition.start_bytes)?,
            sectors: sectors(partition.size_bytes)?,
        };
    }
    table.write_into(file).context("writing the table")?;
    let read = MBR::read_from(file, sector_bytes).context("reading the table back")?;
    for partition in partitions {
        let number = usize::try_from(partition.number).unwrap_or(0);
        ensure!(
            read[number] == table[number],
            "partition {number} reads back differently from what was written"
        );
    }
    Ok(())
}
