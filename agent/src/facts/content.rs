//! What a device carries, by the signatures that libblkid knows it by. Enough to say what would be lost; not a replacement for blkid(8).

use std::path::Path;

use crate::host::Host;

/// What was recognised; empty texts say nothing was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// `gpt` or `mbr`.
    pub(super) table: String,
    /// File system or member of something, in blkid's words.
    pub(super) content: String,
    /// Its label.
    pub(super) label: String,
    /// Its UUID.
    pub(super) uuid: String,
}

/// The first stretch of a device holds every signature but that of btrfs, and GPT's on sectors of 4096 bytes is in it as well.
const HEAD: usize = 8192;
const BTRFS: u64 = 0x10000;

/// Looks at a device.
pub(super) fn of_device(host: &dyn Host, path: &str) -> Found {
    let head = host.read_at(Path::new(path), 0, HEAD).unwrap_or_default();
    let btrfs = host.read_at(Path::new(path), BTRFS, 0x400).unwrap_or_default();
    recognise(&head, &btrfs)
}

fn recognise(head: &[u8], btrfs: &[u8]) -> Found {
    let at = |offset: usize, length: usize| head.get(offset..offset + length).unwrap_or_default();
    let found = |content: &str| Found { content: content.to_owned(), ..Found::default() };
    if btrfs.get(0x40..0x48) == Some(b"_BHRfS_M") {
        let label = printable(btrfs.get(0x12b..0x22b).unwrap_or_default());
        return Found { label, uuid: uuid(btrfs.get(0x20..0x30).unwrap_or_default()), ..found("btrfs") };
    }
    if at(0, 6) == b"LUKS\xba\xbe" {
        return Found { uuid: printable(at(0xa8, 40)), ..found("crypto_LUKS") };
    }
    if at(0, 4) == b"XFSB" {
        return Found { label: printable(at(108, 12)), uuid: uuid(at(32, 16)), ..found("xfs") };
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
        return Found { label: printable(at(0x478, 16)), uuid: uuid(at(0x468, 16)), ..found(kind) };
    }
    if at(4086, 10) == b"SWAPSPACE2" {
        return Found { label: printable(at(1052, 16)), uuid: uuid(at(1036, 16)), ..found("swap") };
    }
    if at(512, 8) == b"LABELONE" && at(536, 8) == b"LVM2 001" {
        return found("LVM2_member");
    }
    if at(4096, 4) == [0xfc, 0x4e, 0x2b, 0xa9] {
        return Found {
            label: printable(at(4128, 32)),
            uuid: uuid(at(4112, 16)),
            ..found("linux_raid_member")
        };
    }
    if at(3, 8) == b"NTFS    " {
        return found("ntfs");
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
    if at(512, 8) == b"EFI PART" || at(4096, 8) == b"EFI PART" {
        return Found { table: "gpt".to_owned(), ..Found::default() };
    }
    // Boot code of file systems ends with the same two bytes; a table has a partition type in one of its four entries.
    if at(510, 2) == [0x55, 0xaa]
        && (0..4).any(|entry| at(450 + entry * 16, 1).first().is_some_and(|kind| *kind != 0))
    {
        return Found { table: "mbr".to_owned(), ..Found::default() };
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
            let found = of_device(&host, &file.path().display().to_string());
            assert_eq!((found.content.as_str(), found.uuid.as_str()), (kind, uuid));
            assert!(found.label.eq_ignore_ascii_case("data"), "{found:?}");
        }
    }

    #[test]
    fn tables_are_told_from_boot_code() {
        let mut head = vec![0; HEAD];
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(recognise(&head, &[]), Found::default());
        head[450] = 0x83;
        assert_eq!(recognise(&head, &[]).table, "mbr");
        head[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(recognise(&head, &[]).table, "gpt");
    }
}
