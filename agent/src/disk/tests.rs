//! Tables on image files with sectors of 512 and 4096 bytes, read back by sfdisk(8) where it can.

use std::fs::File;

use wire::storage::PartitionPurpose;

use super::*;

#[derive(Debug)]
struct Image(File);

impl std::io::Read for Image {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Image {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Image {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl DiskFile for Image {
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync_all()
    }
}

const GUID: &str = "7b702344-475f-5e92-b709-6334120da4c8";

fn image(size: u64) -> (tempfile::NamedTempFile, Box<dyn DiskFile>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
    (file, Box::new(Image(opened)))
}

fn partitions() -> Vec<Partition> {
    let part = |number: u32, id: &str, start_mib: u64, size_mib: u64, purpose| Partition {
        number,
        id: id.to_owned(),
        start_bytes: start_mib << 20,
        size_bytes: size_mib << 20,
        purpose,
        guid: format!("0000000{number}-475f-5e92-b709-6334120da4c8"),
        keep: false,
    };
    vec![
        part(1, "esp", 1, 64, PartitionPurpose::EfiSystem),
        part(2, "root", 65, 100, PartitionPurpose::Linux),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a test that lets another program read what was written")]
fn sfdisk(path: &Path) -> serde_json::Value {
    let output = std::process::Command::new("sfdisk").arg("--json").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_gpt_is_read_by_others_as_it_was_written() {
    let (file, mut disk) = image(256 << 20);
    gpt_table::write(&mut disk, GUID, &partitions(), 512).unwrap();
    let table = &sfdisk(file.path())["partitiontable"];
    assert_eq!(table["label"], "gpt");
    assert_eq!(table["partitions"][1]["start"], 65 * 2048);
    assert_eq!(table["partitions"][1]["size"], 100 * 2048);
    assert_eq!(table["partitions"][1]["name"], "root");
    assert_eq!(table["partitions"][0]["type"], "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
}

#[test]
fn a_gpt_on_sectors_of_4096_bytes_is_written_twice_the_same() {
    let (file, mut disk) = image(256 << 20);
    gpt_table::write(&mut disk, GUID, &partitions(), 4096).unwrap();
    let first = std::fs::read(file.path()).unwrap();
    gpt_table::write(&mut disk, GUID, &partitions(), 4096).unwrap();
    assert!(first == std::fs::read(file.path()).unwrap());
    assert_eq!(&first[4096..4104], b"EFI PART");
}

#[test]
fn an_mbr_is_read_by_others_as_it_was_written() {
    let (file, mut disk) = image(256 << 20);
    mbr_table::write(&mut disk, GUID, &partitions(), 512).unwrap();
    let table = &sfdisk(file.path())["partitiontable"];
    assert_eq!(table["label"], "dos");
    assert_eq!(table["id"], "0x4423707b");
    assert_eq!(table["partitions"][1]["start"], 65 * 2048);
    assert_eq!(table["partitions"][1]["bootable"], true);
}

#[test]
fn a_cleared_disk_has_no_table_at_either_end() {
    let (file, mut disk) = image(64 << 20);
    let mut parts = partitions();
    parts.truncate(1);
    parts[0].size_bytes = 32 << 20;
    gpt_table::write(&mut disk, GUID, &parts, 512).unwrap();
    zero_edges(&mut disk).unwrap();
    assert!(std::fs::read(file.path()).unwrap().iter().all(|byte| *byte == 0));
}
