//! Whose address it is: the kernel knows the hardware address of every machine on a network of its own that it speaks with.
//!
//! Behind a router the kernel knows only the router, and lists no such entry; then nobody is named. IPv4 only, see `proc_net(5)`.

use std::net::{IpAddr, Ipv4Addr};

use wire::Mac;

const TABLE: &str = "/proc/net/arp";
/// `ATF_COM` of `linux/if_arp.h`: the entry is complete.
const COMPLETE: u32 = 2;

/// The hardware address behind an address, if the machine is on a network of the server's own.
pub async fn of(address: IpAddr) -> Option<Mac> {
    let IpAddr::V4(address) = address.to_canonical() else { return None };
    find(&tokio::fs::read_to_string(TABLE).await.ok()?, address)
}

fn find(table: &str, address: Ipv4Addr) -> Option<Mac> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let of = words.next()?.parse::<Ipv4Addr>().ok()?;
        let flags = u32::from_str_radix(words.nth(1)?.trim_start_matches("0x"), 16).ok()?;
        let mac = words.next()?;
        if of == address && flags & COMPLETE != 0 { mac.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Captured on Debian 12; the second machine had been switched off for a while.
    const CAPTURED: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
10.64.3.100      0x1         0x2         52:54:00:e2:e0:01     *        lotse771
10.64.3.101      0x1         0x0         00:00:00:00:00:00     *        lotse771
";

    #[test]
    fn a_machine_is_known_by_a_complete_entry_only() {
        let of = |last| find(CAPTURED, Ipv4Addr::new(10, 64, 3, last));
        assert_eq!(of(100), "52:54:00:e2:e0:01".parse().ok());
        assert_eq!(of(101), None);
        assert_eq!(of(10), None);
    }
}
