//! Unpacks a base-system archive into the target while its hash is checked; a wrong hash takes everything away again.
//!
//! Invariant: when the step ends well, the target holds what the archive holds and nothing else.
//!
//! Three things happen at once: the download with its hash, decompression, writing.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use bytes::{Buf, Bytes};
use wire::enrol::BlobRef;

use super::{StepContext, StepError, download};
use crate::disk::usage;

mod archive;
mod decompress;
mod tree;

/// Pieces between network and disk.
const PIECES: usize = 64;
/// What file systems give out at a time; every file wastes half of it.
const CLUSTER: u64 = 4096;

/// Unpacks the archive.
pub(super) async fn execute(ctx: &StepContext<'_>, blob: &BlobRef) -> Result<(), StepError> {
    ctx.say(&format!("unpacking the base system ({} MB packed)", blob.size_bytes / 1_000_000));
    // An attempt that broke off was never checked against its hash: whoever is on the way of the bytes may have put files into it that
    // the archive does not have, and that unpacking it again would leave where they are.
    empty(ctx)?;
    let (sink, source) = tokio::sync::mpsc::channel::<Bytes>(PIECES);
    let (unpacker, target) = (ctx.host.unpacker(), ctx.target.to_owned());
    let unpacking = tokio::task::spawn_blocking(move || {
        unpacker(Box::new(Pieces { source, piece: Bytes::new() }), &target)
    });
    let sent = download::stream(ctx, blob, &sink).await;
    drop(sink);
    let unpacked =
        unpacking.await.map_err(|error| StepError::Permanent(anyhow!("unpacking broke down: {error}")))?;
    // What the download says comes first: a damaged or cut archive cannot be unpacked either.
    match (sent, unpacked) {
        (Err(error @ StepError::Permanent(_)), _) => {
            ctx.say("the archive is not the one that the plan names: taking it away again");
            empty(ctx)?;
            Err(download::fetching("the base system")(error))
        }
        (Err(error), _) => Err(download::fetching("the base system")(error)),
        (Ok(()), Err(error)) => Err(StepError::Permanent(
            anyhow::Error::from(error).context(format!("unpacking into {}", ctx.target.display())),
        )),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// Removes everything below the target, but not the places where something is mounted, and nothing of what is no file system of a disk:
/// after an agent that was killed there, devices and the firmware's variables are reached below the target.
fn empty(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let mounted = usage::mounted(ctx.host)?;
    let is_foreign = |path: &Path| {
        let on_top = mounted.iter().rev().find(|mounted| mounted.place == path);
        on_top.is_some_and(|mounted| !mounted.source.starts_with("/dev"))
    };
    let mut waiting = vec![ctx.target.to_owned()];
    while let Some(directory) = waiting.pop() {
        for name in ctx.host.list(&directory)? {
            let path: PathBuf = directory.join(name);
            if is_foreign(&path) {
                continue;
            }
            if mounted.iter().any(|mounted| mounted.place.starts_with(&path)) {
                waiting.push(path);
            } else {
                ctx.host.remove(&path)?;
            }
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

/// Writes the members of an archive (tar, zstd) below `target`: owners by number, modes, times, hard links, device nodes, extended
/// attributes, holes. What is there already is replaced. Nothing is written outside `target`; everything is on the disk at the end.
///
/// # Errors
/// The archive is damaged, or the disk refuses; when it is full, the reason says how much the archive needs.
pub fn unpack_archive(packed: Box<dyn Read + Send>, target: &Path) -> io::Result<()> {
    std::thread::scope(|threads| {
        let content = decompress::beside(threads, packed)?;
        let mut archive = archive::Archive::new(content);
        let mut tree = tree::Tree::new(target)?;
        let mut written = 0;
        while let Some(member) = archive.next()? {
            let (name, size) = (member.path.clone(), space(&member));
            if let Err(error) = tree.write(member, &mut archive) {
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                let error = tree::in_member(&name, &error);
                return Err(if full {
                    too_small(&error, &tree, &mut archive, written + size)
                } else {
                    error
                });
            }
            written += size;
        }
        tree.finish()
    })
}

fn space(member: &archive::Member) -> u64 {
    member.pieces.iter().map(|piece| piece.length.next_multiple_of(CLUSTER)).sum()
}

/// Reads the archive to its end to say how much it needs.
fn too_small<R: io::BufRead>(
    error: &io::Error,
    tree: &tree::Tree,
    archive: &mut archive::Archive<R>,
    written: u64,
) -> io::Error {
    let mut needed = written;
    while let Ok(Some(member)) = archive.next() {
        needed += space(&member);
    }
    let has = tree.capacity().unwrap_or(0) / 1_000_000;
    let needed = needed.div_ceil(1_000_000);
    let sentence = format!(
        "{error}; the system needs {needed} MB and free space besides, the file system of the target has {has} MB in all: choose a \
         layout with more room"
    );
    io::Error::new(error.kind(), sentence)
}

#[cfg(test)]
mod tests;
