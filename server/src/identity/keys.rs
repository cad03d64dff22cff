//! Key files: made once, read at every start.

use std::{
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::Error;

/// Reads a secret file, or makes it with what `make` gives, unless it must be there. A file that others may read is refused.
pub(super) fn read_or_make(
    path: &Path,
    must_exist: bool,
    make: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let file = |attempt| move |source| Error::File { attempt, path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let source = std::io::Error::other(
                "others may read it; run `chmod 600` on it, or replace the key if it was exposed",
            );
            Err(Error::File { attempt: "trusting the key file", path: path.to_owned(), source })
        }
        Ok(_) => std::fs::read(path).map_err(file("reading")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && must_exist => {
            let source = std::io::Error::other(
                "it is gone, but the ca.pem that belongs to it is here: put the directory `keys` back from a backup; \
                 only if there is none, remove ca.pem, and enrol every client again",
            );
            Err(Error::File { attempt: "finding the key file", path: path.to_owned(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let content = make()?;
            write(path, &content, 0o600).map_err(file("writing"))?;
            Ok(content)
        }
        Err(source) => Err(Error::File { attempt: "reading", path: path.to_owned(), source }),
    }
}

/// Writes a file atomically and durably.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let directory = path.parent().ok_or_else(|| std::io::Error::other("the path has no directory"))?;
    std::fs::create_dir_all(directory)?;
    let partial = path.with_extension("partial");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    std::fs::File::open(directory)?.sync_all()
}
