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

/// The one disk that is as expected: by serial or world wide name where it has one, else by path; size and sector size in any case.
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
    let same = if !expected.serial.is_empty() {
        disk.serial == expected.serial
    } else if !expected.wwn.is_empty() {
        disk.wwn == expected.wwn
    } else {
        disk.path == expected.path
    };
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

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        assert_eq!(partition(Path::new("/dev/sda"), 2), Path::new("/dev/sda2"));
        assert_eq!(partition(Path::new("/dev/nvme0n1"), 2), Path::new("/dev/nvme0n1p2"));
        assert_eq!(partition(Path::new("/dev/mmcblk0"), 1), Path::new("/dev/mmcblk0p1"));
    }
}
