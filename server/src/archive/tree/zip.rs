//! Reads a ZIP archive. Names are UTF-8; what was made under Unix keeps its modes and links.

use std::{
    fs::File,
    io::{BufReader, Read},
};

use ::zip::{ZipArchive, result::ZipError};

use super::{Content, Error, MOST_ENTRIES, Reading, broken, unfit};

/// No link is longer (`PATH_MAX`).
const LONGEST_LINK: u64 = 4096;

fn damaged(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => broken(error),
        other => unfit(format!("it cannot be read: {other}")),
    }
}

/// Reads an archive.
pub(super) fn read(archive: &mut File, reading: &mut Reading<'_>) -> Result<(), Error> {
    let mut archive = ZipArchive::new(BufReader::new(archive)).map_err(damaged)?;
    if archive.len() > MOST_ENTRIES {
        return Err(unfit(format!("it has more than {MOST_ENTRIES} files")));
    }
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(damaged)?;
        let path = std::str::from_utf8(entry.name_raw())
            .map_err(|_| unfit(format!("{}: a name is no UTF-8", String::from_utf8_lossy(entry.name_raw()))))?
            .to_owned();
        let mode = entry.unix_mode().unwrap_or(if entry.is_dir() { 0o755 } else { 0o644 });
        let content = if entry.is_dir() {
            Content::Folder
        } else if entry.is_symlink() {
            let mut target = String::new();
            (&mut entry).take(LONGEST_LINK).read_to_string(&mut target).map_err(broken)?;
            Content::Link(target)
        } else {
            reading.keep(&mut entry)?
        };
        // Its times are those of some clock on some wall.
        reading.take(&path, mode, 0, content)?;
    }
    Ok(())
}
