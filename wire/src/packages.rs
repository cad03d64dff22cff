//! Which packages a system has: `POST /agent/v1/packages`.
//!
//! An agent sends what differs from the state that the server last acknowledged, and a hash of the whole, so that both notice when they
//! disagree; then the server asks for the whole. A repeated message is safe.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AttemptId, Sha256};

/// Most packages of a system; a full desktop has about 3 000.
pub const MOST_PACKAGES: usize = 30_000;
/// Most services in a [`Condition`].
pub const MOST_SERVICES: usize = 100;
/// Most pins in a [`Condition`].
pub const MOST_PINS: usize = 200;
/// Longest text of a [`Pin`], in bytes.
pub const LONGEST_PIN: usize = 1000;
/// Longest name, architecture, version or service, in bytes.
pub const LONGEST_WORD: usize = 255;

/// What an agent says of its system's packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesRequest {
    /// When it was read, microseconds since the Unix epoch.
    pub collected_at: i64,
    /// The hash of the state that this differs from; absent: this is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Sha256>,
    /// SHA-256 of the lines ([`Package::line`], each with a line feed) of the whole, in the order of their keys.
    pub sha256: Sha256,
    /// Who manages the packages.
    pub family: PackageFamily,
    /// What is new, or known otherwise.
    #[serde(default)]
    pub set: Vec<Package>,
    /// What is there no more.
    #[serde(default)]
    pub gone: Vec<PackageKey>,
    /// What the system needs.
    #[serde(default)]
    pub condition: Condition,
    /// The attempt that the agent has carried out since it last read its packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
}

/// Who manages the packages of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageFamily {
    /// dpkg and apt.
    Dpkg,
    /// rpm and dnf.
    Rpm,
    /// A family of a newer version.
    #[serde(other)]
    Unknown,
}

/// By what packages of one system are told apart. Of rpm's, several versions may be installed at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct PackageKey {
    /// Name.
    pub name: String,
    /// Architecture, such as `amd64` or `all`.
    pub architecture: String,
    /// Version as the family writes it: `[epoch:]version[-revision]`.
    pub version: String,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Package {
    /// Which.
    #[serde(flatten)]
    pub key: PackageKey,
    /// It came in because another one needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    /// Somebody said that it is to stay as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// Room that it takes, as the package says; 0 when it does not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
    /// The version that an upgrade would bring, from an authenticated source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<PackageUpdate>,
}

/// A newer version of an installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageUpdate {
    /// Its version.
    pub version: String,
    /// It comes from a source of security updates.
    #[serde(default, skip_serializing_if = "is_false")]
    pub security: bool,
}

/// What a system needs after its packages have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SystemCondition)]
pub struct Condition {
    /// Why it wants to be restarted; empty when it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reboot_why: String,
    /// Services that still run files which were replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Why nobody knows which updates there are; empty when it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub updates_unknown: String,
    /// What its package manager was told to prefer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
}

/// What apt was told to prefer (`apt_preferences(5)`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pin {
    /// For which packages: names and patterns with blanks between them.
    pub packages: String,
    /// What is preferred, such as `version 2.10*`.
    pub pin: String,
    /// How much; below 0: never.
    pub priority: i64,
    /// A job has written it.
    #[serde(default)]
    pub by_lotse: bool,
}

/// The answer to an agent that has told of its packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum PackagesResponse {
    /// It is kept: the next message may begin from here.
    Kept,
    /// The server has another state: the whole is needed.
    SendWhole,
    /// An answer of a newer version: treated as kept.
    #[serde(other)]
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Package {
    /// Everything about it in one line without line feed: what hashes of states are made of, and how an agent remembers them.
    pub fn line(&self) -> String {
        let PackageKey { name, architecture, version } = &self.key;
        let update = match &self.update {
            Some(PackageUpdate { version, security: true }) => format!("!{version}"),
            Some(PackageUpdate { version, security: false }) => format!("+{version}"),
            None => String::new(),
        };
        let automatic = if self.automatic { "a" } else { "" };
        let held = if self.held { "h" } else { "" };
        format!("{name}\t{architecture}\t{version}\t{automatic}{held}\t{}\t{update}", self.size_bytes)
    }

    /// Reads what [`Package::line`] has written.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().map(str::to_owned);
        let key = PackageKey { name: next()?, architecture: next()?, version: next()? };
        let (marks, size, update) = (next()?, next()?, next()?);
        let update = match update.split_at_checked(1) {
            Some(("!", version)) => Some(PackageUpdate { version: version.to_owned(), security: true }),
            Some(("+", version)) => Some(PackageUpdate { version: version.to_owned(), security: false }),
            _ => None,
        };
        Some(Self {
            key,
            automatic: marks.contains('a'),
            held: marks.contains('h'),
            size_bytes: size.parse().ok()?,
            update,
        })
    }

    /// Whether its texts are words that a package can have: what has control characters or white space would make lines ambiguous.
    pub fn is_plain(&self) -> bool {
        let word = |word: &str| {
            (1..=LONGEST_WORD).contains(&word.len())
                && !word.contains(|c: char| c.is_control() || c.is_whitespace())
        };
        let PackageKey { name, architecture, version } = &self.key;
        [name, architecture, version]
            .into_iter()
            .chain(self.update.as_ref().map(|update| &update.version))
            .all(|text| word(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_reads_the_same(
            name in "[a-z0-9.+-]{1,12}", architecture in "[a-z0-9_]{1,6}", version in "[0-9a-z:~.+-]{1,12}",
            automatic: bool, held: bool, size_bytes: u64, update in proptest::option::of(("[0-9a-z:~.+!-]{1,12}", any::<bool>())),
        ) {
            let update = update.map(|(version, security)| PackageUpdate { version, security });
            let package = Package { key: PackageKey { name, architecture, version }, automatic, held, size_bytes, update };
            prop_assert!(package.is_plain());
            prop_assert_eq!(Package::from_line(&package.line()), Some(package));
        }
    }

    #[test]
    fn texts_that_would_make_lines_ambiguous_are_no_packages() {
        let package = |name: &str| Package {
            key: PackageKey {
                name: name.to_owned(),
                architecture: "all".to_owned(),
                version: "1".to_owned(),
            },
            automatic: false,
            held: false,
            size_bytes: 0,
            update: None,
        };
        assert!(package("vim").is_plain());
        for wrong in ["", "a\tb", "a b", "a\nb", &"x".repeat(256)] {
            assert!(!package(wrong).is_plain(), "{wrong}");
        }
    }
}
