//! Reads indices: which files they name, and what each has to be. `Packages` and `Sources` (Debian repository format), and the lists of
//! differences to `Packages` (`Packages.diff/Index`).
//!
//! Pure but for the reader that it is given; an index is only read after its own hash was right.

use std::io::{self, BufRead, BufReader, Read};

use super::{path, release::Wanted};

/// No index unpacks to more, whoever has signed it.
const LARGEST: u64 = 4 << 30;

/// Kinds of indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Binary packages.
    Packages,
    /// Source packages.
    Sources,
    /// Differences between versions of an index.
    Differences,
}

/// Which kind of index a path names, if any that can be read.
pub(super) fn kind(path: &str) -> Option<Kind> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    if !["", "xz", "gz", "zst"].contains(&ending) {
        return None;
    }
    match stem {
        "Packages" => Some(Kind::Packages),
        "Sources" => Some(Kind::Sources),
        "Index" if folder.ends_with(".diff") => Some(Kind::Differences),
        _ => None,
    }
}

/// The content of an index, unpacked as its name says.
///
/// # Errors
/// The packed text is not what its name says.
pub(super) fn unpacked<'a>(
    path: &str,
    packed: impl Read + Send + 'a,
) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    let plain: Box<dyn Read + Send> = match path.rsplit('.').next() {
        Some("xz") => Box::new(liblzma::read::XzDecoder::new_multi_decoder(packed)),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Some("zst") => Box::new(zstd::Decoder::new(packed)?),
        _ => Box::new(packed),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 17, plain.take(LARGEST))))
}

/// Gives every file that an index names: its path below the mirror, and what it has to be. `at` is the index's own path.
///
/// # Errors
/// The text cannot be read.
pub(super) fn read(
    kind: Kind,
    at: &str,
    text: &mut dyn BufRead,
    mut found: impl FnMut(&str, Wanted),
) -> io::Result<()> {
    let folder = at.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut paragraph = Paragraph::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = text.read_until(b'\n', &mut line)? == 0;
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let text = text.trim_end();
        if text.is_empty() {
            paragraph.give(kind, folder, &mut found);
            paragraph = Paragraph::default();
            if end {
                return Ok(());
            }
            continue;
        }
        paragraph.add(text);
    }
}

#[derive(Default)]
struct Paragraph {
    field: Field,
    filename: String,
    directory: String,
    size: String,
    sha256: String,
    listed: Vec<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    Listed,
    #[default]
    Other,
}

impl Paragraph {
    fn add(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            if self.field == Field::Listed {
                self.listed.push(line.trim().to_owned());
            }
            return;
        }
        let Some((name, value)) = line.split_once(':') else { return };
        self.field = match name {
            "Checksums-Sha256" | "SHA256-Download" => Field::Listed,
            _ => Field::Other,
        };
        let place = match name {
            "Filename" => &mut self.filename,
            "Directory" => &mut self.directory,
            "Size" => &mut self.size,
            "SHA256" => &mut self.sha256,
            _ => return,
        };
        value.trim().clone_into(place);
    }

    fn give(&self, kind: Kind, folder: &str, found: &mut impl FnMut(&str, Wanted)) {
        let folder = match kind {
            Kind::Packages => {
                give(&self.filename, &self.sha256, &self.size, found);
                return;
            }
            Kind::Sources => self.directory.as_str(),
            Kind::Differences => folder,
        };
        for line in &self.listed {
            let words: Vec<_> = line.split_whitespace().collect();
            if let [hash, size, name] = words[..] {
                let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                give(&path, hash, size, found);
            }
        }
    }
}

fn give(name: &str, sha256: &str, size: &str, found: &mut impl FnMut(&str, Wanted)) {
    let name = name.strip_prefix("./").unwrap_or(name);
    if let (true, Ok(sha256), Ok(size)) = (path::is_plain(name), sha256.parse(), size.parse()) {
        found(name, Wanted { sha256, size: Some(size) });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(kind: Kind, at: &str, text: &str) -> Vec<(String, String, Option<u64>)> {
        let mut found = Vec::new();
        let mut give = |path: &str, wanted: Wanted| {
            found.push((path.to_owned(), wanted.sha256.as_str()[..2].to_owned(), wanted.size));
        };
        read(kind, at, &mut text.as_bytes(), &mut give).unwrap();
        found
    }

    #[test]
    fn every_kind_of_index_says_what_its_files_have_to_be() {
        let (a, b) = ("aa".repeat(32), "bb".repeat(32));
        let packages = format!(
            "Package: x\nFilename: pool/x_1_all.deb\nSize: 12\nDescription: X\n Size: 13\nSHA256: {a}\n\n\
             Package: bad\nFilename: ../../etc/passwd\nSize: 1\nSHA256: {b}\n\nPackage: weak\nFilename: pool/y\nSize: 1\n\n\
             Package: flat\nFilename: ./z.deb\nSize: 3\nSHA256: {b}"
        );
        let wanted = |path: &str, hash: &str, size| (path.to_owned(), hash.to_owned(), Some(size));
        assert_eq!(
            all(Kind::Packages, "dists/x/main/binary-all/Packages", &packages),
            [wanted("pool/x_1_all.deb", "aa", 12), wanted("z.deb", "bb", 3)]
        );
        let sources = format!(
            "Package: x\nFiles:\n 0 1 x.dsc\nChecksums-Sha256:\n {a} 5 x.dsc\n {b} 6 x.tar.xz\nDirectory: pool/x\n\n"
        );
        assert_eq!(
            all(Kind::Sources, "Sources", &sources),
            [wanted("pool/x/x.dsc", "aa", 5), wanted("pool/x/x.tar.xz", "bb", 6)]
        );
        let index =
            format!("SHA256-Current: {a} 1\nSHA256-History:\n {a} 1 T-1\nSHA256-Download:\n {b} 7 T-1.gz\n");
        assert_eq!(
            all(Kind::Differences, "dists/x/main/binary-all/Packages.diff/Index", &index),
            [wanted("dists/x/main/binary-all/Packages.diff/T-1.gz", "bb", 7)]
        );
    }

    #[test]
    fn an_index_is_unpacked_as_its_name_says() {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"text").unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"text").unwrap();
        let zst = zstd::encode_all(&b"text"[..], 1).unwrap();
        let packed = [("a/Packages.xz", xz.finish().unwrap()), ("Packages.gz", gz.finish().unwrap())];
        for (path, packed) in
            packed.into_iter().chain([("Packages.zst", zst), ("Packages", b"text".to_vec())])
        {
            let mut text = String::new();
            unpacked(path, packed.as_slice()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "text", "{path}");
            assert_eq!(kind(path), Some(Kind::Packages), "{path}");
        }
        assert_eq!(kind("x/Packages.bz2"), None);
        assert_eq!(kind("main/Packages.diff/Index"), Some(Kind::Differences));
        assert_eq!(kind("main/i18n/Index"), None);
    }
}
