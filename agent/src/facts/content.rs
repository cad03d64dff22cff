//! What a device carries, by the signatures that libblkid knows it by. Enough to say what would be lost; not a replacement for blkid(8).

use std::path::Path;

use crate::host::Host;

/// What was recognised; empty texts say nothing was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// File system or member of something, in blkid's words.
    pub(crate) content: String,
    /// Its label.
    pub(crate) label: String,
    /// Its UUID.
    pub(crate) uuid: String,
}

/// The first stretch of a device, in which all signatures are but those that older RAIDs have at its end; btrfs has the last one.
const HEAD: usize = 0x10000 + 0x400;
/// Of a member of a Linux RAID (md(4)).
const RAID: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];

/// Looks at a device of this size.
pub(crate) fn of_device(host: &dyn Host, path: &str, size_bytes: u64) -> Found {
    let read = |offset: u64, length: usize| host.read_at(Path::new(path), offset, length).unwrap_or_default();
    // Versions 1.0 and 0.90: what else is there at the beginning belongs to the array.
    let old_raid = [
        (size_bytes / 512).checked_sub(16).map(|sectors| (sectors & !7) * 512),
        (size_bytes & !0xffff).checked_sub(0x10000),
    ];
    if old_raid.into_iter().flatten().any(|offset| read(offset, 4) == RAID) {
        return Found { content: "linux_raid_member".to_owned(), ..Found::default() };
    }
    recognise(&read(0, HEAD))
}

fn recognise(head: &[u8]) -> Found {
    let at = |offset: usize, length: usize| head.get(offset..offset + length).unwrap_or_default();
    let found = |content: &str| Found { content: content.to_owned(), ..Found::default() };
    let known = |content: &str, label: &[u8], id: &[u8]| Found {
        label: printable(label),
        uuid: uuid(id),
        ..found(content)
    };
    if at(0x10040, 8) == b"_BHRfS_M" {
        return known("btrfs", at(0x1012b, 256), at(0x10020, 16));
    }
    if at(0, 6) == b"LUKS\xba\xbe" {
        // Only the second version has a label.
        let label = if at(6, 2) == [0, 2] { printable(at(24, 48)) } else { String::new() };
        return Found { label, uuid: printable(at(0xa8, 40)), ..found("crypto_LUKS") };
    }
    if at(3, 8) == b"-FVE-FS-" {
        return found("BitLocker");
    }
    if at(0, 4) == b"XFSB" {
        return known("xfs", at(108, 12), at(32, 16));
    }
    if at(0x438, 2) == [0x53, 0xef] {
        // Extents make it ext4, a journal ext3 (ext4's documentation of s_feature_incompat and s_feature_compat).
        let kind = if at(0x460, 1).first().is_some_and(|flags| flags & 0x40 != 0) {
            "ext4"
        } else if at(0x45c, 1).first().is_some_and(|flags| flags & 4 != 0) {
            "ext3"
        } else {
            "ext2"
        };
        return known(kind, at(0x478, 16), at(0x468, 16));
    }
    if at(4086, 10) == b"SWAPSPACE2" {
        return known("swap", at(1052, 16), at(1036, 16));
    }
    // The label of LVM is in one of the first four sectors.
    if (0..4).any(|sector| at(sector * 512, 8) == b"LABELONE" && at(sector * 512 + 24, 8) == b"LVM2 001") {
        return found("LVM2_member");
    }
    // Versions 1.2 and 1.1.
    for start in [4096, 0] {
        if at(start, 4) == RAID {
            return known("linux_raid_member", at(start + 32, 32), at(start + 16, 16));
        }
    }
    if at(3, 8) == b"NTFS    " {
        let serial = at(0x48, 8).iter().rev().fold(String::new(), |text, byte| text + &format!("{byte:02X}"));
        return Found { uuid: serial, ..found("ntfs") };
    }
    if at(3, 8) == b"EXFAT   " {
        return found("exfat");
    }
    if at(82, 5) == b"FAT32" || at(54, 3) == b"FAT" {
        let (label, serial) =
            if at(82, 5) == b"FAT32" { (at(71, 11), at(67, 4)) } else { (at(43, 11), at(39, 4)) };
        let uuid = match serial {
            [a, b, c, d] => format!("{d:02X}{c:02X}-{b:02X}{a:02X}"),
            _ => String::new(),
        };
        let label = printable(label);
        return Found {
            label: if label == "NO NAME" { String::new() } else { label },
            uuid,
            ..found("vfat")
        };
    }
    if at(0x8001, 5) == b"CD001" {
        return Found { label: printable(at(0x8028, 32)), ..found("iso9660") };
    }
    Found::default()
}

fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

fn uuid(bytes: &[u8]) -> String {
    uuid::Uuid::from_slice(bytes).map(|uuid| uuid.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that lets the real programs make what is recognised"
    )]
    fn what_mkfs_makes_is_recognised_with_its_uuid() {
        let uuid = "7b702344-475f-5e92-b709-6334120da4c8";
        let makers: [(&str, &[&str], &str); 5] = [
            ("ext4", &["mkfs.ext4", "-q", "-F", "-U", uuid, "-L", "data"], uuid),
            (
                "xfs",
                &["mkfs.xfs", "-q", "-f", "-m", "uuid=7b702344-475f-5e92-b709-6334120da4c8", "-L", "data"],
                uuid,
            ),
            ("btrfs", &["mkfs.btrfs", "-q", "-f", "-U", uuid, "-L", "data"], uuid),
            ("vfat", &["mkfs.vfat", "-F", "32", "-i", "ABCD1234", "-n", "data"], "ABCD-1234"),
            ("swap", &["mkswap", "-q", "-U", uuid, "-L", "data"], uuid),
        ];
        for (kind, argv, uuid) in makers {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(320 << 20).unwrap();
            let output = std::process::Command::new(argv[0])
                .args(&argv[1..])
                .arg(file.path())
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .output()
                .unwrap_or_else(|error| panic!("{} is needed (make setup): {error}", argv[0]));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let host = crate::host::real::RealHost;
            let found = of_device(&host, &file.path().display().to_string(), 320 << 20);
            assert_eq!((found.content.as_str(), found.uuid.as_str()), (kind, uuid));
            assert!(found.label.eq_ignore_ascii_case("data"), "{found:?}");
        }
    }

    #[test]
    fn members_of_something_larger_are_recognised_wherever_they_say_so() {
        let size = 10 << 20;
        let of = |marks: &[(usize, &[u8])]| {
            let mut disk = vec![0; size];
            for (offset, bytes) in marks {
                disk[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            let host = crate::host::fake::FakeHost::new(0).with_file("/dev/vda1", disk);
            of_device(&host, "/dev/vda1", size as u64)
        };
        assert_eq!(of(&[(1024, b"LABELONE"), (1048, b"LVM2 001")]).content, "LVM2_member");
        for place in [0, 4096, size - 8192, size - 0x10000] {
            assert_eq!(of(&[(place, &RAID)]).content, "linux_raid_member", "{place}");
        }
        // A mirror of version 1.0 shows its file system at the beginning of each member.
        let mirror = of(&[(size - 8192, &RAID), (0x438, &[0x53, 0xef])]);
        assert_eq!(mirror.content, "linux_raid_member");
        let luks =
            of(&[(0, b"LUKS\xba\xbe\0\x02"), (24, b"safe"), (0xa8, b"7b702344-475f-5e92-b709-6334120da4c8")]);
        assert_eq!((luks.content.as_str(), luks.label.as_str()), ("crypto_LUKS", "safe"));
        assert_eq!(luks.uuid, "7b702344-475f-5e92-b709-6334120da4c8");
        let ntfs = of(&[(3, b"NTFS    "), (0x48, &[1, 2, 3, 4, 5, 6, 7, 8])]);
        assert_eq!((ntfs.content.as_str(), ntfs.uuid.as_str()), ("ntfs", "0807060504030201"));
        assert_eq!(of(&[]), Found::default());
    }
}
