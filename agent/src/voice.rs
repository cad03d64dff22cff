//! What a step says becomes events in the spool.

use std::sync::{Mutex, PoisonError};

use wire::{
    event::{EventKind, Stream},
    package_work::Transaction,
};

use crate::{host::Host, spool::Spool, steps::Voice};

/// Two messages about the same percentage are at least this far apart.
const PROGRESS_INTERVAL_US: i64 = 1_000_000;

/// The voice of one step of one attempt.
pub struct SpoolVoice<'a> {
    spool: &'a Spool,
    host: &'a dyn Host,
    step: &'a str,
    said: Mutex<Option<(u8, i64)>>,
}

impl<'a> SpoolVoice<'a> {
    /// Speaks for the step with this id.
    pub fn new(spool: &'a Spool, host: &'a dyn Host, step: &'a str) -> Self {
        Self { spool, host, step, said: Mutex::new(None) }
    }
}

impl Voice for SpoolVoice<'_> {
    fn line(&self, stream: Stream, line: &str) {
        let kind = EventKind::Output { step: self.step.to_owned(), stream, line: line.to_owned() };
        self.spool.push(self.host.now(), kind);
    }

    fn transaction(&self, is_preview: bool, transaction: &Transaction) {
        let (step, transaction) = (self.step.to_owned(), transaction.clone());
        self.spool.push(self.host.now(), EventKind::Transaction { step, is_preview, transaction });
    }

    fn progress(&self, percent: u8, message: &str) {
        let now = self.host.now();
        let percent = percent.min(100);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = said.is_none_or(|(last, at)| percent != last || now >= at + PROGRESS_INTERVAL_US);
        if is_news {
            *said = Some((percent, now));
            let kind =
                EventKind::Progress { step: self.step.to_owned(), percent, message: message.to_owned() };
            self.spool.push(now, kind);
        }
    }
}
