//! Partition tables as they are on the disk: what `/sys` does not know of a partition, its type, GUID and name.
//!
//! Only for showing and planning; before anything is written, the agent reads the table again with all its checks.

use std::path::Path;

use crate::host::Host;

/// What every GPT header begins with (UEFI specification, 5.3.2).
const GPT: &[u8] = b"EFI PART";
const GPT_ENTRY: usize = 128;
/// More partitions than anybody has.
const MOST_ENTRIES: usize = 256;

/// A partition table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// `gpt`, `mbr`, or empty.
    pub(super) format: &'static str,
    pub(super) entries: Vec<Entry>,
}

/// What a table says of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) type_code: String,
    pub(super) guid: String,
    pub(super) name: String,
}

/// Reads the table of a disk.
pub(super) fn read(host: &dyn Host, disk: &Path, sector_bytes: u32) -> Table {
    let sector = if sector_bytes == 4096 { 4096 } else { 512 };
    let head = host.read_at(disk, 0, sector * 2).unwrap_or_default();
    let header = head.get(sector..).unwrap_or_default();
    if !header.starts_with(GPT) {
        return mbr(&head).unwrap_or_default();
    }
    let count = number(header, 80, 4).min(MOST_ENTRIES as u64);
    let size = number(header, 84, 4);
    let offset = number(header, 72, 8).saturating_mul(sector as u64);
    let length = usize::try_from(count.saturating_mul(size.min(4096))).unwrap_or(0);
    let entries = host.read_at(disk, offset, length).unwrap_or_default();
    Table { format: "gpt", entries: gpt(&entries, usize::try_from(size).unwrap_or(0)) }
}

fn gpt(entries: &[u8], size: usize) -> Vec<Entry> {
    let guid = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        uuid::Uuid::from_bytes_le(bytes).to_string()
    };
    let entry = |(bytes, number): (&[u8], u32)| {
        let used = bytes[..16].iter().any(|byte| *byte != 0);
        let units: Vec<u16> =
            bytes[56..GPT_ENTRY].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let name = String::from_utf16_lossy(&units);
        used.then(|| Entry {
            number,
            type_code: guid(&bytes[..16]),
            guid: guid(&bytes[16..32]),
            name: name.split('\0').next().unwrap_or_default().to_owned(),
        })
    };
    if size < GPT_ENTRY {
        Vec::new()
    } else {
        entries.chunks_exact(size).zip(1..).filter_map(entry).collect()
    }
}

/// A master boot record. The boot sector of a file system ends with the same two bytes, so its entries have to make sense.
fn mbr(head: &[u8]) -> Option<Table> {
    let signed = head.get(510..512) == Some(&[0x55, 0xaa]);
    let is_file_system = [(3, &b"NTFS    "[..]), (3, b"EXFAT   "), (54, b"FAT"), (82, b"FAT32")]
        .iter()
        .any(|(at, words)| head.get(*at..at + words.len()) == Some(*words));
    if !signed || is_file_system {
        return None;
    }
    let slots: Vec<&[u8]> = head.get(446..510)?.chunks_exact(16).collect();
    let makes_sense = slots.iter().all(|slot| matches!(slot[0], 0 | 0x80));
    let entries: Vec<Entry> = slots
        .iter()
        .zip(1..)
        .filter(|(slot, _)| slot[4] != 0)
        .map(|(slot, number)| Entry { number, type_code: format!("{:#04x}", slot[4]), ..Entry::default() })
        .collect();
    (makes_sense && !entries.is_empty()).then_some(Table { format: "mbr", entries })
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes.get(at..at + length).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    /// The first 34 sectors of a disk that `printf 'label: gpt\n,100M,U\n,,L\n' | sfdisk` wrote, packed by zstd.
    const SFDISK: &[u8] = include_bytes!("testdata/sfdisk-gpt.zst");

    #[test]
    fn what_sfdisk_writes_is_read_with_types_and_guids() {
        let disk = zstd::decode_all(SFDISK).unwrap();
        let table = read(&FakeHost::new(0).with_file("/dev/vda", disk), Path::new("/dev/vda"), 512);
        assert_eq!(table.format, "gpt");
        let seen: Vec<_> =
            table.entries.iter().map(|e| (e.number, e.type_code.as_str(), e.guid.as_str())).collect();
        assert_eq!(
            seen,
            [
                (1, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "db5fedf8-eb80-cc4c-9bb7-6e64212c021a"),
                (2, "0fc63daf-8483-4772-8e79-3d69d8477de4", "8f9aba7b-5f95-fe4c-825e-04162972321a"),
            ]
        );
    }

    #[test]
    fn tables_are_told_from_boot_code() {
        let mut head = vec![0; 1024];
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(mbr(&head), None);
        head[450] = 0x83;
        let table = mbr(&head).unwrap();
        assert_eq!((table.format, table.entries[0].type_code.as_str()), ("mbr", "0x83"));
        head[446] = 0x41;
        assert_eq!(mbr(&head), None, "code where the boot flag is");
        head[446] = 0x80;
        head[82..87].copy_from_slice(b"FAT32");
        assert_eq!(mbr(&head), None, "a file system without a table");
    }

    #[test]
    fn a_damaged_header_makes_no_partitions() {
        let mut disk = vec![0xff; 4096];
        disk[512..520].copy_from_slice(GPT);
        for size in [0_u32, 1, 127, u32::MAX] {
            disk[512 + 84..512 + 88].copy_from_slice(&size.to_le_bytes());
            let host = FakeHost::new(0).with_file("/dev/vda", disk.clone());
            assert_eq!(read(&host, Path::new("/dev/vda"), 512).entries, []);
        }
    }
}
