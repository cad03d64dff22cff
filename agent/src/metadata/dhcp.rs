//! DHCP: the network's own server says which Lotse server is there, in the option for private use 224.
//!
//! An option has no room for many lines (255 bytes, RFC 2132), so the words stand in one, with blanks between them. Like everything that
//! comes by DHCP and PXE it can be forged by whoever is in the network: the CA's fingerprint in it is as good as that network.

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried, lease};

/// A DHCP option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dhcp;

impl Source for Dhcp {
    fn name(&self) -> &'static str {
        "DHCP"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move {
            let leases = lease::all(machine.host).into_iter();
            let options: Vec<_> = leases.filter_map(|lease| Some((lease.place, lease.option?))).collect();
            if options.is_empty() {
                return vec![Tried::nowhere("leases", format!("none has the option {}", lease::OPTION))];
            }
            options.into_iter().map(|(place, option)| Tried::content(place, &lines(&option))).collect()
        })
    }
}

fn lines(option: &[u8]) -> Vec<u8> {
    option.iter().map(|byte| if *byte == b' ' { b'\n' } else { *byte }).collect()
}
