//! Interfaces of a survey as a record has them.

use std::net::IpAddr;

use wire::survey::{AddressMethod, FoundInterface};

use crate::domain::client::{Interface, Ipv4Method, Ipv6Method};

/// The interface as a record has it. `None`: it is none that a record can hold, such as a bridge, or nobody was found who configures it.
pub(super) fn interface(found: &FoundInterface) -> Option<Interface> {
    if found.kind != "ethernet" || found.managed_by.is_empty() {
        return None;
    }
    let ipv4 = match found.ipv4 {
        AddressMethod::Automatic => Ipv4Method::Dhcp,
        AddressMethod::Fixed => fixed_ipv4(found)?,
        AddressMethod::Off | AddressMethod::Unknown => Ipv4Method::Off,
    };
    let ipv6 = match found.ipv6 {
        AddressMethod::Fixed => fixed_ipv6(found)?,
        AddressMethod::Off => Ipv6Method::Off,
        // The kernel accepts router advertisements where nobody says something else.
        AddressMethod::Automatic | AddressMethod::Unknown => Ipv6Method::Auto,
    };
    Some(Interface { mac: Some(found.mac?), ipv4, ipv6 })
}

fn fixed_ipv4(found: &FoundInterface) -> Option<Ipv4Method> {
    found.fixed.iter().find_map(|text| match split(text)? {
        (IpAddr::V4(address), prefix) => {
            let gateway = found.gateways.iter().find_map(|gateway| gateway.parse().ok());
            Some(Ipv4Method::Static { address, prefix, gateway })
        }
        (IpAddr::V6(_), _) => None,
    })
}

fn fixed_ipv6(found: &FoundInterface) -> Option<Ipv6Method> {
    found.fixed.iter().find_map(|text| match split(text)? {
        (IpAddr::V6(address), prefix) => {
            let gateway = found.gateways.iter().find_map(|gateway| gateway.parse().ok());
            Some(Ipv6Method::Static { address, prefix, gateway })
        }
        (IpAddr::V4(_), _) => None,
    })
}

/// An address and the length of its network part.
fn split(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

/// An interface in one line, as people compare it.
pub(super) fn line(interface: &Interface) -> String {
    let ipv4 = match &interface.ipv4 {
        Ipv4Method::Dhcp => "DHCP".to_owned(),
        Ipv4Method::Static { address, prefix, gateway } => {
            format!("{address}/{prefix}{}", via(gateway.map(|gateway| gateway.to_string())))
        }
        Ipv4Method::Off => "-".to_owned(),
    };
    let ipv6 = match &interface.ipv6 {
        Ipv6Method::Auto => "IPv6 auto".to_owned(),
        Ipv6Method::Static { address, prefix, gateway } => {
            format!("{address}/{prefix}{}", via(gateway.map(|gateway| gateway.to_string())))
        }
        Ipv6Method::Off => "IPv6 -".to_owned(),
    };
    let mac = interface.mac.map(|mac| mac.to_string()).unwrap_or_default();
    format!("{mac} {ipv4}, {ipv6}").trim_start().to_owned()
}

fn via(gateway: Option<String>) -> String {
    gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default()
}

/// How an interface was found, in one line.
pub(super) fn found_line(found: &FoundInterface) -> String {
    let mut words = vec![found.name.clone()];
    if found.kind != "ethernet" {
        words.push(found.kind.clone());
    }
    if found.ipv4 == AddressMethod::Automatic {
        words.push("DHCP".to_owned());
    }
    words.extend(if found.fixed.is_empty() { found.addresses.clone() } else { found.fixed.clone() });
    if !found.managed_by.is_empty() {
        words.push(format!("({})", found.managed_by));
    }
    words.join(" ")
}
