//! The files of an archive that somebody made, as they would be on a client: read from a tar archive, packed or not, or from a ZIP archive.
//!
//! Invariants: every path is below the root and goes through no link; what is no file, folder or link is refused; not more is read than
//! [`LARGEST_CONTENT`] bytes in [`MOST_ENTRIES`] entries. Contents lie in one file without a name, so nothing has to be cleared away.

mod zip;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom},
    path::Path,
};

use tar::EntryType;

use super::packing::Packing;
use crate::domain::package_build::{PackageBuild, led_to, place};

/// Most bytes of all contents.
const LARGEST_CONTENT: u64 = 1 << 30;
/// Most entries.
const MOST_ENTRIES: usize = 50_000;
/// What files may be allowed to whom: never that group or others write.
const MODES: u32 = 0o755;
/// The bits that let a program run as another user or group.
const SETUID: u32 = 0o6000;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What stands in it, or how it is made.
    #[error("{0}")]
    Unfit(String),
    /// It cannot be read, or its contents cannot be kept.
    #[error("reading the files of an archive")]
    Io(#[from] io::Error),
}

fn unfit(why: impl Into<String>) -> Error {
    Error::Unfit(why.into())
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Folder,
    /// A part of the file of contents.
    File {
        start: u64,
        length: u64,
    },
    /// A symbolic link.
    Link(String),
}

/// A place and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    /// Seconds since the Unix epoch; 0: nobody knows.
    pub(super) modified_s: u64,
    pub(super) content: Content,
}

/// All of them, by path without the slash at the beginning, folders before what they hold.
pub struct Tree {
    pub(super) entries: BTreeMap<String, Entry>,
    contents: File,
}

impl Tree {
    /// Reads an archive; contents are put into a file without a name in a directory.
    ///
    /// # Errors
    /// [`Error`]
    pub fn read(archive: &mut File, build: &PackageBuild, directory: &Path) -> Result<Self, Error> {
        let mut reading = Reading::new(build, tempfile::tempfile_in(directory)?);
        let mut beginning = [0; 8];
        archive.seek(SeekFrom::Start(0))?;
        let count = archive.read(&mut beginning)?;
        archive.seek(SeekFrom::Start(0))?;
        let beginning = beginning.get(..count).unwrap_or_default();
        if beginning.starts_with(b"PK") {
            zip::read(archive, &mut reading)?;
        } else {
            tar(Packing::of_beginning(beginning).unpack(BufReader::new(archive))?, &mut reading)?;
        }
        reading.finish()
    }

    /// The content of a file.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn content(&self, start: u64, length: u64) -> io::Result<impl Read> {
        let mut contents = &self.contents;
        contents.seek(SeekFrom::Start(start))?;
        Ok(contents.take(length))
    }
}

/// A tree that is being read.
struct Reading<'a> {
    build: &'a PackageBuild,
    entries: BTreeMap<String, Entry>,
    contents: BufWriter<File>,
    written: u64,
}

impl<'a> Reading<'a> {
    fn new(build: &'a PackageBuild, contents: File) -> Self {
        Self { build, entries: BTreeMap::new(), contents: BufWriter::new(contents), written: 0 }
    }

    /// Takes one entry; a later one of the same path takes its place.
    fn take(&mut self, path: &str, mode: u32, modified_s: u64, content: Content) -> Result<(), Error> {
        let at = place(&self.build.below, path).map_err(unfit)?;
        if at.is_empty() {
            return Ok(());
        }
        if self.entries.len() >= MOST_ENTRIES {
            return Err(unfit(format!("it has more than {MOST_ENTRIES} files")));
        }
        let mode = match &content {
            Content::Folder => mode & MODES | 0o700,
            Content::Link(_) => 0o777,
            Content::File { .. } if mode & SETUID == 0 => mode & MODES | 0o600,
            Content::File { .. } if self.build.setuid => mode & (MODES | SETUID) | 0o600,
            Content::File { .. } => {
                return Err(unfit(format!(
                    "{path}: it runs as another user or group (setuid, setgid), which was not asked for"
                )));
            }
        };
        self.entries.insert(at, Entry { mode, modified_s, content });
        Ok(())
    }

    /// Keeps a content.
    fn keep(&mut self, content: impl Read) -> Result<Content, Error> {
        let start = self.written;
        let left = LARGEST_CONTENT - start;
        let length = io::copy(&mut content.take(left + 1), &mut self.contents).map_err(broken)?;
        if length > left {
            return Err(unfit(format!("its files have more than {} MiB", LARGEST_CONTENT >> 20)));
        }
        self.written += length;
        Ok(Content::File { start, length })
    }

    /// The same content once more, for a hard link.
    fn again(&self, path: &str, target: &str) -> Result<Entry, Error> {
        let at = place(&self.build.below, target).map_err(unfit)?;
        match self.entries.get(&at) {
            Some(entry) if matches!(entry.content, Content::File { .. }) => Ok(entry.clone()),
            _ => Err(unfit(format!("{path}: it is a link to {target}, which does not stand before it"))),
        }
    }

    /// Adds the folders that are only named by what they hold, and looks whether all of it fits together.
    fn finish(mut self) -> Result<Tree, Error> {
        if !self.entries.values().any(|entry| !matches!(entry.content, Content::Folder)) {
            return Err(unfit("it has no files"));
        }
        let paths: Vec<String> = self.entries.keys().cloned().collect();
        for path in &paths {
            let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            for folder in above {
                let missing = || Entry { mode: 0o755, modified_s: 0, content: Content::Folder };
                let found = self.entries.entry(folder.to_owned()).or_insert_with(missing);
                if !matches!(found.content, Content::Folder) {
                    return Err(unfit(format!("{path}: {folder} is no folder")));
                }
            }
        }
        for (path, entry) in &self.entries {
            let Content::Link(target) = &entry.content else { continue };
            let there = led_to(path, target).map_err(unfit)?;
            if target.starts_with('/') && !self.entries.contains_key(&there) {
                return Err(unfit(format!("{path}: its link leads out of the package, to {target}")));
            }
        }
        let newest = self.entries.values().map(|entry| entry.modified_s).max().unwrap_or(0).max(OLDEST_S);
        for entry in self.entries.values_mut().filter(|entry| entry.modified_s < OLDEST_S) {
            entry.modified_s = newest;
        }
        let contents = self.contents.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Tree { entries: self.entries, contents })
    }
}

/// 2000-01-01: tar(1) calls what is much older implausible.
const OLDEST_S: u64 = 946_684_800;

/// Reading breaks off where the archive is damaged; what the disk refuses looks the same here.
fn broken(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::Io(error),
        _ => unfit(format!("it cannot be read: {error}")),
    }
}

/// Reads a tar archive.
fn tar(plain: impl Read, reading: &mut Reading<'_>) -> Result<(), Error> {
    // What is between the contents is bounded, too.
    let most = LARGEST_CONTENT + MOST_ENTRIES as u64 * 4096;
    let mut archive = tar::Archive::new(plain.take(most));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let text = |bytes: &[u8]| {
            let named = String::from_utf8_lossy(bytes);
            let utf8 = std::str::from_utf8(bytes).map(str::to_owned);
            utf8.map_err(|_| unfit(format!("{named}: a name is no UTF-8")))
        };
        let path = text(&entry.path_bytes())?;
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().map_err(broken)?);
        let modified_s = header.mtime().unwrap_or(0);
        let target = entry.link_name_bytes().map(|name| text(&name)).transpose()?.unwrap_or_default();
        match kind {
            EntryType::XGlobalHeader => {}
            EntryType::Directory => reading.take(&path, mode, modified_s, Content::Folder)?,
            EntryType::Symlink => reading.take(&path, mode, modified_s, Content::Link(target))?,
            EntryType::Link => {
                let Entry { content, .. } = reading.again(&path, &target)?;
                reading.take(&path, mode, modified_s, content)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let content = reading.keep(entry)?;
                reading.take(&path, mode, modified_s, content)?;
            }
            _ => return Err(unfit(format!("{path}: it is no file, folder or link"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
