//! Services of the site that a client uses: a directory for its accounts, a server for home directories, printers.
//!
//! Invariant: what [`super::ClientConfig::check`] accepts can stand in any file and any shell word; only `ca_pem` has lines.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DOMAIN, Problems, fits};

/// A directory (LDAP) whose accounts may log in to the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// Its servers, the first one first: `ldap://…` (with `StartTLS`) or `ldaps://…`.
    pub uris: Vec<String>,
    /// Where accounts and groups are found, such as `dc=school,dc=example`.
    pub base: String,
    /// How it describes them.
    pub schema: DirectorySchema,
    /// Certificate of its CA as PEM; empty when the client's own list of authorities has it.
    pub ca_pem: String,
}

/// How a directory describes accounts and groups (sssd-ldap(5), `ldap_schema`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DirectorySchema {
    /// RFC 2307: groups name their members by login name.
    #[default]
    Rfc2307,
    /// RFC 2307bis: groups name their members by entry.
    Rfc2307bis,
    /// Active Directory.
    Ad,
}

impl DirectorySchema {
    /// The word for it, as sssd knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc2307 => "rfc2307",
            Self::Rfc2307bis => "rfc2307bis",
            Self::Ad => "ad",
        }
    }

    /// The schema of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Rfc2307, Self::Rfc2307bis, Self::Ad].into_iter().find(|schema| schema.as_str() == word)
    }
}

/// Home directories on a file server (NFS).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HomeServer {
    /// What is mounted, such as `files.school.example:/export/home`.
    pub export: String,
    /// Options of mount(8) beside the usual ones, such as `vers=4.2,sec=sys`; empty for none.
    pub options: String,
}

/// A printer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Printer {
    /// Its name on the client.
    pub name: String,
    /// Where it is: `ipp://…`, `ipps://…`, `socket://…`, `lpd://…`, `dnssd://…`.
    pub uri: String,
    /// `everywhere` for a printer that describes itself (IPP Everywhere), otherwise a model of `lpinfo -m`.
    pub model: String,
}

macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    };
}

pattern!(LDAP_URI, r"^ldaps?://[A-Za-z0-9.\[\]:_-]+/?$");
pattern!(BASE, r"^[A-Za-z0-9.-]+=[^\x00-\x1f\x7f=,']+(,[A-Za-z0-9.-]+=[^\x00-\x1f\x7f=,']+)*$");
pattern!(PEM, r"^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\n?)+$");
pattern!(EXPORT, r"^[A-Za-z0-9.\[\]:_-]+:/[A-Za-z0-9/._+-]*$");
pattern!(OPTIONS, r"^([a-z0-9_]+(=[A-Za-z0-9:.@_-]+)?(,[a-z0-9_]+(=[A-Za-z0-9:.@_-]+)?)*)?$");
pattern!(PRINTER, r"^[A-Za-z0-9][A-Za-z0-9_-]{0,126}$");
pattern!(PRINTER_URI, r"^(ipps?|socket|lpd|dnssd|https?)://[A-Za-z0-9.\[\]:/_%?=&+~-]+$");
pattern!(MODEL, r"^[A-Za-z0-9][A-Za-z0-9:/._+-]*$");

impl Directory {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.unless(!self.uris.is_empty(), "directory.uris", "must name at least one server");
        for (at, uri) in self.uris.iter().enumerate() {
            problems.unless(
                fits(&LDAP_URI, uri),
                &format!("directory.uris[{at}]"),
                "must be a URI such as ldap://ldap.school.example",
            );
        }
        problems.unless(
            fits(&BASE, &self.base),
            "directory.base",
            "must be a distinguished name, such as dc=school,dc=example",
        );
        problems.unless(
            self.ca_pem.is_empty() || fits(&PEM, &self.ca_pem),
            "directory.ca_pem",
            "must be a certificate as PEM, with its BEGIN and END lines",
        );
    }
}

impl HomeServer {
    pub(super) fn check(&self, problems: &mut Problems) {
        let host = self.export.split(":/").next().unwrap_or_default();
        problems.unless(
            fits(&EXPORT, &self.export) && (fits(&DOMAIN, host) || host.starts_with('[')),
            "home.export",
            "must be SERVER:/PATH, such as files.school.example:/export/home",
        );
        problems.unless(
            fits(&OPTIONS, &self.options),
            "home.options",
            "must be options of mount(8), such as vers=4.2,sec=sys",
        );
    }
}

impl Printer {
    pub(super) fn check(&self, field: &dyn Fn(&str) -> String, problems: &mut Problems) {
        problems.unless(fits(&PRINTER, &self.name), &field("name"), "must be letters, digits, - and _");
        problems.unless(
            fits(&PRINTER_URI, &self.uri),
            &field("uri"),
            "must be a URI such as ipp://printer.school.example/ipp/print",
        );
        problems.unless(
            fits(&MODEL, &self.model),
            &field("model"),
            "must be `everywhere` or a model that `lpinfo -m` lists",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClientConfig;
    use super::*;

    fn fields(config: &ClientConfig) -> Vec<String> {
        config.check().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn services_as_a_site_has_them_are_fine() {
        let config = ClientConfig {
            directory: Some(Directory {
                uris: vec!["ldap://ldap.school.example".to_owned(), "ldaps://10.0.0.2:636".to_owned()],
                base: "ou=people,dc=school,dc=example".to_owned(),
                ca_pem: "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n".to_owned(),
                ..Directory::default()
            }),
            home: Some(HomeServer {
                export: "files.school.example:/export/home".to_owned(),
                options: "vers=4.2,sec=sys".to_owned(),
            }),
            printers: vec![Printer {
                name: "Flur_2".to_owned(),
                uri: "ipp://10.0.0.9/ipp/print".to_owned(),
                model: "everywhere".to_owned(),
            }],
            ..ClientConfig::default()
        };
        assert_eq!(fields(&config), Vec::<String>::new());
    }

    #[test]
    fn services_that_could_break_out_of_a_file_are_refused_by_field() {
        let config = ClientConfig {
            directory: Some(Directory {
                uris: vec!["ldap://x\nevil = 1".to_owned()],
                base: "dc=a\nid_provider=files".to_owned(),
                ca_pem: "-----BEGIN CERTIFICATE-----\n$(reboot)\n-----END CERTIFICATE-----\n".to_owned(),
                ..Directory::default()
            }),
            home: Some(HomeServer { export: "files:/a b".to_owned(), options: "vers=4,\nexec".to_owned() }),
            printers: vec![Printer {
                name: "a b".to_owned(),
                uri: "file:///etc/shadow".to_owned(),
                model: "-o evil".to_owned(),
            }],
            ..ClientConfig::default()
        };
        assert_eq!(
            fields(&config),
            [
                "directory.uris[0]",
                "directory.base",
                "directory.ca_pem",
                "home.export",
                "home.options",
                "printers[0].name",
                "printers[0].uri",
                "printers[0].model"
            ]
        );
    }
}
