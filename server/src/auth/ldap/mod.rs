//! The door to a directory over LDAP (RFC 4511): search and bind, groups in groups, and which groups give which role.
//!
//! Invariant: nothing but an encrypted connection whose certificate was checked carries a password; an empty password, which a directory
//! takes as an anonymous bind that succeeds (RFC 4513, 5.1.2), is refused before anything is sent; a name is escaped in filters; every
//! call ends within the time limit.

mod groups;
mod search;
mod settings;

use std::{collections::HashSet, sync::Mutex, time::Duration};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry, ldap_escape};

pub use self::settings::{Membership, Settings, SettingsError};
pub use super::mapping::Mapping;
use crate::domain::people::Rights;

/// `invalidCredentials` (RFC 4511, appendix A): the password is wrong.
const INVALID_CREDENTIALS: u32 = 49;

/// Why the directory gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or it does not show the right certificate.
    #[error("connecting to the directory {url}")]
    Connect {
        /// Where it should be.
        url: String,
        /// Why not.
        #[source]
        source: ldap3::LdapError,
    },
    /// It was asked and refused, or the connection broke.
    #[error("{attempt} in the directory")]
    Ask {
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        #[source]
        source: ldap3::LdapError,
    },
    /// It took too long.
    #[error("the directory {url} has not answered within {seconds} seconds")]
    Slow {
        /// Where it is.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// The password of Lotse's own account cannot be read.
    #[error("reading the password for the directory")]
    Password(#[source] std::io::Error),
    /// More than one entry has the name.
    #[error("the directory has several entries for one name; make user-filter stricter")]
    Ambiguous,
}

/// Somebody as the directory knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The entry's DN.
    pub dn: String,
    /// What they log in with, in small letters.
    pub name: String,
    /// How people call them.
    pub full_name: String,
    /// What the groups they are in give them; nothing when no group has a role.
    pub rights: Rights,
}

/// A directory.
pub struct Directory {
    settings: Settings,
    connection: LdapConnSettings,
    /// Accounts that are being looked up beside the requests.
    pub(crate) busy: Mutex<HashSet<i64>>,
    /// When it last gave no answer, microseconds since the Unix epoch.
    pub(crate) failed_at: Mutex<Option<i64>>,
}

impl Directory {
    /// Sets up the connection; nothing is sent yet.
    ///
    /// # Errors
    /// The CA file cannot be read.
    pub fn open(settings: Settings) -> Result<Self, SettingsError> {
        let connection = settings.connection()?;
        Ok(Self { settings, connection, busy: Mutex::default(), failed_at: Mutex::default() })
    }

    /// For how long, in seconds, what the directory said about somebody may be used.
    pub fn cache_s(&self) -> i64 {
        i64::from(self.settings.cache)
    }

    /// Who has this name and password; nobody when they do not belong together.
    ///
    /// # Errors
    /// The directory gives no answer.
    pub async fn authenticate(&self, name: &str, password: &str) -> Result<Option<Person>, Error> {
        if password.is_empty() || name.is_empty() {
            return Ok(None);
        }
        self.within(async {
            let mut ldap = self.connect().await?;
            let Some(entry) = self.find(&mut ldap, name).await? else { return Ok(None) };
            if !self.bind_as(&entry.dn, password).await? {
                return Ok(None);
            }
            self.person(&mut ldap, entry).await.map(Some)
        })
        .await
    }

    /// Who has this name now.
    ///
    /// # Errors
    /// The directory gives no answer.
    pub async fn look_up(&self, name: &str) -> Result<Option<Person>, Error> {
        self.within(async {
            let mut ldap = self.connect().await?;
            match self.find(&mut ldap, name).await? {
                Some(entry) => self.person(&mut ldap, entry).await.map(Some),
                None => Ok(None),
            }
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let seconds = u64::from(self.settings.timeout);
        match tokio::time::timeout(Duration::from_secs(seconds), work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Slow { url: self.settings.url.clone(), seconds }),
        }
    }

    async fn open_connection(&self) -> Result<Ldap, Error> {
        let url = &self.settings.url;
        let failed = |source| Error::Connect { url: url.clone(), source };
        let (connection, ldap) =
            LdapConnAsync::with_settings(self.connection.clone(), url).await.map_err(failed)?;
        // Ends with the last handle of the connection.
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "the connection to the directory has ended");
            }
        });
        Ok(ldap)
    }

    /// Connects as Lotse's own account, or anonymously when it has none.
    async fn connect(&self) -> Result<Ldap, Error> {
        let mut ldap = self.open_connection().await?;
        if let (Some(dn), Some(file)) = (&self.settings.bind_dn, &self.settings.bind_password_file) {
            let password = fs_err::tokio::read_to_string(file).await.map_err(Error::Password)?;
            let bound = ldap.simple_bind(dn, password.trim_end_matches(['\r', '\n'])).await;
            bound.and_then(ldap3::LdapResult::success).map_err(asked("binding as Lotse's own account"))?;
        }
        Ok(ldap)
    }

    /// Whether a password is the one of an entry. On a connection of its own, which is worth nothing afterwards.
    async fn bind_as(&self, dn: &str, password: &str) -> Result<bool, Error> {
        let mut ldap = self.open_connection().await?;
        let attempt = "checking a password";
        let answer = ldap.simple_bind(dn, password).await.map_err(asked(attempt))?;
        if answer.rc == INVALID_CREDENTIALS {
            return Ok(false);
        }
        answer.success().map_err(asked(attempt))?;
        Ok(true)
    }

    async fn find(&self, ldap: &mut Ldap, name: &str) -> Result<Option<SearchEntry>, Error> {
        let filter = self.settings.user_filter.replace("{name}", &ldap_escape(name));
        let attributes =
            [self.settings.name_attribute.as_str(), self.settings.full_name_attribute.as_str(), "memberOf"];
        let mut found = search::entries(
            ldap,
            &self.settings.user_base,
            Scope::Subtree,
            &filter,
            &attributes,
            "looking for a person",
        )
        .await?;
        if found.len() > 1 {
            return Err(Error::Ambiguous);
        }
        Ok(found.pop())
    }

    async fn person(&self, ldap: &mut Ldap, entry: SearchEntry) -> Result<Person, Error> {
        let first = |attribute: &str| search::values(&entry, attribute).first().cloned().unwrap_or_default();
        let (name, full_name) =
            (first(&self.settings.name_attribute), first(&self.settings.full_name_attribute));
        let groups = groups::of(ldap, &self.settings, &entry).await?;
        Ok(Person {
            rights: self.settings.rights(&groups),
            name: name.to_lowercase(),
            full_name,
            dn: entry.dn,
        })
    }
}

fn asked(attempt: &'static str) -> impl Fn(ldap3::LdapError) -> Error {
    move |source| Error::Ask { attempt, source }
}
