//! Tables on disks in memory, with sectors of 512 and 4096 bytes: read back by sfdisk(8) where it can, and cut off after every write.

pub(crate) mod loop_host;

use std::{
    io::{Cursor, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex},
};

use wire::storage::{Partition, PartitionPurpose, TableFormat};

use super::table::{NewTable, Refusal, write_to};
use crate::host::DiskFile;

const GUID: &str = "7b702344-475f-5e92-b709-6334120da4c8";
const SIZE: u64 = 12 << 20;

/// A disk in memory whose power fails: after so many writes nothing is taken any more, and of the next one only a half. Clones are the same
/// disk.
#[derive(Clone, Debug)]
struct Platter(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    bytes: Cursor<Vec<u8>>,
    writes_left: usize,
    torn: bool,
}

impl Read for Platter {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().bytes.read(buffer)
    }
}

impl Write for Platter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let room = state.bytes.get_ref().len() - usize::try_from(state.bytes.position()).unwrap();
        assert!(buffer.len() <= room, "written beyond the end of the disk");
        if let Some(left) = state.writes_left.checked_sub(1) {
            state.writes_left = left;
            return state.bytes.write(buffer);
        }
        if std::mem::take(&mut state.torn) {
            state.bytes.write_all(&buffer[..buffer.len() / 2]).unwrap();
        }
        Err(std::io::Error::other("the power is gone"))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Platter {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.lock().unwrap().bytes.seek(to)
    }
}

impl DiskFile for Platter {
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a disk with these bytes is after a table was written to it, and whether all of it was.
fn written(
    bytes: Vec<u8>,
    table: &NewTable<'_>,
    writes_left: usize,
    torn: bool,
) -> (Vec<u8>, anyhow::Result<()>) {
    let platter = Platter(Arc::new(Mutex::new(State { bytes: Cursor::new(bytes), writes_left, torn })));
    let result = write_to(&mut (Box::new(platter.clone()) as Box<dyn DiskFile>), table);
    let bytes = std::mem::take(platter.0.lock().unwrap().bytes.get_mut());
    (bytes, result)
}

fn part(number: u32, id: &str, start_mib: u64, size_mib: u64, purpose: PartitionPurpose) -> Partition {
    Partition {
        number,
        id: id.to_owned(),
        start_bytes: start_mib << 20,
        size_bytes: size_mib << 20,
        purpose,
        guid: format!("0000000{number}-475f-5e92-b709-6334120da4c8"),
        keep: false,
        type_code: String::new(),
    }
}

fn partitions() -> Vec<Partition> {
    vec![
        part(1, "esp", 1, 3, PartitionPurpose::EfiSystem),
        part(2, "swap", 4, 2, PartitionPurpose::Swap),
        part(3, "root", 6, 5, PartitionPurpose::Linux),
    ]
}

fn table(format: TableFormat, partitions: &[Partition], sector_bytes: u32) -> NewTable<'_> {
    NewTable { format, guid: GUID, partitions, sector_bytes, size_bytes: SIZE, may_destroy: false }
}

fn blank() -> Vec<u8> {
    vec![0; usize::try_from(SIZE).unwrap()]
}

fn image(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[expect(clippy::disallowed_methods, reason = "a test that lets another program read what was written")]
fn sfdisk(bytes: &[u8]) -> serde_json::Value {
    let output =
        std::process::Command::new("sfdisk").arg("--json").arg(image(bytes).path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["partitiontable"].clone()
}

#[expect(clippy::disallowed_methods, reason = "a test that lets another program write what is kept")]
fn by_sfdisk(script: &str) -> Vec<u8> {
    let file = image(&blank());
    let mut sfdisk = std::process::Command::new("sfdisk")
        .args(["--quiet", "--no-tell-kernel"])
        .arg(file.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    sfdisk.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(sfdisk.wait().unwrap().success());
    std::fs::read(file.path()).unwrap()
}

#[test]
fn a_gpt_is_read_by_others_as_it_was_written() {
    let parts = partitions();
    let (bytes, result) = written(blank(), &table(TableFormat::Gpt, &parts, 512), usize::MAX, false);
    result.unwrap();
    let read = sfdisk(&bytes);
    assert_eq!((&read["label"], &read["id"]), (&"gpt".into(), &GUID.to_uppercase().into()));
    assert_eq!(read["partitions"][2]["start"], 6 * 2048);
    assert_eq!(read["partitions"][2]["size"], 5 * 2048);
    assert_eq!(read["partitions"][2]["name"], "root");
    assert_eq!(read["partitions"][2]["uuid"], parts[2].guid.to_uppercase());
    assert_eq!(read["partitions"][0]["type"], "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    assert_eq!(read["partitions"][1]["type"], "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F");
    assert_eq!(read["partitions"][2]["type"], "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
}

#[test]
fn an_mbr_is_read_by_others_as_it_was_written() {
    let parts = partitions();
    let (bytes, result) = written(blank(), &table(TableFormat::Mbr, &parts, 512), usize::MAX, false);
    result.unwrap();
    let read = sfdisk(&bytes);
    assert_eq!((&read["label"], &read["id"]), (&"dos".into(), &"0x4423707b".into()));
    assert_eq!(read["partitions"][2]["start"], 6 * 2048);
    assert_eq!(read["partitions"][2]["size"], 5 * 2048);
    assert_eq!(read["partitions"][2]["bootable"], true);
    assert_eq!(read["partitions"][0].get("bootable"), None);
    let types: Vec<_> = (0..3).map(|at| read["partitions"][at]["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ef", "82", "83"]);
}

/// Cuts the power after every write, in the middle of it too, and runs again until it succeeds.
fn cut_everywhere(before: &[u8], table: &NewTable<'_>, look: impl Fn(&[u8])) {
    let (reference, result) = written(before.to_vec(), table, usize::MAX, false);
    result.unwrap();
    let mut points = 0;
    loop {
        let (done, mut all) = (points, true);
        for torn in [false, true] {
            let (cut, result) = written(before.to_vec(), table, done, torn);
            all &= result.is_ok();
            look(&cut);
            // Once more in the middle, and then to the end.
            let (cut, _) = written(cut, table, done / 2, torn);
            look(&cut);
            let (again, result) = written(cut, table, usize::MAX, false);
            result.unwrap_or_else(|error| panic!("after {done} writes: {error:#}"));
            assert!(again == reference, "after {done} writes it comes out otherwise");
        }
        if all {
            break;
        }
        points += 1;
    }
    assert!(points >= 3, "{points}");
    // A table that is there is not written again: what its partitions carry by now is wiped, nothing else.
    let (twice, result) = written(reference.clone(), table, usize::MAX, false);
    result.unwrap();
    assert!(twice == reference);
}

#[test]
fn power_may_fail_after_every_write_to_a_blank_disk() {
    let parts = partitions();
    for format in [TableFormat::Gpt, TableFormat::Mbr] {
        for sector_bytes in [512, 4096] {
            cut_everywhere(&blank(), &table(format, &parts, sector_bytes), |_| ());
        }
    }
}

#[test]
fn power_may_fail_after_every_write_to_a_disk_that_may_be_wiped() {
    let old = by_sfdisk("label: gpt\nsize=5MiB\nsize=2MiB\n");
    let parts = partitions();
    for format in [TableFormat::Gpt, TableFormat::Mbr] {
        let table = NewTable { may_destroy: true, ..table(format, &parts, 512) };
        cut_everywhere(&old, &table, |_| ());
    }
}

const WINDOWS_TYPE: &str = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7";
const WINDOWS_GUID: &str = "aaaaaaaa-475f-5e92-b709-6334120da4c8";
const OLD: &str = "label: gpt
label-id: CCCCCCCC-475F-5E92-B709-6334120DA4C8
2 : start=2048, size=2048, type=0657fd6d-a4ab-43c4-84e5-0933c84b4f4f
4 : start=10240, size=4096, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7, uuid=AAAAAAAA-475F-5E92-B709-6334120DA4C8, name=\"Daten\", attrs=\"GUID:60\"
";

fn kept() -> Partition {
    let mut kept = part(4, "data", 5, 2, PartitionPurpose::Other);
    (kept.keep, kept.type_code, kept.guid) = (true, WINDOWS_TYPE.to_owned(), WINDOWS_GUID.to_owned());
    kept
}

fn beside_kept() -> Vec<Partition> {
    vec![part(1, "root", 1, 4, PartitionPurpose::Linux), kept()]
}

/// A disk with a table, boot code, and a kept partition full of letters.
fn with_letters(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[5 << 20..7 << 20].fill(b'x');
    bytes[..440].fill(0x90);
    bytes
}

#[test]
fn a_kept_partition_stays_byte_for_byte_wherever_the_power_fails() {
    let old = with_letters(by_sfdisk(OLD));
    let was = sfdisk(&old)["partitions"][1].clone();
    let parts = beside_kept();
    let table = NewTable { may_destroy: true, ..table(TableFormat::Gpt, &parts, 512) };
    let look = |bytes: &[u8]| {
        assert!(bytes[5 << 20..7 << 20].iter().all(|byte| *byte == b'x'));
        assert!(bytes[..440].iter().all(|byte| *byte == 0x90), "boot code");
        let read = sfdisk(bytes);
        assert_eq!(read["id"], "CCCCCCCC-475F-5E92-B709-6334120DA4C8");
        let partitions = read["partitions"].as_array().unwrap();
        let mut now = partitions.iter().find(|p| p["uuid"] == was["uuid"]).unwrap().clone();
        // sfdisk names it after the image file, which is another each time; its number is the last digit.
        assert!(now["node"].as_str().unwrap().ends_with('4'));
        now["node"] = was["node"].clone();
        assert_eq!(now, was);
    };
    cut_everywhere(&old, &table, look);
    // One of the two tables was damaged before: then the other one is all there is, until it has a whole companion.
    for header in [512, old.len() - 512] {
        let mut half = old.clone();
        half[header..header + 8].fill(0);
        cut_everywhere(&half, &table, look);
    }
    let (new, _) = written(old, &table, usize::MAX, false);
    let read = sfdisk(&new);
    assert_eq!(read["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&read["partitions"][0]["name"], &read["partitions"][1]["name"]),
        (&"root".into(), &"Daten".into())
    );
}

#[test]
fn a_kept_partition_of_an_mbr_stays_with_the_boot_code() {
    let old = with_letters(by_sfdisk(
        "label: dos\n1 : start=2048, size=4096\n4 : start=10240, size=4096, type=7, bootable\n",
    ));
    let mut parts = beside_kept();
    (parts[1].type_code, parts[1].guid) = ("0x07".to_owned(), String::new());
    let table = NewTable { may_destroy: true, ..table(TableFormat::Mbr, &parts, 512) };
    cut_everywhere(&old, &table, |bytes| {
        assert!(bytes[5 << 20..7 << 20].iter().all(|byte| *byte == b'x'));
        assert!(bytes[..440].iter().all(|byte| *byte == 0x90), "boot code");
        let read = sfdisk(bytes);
        let kept = read["partitions"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&kept["start"], &kept["size"], &kept["type"]),
            (&10240.into(), &4096.into(), &"7".into())
        );
        assert_eq!(kept["bootable"], true);
    });
}

fn refusal(bytes: &[u8], table: &NewTable<'_>) -> Refusal {
    let (after, result) = written(bytes.to_vec(), table, usize::MAX, false);
    assert!(after == bytes, "not a byte is written");
    result.unwrap_err().downcast().unwrap()
}

#[test]
fn a_partition_that_is_no_longer_as_it_shall_be_kept_is_refused() {
    let old = by_sfdisk(OLD);
    let spoilt = |spoil: &dyn Fn(&mut Partition)| {
        let mut parts = beside_kept();
        spoil(&mut parts[1]);
        let table = NewTable { may_destroy: true, ..table(TableFormat::Gpt, &parts, 512) };
        refusal(&old, &table)
    };
    for refused in [
        spoilt(&|p| p.number = 3),
        spoilt(&|p| p.size_bytes += 1 << 20),
        spoilt(&|p| p.start_bytes += 512),
        spoilt(&|p| p.type_code = "0fc63daf-8483-4772-8e79-3d69d8477de4".to_owned()),
        spoilt(&|p| p.guid = GUID.to_owned()),
    ] {
        assert!(matches!(refused, Refusal::NotKept { .. }), "{refused}");
    }
    let parts = beside_kept();
    let other = NewTable { may_destroy: true, ..table(TableFormat::Mbr, &parts, 512) };
    assert!(matches!(refusal(&old, &other), Refusal::NotKept { .. }));
    assert!(matches!(refusal(&blank(), &table(TableFormat::Gpt, &parts, 512)), Refusal::NotKept { .. }));
}

#[test]
fn what_is_neither_kept_nor_planned_is_not_removed_without_the_word_wipe() {
    let old = by_sfdisk(OLD);
    let parts = beside_kept();
    let refused = refusal(&old, &table(TableFormat::Gpt, &parts, 512));
    assert!(matches!(&refused, Refusal::NotBlank(what) if what.contains("partition 2")), "{refused}");
    let alone = by_sfdisk(&OLD.lines().filter(|line| !line.starts_with('2')).collect::<Vec<_>>().join("\n"));
    cut_everywhere(&alone, &table(TableFormat::Gpt, &parts, 512), |_| ());
}

#[test]
fn one_byte_that_nobody_planned_makes_a_disk_that_is_not_blank() {
    let parts = partitions();
    for format in [TableFormat::Gpt, TableFormat::Mbr] {
        let table = table(format, &parts, 512);
        let (own, _) = written(blank(), &table, usize::MAX, false);
        for start in [blank(), own] {
            for at in [0, 511, 600, (1 << 20) - 1, blank().len() - (1 << 20), blank().len() - 1] {
                let mut bytes = start.clone();
                bytes[at] ^= 0x21;
                assert!(matches!(refusal(&bytes, &table), Refusal::NotBlank(_)), "{format:?} {at}");
            }
        }
    }
}

#[test]
fn the_table_of_another_job_of_the_same_client_is_not_its_own() {
    let parts = partitions();
    for format in [TableFormat::Gpt, TableFormat::Mbr] {
        let (old, _) = written(blank(), &table(format, &parts, 512), usize::MAX, false);
        let other = NewTable { guid: "8b702344-475f-5e92-b709-6334120da4c8", ..table(format, &parts, 512) };
        assert!(matches!(refusal(&old, &other), Refusal::NotBlank(_)));
    }
}

#[test]
fn an_mbr_on_a_disk_of_more_than_two_tebibytes_is_written() {
    // Sparse: only the ends are there.
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(3 << 40).unwrap();
    let parts = partitions();
    let table = NewTable { size_bytes: 3 << 40, ..table(TableFormat::Mbr, &parts, 512) };
    let disk = std::fs::OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
    write_to(&mut (Box::new(disk) as Box<dyn DiskFile>), &table).unwrap();
}
