//! Master boot records with up to four primary partitions. Sectors are named by their number only, as every firmware since 1995 does.

use std::collections::BTreeMap;

use uuid::Uuid;
use wire::storage::{Partition, PartitionPurpose};

use super::{
    edges::Edges,
    table::{Entry, Table},
};

pub(super) const SLOTS: u32 = 4;
const SIGNATURE: u64 = 440;
const RECORDS: usize = 446;
const RECORD_BYTES: usize = 16;
const ACTIVE: u8 = 0x80;
/// Says that cylinder, head and sector are not known.
const NO_PLACE: [u8; 3] = [0xfe, 0xff, 0xff];

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

/// The record of a new partition, whose place has been found to fit.
pub(super) fn record(partition: &Partition, sector_bytes: u32) -> Vec<u8> {
    let sectors =
        |bytes: u64| u32::try_from(bytes / u64::from(sector_bytes)).unwrap_or(u32::MAX).to_le_bytes();
    let (start, size) = (sectors(partition.start_bytes), sectors(partition.size_bytes));
    [&[0][..], &NO_PLACE, &[kind(partition.purpose)], &NO_PLACE, &start, &size].concat()
}

/// Puts a table into the beginning of a disk; boot code stays. `signature` of `None` leaves the disk's own.
pub(super) fn put(edges: &mut Edges, signature: Option<Uuid>, records: &BTreeMap<u32, Vec<u8>>) {
    if let Some(signature) = signature {
        edges.put(SIGNATURE, &signature.as_bytes()[..4]);
        edges.put(SIGNATURE + 4, &[0; 2]);
    }
    let mut table = [0; RECORD_BYTES * SLOTS as usize + 2];
    for (number, record) in records {
        let at = (*number as usize - 1) * RECORD_BYTES;
        table[at..at + RECORD_BYTES].copy_from_slice(record);
    }
    table[RECORD_BYTES * SLOTS as usize..].copy_from_slice(&[0x55, 0xaa]);
    edges.put(RECORDS as u64, &table);
}

/// Some firmware boots only a disk that has an active partition: the last one for Linux carries the system in every layout that has one.
pub(super) fn activate(partitions: &[Partition], records: &mut BTreeMap<u32, Vec<u8>>) {
    let system = partitions
        .iter()
        .rev()
        .find(|partition| partition.purpose == PartitionPurpose::Linux && !partition.keep);
    // A kept system goes on being the one that is booted without a boot loader's help.
    let is_decided = records.values().any(|record| record[0] == ACTIVE);
    if let (Some(system), false) = (system, is_decided)
        && let Some(record) = records.get_mut(&system.number)
    {
        record[0] = ACTIVE;
    }
}

/// The table at the beginning of a disk.
pub(super) fn read(edges: &Edges, sector_bytes: u32) -> Option<Table> {
    let sector = u64::from(sector_bytes);
    let head = &edges.head[..512];
    let records = head[RECORDS..510].chunks_exact(RECORD_BYTES).zip(1..);
    if head[510..] != [0x55, 0xaa] || head[RECORDS..510].chunks(RECORD_BYTES).any(|r| r[0] & !ACTIVE != 0) {
        return None;
    }
    let number = |raw: &[u8], at: usize| {
        u64::from(u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]))
    };
    let entries: BTreeMap<u32, Entry> = records
        .filter(|(raw, _)| raw[4] != 0)
        .map(|(raw, slot)| {
            let entry = Entry {
                start_bytes: number(raw, 8) * sector,
                size_bytes: number(raw, 12) * sector,
                type_code: format!("{:#04x}", raw[4]),
                guid: String::new(),
                raw: raw.to_vec(),
            };
            (slot, entry)
        })
        .collect();
    Some(Table { guid: Uuid::nil(), entries, slots: SLOTS, is_head_good: true })
}
