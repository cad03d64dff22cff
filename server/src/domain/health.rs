//! How a part of the server is, and what to do about it.
//!
//! Invariant: whatever is not good says what is wrong and what to do next, in English here and, by its key, in every language of the pages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a part is; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It works.
    Good,
    /// Nothing is known, or it is not used.
    Unknown,
    /// It works, but not for long, or not well.
    Warning,
    /// It does not work.
    Bad,
}

/// One part of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Which, such as `database` or `mirror debian`.
    pub name: String,
    /// How it is.
    pub condition: Condition,
    /// What was found, as a key of the pages' texts.
    pub finding: String,
    /// Values of that text.
    pub values: BTreeMap<String, String>,
    /// What was found.
    pub said: String,
    /// What to do next; empty when nothing is to be done.
    pub remedy: String,
}

impl Part {
    /// A part, and what was found.
    pub fn new(
        name: impl Into<String>,
        condition: Condition,
        finding: &str,
        said: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            condition,
            finding: finding.to_owned(),
            values: BTreeMap::new(),
            said: said.into(),
            remedy: String::new(),
        }
    }

    /// With a value of the finding's text.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl ToString) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// The condition of the whole: that of its worst part. Parts that are not used make nothing worse.
pub fn worst(parts: &[Part]) -> Condition {
    let known = parts.iter().map(|part| part.condition).filter(|condition| *condition != Condition::Unknown);
    known.max().unwrap_or(Condition::Good)
}

/// Free room on the disk of the server's data.
pub fn room(free: u64, whole: u64, path: &str) -> Part {
    use super::layout::size::human;
    let percent = free.saturating_mul(100).checked_div(whole).unwrap_or(0);
    let (condition, finding) = match (percent, free) {
        (0..3, _) | (_, ..=1_073_741_823) => (Condition::Bad, "room-none"),
        (3..10, _) => (Condition::Warning, "room-little"),
        _ => (Condition::Good, "room"),
    };
    let said = format!("{} of {} are free below {path} ({percent} %)", human(free), human(whole));
    let part = Part::new("room", condition, finding, said)
        .value("free", human(free))
        .value("whole", human(whole))
        .value("percent", percent)
        .value("path", path);
    if condition == Condition::Good {
        return part;
    }
    part.remedy(
        "delete images that nobody uses (`lotse image list --all`), or give the data directory a larger disk",
    )
}

/// How far the clock is from that of others; positive when ours is ahead.
pub fn clock(ahead_s: Option<i64>) -> Part {
    let Some(ahead) = ahead_s else {
        return Part::new(
            "clock",
            Condition::Unknown,
            "clock-unknown",
            "no mirror answered to compare the clock with",
        );
    };
    let said = format!("{} seconds from the clock of the mirrors", ahead.abs());
    match ahead.abs() {
        0..=5 => Part::new("clock", Condition::Good, "clock", said).value("seconds", ahead.abs()),
        _ => Part::new(
            "clock",
            if ahead.abs() > 60 { Condition::Bad } else { Condition::Warning },
            "clock-wrong",
            said,
        )
        .value("seconds", ahead.abs())
        .remedy("let the server's host keep its time: `timedatectl set-ntp true`; certificates and agents depend on it"),
    }
}

/// Agents beside the one that this server has; nothing when nobody knows its version, or no agent was heard.
pub fn agents(newest: &str, there: &[(String, i64)]) -> Option<Part> {
    use super::search::version::key;
    if newest.is_empty() || there.is_empty() {
        return None;
    }
    let older: i64 =
        there.iter().filter(|(version, _)| key(version) < key(newest)).map(|(_, clients)| clients).sum();
    if older == 0 {
        let said = format!("no agent is older than {newest}, which this server has");
        return Some(Part::new("agents", Condition::Good, "agents", said).value("version", newest));
    }
    let said = format!("{older} clients have an agent older than {newest}, which this server has");
    Some(
        Part::new("agents", Condition::Warning, "agents-old", said)
            .value("count", older)
            .value("version", newest)
            .remedy(format!(
                "upgrade them: `lotse agent upgrade --where 'agent<{newest}'`, or a rollout of agent-upgrade"
            )),
    )
}

/// Days until a certificate is no longer accepted.
pub fn certificate(name: &str, days: i64, until: &str) -> Part {
    let said = format!("valid until {until}, {days} days from now");
    let part = |condition, finding| {
        Part::new(name, condition, finding, said.clone()).value("days", days).value("until", until)
    };
    let remedy = if name == "server certificate" {
        "restart the server: it makes a new certificate when it starts"
    } else {
        "plan a new CA: every agent has to enrol again with it"
    };
    match days {
        ..=0 => part(Condition::Bad, "certificate-over").remedy(remedy),
        1..30 => part(Condition::Warning, "certificate-soon").remedy(remedy),
        _ => part(Condition::Good, "certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_used_makes_nothing_worse_and_the_worst_counts() {
        let part = |condition| Part::new("x", condition, "x", "");
        assert_eq!(worst(&[part(Condition::Good), part(Condition::Unknown)]), Condition::Good);
        assert_eq!(worst(&[part(Condition::Bad), part(Condition::Warning)]), Condition::Bad);
        assert_eq!(worst(&[]), Condition::Good);
    }

    #[test]
    fn whatever_is_not_good_says_what_to_do() {
        let gib = 1 << 30;
        for (part, condition) in [
            (room(500 * gib, 1000 * gib, "/x"), Condition::Good),
            (room(50 * gib, 1000 * gib, "/x"), Condition::Warning),
            (room(20 * gib, 1000 * gib, "/x"), Condition::Bad),
            (room(gib / 2, gib, "/x"), Condition::Bad),
            (room(0, 0, "/x"), Condition::Bad),
            (clock(Some(-2)), Condition::Good),
            (
                agents("0.10.0", &[("0.10.0".to_owned(), 3), ("0.11.0".to_owned(), 1)]).unwrap(),
                Condition::Good,
            ),
            (agents("0.10.0", &[("0.9.0".to_owned(), 3)]).unwrap(), Condition::Warning),
            (clock(Some(30)), Condition::Warning),
            (clock(Some(-3600)), Condition::Bad),
            (certificate("CA", 400, "x"), Condition::Good),
            (certificate("CA", 29, "x"), Condition::Warning),
            (certificate("server certificate", 0, "x"), Condition::Bad),
        ] {
            assert_eq!(part.condition, condition, "{part:?}");
            assert_eq!(part.remedy.is_empty(), condition == Condition::Good, "{part:?}");
        }
    }
}
