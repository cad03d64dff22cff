//! How an installed system is set up, as its own files say: `POST /agent/v1/survey`. It is what a machine that Lotse has not installed is
//! taken over by.
//!
//! Invariant: nothing in it is a secret. It has no password hash and no private key; of public keys only fingerprints, and of addresses
//! no user and password. An empty text or list says "not known" or "not set", never a guess.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Mac, facts::OperatingSystem, packages::PackageFamily};

/// An installed system, as its files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Survey {
    /// When.
    pub surveyed_at: i64,
    /// Which system.
    pub os: OperatingSystem,
    /// Who manages its packages; absent when nobody that the agent knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<PackageFamily>,
    /// Host name without domain.
    pub hostname: String,
    /// DNS domain.
    pub domain: String,
    /// Name of the tz database, such as `Europe/Berlin`.
    pub timezone: String,
    /// `LANG`, such as `de_DE.UTF-8`.
    pub locale: String,
    /// Keyboard layout as in keyboard(5), such as `de`.
    pub keyboard: String,
    /// Its variant, such as `nodeadkeys`.
    pub keyboard_variant: String,
    /// Time servers that somebody has set.
    pub ntp: Vec<String>,
    /// Proxy for packages or sessions, without user and password.
    pub proxy: String,
    /// The proxy wants a user and a password, which are not told.
    #[serde(default)]
    pub proxy_secret: bool,
    /// Name servers that somebody has set, for all interfaces together.
    pub nameservers: Vec<String>,
    /// Network interfaces that are hardware, or that somebody has configured.
    pub interfaces: Vec<FoundInterface>,
    /// People's accounts, and root.
    pub users: Vec<FoundUser>,
    /// Package sources.
    pub sources: Vec<FoundSource>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A network interface, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundInterface {
    /// Kernel's name.
    pub name: String,
    /// Hardware address; absent when the interface is not there now.
    pub mac: Option<Mac>,
    /// `ethernet`, `wifi`, or what kind of interface it is made of others: `bond`, `bridge`, `vlan` …
    pub kind: String,
    /// Who configures it: `ifupdown`, `networkd`, `networkmanager`; empty when nobody was found.
    pub managed_by: String,
    /// The file that says so.
    pub file: String,
    /// How it gets IPv4 addresses.
    pub ipv4: AddressMethod,
    /// How it gets IPv6 addresses.
    pub ipv6: AddressMethod,
    /// Fixed addresses with prefix length, such as `10.0.0.5/24`.
    pub fixed: Vec<String>,
    /// Default gateways: the configured ones, else those that count now.
    pub gateways: Vec<String>,
    /// Addresses with prefix length that it has now.
    pub addresses: Vec<String>,
}

/// How an interface gets its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressMethod {
    /// By DHCP; for IPv6 also by router advertisements.
    Automatic,
    /// As its files say.
    Fixed,
    /// Not at all.
    Off,
    /// Nobody has said so, or a way of a newer version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An account of a person, or root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundUser {
    /// Login name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Full name.
    pub full_name: String,
    /// Home directory.
    pub home: String,
    /// Groups that it belongs to, its own first.
    pub groups: Vec<String>,
    /// `SHA256:…` of each public key that may log in.
    pub key_fingerprints: Vec<String>,
}

/// A package source, as it stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundSource {
    /// The file.
    pub file: String,
    /// `deb`, `deb-src`, `rpm`.
    pub types: Vec<String>,
    /// Its addresses, without user and password.
    pub uris: Vec<String>,
    /// Suites; of rpm the repository's id.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
    /// It is used.
    pub enabled: bool,
    /// The key file that it has to be signed with; empty: whatever the system trusts.
    pub signed_by: String,
    /// An address has a user and a password, which are not told.
    #[serde(default)]
    pub has_secret: bool,
}
