//! Names and addresses for many machines: patterns with a counter, and ranges. Pure.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

use wire::facts::Facts;

/// A pattern or range that cannot be understood, or has no more to give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its form is wrong.
    #[error("`{0}` is no pattern for names; write for example pc-{{001..}}, lab-{{serial}} or lab-{{mac}}")]
    Pattern(String),
    /// Its form is wrong.
    #[error("`{0}` is no range of addresses; write for example 10.0.0.10-10.0.0.99/24")]
    Range(String),
    /// Everything is in use.
    #[error("`{0}` has no free one left")]
    Used(String),
    /// The machine lacks what the pattern needs.
    #[error("the machine has no serial number for `{0}`")]
    NoSerial(String),
}

/// A pattern for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    before: String,
    middle: Middle,
    after: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Middle {
    Counter { first: u32, width: usize },
    Serial,
    Mac,
}

impl NamePattern {
    /// Reads `pc-{001..}`, `lab-{serial}` or `lab-{mac}`.
    ///
    /// # Errors
    /// [`Error::Pattern`]
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Pattern(text.to_owned());
        let (before, rest) = text.split_once('{').ok_or_else(wrong)?;
        let (word, after) = rest.split_once('}').ok_or_else(wrong)?;
        let middle = match word {
            "serial" => Middle::Serial,
            "mac" => Middle::Mac,
            word => {
                let digits = word.strip_suffix("..").ok_or_else(wrong)?;
                let first = digits.parse().map_err(|_| wrong())?;
                Middle::Counter { first, width: digits.len() }
            }
        };
        let fine = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if !fine(before) || !fine(after) || before.starts_with('-') || after.ends_with('-') {
            return Err(wrong());
        }
        Ok(Self { before: before.to_owned(), middle, after: after.to_owned() })
    }

    /// What all its names begin with.
    pub fn prefix(&self) -> &str {
        &self.before
    }

    /// The first name that nobody has; it is in use from then on.
    ///
    /// # Errors
    /// All are in use, or the machine has no serial number.
    pub fn next(&self, used: &mut BTreeSet<String>, facts: Option<&Facts>) -> Result<String, Error> {
        let name = |middle: String| format!("{}{middle}{}", self.before, self.after);
        match &self.middle {
            Middle::Counter { first, width } => {
                let most = u32::try_from(used.len()).unwrap_or(u32::MAX).saturating_add(1);
                for number in *first..=first.saturating_add(most) {
                    let name = name(format!("{number:0width$}"));
                    if used.insert(name.clone()) {
                        return Ok(name);
                    }
                }
                Err(Error::Used(self.to_string()))
            }
            Middle::Serial => {
                let serial = facts.map(|facts| slug(&facts.dmi.serial)).unwrap_or_default();
                if serial.is_empty() {
                    return Err(Error::NoSerial(self.to_string()));
                }
                self.only(name(serial), used)
            }
            Middle::Mac => {
                let nic = facts.and_then(|facts| {
                    facts.nics.iter().find(|nic| nic.booted).or_else(|| facts.nics.first())
                });
                let mac = nic.map(|nic| nic.mac.to_string().replace(':', "")).unwrap_or_default();
                if mac.is_empty() {
                    return Err(Error::NoSerial(self.to_string()));
                }
                self.only(name(mac), used)
            }
        }
    }

    fn only(&self, name: String, used: &mut BTreeSet<String>) -> Result<String, Error> {
        if used.insert(name.clone()) { Ok(name) } else { Err(Error::Used(self.to_string())) }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = match &self.middle {
            Middle::Counter { first, width } => format!("{first:0width$}.."),
            Middle::Serial => "serial".to_owned(),
            Middle::Mac => "mac".to_owned(),
        };
        write!(f, "{}{{{middle}}}{}", self.before, self.after)
    }
}

/// A text as part of a host name.
fn slug(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.trim_matches('-').chars().take(40).collect()
}

/// A range of IPv4 addresses with the length of their network part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: Ipv4Addr,
    last: Ipv4Addr,
    /// Length of the network part.
    pub prefix: u8,
}

impl AddressRange {
    /// Reads `10.0.0.10-10.0.0.99/24`.
    ///
    /// # Errors
    /// [`Error::Range`]
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Range(text.to_owned());
        let (range, prefix) = text.trim().split_once('/').ok_or_else(wrong)?;
        let (first, last) = range.split_once('-').ok_or_else(wrong)?;
        let prefix: u8 = prefix.trim().parse().map_err(|_| wrong())?;
        let first: Ipv4Addr = first.trim().parse().map_err(|_| wrong())?;
        let last: Ipv4Addr = last.trim().parse().map_err(|_| wrong())?;
        let network = |address: Ipv4Addr| address.to_bits().checked_shr(32 - u32::from(prefix)).unwrap_or(0);
        if !(1..=32).contains(&prefix) || first > last || network(first) != network(last) {
            return Err(wrong());
        }
        Ok(Self { first, last, prefix })
    }

    /// The first address that nobody has; it is in use from then on.
    ///
    /// # Errors
    /// All are in use.
    pub fn next(&self, used: &mut BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr, Error> {
        let mut all = (self.first.to_bits()..=self.last.to_bits()).map(Ipv4Addr::from_bits);
        let free = all.find(|address| used.insert(*address));
        free.ok_or_else(|| Error::Used(format!("{}-{}/{}", self.first, self.last, self.prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_where_names_are_free() {
        let pattern = NamePattern::parse("pc-{008..}").unwrap();
        let mut used = BTreeSet::from(["pc-008".to_owned(), "pc-010".to_owned()]);
        let names: Vec<_> = (0..3).map(|_| pattern.next(&mut used, None).unwrap()).collect();
        assert_eq!(names, ["pc-009", "pc-011", "pc-012"]);
    }

    #[test]
    fn a_counter_grows_beyond_its_width() {
        let pattern = NamePattern::parse("r{9..}-pc").unwrap();
        let mut used = BTreeSet::new();
        assert_eq!(pattern.next(&mut used, None).unwrap(), "r9-pc");
        assert_eq!(pattern.next(&mut used, None).unwrap(), "r10-pc");
    }

    #[test]
    fn what_cannot_become_a_host_name_is_no_pattern() {
        for text in ["pc", "pc-{x..}", "PC-{1..}", "-{1..}", "pc-{1..}-", "pc-{1", "pc_{1..}"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(slug("VMware-56 4d/AB "), "vmware-56-4d-ab");
    }

    #[test]
    fn a_range_gives_each_address_once_and_ends() {
        let range = AddressRange::parse("10.0.0.254-10.0.0.255/24").unwrap();
        let mut used = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 254)]);
        assert_eq!(range.next(&mut used).unwrap(), Ipv4Addr::new(10, 0, 0, 255));
        assert!(matches!(range.next(&mut used), Err(Error::Used(_))));
        for text in ["10.0.0.9-10.0.0.1/24", "10.0.0.1-10.0.1.1/24", "10.0.0.1/24", "10.0.0.1-10.0.0.2"] {
            assert!(AddressRange::parse(text).is_err(), "{text}");
        }
    }
}
