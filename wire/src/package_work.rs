//! Package work: what a step shall change, and what a package manager would change or has changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a package step does, with any package manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a permission of its own, given by a person")]
pub struct PackageWork {
    /// What is done with the packages.
    pub action: PackageAction,
    /// `name`, `name:architecture`, and where something is installed `name=version` or `name/suite`; empty for upgrades of everything.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Only says what would be done.
    #[serde(default)]
    pub preview: bool,
    /// Other packages may be removed, where that is what it takes.
    #[serde(default)]
    pub allow_removals: bool,
    /// A package may get an older version.
    #[serde(default)]
    pub allow_downgrades: bool,
    /// Packages that are held may be changed.
    #[serde(default)]
    pub allow_held: bool,
    /// What becomes of configuration files that somebody has changed and that come in a new version.
    #[serde(default)]
    pub conffiles: Conffiles,
    /// Recommended packages come, too; without a word the system's own configuration decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommends: Option<bool>,
    /// Answers for debconf(7), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<DebconfAnswer>,
    /// Versions that may not be installed: package to versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retracted: BTreeMap<String, Vec<String>>,
    /// With [`PackageAction::Apply`]: what goes, in the same run. What is not there is no fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What goes with [`Self::remove`] goes with its configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// With [`PackageAction::Apply`]: what is kept at its version afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<String>,
    /// With [`PackageAction::Apply`]: what is no longer kept at its version, before anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhold: Vec<String>,
    /// The changes that somebody has seen and accepted ([`TransactionChange::in_words`]); when others would be made, none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Vec<String>>,
    /// How long another program may hold the lock.
    pub lock_wait_s: u32,
}

/// What is done with packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageAction {
    /// Fetches the package lists.
    Refresh,
    /// Installs them, or brings them to the newest version.
    Install,
    /// Removes them; their configuration stays.
    Remove,
    /// Removes them with their configuration.
    Purge,
    /// Brings everything, or these, to the newest version.
    Upgrade,
    /// Brings what has a security update to its version.
    SecurityUpgrade,
    /// Keeps them at their version.
    Hold,
    /// No longer keeps them at their version.
    Unhold,
    /// Installs some, removes others and holds some, all in one run.
    Apply,
    /// An action of a newer version.
    #[serde(other)]
    Unknown,
}

impl PackageAction {
    /// The word for it in job types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Install => "install",
            Self::Remove => "remove",
            Self::Purge => "purge",
            Self::Upgrade => "upgrade",
            Self::SecurityUpgrade => "security-upgrade",
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Apply => "apply",
            Self::Unknown => "unknown",
        }
    }
}

/// Whose configuration file counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conffiles {
    /// That of the machine.
    #[default]
    Keep,
    /// That of the package; the machine's stays beside it.
    Replace,
    /// A choice of a newer version.
    #[serde(other)]
    Unknown,
}

/// An answer to a question of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DebconfAnswer {
    /// The package that asks.
    pub package: String,
    /// Name of the question, such as `postfix/main_mailer_type`.
    pub question: String,
    /// Its type, such as `select`.
    pub kind: String,
    /// The answer.
    #[serde(default)]
    pub value: String,
    /// The answer is this secret, which the agent fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An answer that begins so names a secret of the client.
const SECRET: &str = "secret:";

impl DebconfAnswer {
    /// Reads `package question type answer`, as `debconf-set-selections(1)` does; an answer `secret:NAME` is the secret of that name.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, [' ', '\t']);
        let (package, question, kind) = (words.next()?, words.next()?, words.next()?);
        let value = words.next().unwrap_or_default().trim();
        let secret = value.strip_prefix(SECRET).map(str::to_owned);
        Some(Self {
            package: package.to_owned(),
            question: question.to_owned(),
            kind: kind.to_owned(),
            value: if secret.is_some() { String::new() } else { value.to_owned() },
            secret,
        })
    }
}

/// Everything that one run of a package manager changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transaction {
    /// Each package once, by name.
    pub changes: Vec<TransactionChange>,
    /// What has to be fetched.
    #[serde(default)]
    pub download_bytes: u64,
    /// What the disk loses; negative when it wins.
    #[serde(default)]
    pub disk_bytes: i64,
}

/// What happens to one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionChange {
    /// Its name.
    pub package: String,
    /// Architecture, as the package manager names it; empty where it does not.
    #[serde(default)]
    pub architecture: String,
    /// What happens.
    pub change: ChangeKind,
    /// The version that is there; empty when none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The version that comes; empty when none does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// It comes from a source of security updates.
    #[serde(default)]
    pub is_security: bool,
    /// Nobody asked for it by name: another package needs it.
    #[serde(default)]
    pub is_dependency: bool,
}

impl TransactionChange {
    /// What happens, to what, and to which version it comes: `install hello:amd64 2.10-3`, `remove left 1.0`.
    pub fn in_words(&self) -> String {
        let version = if self.to.is_empty() { &self.from } else { &self.to };
        let architecture =
            if self.architecture.is_empty() { String::new() } else { format!(":{}", self.architecture) };
        format!("{} {}{architecture} {version}", self.change.as_str(), self.package)
    }
}

/// Kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Install,
    /// It gets a newer version.
    Upgrade,
    /// It gets an older version.
    Downgrade,
    /// It gets the version that it has.
    Reinstall,
    /// It goes; its configuration stays.
    Remove,
    /// It goes with its configuration.
    Purge,
    /// A change of a newer version.
    #[serde(other)]
    Unknown,
}

impl ChangeKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Reinstall => "reinstall",
            Self::Remove => "remove",
            Self::Purge => "purge",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_line_as_debconf_reads_it_and_a_secret_is_only_named() {
        let plain =
            DebconfAnswer::parse("postfix postfix/mailname string mail.school.example or so").unwrap();
        assert_eq!(
            (plain.question.as_str(), plain.value.as_str()),
            ("postfix/mailname", "mail.school.example or so")
        );
        let secret = DebconfAnswer::parse("slapd slapd/password1 password secret:ldap").unwrap();
        assert_eq!((secret.value.as_str(), secret.secret.as_deref()), ("", Some("ldap")));
        assert_eq!(DebconfAnswer::parse("postfix postfix/mailname"), None);
    }
}
