//! Real machines for tests: QEMU with BIOS, UEFI or Secure Boot, on an Ethernet of its own with a real DHCP server.
//!
//! Invariant: whatever a value here started or created ends and goes away when the value is dropped, and every machine is
//! bounded by a time limit even when the test program is killed. Needs root (network namespaces) and what
//! `packaging/setup.sh` installs. Nothing here knows the Lotse server: a test starts that on [`Network::server_address`].

pub mod copies;
pub mod disk;
pub mod dnsmasq;
pub mod keys;
pub mod machine;
pub mod medium;
pub mod network;
pub(crate) mod process;
mod serial;

pub use copies::{Copies, Copy};
pub use disk::{Bus, Disk};
pub use dnsmasq::{Dnsmasq, ForeignDhcp};
pub use machine::{Boot, Firmware, Machine, Running};
pub use network::Network;
