//! How the directory is reached, where people and groups are in it, and which groups give which role.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use ldap3::LdapConnSettings;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;

use super::super::mapping::{self, Mapping};
use crate::domain::people::Rights;

/// The directory as the configuration describes it, `[ldap]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `ldaps://HOST`, or `ldap://HOST` with `start-tls`.
    pub url: String,
    /// Encrypt a connection that begins in the open (RFC 4511, 4.14).
    #[serde(default)]
    pub start_tls: bool,
    /// The CA that signed the directory's certificate; without it those that the machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Lotse's own account in the directory; without it the search is anonymous.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// Its password, alone in a file.
    #[serde(default)]
    pub bind_password_file: Option<PathBuf>,
    /// Where people are.
    pub user_base: String,
    /// Who is meant by a name; `{name}` stands for it, escaped.
    #[serde(default = "user_filter")]
    pub user_filter: String,
    /// Holds the name with which somebody logs in.
    #[serde(default = "name_attribute")]
    pub name_attribute: String,
    /// Holds how people call them.
    #[serde(default = "full_name_attribute")]
    pub full_name_attribute: String,
    /// How membership in groups is found.
    #[serde(default)]
    pub membership: Membership,
    /// Where groups are, one place or several; default is where people are.
    #[serde(default, deserialize_with = "one_or_several")]
    pub group_base: Vec<String>,
    /// Longest wait for the directory, in seconds.
    #[serde(default = "timeout")]
    pub timeout: u16,
    /// For how long, in seconds, what it said about somebody may be used.
    #[serde(default = "cache")]
    pub cache: u32,
    /// Which groups give which role. Who is in none of them is not let in.
    pub roles: Vec<Mapping>,
}

/// How membership in groups is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// People and groups say in which groups they are (`memberOf`).
    #[default]
    MemberOf,
    /// Groups name their members (`member`, `uniqueMember`).
    Member,
    /// As before, and the directory follows groups in groups itself: Active Directory.
    InChain,
}

/// The description of the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value is wrong.
    #[error("ldap.{name}: {message}")]
    Value {
        /// Which.
        name: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The CA file cannot be used.
    #[error("ldap.ca-file: reading {path}: {reason}", path = path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

fn user_filter() -> String {
    "(uid={name})".to_owned()
}

fn name_attribute() -> String {
    "uid".to_owned()
}

fn full_name_attribute() -> String {
    "cn".to_owned()
}

fn timeout() -> u16 {
    5
}

fn cache() -> u32 {
    600
}

fn one_or_several<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Places {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Places::deserialize(reader)? {
        Places::One(place) => vec![place],
        Places::Several(places) => places,
    })
}

impl Settings {
    /// Refuses what could not work, or would send passwords in the open.
    ///
    /// # Errors
    /// [`SettingsError::Value`] names the value.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |name, message: &str| Err(SettingsError::Value { name, message: message.to_owned() });
        match (self.url.split_once("://").map(|(scheme, _)| scheme), self.start_tls) {
            (Some("ldaps"), false) | (Some("ldap"), true) => {}
            (Some("ldaps"), true) => {
                return wrong("start-tls", "ldaps:// is encrypted from the start; leave it out");
            }
            (Some("ldap"), false) => {
                return wrong(
                    "start-tls",
                    "passwords are not sent in the open; set it to true, or use ldaps://",
                );
            }
            _ => return wrong("url", "must be ldaps://HOST or ldap://HOST"),
        }
        if !self.user_filter.contains("{name}") {
            return wrong("user-filter", "must have {name} where the name belongs, such as (uid={name})");
        }
        if self.bind_dn.is_some() != self.bind_password_file.is_some() {
            return wrong("bind-dn", "bind-dn and bind-password-file belong together; give both or none");
        }
        if self.roles.is_empty() {
            return wrong("roles", "without any nobody could log in; map at least one group to a role");
        }
        if !(1..=60).contains(&self.timeout) {
            return wrong("timeout", "must be 1 to 60 seconds");
        }
        if !(10..=86_400).contains(&self.cache) {
            return wrong("cache", "must be 10 to 86400 seconds");
        }
        Ok(())
    }

    pub(super) fn connection(&self) -> Result<LdapConnSettings, SettingsError> {
        let connection = LdapConnSettings::new()
            .set_conn_timeout(Duration::from_secs(self.timeout.into()))
            .set_starttls(self.start_tls);
        let Some(path) = &self.ca_file else { return Ok(connection) };
        let failed = |reason: String| SettingsError::Ca { path: path.clone(), reason };
        let text = fs_err::read(path).map_err(|error| failed(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("there is no certificate in it".to_owned()));
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(connection.set_config(Arc::new(config)))
    }

    /// What groups give together: the greatest role for everything, and for each group of clients.
    pub(super) fn rights(&self, groups: &BTreeSet<String>) -> Rights {
        mapping::rights(&self.roles, |group| groups.contains(&same_form(group)))
    }
}

/// A DN in one form of writing: small letters, no blanks around `,` and `=` (RFC 4514, 3; escaped signs stay as they are).
pub(super) fn same_form(dn: &str) -> String {
    let part = |part: &str| {
        let words: Vec<_> = part.splitn(2, '=').map(str::trim).collect();
        words.join("=")
    };
    let mut parts: Vec<String> = Vec::new();
    for piece in dn.split(',') {
        match parts.last_mut() {
            // The comma before was escaped, so it belongs to the value.
            Some(last) if last.ends_with('\\') => {
                last.push(',');
                last.push_str(piece);
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    parts.iter().map(|text| part(text)).collect::<Vec<_>>().join(",").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::people::Role;

    fn settings(more: &str) -> Settings {
        let text = format!(
            "url = 'ldaps://dc.school.example'\nuser-base = 'dc=x'\n{more}\n\
             [[roles]]\ngroup = 'CN=Admins, OU=Groups,DC=x'\nrole = 'admin'\n\
             [[roles]]\ngroup = 'cn=helpers,ou=groups,dc=x'\nrole = 'viewer'\n\
             [[roles]]\ngroup = 'cn=helpers,ou=groups,dc=x'\nrole = 'operator'\nclient-groups = ['room-101']\n\
             [[roles]]\ngroup = 'cn=rooms,ou=groups,dc=x'\nrole = 'helpdesk'\nclient-groups = ['room-101', 'room-102']\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn the_greatest_role_of_all_groups_counts_for_each_place() {
        let groups = ["cn=helpers,ou=groups,dc=x", "cn=rooms,ou=groups,dc=x"].map(str::to_owned).into();
        let rights = settings("").rights(&groups);
        assert_eq!(rights.role, Some(Role::Viewer));
        let places: Vec<_> = rights.groups.iter().map(|one| (one.group.as_str(), one.role)).collect();
        assert_eq!(places, [("room-101", Role::Operator), ("room-102", Role::Helpdesk)]);
        assert_eq!(settings("").rights(&BTreeSet::new()), Rights::default());
    }

    #[test]
    fn groups_are_in_one_place_or_in_several() {
        assert!(settings("").group_base.is_empty());
        assert_eq!(settings("group-base = 'ou=a'").group_base, ["ou=a"]);
        assert_eq!(settings("group-base = ['ou=a', 'ou=b']").group_base, ["ou=a", "ou=b"]);
    }

    #[test]
    fn a_dn_is_the_same_however_it_is_written() {
        assert_eq!(same_form("CN=Admins, OU=Groups,DC=x"), same_form("cn=admins,ou=groups, dc=X"));
        assert_eq!(same_form(r"cn=Lee\, Ann,dc=x"), r"cn=lee\, ann,dc=x");
        assert_ne!(same_form("cn=admins,dc=x"), same_form("cn=admins,dc=xy"));
    }

    #[test]
    fn a_directory_is_never_asked_in_the_open() {
        assert!(settings("").check().is_ok());
        let mut open = settings("");
        open.url = "ldap://dc.school.example".to_owned();
        assert!(open.check().unwrap_err().to_string().contains("start-tls"));
        open.start_tls = true;
        assert!(open.check().is_ok());
        assert!(settings("user-filter = '(uid=ann)'").check().is_err());
        assert!(settings("bind-dn = 'cn=lotse'").check().is_err());
    }
}
