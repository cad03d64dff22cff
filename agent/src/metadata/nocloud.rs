//! `NoCloud`: a medium with the label `cidata`, a directory of the system, or a URL that the kernel command line or the serial number of
//! SMBIOS names (`ds=nocloud;s=http://…/`).
//!
//! Layout: cloud-init, "`NoCloud`". Several hypervisors without a metadata service of their own speak it.

use std::path::Path;

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried, in_order, medium};
use crate::{facts::text, host::Host};

const LABEL: &str = "cidata";
const FILE: &str = "user-data";
const DIRECTORIES: [&str; 2] = ["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];
/// Where a seed may be named: on the kernel command line, or as serial number.
const NAMED_BY: [&str; 2] = ["/proc/cmdline", "/sys/class/dmi/id/product_serial"];

/// A medium.
#[derive(Clone, Copy, Debug)]
pub(super) struct Medium;

impl Source for Medium {
    fn name(&self) -> &'static str {
        "NoCloud medium"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move { medium::look(machine.host, LABEL, &[FILE]) })
    }
}

/// A directory of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed;

impl Source for Seed {
    fn name(&self) -> &'static str {
        "NoCloud directory"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move {
            let named = named(machine.host).into_iter();
            let named = named.filter_map(|place| place.strip_prefix("file://").map(str::to_owned));
            let directories = DIRECTORIES.map(str::to_owned).into_iter().chain(named);
            let files = directories.map(|directory| Path::new(&directory).join(FILE));
            let there: Vec<_> = files.filter(|file| machine.host.exists(file)).collect();
            if there.is_empty() {
                return vec![Tried::nowhere(DIRECTORIES[0], "does not exist")];
            }
            there.iter().map(|file| Tried::file(machine.host, file)).collect()
        })
    }
}

/// A URL.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeedUrl;

impl Source for SeedUrl {
    fn name(&self) -> &'static str {
        "NoCloud address"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move {
            let named = named(machine.host).into_iter();
            let urls: Vec<_> = named.filter(|place| place.starts_with("http")).collect();
            if urls.is_empty() {
                let place = "kernel command line and serial number";
                return vec![Tried::nowhere(place, "neither has `ds=nocloud;s=http://…`")];
            }
            in_order(urls.into_iter().map(|url| seed(machine, url))).await
        })
    }
}

fn seed(machine: Machine<'_>, url: String) -> BoxFuture<'_, Tried> {
    Box::pin(async move {
        if !url.starts_with("http://") {
            return Tried::nowhere(url, "only http:// is understood: there is no certificate to trust yet");
        }
        // The seed is a prefix, with its slash at the end.
        let slash = if url.ends_with('/') { "" } else { "/" };
        Tried::url(machine.ask, format!("{url}{slash}{FILE}"), Vec::new()).await
    })
}

/// The seeds that are named here, as they are written.
fn named(host: &dyn Host) -> Vec<String> {
    let texts = NAMED_BY.map(|path| text(host, path));
    let words = texts.iter().flat_map(|text| text.split_ascii_whitespace());
    words.filter_map(seed_of).map(str::to_owned).collect()
}

/// `ds=nocloud;s=SEED;h=NAME`, or `ds=nocloud-net;…`; a boot loader may have left quotes around it.
fn seed_of(word: &str) -> Option<&str> {
    let word = word.trim_matches(['"', '\'']);
    let rest = word.strip_prefix("ds=nocloud-net").or_else(|| word.strip_prefix("ds=nocloud"))?;
    let mut fields = rest.split(';').skip(1);
    fields.find_map(|field| field.strip_prefix("s=").or_else(|| field.strip_prefix("seedfrom=")))
}

#[cfg(test)]
mod tests {
    use super::seed_of;

    #[test]
    fn a_seed_is_named_in_all_the_ways_of_the_documentation() {
        assert_eq!(seed_of("ds=nocloud;s=http://10.0.0.1/seed/"), Some("http://10.0.0.1/seed/"));
        assert_eq!(seed_of("\"ds=nocloud-net;h=pc;seedfrom=http://x/\""), Some("http://x/"));
        assert_eq!(seed_of("ds=nocloud"), None);
        assert_eq!(seed_of("ds=openstack;s=http://x/"), None);
        assert_eq!(seed_of("VMware-56 4d"), None);
    }
}
