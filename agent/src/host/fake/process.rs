//! What really ran on a fake machine, and when: what a server believes can be compared with it.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::event::Stream;

use super::FakeHost;
use crate::host::Command;

/// Begins and ends of processes so far, so that they have one order among all machines of a process.
static MOMENTS: AtomicU64 = AtomicU64::new(1);

/// A process of a [`FakeHost`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeProcess {
    /// How it was started.
    pub command: Command,
    /// The content of the file that its last word names; empty when there is none.
    pub script: String,
    /// When it began: a place in the order of all begins and ends.
    pub began: u64,
    /// When and how it ended; `None` while it runs.
    pub ended: Option<(u64, FakeEnd)>,
    /// Its lines so far.
    pub printed: Vec<(Stream, String)>,
}

/// How a process of a [`FakeHost`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeEnd {
    /// By itself, with this status.
    Status(i32),
    /// The agent stopped it.
    Stopped,
    /// It went down with its agent or machine.
    Killed,
}

/// A process that runs. Dropped before it has ended, it was killed.
pub(super) struct Running<'a> {
    host: &'a FakeHost,
    index: usize,
}

impl<'a> Running<'a> {
    pub(super) fn begin(host: &'a FakeHost, command: &Command) -> Self {
        let script = command.argv.last().map(|path| host.text(path)).unwrap_or_default();
        let process =
            FakeProcess { command: command.clone(), script, began: moment(), ..FakeProcess::default() };
        let mut state = host.state();
        state.processes.push(process);
        Self { host, index: state.processes.len() - 1 }
    }

    pub(super) fn print(&self, stream: Stream, line: &str) {
        self.host.state().processes[self.index].printed.push((stream, line.to_owned()));
    }

    pub(super) fn end(&self, end: FakeEnd) {
        self.host.state().processes[self.index].ended.get_or_insert_with(|| (moment(), end));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.end(FakeEnd::Killed);
    }
}

fn moment() -> u64 {
    MOMENTS.fetch_add(1, Ordering::Relaxed)
}
