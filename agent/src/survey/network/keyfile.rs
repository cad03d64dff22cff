//! NetworkManager's connections: nm-settings-keyfile(5). Of several that fit an interface the one with the highest priority counts, as for
//! NetworkManager itself; what netplan has made lies under `/run`.
//!
//! The files hold keys of wireless networks: only what is named here is ever taken out of them.

use wire::{Mac, survey::AddressMethod};

use super::{Named, Wish};
use crate::survey::{
    Files,
    ini::{self, Section},
};

const DIRECTORIES: [&str; 2] =
    ["/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections"];

/// A connection with what it is for.
pub(super) struct Connection {
    interface: String,
    mac: Option<Mac>,
    kind: String,
    priority: i32,
    wish: Wish,
}

pub(super) fn read(files: &mut Files<'_>) -> Vec<Connection> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        let is_connection = |name: &str| !name.starts_with('.') && !name.ends_with('~');
        for (path, text) in files.texts(directory, is_connection) {
            found.extend(connection(&path, &ini::sections(&text)));
        }
    }
    found.sort_by_key(|connection| (std::cmp::Reverse(connection.priority), connection.interface.is_empty()));
    found
}

/// The connection that NetworkManager would choose for an interface.
pub(super) fn of(connections: &[Connection], named: Named<'_>) -> Option<Wish> {
    let fits = |connection: &&Connection| {
        (connection.interface == named.name
            || (connection.interface.is_empty() && connection.kind == named.kind))
            && (connection.mac.is_none() || connection.mac == named.mac)
    };
    connections.iter().find(fits).map(|connection| connection.wish.clone())
}

fn connection(path: &str, sections: &[Section]) -> Option<Connection> {
    let value =
        |section: &str, key: &str| ini::values(sections, section, key).last().copied().unwrap_or_default();
    let kind = match value("connection", "type") {
        "ethernet" | "802-3-ethernet" => "ethernet",
        "wifi" | "802-11-wireless" => "wifi",
        "" => return None,
        other => other,
    };
    // One that only begins when somebody asks says nothing about how the machine usually is.
    if value("connection", "autoconnect") == "false" {
        return None;
    }
    let mut wish = Wish { file: path.to_owned(), ..Wish::default() };
    for (name, is_ipv6) in [("ipv4", false), ("ipv6", true)] {
        let Some(section) = sections.iter().find(|section| section.name == name) else { continue };
        let method = match section.value("method") {
            "auto" | "dhcp" => AddressMethod::Automatic,
            "manual" => AddressMethod::Fixed,
            "disabled" | "ignore" | "link-local" => AddressMethod::Off,
            _ => AddressMethod::Unknown,
        };
        if is_ipv6 {
            wish.ipv6 = method;
        } else {
            wish.ipv4 = method;
        }
        // `address1=10.0.0.5/24,10.0.0.1`: the gateway may stand behind it.
        let is_address = |key: &str| key.starts_with("address") && key != "address-data";
        for address in section.matching(is_address) {
            let (address, gateway) = address.split_once(',').unwrap_or((address, ""));
            wish.fix(address, None);
            wish.add_gateway(gateway);
        }
        wish.add_gateway(section.value("gateway"));
        wish.add_nameservers(section.value("dns").split([';', ',']).map(str::trim));
    }
    Some(Connection {
        interface: value("connection", "interface-name").to_owned(),
        mac: [value("ethernet", "mac-address"), value("wifi", "mac-address")]
            .iter()
            .find_map(|mac| mac.parse().ok()),
        kind: kind.to_owned(),
        priority: value("connection", "autoconnect-priority").parse().unwrap_or(0),
        wish,
    })
}
