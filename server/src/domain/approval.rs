//! What needs a second person, and how a request for it goes on. Pure.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{job::UnknownWord, people::Role};

/// Why an action may need a second person; the setting `approval.actions` names those that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Installs over a system that is installed.
    InstallOver,
    /// Wipes a disk.
    WipeDisk,
    /// Takes a client out of service.
    Retire,
    /// Removes a client with its history.
    DeleteClient,
    /// Is for many clients at once.
    MassAction,
}

/// The words for all risks.
pub const RISKS: [&str; 5] = ["install-over", "wipe-disk", "retire", "delete-client", "mass-action"];

impl Risk {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstallOver => "install-over",
            Self::WipeDisk => "wipe-disk",
            Self::Retire => "retire",
            Self::DeleteClient => "delete-client",
            Self::MassAction => "mass-action",
        }
    }

    /// The risk that lies in a job of a type by itself.
    pub fn of_job_type(job_type: &str) -> Option<Self> {
        match job_type {
            "wipe-disk" => Some(Self::WipeDisk),
            "storage" => Some(Self::InstallOver),
            _ => None,
        }
    }
}

impl FromStr for Risk {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::InstallOver, Self::WipeDisk, Self::Retire, Self::DeleteClient, Self::MassAction]
            .into_iter()
            .find(|risk| risk.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "risk" })
    }
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Nobody has decided.
    Pending,
    /// A second person has approved it, and it was carried out.
    Approved,
    /// A second person has refused it.
    Refused,
    /// Whoever asked does not want it any more.
    Withdrawn,
    /// Nobody has decided in time.
    Expired,
}

impl ApprovalState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for ApprovalState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Pending, Self::Approved, Self::Refused, Self::Withdrawn, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "state of an approval" })
    }
}

/// A request that needs a second person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its number.
    pub id: i64,
    /// What is to be carried out.
    #[schema(value_type = Object)]
    pub wish: serde_json::Value,
    /// The same in words.
    pub summary: String,
    /// Why it needs a second person.
    pub risk: Risk,
    /// The least role that it needs.
    pub role: Role,
    /// Who asked.
    pub asked_by: String,
    /// Whose account or token that was; the same cannot approve.
    pub person: String,
    /// What had let them in.
    pub pass: String,
    /// When.
    pub asked_at: i64,
    /// Nobody can approve it after this time.
    pub expires_at: i64,
    /// How it stands.
    pub state: ApprovalState,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<i64>,
    /// Why it was refused.
    pub reason: String,
}

/// Why somebody may not decide about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYours {
    /// They asked for it.
    #[error("whoever asks cannot approve")]
    Asked,
    /// They could not do it themselves.
    #[error("this needs the role {} where it happens", .0.as_str())]
    Role(Role),
}

/// Whether somebody may approve a request, with the role that they have where it would happen.
///
/// # Errors
/// Why not.
pub fn may_approve(approval: &Approval, person: &str, role: Option<Role>) -> Result<(), NotYours> {
    if approval.person == person {
        return Err(NotYours::Asked);
    }
    let needed = approval.role.max(Role::Operator);
    if role < Some(needed) {
        return Err(NotYours::Role(needed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_risk_is_read_as_it_is_written() {
        for word in RISKS {
            assert_eq!(word.parse::<Risk>().unwrap().as_str(), word);
        }
    }

    #[test]
    fn a_second_person_with_the_role_may_approve_and_nobody_else() {
        let approval = Approval {
            id: 1,
            wish: serde_json::Value::Null,
            summary: String::new(),
            risk: Risk::DeleteClient,
            role: Role::Admin,
            asked_by: "ann's script".to_owned(),
            person: "ann".to_owned(),
            pass: "token 1".to_owned(),
            asked_at: 0,
            expires_at: 1,
            state: ApprovalState::Pending,
            decided_by: None,
            decided_at: None,
            reason: String::new(),
        };
        assert_eq!(may_approve(&approval, "ann", Some(Role::Admin)), Err(NotYours::Asked));
        assert_eq!(may_approve(&approval, "bob", Some(Role::Operator)), Err(NotYours::Role(Role::Admin)));
        assert_eq!(may_approve(&approval, "bob", Some(Role::Admin)), Ok(()));
        assert_eq!(may_approve(&approval, "bob", None), Err(NotYours::Role(Role::Admin)));
        let small = Approval { role: Role::Helpdesk, ..approval };
        assert_eq!(may_approve(&small, "bob", Some(Role::Helpdesk)), Err(NotYours::Role(Role::Operator)));
    }
}
