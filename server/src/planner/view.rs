//! What templates see of a client and of the server.

use serde_json::{Value, json};
use wire::facts::Facts;

use crate::domain::client::{BaseMethod, Client};

/// The host of a base URL, without scheme and port.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once(':').map_or(rest, |(host, _)| host)
}

/// What templates see as `client`.
pub(super) fn client_view(client: &Client, facts: Option<&Facts>) -> Value {
    let config = &client.config;
    let fqdn = if config.domain.is_empty() {
        client.name.clone()
    } else {
        format!("{}.{}", client.name, config.domain)
    };
    let booted =
        facts.and_then(|facts| facts.nics.iter().find(|nic| nic.booted).or_else(|| facts.nics.first()));
    let mut interfaces: Vec<Value> = config
        .network
        .interfaces
        .iter()
        .filter_map(|interface| {
            let mac = interface.mac.or_else(|| booted.map(|nic| nic.mac))?;
            Some(json!({ "name": mac.hyphenated(), "mac": mac, "ipv4": interface.ipv4, "ipv6": interface.ipv6 }))
        })
        .collect();
    if let (true, Some(nic)) = (interfaces.is_empty(), booted) {
        interfaces
            .push(json!({ "name": nic.mac.hyphenated(), "mac": nic.mac, "ipv4": { "method": "dhcp" }, "ipv6": { "method": "auto" } }));
    }
    json!({
        "id": client.id, "name": client.name, "fqdn": fqdn, "domain": config.domain,
        "base": match config.base { BaseMethod::Image => "image", BaseMethod::Debootstrap => "debootstrap" },
        "locale": config.locale, "keyboard": config.keyboard, "timezone": config.timezone,
        "ntp": config.ntp, "proxy": config.proxy, "serial_console": config.serial_console,
        "serial_console_name": config.serial_console.split(',').next(),
        "users": config.users, "root_ssh_keys": config.root_ssh_keys,
        "nameservers": config.network.nameservers, "interfaces": interfaces,
        "directory": config.directory, "home": config.home, "printers": config.printers,
    })
}
