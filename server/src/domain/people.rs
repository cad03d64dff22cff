//! Who may do what.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::job::UnknownWord;

/// What somebody may do; each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Helps users: redo, rescue, reboot.
    Helpdesk,
    /// Runs clients: adopts, installs, sends jobs.
    Operator,
    /// Everything, tokens and settings too.
    Admin,
}

impl Role {
    /// The word for the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Helpdesk => "helpdesk",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Viewer, Self::Helpdesk, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| UnknownWord {
                word: word.to_owned(),
                what: "role (viewer, helpdesk, operator, admin)",
            })
    }
}

/// Where somebody's password is checked, and their roles come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AccountSource)]
pub enum Source {
    /// Here.
    Local,
    /// A directory, over LDAP.
    Ldap,
    /// An OIDC provider.
    Oidc,
}

impl Source {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Ldap => "ldap",
            Self::Oidc => "oidc",
        }
    }
}

impl FromStr for Source {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Local, Self::Ldap, Self::Oidc]
            .into_iter()
            .find(|source| source.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "source (local, ldap, oidc)" })
    }
}

/// A role for the clients of one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group's name.
    pub group: String,
    /// What may be done with its clients.
    pub role: Role,
}

/// Roles as people give them: for everything, for groups, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rights {
    /// The role for everything; absent when only groups count.
    pub role: Option<Role>,
    /// Roles for the clients of single groups.
    pub groups: Vec<GroupRole>,
}

impl Rights {
    /// A role for everything.
    pub fn everything(role: Role) -> Self {
        Self { role: Some(role), groups: Vec::new() }
    }
}

impl From<Role> for Rights {
    fn from(role: Role) -> Self {
        Self::everything(role)
    }
}

/// An API token; the token itself is shown once and stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What its owner may do with everything; absent when only groups count.
    pub role: Option<Role>,
    /// What its owner may do with the clients of single groups.
    #[serde(default)]
    pub groups: Vec<GroupRole>,
    /// Whether it only looks, whatever its roles are.
    #[serde(default)]
    pub read_only: bool,
    /// The account whose login it is; its roles are those of the account.
    #[serde(default)]
    pub account: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// By whom.
    pub created_by: String,
    /// Not accepted after this time.
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// What they log in with.
    pub name: String,
    /// How people call them.
    pub full_name: String,
    /// Where the password is checked, and the roles come from.
    pub source: Source,
    /// What they may do.
    pub rights: Rights,
    /// Since when they cannot log in.
    pub disabled_at: Option<i64>,
    /// Whether a password is set here.
    pub has_password: bool,
    /// Whether a second factor is asked for.
    pub has_second_factor: bool,
    /// The language of their pages, once they have chosen one.
    pub language: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When they last logged in.
    pub last_login_at: Option<i64>,
    /// When their source was last asked for their roles.
    pub checked_at: Option<i64>,
}

/// What checks a login; never leaves the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// argon2id, as PHC string; absent until a password was set.
    pub password_hash: Option<String>,
    /// The second factor's secret (base32), sealed.
    pub totp_secret: Option<String>,
    /// A secret that was shown, and is not confirmed yet; sealed.
    pub totp_offered: Option<String>,
    /// DN, or issuer and subject, where the source is not here.
    pub source_id: Option<String>,
}

/// A browser that is logged in; its secret is in the browser only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: i64,
    /// When it began.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub last_used_at: i64,
    /// When it ends at the latest.
    pub expires_at: i64,
    /// From where it was begun.
    pub address: String,
    /// What the browser says it is.
    pub browser: String,
}

/// A login of an account, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// By which it is ended: the beginning of its hash, or `token-` and the token's number.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it began.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
    /// When it ends at the latest.
    pub expires_at: Option<i64>,
    /// From where it was begun; empty for the command line.
    pub address: String,
    /// What the browser says it is, or the token's name.
    pub browser: String,
}
