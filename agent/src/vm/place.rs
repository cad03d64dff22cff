//! The place for disks and the network of the machines, as libvirt is given them.

use std::net::Ipv4Addr;

use wire::vm::VmNetwork;

use super::{DIRECTORY, NAME, xml::Element};

/// The bridge of a network of the machines' own.
const BRIDGE: &str = "lotse0";

/// The storage pool.
pub(crate) fn pool() -> Element {
    Element::new("pool").with("type", "dir").holds([
        Element::new("name").text(NAME),
        Element::new("target").holds([Element::new("path").text(DIRECTORY)]),
    ])
}

/// The network.
///
/// # Errors
/// It cannot be like this; in words.
pub(crate) fn network(wish: &VmNetwork) -> Result<Element, String> {
    let network = Element::new("network").holds([Element::new("name").text(NAME)]);
    match wish {
        VmNetwork::Bridge { interface } => Ok(network.holds([
            Element::new("forward").with("mode", "bridge"),
            Element::new("bridge").with("name", interface),
        ])),
        VmNetwork::Nat { address } => {
            let range = Range::parse(address).ok_or_else(|| {
                format!("`{address}` is no address with prefix length, such as 192.168.150.1/24")
            })?;
            let dhcp = Element::new("range").with("start", range.first).with("end", range.last);
            Ok(network.holds([
                Element::new("forward").with("mode", "nat"),
                Element::new("bridge").with("name", BRIDGE),
                Element::new("ip")
                    .with("address", range.own)
                    .with("prefix", range.prefix)
                    .holds([Element::new("dhcp").holds([dhcp])]),
            ]))
        }
        VmNetwork::Unknown => Err("this agent does not know such a network".to_owned()),
    }
}

/// The host's address in a network, and those behind it that machines are given.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    own: Ipv4Addr,
    prefix: u32,
    first: Ipv4Addr,
    last: Ipv4Addr,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (own, prefix) = text.split_once('/')?;
        let own: Ipv4Addr = own.parse().ok()?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| (8..=29).contains(prefix))?;
        let hosts = u32::MAX >> prefix;
        let (address, broadcast) = (u32::from(own), u32::from(own) | hosts);
        let in_between = address & hosts != 0 && address < broadcast - 1;
        in_between.then(|| Self { own, prefix, first: (address + 1).into(), last: (broadcast - 1).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_given_the_addresses_behind_the_hosts() {
        let range = Range::parse("192.168.150.1/24").unwrap();
        assert_eq!(
            (range.first, range.last),
            ("192.168.150.2".parse().unwrap(), "192.168.150.254".parse().unwrap())
        );
        for wrong in [
            "",
            "192.168.150.1",
            "192.168.150.0/24",
            "192.168.150.254/24",
            "10.0.0.1/7",
            "10.0.0.1/30",
            "a/24",
            "255.255.255.255/8",
        ] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_name_gets_out_of_its_place() {
        let network = network(&VmNetwork::Bridge { interface: "br0'/><x y='".to_owned() }).unwrap();
        let read = Element::read(&network.write()).unwrap();
        assert_eq!(read.find(&["bridge"]).unwrap().attribute("name"), "br0'/><x y='");
    }
}
