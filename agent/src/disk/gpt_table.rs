//! GUID partition tables (UEFI specification, chapter 5).
//!
//! Written here rather than by the crate `gpt`, which numbers partitions anew and so cannot keep number 3 without a number 2; the crate
//! reads what was written, and has to agree.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use gpt::disk::LogicalBlockSize;
use uuid::Uuid;
use wire::storage::{Partition, PartitionPurpose};

use super::{
    edges::Edges,
    table::{Entry, Table},
};
use crate::host::DiskFile;

const SIGNATURE: &[u8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const HEADER_BYTES: u32 = 92;
const ENTRY_BYTES: u32 = 128;
/// The specification asks for room for as many at least.
pub(super) const FEWEST_SLOTS: u32 = 128;
/// More than anybody has, and what both ends have room for.
const MOST_SLOTS: u32 = 1024;
const BOOT_CODE: usize = 440;
const RECORDS: usize = 446;
const PROTECTIVE: u8 = 0xee;

/// Type GUIDs as the Discoverable Partitions Specification and GRUB's manual list them.
fn kind(purpose: PartitionPurpose) -> Uuid {
    Uuid::from_u128(match purpose {
        PartitionPurpose::Linux | PartitionPurpose::Other => 0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4,
        PartitionPurpose::Swap => 0x0657_fd6d_a4ab_43c4_84e5_0933_c84b_4f4f,
        PartitionPurpose::EfiSystem => 0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b,
        PartitionPurpose::BiosBoot => 0x2168_6148_6449_6e6f_744e_6565_6445_4649,
        PartitionPurpose::Raid => 0xa19d_880f_05fc_4d3b_a006_743f_0f84_911e,
        PartitionPurpose::Lvm => 0xe6d6_d379_f507_44c2_a23c_238f_2a3d_f928,
    })
}

/// The entry of a new partition; its GUID has been found to be one.
pub(super) fn entry(partition: &Partition, sector_bytes: u32) -> Vec<u8> {
    let sector = u64::from(sector_bytes);
    let mut bytes = Vec::with_capacity(ENTRY_BYTES as usize);
    bytes.extend(kind(partition.purpose).to_bytes_le());
    bytes.extend(Uuid::parse_str(&partition.guid).unwrap_or_default().to_bytes_le());
    bytes.extend((partition.start_bytes / sector).to_le_bytes());
    bytes.extend(((partition.start_bytes + partition.size_bytes) / sector - 1).to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(partition.id.encode_utf16().take(36).flat_map(u16::to_le_bytes));
    bytes.resize(ENTRY_BYTES as usize, 0);
    bytes
}

/// Bytes that the table needs at the beginning of the disk.
pub(super) fn head_bytes(slots: u32, sector_bytes: u32) -> u64 {
    2 * u64::from(sector_bytes) + entries_bytes(slots, sector_bytes)
}

/// Bytes that the table needs at the end of the disk.
pub(super) fn tail_bytes(slots: u32, sector_bytes: u32) -> u64 {
    u64::from(sector_bytes) + entries_bytes(slots, sector_bytes)
}

fn entries_bytes(slots: u32, sector_bytes: u32) -> u64 {
    (u64::from(slots) * u64::from(ENTRY_BYTES)).next_multiple_of(sector_bytes.into())
}

/// Puts a table with these entries into the ends of a disk. A protective record that is there, and boot code, stay.
pub(super) fn put(
    edges: &mut Edges,
    guid: Uuid,
    entries: &BTreeMap<u32, Vec<u8>>,
    slots: u32,
    sector_bytes: u32,
) {
    let sector = u64::from(sector_bytes);
    let last = edges.size / sector - 1;
    protect(edges, last);
    let mut array = vec![0; slots as usize * ENTRY_BYTES as usize];
    for (number, entry) in entries {
        let at = ((number - 1) as usize) * ENTRY_BYTES as usize;
        array[at..at + entry.len()].copy_from_slice(entry);
    }
    let room = entries_bytes(slots, sector_bytes);
    let (first_usable, last_usable) = (2 + room / sector, last - room / sector - 1);
    for (here, there, array_at) in [(1, last, 2), (last, 1, last_usable + 1)] {
        let mut header = Vec::with_capacity(sector_bytes as usize);
        header.extend(SIGNATURE);
        header.extend(REVISION.to_le_bytes());
        header.extend(HEADER_BYTES.to_le_bytes());
        // Checksum of the header, counted as zero, and a reserved field.
        header.extend([0; 8]);
        for number in [here, there, first_usable, last_usable] {
            header.extend(number.to_le_bytes());
        }
        header.extend(guid.to_bytes_le());
        header.extend(array_at.to_le_bytes());
        header.extend(slots.to_le_bytes());
        header.extend(ENTRY_BYTES.to_le_bytes());
        header.extend(crc32(&array).to_le_bytes());
        let checksum = crc32(&header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        header.resize(sector_bytes as usize, 0);
        edges.put(here * sector, &header);
        edges.put(array_at * sector, &array);
    }
}

/// The record that keeps programs without GPT from taking the disk for an empty one (UEFI specification, 5.2.3).
fn protect(edges: &mut Edges, last: u64) {
    let records = &edges.head[RECORDS..510];
    if edges.head[510..512] == [0x55, 0xaa] && records.chunks(16).any(|record| record[4] == PROTECTIVE) {
        return;
    }
    let mut record = [0; 66];
    record[..8].copy_from_slice(&[0, 0, 2, 0, PROTECTIVE, 0xff, 0xff, 0xff]);
    record[8..12].copy_from_slice(&1_u32.to_le_bytes());
    record[12..16].copy_from_slice(&u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    record[64..].copy_from_slice(&[0x55, 0xaa]);
    edges.head[BOOT_CODE..RECORDS].fill(0);
    edges.put(RECORDS as u64, &record);
}

/// The table at the ends of a disk: the one at the beginning, or, when that is damaged, the one at the end.
pub(super) fn read(edges: &Edges, sector_bytes: u32) -> Option<Table> {
    let sector = u64::from(sector_bytes);
    let last = edges.size / sector - 1;
    read_at(edges, 1, sector).or_else(|| {
        let table = read_at(edges, last, sector)?;
        Some(Table { is_head_good: false, ..table })
    })
}

fn read_at(edges: &Edges, here: u64, sector: u64) -> Option<Table> {
    let header = edges.get(here * sector, sector);
    let long = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let short = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let length = short(12)?;
    if !header.starts_with(SIGNATURE) || long(24)? != here || !(HEADER_BYTES..=512).contains(&length) {
        return None;
    }
    let mut unsigned = header.get(..length as usize)?.to_vec();
    unsigned[16..20].fill(0);
    let slots = short(80)?;
    if crc32(&unsigned) != short(16)? || short(84)? != ENTRY_BYTES || slots > MOST_SLOTS {
        return None;
    }
    let array = edges.get(long(72)?.checked_mul(sector)?, u64::from(slots) * u64::from(ENTRY_BYTES));
    if array.is_empty() || crc32(array) != short(88)? {
        return None;
    }
    let guid = Uuid::from_bytes_le(header.get(56..72)?.try_into().ok()?);
    let chunks = array.chunks_exact(ENTRY_BYTES as usize).zip(1..);
    let entries = chunks.filter_map(|(raw, number)| Some((number, parse(raw, sector)?))).collect();
    Some(Table { guid, entries, slots: slots.max(FEWEST_SLOTS), is_head_good: true })
}

fn parse(raw: &[u8], sector: u64) -> Option<Entry> {
    let guid = |at: usize| Some(Uuid::from_bytes_le(raw.get(at..at + 16)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(raw.get(at..at + 8)?.try_into().ok()?));
    let kind = guid(0)?;
    let (first, last) = (long(32)?, long(40)?);
    (!kind.is_nil()).then(|| Entry {
        start_bytes: first.saturating_mul(sector),
        size_bytes: (last + 1).saturating_sub(first).saturating_mul(sector),
        type_code: kind.to_string(),
        guid: guid(16).unwrap_or_default().to_string(),
        raw: raw.to_vec(),
    })
}

/// CRC-32 as in IEEE 802.3, which the specification asks for.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// Lets the crate `gpt` read both tables of a disk: they have to be whole and have these entries.
pub(super) fn verify(
    file: &mut Box<dyn DiskFile>,
    entries: &BTreeMap<u32, Vec<u8>>,
    sector_bytes: u32,
) -> anyhow::Result<()> {
    let size = if sector_bytes == 4096 { LogicalBlockSize::Lb4096 } else { LogicalBlockSize::Lb512 };
    let read = gpt::GptConfig::new()
        .writable(false)
        .only_valid_headers(true)
        .logical_block_size(size)
        .open_from_device(&mut *file)
        .context("reading the table back")?;
    let place = |raw: &[u8]| parse(raw, 1).map(|entry| (entry.start_bytes, entry.size_bytes, entry.guid));
    let planned: BTreeMap<_, _> = entries.iter().map(|(number, raw)| (*number, place(raw))).collect();
    let found: BTreeMap<_, _> = read
        .partitions()
        .iter()
        .filter(|(_, partition)| partition.is_used())
        .map(|(number, found)| {
            let size = (found.last_lba + 1).saturating_sub(found.first_lba);
            (*number, Some((found.first_lba, size, found.part_guid.to_string())))
        })
        .collect();
    ensure!(found == planned, "the table reads back differently from what was written");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
