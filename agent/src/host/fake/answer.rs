//! What commands do on a fake machine.

use std::time::Duration;

use wire::event::Stream;

/// What a command does on a [`super::FakeHost`].
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub(super) lines: Vec<(Stream, String)>,
    pub(super) status: i32,
    pub(super) pace: Duration,
    pub(super) delay: Duration,
    pub(super) missing: bool,
    pub(super) once: bool,
}

impl Answer {
    /// Ends well, with this text on standard output.
    pub fn prints(text: &str) -> Self {
        Self::default().and(Stream::Stdout, text)
    }

    /// Ends with this status, with this text on standard error.
    pub fn fails(status: i32, text: &str) -> Self {
        Self { status, ..Self::default() }.and(Stream::Stderr, text)
    }

    /// The program does not exist.
    pub fn missing() -> Self {
        Self { missing: true, ..Self::default() }
    }

    /// More lines.
    #[must_use]
    pub fn and(mut self, stream: Stream, text: &str) -> Self {
        self.lines.extend(text.lines().map(|line| (stream, line.to_owned())));
        self
    }

    /// Prints only one line in this time (tokio's clock); told to stop, it prints no further one.
    #[must_use]
    pub fn at_pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Ends with this status.
    #[must_use]
    pub fn with_status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// Ends only after this time (tokio's clock), or when stopped.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Holds for one command only; after it the next matching answer holds.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}
