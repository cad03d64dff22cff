//! Virtual machines at providers, behind one trait; one folder for each kind of provider.
//!
//! Invariant: nothing here keeps anything. Whatever is asked for is written down by the caller before ([`crate::domain::desktop::DesktopPart`]), and
//! every error says by its class whether it may have been done nevertheless. No call waits for long work: it gives the number of the
//! provider's job, which anybody can look at later, also after a restart.

pub mod cloudstack;
mod error;
pub mod kvm;
mod place;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    error::Error,
    place::{Place, place},
};
use crate::domain::desktop::{FaultClass, PartKind, PowerOrder};

/// An answer that is on its way.
pub type Doing<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Something that lies at a provider and is chosen by name or id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// Its id there.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// In words: what it is, how large.
    pub about: String,
    /// It lies in this zone only; empty: in all.
    pub zone: String,
    /// It can be used now.
    pub usable: bool,
}

/// A network for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkOffer {
    /// What it is.
    #[serde(flatten)]
    pub offer: Offer,
    /// It is reached from outside only by ports of a public address.
    pub isolated: bool,
    /// It lets nothing out that no rule names; absent when the provider does not say.
    pub closed_outwards: Option<bool>,
}

/// What a provider offers to an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offers {
    /// Zones.
    pub zones: Vec<Offer>,
    /// Processors and memory.
    pub offerings: Vec<Offer>,
    /// Disks.
    pub disks: Vec<DiskOffer>,
    /// Networks.
    pub networks: Vec<NetworkOffer>,
    /// Systems that are installed already.
    pub templates: Vec<Offer>,
    /// Images of discs.
    pub isos: Vec<Offer>,
}

/// A disk offering.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskOffer {
    /// What it is.
    #[serde(flatten)]
    pub offer: Offer,
    /// Its size is said with each request.
    pub open_size: bool,
}

/// A limit of the account, and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountLimit {
    /// Of what, such as `vm` or `ip`.
    pub of: String,
    /// How many there are.
    pub used: i64,
    /// How many there may be; absent: any number.
    pub limit: Option<i64>,
}

/// What a provider says about itself and the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderAnswer {
    /// Its version, as it says.
    pub version: String,
    /// What the account may have.
    pub limits: Vec<AccountLimit>,
    /// Calls that are needed and that the account may not use.
    pub refused: Vec<String>,
}

/// What somebody cannot do at this kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Machines start from an ISO image.
    pub boots_iso: bool,
    /// Ports of public addresses lead to machines.
    pub forwards_ports: bool,
    /// A machine gets a text of its own.
    pub user_data: bool,
}

/// A machine to be made; it is not started yet.
#[derive(Clone, Copy)]
pub struct NewVm<'a> {
    /// Its name there, by which it is found when nobody heard the answer.
    pub name: &'a str,
    /// How people know it there.
    pub title: &'a str,
    /// Where, from what, how large.
    pub place: &'a Place,
    /// What it reads when it starts, as it is.
    pub user_data: &'a str,
}

/// An image of a disc that the provider shall fetch.
#[derive(Clone, Copy, Debug)]
pub struct NewIso<'a> {
    /// Its name there.
    pub name: &'a str,
    /// Where the provider fetches it.
    pub url: &'a str,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: Option<&'a str>,
    /// Id of the zone.
    pub zone: &'a str,
}

/// An image of a disc of the account, which the provider has or fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Iso {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Machines can boot it.
    pub ready: bool,
    /// The provider did not get it, and does not try any more.
    pub failed: bool,
    /// How much of it the provider has.
    pub percent: Option<i64>,
    /// How it is in the provider's own words.
    pub said: String,
}

/// A machine as the provider shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vm {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: VmState,
    /// The state in the provider's own word.
    pub state_text: String,
    /// Its address in the network of the desktops.
    pub address: String,
    /// The image in its drive.
    pub iso: Option<String>,
}

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VmState {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// It is between two states.
    Moving,
    /// It could not be made, or has broken.
    Broken,
    /// It is removed, and only its name is still shown.
    Removed,
    /// Nobody knows.
    #[default]
    Unknown,
}

/// A public address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicAddress {
    /// Its id.
    pub id: String,
    /// The address.
    pub address: String,
    /// It belongs to the network and cannot be given back.
    pub is_networks_own: bool,
    /// It can be used.
    pub usable: bool,
}

/// A disk of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Id of its machine.
    pub vm: String,
    /// Name of its machine, also of one that is gone.
    pub vm_name: String,
}

/// A rule by which something is reached: a forwarded port, an opening from outside, or one to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// The port on the public address.
    pub port: u16,
    /// The last of several ports.
    pub last_port: u16,
    /// From which networks, for an opening to the outside.
    pub sources: Vec<String>,
    /// The machine it leads to.
    pub vm: String,
    /// It counts already.
    pub active: bool,
}

/// A rule to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewRule {
    /// A TCP port of a public address leads to a port of a machine.
    Forwarding {
        /// Id of the address.
        address: String,
        /// Its port.
        port: u16,
        /// Id of the machine.
        vm: String,
        /// The machine's port.
        guest_port: u16,
    },
    /// A TCP port of a public address can be reached from these networks.
    Firewall {
        /// Id of the address.
        address: String,
        /// Its port.
        port: u16,
        /// From where.
        sources: Vec<String>,
    },
    /// An address of a network may reach everything.
    Egress {
        /// Id of the network.
        network: String,
        /// The address.
        source: String,
    },
}

/// Rules of one kind at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesOf {
    /// Forwarded ports of a public address.
    Forwarding(String),
    /// Openings of a public address.
    Firewall(String),
    /// Openings of a network to the outside.
    Egress(String),
}

/// What was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Id of what is being made, when the provider says it at once.
    pub id: Option<String>,
    /// The provider's job; none when it is done already.
    pub job: Option<String>,
}

/// How far a job of the provider is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is at it.
    Pending,
    /// It is done; with the id of what it was about.
    Done(Option<String>),
    /// It went wrong, and the provider has said so.
    Failed(Error),
}

/// A provider with an account.
pub trait Provider: Send + Sync {
    /// What this kind of provider can do.
    fn capabilities(&self) -> Capabilities;

    /// Its version, the account's limits, and what the account may not do.
    fn about(&self) -> Doing<'_, ProviderAnswer>;

    /// What it offers.
    fn offers(&self) -> Doing<'_, Offers>;

    /// Lets the provider fetch an image; gives its id. When it is there, [`Provider::offers`] says so.
    fn register_iso<'a>(&'a self, new: &'a NewIso<'a>) -> Doing<'a, String>;

    /// Whether images are registered there, with [`Provider::register_iso`], before machines boot them.
    fn keeps_images(&self) -> bool {
        false
    }

    /// The account's images with a name, also those that are not there yet.
    fn isos<'a>(&'a self, _name: &'a str) -> Doing<'a, Vec<Iso>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Removes an image of the account.
    fn delete_iso<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        let attempt = format!("removing the image {id}");
        Box::pin(async move { Err(Error::new(FaultClass::Gone, &attempt, "images are not kept there")) })
    }

    /// Makes a machine with its disk, without starting it.
    fn deploy<'a>(&'a self, new: &'a NewVm<'a>) -> Doing<'a, Begun>;

    /// All machines of the account, or those with a name; machines that are removed are left out.
    fn vms<'a>(&'a self, name: Option<&'a str>) -> Doing<'a, Vec<Vm>>;

    /// A machine by its id.
    fn vm<'a>(&'a self, id: &'a str) -> Doing<'a, Option<Vm>>;

    /// Starts, stops or restarts a machine.
    fn power<'a>(&'a self, id: &'a str, order: PowerOrder) -> Doing<'a, Begun>;

    /// Takes the image out of a machine's drive.
    fn detach_iso<'a>(&'a self, id: &'a str) -> Doing<'a, Begun>;

    /// An address at which one person sees the screen of a machine; it is soon worth nothing. Of machines on clients this server shows it itself.
    fn console<'a>(&'a self, id: &'a str) -> Doing<'a, String> {
        let attempt = format!("opening the console of the machine {id}");
        Box::pin(async move { Err(Error::new(FaultClass::Caller, &attempt, "it is seen through its host")) })
    }

    /// Removes a machine with its disks, so that nobody can get it back.
    fn destroy<'a>(&'a self, id: &'a str) -> Doing<'a, Begun>;

    /// All disks of the account, where a provider shows them apart from machines.
    fn volumes(&self) -> Doing<'_, Vec<Volume>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Public addresses of a network.
    fn addresses<'a>(&'a self, network: &'a str) -> Doing<'a, Vec<PublicAddress>>;

    /// Gets another public address for a network.
    fn allocate<'a>(&'a self, network: &'a str) -> Doing<'a, Begun>;

    /// Gives a public address back.
    fn release<'a>(&'a self, address: &'a str) -> Doing<'a, Begun>;

    /// The rules at a place.
    fn rules<'a>(&'a self, of: &'a RulesOf) -> Doing<'a, Vec<Rule>>;

    /// Makes a rule.
    fn open<'a>(&'a self, rule: &'a NewRule) -> Doing<'a, Begun>;

    /// Removes a rule of this kind.
    fn close<'a>(&'a self, kind: PartKind, id: &'a str) -> Doing<'a, Begun>;

    /// Looks how far a job is.
    fn job<'a>(&'a self, id: &'a str) -> Doing<'a, Progress>;
}
