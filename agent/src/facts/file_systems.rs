//! How full the mounted file systems are.
//!
//! Only those on a device count, and each once: a bind mount or a subvolume shows the same room again. Loop devices are files of another one.

use std::collections::BTreeMap;

use wire::facts::MountedFileSystem;

use crate::{disk::usage, host::Host};

/// Asks the kernel for each; what it does not say is left out.
pub(super) fn gather(host: &dyn Host) -> Vec<MountedFileSystem> {
    let mut by_device = BTreeMap::new();
    for mounted in usage::mounted(host).unwrap_or_default() {
        let device = mounted.source.to_string_lossy().into_owned();
        if !device.starts_with("/dev/") || device.starts_with("/dev/loop") {
            continue;
        }
        // The mount point nearest to the root is the one that people know.
        let nearest = by_device.entry(device).or_insert_with(|| mounted.clone());
        if mounted.place.components().count() < nearest.place.components().count() {
            *nearest = mounted;
        }
    }
    let mut found: Vec<MountedFileSystem> = by_device
        .into_iter()
        .filter_map(|(device, mounted)| {
            let room = host.room(&mounted.place).ok()?;
            Some(MountedFileSystem {
                mount: mounted.place.to_string_lossy().into_owned(),
                device,
                format: mounted.format,
                size_bytes: room.size,
                free_bytes: room.free,
            })
        })
        .collect();
    found.sort_by(|one, other| one.mount.cmp(&other.mount));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Room, fake::FakeHost};

    #[test]
    fn file_systems_on_devices_are_told_once_with_their_room() {
        let mounts = "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
                      23 22 0:5 / /dev rw - devtmpfs udev rw\n\
                      24 22 8:2 /srv /mnt/bound rw shared:2 - ext4 /dev/sda2 rw\n\
                      25 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n\
                      26 22 8:3 / /home/with\\040blank rw - xfs /dev/sda3 rw\n\
                      27 22 8:4 / /silent rw - ext4 /dev/sda4 rw\n";
        let host = FakeHost::new(5)
            .with_file("/proc/self/mountinfo", mounts)
            .with_room("/", Room { size: 100 << 30, free: 39 << 30 })
            .with_room("/home/with blank", Room { size: 1000, free: 1 });
        let shown: Vec<_> = gather(&host)
            .into_iter()
            .map(|one| (one.used_percent(), one.mount, one.device, one.format))
            .collect();
        let expected = [(61, "/", "/dev/sda2", "ext4"), (100, "/home/with blank", "/dev/sda3", "xfs")];
        let expected = expected.map(|(percent, mount, device, format)| {
            (percent, mount.to_owned(), device.to_owned(), format.to_owned())
        });
        assert_eq!(shown, expected);
    }
}
