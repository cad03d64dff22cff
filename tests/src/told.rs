//! What an agent tells of the packages of its system, as tests make it up.

use aws_lc_rs::digest::{SHA256, digest};
use wire::{
    Sha256,
    packages::{Condition, Package, PackageFamily, PackageKey, PackagesRequest},
};

/// A package in a version, with nothing special about it.
pub fn package(name: &str, version: &str) -> Package {
    Package {
        key: PackageKey {
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: version.to_owned(),
        },
        automatic: false,
        held: false,
        size_bytes: 2048,
        update: None,
    }
}

/// The hash of a state; its packages are in the order of their keys.
pub fn hash(packages: &[Package]) -> Sha256 {
    let text: String = packages.iter().map(|package| package.line() + "\n").collect();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    Sha256::from_bytes(bytes)
}

/// A message that leads from a state to another one; from nothing as a whole.
pub fn message(old: Option<&[Package]>, new: &[Package]) -> PackagesRequest {
    let before = old.unwrap_or_default();
    PackagesRequest {
        collected_at: 1,
        base: old.map(hash),
        sha256: hash(new),
        family: PackageFamily::Dpkg,
        set: new.iter().filter(|package| !before.contains(package)).cloned().collect(),
        gone: before
            .iter()
            .filter(|package| !new.iter().any(|other| other.key == package.key))
            .map(|package| package.key.clone())
            .collect(),
        condition: Condition::default(),
        attempt: None,
    }
}
