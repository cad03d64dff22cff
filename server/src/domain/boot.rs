//! What a machine boots, and the timeline that tells why one is stuck. Pure functions of the client's state.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Mac, enrol::Realm};

use super::{client::Stage, job::UnknownWord};

/// What a machine shall boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootDecision {
    /// The installer, with a one-time token for this client.
    Installer,
    /// The installer without a token: the machine announces itself and waits for an admin.
    Discovery,
    /// Its own disk.
    LocalDisk,
}

/// What the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// The client's stage.
    pub stage: Stage,
    /// A job of the installer realm is queued or running.
    pub installer_job: bool,
    /// An alarm stops the client.
    pub alarm: bool,
}

/// What to boot; `None` is a machine that nobody knows.
pub fn decide(state: Option<BootState>) -> BootDecision {
    match state {
        None => BootDecision::Discovery,
        Some(BootState { stage: Stage::Retired, .. } | BootState { alarm: true, .. }) => {
            BootDecision::LocalDisk
        }
        Some(BootState { installer_job: true, .. }) => BootDecision::Installer,
        Some(BootState { stage: Stage::Discovered, .. }) => BootDecision::Discovery,
        // A registered machine shows its hardware before anybody decides what is installed on it.
        Some(BootState { stage: Stage::Registered, .. }) => BootDecision::Installer,
        Some(BootState { stage: Stage::Installing | Stage::Installed, .. }) => BootDecision::LocalDisk,
    }
}

/// A contact of a machine on its way into the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootEventKind {
    /// The DHCP server gave or renewed an address.
    Dhcp,
    /// The firmware fetched a boot program by TFTP.
    Tftp,
    /// The boot program asked what to boot.
    Script,
    /// The boot program fetched the kernel.
    Kernel,
    /// The boot program fetched the initramfs.
    Initramfs,
    /// The agent looked for its server in the user-data of a cloud.
    Searched,
    /// The agent asked for the CA.
    Trust,
    /// The agent announced the machine and waits for an admin.
    Announced,
    /// The agent has an identity.
    Enrolled,
    /// The agent's first poll in a boot.
    Connected,
    /// Something on the way was refused.
    Refused,
}

const KINDS: [(BootEventKind, &str); 11] = [
    (BootEventKind::Dhcp, "dhcp"),
    (BootEventKind::Tftp, "tftp"),
    (BootEventKind::Script, "script"),
    (BootEventKind::Kernel, "kernel"),
    (BootEventKind::Initramfs, "initramfs"),
    (BootEventKind::Searched, "searched"),
    (BootEventKind::Trust, "trust"),
    (BootEventKind::Announced, "announced"),
    (BootEventKind::Enrolled, "enrolled"),
    (BootEventKind::Connected, "connected"),
    (BootEventKind::Refused, "refused"),
];

impl BootEventKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for BootEventKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        KINDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "boot event" })
    }
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootEvent {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub mac: Mac,
    /// When.
    pub at: i64,
    /// What.
    pub kind: BootEventKind,
    /// In words.
    pub detail: String,
}

/// What is expected next on a timeline, and what to do when it does not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expectation {
    /// The last contact, or `nothing`: for texts in other languages.
    pub after: String,
    /// What should come next.
    pub next: String,
    /// It is late.
    pub late: bool,
    /// The likely cause when it does not come.
    pub likely_cause: String,
    /// What to do then.
    pub remedy: String,
}

/// How long the next event may take before it counts as late, in seconds.
const PATIENCE_S: i64 = 120;

/// What should come after the last event; `None` when the machine has arrived, or nothing is expected of it.
pub fn expect_next(last: Option<&BootEvent>, realm: Option<Realm>, now: i64) -> Option<Expectation> {
    let Some(last) = last else {
        return Some(Expectation {
            after: "nothing".to_owned(),
            next: "a DHCP request or a boot program asking for its script".to_owned(),
            late: false,
            likely_cause: "the machine is off, boots from another device first, or its network port does not reach this server".to_owned(),
            remedy: "switch the machine on with network boot (PXE) first in its boot order; check cable, VLAN and, on another network, the DHCP relay".to_owned(),
        });
    };
    let (next, likely_cause, remedy) = match last.kind {
        BootEventKind::Dhcp => (
            "the boot program by TFTP",
            "TFTP does not reach the server, or the DHCP answer names another boot server",
            "open UDP port 69 between machine and server; look for a second DHCP server that sends a boot file",
        ),
        BootEventKind::Tftp => (
            "the boot program asking for its script over HTTP",
            "the boot program has no driver for the network card, Secure Boot refused it, or the HTTP port is filtered",
            "look at the machine's screen; with Secure Boot on, run `lotse pxe dnsmasq --secure-boot`; open the HTTP port of the server",
        ),
        BootEventKind::Script => (
            "the kernel",
            "the decision was to boot the local disk, or the transfer broke off",
            "when the machine should be installed, queue the installation and restart it",
        ),
        BootEventKind::Kernel => {
            ("the initramfs", "the transfer broke off", "restart the machine; look for packet loss")
        }
        BootEventKind::Initramfs => (
            "the agent asking for the CA",
            "the kernel has no driver for the network card, the machine has less than 1 GiB of memory, or the agent gets no address",
            "look at the machine's screen: the installer says there what it waits for",
        ),
        BootEventKind::Trust | BootEventKind::Searched => (
            "the agent announcing the machine",
            "the agent does not trust this server (other CA), or HTTPS is filtered",
            "compare the CA fingerprint on the screen with `lotse ca`; open the HTTPS ports of the server",
        ),
        BootEventKind::Announced => (
            "an admin adopting the machine",
            "nobody has adopted it yet",
            "compare the fingerprint on the screen and run `lotse client adopt`",
        ),
        BootEventKind::Enrolled => (
            "the agent's first poll",
            "the listener for agents cannot be reached",
            "open the port of the agents' listener between machine and server",
        ),
        BootEventKind::Connected => return None,
        BootEventKind::Refused => (
            "a new start of the machine",
            last.detail.as_str(),
            "see the line above; mend it and restart the machine",
        ),
    };
    // A machine that was told to boot its own disk owes nothing more over the network.
    if last.kind == BootEventKind::Script && realm == Some(Realm::System) {
        return None;
    }
    Some(Expectation {
        after: last.kind.as_str().to_owned(),
        next: next.to_owned(),
        late: now - last.at > PATIENCE_S * crate::clock::SECOND,
        likely_cause: likely_cause.to_owned(),
        remedy: remedy.to_owned(),
    })
}

/// What should come after a machine was announced and somebody has adopted it.
pub fn expect_identity(announced: &BootEvent, now: i64) -> Expectation {
    Expectation {
        after: "adopted".to_owned(),
        next: "the agent fetching its identity".to_owned(),
        late: now - announced.at > PATIENCE_S * crate::clock::SECOND,
        likely_cause: "the machine was switched off before it was adopted, or HTTPS is filtered".to_owned(),
        remedy: "look at the machine's screen, and restart it over the network".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(stage: Stage, installer_job: bool, alarm: bool) -> BootDecision {
        decide(Some(BootState { stage, installer_job, alarm }))
    }

    #[test]
    fn an_installed_machine_boots_its_disk_unless_an_installer_job_waits() {
        assert_eq!(state(Stage::Installed, false, false), BootDecision::LocalDisk);
        assert_eq!(state(Stage::Installed, true, false), BootDecision::Installer);
    }

    #[test]
    fn an_alarm_keeps_a_machine_away_from_the_installer() {
        assert_eq!(state(Stage::Installing, true, true), BootDecision::LocalDisk);
    }

    #[test]
    fn nobody_is_installed_without_having_been_adopted() {
        assert_eq!(decide(None), BootDecision::Discovery);
        assert_eq!(state(Stage::Discovered, false, false), BootDecision::Discovery);
    }

    #[test]
    fn silence_after_an_event_becomes_late_with_a_cause() {
        let event = BootEvent {
            id: 1,
            mac: "525400123456".parse().unwrap(),
            at: 0,
            kind: BootEventKind::Tftp,
            detail: String::new(),
        };
        assert!(!expect_next(Some(&event), None, 60 * crate::clock::SECOND).unwrap().late);
        let late = expect_next(Some(&event), None, 121 * crate::clock::SECOND).unwrap();
        assert!(late.late && !late.remedy.is_empty());
    }
}
