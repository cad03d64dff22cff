//! Garbage, forbidden paths and greedy options over TFTP.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use super::{PATIENCE, serves};
use harness::server::{Engine, TestServer};
use server::clock::Clock;
use tokio::net::UdpSocket;

static SERVERS: AtomicU8 = AtomicU8::new(1);

/// A server whose TFTP has a loopback address of its own, because it cannot say which port it took.
async fn with_tftp() -> (TestServer, SocketAddr) {
    let process = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, process[2] | 1, process[3], SERVERS.fetch_add(1, Ordering::Relaxed));
    let address = SocketAddr::from((own, 6969));
    let server =
        TestServer::start_as(Engine::Sqlite, Clock::system(), |config| config.listen_tftp = Some(address));
    (server.await.unwrap(), address)
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

fn request(opcode: u16, path: &[u8], options: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = opcode.to_be_bytes().to_vec();
    packet.extend_from_slice(path);
    packet.extend_from_slice(b"\0octet\0");
    for (name, value) in options {
        packet.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    packet
}

/// Sends a request until something comes back: opcode, what follows, and from where.
async fn ask(server: SocketAddr, packet: &[u8]) -> (u16, Vec<u8>, SocketAddr, UdpSocket) {
    let own = socket().await;
    let mut buffer = vec![0; 65536];
    let asking = async {
        loop {
            own.send_to(packet, server).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(500), own.recv_from(&mut buffer)).await;
            if let Ok(Ok(answer)) = answer {
                return answer;
            }
        }
    };
    let (length, from) = tokio::time::timeout(PATIENCE, asking).await.expect("TFTP does not answer");
    let opcode = u16::from_be_bytes([buffer[0], buffer[1]]);
    (opcode, buffer[2..length].to_vec(), from, own)
}

/// The server gives what it is there for.
async fn gives_grub_its_configuration(server: SocketAddr) {
    let (opcode, data, ..) = ask(server, &request(1, b"grub/grub.cfg", &[])).await;
    assert_eq!(opcode, 3, "no data: {}", String::from_utf8_lossy(&data));
}

#[tokio::test]
async fn garbage_is_ignored_and_forbidden_paths_are_refused() {
    let (server, address) = with_tftp().await;
    gives_grub_its_configuration(address).await;
    let own = socket().await;
    let garbage: [&[u8]; 10] = [
        b"",
        b"\0",
        b"\0\x01",
        b"\0\x01grub/grub.cfg",
        b"\0\x01\xff\xfe\0octet\0",
        b"\0\x01grub/grub.cfg\0octet\0blksize\0",
        b"\0\x03\0\x01data",
        b"\0\x04\0\x01",
        b"\0\x63what\0",
        &[0xff; 4096],
    ];
    for packet in garbage {
        own.send_to(packet, address).await.unwrap();
    }
    for path in [
        "../../../etc/passwd",
        "/etc/passwd",
        "grub/../keys/ca.key.pem",
        "grub/by-mac/../../keys/plan.key",
        "blobs/../keys/ca.key.pem",
        "blobs/0000000000000000000000000000000000000000000000000000000000000000",
        "lotse.sqlite",
        "",
    ] {
        let (opcode, data, ..) = ask(address, &request(1, path.as_bytes(), &[])).await;
        assert_eq!((opcode, &data[..2]), (5, &[0, 1][..]), "{path}: file not found was expected");
    }
    // Nobody writes.
    let (opcode, data, ..) = ask(address, &request(2, b"grub/grub.cfg", &[])).await;
    assert_eq!((opcode, &data[..2]), (5, &[0, 4][..]), "{}", String::from_utf8_lossy(&data));
    gives_grub_its_configuration(address).await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn greedy_options_are_cut_to_what_the_server_can_bear() {
    let (server, address) = with_tftp().await;
    let sha256 = super::store(&server, &vec![7; 3 << 20]).await["sha256"].as_str().unwrap().to_owned();
    let greedy = [("blksize", "65464"), ("windowsize", "65535"), ("timeout", "255"), ("tsize", "0")];
    let (opcode, options, from, own) =
        ask(address, &request(1, format!("blobs/{sha256}").as_bytes(), &greedy)).await;
    assert_eq!(opcode, 6);
    let words: Vec<_> =
        options.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let granted = |name: &str| {
        words.iter().position(|word| word == name).map(|at| words[at + 1].parse::<u64>().unwrap())
    };
    assert!(granted("blksize").unwrap() * granted("windowsize").unwrap() <= 1 << 20, "{words:?}");
    assert_eq!((granted("timeout"), granted("tsize")), (None, Some(3 << 20)), "{words:?}");
    // One window, then silence until it is acknowledged.
    own.send_to(&[0, 4, 0, 0], from).await.unwrap();
    let mut buffer = vec![0; 65536];
    let (length, _) = tokio::time::timeout(PATIENCE, own.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((length as u64, &buffer[..4]), (granted("blksize").unwrap() + 4, &[0, 3, 0, 1][..]));
    for strange in ["0", "-1", "7", "99999999999", "x"] {
        let (opcode, ..) = ask(address, &request(1, b"grub/grub.cfg", &[("blksize", strange)])).await;
        assert!([3, 6].contains(&opcode), "blksize {strange} was not ignored");
    }
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_address_cannot_take_all_transfers_for_itself() {
    let (server, address) = with_tftp().await;
    let sha256 = super::store(&server, &vec![7; 1 << 20]).await["sha256"].as_str().unwrap().to_owned();
    let packet = request(1, format!("blobs/{sha256}").as_bytes(), &[]);
    // None of these acknowledges anything, so each transfer stays open until the server gives up.
    let mut refused = false;
    let mut open = Vec::new();
    for _ in 0..40 {
        let (opcode, data, _, own) = ask(address, &packet).await;
        refused |= opcode == 5 && String::from_utf8_lossy(&data).contains("try again later");
        open.push(own);
    }
    assert!(refused, "forty transfers to one address were begun");
    // Somebody else is served meanwhile.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.send_to(&request(1, b"grub/grub.cfg", &[]), address).await.unwrap();
    let mut buffer = vec![0; 2048];
    tokio::time::timeout(PATIENCE, other.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(buffer[..2], [0, 3]);
    serves(&server).await;
    server.stop().await.unwrap();
}
