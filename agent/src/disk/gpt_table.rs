//! GUID partition tables (UEFI specification, chapter 5), by the crate `gpt`.

use std::{
    collections::BTreeMap,
    io::{Seek, SeekFrom},
};

use anyhow::{Context as _, ensure};
use gpt::{disk::LogicalBlockSize, mbr::ProtectiveMBR, partition_types as types};
use wire::storage::{Partition, PartitionPurpose};

use crate::host::DiskFile;

fn block_size(sector_bytes: u32) -> LogicalBlockSize {
    if sector_bytes == 4096 { LogicalBlockSize::Lb4096 } else { LogicalBlockSize::Lb512 }
}

fn kind(purpose: PartitionPurpose) -> types::Type {
    match purpose {
        PartitionPurpose::Linux | PartitionPurpose::Other => types::LINUX_FS,
        PartitionPurpose::Swap => types::LINUX_SWAP,
        PartitionPurpose::EfiSystem => types::EFI,
        PartitionPurpose::BiosBoot => types::BIOS,
        PartitionPurpose::Raid => types::LINUX_RAID,
        PartitionPurpose::Lvm => types::LINUX_LVM,
    }
}

/// Writes protective MBR, both tables, and reads them back.
pub(super) fn write(
    file: &mut Box<dyn DiskFile>,
    guid: &str,
    partitions: &[Partition],
    sector_bytes: u32,
) -> anyhow::Result<()> {
    let sector = u64::from(sector_bytes);
    let size = file.seek(SeekFrom::End(0)).context("asking for the size")?;
    let lba0 = u32::try_from(size / sector - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(lba0).overwrite_lba0(file).context("writing the protective MBR")?;
    let mut disk = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(block_size(sector_bytes))
        .create_from_device(&mut *file, Some(guid.parse().context("understanding the disk's GUID")?))
        .context("beginning a new table")?;
    let mut entries = BTreeMap::new();
    for partition in partitions {
        entries.insert(
            partition.number,
            gpt::partition::Partition {
                part_type_guid: kind(partition.purpose),
                part_guid: partition.guid.parse().context("understanding a partition's GUID")?,
                first_lba: partition.start_bytes / sector,
                last_lba: (partition.start_bytes + partition.size_bytes) / sector - 1,
                flags: 0,
                name: partition.id.clone(),
            },
        );
    }
    disk.update_partitions(entries.clone()).context("laying out the partitions")?;
    disk.write_inplace().context("writing both tables")?;
    drop(disk);
    let read = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(block_size(sector_bytes))
        .open_from_device(&mut *file)
        .context("reading the table back")?;
    let found: BTreeMap<_, _> = read
        .partitions()
        .iter()
        .filter(|(_, partition)| partition.is_used())
        .map(|(number, partition)| (*number, partition.clone()))
        .collect();
    ensure!(found == entries, "the table reads back differently from what was written");
    Ok(())
}
