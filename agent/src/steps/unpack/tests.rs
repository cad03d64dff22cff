use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use xattr::FileExt;

use super::*;
use crate::{host::fake::FakeHost, steps::testing::Stage};

fn archive(build: impl FnOnce(&mut tar::Builder<zstd::Encoder<'static, Vec<u8>>>)) -> Box<dyn Read + Send> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    build(&mut builder);
    Box::new(std::io::Cursor::new(builder.into_inner().unwrap().finish().unwrap()))
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(1_000_000);
    header.set_uid(u64::from(nix::unistd::getuid().as_raw()));
    header.set_gid(u64::from(nix::unistd::getgid().as_raw()));
    header
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_links_and_modes_come_out_as_they_went_in_even_over_half_of_themselves() {
    let target = tempfile::tempdir().unwrap();
    let long = format!("etc/{}", "n".repeat(180));
    let packed = || {
        archive(|tar| {
            tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), "./", &[][..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Directory, 0o555, 0), "etc", &[][..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Regular, 0o4640, 3), "etc/a", &b"abc"[..]).unwrap();
            tar.append_link(&mut header(tar::EntryType::Link, 0o640, 0), "etc/b", "etc/a").unwrap();
            tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "etc/c", "/etc/a").unwrap();
            tar.append_data(&mut header(tar::EntryType::Fifo, 0o622, 0), "etc/pipe", &[][..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Regular, 0o644, 1), &long, &b"x"[..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Regular, 0o644, 1), "without/parent", &b"x"[..])
                .unwrap();
        })
    };
    let etc = target.path().join("etc");
    for _ in 0..2 {
        unpack_archive(packed(), target.path()).unwrap();
        let metadata = std::fs::metadata(etc.join("a")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink(), metadata.mtime()), (0o4640, 2, 1_000_000));
        let directory = std::fs::metadata(&etc).unwrap();
        assert_eq!((directory.mode() & 0o7777, directory.mtime()), (0o555, 1_000_000));
        assert_eq!(std::fs::read_link(etc.join("c")).unwrap(), Path::new("/etc/a"));
        assert_eq!(std::fs::metadata(etc.join("pipe")).unwrap().mode(), 0o010_622);
        assert!(target.path().join(&long).exists() && target.path().join("without/parent").exists());
        std::fs::set_permissions(&etc, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(etc.join("a"), "half of what was th").unwrap();
        std::fs::remove_file(etc.join("c")).unwrap();
        std::os::unix::fs::symlink("elsewhere", etc.join("c")).unwrap();
    }
}

/// Runs a program of the system for a test.
#[expect(clippy::disallowed_methods, reason = "a test that lets the real programs make what is unpacked")]
fn run(directory: &Path, argv: &[&str]) {
    let output = Command::new(argv[0]).args(&argv[1..]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{argv:?}: {output:?}");
}

#[test]
fn what_gnu_tar_packs_comes_out_the_same_with_holes_and_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let holes = std::fs::File::create(tree.join("holes")).unwrap();
    for at in [0, 3, 9, 11, 14, 30, 77] {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"content", at << 20).unwrap();
    }
    holes.set_len(100 << 20).unwrap();
    std::fs::write(tree.join("noted"), "x").unwrap();
    std::fs::File::open(tree.join("noted")).unwrap().set_xattr("user.note", b"a\n\nb\0c").unwrap();
    let long = "d".repeat(120);
    std::fs::create_dir_all(tree.join(&long).join(&long)).unwrap();
    std::os::unix::fs::symlink(format!("{long}/{long}"), tree.join("link")).unwrap();
    for format in ["pax", "gnu"] {
        let packed = directory.path().join("packed.tar");
        let name = packed.to_str().unwrap();
        let mut argv = vec!["tar", "-c", "-S", "-f", name, "--format", format];
        if format == "pax" {
            argv.push("--xattrs");
        }
        argv.push(".");
        run(&tree, &argv);
        let target = directory.path().join(format);
        std::fs::create_dir(&target).unwrap();
        let content = zstd::encode_all(std::fs::File::open(&packed).unwrap(), 1).unwrap();
        assert!(content.len() < 1 << 20);
        unpack_archive(Box::new(io::Cursor::new(content)), &target).unwrap();
        run(&target, &["tar", "-d", "-f", name]);
        let metadata = std::fs::metadata(target.join("holes")).unwrap();
        assert!(metadata.len() == 100 << 20 && metadata.blocks() < 1024, "{format}: {}", metadata.blocks());
        let note = std::fs::File::open(target.join("noted")).unwrap().get_xattr("user.note").unwrap();
        assert_eq!(note.as_deref(), (format == "pax").then_some(&b"a\n\nb\0c"[..]));
    }
}

#[test]
fn members_that_point_outside_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(directory.path().join("secret"), "x").unwrap();
    let raw = |kind, path: &[u8], link: &[u8]| {
        let mut header = header(kind, 0o644, 0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        archive(|tar| tar.append(&header, &[][..]).unwrap())
    };
    unpack_archive(raw(tar::EntryType::Regular, b"../evil", b""), &target).unwrap_err();
    unpack_archive(raw(tar::EntryType::Link, b"stolen", b"../secret"), &target).unwrap_err();
    unpack_archive(raw(tar::EntryType::Link, b"stolen", b"a/../../secret"), &target).unwrap_err();
    // An absolute path begins at the target, as it will when the target is the running system.
    unpack_archive(raw(tar::EntryType::Regular, b"/inside", b""), &target).unwrap();
    assert_eq!(names(directory.path()), ["secret", "target"]);
    assert_eq!(names(&target), ["inside"]);
}

#[test]
fn nothing_is_written_outside_the_target() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let outside = directory.path().to_path_buf();
    let packed = archive(|tar| {
        tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "out", &outside).unwrap();
        tar.append_data(&mut header(tar::EntryType::Regular, 0o644, 1), "out/evil", &b"x"[..]).unwrap();
    });
    unpack_archive(packed, &target).unwrap_err();
    assert!(!directory.path().join("evil").exists());
}

#[test]
fn an_archive_that_is_cut_is_an_error() {
    let mut whole = Vec::new();
    archive(|tar| {
        tar.append_data(&mut header(tar::EntryType::Regular, 0o644, 4000), "a", &[7; 4000][..]).unwrap();
    })
    .read_to_end(&mut whole)
    .unwrap();
    whole.truncate(whole.len() / 2);
    let target = tempfile::tempdir().unwrap();
    unpack_archive(Box::new(std::io::Cursor::new(whole)), target.path()).unwrap_err();
}

#[test]
fn a_full_disk_is_told_with_what_is_needed() {
    let target = tempfile::tempdir().unwrap();
    let mut packed = tar::Builder::new(Vec::new());
    for name in ["a", "b"] {
        let content = vec![1; 3_000_000];
        packed
            .append_data(&mut header(tar::EntryType::Regular, 0o644, 3_000_000), name, &content[..])
            .unwrap();
    }
    let mut archive = archive::Archive::new(io::Cursor::new(packed.into_inner().unwrap()));
    archive.next().unwrap().unwrap();
    let tree = tree::Tree::new(target.path()).unwrap();
    let error = too_small(&io::ErrorKind::StorageFull.into(), &tree, &mut archive, 3_000_000);
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("the system needs 7 MB"), "{error}");
}

#[tokio::test]
async fn a_wrong_archive_is_named_by_both_hashes_and_taken_away_again() {
    let host = FakeHost::new(0)
        .with_file(
            "/proc/self/mountinfo",
            "1 0 8:1 / /target rw - ext4 /dev/sda1 rw\n2 1 8:2 / /target/boot/efi rw - vfat /dev/sda2 rw\n\
             3 1 0:5 / /target/dev rw - devtmpfs devtmpfs rw\n4 1 0:6 / /target/sys/firmware/efi/efivars rw - efivarfs efivarfs rw\n",
        )
        // Left there by an agent that was killed in the target: the machine's own, not the target's.
        .with_file("/target/dev/null", "device")
        .with_file("/target/sys/firmware/efi/efivars/BootOrder", "firmware")
        .with_file("/target/bin/evil", "x")
        .with_file("/target/boot/vmlinuz", "x")
        .with_file("/target/boot/efi/EFI/BOOT/BOOTX64.EFI", "x");
    let mut stage = Stage::new(host);
    stage.server.blob = vec![1; 2000];
    let wanted = stage.server.reference();
    stage.server.blob[1000] = 2;
    let error = execute(&stage.ctx(), &wanted).await.unwrap_err();
    let got = stage.server.reference().sha256;
    assert!(matches!(error, StepError::Permanent(_)));
    let text = error.to_string();
    assert!(text.contains(wanted.sha256.as_str()) && text.contains(got.as_str()), "{text}");
    assert_eq!(stage.host.text("/target/bin/evil") + &stage.host.text("/target/boot/vmlinuz"), "");
    assert_eq!(stage.host.text("/target/boot/efi/EFI/BOOT/BOOTX64.EFI"), "");
    assert_eq!(stage.host.text("/target/dev/null"), "device");
    assert_eq!(stage.host.text("/target/sys/firmware/efi/efivars/BootOrder"), "firmware");
}

#[tokio::test]
async fn what_an_attempt_that_broke_off_has_left_is_not_in_the_system() {
    let host = FakeHost::new(0)
        .with_file("/proc/self/mountinfo", "1 0 8:1 / /target rw - ext4 /dev/sda1 rw\n")
        .with_file("/target/etc/cron.d/evil", "* * * * * root x");
    let mut stage = Stage::new(host);
    stage.server.blob = vec![1; 2000];
    execute(&stage.ctx(), &stage.server.reference()).await.unwrap();
    assert_eq!(stage.host.text("/target/etc/cron.d/evil"), "");
}
