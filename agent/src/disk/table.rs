//! A planned partition table against a disk as it is: whether it can be, what would be lost, how the ends of the disk look with it.
//!
//! Pure but for [`write()`] and [`inspect`]. Invariant: what the plan does not allow to be destroyed is found here, on the disk itself and
//! not in what was once measured, before anything is written.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, anyhow, ensure};
use uuid::Uuid;
use wire::storage::{Partition, TableFormat};

use super::{
    edges::{self, Edges, SMALLEST_DISK},
    gpt_table, mbr_table,
};
use crate::host::{DiskFile, Host};

/// A partition table to be written.
#[derive(Clone, Debug)]
pub struct NewTable<'a> {
    /// Its format.
    pub format: TableFormat,
    /// GPT disk GUID; its first four bytes are the signature of an MBR. Of a disk with kept partitions, its own stays.
    pub guid: &'a str,
    /// Its partitions.
    pub partitions: &'a [Partition],
    /// Logical sectors of the disk: 512 or 4096.
    pub sector_bytes: u32,
    /// Size of the disk.
    pub size_bytes: u64,
    /// Whatever is not kept may be destroyed.
    pub may_destroy: bool,
}

/// Why a table is not written; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The plan contradicts itself or the disk.
    #[error("the planned partition table cannot be: {0}; nothing was written, plan the job again")]
    Unfit(String),
    /// The disk carries what the plan does not allow to be destroyed.
    #[error(
        "the disk is not blank, and the plan does not say that it may be wiped: {0}. Nothing was written; look at the disk, and plan the \
         job again with `wipe: true` in the layout when all of it may be destroyed"
    )]
    NotBlank(String),
    /// A partition that stays is not there as planned.
    #[error("partition {number} shall be kept, but {why}; nothing was written, plan the job again")]
    NotKept {
        /// Its number.
        number: u32,
        /// What is otherwise.
        why: String,
    },
    /// The disk cannot be had or read.
    #[error("looking at the disk before anything is written: {0:#}")]
    Disk(anyhow::Error),
}

/// A table as it is on a disk.
pub(super) struct Table {
    pub(super) guid: Uuid,
    pub(super) entries: BTreeMap<u32, Entry>,
    pub(super) slots: u32,
    /// The copy at the beginning of the disk is whole.
    pub(super) is_head_good: bool,
}

/// A partition of it.
pub(super) struct Entry {
    pub(super) start_bytes: u64,
    pub(super) size_bytes: u64,
    pub(super) type_code: String,
    pub(super) guid: String,
    pub(super) raw: Vec<u8>,
}

impl Entry {
    fn is_at(&self, partition: &Partition) -> bool {
        self.start_bytes == partition.start_bytes && self.size_bytes == partition.size_bytes
    }
}

impl NewTable<'_> {
    /// Whether partitions of the disk stay.
    pub fn keeps_some(&self) -> bool {
        self.partitions.iter().any(|partition| partition.keep)
    }

    fn sector(&self) -> u64 {
        self.sector_bytes.into()
    }

    /// What is wrong with the plan, as far as can be seen without the disk.
    fn check(&self) -> Result<(), Refusal> {
        let unfit = |why: String| Err(Refusal::Unfit(why));
        if !matches!(self.sector_bytes, 512 | 4096) || !self.size_bytes.is_multiple_of(self.sector()) {
            return unfit(format!("sectors of {} bytes are not known here", self.sector_bytes));
        }
        if self.size_bytes < SMALLEST_DISK {
            return unfit("the disk is too small for a table".to_owned());
        }
        if Uuid::parse_str(self.guid).is_err() {
            return unfit(format!("`{}` is no GUID", self.guid));
        }
        let (head, end, slots) = match self.format {
            TableFormat::Gpt => {
                let slots = gpt_table::FEWEST_SLOTS;
                let head = gpt_table::head_bytes(slots, self.sector_bytes);
                (head, self.size_bytes - gpt_table::tail_bytes(slots, self.sector_bytes), slots)
            }
            // Sectors are counted with 32 bits.
            TableFormat::Mbr => {
                (self.sector(), self.size_bytes.min(u64::from(u32::MAX) * self.sector()), mbr_table::SLOTS)
            }
        };
        let mut taken: Vec<&Partition> = Vec::new();
        for partition in self.partitions {
            let (start, name) = (partition.start_bytes, &partition.id);
            if partition.number == 0 || (!partition.keep && partition.number > slots) {
                return unfit(format!("there is no number {} for `{name}`", partition.number));
            }
            let Some(stop) = start.checked_add(partition.size_bytes).filter(|stop| *stop <= end) else {
                return unfit(format!("`{name}` lies beyond the end of the disk that the table can use"));
            };
            if start < head {
                return unfit(format!("`{name}` lies where the table itself has its head"));
            }
            if partition.size_bytes == 0 || [start, stop].iter().any(|at| !at.is_multiple_of(self.sector())) {
                return unfit(format!("`{name}` does not begin and end with a sector"));
            }
            if self.format == TableFormat::Gpt && Uuid::parse_str(&partition.guid).is_err() {
                return unfit(format!("`{}` of `{name}` is no GUID", partition.guid));
            }
            for other in &taken {
                if other.number == partition.number {
                    return unfit(format!("the number {} is used twice", other.number));
                }
                if start < other.start_bytes + other.size_bytes && other.start_bytes < stop {
                    return unfit(format!("`{name}` and `{}` overlap", other.id));
                }
            }
            taken.push(partition);
        }
        Ok(())
    }

    fn read_old(&self, old: &Edges) -> Option<Table> {
        match self.format {
            TableFormat::Gpt => gpt_table::read(old, self.sector_bytes),
            TableFormat::Mbr => mbr_table::read(old, self.sector_bytes),
        }
    }

    fn new_entry(&self, partition: &Partition) -> Vec<u8> {
        match self.format {
            TableFormat::Gpt => gpt_table::entry(partition, self.sector_bytes),
            TableFormat::Mbr => mbr_table::record(partition, self.sector_bytes),
        }
    }

    /// How the ends of the disk will be, or why they must not.
    fn over(&self, old: &Edges) -> Result<Planned, Refusal> {
        self.check()?;
        if old.size != self.size_bytes {
            return Err(Refusal::Unfit(format!(
                "the disk has {} bytes, the plan is for {}",
                old.size, self.size_bytes
            )));
        }
        if self.keeps_some() { self.beside_kept(old) } else { self.instead_of(old) }
    }

    /// Nothing is kept: the ends of the disk are made anew.
    fn instead_of(&self, old: &Edges) -> Result<Planned, Refusal> {
        let mut edges = Edges::blank(old.size);
        let mut entries: BTreeMap<u32, Vec<u8>> =
            self.partitions.iter().map(|partition| (partition.number, self.new_entry(partition))).collect();
        let guid = Uuid::parse_str(self.guid).unwrap_or_default();
        match self.format {
            TableFormat::Gpt => {
                gpt_table::put(&mut edges, guid, &entries, gpt_table::FEWEST_SLOTS, self.sector_bytes);
            }
            TableFormat::Mbr => {
                mbr_table::activate(self.partitions, &mut entries);
                mbr_table::put(&mut edges, Some(guid), &entries);
            }
        }
        // File systems come after the whole table; from then on what lies in its partitions is its own.
        let is_own = |at: u64| {
            let inside = |p: &Partition| (p.start_bytes..p.start_bytes + p.size_bytes).contains(&at);
            old.head == edges.head && self.partitions.iter().any(inside)
        };
        if !self.may_destroy && !old.are_blank_or_begun(&edges, is_own) {
            return Err(Refusal::NotBlank("its first or last MiB has data".to_owned()));
        }
        // A partition may reach into the end of a disk with an MBR.
        if self.format == TableFormat::Mbr {
            edges.tail.clone_from(&old.tail);
        }
        Ok(Planned { edges, entries, tail_first: true })
    }

    /// The table that is there is changed, and what is kept stays byte for byte.
    fn beside_kept(&self, old: &Edges) -> Result<Planned, Refusal> {
        let kept = || self.partitions.iter().filter(|partition| partition.keep);
        let first = kept().map(|partition| partition.number).next().unwrap_or_default();
        let table = self.read_old(old).ok_or_else(|| Refusal::NotKept {
            number: first,
            why: "the disk has no whole partition table of the planned format".to_owned(),
        })?;
        let mut entries = BTreeMap::new();
        for partition in kept() {
            let number = partition.number;
            let gone = |why: &str| Refusal::NotKept { number, why: why.to_owned() };
            let entry = table.entries.get(&number).ok_or_else(|| gone("the disk has no such partition"))?;
            if !entry.is_at(partition) {
                return Err(gone("it begins or ends elsewhere than planned"));
            }
            if entry.type_code != partition.type_code || !entry.guid.eq_ignore_ascii_case(&partition.guid) {
                return Err(gone("it has another type or GUID than planned"));
            }
            entries.insert(number, entry.raw.clone());
        }
        let stranger = table.entries.iter().find(|(number, entry)| {
            let is_begun = |p: &Partition| {
                !p.guid.is_empty() && entry.guid.eq_ignore_ascii_case(&p.guid) && entry.is_at(p)
            };
            !entries.contains_key(number) && !self.partitions.iter().any(is_begun)
        });
        if let (Some((number, _)), false) = (stranger, self.may_destroy) {
            return Err(Refusal::NotBlank(format!("partition {number} is neither kept nor planned")));
        }
        for partition in self.partitions.iter().filter(|partition| !partition.keep) {
            entries.insert(partition.number, self.new_entry(partition));
        }
        let mut edges = old.clone();
        match self.format {
            TableFormat::Gpt => {
                let head = gpt_table::head_bytes(table.slots, self.sector_bytes);
                let end = self.size_bytes - gpt_table::tail_bytes(table.slots, self.sector_bytes);
                let collides = |p: &&Partition| p.start_bytes < head || p.start_bytes + p.size_bytes > end;
                if let Some(partition) = self.partitions.iter().find(collides) {
                    return Err(Refusal::Unfit(format!("the table needs the place of `{}`", partition.id)));
                }
                gpt_table::put(&mut edges, table.guid, &entries, table.slots, self.sector_bytes);
            }
            TableFormat::Mbr => {
                mbr_table::activate(self.partitions, &mut entries);
                mbr_table::put(&mut edges, None, &entries);
            }
        }
        Ok(Planned { edges, entries, tail_first: table.is_head_good })
    }
}

struct Planned {
    edges: Edges,
    entries: BTreeMap<u32, Vec<u8>>,
    tail_first: bool,
}

/// Opens the disk for this process alone and looks whether the table may be written to it. Nothing is changed.
///
/// # Errors
/// It may not.
pub fn inspect(host: &dyn Host, disk: &Path, table: &NewTable<'_>) -> Result<(), Refusal> {
    table.check()?;
    let mut file = host
        .open_disk(disk)
        .map_err(|error| Refusal::Disk(anyhow!(error).context(format!("{} is in use", disk.display()))))?;
    let old = read(file.as_mut()).map_err(Refusal::Disk)?;
    table.over(&old).map(|_| ())
}

fn read(file: &mut dyn DiskFile) -> anyhow::Result<Edges> {
    Edges::read(file)?.context("the disk is too small for a partition table")
}

/// Writes the table after a last look at the disk, and reads it back. Whatever lay at the ends of new partitions is gone before they are
/// in the table, so that nobody takes an old file system for theirs.
///
/// # Errors
/// The disk is not as [`inspect`] found it, refuses, or reads back otherwise.
pub fn write(host: &dyn Host, disk: &Path, table: &NewTable<'_>) -> anyhow::Result<()> {
    let mut file = host.open_disk(disk)?;
    write_to(&mut file, table).with_context(|| format!("writing the partition table of {}", disk.display()))
}

pub(super) fn write_to(file: &mut Box<dyn DiskFile>, table: &NewTable<'_>) -> anyhow::Result<()> {
    let planned = table.over(&read(file.as_mut())?)?;
    for partition in table.partitions.iter().filter(|partition| !partition.keep) {
        edges::zero(file.as_mut(), partition.start_bytes, partition.size_bytes)?;
    }
    file.sync()?;
    // Again, since new partitions may reach into the last MiB.
    let old = read(file.as_mut())?;
    let planned = Planned { edges: table.over(&old)?.edges, ..planned };
    planned.edges.write_over(&old, file.as_mut(), table.sector_bytes, planned.tail_first)?;
    ensure!(read(file.as_mut())? == planned.edges, "the disk reads back otherwise than it was written");
    if table.format == TableFormat::Gpt {
        gpt_table::verify(file, &planned.entries, table.sector_bytes)?;
    }
    Ok(())
}
