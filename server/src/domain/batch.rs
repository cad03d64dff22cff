//! One order for many clients: what is ordered, and for which of them it makes sense. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::ClientId;

use super::{client::Stage, client_status::ONLINE_FOR, people::Role};

/// What is ordered for many clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Install them as their configuration says; wipes their disks.
    Install,
    /// Install them anew that were installed before; wipes their disks.
    Redo,
    /// Restart them through their agents.
    Reboot,
    /// Wake them over the network.
    Wake,
    /// Take them out of service.
    Retire,
    /// Boot the rescue system.
    Rescue {
        /// Public keys that may log in as root.
        authorized_keys: Vec<String>,
    },
    /// Install packages.
    PackageInstall {
        /// Their names.
        packages: Vec<String>,
    },
    /// Remove packages.
    PackageRemove {
        /// Their names.
        packages: Vec<String>,
    },
    /// Upgrade all packages.
    PackageUpgrade,
    /// Bring them to a selection of packages.
    ApplySelection {
        /// Its name.
        selection: String,
    },
    /// Put them into a group; it is made when it is missing.
    JoinGroup {
        /// Its name.
        group: String,
    },
    /// Take them out of a group.
    LeaveGroup {
        /// Its name.
        group: String,
    },
}

impl Action {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Redo => "redo",
            Self::Reboot => "reboot",
            Self::Wake => "wake",
            Self::Retire => "retire",
            Self::Rescue { .. } => "rescue",
            Self::PackageInstall { .. } => "package-install",
            Self::PackageRemove { .. } => "package-remove",
            Self::PackageUpgrade => "package-upgrade",
            Self::ApplySelection { .. } => "apply-selection",
            Self::JoinGroup { .. } => "join-group",
            Self::LeaveGroup { .. } => "leave-group",
        }
    }

    /// The least role that may order it: the same as for a single client.
    pub fn role(&self) -> Role {
        match self {
            Self::Redo | Self::Reboot | Self::Wake | Self::Rescue { .. } => Role::Helpdesk,
            Self::Install
            | Self::Retire
            | Self::PackageInstall { .. }
            | Self::PackageRemove { .. }
            | Self::PackageUpgrade
            | Self::ApplySelection { .. }
            | Self::JoinGroup { .. }
            | Self::LeaveGroup { .. } => Role::Operator,
        }
    }

    /// Whoever orders it says for how many clients, so that nobody does it to more than he meant.
    pub fn is_destructive(&self) -> bool {
        matches!(self, Self::Install | Self::Redo | Self::Retire | Self::PackageRemove { .. })
    }

    /// The job that it queues, when it is one: job type and parameters.
    pub fn job(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::PackageInstall { packages } => Some(("package-install", json!({ "packages": packages }))),
            Self::PackageRemove { packages } => Some(("package-remove", json!({ "packages": packages }))),
            Self::PackageUpgrade => Some(("package-upgrade", json!({}))),
            Self::ApplySelection { selection } => {
                Some(("package-selection", json!({ "selection": selection })))
            }
            Self::Install
            | Self::Redo
            | Self::Reboot
            | Self::Wake
            | Self::Retire
            | Self::Rescue { .. }
            | Self::JoinGroup { .. }
            | Self::LeaveGroup { .. } => None,
        }
    }

    /// The group that it is about.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::JoinGroup { group } | Self::LeaveGroup { group } => Some(group),
            _ => None,
        }
    }
}

/// A client, as far as it decides whether an order makes sense for it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Candidate {
    /// Its number.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub stage: Stage,
    /// An alarm stops it.
    pub alarmed: bool,
    /// It has announced itself and waits for adoption.
    pub waits_for_adoption: bool,
    /// When its agent was last heard.
    pub last_seen_at: Option<i64>,
    /// It has a hardware address.
    pub has_mac: bool,
    /// A job of the installer is open.
    pub installing: bool,
    /// A rescue is open.
    pub rescued: bool,
    /// It is named in the group of the order.
    pub member: bool,
}

/// Why an order makes no sense for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// It is out of service.
    Retired,
    /// An alarm stops it.
    Alarm,
    /// It waits for adoption.
    NotAdopted,
    /// An installation or a rescue of it is under way.
    UnderWay,
    /// It was never installed.
    NeverInstalled,
    /// Its agent is not heard.
    Offline,
    /// Its agent is heard, so it is awake.
    Awake,
    /// It has no hardware address.
    NoAddress,
    /// It belongs to the group already.
    MemberAlready,
    /// It does not belong to the group.
    NoMember,
}

impl Skip {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retired => "retired",
            Self::Alarm => "alarm",
            Self::NotAdopted => "not-adopted",
            Self::UnderWay => "under-way",
            Self::NeverInstalled => "never-installed",
            Self::Offline => "offline",
            Self::Awake => "awake",
            Self::NoAddress => "no-address",
            Self::MemberAlready => "member-already",
            Self::NoMember => "no-member",
        }
    }
}

/// Why an order makes no sense for a client; `None` when it does.
pub fn skip(action: &Action, client: &Candidate, now: i64) -> Option<Skip> {
    let online = client.last_seen_at.is_some_and(|at| now - at < ONLINE_FOR);
    let first = |reasons: &[(bool, Skip)]| reasons.iter().find(|(holds, _)| *holds).map(|(_, skip)| *skip);
    let retired = (client.stage == Stage::Retired, Skip::Retired);
    let alarm = (client.alarmed, Skip::Alarm);
    let stranger = (client.waits_for_adoption, Skip::NotAdopted);
    let under_way = (client.installing || client.rescued, Skip::UnderWay);
    let never = (!matches!(client.stage, Stage::Installing | Stage::Installed), Skip::NeverInstalled);
    match action {
        Action::Install => first(&[retired, alarm, stranger, under_way]),
        Action::Redo => first(&[retired, alarm, stranger, never, under_way]),
        Action::Rescue { .. } => first(&[retired, alarm, stranger, under_way]),
        // A restart that nobody begins in a quarter of an hour expires.
        Action::Reboot => first(&[retired, alarm, (!online, Skip::Offline)]),
        Action::Wake => first(&[retired, (!client.has_mac, Skip::NoAddress), (online, Skip::Awake)]),
        Action::Retire => first(&[retired]),
        Action::PackageInstall { .. }
        | Action::PackageRemove { .. }
        | Action::PackageUpgrade
        | Action::ApplySelection { .. } => first(&[retired, alarm, stranger, never]),
        Action::JoinGroup { .. } => first(&[(client.member, Skip::MemberAlready)]),
        Action::LeaveGroup { .. } => first(&[(!client.member, Skip::NoMember)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Candidate {
        Candidate {
            id: ClientId(1),
            name: "pc".to_owned(),
            stage: Stage::Installed,
            alarmed: false,
            waits_for_adoption: false,
            last_seen_at: Some(0),
            has_mac: true,
            installing: false,
            rescued: false,
            member: false,
        }
    }

    #[test]
    fn an_order_that_makes_no_sense_is_skipped_with_the_reason() {
        let later = 2 * ONLINE_FOR;
        let packages = Action::PackageUpgrade;
        assert_eq!(skip(&packages, &client(), later), None, "a job waits for the client to come back");
        let retired = Candidate { stage: Stage::Retired, ..client() };
        for action in [Action::Install, Action::Redo, Action::Reboot, Action::Wake, Action::Retire, packages]
        {
            assert_eq!(skip(&action, &retired, 0), Some(Skip::Retired), "{action:?}");
        }
        let new = Candidate { stage: Stage::Discovered, waits_for_adoption: true, ..client() };
        assert_eq!(skip(&Action::Install, &new, 0), Some(Skip::NotAdopted));
        let fresh = Candidate { stage: Stage::Registered, ..client() };
        assert_eq!(skip(&Action::Install, &fresh, 0), None);
        assert_eq!(skip(&Action::Redo, &fresh, 0), Some(Skip::NeverInstalled));
        assert_eq!(skip(&Action::Reboot, &client(), 0), None);
        assert_eq!(skip(&Action::Reboot, &client(), later), Some(Skip::Offline));
        assert_eq!(skip(&Action::Wake, &client(), 0), Some(Skip::Awake));
        assert_eq!(skip(&Action::Wake, &client(), later), None);
        let join = Action::JoinGroup { group: "g".to_owned() };
        assert_eq!(skip(&join, &client(), 0), None);
        assert_eq!(skip(&join, &Candidate { member: true, ..client() }, 0), Some(Skip::MemberAlready));
    }
}
