//! Reads a tar archive member by member: ustar, GNU long names and sparse files, pax records (POSIX.1-2017, pax; GNU tar's manual, "Sparse Formats").
//!
//! Of the `tar` crate only the header is used: its pax reader loses every extended attribute whose value has a line end in it, as file
//! capabilities may. Invariant: a name is given as the archive has it; whoever writes decides what is allowed.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Names and pax records of one member; more is no archive of a system.
const MOST_RECORDS: u64 = 1024 * 1024;

/// One member, before its content.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    /// Target of a symbolic or hard link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds since the Unix epoch.
    pub(super) mtime: (i64, i64),
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Length of the file on disk.
    pub(super) size: u64,
    /// Where the content goes; one piece unless the file is sparse.
    pub(super) pieces: Vec<Piece>,
}

/// A stretch of a file that is in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// An archive that is being read.
pub(super) struct Archive<R> {
    reader: R,
    /// Bytes of the current member, with the padding to the next block, that nobody has taken yet.
    left: u64,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0 }
    }

    /// The next member; what is left of the one before is skipped.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut pax = Pax::default();
        let (mut long_path, mut long_link) = (None, None);
        loop {
            skip(&mut self.reader, self.left)?;
            self.left = 0;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::XHeader => pax = Pax::parse(&self.records(size)?)?,
                EntryType::XGlobalHeader => drop(self.records(size)?),
                EntryType::GNULongName => long_path = Some(text(self.records(size)?)),
                EntryType::GNULongLink => long_link = Some(text(self.records(size)?)),
                kind => return self.member(&header, kind, pax, long_path, long_link).map(Some),
            }
        }
    }

    /// Gives `length` bytes of the current member to `take`, in whatever portions they come.
    pub(super) fn content(
        &mut self,
        mut length: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while length > 0 {
            let portion = self.reader.fill_buf()?;
            if portion.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = portion.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let result = take(&portion[..taken]);
            self.reader.consume(taken);
            self.left = self.left.saturating_sub(taken as u64);
            length -= taken as u64;
            result?;
        }
        Ok(())
    }

    /// The next header; `None` at the block of zeros that ends an archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        self.reader.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own eight bytes as blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let expected = sum(&block[..148]) + 8 * 32 + sum(&block[156..]);
        let header = Header::from_byte_slice(&block).clone();
        if header.cksum()? != expected {
            return Err(damaged("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn records(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MOST_RECORDS {
            return Err(damaged("a member's records are too long"));
        }
        let mut records = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut records)?;
        self.left = padding(size);
        Ok(records)
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        pax: Pax,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> io::Result<Member> {
        let stored = pax.size.map_or_else(|| header.entry_size(), Ok)?;
        // Links carry a size in some archives, but never content.
        let has_content = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        let stored = if has_content { stored } else { 0 };
        self.left = stored.saturating_add(padding(stored));
        let (size, pieces) = if kind.is_gnu_sparse() {
            self.gnu_sparse(header)?
        } else if let Some(size) = pax.sparse_size {
            (size, self.pax_sparse()?)
        } else {
            (stored, vec![Piece { offset: 0, length: stored }])
        };
        if kind.is_gnu_sparse() || pax.sparse_size.is_some() {
            check(&pieces, size)?;
        }
        let mtime = pax
            .mtime
            .map_or_else(|| header.mtime().map(|seconds| (i64::try_from(seconds).unwrap_or(0), 0)), Ok)?;
        let number = |pax: Option<u64>, own: io::Result<u64>| {
            u32::try_from(pax.map_or(own, Ok)?).map_err(|_| damaged("an owner's number is too large"))
        };
        Ok(Member {
            kind,
            path: pax.path.or(long_path).unwrap_or_else(|| header.path_bytes().into_owned()),
            link: pax
                .link
                .or(long_link)
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default(),
            mode: header.mode()?,
            uid: number(pax.uid, header.uid())?,
            gid: number(pax.gid, header.gid())?,
            mtime,
            device: if kind.is_character_special() || kind.is_block_special() {
                (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0))
            } else {
                (0, 0)
            },
            xattrs: pax.xattrs,
            size,
            pieces,
        })
    }

    /// The map in the header, and in the blocks that follow it as long as one says so.
    fn gnu_sparse(&mut self, header: &Header) -> io::Result<(u64, Vec<Piece>)> {
        let gnu = header.as_gnu().ok_or_else(|| damaged("a sparse member is not GNU's"))?;
        let mut pieces = Vec::new();
        let mut add = |entry: &tar::GnuSparseHeader| {
            if !entry.is_empty() {
                pieces.push(Piece { offset: entry.offset()?, length: entry.length()? });
            }
            io::Result::Ok(())
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut more = gnu.is_extended();
        while more {
            let mut extension = tar::GnuExtSparseHeader::new();
            self.reader.read_exact(extension.as_mut_bytes())?;
            extension.sparse.iter().try_for_each(&mut add)?;
            more = extension.is_extended();
        }
        Ok((gnu.real_size()?, pieces))
    }

    /// Version 1.0: the content begins with the map, numbers in lines, up to the next block.
    fn pax_sparse(&mut self) -> io::Result<Vec<Piece>> {
        let mut read = 0;
        let mut number = |archive: &mut Self| {
            let mut line = Vec::new();
            read += (&mut archive.reader).take(24).read_until(b'\n', &mut line)? as u64;
            let digits = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
            digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or_else(|| damaged("a map is no map"))
        };
        let count = number(self)?;
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push(Piece { offset: number(self)?, length: number(self)? });
        }
        skip(&mut self.reader, padding(read))?;
        self.left = self.left.saturating_sub(read + padding(read));
        Ok(pieces)
    }
}

/// What pax records say of the member that follows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, i64)>,
    sparse_size: Option<u64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Records are `LENGTH KEY=VALUE\n`; the length counts the whole record, so a value may hold any byte.
    fn parse(mut records: &[u8]) -> io::Result<Self> {
        let mut pax = Self::default();
        let bad = || damaged("a pax record is malformed");
        while !records.is_empty() {
            let blank = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length: usize = ascii(&records[..blank]).ok_or_else(bad)?;
            let record =
                records.get(blank + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            pax.set(&record[..equals], &record[equals + 1..]).ok_or_else(bad)?;
            records = &records[length..];
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"path" | b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(ascii(value)?),
            b"uid" => self.uid = Some(ascii(value)?),
            b"gid" => self.gid = Some(ascii(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.realsize" => self.sparse_size = Some(ascii(value)?),
            // Versions 0.0 and 0.1 have their map here and not in the content; GNU tar has not written them since 2006.
            b"GNU.sparse.map" | b"GNU.sparse.offset" => return None,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

/// Seconds with a fraction.
fn time(value: &[u8]) -> Option<(i64, i64)> {
    let text = std::str::from_utf8(value).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((seconds.parse().ok()?, digits.parse().ok()?))
}

fn ascii<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A name of GNU's ends with a zero byte.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn check(pieces: &[Piece], size: u64) -> io::Result<()> {
    let mut end = 0;
    for piece in pieces {
        let next = piece.offset.checked_add(piece.length).filter(|_| piece.offset >= end);
        end = next.filter(|next| *next <= size).ok_or_else(|| damaged("a sparse member's map is wrong"))?;
    }
    Ok(())
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

fn skip(reader: &mut impl BufRead, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let portion = reader.fill_buf()?.len();
        if portion == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let skipped = portion.min(usize::try_from(length).unwrap_or(usize::MAX));
        reader.consume(skipped);
        length -= skipped as u64;
    }
    Ok(())
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the archive is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_end_is_kept_whole() {
        let records = b"34 SCHILY.xattr.user.note=a\n\nb=c \n20 mtime=1000000.25\n";
        let pax = Pax::parse(records).unwrap();
        assert_eq!(pax.xattrs, [(b"user.note".to_vec(), b"a\n\nb=c ".to_vec())]);
        assert_eq!(pax.mtime, Some((1_000_000, 250_000_000)));
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for records in [&b"99 path=x\n"[..], b"3 path=x\n", b"path=x\n", b"10 path=x", b"0 =\n"] {
            assert!(Pax::parse(records).is_err(), "{records:?}");
        }
    }

    #[test]
    fn a_map_that_overlaps_or_is_too_long_is_refused() {
        let piece = |offset, length| Piece { offset, length };
        check(&[piece(0, 4), piece(8, 2)], 10).unwrap();
        check(&[piece(0, 4), piece(3, 2)], 10).unwrap_err();
        check(&[piece(8, 3)], 10).unwrap_err();
        check(&[piece(u64::MAX, 2)], u64::MAX).unwrap_err();
    }
}
