//! Desktops: clients whose machine is made and removed at a provider; the journal of everything that was made for them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::ClientId;

use super::{client::RemoteAccess, job::UnknownWord};

/// Kinds of what can go wrong at a provider; what happens next hangs on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultClass {
    /// What was asked for is wrong: asking again does not help, here or elsewhere.
    Caller,
    /// The account is not let in, or may not do it.
    Authentication,
    /// The account has used up what it may have.
    Quota,
    /// The provider has no room.
    Capacity,
    /// It was not done; it may work a little later.
    Transient,
    /// Nobody knows whether it was done.
    Ambiguous,
    /// What it is about is not there.
    Gone,
}

/// Where a desktop is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DesktopState {
    /// Its machine is being made.
    Creating,
    /// Its machine is there.
    Ready,
    /// Its machine could not be made; nothing of it is left.
    Failed,
    /// Its machine was there and is gone, without anybody having asked for that here.
    Lost,
    /// Everything of it is being removed.
    Deleting,
    /// Everything of it is removed.
    Deleted,
}

/// What a line of the journal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// A port of the public address that leads to the machine.
    Forwarding,
    /// What lets others reach that port.
    Firewall,
    /// What lets the machine reach others.
    Egress,
    /// The virtual machine, with its disks.
    Vm,
    /// A public address.
    Address,
}

/// Where a part is in its life. Each state is written before what follows from it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartState {
    /// It is about to be asked for, or was: only the provider knows.
    Intended,
    /// The provider is at it.
    Making,
    /// It is there.
    Made,
    /// The provider was asked to remove it.
    Leaving,
    /// It is not there.
    Gone,
}

/// Where trying a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrialState {
    /// Its parts are being made.
    Building,
    /// It went wrong: what was made is being removed.
    Clearing,
    /// The machine is there.
    Succeeded,
    /// It went wrong, and nothing is left.
    Failed,
}

/// What somebody wants of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerOrder {
    /// It shall run.
    Start,
    /// It shall not.
    Stop,
    /// It shall start anew.
    Reboot,
}

/// What the provider is asked to do with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineChange {
    /// To start it.
    Start,
    /// To stop it.
    Stop,
    /// To start it anew.
    Reboot,
    /// To take the boot image out of its drive.
    Detach,
}

/// Words that are stored, each way.
macro_rules! words {
    ($type:ident, $what:literal: $($variant:ident = $word:literal),* $(,)?) => {
        impl $type {
            /// Its word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl FromStr for $type {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { word: word.to_owned(), what: $what }),
                }
            }
        }
    };
}

words!(FaultClass, "kind of fault": Caller = "caller", Authentication = "authentication", Quota = "quota", Capacity = "capacity",
    Transient = "transient", Ambiguous = "ambiguous", Gone = "gone");
words!(DesktopState, "state of a desktop": Creating = "creating", Ready = "ready", Failed = "failed", Lost = "lost",
    Deleting = "deleting", Deleted = "deleted");
words!(PartKind, "kind of part": Forwarding = "forwarding", Firewall = "firewall", Egress = "egress", Vm = "vm", Address = "address");
words!(PartState, "state of a part": Intended = "intended", Making = "making", Made = "made", Leaving = "leaving", Gone = "gone");
words!(TrialState, "state of a trial": Building = "building", Clearing = "clearing", Succeeded = "succeeded", Failed = "failed");
words!(MachineChange, "change of a machine": Start = "start", Stop = "stop", Reboot = "reboot", Detach = "detach");
words!(PowerOrder, "order": Start = "start", Stop = "stop", Reboot = "reboot");

/// Where a desktop is to be made, and how large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DesktopWish {
    /// At this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// At any provider of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// A size that the provider knows.
    #[serde(default = "standard")]
    pub size: String,
    /// In this network of the provider instead of the one that it names for desktops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// A selection of packages that it gets, beside those of its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
}

impl DesktopWish {
    /// A desktop of a size, wherever it is made.
    pub fn sized(size: &str) -> Self {
        Self { provider: None, pool: None, size: size.to_owned(), network: None, selection: None }
    }
}

/// TCP ports of a desktop that are reached from outside: those that its provider names, and the one by which it is used.
pub fn ports(named: &[u16], remote: RemoteAccess) -> Vec<u16> {
    let used = remote.port().filter(|port| !named.contains(port));
    named.iter().copied().chain(used).collect()
}

/// The size that is meant when nobody names one.
pub fn standard() -> String {
    "standard".to_owned()
}

/// A desktop as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Desktop {
    /// Its number.
    pub id: i64,
    /// Its name, which is its client's.
    pub name: String,
    /// Its client; none once that was removed.
    pub client: Option<ClientId>,
    /// What was asked for.
    pub wish: DesktopWish,
    /// Where it is in its life.
    pub state: DesktopState,
    /// What it waits for, or what went wrong; empty when there is nothing to say.
    pub reason: String,
    /// What somebody has ordered and was not done yet.
    pub order: Option<PowerOrder>,
    /// How the provider calls the machine's state; empty when nobody knows.
    pub power: String,
    /// The boot image is in its drive.
    pub iso_attached: bool,
    /// What the provider was asked to do with the machine.
    pub doing: Option<MachineChange>,
    /// The provider's job for that.
    #[serde(skip)]
    pub doing_job: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: i64,
    /// When its state last changed.
    pub changed_at: i64,
    /// When the machine was asked for that it has now, or is to have.
    pub wanted_at: i64,
    /// Trials of older rounds were for a machine that was replaced.
    #[serde(skip)]
    pub first_round: i64,
}

/// One provider that was tried for a desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderTrial {
    /// Its number.
    pub id: i64,
    /// The desktop.
    #[serde(skip)]
    pub desktop: i64,
    /// The provider's number.
    #[serde(skip)]
    pub provider_id: i64,
    /// The provider's name at that time.
    pub provider: String,
    /// Providers are tried round after round.
    pub round: i64,
    /// Where it is.
    pub state: TrialState,
    /// What kind of fault ended it.
    pub class: Option<FaultClass>,
    /// What went wrong last.
    pub reason: String,
    /// How often something was tried again.
    pub retries: i64,
    /// Where exactly things are made, as ids of the provider (JSON).
    #[serde(skip)]
    pub place: Option<String>,
    /// When it began.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// A line of the journal: something that was made for a desktop, or may have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopPart {
    /// Its number.
    pub id: i64,
    /// The desktop.
    #[serde(skip)]
    pub desktop: i64,
    /// For which trial.
    #[serde(skip)]
    pub trial: i64,
    /// At which provider.
    #[serde(skip)]
    pub provider_id: i64,
    /// What it is.
    pub kind: PartKind,
    /// Where it is in its life.
    pub state: PartState,
    /// By what it is found there, whoever heard the answer: of a machine its name; of rules the address, the port or the network.
    pub tag: String,
    /// Its id there, once that is known.
    pub remote: Option<String>,
    /// The provider's job that makes or removes it.
    pub job: Option<String>,
    /// The public address, as an id of the provider.
    pub address: Option<String>,
    /// The public address, as people write it.
    pub address_text: String,
    /// The port on the public address.
    pub port: Option<i64>,
    /// The port of the machine.
    pub guest_port: Option<i64>,
    /// How often it was looked for in vain since it was asked for.
    #[serde(skip)]
    pub looks: i64,
    /// Why it is still there, or was not made.
    pub problem: String,
    /// When it was written down.
    pub intended_at: i64,
    /// When its state last changed.
    pub changed_at: i64,
}

/// Letters of a tag: enough that no two requests share one.
const TAG_LETTERS: usize = 12;
/// What stands before it.
const TAG_MARK: &str = "-lotse-";

/// The name under which a machine is asked for: the desktop's, and what tells this very request from all others. It is a host name.
pub fn tagged_name(desktop: &str, random: [u8; 6]) -> String {
    let room = 63 - TAG_MARK.len() - TAG_LETTERS;
    let short: String = desktop.chars().take(room).collect();
    let letters = hex::encode(random);
    format!("{}{TAG_MARK}{letters}", short.trim_end_matches('-'))
}

/// Whether a machine's name there is one that [`tagged_name`] gives.
pub fn is_tagged(name: &str) -> bool {
    name.rsplit_once(TAG_MARK).is_some_and(|(_, letters)| {
        letters.len() == TAG_LETTERS && letters.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::is_name;

    #[test]
    fn a_tagged_name_is_a_host_name_and_is_known_again() {
        for desktop in ["d", "desk-01", &"a".repeat(63), &format!("{}-b", "a".repeat(43))] {
            let name = tagged_name(desktop, [0, 1, 2, 0xfd, 0xfe, 0xff]);
            assert!(is_name(&name) && is_tagged(&name) && !name.contains("--"), "{name}");
            assert!(name.ends_with("-lotse-000102fdfeff"), "{name}");
        }
        for other in ["desk-01", "web-lotse-1", "x-lotse-00010203040", "lotse-000102030405x"] {
            assert!(!is_tagged(other), "{other}");
        }
    }
}
