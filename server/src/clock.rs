//! The clock door, and how times are written for people.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Tells the time; a value, so that tests can turn it.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is turned.
    pub fn fixed(at: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at))))
    }

    /// Turns a fixed clock forward; the machine's clock cannot be turned.
    pub fn advance(&self, seconds: i64) {
        if let Some(fixed) = &self.0 {
            fixed.fetch_add(seconds * SECOND, Ordering::SeqCst);
        }
    }

    /// Microseconds since the Unix epoch, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            None => micros(time::OffsetDateTime::now_utc()),
        }
    }
}

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;

/// A date as microseconds since the Unix epoch.
pub fn micros(date: time::OffsetDateTime) -> i64 {
    // 292 000 years fit into the type.
    i64::try_from(date.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// Microseconds since the Unix epoch as a date.
pub fn date(at: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// RFC 3339 to the second, such as `2026-11-21T06:13:00Z`.
pub fn rfc3339(at: i64) -> String {
    let seconds = time::OffsetDateTime::from_unix_timestamp(at.div_euclid(SECOND))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    seconds.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
