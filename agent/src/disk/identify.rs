//! Disks are found by what they are, not by the name that the kernel happened to give them in this boot.

use std::path::{Path, PathBuf};

use wire::{facts::Disk, storage::DiskExpectation};

use crate::{facts::block, host::Host};

/// Why a disk was not found again.
#[derive(Debug, thiserror::Error)]
#[error(
    "the plan is for the disk {wanted}, but this machine has: {there}. Nothing was written; plan the installation again"
)]
pub struct NotFound {
    wanted: String,
    there: String,
}

/// The one disk that is as expected: by serial and world wide name where it has them, else by path; size and sector size in any case.
/// A disk that has a serial number now and had none then is another one.
///
/// # Errors
/// None or several are.
pub fn find(host: &dyn Host, expected: &DiskExpectation) -> Result<PathBuf, NotFound> {
    let disks = block::disks(host);
    let fitting: Vec<&Disk> = disks.iter().filter(|disk| is_expected(disk, expected)).collect();
    if let [disk] = fitting.as_slice() {
        return Ok(PathBuf::from(&disk.path));
    }
    let described = |path: &str, serial: &str, size: u64| format!("{path} (serial {serial}, {size} bytes)");
    let there: Vec<_> =
        disks.iter().map(|disk| described(&disk.path, &disk.serial, disk.size_bytes)).collect();
    Err(NotFound {
        wanted: described(&expected.path, &expected.serial, expected.size_bytes),
        there: if there.is_empty() { "no disk".to_owned() } else { there.join(", ") },
    })
}

fn is_expected(disk: &Disk, expected: &DiskExpectation) -> bool {
    // A plan of a server that knew no world wide name says nothing about it.
    let same_name = disk.wwn == expected.wwn || (expected.wwn.is_empty() && !expected.serial.is_empty());
    let is_nameless = expected.serial.is_empty() && expected.wwn.is_empty();
    let same = disk.serial == expected.serial && same_name && (!is_nameless || disk.path == expected.path);
    same && disk.size_bytes == expected.size_bytes && disk.sector_bytes == expected.sector_bytes
}

/// Device node of a partition: a disk whose name ends with a digit has a `p` before the number.
pub fn partition(disk: &Path, number: u32) -> PathBuf {
    let disk = disk.display().to_string();
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{disk}{between}{number}"))
}

/// Device nodes of the partitions that a disk has now.
pub fn partitions(host: &dyn Host, disk: &Path) -> Vec<PathBuf> {
    let name = disk.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let directory = Path::new("/sys/block").join(&name);
    let names = host.list(&directory).unwrap_or_default();
    let is_partition = |entry: &String| host.exists(&directory.join(entry).join("partition"));
    names.into_iter().filter(is_partition).map(|entry| Path::new("/dev").join(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn expectation(path: &str, serial: &str, wwn: &str) -> DiskExpectation {
        DiskExpectation {
            disk: "system".into(),
            path: path.into(),
            serial: serial.into(),
            wwn: wwn.into(),
            size_bytes: 512 << 10,
            sector_bytes: 512,
            model: String::new(),
        }
    }

    fn host(name: &str, serial: &str, wwn: &str) -> FakeHost {
        let file = |file: &str| format!("/sys/block/{name}/{file}");
        FakeHost::new(0)
            .with_file(&file("size"), "1024")
            .with_file(&file("queue/logical_block_size"), "512")
            .with_file(&file("serial"), serial)
            .with_file(&file("wwid"), wwn)
    }

    #[test]
    fn a_disk_that_has_a_name_of_its_own_is_not_the_nameless_one_that_was_planned() {
        let planned = expectation("/dev/sda", "", "");
        assert_eq!(find(&host("sda", "", ""), &planned).unwrap(), Path::new("/dev/sda"));
        find(&host("sda", "S1", ""), &planned).unwrap_err();
        find(&host("sda", "", "naa.5"), &planned).unwrap_err();
        find(&host("sdb", "", ""), &planned).unwrap_err();
    }

    #[test]
    fn serial_and_world_wide_name_have_to_agree_wherever_the_disk_is_now() {
        let planned = expectation("/dev/sda", "S1", "naa.5");
        assert_eq!(find(&host("sdb", "S1", "naa.5"), &planned).unwrap(), Path::new("/dev/sdb"));
        // Cheap enclosures give every disk the same serial number.
        find(&host("sda", "S1", "naa.6"), &planned).unwrap_err();
        find(&host("sda", "S2", "naa.5"), &planned).unwrap_err();
        find(&host("sda", "S1", "naa.5"), &expectation("/dev/sda", "S1", "")).unwrap();
        find(&host("sda", "S1", "naa.5"), &expectation("/dev/sda", "", "naa.5")).unwrap_err();
    }

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        assert_eq!(partition(Path::new("/dev/sda"), 2), Path::new("/dev/sda2"));
        assert_eq!(partition(Path::new("/dev/nvme0n1"), 2), Path::new("/dev/nvme0n1p2"));
        assert_eq!(partition(Path::new("/dev/mmcblk0"), 1), Path::new("/dev/mmcblk0p1"));
    }
}
