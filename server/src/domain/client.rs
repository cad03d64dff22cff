//! A client: what the admin wants of it ([`ClientConfig`]) and where it stands.
//!
//! Invariant: a configuration that [`ClientConfig::check`] accepts can be written into any file of the client as it is:
//! no value carries a line end, a quote or another character with a meaning of its own. Only a directory's CA has lines.

mod desktop;
mod services;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::LazyLock,
};

use regex::Regex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{ClientId, GroupId, Mac, Sha256, enrol::Realm, facts::Facts, problem::FieldProblem};

pub use self::desktop::{DesktopChoice, DesktopEnvironment, RemoteAccess};
pub use self::services::{Directory, DirectorySchema, HomeServer, Printer};
use super::job::UnknownWord;

/// Where a client is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Known by name or hardware address, never seen.
    Registered,
    /// Its facts are here; nobody has adopted it, or it was not installed yet.
    Discovered,
    /// An installation is under way.
    Installing,
    /// The agent reports from the installed system.
    Installed,
    /// Out of service; kept for its history.
    Retired,
}

impl Stage {
    /// The word for the stage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Discovered => "discovered",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Retired => "retired",
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Registered, Self::Discovered, Self::Installing, Self::Installed, Self::Retired]
            .into_iter()
            .find(|stage| stage.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "client stage" })
    }
}

/// A client as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Its host name, unique.
    pub name: String,
    /// Where it is in its life.
    pub stage: Stage,
    /// What the admin wants.
    pub config: ClientConfig,
    /// Hardware addresses.
    pub macs: Vec<Mac>,
    /// What the agent measured.
    pub facts: Option<Facts>,
    /// When.
    pub facts_at: Option<i64>,
    /// Fingerprint that the machine showed when it announced itself without a token.
    pub announced_key: Option<Sha256>,
    /// Fingerprint that an admin accepted.
    pub adopted_key: Option<Sha256>,
    /// The agent's last boot.
    pub boot_id: Option<String>,
    /// Where the agent runs.
    pub realm: Option<Realm>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// When the agent was last heard.
    pub last_seen_at: Option<i64>,
    /// Stops every job until an admin has looked.
    pub alarm: Option<String>,
    /// When the record was made.
    pub created_at: i64,
    /// Grows with every change.
    pub version: i64,
    /// Groups it belongs to.
    pub groups: Vec<GroupId>,
}

/// How the base system comes to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaseMethod {
    /// An archive that the server built once is unpacked: fast.
    #[default]
    Image,
    /// The system is put together from packages on the client.
    Debootstrap,
}

/// What the admin wants of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Target distribution, such as `debian-12`.
    pub distribution: String,
    /// How the base system comes to the disk.
    pub base: BaseMethod,
    /// Name of the storage layout.
    pub layout: String,
    /// DNS domain; empty for none.
    pub domain: String,
    /// Locale, such as `de_DE.UTF-8`.
    pub locale: String,
    /// Keyboard layout as in keyboard(5), such as `de`.
    pub keyboard: String,
    /// Time zone of the tz database, such as `Europe/Berlin`.
    pub timezone: String,
    /// Time servers; empty takes the distribution's.
    pub ntp: Vec<String>,
    /// Proxy for packages and the users' sessions, such as `http://proxy:3128`; empty for none.
    pub proxy: String,
    /// Serial console, such as `ttyS0,115200`; empty for none.
    pub serial_console: String,
    /// Network configuration of the installed system.
    pub network: Network,
    /// Accounts to make.
    pub users: Vec<User>,
    /// Public keys that may log in as root.
    pub root_ssh_keys: Vec<String>,
    /// The directory whose accounts may log in; none has only the client's own.
    pub directory: Option<Directory>,
    /// The server of the home directories; none keeps them on the client.
    pub home: Option<HomeServer>,
    /// Printers; the first one is the default.
    pub printers: Vec<Printer>,
    /// The desktop; none leaves the client without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desktop: Option<DesktopChoice>,
    /// When the machine was bought, `YYYY-MM-DD`; empty when nobody has said so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub purchased_on: String,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            distribution: "debian-12".to_owned(),
            base: BaseMethod::default(),
            layout: "whole-disk".to_owned(),
            domain: String::new(),
            locale: "en_US.UTF-8".to_owned(),
            keyboard: "us".to_owned(),
            timezone: "Etc/UTC".to_owned(),
            ntp: Vec::new(),
            proxy: String::new(),
            serial_console: String::new(),
            network: Network::default(),
            users: Vec::new(),
            root_ssh_keys: Vec::new(),
            directory: None,
            home: None,
            printers: Vec::new(),
            desktop: None,
            purchased_on: String::new(),
        }
    }
}

/// Network configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Name servers beyond those of DHCP.
    #[schema(value_type = Vec<String>)]
    pub nameservers: Vec<IpAddr>,
    /// Interfaces; without any, the one that booted gets its addresses by DHCP.
    pub interfaces: Vec<Interface>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Hardware address; without one the interface that booted is meant.
    pub mac: Option<Mac>,
    /// How it gets IPv4 addresses.
    pub ipv4: Ipv4Method,
    /// How it gets IPv6 addresses.
    pub ipv6: Ipv6Method,
}

/// How an interface gets its IPv4 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ipv4Method {
    /// By DHCP.
    #[default]
    Dhcp,
    /// A fixed address.
    Static {
        /// The address.
        #[schema(value_type = String)]
        address: Ipv4Addr,
        /// Length of the network part, 1 to 32.
        prefix: u8,
        /// Default gateway.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        gateway: Option<Ipv4Addr>,
    },
    /// None.
    Off,
}

/// How an interface gets its IPv6 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ipv6Method {
    /// By router advertisements, and `DHCPv6` where they say so.
    #[default]
    Auto,
    /// A fixed address.
    Static {
        /// The address.
        #[schema(value_type = String)]
        address: Ipv6Addr,
        /// Length of the network part, 1 to 128.
        prefix: u8,
        /// Default gateway.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        gateway: Option<Ipv6Addr>,
    },
    /// None.
    Off,
}

/// An account on the client. Its password hash is a secret of its own and never part of this record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Full name.
    pub full_name: String,
    /// A password hash is kept for the account, as secret `user-passwords`.
    pub has_password: bool,
    /// May become root by sudo.
    pub sudo: bool,
    /// Public keys that may log in.
    pub ssh_keys: Vec<String>,
}

macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    };
}

// Host names: RFC 1123, one label. Login names: useradd(8).
pattern!(LABEL, r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
pattern!(DOMAIN, r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$");
// As in /usr/share/i18n/SUPPORTED, where those with a modifier carry no character set in their name.
pattern!(LOCALE, r"^([a-z]{2,3}_[A-Z]{2}(\.UTF-8|@[a-z]+)|C\.UTF-8)$");
pattern!(KEYBOARD, r"^[a-z]{2,5}$");
pattern!(TIMEZONE, r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+){0,2}$");
pattern!(LOGIN, r"^[a-z_][a-z0-9_-]{0,31}$");
pattern!(
    SSH_KEY,
    r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( [^\x00-\x1f'\x7f]*)?$"
);
pattern!(PROXY, r"^https?://[A-Za-z0-9.\[\]:_-]+/?$");
pattern!(CONSOLE, r"^tty[A-Za-z0-9]+(,[0-9]+[a-z0-9]*)?$");
pattern!(WORD, r"^[a-z0-9][a-z0-9._-]*$");
pattern!(FULL_NAME, r"^[^\x00-\x1f\x7f:,'\\]*$");

fn fits(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Whether a text can be a client's name: one label of a host name (RFC 1123), lower case.
pub fn is_name(text: &str) -> bool {
    fits(&LABEL, text)
}

/// Whether a text can name a distribution, a layout or a part of an image's name.
pub fn is_word(text: &str) -> bool {
    fits(&WORD, text)
}

/// Whether a text is a DNS name (RFC 1123) in small letters.
pub fn is_domain(text: &str) -> bool {
    fits(&DOMAIN, text)
}

/// Whether a text is one public key as in `authorized_keys`, without options.
pub fn is_ssh_key(text: &str) -> bool {
    fits(&SSH_KEY, text)
}

impl ClientConfig {
    /// Whether the client uses services of the site, which its installed system is set up for.
    pub fn uses_services(&self) -> bool {
        self.directory.is_some() || self.home.is_some() || !self.printers.is_empty()
    }

    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Problems::default();
        problems.unless(
            fits(&WORD, &self.distribution),
            "distribution",
            "must be the name of a distribution, such as debian-12",
        );
        problems.unless(
            fits(&WORD, &self.layout),
            "layout",
            "must be the name of a layout, such as whole-disk",
        );
        problems.unless(
            self.domain.is_empty() || fits(&DOMAIN, &self.domain),
            "domain",
            "must be a DNS domain, such as school.example",
        );
        problems.unless(fits(&LOCALE, &self.locale), "locale", "must be a UTF-8 locale, such as de_DE.UTF-8");
        problems.unless(fits(&KEYBOARD, &self.keyboard), "keyboard", "must be a keyboard layout, such as de");
        problems.unless(
            fits(&TIMEZONE, &self.timezone),
            "timezone",
            "must be a time zone, such as Europe/Berlin",
        );
        problems.unless(
            self.proxy.is_empty() || fits(&PROXY, &self.proxy),
            "proxy",
            "must be a URL such as http://proxy:3128, without a password",
        );
        problems.unless(
            self.serial_console.is_empty() || fits(&CONSOLE, &self.serial_console),
            "serial_console",
            "must be a console such as ttyS0,115200",
        );
        for (at, server) in self.ntp.iter().enumerate() {
            let fine = fits(&DOMAIN, server) || server.parse::<IpAddr>().is_ok();
            problems.unless(fine, &format!("ntp[{at}]"), "must be a host name or an address");
        }
        problems.unless(
            self.purchased_on.is_empty() || super::report::iso_day(&self.purchased_on).is_some(),
            "purchased_on",
            "must be a date such as 2024-09-30",
        );
        self.network.check(&mut problems);
        for (at, user) in self.users.iter().enumerate() {
            let field = |name: &str| format!("users[{at}].{name}");
            problems.unless(
                fits(&LOGIN, &user.name) && user.name != "root",
                &field("name"),
                "must be a login name of small letters, digits, - and _, other than root",
            );
            problems.unless(
                fits(&FULL_NAME, &user.full_name),
                &field("full_name"),
                "must not contain : , ' \\ or control characters",
            );
            problems.unless(
                !self.users[..at].iter().any(|other| other.name == user.name),
                &field("name"),
                "is used twice",
            );
            problems.keys(&field("ssh_keys"), &user.ssh_keys);
        }
        problems.keys("root_ssh_keys", &self.root_ssh_keys);
        if let Some(directory) = &self.directory {
            directory.check(&mut problems);
        }
        if let Some(home) = &self.home {
            home.check(&mut problems);
        }
        for (at, printer) in self.printers.iter().enumerate() {
            printer.check(&|name| format!("printers[{at}].{name}"), &mut problems);
        }
        problems.0
    }
}

impl Network {
    fn check(&self, problems: &mut Problems) {
        for (at, interface) in self.interfaces.iter().enumerate() {
            let field = |name: &str| format!("network.interfaces[{at}].{name}");
            if let Ipv4Method::Static { address, prefix, gateway } = &interface.ipv4 {
                problems.unless((1..=32).contains(prefix), &field("ipv4.prefix"), "must be 1 to 32");
                problems.unless(
                    !address.is_unspecified() && !address.is_multicast(),
                    &field("ipv4.address"),
                    "must be the address of one machine",
                );
                let mask = u32::MAX.checked_shl(32 - u32::from((*prefix).clamp(1, 32))).unwrap_or(u32::MAX);
                let reachable = gateway.is_none_or(|gateway| {
                    *prefix == 32 || gateway.to_bits() & mask == address.to_bits() & mask
                });
                problems.unless(
                    reachable,
                    &field("ipv4.gateway"),
                    "must be inside the interface's own network",
                );
            }
            if let Ipv6Method::Static { address, prefix, .. } = &interface.ipv6 {
                problems.unless((1..=128).contains(prefix), &field("ipv6.prefix"), "must be 1 to 128");
                problems.unless(
                    !address.is_unspecified() && !address.is_multicast(),
                    &field("ipv6.address"),
                    "must be the address of one machine",
                );
            }
            let twice = self.interfaces[..at].iter().any(|other| other.mac == interface.mac);
            problems.unless(
                !twice,
                &field("mac"),
                "is used twice: only one interface can be the one that booted",
            );
        }
    }
}

#[derive(Default)]
struct Problems(Vec<FieldProblem>);

impl Problems {
    fn unless(&mut self, fine: bool, field: &str, message: &str) {
        if !fine {
            self.0.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
        }
    }

    fn keys(&mut self, field: &str, keys: &[String]) {
        for (at, key) in keys.iter().enumerate() {
            self.unless(
                is_ssh_key(key),
                &format!("{field}[{at}]"),
                "must be one public key, such as `ssh-ed25519 AAAA… name`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_fine() {
        assert_eq!(ClientConfig::default().check(), []);
    }

    #[test]
    fn values_that_could_break_out_of_a_file_are_refused_by_field() {
        let config = ClientConfig {
            timezone: "UTC\nevil".to_owned(),
            locale: "de_DE".to_owned(),
            ntp: vec!["$(reboot)".to_owned()],
            users: vec![
                User { name: "Ann".to_owned(), full_name: "a:b".to_owned(), ..User::default() },
                User {
                    name: "bob".to_owned(),
                    ssh_keys: vec!["ssh-ed25519 AAAA x\ny".to_owned()],
                    ..User::default()
                },
            ],
            ..ClientConfig::default()
        };
        let fields: Vec<_> = config.check().into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            ["locale", "timezone", "ntp[0]", "users[0].name", "users[0].full_name", "users[1].ssh_keys[0]"]
        );
    }

    #[test]
    fn locales_are_named_as_glibc_names_them() {
        let check =
            |locale: &str| ClientConfig { locale: locale.to_owned(), ..ClientConfig::default() }.check();
        for locale in ["de_DE.UTF-8", "C.UTF-8", "ca_ES@valencia", "sr_RS@latin"] {
            assert_eq!(check(locale), [], "{locale}");
        }
        for locale in ["de", "de_DE", "ca_ES@valencia.UTF-8", "de_DE.ISO-8859-1"] {
            assert_eq!(check(locale).len(), 1, "{locale}");
        }
    }

    #[test]
    fn a_gateway_outside_the_network_is_refused() {
        let mut config = ClientConfig::default();
        config.network.interfaces.push(Interface {
            ipv4: Ipv4Method::Static {
                address: Ipv4Addr::new(10, 0, 0, 5),
                prefix: 24,
                gateway: Some(Ipv4Addr::new(10, 0, 1, 1)),
            },
            ..Interface::default()
        });
        assert_eq!(config.check().len(), 1);
    }
}
