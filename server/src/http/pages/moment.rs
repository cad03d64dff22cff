//! Points in time as people read them: how long ago, with the exact time behind it.

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::clock::SECOND;

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Moment {
    iso: String,
    full: String,
    short: String,
    /// Seconds since then, from which the browser goes on counting.
    age: i64,
}

impl Moment {
    /// Exactly, for texts.
    pub(super) fn full(&self) -> &str {
        &self.full
    }

    pub(super) fn new(at: i64, now: i64, language: &str) -> Self {
        let time = OffsetDateTime::from_unix_timestamp(at / SECOND).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let full = if language == "de" {
            time.format(&format_description!("[day].[month].[year] [hour]:[minute]:[second] UTC"))
        } else {
            time.format(&format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"))
        };
        let age = (now - at) / SECOND;
        Self {
            iso: time.format(&Rfc3339).unwrap_or_default(),
            full: full.unwrap_or_default(),
            short: ago(age, language),
            age,
        }
    }
}

fn ago(seconds: i64, language: &str) -> String {
    let german = language == "de";
    let (count, unit) = match seconds {
        ..5 => return if german { "jetzt" } else { "now" }.to_owned(),
        5..60 => (seconds, "s"),
        60..3600 => (seconds / 60, "min"),
        3600..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, if german { "Tagen" } else { "days" }),
    };
    if german { format!("vor {count} {unit}") } else { format!("{count} {unit} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_how_long_ago_and_exactly() {
        let moment = Moment::new(1_700_000_000 * SECOND, 1_700_000_185 * SECOND, "de");
        assert_eq!(moment.short, "vor 3 min");
        assert_eq!(moment.full, "14.11.2023 22:13:20 UTC");
        assert_eq!(Moment::new(1_700_000_000 * SECOND, 0, "en").full, "2023-11-14 22:13:20 UTC");
        assert_eq!(moment.iso, "2023-11-14T22:13:20Z");
        assert_eq!(ago(3, "en"), "now");
        assert_eq!(ago(200_000, "en"), "2 days ago");
    }
}
