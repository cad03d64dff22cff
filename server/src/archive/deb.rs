//! Reads what a Debian package says of itself (deb(5)): an ar(5) archive with a version, a packed `control` and the data.
//!
//! Invariant: nothing of the package is run or unpacked to disk, and no member takes more memory than [`LARGEST_CONTROL`].

use std::io::{self, Read, Seek, SeekFrom};

use super::packing::Packing;
use crate::domain::repository::Control;

/// No control file is larger.
const LARGEST_CONTROL: u64 = 1 << 20;
/// No packed control archive unpacks to more.
const LARGEST_ARCHIVE: u64 = 64 << 20;
/// Most entries of the control archive.
const MOST_ENTRIES: usize = 1000;

/// Why a file is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no Debian package, and why.
    #[error("it is no Debian package: {0}")]
    NotOne(String),
    /// It cannot be read.
    #[error("reading it")]
    Io(#[from] io::Error),
}

fn not_one(why: impl Into<String>) -> Error {
    Error::NotOne(why.into())
}

/// A member of an ar archive.
struct Member {
    name: String,
    start: u64,
    size: u64,
}

/// Reads the control file of a package.
///
/// # Errors
/// [`Error`]
pub fn control(mut file: impl Read + Seek) -> Result<Control, Error> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|_| not_one("it is too short"))?;
    if &magic != b"!<arch>\n" {
        return Err(not_one("it does not begin as one"));
    }
    let first = member(&mut file, 8, end)?.ok_or_else(|| not_one("it is empty"))?;
    let mut version = Vec::new();
    file.by_ref().take(first.size.min(16)).read_to_end(&mut version)?;
    if first.name != "debian-binary" || !version.starts_with(b"2.") {
        return Err(not_one("it is of a format that is not known"));
    }
    let (mut found, mut data) = (None, false);
    let mut at = next(&first);
    while let Some(member) = member(&mut file, at, end)? {
        at = next(&member);
        if member.name.starts_with("control.tar") {
            if found.is_some() {
                return Err(not_one("it has two control archives"));
            }
            file.seek(SeekFrom::Start(member.start))?;
            found = Some(text(&member.name, file.by_ref().take(member.size))?);
        } else if member.name.starts_with("data.tar") {
            data = true;
        }
    }
    let text = found.ok_or_else(|| not_one("it has no control archive"))?;
    if !data {
        return Err(not_one("it has no data: perhaps it is cut off"));
    }
    Control::parse(&text).map_err(not_one)
}

fn next(member: &Member) -> u64 {
    member.start + member.size + member.size % 2
}

/// The header at a place (ar(5)); what it announces must be there.
fn member(file: &mut (impl Read + Seek), at: u64, end: u64) -> Result<Option<Member>, Error> {
    if at >= end {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut header = [0; 60];
    file.read_exact(&mut header).map_err(|_| not_one("it is cut off"))?;
    let word = |from: usize, to: usize| {
        header.get(from..to).map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned()).unwrap_or_default()
    };
    let size: u64 = word(48, 58).parse().map_err(|_| not_one("a member has no size"))?;
    let start = at + 60;
    if !header.ends_with(b"`\n") || start.checked_add(size).is_none_or(|to| to > end) {
        return Err(not_one("it is cut off"));
    }
    Ok(Some(Member { name: word(0, 16).trim_end_matches('/').to_owned(), start, size }))
}

/// The control file of a packed control archive.
fn text(name: &str, packed: impl Read) -> Result<String, Error> {
    let unknown = || not_one(format!("{name} is packed in a way that is not known"));
    let plain = Packing::of_name(name).ok_or_else(unknown)?.unpack(packed)?;
    let mut archive = tar::Archive::new(plain.take(LARGEST_ARCHIVE));
    let broken = |error: io::Error| not_one(format!("its control archive cannot be read: {error}"));
    for entry in archive.entries().map_err(broken)?.take(MOST_ENTRIES) {
        let entry = entry.map_err(broken)?;
        let is_control = {
            let path = entry.path_bytes();
            entry.header().entry_type().is_file()
                && (path.as_ref() == b"./control" || path.as_ref() == b"control")
        };
        if !is_control {
            continue;
        }
        let mut content = Vec::new();
        if entry.take(LARGEST_CONTROL).read_to_end(&mut content).map_err(broken)? as u64 == LARGEST_CONTROL {
            return Err(not_one("its control file is too large"));
        }
        return String::from_utf8(content).map_err(|_| not_one("its control file is no UTF-8 text"));
    }
    Err(not_one("its control archive has no control file"))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut all = b"!<arch>\n".to_vec();
        for (name, content) in members {
            writeln!(all, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
            all.extend(*content);
            if content.len() % 2 == 1 {
                all.push(b'\n');
            }
        }
        all
    }

    fn tar_of(text: &str) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in [("./md5sums", "x"), ("./control", text)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    const CONTROL: &str = "Package: hello\nVersion: 1\nArchitecture: all\nDescription: x\n";

    #[test]
    fn every_packing_of_the_control_archive_is_read() {
        let plain = tar_of(CONTROL);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let zst = zstd::encode_all(plain.as_slice(), 1).unwrap();
        let packed = [
            ("control.tar", plain.clone()),
            ("control.tar.gz", gz.finish().unwrap()),
            ("control.tar.xz", xz.finish().unwrap()),
            ("control.tar.zst/", zst),
        ];
        for (name, packed) in packed {
            let deb = ar(&[("debian-binary", b"2.0\n"), (name, &packed), ("data.tar.xz", b"odd")]);
            assert_eq!(control(Cursor::new(&deb)).unwrap().name, "hello", "{name}");
            for cut in [0, 7, 30, 70, deb.len() - 3, deb.len() / 2] {
                assert!(control(Cursor::new(&deb[..cut])).is_err(), "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_package_is_refused_with_its_reason() {
        let plain = tar_of(CONTROL);
        let refused = |members: &[(&str, &[u8])]| control(Cursor::new(ar(members))).unwrap_err().to_string();
        assert!(refused(&[("debian-binary", b"3.0\n")]).contains("format"));
        assert!(refused(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]).contains("no control archive"));
        assert!(refused(&[("debian-binary", b"2.0\n"), ("control.tar", &plain)]).contains("no data"));
        let two: &[(&str, &[u8])] =
            &[("debian-binary", b"2.0\n"), ("control.tar", &plain), ("control.tar.gz", &plain)];
        assert!(refused(two).contains("two control archives"));
        let nameless = tar_of("Version: 1\n");
        let nameless: &[(&str, &[u8])] =
            &[("debian-binary", b"2.0\n"), ("control.tar", &nameless), ("data.tar", b"")];
        assert!(refused(nameless).contains("package"));
        assert!(control(Cursor::new(b"%PDF-1.5 and more")).is_err());
    }
}
