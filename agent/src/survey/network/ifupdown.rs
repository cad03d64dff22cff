//! interfaces(5): `/etc/network/interfaces` and what it includes.

use wire::survey::AddressMethod;

use super::Wish;
use crate::survey::Files;

const FILE: &str = "/etc/network/interfaces";
/// Files that include each other would be read for ever.
const DEEPEST: u8 = 4;

/// Interfaces but the loopback, in the order of the files.
pub(super) fn read(files: &mut Files<'_>) -> Vec<(String, Wish)> {
    let mut found = Vec::new();
    let text = files.text(FILE);
    one(files, FILE, &text, 0, &mut found);
    found
}

fn one(files: &mut Files<'_>, path: &str, text: &str, depth: u8, found: &mut Vec<(String, Wish)>) {
    let joined = text.replace("\\\n", " ");
    let mut at: Option<Stanza> = None;
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["iface", name, rest @ ..] => {
                keep(at.take(), path, found);
                at = Some(Stanza::new(name, rest));
            }
            ["auto" | "mapping" | "no-auto-down" | "no-scripts" | "rename", ..] => {
                keep(at.take(), path, found)
            }
            [word, ..] if word.starts_with("allow-") => keep(at.take(), path, found),
            ["source" | "source-directory", pattern] => {
                keep(at.take(), path, found);
                if depth < DEEPEST {
                    for (path, text) in included(files, words[0], pattern) {
                        one(files, &path, &text, depth + 1, found);
                    }
                }
            }
            [option, value @ ..] => {
                if let Some(stanza) = &mut at {
                    stanza.option(option, value);
                }
            }
            [] => {}
        }
    }
    keep(at, path, found);
}

/// The files of `source FILE`, `source DIRECTORY/*` and `source-directory DIRECTORY`, which takes plain names only.
fn included(files: &mut Files<'_>, word: &str, pattern: &str) -> Vec<(String, String)> {
    let absolute = |path: &str| {
        if path.starts_with('/') { path.to_owned() } else { format!("/etc/network/{path}") }
    };
    if word == "source-directory" {
        let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        return files.texts(absolute(pattern.trim_end_matches('/')).as_str(), is_plain);
    }
    match pattern.rsplit_once('/') {
        Some((directory, name)) if name.contains('*') => {
            let (start, end) = name.split_once('*').unwrap_or((name, ""));
            let fits = |name: &str| !name.starts_with('.') && name.starts_with(start) && name.ends_with(end);
            files.texts(&absolute(directory), fits)
        }
        _ => {
            let path = absolute(pattern);
            let text = files.text(&path);
            vec![(path, text)]
        }
    }
}

/// `iface NAME FAMILY METHOD` and its options.
struct Stanza {
    name: String,
    is_ipv6: bool,
    is_loopback: bool,
    method: AddressMethod,
    address: Option<String>,
    prefix: Option<u8>,
    wish: Wish,
}

impl Stanza {
    fn new(name: &str, rest: &[&str]) -> Self {
        let is_ipv6 = rest.first() == Some(&"inet6");
        let method = match rest.get(1).copied().unwrap_or_default() {
            "dhcp" | "auto" => AddressMethod::Automatic,
            "static" => AddressMethod::Fixed,
            "manual" => AddressMethod::Off,
            _ => AddressMethod::Unknown,
        };
        Self {
            name: name.to_owned(),
            is_ipv6,
            is_loopback: rest.get(1) == Some(&"loopback"),
            method,
            address: None,
            prefix: None,
            wish: Wish::default(),
        }
    }

    fn option(&mut self, option: &str, value: &[&str]) {
        let first = value.first().copied().unwrap_or_default();
        match option {
            "address" => self.address = Some(first.to_owned()),
            "netmask" => self.prefix = prefix(first),
            "gateway" => self.wish.add_gateway(first),
            "dns-nameservers" | "dns-nameserver" => self.wish.add_nameservers(value.iter().copied()),
            "bridge_ports" | "bridge-ports" => "bridge".clone_into(&mut self.wish.kind),
            "bond-slaves" | "bond-mode" => "bond".clone_into(&mut self.wish.kind),
            "vlan-raw-device" | "vlan_raw_device" => "vlan".clone_into(&mut self.wish.kind),
            "wpa-ssid" | "wpa-conf" | "wireless-essid" => "wifi".clone_into(&mut self.wish.kind),
            _ => {}
        }
    }
}

/// Adds a stanza to what earlier ones say of its interface: IPv4 and IPv6 have one each.
fn keep(stanza: Option<Stanza>, path: &str, found: &mut Vec<(String, Wish)>) {
    let Some(stanza) = stanza.filter(|stanza| !stanza.is_loopback) else { return };
    let at = found.iter().position(|(name, _)| *name == stanza.name).unwrap_or_else(|| {
        found.push((stanza.name.clone(), Wish { file: path.to_owned(), ..Wish::default() }));
        found.len() - 1
    });
    let Some((_, wish)) = found.get_mut(at) else { return };
    if stanza.is_ipv6 {
        wish.ipv6 = stanza.method;
    } else {
        wish.ipv4 = stanza.method;
    }
    if let Some(address) = &stanza.address {
        wish.fix(address, stanza.prefix);
    }
    for gateway in &stanza.wish.gateways {
        wish.add_gateway(gateway);
    }
    wish.nameservers.extend(stanza.wish.nameservers);
    if !stanza.wish.kind.is_empty() {
        wish.kind = stanza.wish.kind;
    }
}

/// `255.255.255.0` or `24`.
fn prefix(netmask: &str) -> Option<u8> {
    match netmask.parse::<std::net::Ipv4Addr>() {
        Ok(mask) => u8::try_from(mask.to_bits().leading_ones()).ok(),
        Err(_) => netmask.parse().ok(),
    }
}
