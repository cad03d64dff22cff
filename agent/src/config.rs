//! What an agent is told from outside: kernel command line (installer realm) or `/etc/lotse-agent/config.toml` (system realm); what neither
//! says may be in user-data, which [`crate::metadata`] finds.
//!
//! Invariant: a [`Config`] names a server and the CA by which it is trusted; without the latter there is none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wire::{Mac, Sha256, enrol::Realm, user_data::UserData};

use crate::host::{self, Host};

/// The configuration file of the system realm.
pub const FILE: &str = "/etc/lotse-agent/config.toml";
/// Where the agent keeps identity, journal and spool on an installed system.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/lotse-agent";
/// The same in the installer realm; gone with the next boot.
pub const INSTALLER_STATE_DIR: &str = "/run/lotse-agent";

/// What an agent has to know before it speaks to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the agent runs.
    pub realm: Realm,
    /// Where identity, journal and spool are kept.
    pub state_dir: PathBuf,
    /// The server's addresses and CA.
    pub addresses: Addresses,
    /// One-time token for enrolment.
    pub token: Option<String>,
    /// The interface over which the firmware booted.
    pub boot_mac: Option<Mac>,
}

/// The server's addresses and CA: the content of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Base URL for enrolment, such as `https://server:8443`.
    pub server: String,
    /// Base URL of the listener for agents, such as `https://server:8444`; the identity names it, too, and wins.
    #[serde(default)]
    pub agents: String,
    /// Base URL of the plain HTTP listener, such as `http://server:8080`.
    pub boot: String,
    /// SHA-256 of the CA certificate (DER).
    pub ca: Sha256,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("reading the agent's configuration; on an installed system `lotse-agent enrol` writes it")]
    Read(#[source] host::Error),
    /// The file cannot be written.
    #[error("writing the agent's configuration")]
    Write(#[source] host::Error),
    /// The file is not what it should be.
    #[error("understanding {file}")]
    Toml {
        /// Its path.
        file: &'static str,
        /// Line and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The configuration cannot be written as TOML.
    #[error("writing the agent's configuration as TOML")]
    ToToml(#[source] toml::ser::Error),
    /// A word of the kernel command line is missing.
    #[error(
        "the kernel command line has no `{word}=`: boot over the network from the server, or add the word"
    )]
    Missing {
        /// The word.
        word: &'static str,
    },
    /// A word of the kernel command line is malformed.
    #[error("the kernel command line has a bad `{word}=`")]
    Word {
        /// The word.
        word: &'static str,
        /// What is wrong.
        #[source]
        source: wire::ids::Malformed,
    },
}

impl Config {
    /// From the configuration file of an installed system.
    pub fn read(host: &dyn Host) -> Result<Self, Error> {
        let text = host.read(Path::new(FILE)).map_err(Error::Read)?;
        let addresses =
            toml::from_slice(&text).map_err(|e| Error::Toml { file: FILE, source: Box::new(e) })?;
        Ok(Self::system(addresses, None))
    }

    /// For an installed system.
    pub fn system(addresses: Addresses, token: Option<String>) -> Self {
        Self {
            realm: Realm::System,
            state_dir: SYSTEM_STATE_DIR.into(),
            addresses: addresses.without_slashes(),
            token,
            boot_mac: None,
        }
    }

    /// From the words of a kernel command line: `lotse.server= lotse.agents= lotse.boot= lotse.ca= lotse.token= BOOTIF=`.
    /// Of a word that is there twice the last one counts.
    pub fn from_command_line(text: &str) -> Result<Self, Error> {
        let find = |word: &str| {
            let mut values =
                text.split_ascii_whitespace().filter_map(|entry| entry.strip_prefix(word)?.strip_prefix('='));
            values.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let need = |word: &'static str| find(word).ok_or(Error::Missing { word });
        let ca = need("lotse.ca")?.to_ascii_lowercase().replace(':', "");
        let addresses = Addresses {
            server: need("lotse.server")?,
            agents: find("lotse.agents").unwrap_or_default(),
            boot: need("lotse.boot")?,
            ca: ca.parse().map_err(|source| Error::Word { word: "lotse.ca", source })?,
        };
        // PXELINUX and iPXE put the hardware type before the address: 01-52-54-…
        let boot_mac = find("BOOTIF").map(|value| value.strip_prefix("01-").unwrap_or(&value).parse());
        Ok(Self {
            realm: Realm::Installer,
            state_dir: INSTALLER_STATE_DIR.into(),
            addresses: addresses.without_slashes(),
            token: find("lotse.token"),
            boot_mac: boot_mac.transpose().map_err(|source| Error::Word { word: "BOOTIF", source })?,
        })
    }
}

/// User-data in the words of the kernel command line.
pub fn words(user_data: &UserData) -> String {
    let UserData { server, agents, boot, ca, token } = user_data;
    let mut words = format!("lotse.server={server} lotse.boot={boot} lotse.ca={ca}");
    if !agents.is_empty() {
        words.push_str(&format!(" lotse.agents={agents}"));
    }
    if let Some(token) = token {
        words.push_str(&format!(" lotse.token={token}"));
    }
    words
}

impl From<UserData> for Addresses {
    fn from(user_data: UserData) -> Self {
        let UserData { server, agents, boot, ca, token: _ } = user_data;
        Self { server, agents, boot, ca }
    }
}

impl Addresses {
    /// Writes the configuration file below `root` (`/` for the running system).
    pub fn write(&self, host: &dyn Host, root: &Path) -> Result<(), Error> {
        let text = toml::to_string(self).map_err(Error::ToToml)?;
        host.write(&root.join(&FILE[1..]), text.as_bytes(), 0o644).map_err(Error::Write)
    }

    fn without_slashes(mut self) -> Self {
        for url in [&mut self.server, &mut self.agents, &mut self.boot] {
            url.truncate(url.trim_end_matches('/').len());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const CA: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

    #[test]
    fn the_kernel_command_line_names_server_token_and_boot_interface() {
        let text = format!(
            "quiet lotse.server=https://old:1 lotse.server=https://s:8443/ lotse.boot=http://s:8080 lotse.ca={CA} \
             lotse.token=t BOOTIF=01-52-54-00-12-34-56\n"
        );
        let config = Config::from_command_line(&text).unwrap();
        assert_eq!(config.realm, Realm::Installer);
        assert_eq!(config.addresses.server, "https://s:8443");
        assert_eq!(config.token.as_deref(), Some("t"));
        assert_eq!(config.boot_mac.unwrap().to_string(), "52:54:00:12:34:56");
    }

    #[test]
    fn a_command_line_without_a_ca_is_refused_by_name() {
        let error = Config::from_command_line("lotse.server=https://s lotse.boot=http://s").unwrap_err();
        assert!(error.to_string().contains("`lotse.ca=`"), "{error}");
    }

    #[test]
    fn user_data_says_the_same_in_the_words_of_the_kernel_command_line() {
        let user_data = UserData {
            server: "https://s:8443".into(),
            agents: "https://s:8444".into(),
            boot: "http://s:8080".into(),
            ca: CA.parse().unwrap(),
            token: Some("lotse_t".into()),
        };
        let config = Config::from_command_line(&words(&user_data)).unwrap();
        assert_eq!(config.token.as_deref(), Some("lotse_t"));
        assert_eq!(config.addresses, user_data.into());
    }

    #[test]
    fn what_enrol_writes_is_what_run_reads() {
        let host = FakeHost::new(0);
        let addresses = Addresses {
            server: "https://s:8443".into(),
            agents: "https://s:8444".into(),
            boot: "http://s:8080".into(),
            ca: CA.parse().unwrap(),
        };
        addresses.write(&host, Path::new("/")).unwrap();
        assert_eq!(Config::read(&host).unwrap(), Config::system(addresses, None));
    }
}
