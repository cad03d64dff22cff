//! Files of the real machine: atomic writing, appending, reading pieces.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::Extent;

pub(super) fn read_at(path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut content = Vec::new();
    file.take(length as u64).read_to_end(&mut content)?;
    Ok(content)
}

pub(super) fn list(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = entries
        .map(|entry| {
            // A name that is changed on the way names nothing any more, and who removes what is listed would leave it there.
            let unreadable = |name: OsString| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the name {} is no UTF-8", name.display()))
            };
            entry?.file_name().into_string().map_err(unreadable)
        })
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// From what a change cannot leave as it is: inode, length, time of the last change (stat(2)).
pub(super) fn stamp(path: &Path) -> u64 {
    let Ok(found) = fs::metadata(path) else { return 0 };
    let parts = [found.ino(), found.len(), found.mtime().cast_unsigned(), found.mtime_nsec().cast_unsigned()];
    // FNV-1a, over numbers.
    parts
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, part| (hash ^ part).wrapping_mul(0x0100_0000_01b3))
        .max(1)
}

pub(super) fn extent(path: &Path) -> Option<Extent> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Extent { number: found.ino(), length_bytes: found.len() })
}

pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // Two writers of one file in one process must not share the temporary file.
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
    };
    fs::create_dir_all(dir)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(".{}.{}-{number}.new", name.to_string_lossy(), std::process::id()));
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sync_dir(dir)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // A left-over of an agent with the same process id, before a reboot.
    fs::remove_file(path).ok();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

pub(super) fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            open()?
        }
        file => file?,
    };
    let length = file.metadata()?.len();
    file.write_all(content).inspect_err(|_| {
        // Half a line would garble the next one; when even this fails, readers still skip what they cannot parse.
        file.set_len(length).ok();
    })
}

pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
