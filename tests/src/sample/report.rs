//! What an agent of the sample reports of an attempt.

use server::clock::SECOND;
use wire::event::{Event, EventKind, Outcome, Stream};

/// Numbers lines as an agent does.
pub(super) struct Report {
    pub(super) events: Vec<Event>,
    pub(super) at: i64,
    pub(super) step: String,
}

impl Report {
    pub(super) fn new(at: i64) -> Self {
        Self { events: Vec::new(), at, step: String::new() }
    }

    pub(super) fn add(mut self, kind: EventKind) -> Self {
        self.at += SECOND;
        self.events.push(Event { seq: self.events.len() as u64 + 1, at: self.at, kind });
        self
    }

    pub(super) fn step(mut self, step: &str) -> Self {
        step.clone_into(&mut self.step);
        self.add(EventKind::StepStarted { step: step.to_owned() })
    }

    pub(super) fn says(self, stream: Stream, lines: &str) -> Self {
        let step = self.step.clone();
        lines.lines().fold(self, |report, line| {
            report.add(EventKind::Output { step: step.clone(), stream, line: line.to_owned() })
        })
    }

    pub(super) fn progress(self, percent: u8, message: &str) -> Self {
        let step = self.step.clone();
        self.add(EventKind::Progress { step, percent, message: message.to_owned() })
    }

    pub(super) fn done(self) -> Self {
        let step = self.step.clone();
        self.add(EventKind::StepFinished { step })
    }

    pub(super) fn ends(self, outcome: Outcome) -> Self {
        self.add(EventKind::Finished { outcome })
    }

    pub(super) fn failed(self, reason: &str) -> Self {
        let step = self.step.clone();
        self.ends(Outcome::Failed { step, reason: reason.to_owned(), transient: false })
    }
}
