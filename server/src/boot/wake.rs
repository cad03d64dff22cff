//! Wakes machines over the network: a frame with the machine's address sixteen times, to everybody on every network of this host.

use std::net::{Ipv4Addr, SocketAddrV4};

use tokio::net::UdpSocket;
use wire::Mac;

/// The port that nobody listens to: network cards look at the content alone.
const DISCARD: u16 = 9;

/// The magic packet of a machine: six bytes of ones, then its address sixteen times.
fn packet(mac: Mac) -> Vec<u8> {
    let mut packet = vec![0xff; 6];
    for _ in 0..16 {
        packet.extend(mac.bytes());
    }
    packet
}

/// Broadcast addresses of this host's networks.
fn broadcasts() -> std::io::Result<Vec<Ipv4Addr>> {
    let found = nix::ifaddrs::getifaddrs()?;
    let mut addresses: Vec<Ipv4Addr> =
        found.filter_map(|interface| Some(interface.broadcast?.as_sockaddr_in()?.ip())).collect();
    addresses.push(Ipv4Addr::BROADCAST);
    addresses.dedup();
    Ok(addresses)
}

/// Sends the packet of each address to all networks of this host; tells to how many networks.
///
/// # Errors
/// It could be sent to none.
pub async fn wake(macs: &[Mac]) -> std::io::Result<usize> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.set_broadcast(true)?;
    let (mut sent, mut last) = (0, None);
    for address in broadcasts()? {
        let mut reached = true;
        for mac in macs {
            if let Err(error) = socket.send_to(&packet(*mac), SocketAddrV4::new(address, DISCARD)).await {
                (reached, last) = (false, Some(error));
            }
        }
        sent += usize::from(reached);
    }
    match last {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_has_the_address_sixteen_times_behind_six_bytes_of_ones() {
        let packet = packet(Mac::from_bytes([1, 2, 3, 4, 5, 6]));
        assert_eq!((packet.len(), &packet[..8]), (102, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2][..]));
        assert_eq!(packet[96..], [1, 2, 3, 4, 5, 6]);
    }
}
