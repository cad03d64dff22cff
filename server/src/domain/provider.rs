//! Providers: where machines that do not exist yet come from, and pools of them.
//!
//! Invariant: which provider is tried next, and for how long one that fails is left alone, is decided here, from what is stored and a number
//! that is drawn elsewhere; nothing here asks a clock or a network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Sha256, problem::FieldProblem};

use super::{
    client::is_name,
    desktop::{DesktopWish, FaultClass, PartKind},
};
use crate::clock::SECOND;

/// So many failures one after the other, and a provider is left alone for a while.
const FAILURES: i64 = 3;
/// For so long at first, in seconds; twice as long after each further failure, ...
const REST_S: i64 = 30;
/// ... and at most for so long, in seconds.
const LONGEST_REST_S: i64 = 1800;

/// What pool, network and boot image of a host with KVM are called.
pub const HOST_NAME: &str = "lotse";

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// The API of Apache `CloudStack`.
    #[default]
    Cloudstack,
    /// The queue of a client that hosts machines with KVM.
    Kvm,
}

/// What a size of ours is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SizeThere {
    /// Name or id of the service offering: processors and memory.
    pub offering: String,
    /// Name or id of the disk offering; it becomes the root disk.
    pub disk: String,
    /// GiB, where the disk offering leaves that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u32>,
}

/// What is wanted of a provider. Whatever lies there is named by its name or by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderWish {
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where its API is, `https://HOST/client/api`.
    pub endpoint: String,
    /// The client that hosts the machines, for KVM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// So many machines of Lotse may be on that host; absent: as many as it has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_machines: Option<u32>,
    /// Certificates in PEM that it is checked by; empty: those of this system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
    /// SHA-256 of its own certificate (DER): the only one that counts, whoever has signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Sha256>,
    /// The zone.
    pub zone: String,
    /// The network of the desktops.
    pub network: String,
    /// The boot image.
    pub iso: String,
    /// The hypervisor, as the provider calls it.
    pub hypervisor: String,
    /// The project in which everything is made; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// Sizes of desktops by name; one without a line here is not made there.
    pub sizes: BTreeMap<String, SizeThere>,
    /// The public address that is shared by forwarded ports; empty: one that the network has, or a new one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// TCP ports of a desktop that are reached from outside; each gets a port of its own on the public address.
    pub ports: Vec<u16>,
    /// The first port that is given on the public address.
    pub first_port: u16,
    /// Who may reach the forwarded ports, as networks such as `192.0.2.0/24`.
    pub sources: Vec<String>,
    /// Whoever says nothing for so long, in seconds, has not heard.
    pub timeout_s: u32,
    /// Whether new desktops are made there.
    pub enabled: bool,
}

impl Default for ProviderWish {
    fn default() -> Self {
        Self {
            kind: ProviderKind::default(),
            endpoint: String::new(),
            host: String::new(),
            most_machines: None,
            ca_pem: String::new(),
            fingerprint: None,
            zone: String::new(),
            network: String::new(),
            iso: String::new(),
            hypervisor: "KVM".to_owned(),
            project: String::new(),
            sizes: BTreeMap::new(),
            address: String::new(),
            ports: vec![22],
            first_port: 20_000,
            sources: vec!["0.0.0.0/0".to_owned()],
            timeout_s: 30,
            enabled: true,
        }
    }
}

impl ProviderWish {
    /// What is wanted of it for a desktop.
    #[must_use]
    pub fn of(&self, desktop: &DesktopWish) -> Self {
        let network = desktop.network.clone().unwrap_or_else(|| self.network.clone());
        Self { network, ..self.clone() }
    }

    /// A client that hosts machines, with the names that the job `vm-host` gives.
    pub fn kvm(host: &str) -> Self {
        Self {
            kind: ProviderKind::Kvm,
            host: host.to_owned(),
            network: HOST_NAME.to_owned(),
            iso: HOST_NAME.to_owned(),
            ..Self::default()
        }
    }

    /// Where machines are made there: the zone, or the host.
    pub fn location(&self) -> &str {
        match self.kind {
            ProviderKind::Cloudstack => &self.zone,
            ProviderKind::Kvm => &self.host,
        }
    }

    /// What is wrong with it.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: &str| {
            wrong.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
        };
        match self.kind {
            ProviderKind::Cloudstack => {
                if !self.endpoint.starts_with("https://") || self.endpoint.len() > 500 {
                    say("endpoint", "must be an address such as https://cloud.example.org/client/api");
                }
                if !self.host.is_empty() || self.most_machines.is_some() {
                    say("host", "belongs to a provider of the kind kvm");
                }
            }
            ProviderKind::Kvm => {
                if !is_name(&self.host) {
                    say("host", "must be the name of the client that hosts the machines");
                }
                if !self.endpoint.is_empty() {
                    say("endpoint", "a client that hosts machines has none: its agent comes to the server");
                }
            }
        }
        if self.endpoint.contains(['?', '#', '@']) {
            say("endpoint", "must have no query, no fragment and no user");
        }
        if self.fingerprint.is_some() && !self.ca_pem.is_empty() {
            say("fingerprint", "either certificates or a fingerprint, not both");
        }
        if !(1..=60).contains(&self.timeout_s) {
            say("timeout_s", "must be from 1 to 60");
        }
        if self.ports.len() > 8 || self.ports.contains(&0) {
            say("ports", "at most eight ports, from 1 on");
        }
        if self.first_port == 0 {
            say("first_port", "must be from 1 on");
        }
        if self.sizes.keys().any(|name| !is_name(name)) {
            say("sizes", "names must have small letters, digits and hyphens");
        }
        let texts = [&self.zone, &self.network, &self.iso, &self.hypervisor, &self.project, &self.address];
        if texts
            .into_iter()
            .chain(&self.sources)
            .any(|text| text.len() > 200 || text.contains(char::is_control))
        {
            say("zone", "names of what lies there have at most 200 characters and no control characters");
        }
        wrong
    }
}

/// How a provider has been lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStanding {
    /// Failures one after the other.
    pub failures: i64,
    /// It is left alone until then; 0 when it is not.
    pub rests_until: i64,
    /// What it failed with last; empty when the last thing went well.
    pub problem: String,
}

impl ProviderStanding {
    /// After something went wrong there: whoever is not let in is left alone at once, everybody else after some failures.
    #[must_use]
    pub fn after(&self, class: FaultClass, problem: &str, now: i64) -> Self {
        // What is full or wrongly asked for says nothing against the provider; and what was under way when it began to rest fails as well,
        // which is no further failure.
        let says_nothing =
            matches!(class, FaultClass::Caller | FaultClass::Gone | FaultClass::Quota | FaultClass::Capacity);
        if says_nothing || self.rests_until > now {
            return Self { problem: problem.to_owned(), ..self.clone() };
        }
        let failures = self.failures.saturating_add(1);
        let over = if class == FaultClass::Authentication { failures } else { failures - FAILURES + 1 };
        let rests_until = if over > 0 {
            let doubled = REST_S.saturating_mul(1 << (over - 1).min(10));
            now + doubled.min(LONGEST_REST_S) * SECOND
        } else {
            0
        };
        Self { failures, rests_until, problem: problem.to_owned() }
    }
}

/// What lies at a provider for a desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ThereKind {
    /// A machine.
    Vm,
    /// A disk.
    Volume,
    /// A public address.
    Address,
    /// A forwarded port.
    Forwarding,
    /// An opening from outside.
    Firewall,
    /// An opening to the outside.
    Egress,
}

impl ThereKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Volume => "volume",
            Self::Address => "address",
            Self::Forwarding => "forwarding",
            Self::Firewall => "firewall",
            Self::Egress => "egress",
        }
    }
}

impl From<PartKind> for ThereKind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Vm => Self::Vm,
            PartKind::Address => Self::Address,
            PartKind::Forwarding => Self::Forwarding,
            PartKind::Firewall => Self::Firewall,
            PartKind::Egress => Self::Egress,
        }
    }
}

/// Something at a provider that is not as it is known here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ProviderDifference {
    /// It should be there and is not; otherwise it is there, carries our mark or belongs to a machine of ours, and nobody here knows it.
    pub missing: bool,
    /// What it is.
    pub kind: ThereKind,
    /// How it is called, or where it leads.
    pub name: String,
    /// Its id there.
    pub id: String,
    /// The desktop that it belongs to, where one does.
    pub desktop: Option<String>,
}

/// A provider in a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolMember {
    /// Its name.
    pub provider: String,
    /// The lowest is tried first.
    #[serde(default)]
    pub order: i32,
    /// How often it comes first among those of the same order, beside the others' weights.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Providers of which one is as good as the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Who belongs to it.
    pub members: Vec<PoolMember>,
}

/// A provider that can be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub provider: i64,
    /// See [`PoolMember::order`].
    pub order: i32,
    /// See [`PoolMember::weight`].
    pub weight: u32,
}

/// Who is tried next: of those with the lowest order one by weight. `drawn` is any number.
pub fn next(candidates: &[Candidate], drawn: u64) -> Option<i64> {
    let order = candidates.iter().map(|candidate| candidate.order).min()?;
    let first: Vec<_> = candidates.iter().filter(|candidate| candidate.order == order).collect();
    let whole: u64 = first.iter().map(|candidate| u64::from(candidate.weight.max(1))).sum();
    let mut place = drawn % whole;
    for candidate in &first {
        let weight = u64::from(candidate.weight.max(1));
        if place < weight {
            return Some(candidate.provider);
        }
        place -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_order_comes_first_and_weights_share_it() {
        let candidate = |provider, order, weight| Candidate { provider, order, weight };
        let all = [candidate(1, 0, 1), candidate(2, 0, 3), candidate(3, 1, 9)];
        let chosen: Vec<_> = (0..8).map(|drawn| next(&all, drawn).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 2, 2, 1, 2, 2, 2]);
        assert_eq!(next(&all[2..], 5), Some(3));
        assert_eq!(next(&[candidate(7, 0, 0)], 5), Some(7));
        assert_eq!(next(&[], 5), None);
    }

    #[test]
    fn one_that_fails_is_left_alone_longer_and_longer_and_fullness_is_no_failure() {
        let (mut standing, mut now) = (ProviderStanding::default(), 0);
        for expected in [0, 0, 30, 60, 120, 240, 480, 960, 1800, 1800] {
            standing = standing.after(FaultClass::Transient, "away", now);
            assert_eq!((standing.rests_until - now).max(0), expected * SECOND);
            let meanwhile = standing.after(FaultClass::Ambiguous, "away", now);
            assert!(expected == 0 || meanwhile == standing, "what fails while it rests counts no more");
            now = now.max(standing.rests_until);
        }
        let full = ProviderStanding::default().after(FaultClass::Capacity, "full", 0);
        assert_eq!((full.failures, full.rests_until, full.problem.as_str()), (0, 0, "full"));
        assert!(
            ProviderStanding::default().after(FaultClass::Authentication, "wrong key", 0).rests_until > 0
        );
    }

    #[test]
    fn only_https_without_anything_else_is_an_endpoint() {
        let with = |endpoint: &str| ProviderWish { endpoint: endpoint.to_owned(), ..ProviderWish::default() };
        assert!(with("https://cloud.example.org/client/api").check().is_empty());
        for wrong in ["", "http://cloud.example.org/", "https://user@cloud/", "https://cloud/?apiKey=1"] {
            assert!(!with(wrong).check().is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_named_by_its_client_and_has_no_address() {
        let host = ProviderWish::kvm("attic-01");
        assert_eq!((host.check(), host.location()), (Vec::new(), "attic-01"));
        let with_address = ProviderWish { endpoint: "https://attic-01/".to_owned(), ..host.clone() };
        let cloud_with_host = ProviderWish { kind: ProviderKind::Cloudstack, ..with_address.clone() };
        for wrong in [ProviderWish::kvm(""), ProviderWish::kvm("attic 01"), with_address, cloud_with_host] {
            assert_eq!(wrong.check().len(), 1, "{wrong:?}");
        }
    }
}
