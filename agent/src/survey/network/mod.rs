//! The network: what is there now by ip(8), and who configures it by whose files.
//!
//! An interface that several would configure is the first one's of ifupdown, systemd-networkd, NetworkManager: the others leave it to
//! ifupdown, and NetworkManager to networkd.

mod ifupdown;
mod keyfile;
mod live;
mod networkd;

use wire::{
    Mac,
    survey::{AddressMethod, FoundInterface},
};

use super::Files;

/// What was found out about the network.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) interfaces: Vec<FoundInterface>,
    pub(super) nameservers: Vec<String>,
}

/// What files say of one interface, whoever wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    /// The file.
    file: String,
    /// What it is made of, where the files say so: `bond`, `bridge`, `vlan`, `wifi`.
    kind: String,
    ipv4: AddressMethod,
    ipv6: AddressMethod,
    /// Fixed addresses with prefix length.
    fixed: Vec<String>,
    gateways: Vec<String>,
    nameservers: Vec<String>,
}

/// An interface as wishes are looked up for it.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    mac: Option<Mac>,
    kind: &'a str,
}

pub(super) async fn gather(files: &mut Files<'_>) -> Network {
    let live = live::gather(files).await;
    let ifupdown = ifupdown::read(files);
    let networkd = networkd::read(files);
    let keyfiles = keyfile::read(files);
    let mut network = Network::default();
    for there in &live {
        let named = Named { name: &there.name, mac: there.mac, kind: &there.kind };
        let found = ifupdown
            .iter()
            .find(|(name, _)| name == named.name)
            .map(|(_, wish)| ("ifupdown", wish.clone()))
            .or_else(|| networkd::of(&networkd, named).map(|wish| ("networkd", wish)))
            .or_else(|| keyfile::of(&keyfiles, named).map(|wish| ("networkmanager", wish)));
        network.add(there, found);
    }
    // What is configured and not there now: an adapter that is unplugged.
    for (name, wish) in &ifupdown {
        if !live.iter().any(|there| there.name == *name) {
            let there = live::Live { name: name.clone(), kind: wish.kind.clone(), ..live::Live::default() };
            network.add(&there, Some(("ifupdown", wish.clone())));
        }
    }
    network
}

impl Network {
    fn add(&mut self, there: &live::Live, found: Option<(&str, Wish)>) {
        // What nobody configures and no hardware is, such as the bridge of a container, says nothing about the machine.
        if found.is_none() && !there.is_hardware {
            return;
        }
        let (managed_by, wish) = found.unwrap_or_default();
        for server in wish.nameservers {
            if !self.nameservers.contains(&server) {
                self.nameservers.push(server);
            }
        }
        self.interfaces.push(FoundInterface {
            name: there.name.clone(),
            mac: there.mac,
            kind: if wish.kind.is_empty() { there.kind.clone() } else { wish.kind },
            managed_by: managed_by.to_owned(),
            file: wish.file,
            ipv4: wish.ipv4,
            ipv6: wish.ipv6,
            fixed: wish.fixed,
            gateways: if wish.gateways.is_empty() { there.gateways.clone() } else { wish.gateways },
            addresses: there.addresses.clone(),
        });
    }
}

impl Wish {
    /// Keeps a fixed address, with its prefix length if it has one.
    fn fix(&mut self, address: &str, prefix: Option<u8>) {
        let Ok(ip) = address.split('/').next().unwrap_or_default().parse::<std::net::IpAddr>() else {
            return;
        };
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        let length = address.split_once('/').and_then(|(_, length)| length.parse().ok()).or(prefix);
        self.fixed.push(format!("{ip}/{}", length.unwrap_or(whole)));
        match ip {
            std::net::IpAddr::V4(_) if self.ipv4 != AddressMethod::Automatic => {
                self.ipv4 = AddressMethod::Fixed
            }
            std::net::IpAddr::V6(_) if self.ipv6 != AddressMethod::Automatic => {
                self.ipv6 = AddressMethod::Fixed
            }
            _ => {}
        }
    }

    fn add_gateway(&mut self, gateway: &str) {
        if gateway.parse::<std::net::IpAddr>().is_ok() && !self.gateways.iter().any(|known| known == gateway)
        {
            self.gateways.push(gateway.to_owned());
        }
    }

    fn add_nameservers<'a>(&mut self, servers: impl IntoIterator<Item = &'a str>) {
        let servers = servers.into_iter().filter(|server| server.parse::<std::net::IpAddr>().is_ok());
        self.nameservers.extend(servers.map(str::to_owned));
    }
}
