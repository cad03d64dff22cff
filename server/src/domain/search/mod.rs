//! The language in which people say which clients they mean: `stage:installed health:offline memory<4G not name:pc-*`.
//!
//! An expression is a tree of [`Expr`]; [`parse()`] reads it, `Display` writes it so that reading it again gives the same.
//! What it means on a database is in `db::search`. Pure.

mod parse;
mod print;
mod quantity;
pub mod version;
mod words;

use std::ops::Range;

pub use parse::{ErrorKind, SearchError, parse};
pub use words::{Completion, FIELDS, Field, Shape, completions};

use super::client::Stage;

/// Which clients are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Those that all of these mean; all clients when there is none.
    All(Vec<Expr>),
    /// Those that any of these means.
    Any(Vec<Expr>),
    /// All others.
    Not(Box<Expr>),
    /// Those that pass one test.
    Test(Test, Span),
}

/// Where a test stands in the text, in bytes. It does not take part in comparisons: two expressions are the same when they mean the same.
#[derive(Clone, Debug, Eq)]
pub struct Span(pub Range<usize>);

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One test of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// A part of its name, serial number, or of one of its addresses.
    Word(String),
    /// A text of it.
    Text(Text, Pattern),
    /// One of its addresses is in this network.
    Network(std::net::IpAddr, u8),
    /// Where it is in its life.
    Stage(Stage),
    /// How it is.
    Health(HealthWord),
    /// What it does.
    Activity(ActivityWord),
    /// A package is installed on it, perhaps of a certain version.
    Package(Pattern, Option<(Comparison, String)>),
    /// Its agent is older or newer than this version; one that was never heard is neither.
    Agent(Comparison, String),
    /// A number that it has.
    Number(Number, Comparison, u64),
    /// Something that holds or does not.
    Flag(Flag, bool),
    /// How long something is ago, in microseconds. What never was passes no comparison.
    Age(Age, Comparison, i64),
    /// Its agent was never heard.
    NeverSeen,
}

/// Texts of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Host name.
    Name,
    /// A group that it belongs to.
    Group,
    /// A hardware address; a pattern without `*` is its beginning.
    Mac,
    /// An IP address; a pattern without `*` is its beginning.
    Ip,
    /// The system that runs, as `debian-12`; `debian` means every one.
    Os,
    /// The distribution that is wanted.
    Distribution,
    /// Maker and model; a pattern without `*` is a part of it.
    Model,
    /// Serial number; a pattern without `*` is a part of it.
    Serial,
    /// Version of the agent.
    Agent,
    /// A selection of packages that it has by its groups.
    Selection,
}

/// A text in which `*` stands for anything; capitals do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub String);

/// Numbers of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Memory, in bytes.
    Memory,
    /// Its largest disk, in bytes.
    Disk,
    /// Hardware threads.
    Threads,
    /// Packages that could be newer.
    Updates,
}

/// What holds for a client or does not; what nobody knows passes neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// There are security updates for it.
    SecurityUpdates,
    /// It wants to be restarted.
    RebootNeeded,
    /// It differs from a selection of packages that it has by its groups.
    Drift,
}

/// What lies some time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Its agent was heard last.
    Seen,
    /// It was made.
    Added,
    /// A job of it failed; any one.
    Failed,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=` or `:`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

impl Comparison {
    /// As it is written, and as databases write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        }
    }

    /// The comparison that holds with its sides changed.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::Equal => Self::Equal,
            Self::AtLeast => Self::AtMost,
            Self::More => Self::Less,
        }
    }
}

/// A word for [`super::client_status::Health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthWord {
    /// Nothing is wrong.
    Ok,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
    /// Its agent is not heard.
    Offline,
}

impl HealthWord {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Critical, Self::Offline];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Offline => "offline",
        }
    }
}

/// A word for [`super::client_status::Activity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityWord {
    /// Nothing is to be done.
    Idle,
    /// A job waits.
    Waiting,
    /// A job runs.
    Working,
}

impl ActivityWord {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Waiting, Self::Working];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Working => "working",
        }
    }
}

impl Expr {
    /// Whether it means all clients.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Its tests, in the order in which they stand.
    pub fn tests(&self) -> Vec<&Test> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
            Self::Not(part) => part.tests(),
            Self::Test(test, _) => vec![test],
        }
    }
}

/// Most tests of an expression with those of the groups that it names.
const MOST_EXPANDED: usize = 500;

/// Why the groups of an expression cannot be put in place of their names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// A group is found by itself.
    #[error("the search of group {0} leads back to the group itself")]
    Loop(String),
    /// There are too many tests.
    #[error("the search with those of all groups that it names has more than {MOST_EXPANDED} tests")]
    TooLarge,
}

/// Checks that an expression stays finite and small when the searches of groups stand in place of their names.
///
/// # Errors
/// It does not.
pub fn check_expansion(expr: &Expr, groups: &[(String, Expr)]) -> Result<(), ExpansionError> {
    fn count<'a>(
        expr: &'a Expr,
        groups: &'a [(String, Expr)],
        inside: &mut Vec<&'a str>,
        tests: &mut usize,
    ) -> Result<(), ExpansionError> {
        match expr {
            Expr::All(parts) | Expr::Any(parts) => {
                parts.iter().try_for_each(|part| count(part, groups, inside, tests))
            }
            Expr::Not(part) => count(part, groups, inside, tests),
            Expr::Test(test, _) => {
                *tests += 1;
                if *tests > MOST_EXPANDED {
                    return Err(ExpansionError::TooLarge);
                }
                let Test::Text(Text::Group, pattern) = test else { return Ok(()) };
                for (name, of_group) in groups {
                    if pattern.fits(name) || pattern.0.is_empty() {
                        if inside.contains(&name.as_str()) {
                            return Err(ExpansionError::Loop(name.clone()));
                        }
                        inside.push(name);
                        count(of_group, groups, inside, tests)?;
                        inside.pop();
                    }
                }
                Ok(())
            }
        }
    }
    count(expr, groups, &mut Vec::new(), &mut 0)
}

impl Pattern {
    /// Whether a text is meant; capitals do not count.
    pub fn fits(&self, text: &str) -> bool {
        fn fits(pattern: &[u8], text: &[u8]) -> bool {
            let (mut at, mut from, mut star) = (0, 0, None);
            while from < text.len() {
                match pattern.get(at) {
                    Some(b'*') => {
                        star = Some((at, from));
                        at += 1;
                    }
                    Some(byte) if *byte == text[from] => (at, from) = (at + 1, from + 1),
                    _ => match star {
                        Some((star_at, star_from)) => {
                            (at, from) = (star_at + 1, star_from + 1);
                            star = Some((star_at, star_from + 1));
                        }
                        None => return false,
                    },
                }
            }
            pattern[at..].iter().all(|byte| *byte == b'*')
        }
        fits(self.0.to_lowercase().as_bytes(), text.to_lowercase().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{ExpansionError, Pattern, check_expansion, parse};

    #[test]
    fn groups_that_lead_to_themselves_or_grow_without_end_are_refused() {
        let group = |name: &str, text: &str| (name.to_owned(), parse(text).unwrap());
        let groups = [group("a", "group:b"), group("b", "x or group:c*"), group("c1", "group:a")];
        assert_eq!(check_expansion(&groups[0].1, &groups), Err(ExpansionError::Loop("b".to_owned())));
        assert_eq!(check_expansion(&groups[1].1, &groups[..2]), Ok(()));
        let doubled: Vec<_> = (0..12)
            .map(|at| group(&format!("g{at}"), &format!("group:g{next} or group:g{next}", next = at + 1)))
            .collect();
        assert_eq!(check_expansion(&doubled[0].1, &doubled), Err(ExpansionError::TooLarge));
    }

    #[test]
    fn a_star_stands_for_anything_and_capitals_do_not_count() {
        let fits = |pattern: &str, text: &str| Pattern(pattern.to_owned()).fits(text);
        assert!(fits("pc-*", "PC-01") && fits("*", "") && fits("a*b*c", "axxbxbc") && fits("a", "A"));
        assert!(!fits("pc-*", "lab-pc-1") && !fits("a*b", "abc") && !fits("", "a") && !fits("a", ""));
    }
}
