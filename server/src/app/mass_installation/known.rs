//! What is known of machines and clients when a table of them is read: who has which name, address and serial number.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use wire::{ClientId, Mac, facts::Facts};

use crate::{
    app::Error,
    db::{Tx, mass},
    domain::{
        client::{ClientConfig, Ipv4Method},
        sheet::{Column, Row},
    },
};

/// A client or a machine that has announced itself.
pub(super) struct Machine {
    pub(super) id: ClientId,
    pub(super) facts: Option<Facts>,
    statics: Vec<Ipv4Addr>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Known {
    machines: BTreeMap<String, Machine>,
    by_mac: BTreeMap<Mac, String>,
    by_serial: BTreeMap<String, String>,
}

impl Known {
    pub(super) async fn read(tx: &mut Tx) -> Result<Self, Error> {
        let unreadable = |error: serde_json::Error| Error::Internal(error.into());
        let mut known = Self::default();
        for (id, name, config, facts) in mass::in_use(tx).await? {
            let config: ClientConfig = serde_json::from_str(&config).map_err(unreadable)?;
            let facts: Option<Facts> =
                facts.map(|facts| serde_json::from_str(&facts)).transpose().map_err(unreadable)?;
            if let Some(facts) = &facts {
                known.by_mac.extend(facts.nics.iter().map(|nic| (nic.mac, name.clone())));
                if !facts.dmi.serial.is_empty() {
                    known.by_serial.insert(facts.dmi.serial.to_lowercase(), name.clone());
                }
            }
            let statics = config.network.interfaces.iter().filter_map(|interface| match interface.ipv4 {
                Ipv4Method::Static { address, .. } => Some(address),
                Ipv4Method::Dhcp | Ipv4Method::Off => None,
            });
            let machine = Machine { id, statics: statics.collect(), facts };
            known.machines.insert(name, machine);
        }
        Ok(known)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.machines.keys().cloned()
    }

    /// The machine that a row means: by its serial number, or by an address that it has shown.
    pub(super) fn machine(&self, row: &Row) -> Option<&Machine> {
        let by_serial = self.by_serial.get(&row.get(Column::Serial).to_lowercase());
        let macs = row.get(Column::Mac).split_whitespace().filter_map(|text| text.parse::<Mac>().ok());
        let name = by_serial.or_else(|| macs.into_iter().find_map(|mac| self.by_mac.get(&mac)))?;
        self.machines.get(name)
    }

    /// Addresses that are configured somewhere, or that a machine has shown.
    pub(super) fn addresses_in_use(&self) -> BTreeSet<Ipv4Addr> {
        let shown = self.machines.values().filter_map(|machine| machine.facts.as_ref()).flat_map(|facts| {
            facts.nics.iter().flat_map(|nic| &nic.addresses).filter_map(|text| {
                match text.split('/').next()?.parse().ok()? {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                }
            })
        });
        shown.chain(self.machines.values().flat_map(|machine| machine.statics.iter().copied())).collect()
    }

    /// The client that is configured to have an address.
    pub(super) fn owner(&self, address: Ipv4Addr) -> Option<(&str, ClientId)> {
        let owner = self.machines.iter().find(|(_, machine)| machine.statics.contains(&address));
        owner.map(|(name, machine)| (name.as_str(), machine.id))
    }
}
