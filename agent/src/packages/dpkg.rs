//! What dpkg has installed (`/var/lib/dpkg/status`, deb822(5)), and what apt has brought in by itself (`extended_states`).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tokio_util::sync::CancellationToken;
use wire::packages::{Package, PackageKey};

use super::{Error, Inventory, TRIES, apt, pins};
use crate::host::{self, Host};

pub(super) const STATUS: &str = "/var/lib/dpkg/status";
const EXTENDED: &str = "/var/lib/apt/extended_states";
/// What changes when packages, marks or what sources offer change.
pub(super) const FILES: [&str; 5] = [STATUS, EXTENDED, apt::LISTS, pins::FILE, pins::FOLDER];

/// A piece of a file that is in memory at once.
const PIECE: usize = 256 << 10;

pub(super) async fn read(host: &dyn Host, stop: &CancellationToken) -> Result<Inventory, Error> {
    let mut packages = installed(host)?;
    let updates_unknown = match apt::updates(host, stop).await {
        Ok(updates) => {
            apply(&mut packages, updates);
            String::new()
        }
        Err(reason) => reason,
    };
    Ok(Inventory { packages, updates_unknown })
}

/// The database is replaced as a whole while packages are installed: pieces of two do not belong together.
fn installed(host: &dyn Host) -> Result<Vec<Package>, Error> {
    for _ in 0..TRIES {
        let before = host.stamp(Path::new(STATUS));
        let automatic = automatic(host)?;
        let mut packages = Vec::new();
        each_stanza(host, STATUS, |stanza| packages.extend(package(stanza, &automatic)))?;
        if host.stamp(Path::new(STATUS)) == before {
            return Ok(packages);
        }
    }
    Err(Error::Changing)
}

/// Names with architectures that are marked as brought in by others.
type Automatic = BTreeSet<(String, String)>;

fn automatic(host: &dyn Host) -> Result<Automatic, Error> {
    let mut found = Automatic::new();
    if host.exists(Path::new(EXTENDED)) {
        each_stanza(host, EXTENDED, |stanza| {
            if field(stanza, "Auto-Installed") == "1" {
                found.insert((field(stanza, "Package").to_owned(), field(stanza, "Architecture").to_owned()));
            }
        })?;
    }
    Ok(found)
}

/// Gives each paragraph of a file of deb822(5), one after the other.
fn each_stanza(host: &dyn Host, path: &str, mut take: impl FnMut(&str)) -> Result<(), host::Error> {
    let (mut kept, mut offset) = (Vec::<u8>::new(), 0_u64);
    loop {
        let piece = host.read_at(Path::new(path), offset, PIECE)?;
        let ended = piece.is_empty();
        offset += piece.len() as u64;
        kept.extend_from_slice(&piece);
        // What stands behind the last empty line waits for the next piece.
        let complete = if ended {
            kept.len()
        } else {
            kept.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2)
        };
        for stanza in String::from_utf8_lossy(&kept[..complete]).split("\n\n") {
            if !stanza.trim().is_empty() {
                take(stanza);
            }
        }
        kept.drain(..complete);
        if ended {
            return Ok(());
        }
    }
}

/// A field of one line.
fn field<'a>(stanza: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    stanza.lines().find_map(value).unwrap_or_default()
}

/// The package of a paragraph of `status`, unless it is gone (dpkg-query(1): `wanted`, `error flag`, `status`).
fn package(stanza: &str, automatic: &Automatic) -> Option<Package> {
    let mut words = field(stanza, "Status").split_whitespace();
    let (wanted, state) = (words.next()?, words.nth(1)?);
    if ["not-installed", "config-files"].contains(&state) {
        return None;
    }
    let (name, architecture) = (field(stanza, "Package"), field(stanza, "Architecture"));
    let marked = |architecture: &str| automatic.contains(&(name.to_owned(), architecture.to_owned()));
    let key = PackageKey {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        version: field(stanza, "Version").to_owned(),
    };
    Some(Package {
        // apt marks what is for all architectures under the machine's own one.
        automatic: marked(architecture)
            || (architecture == "all"
                && automatic
                    .range((name.to_owned(), String::new())..)
                    .next()
                    .is_some_and(|(known, _)| known == name)),
        held: wanted == "hold",
        // In KiB (Debian policy, 5.6.20).
        size_bytes: field(stanza, "Installed-Size").parse::<u64>().unwrap_or(0) << 10,
        update: None,
        key,
    })
}

fn apply(packages: &mut [Package], updates: Vec<apt::Update>) {
    let mut updates: BTreeMap<_, _> =
        updates.into_iter().map(|update| ((update.name, update.installed), update.to)).collect();
    for package in packages {
        let name = &package.key.name;
        let installed = &package.key.version;
        let of_architecture = (format!("{name}:{}", package.key.architecture), installed.clone());
        package.update = updates
            .remove(&of_architecture)
            .or_else(|| updates.get(&(name.clone(), installed.clone())).cloned());
    }
}
