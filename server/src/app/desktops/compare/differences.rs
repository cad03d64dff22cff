//! What is at a provider and not known here, and the reverse. Pure.
//!
//! CloudStack marks nothing but machines, by their names. So of everything else ours is what belongs to a machine of ours, or what the journal
//! says was asked for and is gone: others share the account, its networks and its addresses.

use std::collections::BTreeSet;

use super::there::There;
use crate::{
    db::desktops::parts::KnownPart,
    domain::{
        desktop::{PartKind, PartState, is_tagged},
        provider::{ProviderDifference, ThereKind},
    },
    vm::Rule,
};

/// What differs, each once and in order.
pub(super) fn differences(there: &There, known: &[KnownPart]) -> Vec<ProviderDifference> {
    let look = Look { there, known };
    let mut found: BTreeSet<ProviderDifference> = look.missing().collect();
    found.extend(look.machines());
    found.extend(look.volumes());
    found.extend(look.addresses());
    found.extend(look.rules());
    found.into_iter().collect()
}

struct Look<'a> {
    there: &'a There,
    known: &'a [KnownPart],
}

fn unknown(kind: ThereKind, name: String, id: &str) -> ProviderDifference {
    ProviderDifference { missing: false, kind, name, id: id.to_owned(), desktop: None }
}

impl Look<'_> {
    /// Lines of the journal of a kind that may be there.
    fn alive(&self, kind: PartKind) -> impl Iterator<Item = &KnownPart> {
        self.known.iter().filter(move |known| known.part.kind == kind && known.part.state != PartState::Gone)
    }

    /// Whether the journal has a part with this id, or one whose id nobody has heard yet.
    fn expects(&self, kind: PartKind, id: &str) -> bool {
        self.alive(kind).any(|known| known.part.remote.as_deref().is_none_or(|remote| remote == id))
    }

    /// The desktop whose machine has or had an id.
    fn owner(&self, machine: &str) -> Option<&str> {
        let is_it = |known: &&KnownPart| {
            known.part.kind == PartKind::Vm && known.part.remote.as_deref() == Some(machine)
        };
        self.known.iter().rev().find(is_it).map(|known| known.desktop.as_str())
    }

    /// Whether a machine there is one of ours, known or not.
    fn is_marked(&self, machine: &str) -> bool {
        self.there.machines.iter().any(|there| there.id == machine && is_tagged(&there.name))
    }

    /// What the journal says is there. A machine that is missing is more than a difference: its desktop is lost.
    fn missing(&self) -> impl Iterator<Item = ProviderDifference> {
        let is_there = |known: &KnownPart| {
            let id = known.part.remote.as_deref().unwrap_or_default();
            let among = |rules: &[(String, Rule)]| rules.iter().any(|(_, rule)| rule.id == id);
            match known.part.kind {
                PartKind::Vm => true,
                PartKind::Address => self.there.addresses.iter().any(|address| address.id == id),
                PartKind::Forwarding => among(&self.there.forwardings),
                PartKind::Firewall => among(&self.there.openings),
                PartKind::Egress => among(&self.there.egress),
            }
        };
        let settled = |known: &&KnownPart| known.settled && known.part.state == PartState::Made;
        self.known.iter().filter(settled).filter(move |known| !is_there(known)).map(|known| {
            ProviderDifference {
                missing: true,
                kind: known.part.kind.into(),
                name: known.part.tag.clone(),
                id: known.part.remote.clone().unwrap_or_default(),
                desktop: Some(known.desktop.clone()),
            }
        })
    }

    fn machines(&self) -> impl Iterator<Item = ProviderDifference> {
        let is_known = |name: &str| {
            self.known.iter().any(|known| known.part.kind == PartKind::Vm && known.part.tag == name)
        };
        let marked = self.there.machines.iter().filter(|machine| is_tagged(&machine.name));
        marked
            .filter(move |machine| !is_known(&machine.name))
            .map(|machine| unknown(ThereKind::Vm, machine.name.clone(), &machine.id))
    }

    /// Disks of machines of ours that are not there any more.
    fn volumes(&self) -> impl Iterator<Item = ProviderDifference> {
        let is_there = |id: &str| self.there.machines.iter().any(|machine| machine.id == id);
        let left = self.there.volumes.iter().filter(move |volume| !is_there(&volume.vm));
        left.filter(|volume| is_tagged(&volume.vm_name) || self.owner(&volume.vm).is_some()).map(|volume| {
            ProviderDifference {
                desktop: self.owner(&volume.vm).map(str::to_owned),
                ..unknown(ThereKind::Volume, format!("{} ({})", volume.name, volume.vm_name), &volume.id)
            }
        })
    }

    /// Addresses that were given back and are there.
    fn addresses(&self) -> impl Iterator<Item = ProviderDifference> {
        let was_ours = |id: &str| {
            self.known.iter().any(|known| {
                known.part.kind == PartKind::Address
                    && known.part.state == PartState::Gone
                    && known.part.remote.as_deref() == Some(id)
            })
        };
        let left =
            self.there.addresses.iter().filter(move |address| {
                was_ours(&address.id) && !self.expects(PartKind::Address, &address.id)
            });
        left.map(|address| unknown(ThereKind::Address, address.address.clone(), &address.id))
    }

    fn rules(&self) -> Vec<ProviderDifference> {
        let text = |address: &str, rule: &Rule| {
            let known = self.there.addresses.iter().find(|known| known.id == address);
            format!("{} port {}", known.map_or(address, |known| known.address.as_str()), rule.port)
        };
        let mut found = Vec::new();
        for (address, rule) in &self.there.forwardings {
            let desktop = self.owner(&rule.vm);
            let ours = desktop.is_some() || self.is_marked(&rule.vm);
            if ours && !self.expects(PartKind::Forwarding, &rule.id) {
                let desktop = desktop.map(str::to_owned);
                found.push(ProviderDifference {
                    desktop,
                    ..unknown(ThereKind::Forwarding, text(address, rule), &rule.id)
                });
            }
        }
        for (address, rule) in &self.there.openings {
            let tag = text(address, rule);
            // Nobody else was ever given this port.
            let was_ours = self.was_asked_for(PartKind::Firewall, &tag) && rule.last_port == rule.port;
            if was_ours && !self.expects(PartKind::Firewall, &rule.id) {
                found.push(unknown(ThereKind::Firewall, tag, &rule.id));
            }
        }
        for (network, rule) in &self.there.egress {
            let source = rule.sources.first().and_then(|source| source.strip_suffix("/32"));
            let tag = format!("{network} {}", source.unwrap_or_default());
            let was_ours = rule.sources.len() == 1 && self.was_asked_for(PartKind::Egress, &tag);
            if was_ours && !self.expects(PartKind::Egress, &rule.id) {
                let name = source.unwrap_or_default().to_owned();
                found.push(unknown(ThereKind::Egress, name, &rule.id));
            }
        }
        found
    }

    fn was_asked_for(&self, kind: PartKind, tag: &str) -> bool {
        self.known.iter().any(|known| known.part.kind == kind && known.part.tag == tag)
    }
}
