//! Events of one attempt between the step that says them and the server that stores them, on disk.
//!
//! Segments of JSON lines, named after the number of their first event. Invariants: numbers grow by one from 1 and never
//! start over, also after a power cut, because an event is synced before it is sent; memory holds at most one batch and
//! 64 KiB of fresh lines; whoever sends looks at [`Spool::is_congested`] before it makes more.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use tokio::sync::Notify;
use wire::event::{Event, EventKind};

use crate::host::{self, Host};

const SEGMENT_BYTES: u64 = 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;
/// Most events of one report.
pub const BATCH_EVENTS: usize = 500;
/// Most bytes of one report.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Why the spool cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be read or written.
    #[error("keeping the spool of events")]
    Store(#[source] host::Error),
}

/// The events of one attempt.
pub struct Spool {
    host: Arc<dyn Host>,
    dir: PathBuf,
    limit_bytes: u64,
    state: Mutex<State>,
    fresh: Notify,
}

struct State {
    segments: Vec<Segment>,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
    fresh_lines: u64,
    is_synced: bool,
    last_seq: u64,
    stored_seq: u64,
    is_finished: bool,
    /// Where the next batch begins: a place in the first segment.
    read_offset: u64,
    /// Number and end (in the first segment) of each event of the batch that was handed out.
    handed_out: Vec<(u64, u64)>,
    congested: Option<Waker>,
}

struct Segment {
    path: PathBuf,
    length: u64,
}

impl Spool {
    /// Opens the spool of an attempt where it was left, or a new one. `limit_bytes`: more than that waiting is congestion.
    pub fn open(host: &Arc<dyn Host>, dir: PathBuf, limit_bytes: u64) -> Result<Self, Error> {
        let mut names: Vec<u64> = host
            .list(&dir)
            .map_err(Error::Store)?
            .iter()
            .filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok())
            .collect();
        names.sort_unstable();
        let mut state = State {
            segments: Vec::new(),
            buffer: Vec::new(),
            fresh_lines: 0,
            is_synced: true,
            last_seq: names.last().map_or(0, |first| first.saturating_sub(1)),
            stored_seq: names.first().map_or(0, |first| first.saturating_sub(1)),
            is_finished: false,
            read_offset: 0,
            handed_out: Vec::new(),
            congested: None,
        };
        for (index, first) in names.iter().enumerate() {
            let path = dir.join(segment_name(*first));
            let is_last = index + 1 == names.len();
            let length =
                if is_last { state.recover(host.as_ref(), &path)? } else { length(host.as_ref(), &path)? };
            state.segments.push(Segment { path, length });
        }
        Ok(Self { host: host.clone(), dir, limit_bytes, state: Mutex::new(state), fresh: Notify::new() })
    }

    /// Removes the spool of an attempt that is over.
    pub fn remove(host: &dyn Host, dir: &Path) -> Result<(), Error> {
        host.remove(dir).map_err(Error::Store)
    }

    /// Adds an event. It is in the file after [`Spool::sync`] or once it is handed out.
    pub fn push(&self, at: i64, kind: EventKind) {
        let mut state = self.state();
        state.is_finished = matches!(kind, EventKind::Finished { .. });
        state.last_seq += 1;
        let event = Event { seq: state.last_seq, at, kind };
        match serde_json::to_writer(&mut state.buffer, &event) {
            Ok(()) => {
                state.buffer.push(b'\n');
                state.fresh_lines += 1;
            }
            // Plain types of texts and numbers always can be written.
            Err(error) => tracing::error!(%error, "an event cannot be written as JSON"),
        }
        if state.buffer.len() >= BUFFER_BYTES
            && let Err(error) = self.write_out(&mut state)
        {
            // The lines stay in memory and are written with the next ones; congestion stops the step meanwhile.
            tracing::warn!(%error, "the spool cannot be written");
        }
        drop(state);
        self.fresh.notify_one();
    }

    /// Makes everything said so far safe from a power cut.
    pub fn sync(&self) -> Result<(), Error> {
        let mut state = self.state();
        self.write_out(&mut state)?;
        if let (false, Some(segment)) = (state.is_synced, state.segments.last()) {
            self.host.sync(&segment.path).map_err(Error::Store)?;
            state.is_synced = true;
        }
        Ok(())
    }

    /// The next events to send, at most [`BATCH_EVENTS`] and [`BATCH_BYTES`]; the same ones until they are acknowledged.
    ///
    /// On a full disk events go from memory to the server: telling about it is worth more than surviving a power cut.
    pub fn next_batch(&self) -> Result<Vec<Event>, Error> {
        if let Err(error) = self.sync() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the spool cannot be written");
        }
        let mut state = self.state();
        loop {
            let Some(segment) = state.segments.first() else { return Ok(state.fresh_events()) };
            let bytes =
                self.host.read_at(&segment.path, state.read_offset, BATCH_BYTES).map_err(Error::Store)?;
            let (events, handed_out, skipped) = parse(&bytes, state.read_offset, state.stored_seq);
            state.handed_out = handed_out;
            if !events.is_empty() {
                return Ok(events);
            }
            // All of it is stored already (the server knew more than we remembered), or the segment is at its end.
            let is_last = state.segments.len() == 1;
            if skipped > 0 {
                state.read_offset += skipped;
            } else if is_last {
                return Ok(state.fresh_events());
            } else {
                self.drop_first(&mut state)?;
            }
        }
    }

    /// The server has stored every event up to this number.
    pub fn acknowledge(&self, stored_seq: u64) -> Result<(), Error> {
        let mut state = self.state();
        // A number beyond ours would be another attempt's; never skip what was not sent.
        let stored_seq = stored_seq.min(state.last_seq);
        state.stored_seq = state.stored_seq.max(stored_seq);
        let acknowledged =
            state.handed_out.iter().rev().find(|(seq, _)| *seq <= stored_seq).map(|(_, end)| *end);
        if let Some(end) = acknowledged {
            state.read_offset = end;
            state.handed_out.clear();
        }
        state.forget_fresh(stored_seq);
        while state.segments.len() > 1
            && state.segments.first().is_some_and(|s| state.read_offset >= s.length)
        {
            self.drop_first(&mut state)?;
        }
        if state.waiting_bytes() <= self.limit_bytes
            && let Some(waker) = state.congested.take()
        {
            waker.wake();
        }
        Ok(())
    }

    /// Waits until there is something that was not said when this was called last.
    pub async fn fresh(&self) {
        self.fresh.notified().await;
    }

    /// Every event is stored by the server, and the last one was the end of the attempt.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.is_finished && state.stored_seq >= state.last_seq
    }

    /// The last event says that the attempt ended.
    pub fn is_finished(&self) -> bool {
        self.state().is_finished
    }

    /// Too much waits to be sent; `waker` is woken when it no longer does.
    pub fn is_congested(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        let congested = state.waiting_bytes() > self.limit_bytes;
        state.congested = congested.then(|| waker.clone());
        congested
    }

    fn write_out(&self, state: &mut State) -> Result<(), Error> {
        if state.buffer.is_empty() {
            return Ok(());
        }
        if let Some(segment) = state.segments.last_mut().filter(|segment| segment.length < SEGMENT_BYTES) {
            self.host.append(&segment.path, &state.buffer).map_err(Error::Store)?;
            segment.length += state.buffer.len() as u64;
        } else {
            // The full segment must be safe before a later one exists: only the last one is checked after a crash.
            if let (false, Some(full)) = (state.is_synced, state.segments.last()) {
                self.host.sync(&full.path).map_err(Error::Store)?;
            }
            let path = self.dir.join(segment_name(state.first_fresh()));
            self.host.append(&path, &state.buffer).map_err(Error::Store)?;
            state.segments.push(Segment { path, length: state.buffer.len() as u64 });
        }
        state.buffer.clear();
        state.fresh_lines = 0;
        state.is_synced = false;
        Ok(())
    }

    fn drop_first(&self, state: &mut State) -> Result<(), Error> {
        let segment = state.segments.remove(0);
        state.read_offset = 0;
        state.handed_out.clear();
        self.host.remove(&segment.path).map_err(Error::Store)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the last segment, cuts a half line off, learns the last number. Gives the segment's length.
    fn recover(&mut self, host: &dyn Host, path: &Path) -> Result<u64, Error> {
        let content = host.read(path).map_err(Error::Store)?;
        let mut good = 0;
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice::<Event>(line) {
                Ok(event) if line.ends_with(b"\n") && event.seq > self.last_seq => {
                    self.last_seq = event.seq;
                    self.is_finished = matches!(event.kind, EventKind::Finished { .. });
                    good += line.len();
                }
                _ => break,
            }
        }
        if good < content.len() {
            host.write(path, &content[..good], 0o600).map_err(Error::Store)?;
        }
        Ok(good as u64)
    }

    /// The number of the first event that is not in a file yet.
    fn first_fresh(&self) -> u64 {
        self.last_seq + 1 - self.fresh_lines
    }

    fn fresh_events(&self) -> Vec<Event> {
        let bound = self.buffer.len().min(BATCH_BYTES);
        parse(&self.buffer[..bound], 0, self.stored_seq).0
    }

    /// Drops lines that were sent from memory.
    fn forget_fresh(&mut self, stored_seq: u64) {
        let stored = (stored_seq + 1).saturating_sub(self.first_fresh());
        for _ in 0..stored.min(self.fresh_lines) {
            let end =
                self.buffer.iter().position(|byte| *byte == b'\n').map_or(self.buffer.len(), |end| end + 1);
            self.buffer.drain(..end);
            self.fresh_lines -= 1;
        }
    }

    fn waiting_bytes(&self) -> u64 {
        let written: u64 = self.segments.iter().map(|segment| segment.length).sum();
        (written + self.buffer.len() as u64).saturating_sub(self.read_offset)
    }
}

fn length(host: &dyn Host, path: &Path) -> Result<u64, Error> {
    host.read(path).map(|content| content.len() as u64).map_err(Error::Store)
}

fn segment_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// Events of whole lines that are not stored yet, the place where each ends, and the bytes of stored ones before them.
fn parse(bytes: &[u8], offset: u64, stored_seq: u64) -> (Vec<Event>, Vec<(u64, u64)>, u64) {
    let (mut events, mut ends, mut end, mut skipped) = (Vec::new(), Vec::new(), offset, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        end += line.len() as u64;
        match serde_json::from_slice::<Event>(line) {
            Ok(event) if event.seq > stored_seq => {
                ends.push((event.seq, end));
                events.push(event);
            }
            Ok(_) => skipped = end - offset,
            Err(error) => tracing::error!(%error, "an event in the spool cannot be read"),
        }
        if events.len() == BATCH_EVENTS {
            break;
        }
    }
    (events, ends, skipped)
}

#[cfg(test)]
mod tests;
