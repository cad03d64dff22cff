//! What there is: zones, offerings, networks and images that never change, and what an account has made.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Host, jobs::Job};

pub(super) const ZONE: &str = "3f0ed5e4-0000-4000-8000-00000000000a";
pub(super) const NETWORK: &str = "3f0ed5e4-0000-4000-8000-00000000000b";
pub(super) const SHARED: &str = "3f0ed5e4-0000-4000-8000-00000000000c";
pub(super) const NETWORK_OFFERING: &str = "3f0ed5e4-0000-4000-8000-00000000000d";
pub(super) const ISO: &str = "3f0ed5e4-0000-4000-8000-00000000000e";
pub(super) const TEMPLATE: &str = "3f0ed5e4-0000-4000-8000-00000000000f";

/// A machine as a [`Host`] hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineThere {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state, in the words of the API.
    pub state: String,
    /// The image in its drive.
    pub iso: Option<String>,
    /// What it may read about itself.
    pub user_data: Vec<u8>,
    /// Its address in its network.
    pub address: String,
    /// Its hardware address.
    pub mac: String,
}

/// An image that was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageThere {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is fetched.
    pub url: String,
    /// What its content has to be, as CloudStack writes it.
    pub checksum: String,
    /// How much of it has come.
    pub percent: u8,
    /// Why it did not come.
    pub fault: Option<String>,
}

/// How much of what somebody has made there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Machines, with their disks.
    pub machines: usize,
    /// Disks.
    pub volumes: usize,
    /// Public addresses beside the networks' own.
    pub addresses: usize,
    /// Forwarded ports.
    pub forwardings: usize,
    /// Openings from outside.
    pub firewall: usize,
    /// Openings to the outside.
    pub egress: usize,
}

#[derive(Clone)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) state: &'static str,
    pub(super) offering: String,
    pub(super) network: String,
    pub(super) address: String,
    pub(super) mac: String,
    pub(super) iso: Option<String>,
    pub(super) user_data: Vec<u8>,
    pub(super) volume: String,
}

impl Machine {
    pub(super) fn shown(&self) -> MachineThere {
        MachineThere {
            id: self.id.clone(),
            name: self.name.clone(),
            state: self.state.to_owned(),
            iso: self.iso.clone(),
            user_data: self.user_data.clone(),
            address: self.address.clone(),
            mac: self.mac.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Address {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) network: String,
    pub(super) is_networks_own: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleKind {
    Forwarding,
    Firewall,
    Egress,
}

#[derive(Clone)]
pub(super) struct Rule {
    pub(super) kind: RuleKind,
    /// The address, or the network.
    pub(super) place: String,
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) private: u16,
    pub(super) protocol: String,
    pub(super) sources: String,
    pub(super) machine: String,
}

/// Something that a [`Host`] is told.
pub(super) enum Told {
    Deployed(MachineThere),
    Started(MachineThere),
    Stopped(MachineThere),
    Removed(MachineThere),
}

impl Told {
    pub(super) fn tell(&self, host: &dyn Host) {
        match self {
            Self::Deployed(machine) => host.deployed(machine),
            Self::Started(machine) => host.started(machine),
            Self::Stopped(machine) => host.stopped(machine),
            Self::Removed(machine) => host.removed(machine),
        }
    }
}

pub(super) struct World {
    numbers: u32,
    pub(super) machines: BTreeMap<String, Machine>,
    pub(super) addresses: BTreeMap<String, Address>,
    pub(super) rules: BTreeMap<String, Rule>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) limit: usize,
    pub(super) room: usize,
    /// The image that is there from the beginning has come so far.
    pub(super) image_percent: u8,
    /// Disks that outlive their machines: id, and the machine's id and name.
    pub(super) loose: Vec<(String, String, String)>,
    /// Machines leave their disks behind.
    pub(super) leaves_volumes: bool,
    /// Images that were registered since.
    pub(super) images: Vec<ImageThere>,
    /// So much of each image comes with every call, in per cent.
    pub(super) image_pace: u8,
    /// Why images do not come.
    pub(super) download_fault: Option<String>,
    pub(super) job_length: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            numbers: 100,
            machines: BTreeMap::new(),
            addresses: BTreeMap::new(),
            rules: BTreeMap::new(),
            jobs: BTreeMap::new(),
            limit: usize::MAX,
            room: usize::MAX,
            image_percent: 100,
            loose: Vec::new(),
            leaves_volumes: false,
            images: Vec::new(),
            image_pace: 25,
            download_fault: None,
            job_length: 1,
        };
        world.add_address(NETWORK, true);
        world
    }

    pub(super) fn new_id(&mut self) -> String {
        self.numbers += 1;
        format!("7d3a1c52-0000-4000-8000-{:012x}", self.numbers)
    }

    pub(super) fn number(&self) -> u32 {
        self.numbers
    }

    pub(super) fn add_address(&mut self, network: &str, is_networks_own: bool) -> String {
        let id = self.new_id();
        let text = format!("203.0.113.{}", self.addresses.len() + 10);
        let address = Address { id: id.clone(), text, network: network.to_owned(), is_networks_own };
        self.addresses.insert(id.clone(), address);
        id
    }

    pub(super) fn left(&self) -> Left {
        let rules = |kind| self.rules.values().filter(|rule| rule.kind == kind).count();
        Left {
            machines: self.machines.len(),
            volumes: self.machines.len() + self.loose.len(),
            addresses: self.addresses.values().filter(|address| !address.is_networks_own).count(),
            forwardings: rules(RuleKind::Forwarding),
            firewall: rules(RuleKind::Firewall),
            egress: rules(RuleKind::Egress),
        }
    }

    pub(super) fn machines(&self) -> Vec<MachineThere> {
        self.machines.values().map(Machine::shown).collect()
    }

    pub(super) fn close_firewall(&mut self) {
        self.rules.retain(|_, rule| rule.kind != RuleKind::Firewall);
    }

    /// Whether machines can boot an image.
    pub(super) fn is_bootable(&self, id: &str) -> bool {
        let registered = |image: &&ImageThere| image.id == id;
        match self.images.iter().find(registered) {
            Some(image) => image.percent >= 100,
            None => id == ISO && self.image_percent >= 100,
        }
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.machines.retain(|_, machine| machine.name != name);
    }

    /// Removes a machine with its disk and what leads to it, as an expunge does; openings stay.
    pub(super) fn remove_machine(&mut self, id: &str) -> Option<Told> {
        self.rules.retain(|_, rule| rule.machine != id);
        let removed = self.machines.remove(id)?;
        if self.leaves_volumes {
            self.loose.push((removed.volume.clone(), removed.id.clone(), removed.name.clone()));
        }
        Some(Told::Removed(removed.shown()))
    }

    /// Reads user-data as the API has it.
    pub(super) fn user_data(text: &str) -> Result<Vec<u8>, (u16, String)> {
        if text.len() > 32_768 {
            return Err((431, "User data has exceeded its maximum length".to_owned()));
        }
        STANDARD.decode(text).map_err(|_| (431, "User data is not base64 encoded".to_owned()))
    }
}
