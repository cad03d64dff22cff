//! Decompression on a thread of its own, so that it and the writing of files use two processors.

use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, sync_channel},
    thread::Scope,
};

/// Bytes of one portion, and how many may wait.
const PORTION: usize = 256 * 1024;
const WAITING: usize = 8;

/// What comes out of the archive.
pub(super) struct Content {
    portions: Receiver<io::Result<Vec<u8>>>,
    portion: Vec<u8>,
    taken: usize,
}

/// Starts decompressing; it ends with the archive, or when nobody reads any more.
pub(super) fn beside<'scope>(
    threads: &'scope Scope<'scope, '_>,
    packed: Box<dyn Read + Send>,
) -> io::Result<Content> {
    let (sink, portions) = sync_channel(WAITING);
    std::thread::Builder::new().name("decompress".to_owned()).spawn_scoped(threads, move || {
        let mut decoder = match zstd::Decoder::new(packed) {
            Ok(decoder) => decoder,
            // A receiver that has gone wants to know nothing.
            Err(error) => return drop(sink.send(Err(error))),
        };
        loop {
            let mut portion = Vec::with_capacity(PORTION);
            let read = (&mut decoder).take(PORTION as u64).read_to_end(&mut portion);
            let is_end = read.as_ref().map_or(true, |length| *length == 0);
            if sink.send(read.map(|_| portion)).is_err() || is_end {
                return;
            }
        }
    })?;
    Ok(Content { portions, portion: Vec::new(), taken: 0 })
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.portion.len() {
            // A thread that is gone has sent the end or its error before.
            self.portion = self.portions.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            self.taken = 0;
        }
        Ok(&self.portion[self.taken..])
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
