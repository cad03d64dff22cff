//! An Ethernet of its own: a network namespace with a bridge, one tap for each network card, and a cable to the host.
//!
//! Names and addresses come from the process id, so that test programs run beside each other. Nothing is routed: machines
//! reach the host's end of the cable and nothing else, and nothing of it is left after the drop.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::Result;

use super::process::run;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The bridge inside the namespace, where DHCP servers listen.
pub const BRIDGE: &str = "br0";

/// A network for machines, with the host connected to it.
#[derive(Debug)]
pub struct Network {
    namespace: String,
    host_end: String,
    subnet: u16,
    taps: AtomicU16,
    hosts: Mutex<Vec<String>>,
}

impl Network {
    /// Creates the network.
    ///
    /// # Errors
    /// The program does not run as root, or iproute2 is missing.
    pub fn create() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        // 16384 subnets of 10.64.0.0/10, eight for one process.
        let subnet = u16::try_from((process.wrapping_mul(8) + u32::from(number)) & 0x3fff)?;
        let network = Self {
            namespace: format!("lotse-{process}-{number}"),
            host_end: format!("lotse{subnet}"),
            subnet,
            taps: AtomicU16::new(0),
            hosts: Mutex::default(),
        };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<()> {
        let Self { namespace, host_end, .. } = self;
        run(&["ip", "netns", "add", namespace])?;
        self.inside(&["ip", "link", "set", "lo", "up"])?;
        self.inside(&["ip", "link", "add", BRIDGE, "type", "bridge"])?;
        self.inside(&["ip", "address", "add", &format!("{}/24", self.bridge_address()), "dev", BRIDGE])?;
        self.inside(&["ip", "link", "set", BRIDGE, "up"])?;
        run(&["ip", "link", "add", host_end, "type", "veth", "peer", "name", "host", "netns", namespace])?;
        self.inside(&["ip", "link", "set", "host", "master", BRIDGE])?;
        self.inside(&["ip", "link", "set", "host", "up"])?;
        self.restore()
    }

    /// The address at which machines reach a server on the host.
    pub fn server_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The same for IPv6.
    pub fn server_address_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd6c, 0x6f74, self.subnet, 0, 0, 0, 0, 1)
    }

    /// The bridge's own address, where a DHCP server of the namespace answers.
    pub fn bridge_address(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// An address of the /24 by its last number.
    pub fn address(&self, last: u8) -> Ipv4Addr {
        let [high, low] = self.subnet.to_be_bytes();
        Ipv4Addr::new(10, 64 + high, low, last)
    }

    /// Pulls the cable between the host and the machines; they keep their link to the bridge.
    pub fn cut(&self) -> Result<()> {
        run(&["ip", "link", "set", &self.host_end, "down"]).map(drop)
    }

    /// Plugs the cable in again.
    pub fn restore(&self) -> Result<()> {
        let address = format!("{}/24", self.server_address());
        run(&["ip", "address", "replace", &address, "dev", &self.host_end])?;
        run(&["ip", "link", "set", &self.host_end, "up"])?;
        // The kernel drops IPv6 addresses with the link, so this comes last.
        let address = format!("{}/64", self.server_address_v6());
        run(&["ip", "-6", "address", "replace", &address, "dev", &self.host_end, "nodad"]).map(drop)
    }

    /// Runs a command inside the namespace.
    pub(super) fn inside(&self, argv: &[&str]) -> Result<String> {
        run(&self.wrap(argv))
    }

    /// The command line that runs `argv` inside the namespace.
    pub(super) fn wrap(&self, argv: &[&str]) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].iter().chain(argv).map(|&word| word.to_owned()).collect()
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A new port of the bridge for a network card.
    pub(super) fn add_tap(&self) -> Result<String> {
        let tap = format!("tap{}", self.taps.fetch_add(1, Ordering::Relaxed));
        self.inside(&["ip", "tuntap", "add", &tap, "mode", "tap"])?;
        self.inside(&["ip", "link", "set", &tap, "master", BRIDGE])?;
        self.inside(&["ip", "link", "set", &tap, "up"])?;
        Ok(tap)
    }

    /// A namespace of its own at the bridge, for processes that are to be a host; its card has the address with this last number.
    pub(super) fn add_host(&self, last: u8) -> Result<String> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (namespace, port) = (format!("{}-{last}", self.namespace), format!("host{last}"));
        run(&["ip", "netns", "add", &namespace])?;
        hosts.push(namespace.clone());
        let mac = format!("52:54:00:c0:00:{last:02x}");
        self.inside(&[
            "ip", "link", "add", &port, "type", "veth", "peer", "name", "eth0", "address", &mac, "netns",
            &namespace,
        ])?;
        self.inside(&["ip", "link", "set", &port, "master", BRIDGE])?;
        self.inside(&["ip", "link", "set", &port, "up"])?;
        let address = format!("{}/24", self.address(last));
        for words in [
            &["address", "add", &address, "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["link", "set", "lo", "up"],
        ] {
            run(&[&["ip", "-n", &namespace], words].concat())?;
        }
        Ok(namespace)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            run(&["ip", "netns", "delete", &host]).ok();
        }
        // The namespace takes the bridge, the taps and the cable with it. What was never made cannot be removed.
        run(&["ip", "link", "delete", &self.host_end]).ok();
        run(&["ip", "netns", "delete", &self.namespace]).ok();
    }
}
