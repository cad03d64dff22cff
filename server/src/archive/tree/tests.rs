//! What is taken from archives and what is refused, and that the package made of it says and holds what it should.

use std::io::{Cursor, Write as _};

use super::*;
use crate::archive::{build, deb};

fn wanted() -> PackageBuild {
    PackageBuild {
        package: "tool".to_owned(),
        version: "1.0".to_owned(),
        architecture: "all".to_owned(),
        depends: String::new(),
        description: "A tool".to_owned(),
        maintainer: String::new(),
        below: String::new(),
        setuid: false,
    }
}

/// Name, kind, mode, and content or target.
type Made<'a> = (&'a str, EntryType, u32, &'a str);

fn file(name: &str) -> Made<'_> {
    (name, EntryType::Regular, 0o644, "content")
}

fn tar_of(entries: &[Made<'_>]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, kind, mode, content) in entries {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        // Written as it is: the crate itself refuses what is to be refused here.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let content = if is_link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn stored(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read_with(bytes: &[u8], wanted: &PackageBuild) -> Result<Tree, Error> {
    Tree::read(&mut stored(bytes), wanted, &std::env::temp_dir())
}

fn read(entries: &[Made<'_>]) -> Result<Tree, Error> {
    read_with(&tar_of(entries), &wanted())
}

fn refused(entries: &[Made<'_>]) -> String {
    read(entries).err().unwrap().to_string()
}

fn text(tree: &Tree, path: &str) -> String {
    let Content::File { start, length } = tree.entries[path].content else { panic!("{path} is no file") };
    let mut text = String::new();
    tree.content(start, length).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_packing_gives_the_same_files() {
    let plain =
        tar_of(&[("./etc/", EntryType::Directory, 0o775, ""), file("./etc/motd"), file("usr/bin/run")]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default().unix_permissions(0o644);
    for path in ["etc/motd", "usr/bin/run"] {
        zip.start_file(path, options).unwrap();
        zip.write_all(b"content").unwrap();
    }
    let packed = [
        plain.clone(),
        gz.finish().unwrap(),
        xz.finish().unwrap(),
        zstd::encode_all(plain.as_slice(), 1).unwrap(),
        zip.finish().unwrap().into_inner(),
    ];
    for packed in &packed {
        let tree = read_with(packed, &wanted()).unwrap();
        let paths: Vec<_> = tree.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["etc", "etc/motd", "usr", "usr/bin", "usr/bin/run"]);
        assert_eq!((text(&tree, "etc/motd"), tree.entries["etc"].mode), ("content".to_owned(), 0o755));
        for cut in [packed.len() / 3, packed.len() / 2] {
            assert!(read_with(&packed[..cut], &wanted()).is_err(), "cut at {cut}");
        }
    }
    assert!(read_with(b"no archive at all", &wanted()).is_err());
    assert!(read_with(b"", &wanted()).is_err());
}

#[test]
fn nothing_leaves_its_place() {
    assert!(refused(&[file("../etc/passwd")]).contains("`..`"));
    assert!(refused(&[file("usr/../../x")]).contains("`..`"));
    assert!(refused(&[("DEBIAN/postinst", EntryType::Regular, 0o755, "true")]).contains("DEBIAN"));
    let through = [("there", EntryType::Symlink, 0o777, "etc"), file("there/passwd")];
    assert!(refused(&through).contains("there is no folder"));
    let outward = [file("usr/a"), ("usr/b", EntryType::Symlink, 0o777, "/home/ann/b")];
    assert!(refused(&outward).contains("leads out of the package"));
    let above = [file("usr/a"), ("usr/b", EntryType::Symlink, 0o777, "../../x")];
    assert!(refused(&above).contains("above the root"));
    assert!(refused(&[("dev/null", EntryType::Char, 0o666, "")]).contains("no file, folder or link"));
    assert!(refused(&[("pipe", EntryType::Fifo, 0o666, "")]).contains("no file, folder or link"));
    let hard = [("b", EntryType::Link, 0o644, "/etc/shadow")];
    assert!(refused(&hard).contains("does not stand before it"));
    assert!(refused(&[("etc/", EntryType::Directory, 0o755, "")]).contains("no files"));
    // What leads within is fine, and a second name is the same content.
    let within = [
        file("opt/tool/run"),
        ("usr/bin/tool", EntryType::Symlink, 0o777, "/opt/tool/run"),
        ("usr/bin/other", EntryType::Symlink, 0o777, "../lib/other"),
        ("opt/tool/again", EntryType::Link, 0o644, "opt/tool/run"),
    ];
    let tree = read(&within).unwrap();
    assert_eq!(text(&tree, "opt/tool/again"), "content");
    let below = PackageBuild { below: "/opt/x".to_owned(), ..wanted() };
    let tree = read_with(&tar_of(&[file("etc/motd")]), &below).unwrap();
    assert!(tree.entries.contains_key("opt/x/etc/motd"));
}

#[test]
fn a_program_of_another_user_has_to_be_asked_for() {
    let program = [("usr/bin/su", EntryType::Regular, 0o4755, "x")];
    assert!(refused(&program).contains("setuid"));
    let asked = PackageBuild { setuid: true, ..wanted() };
    assert_eq!(read_with(&tar_of(&program), &asked).unwrap().entries["usr/bin/su"].mode, 0o4755);
    // Nobody but root writes, and what only root may read stays so.
    let open = [("a", EntryType::Regular, 0o666, "x"), ("b", EntryType::Regular, 0o600, "x")];
    let tree = read(&open).unwrap();
    assert_eq!((tree.entries["a"].mode, tree.entries["b"].mode), (0o644, 0o600));
}

#[test]
fn the_same_files_are_the_same_package() {
    let entries = [file("etc/tool.conf"), ("usr/bin/tool", EntryType::Regular, 0o755, "#!/bin/sh\n")];
    let made = |entries: &[Made<'_>]| {
        let mut package =
            build::build(&mut stored(&tar_of(entries)), &wanted(), &std::env::temp_dir()).unwrap();
        let mut bytes = Vec::new();
        package.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let package = made(&entries);
    let [one, other] = entries;
    assert!(package == made(&[other, one]), "in whatever order they came");
    let control = deb::control(Cursor::new(&package)).unwrap();
    assert_eq!(
        (control.name.as_str(), control.version.as_str(), control.installed_bytes),
        ("tool", "1.0", 5 * 1024)
    );
}
