//! Unpacks a base-system archive into the target while its hash is checked; a wrong hash takes everything away again.

use std::{io::Read, path::Path};

use anyhow::anyhow;
use bytes::{Buf, Bytes};
use wire::enrol::BlobRef;

use super::{StepContext, StepError, download};

/// Pieces between network and disk.
const PIECES: usize = 64;

/// Unpacks the archive.
pub(super) async fn execute(ctx: &StepContext<'_>, blob: &BlobRef) -> Result<(), StepError> {
    ctx.say(&format!("unpacking the base system ({} MB packed)", blob.size_bytes / 1_000_000));
    let (sink, source) = tokio::sync::mpsc::channel::<Bytes>(PIECES);
    let (unpacker, target) = (ctx.host.unpacker(), ctx.target.to_owned());
    let unpacking = tokio::task::spawn_blocking(move || {
        unpacker(Box::new(Pieces { source, piece: Bytes::new() }), &target)
    });
    let sent = download::stream(ctx, blob, &sink).await;
    drop(sink);
    let unpacked =
        unpacking.await.map_err(|error| StepError::Permanent(anyhow!("unpacking broke down: {error}")))?;
    match (sent, unpacked) {
        (Ok(()), Ok(())) => Ok(()),
        // A full disk ends the receiver first; that is the reason, not that nobody listens any more.
        (Ok(()) | Err(StepError::Stopped), Err(error)) if !ctx.stop.is_cancelled() => {
            Err(StepError::Permanent(
                anyhow::Error::from(error).context(format!("unpacking into {}", ctx.target.display())),
            ))
        }
        (Err(error @ StepError::Permanent(_)), _) => {
            ctx.say("the archive is not the one that the plan names: taking it away again");
            empty(ctx)?;
            Err(download::fetching("the base system")(error))
        }
        (Err(error), _) => Err(download::fetching("the base system")(error)),
        (Ok(()), Err(error)) => Err(StepError::Permanent(error.into())),
    }
}

/// Removes what was unpacked, but not what is mounted below.
fn empty(ctx: &StepContext<'_>) -> Result<(), StepError> {
    for name in ctx.host.list(ctx.target)? {
        if !["lost+found", "boot", "home"].contains(&name.as_str()) {
            ctx.host.remove(&ctx.target.join(name))?;
        }
    }
    Ok(())
}

/// What arrives, as something that can be read.
struct Pieces {
    source: tokio::sync::mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.source.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Writes the members of an archive (tar, zstd) below `target`: owners by number, modes, times, hard links, extended attributes. Device
/// nodes are left out, since every system makes its own. Nothing is written outside `target`.
///
/// # Errors
/// The archive is damaged, or the disk refuses.
pub fn unpack_archive(archive: Box<dyn Read + Send>, target: &Path) -> std::io::Result<()> {
    let in_archive = |path: &Path, error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let mut archive = tar::Archive::new(zstd::Decoder::new(archive)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    let mut directories = Vec::new();
    for member in archive.entries()? {
        let mut member = member?;
        let kind = member.header().entry_type();
        let path = member.path()?.into_owned();
        if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
            continue;
        }
        if !member.unpack_in(target).map_err(|error| in_archive(&path, error))? {
            return Err(std::io::Error::other(format!(
                "the archive has a member outside the target: {}",
                path.display()
            )));
        }
        // Writing into a directory changes its time, and its mode may forbid writing: both are set again at the end.
        if kind.is_dir() {
            directories.push((path, member.header().mode()?, member.header().mtime()?));
        }
    }
    for (path, mode, mtime) in directories.into_iter().rev() {
        use std::os::unix::fs::PermissionsExt;
        let path = target.join(path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| in_archive(&path, error))?;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime);
        std::fs::File::open(&path)
            .and_then(|directory| directory.set_times(std::fs::FileTimes::new().set_modified(time)))
            .map_err(|error| in_archive(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn archive(
        build: impl FnOnce(&mut tar::Builder<zstd::Encoder<'static, Vec<u8>>>),
    ) -> Box<dyn Read + Send> {
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

    #[test]
    fn files_links_and_modes_come_out_as_they_went_in() {
        let target = tempfile::tempdir().unwrap();
        let packed = archive(|tar| {
            tar.append_data(&mut header(tar::EntryType::Directory, 0o555, 0), "etc", &[][..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Regular, 0o640, 3), "etc/a", &b"abc"[..]).unwrap();
            tar.append_link(&mut header(tar::EntryType::Link, 0o640, 0), "etc/b", "etc/a").unwrap();
            tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "etc/c", "/etc/a").unwrap();
            tar.append_data(&mut header(tar::EntryType::Char, 0o666, 0), "etc/null", &[][..]).unwrap();
            let long = format!("etc/{}", "n".repeat(180));
            tar.append_data(&mut header(tar::EntryType::Regular, 0o644, 1), long, &b"x"[..]).unwrap();
        });
        unpack_archive(packed, target.path()).unwrap();
        let etc = target.path().join("etc");
        let metadata = std::fs::metadata(etc.join("a")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink(), metadata.mtime()), (0o640, 2, 1_000_000));
        assert_eq!(std::fs::metadata(&etc).unwrap().mode() & 0o7777, 0o555);
        assert_eq!(std::fs::read_link(etc.join("c")).unwrap(), Path::new("/etc/a"));
        assert!(!etc.join("null").exists());
        assert!(etc.join("n".repeat(180)).exists());
        std::fs::set_permissions(&etc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
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
}
