//! Network interfaces that are hardware, from `/sys/class/net`; addresses by ip(8). A container has none, and shows what it has.

use std::{collections::BTreeMap, path::Path};

use tokio_util::sync::CancellationToken;
use wire::{Mac, facts::Nic};

use super::text;
use crate::host::{Command, Host};

/// Reads every interface that has a device behind it; where there is none, as in containers, every one with an address.
pub(crate) async fn gather(host: &dyn Host) -> Vec<Nic> {
    let addresses = addresses(host).await;
    let booted = booted(&text(host, "/proc/cmdline"));
    let names = host.list(Path::new("/sys/class/net")).unwrap_or_default();
    let (hardware, others): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| host.exists(Path::new(&format!("/sys/class/net/{name}/device"))));
    let shown = if hardware.is_empty() {
        others.into_iter().filter(|name| addresses.contains_key(name)).collect()
    } else {
        hardware
    };
    shown.into_iter().filter_map(|name| nic(host, name, &addresses, booted)).collect()
}

fn nic(
    host: &dyn Host,
    name: String,
    addresses: &BTreeMap<String, Vec<String>>,
    booted: Option<Mac>,
) -> Option<Nic> {
    let directory = format!("/sys/class/net/{name}");
    let mac: Mac = text(host, &format!("{directory}/address")).parse().ok()?;
    let driver = host.read_link(Path::new(&format!("{directory}/device/driver"))).ok();
    let driver = driver.and_then(|link| link.file_name().map(|name| name.to_string_lossy().into_owned()));
    Some(Nic {
        mac,
        driver: driver.unwrap_or_default(),
        carrier: text(host, &format!("{directory}/carrier")) == "1",
        // -1 when the interface does not know.
        speed_mbit: text(host, &format!("{directory}/speed")).parse().unwrap_or(0),
        addresses: addresses.get(&name).cloned().unwrap_or_default(),
        booted: booted == Some(mac),
        name,
    })
}

/// `BOOTIF` of the kernel command line: `01-` (Ethernet) and the address.
pub(super) fn booted(command_line: &str) -> Option<Mac> {
    let word = command_line.split_whitespace().rev().find_map(|word| word.strip_prefix("BOOTIF="))?;
    word.strip_prefix("01-").unwrap_or(word).parse().ok()
}

/// Addresses of other than link scope, by interface.
async fn addresses(host: &dyn Host) -> BTreeMap<String, Vec<String>> {
    let command = Command::new(["ip", "address"]);
    let text = host.run(&command, &|_, _| {}, &CancellationToken::new()).await.unwrap_or_default();
    parse(&text)
}

/// Understands what ip(8) writes for people, since busybox writes the same and no JSON.
pub(super) fn parse(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut addresses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut interface = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // `2: eth0: <...`, and `3: eth0.7@eth0: <...` for a VLAN.
            [number, name, ..] if !line.starts_with(' ') && number.ends_with(':') => {
                let name = name.trim_end_matches(':');
                name.split('@').next().unwrap_or(name).clone_into(&mut interface);
            }
            ["inet" | "inet6", address, rest @ ..]
                if !rest.windows(2).any(|pair| matches!(pair, ["scope", "link" | "host"])) =>
            {
                addresses.entry(interface.clone()).or_default().push((*address).to_owned());
            }
            _ => {}
        }
    }
    addresses
}
