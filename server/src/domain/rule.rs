//! A rule for machines that announce themselves: which ones it fits, and what becomes of them. Pure.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{facts::Facts, problem::FieldProblem};

use super::naming::NamePattern;

/// A rule. Of several that fit a machine, the one with the lowest position counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Lower first.
    pub position: i64,
    /// Serial number, with `*` for anything; empty fits every machine.
    pub serial: String,
    /// How a hardware address begins, such as `52:54:00`; empty fits every machine.
    pub mac: String,
    /// Network of one of its addresses, such as `10.0.3.0/24`; empty fits every machine.
    pub subnet: String,
    /// Maker and model, with `*` for anything; empty fits every machine.
    pub model: String,
    /// Pattern of the name it gets, such as `pc-{001..}`, `{serial}`, `lab-{mac}`.
    pub names: String,
    /// Groups it comes into.
    pub groups: Vec<String>,
    /// Preset from which its configuration comes; empty for the defaults.
    pub preset: String,
    /// Distribution instead of the preset's; empty keeps that.
    pub distribution: String,
    /// Layout instead of the preset's; empty keeps that.
    pub layout: String,
    /// Install it at once.
    pub install: bool,
    /// Install it even when its disks hold something, which is then destroyed.
    pub wipe: bool,
}

impl Rule {
    /// Everything that is wrong with it by itself.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut unless = |fine: bool, field: &str, message: &str| {
            if !fine {
                problems.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
            }
        };
        unless(
            super::client::is_name(&self.name),
            "name",
            "must have small letters, digits and hyphens, at most 63",
        );
        let mac = self.mac.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'-');
        unless(
            mac && hex(&self.mac).len() <= 12,
            "mac",
            "must be the beginning of an address, such as 52:54:00",
        );
        unless(
            self.subnet.is_empty() || subnet(&self.subnet).is_some(),
            "subnet",
            "must be a network, such as 10.0.3.0/24",
        );
        unless(
            NamePattern::parse(&self.names).is_ok(),
            "names",
            "must be a pattern such as pc-{001..}, lab-{serial} or lab-{mac}",
        );
        let any =
            [&self.serial, &self.mac, &self.subnet, &self.model].iter().any(|wanted| !wanted.is_empty());
        unless(
            any,
            "serial",
            "a rule needs at least one of serial number, hardware address, network and model",
        );
        unless(!self.wipe || self.install, "wipe", "says nothing when the machine is not installed at once");
        problems
    }

    /// Whether it fits a machine.
    pub fn fits(&self, facts: &Facts) -> bool {
        let model = format!("{} {}", facts.dmi.vendor, facts.dmi.product);
        let begins = hex(&self.mac);
        glob(&self.serial, &facts.dmi.serial)
            && glob(&self.model, model.trim())
            && (begins.is_empty()
                || facts.nics.iter().any(|nic| hex(&nic.mac.to_string()).starts_with(&begins)))
            && (self.subnet.is_empty() || subnet(&self.subnet).is_some_and(|wanted| is_in(facts, wanted)))
    }
}

fn hex(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect()
}

fn subnet(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.trim().split_once('/')?;
    let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((address.parse().ok()?, prefix))
}

fn is_in(facts: &Facts, (network, prefix): (Ipv4Addr, u8)) -> bool {
    let part = |address: Ipv4Addr| address.to_bits().checked_shr(32 - u32::from(prefix)).unwrap_or(0);
    let addresses = facts.nics.iter().flat_map(|nic| &nic.addresses);
    addresses
        .filter_map(|text| text.split('/').next()?.parse::<IpAddr>().ok())
        .any(|address| matches!(address, IpAddr::V4(address) if part(address) == part(network)))
}

/// Whether a text fits a pattern with `*`, whatever its case; an empty pattern fits everything.
fn glob(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        serde_json::from_str(include_str!("../../../job-scripts/_facts/metal-uefi-nvme.json")).unwrap()
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("", "x", true),
            ("*", "", true),
            ("dell*", "Dell OptiPlex", true),
            ("*optiplex*", "Dell OptiPlex 7080", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("dell", "Dell OptiPlex", false),
            ("*x", "x-y", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_fits_when_all_it_names_does() {
        let facts = facts();
        let serial = facts.dmi.serial.clone();
        let mac = facts.nics[0].mac.to_string()[..8].to_uppercase().replace(':', "-");
        assert!(Rule { serial: serial.clone(), mac: mac.clone(), ..Rule::default() }.fits(&facts));
        assert!(!Rule { serial, mac: "00:00:01".to_owned(), ..Rule::default() }.fits(&facts));
        assert!(!Rule { mac, subnet: "192.0.2.0/24".to_owned(), ..Rule::default() }.fits(&facts));
    }

    #[test]
    fn a_rule_that_fits_every_machine_is_refused() {
        let rule = Rule { name: "all".to_owned(), names: "pc-{1..}".to_owned(), ..Rule::default() };
        let fields: Vec<_> = rule.check().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["serial"]);
    }
}
