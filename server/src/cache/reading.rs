//! Gives a file to a client in large pieces, also while it still grows.
//!
//! What the kernel has in memory is read at once, without another thread; only what has to come from the disk is waited for elsewhere.
//! Pieces are used again, so many readers do not make the memory grow and shrink.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::sync::watch;

use super::{flight::Progress, store::Opened, upstream::Mirror};

/// One piece: large enough that the work for each does not count, small enough for hundreds of readers.
pub(super) const PIECE: usize = 128 << 10;
/// Pieces that are kept to be used again.
const KEPT: usize = 64;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// What is given: a file that is there, or one that grows.
#[derive(Clone, Debug)]
pub enum Source {
    /// It is stored.
    Stored(Opened),
    /// It is being transferred.
    Growing(watch::Receiver<Progress>),
}

/// A piece of a file; its memory is used again.
struct Piece {
    memory: Box<[u8]>,
    length: usize,
}

impl Piece {
    fn new() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { memory: free.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice()), length: 0 }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

/// The bytes of a range; an error in place of the rest when the transfer fails.
pub fn pieces(
    source: Source,
    range: Range<u64>,
    mirror: Arc<Mirror>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((source, range.start), move |(mut source, at)| {
        let (end, mirror) = (range.end, Arc::clone(&mirror));
        async move {
            if at >= end {
                return Ok(None);
            }
            let (file, safe) = source.reaches(at).await?;
            let most = usize::try_from(safe.min(end) - at).unwrap_or(PIECE).min(PIECE);
            let piece = read(file, at, most).await?;
            let length = piece.length as u64;
            mirror.counts.served.fetch_add(length, Ordering::Relaxed);
            Ok(Some((Bytes::from_owner(piece), (source, at + length))))
        }
    })
}

impl Source {
    /// Waits until more than `at` bytes may be passed on.
    async fn reaches(&mut self, at: u64) -> io::Result<(Arc<File>, u64)> {
        let progress = match self {
            Self::Stored(opened) => return Ok((Arc::clone(&opened.file), opened.size)),
            Self::Growing(progress) => progress,
        };
        let found = progress.wait_for(|progress| progress.safe > at || progress.ended.is_some()).await;
        let found = found.map_err(|_| io::Error::other("the transfer was given up"))?.clone();
        match found.ended {
            Some(Ok(opened)) => {
                let reached = (Arc::clone(&opened.file), opened.size);
                *self = Self::Stored(opened);
                Ok(reached)
            }
            Some(Err(failure)) => Err(io::Error::other(failure)),
            None => found
                .file
                .map(|file| (file, found.safe))
                .ok_or_else(|| io::Error::other("a transfer without a file")),
        }
    }
}

async fn read(file: Arc<File>, at: u64, most: usize) -> io::Result<Piece> {
    let mut piece = Piece::new();
    let memory = &mut piece.memory[..most];
    match rustix::io::preadv2(&*file, &mut [IoSliceMut::new(memory)], at, ReadWriteFlags::NOWAIT) {
        Ok(read) if read > 0 => {
            piece.length = read;
            return Ok(piece);
        }
        // It is not in memory, or this file system does not say.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let read = move || {
        piece.length = file.read_at(&mut piece.memory[..most], at)?;
        if piece.length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        Ok(piece)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn memory_is_used_again_and_a_short_file_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &vec![7; PIECE + 10]).unwrap();
        let file = Arc::new(file);
        let mut sizes = Vec::new();
        for at in [0, PIECE as u64] {
            let piece = read(Arc::clone(&file), at, PIECE).await.unwrap();
            sizes.push(piece.length);
            assert!(piece.as_ref().iter().all(|byte| *byte == 7));
        }
        assert_eq!(sizes, [PIECE, 10]);
        assert!(!FREE.lock().unwrap().is_empty());
        let gone = read(file, 2 * PIECE as u64, PIECE).await;
        assert_eq!(gone.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn readers_of_a_growing_file_get_no_byte_that_may_not_be_passed_on() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        let began = Progress { size: Some(10), safe: 4, file: Some(Arc::new(file)), ..Progress::default() };
        let (progress, watched) = watch::channel(began);
        let clock = crate::clock::Clock::system();
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let mirror = Mirror::new(
            "m",
            "http://127.0.0.1:1",
            reqwest::Client::builder().build().unwrap(),
            clock,
            Arc::default(),
        );
        let mut pieces = Box::pin(pieces(Source::Growing(watched), 0..10, Arc::new(mirror)));
        assert_eq!(pieces.try_next().await.unwrap().unwrap(), "0123");
        let failure = crate::cache::Failure::NotPlain;
        progress.send_modify(|progress| progress.ended = Some(Err(failure)));
        pieces.try_next().await.unwrap_err();
    }
}
