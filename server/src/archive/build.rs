//! Makes a Debian package of files (deb(5)): what is under `/etc` is configuration, everything belongs to root.
//!
//! The same files with the same words make the same package, byte by byte.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use tar::{EntryType, Header};

use super::tree::{Content, Entry, Error, Tree};
use crate::domain::package_build::PackageBuild;

/// Of xz(1): larger ones take much longer for little.
const LEVEL: u32 = 3;

/// Makes a package; it lies in a file without a name in a directory.
///
/// # Errors
/// The archive cannot be used, or the disk refuses.
pub fn build(archive: &mut File, wanted: &PackageBuild, directory: &Path) -> Result<File, Error> {
    let tree = Tree::read(archive, wanted, directory)?;
    let mut data = data(&tree, tempfile::tempfile_in(directory)?)?;
    let length = data.seek(SeekFrom::End(0))?;
    data.seek(SeekFrom::Start(0))?;
    let control = control(&tree, wanted)?;
    let made_s = tree.entries.values().map(|entry| entry.modified_s).max().unwrap_or(0);
    let mut package = tempfile::tempfile_in(directory)?;
    package.write_all(b"!<arch>\n")?;
    let version = b"2.0\n";
    for (name, content) in [("debian-binary", &version[..]), ("control.tar.xz", &control)] {
        package.write_all(member(name, made_s, content.len() as u64).as_bytes())?;
        package.write_all(content)?;
        pad(&mut package, content.len() as u64)?;
    }
    package.write_all(member("data.tar.xz", made_s, length).as_bytes())?;
    io::copy(&mut data, &mut package)?;
    pad(&mut package, length)?;
    package.seek(SeekFrom::Start(0))?;
    Ok(package)
}

/// The header of a member (ar(5)).
fn member(name: &str, made_s: u64, length: u64) -> String {
    format!("{name:<16}{made_s:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 0, 0, 100_644)
}

/// Members begin at even places.
fn pad(package: &mut File, length: u64) -> io::Result<()> {
    if length % 2 == 1 { package.write_all(b"\n") } else { Ok(()) }
}

fn header(kind: EntryType, mode: u32, modified_s: u64, length: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified_s);
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(header)
}

/// The files, packed.
fn data(tree: &Tree, file: File) -> Result<File, Error> {
    let mut archive = tar::Builder::new(liblzma::write::XzEncoder::new(file, LEVEL));
    for (path, entry) in &tree.entries {
        let Entry { mode, modified_s, content } = entry;
        match content {
            Content::Folder => {
                let mut header = header(EntryType::Directory, *mode, *modified_s, 0)?;
                archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Content::Link(target) => {
                let mut header = header(EntryType::Symlink, *mode, *modified_s, 0)?;
                archive.append_link(&mut header, path, target)?;
            }
            Content::File { start, length } => {
                let mut header = header(EntryType::Regular, *mode, *modified_s, *length)?;
                archive.append_data(&mut header, path, tree.content(*start, *length)?)?;
            }
        }
    }
    Ok(archive.into_inner()?.finish()?)
}

/// What the package says of itself, packed.
fn control(tree: &Tree, wanted: &PackageBuild) -> Result<Vec<u8>, Error> {
    let mut archive = tar::Builder::new(liblzma::write::XzEncoder::new(Vec::new(), LEVEL));
    let files = |entry: &Entry| match entry.content {
        Content::File { length, .. } => length.div_ceil(1024),
        Content::Folder | Content::Link(_) => 1,
    };
    let installed_kib = tree.entries.values().map(files).sum();
    let is_conffile =
        |path: &str, entry: &Entry| path.starts_with("etc/") && matches!(entry.content, Content::File { .. });
    let mut conffiles = String::new();
    for (path, _) in tree.entries.iter().filter(|(path, entry)| is_conffile(path, entry)) {
        conffiles.push_str(&format!("/{path}\n"));
    }
    let made_s = tree.entries.values().map(|entry| entry.modified_s).max().unwrap_or(0);
    let members = [("control", wanted.control(installed_kib)), ("conffiles", conffiles)];
    for (name, text) in members.iter().filter(|(_, text)| !text.is_empty()) {
        let mut header = header(EntryType::Regular, 0o644, made_s, text.len() as u64)?;
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(archive.into_inner()?.finish()?)
}
