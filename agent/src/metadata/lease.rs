//! What the DHCP server said, as the DHCP clients of Linux systems keep it.
//!
//! Understood are the installer's own (`pxe/installer/udhcpc.sh`), systemd-networkd's, `NetworkManager`'s, which writes as networkd does,
//! and dhclient's (dhclient.leases(5)). The default gateway comes from the kernel.

use std::{net::Ipv4Addr, path::Path};

use crate::{facts::text, host::Host};

/// The option by which a DHCP server may name the Lotse server: one of those for private use (RFC 3942).
pub(super) const OPTION: u8 = 224;

/// Directories, and how the names of leases in them begin and end.
const KEPT: [(&str, &str, &str); 5] = [
    ("/run/lotse", "lease.", ""),
    ("/run/systemd/netif/leases", "", ""),
    ("/var/lib/NetworkManager", "internal-", ".lease"),
    ("/var/lib/dhcp", "dhclient", ".leases"),
    ("/var/lib/dhclient", "dhclient", ".leases"),
];

/// One lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// The file that it stands in.
    pub(super) place: String,
    /// The DHCP server's address.
    pub(super) server: Option<Ipv4Addr>,
    /// The text of [`OPTION`].
    pub(super) option: Option<Vec<u8>>,
}

/// All leases of this machine.
pub(super) fn all(host: &dyn Host) -> Vec<Lease> {
    let mut found = Vec::new();
    for (directory, prefix, suffix) in KEPT {
        let names = host.list(Path::new(directory)).unwrap_or_default();
        for name in names.iter().filter(|name| name.starts_with(prefix) && name.ends_with(suffix)) {
            let place = format!("{directory}/{name}");
            found.push(Lease { place: place.clone(), ..parse(&text(host, &place)) });
        }
    }
    found
}

/// `NAME=value` lines, or dhclient's blocks, of which the last one holds.
fn parse(text: &str) -> Lease {
    let mut lease = Lease::default();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("option ") {
            let Some((name, value)) = rest.trim_end_matches(';').split_once(' ') else { continue };
            match name {
                "dhcp-server-identifier" => lease.server = value.parse().ok(),
                "unknown-224" => lease.option = dhclient_bytes(value),
                _ => {}
            }
        } else if let Some((name, value)) = line.split_once('=') {
            match name {
                "SERVER_ADDRESS" => lease.server = value.parse().ok(),
                "OPTION_224" => lease.option = hex::decode(value).ok(),
                _ => {}
            }
        }
    }
    lease
}

/// `"text"`, or `6c:6f:74` where a byte is no letter.
fn dhclient_bytes(value: &str) -> Option<Vec<u8>> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => Some(text.as_bytes().to_vec()),
        None => value.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect(),
    }
}

/// Default gateways, from the kernel's table of routes: addresses in hexadecimal, in the order of bytes of a little-endian machine.
pub(super) fn gateways(host: &dyn Host) -> Vec<Ipv4Addr> {
    let table = text(host, "/proc/net/route");
    let gateway = |line: &str| {
        let mut fields = line.split_whitespace();
        let (destination, gateway) = (fields.nth(1)?, fields.next()?);
        let number = u32::from_str_radix(gateway, 16).ok().filter(|number| *number != 0)?;
        (destination == "00000000").then(|| Ipv4Addr::from(number.to_le_bytes()))
    };
    table.lines().skip(1).filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn server(text: &str) -> Option<String> {
        parse(text).server.map(|address| address.to_string())
    }

    #[test]
    fn leases_of_every_dhcp_client_name_their_server() {
        let networkd = "# This is private data. Do not parse.\nADDRESS=10.1.1.57\nNETMASK=255.255.255.0\nROUTER=10.1.1.1\n\
                        SERVER_ADDRESS=10.1.1.1\nDNS=10.1.1.1\nOPTION_224=236c6f747365\n";
        assert_eq!(server(networkd).as_deref(), Some("10.1.1.1"));
        assert_eq!(parse(networkd).option.as_deref(), Some(b"#lotse".as_slice()));
        let dhclient = "lease {\n  interface \"eth0\";\n  option dhcp-server-identifier 10.1.1.9;\n}\nlease {\n  interface \"eth0\";\n  \
                        fixed-address 10.1.1.57;\n  option dhcp-server-identifier 10.1.1.1;\n  option unknown-224 23:6c:6f;\n}\n";
        assert_eq!(server(dhclient).as_deref(), Some("10.1.1.1"));
        assert_eq!(parse(dhclient).option.as_deref(), Some(b"#lo".as_slice()));
        assert_eq!(
            parse("option unknown-224 \"#lotse-v1 x\";").option.as_deref(),
            Some(b"#lotse-v1 x".as_slice())
        );
        assert_eq!(parse("<html>").server, None);
    }

    #[test]
    fn the_default_gateway_is_the_kernel_s() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t0101010A\t0003\t0\t0\t0\t00000000\neth0\t0001010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        let host = FakeHost::new(0).with_file("/proc/net/route", table);
        assert_eq!(gateways(&host), [Ipv4Addr::new(10, 1, 1, 1)]);
    }
}
