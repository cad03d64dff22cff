//! systemd.network(5): of all files the first one, in the order of their names, that matches an interface counts for it. What netplan has
//! made lies under `/run`.

use wire::survey::AddressMethod;

use super::{Named, Wish};
use crate::survey::{
    Files,
    ini::{self, Section},
};

/// Of files with the same name the one of the first directory counts. What the distribution brings is for containers.
const DIRECTORIES: [&str; 2] = ["/etc/systemd/network", "/run/systemd/network"];

/// A file with its sections.
pub(super) struct NetworkFile {
    path: String,
    sections: Vec<Section>,
}

pub(super) fn read(files: &mut Files<'_>) -> Vec<NetworkFile> {
    let mut found: Vec<(String, NetworkFile)> = Vec::new();
    for directory in DIRECTORIES {
        for (path, text) in files.texts(directory, |name| name.ends_with(".network")) {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, NetworkFile { path, sections: ini::sections(&text) }));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.into_iter().map(|(_, file)| file).collect()
}

/// What the files say of an interface.
pub(super) fn of(files: &[NetworkFile], named: Named<'_>) -> Option<Wish> {
    files.iter().find(|file| file.matches(named)).map(NetworkFile::wish)
}

impl NetworkFile {
    fn matches(&self, named: Named<'_>) -> bool {
        let Some(section) = self.sections.iter().find(|section| section.name == "Match") else {
            return false;
        };
        let macs: Vec<&str> = ["MACAddress", "PermanentMACAddress"]
            .iter()
            .flat_map(|key| section.values(key))
            .flat_map(str::split_whitespace)
            .collect();
        let names: Vec<&str> = section.values("Name").into_iter().flat_map(str::split_whitespace).collect();
        let kind = section.value("Type");
        // Without any of them it is for whatever other tests of ours say nothing about.
        (!macs.is_empty() || !names.is_empty() || !kind.is_empty())
            && (macs.is_empty()
                || macs.iter().any(|mac| mac.parse().ok() == named.mac && named.mac.is_some()))
            && (names.is_empty() || names.iter().any(|pattern| fits(pattern, named.name)))
            && (kind.is_empty()
                || (kind == "ether" && named.kind == "ethernet")
                || (kind == "wlan" && named.kind == "wifi"))
    }

    fn wish(&self) -> Wish {
        let mut wish = Wish { file: self.path.clone(), ..Wish::default() };
        let network = |key: &str| ini::values(&self.sections, "Network", key);
        let dhcp = network("DHCP").last().copied().unwrap_or("no").to_ascii_lowercase();
        let all = ini::is_yes(&dhcp) || dhcp == "both";
        // What is not fixed and does not ask has no address; router advertisements are accepted unless somebody says no.
        wish.ipv4 =
            if all || dhcp == "ipv4" || dhcp == "v4" { AddressMethod::Automatic } else { AddressMethod::Off };
        let refuses = network("IPv6AcceptRA").last().is_some_and(|value| !ini::is_yes(value));
        let asks = all || dhcp == "ipv6" || dhcp == "v6";
        wish.ipv6 = if asks || !refuses { AddressMethod::Automatic } else { AddressMethod::Off };
        for address in network("Address").into_iter().chain(ini::values(&self.sections, "Address", "Address"))
        {
            wish.fix(address, None);
        }
        for gateway in network("Gateway") {
            wish.add_gateway(gateway);
        }
        for route in self.sections.iter().filter(|section| section.name == "Route") {
            if matches!(route.value("Destination"), "" | "0.0.0.0/0" | "::/0") {
                wish.add_gateway(route.value("Gateway"));
            }
        }
        let servers = network("DNS").into_iter().flat_map(str::split_whitespace);
        wish.add_nameservers(servers.map(|server| server.split('#').next().unwrap_or_default()));
        let made_of = [("Bridge", "bridge port"), ("Bond", "bond port"), ("VLAN", "with VLANs")];
        if let Some((_, kind)) = made_of.iter().find(|(key, _)| !network(key).is_empty()) {
            (*kind).clone_into(&mut wish.kind);
        }
        wish
    }
}

/// A pattern of glob(7) with `*` and `?`, or a name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => name.is_empty(),
        Some(("*", rest)) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| fits(rest, name))),
        Some((sign, rest)) => name
            .split_at_checked(1)
            .is_some_and(|(first, name)| (sign == "?" || sign == first) && fits(rest, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn names_fit_patterns_as_the_shell_would_have_it() {
        assert!(fits("en*", "enp1s0") && fits("en*", "en") && fits("*", "") && fits("eth?", "eth0"));
        assert!(!fits("en*", "eth0") && !fits("eth?", "eth") && !fits("eth0", "eth01"));
    }
}
