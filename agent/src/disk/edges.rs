//! Both ends of a disk in memory: partition tables, boot code and most signatures lie there, and only there.
//!
//! A new table is made here first and compared with what the disk has, so that it is known before the first byte what would be lost,
//! and only sectors that differ are written. Nothing between the ends is ever touched.

use std::io::{self, SeekFrom};

use crate::host::DiskFile;

/// Length of each end.
const EDGE_BYTES: usize = 1 << 20;
const EDGE: u64 = EDGE_BYTES as u64;
const PIECE: usize = 512;
/// Both ends, and room between them.
pub(super) const SMALLEST_DISK: u64 = 4 * EDGE;

/// The first and the last [`EDGE`] bytes of a disk.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) size: u64,
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Edges {
    /// Of a disk of zeros. `size` is at least [`SMALLEST_DISK`].
    pub(super) fn blank(size: u64) -> Self {
        Self { size, head: vec![0; EDGE_BYTES], tail: vec![0; EDGE_BYTES] }
    }

    /// As the disk has them; `None` on a disk smaller than [`SMALLEST_DISK`].
    pub(super) fn read(file: &mut dyn DiskFile) -> io::Result<Option<Self>> {
        let size = file.seek(SeekFrom::End(0))?;
        if size < SMALLEST_DISK {
            return Ok(None);
        }
        let mut edges = Self::blank(size);
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut edges.head)?;
        file.seek(SeekFrom::Start(size - EDGE))?;
        file.read_exact(&mut edges.tail)?;
        Ok(Some(edges))
    }

    /// Bytes of the disk; empty when they do not lie wholly in one of the ends.
    pub(super) fn get(&self, offset: u64, length: u64) -> &[u8] {
        let Some(end) = offset.checked_add(length) else { return &[] };
        let (from, start) = if end <= EDGE { (&self.head, 0) } else { (&self.tail, self.size - EDGE) };
        let within = |at: u64| at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        match (within(offset), within(end)) {
            (Some(first), Some(end)) => from.get(first..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Replaces bytes, which lie wholly in one of the ends; others change nothing.
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        let (into, start) =
            if end <= EDGE { (&mut self.head, 0) } else { (&mut self.tail, self.size - EDGE) };
        let first = offset.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = first.and_then(|first| into.get_mut(first..first + bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    /// Whether each byte is zero or as in `planned`: nothing, or something that was begun and cut off. Bytes for which `is_left_out` holds
    /// do not count.
    pub(super) fn are_blank_or_begun(&self, planned: &Self, is_left_out: impl Fn(u64) -> bool) -> bool {
        let tail_start = self.size - EDGE;
        let ends = [(0, &self.head, &planned.head), (tail_start, &self.tail, &planned.tail)];
        ends.into_iter().all(|(start, have, want)| {
            let pieces = (start..).step_by(PIECE).zip(have.chunks(PIECE).zip(want.chunks(PIECE)));
            // Whole pieces first, since nearly all of them are zeros.
            pieces.into_iter().filter(|(_, (have, want))| have != want && **have != [0; PIECE]).all(
                |(start, (have, want))| {
                    let mut bytes = (start..).zip(have.iter().zip(want));
                    bytes.all(|(at, (have, want))| *have == 0 || have == want || is_left_out(at))
                },
            )
        })
    }

    /// Writes the sectors that differ from `before`, one end after the other with a sync between them: at any moment at least one end is
    /// wholly the old or wholly the new one.
    pub(super) fn write_over(
        &self,
        before: &Self,
        file: &mut dyn DiskFile,
        sector_bytes: u32,
        tail_first: bool,
    ) -> io::Result<()> {
        let head = (0, &self.head, &before.head);
        let tail = (self.size - EDGE, &self.tail, &before.tail);
        for (start, new, old) in if tail_first { [tail, head] } else { [head, tail] } {
            let sector = sector_bytes as usize;
            let mut offset = start;
            for (new, old) in new.chunks(sector).zip(old.chunks(sector)) {
                if new != old {
                    file.seek(SeekFrom::Start(offset))?;
                    file.write_all(new)?;
                }
                offset += new.len() as u64;
            }
            file.sync()?;
        }
        Ok(())
    }
}

/// Overwrites both ends of a stretch of a disk with zeros, so that nothing in it is recognised any more.
pub(super) fn zero(file: &mut dyn DiskFile, start: u64, size: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(EDGE.min(size)).unwrap_or(0)];
    for offset in [start, start + size.saturating_sub(EDGE)] {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&zeros)?;
    }
    Ok(())
}
