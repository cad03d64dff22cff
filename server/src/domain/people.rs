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

/// An API token; the token itself is shown once and stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What its owner may do.
    pub role: Role,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// What they log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// argon2id, as PHC string; absent until a password was set.
    pub password_hash: Option<String>,
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
