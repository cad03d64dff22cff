//! The server's configuration: a TOML file, over it environment variables, over them flags; every value in all three, but what has several
//! values of its own (`[ldap]`, `[oidc]`), which stands in the file alone.
//!
//! `packaging/config/lotse.example.toml` documents each value; a test keeps it complete.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    auth::{ldap, oidc},
    db::Location,
    domain::{
        client::is_domain,
        settings::{Decided, DecidedBy},
    },
    patience::Patience,
};

/// Every value may be absent; [`Config::load`] merges flags and environment over the file and fills in the defaults.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Directory for database, keys, blobs and run-time files; default is `/var/lib/lotse`.
    #[arg(long, env = "LOTSE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://USER@HOST/NAME`; default is `DATA/lotse.sqlite`.
    #[arg(long, env = "LOTSE_DATABASE", value_name = "URL")]
    pub database: Option<String>,
    /// Address for pages, API and enrolment (HTTPS), such as `0.0.0.0:8443`, the default; port 0 takes any free one.
    #[arg(long, env = "LOTSE_LISTEN_HTTPS", value_name = "ADDRESS", value_parser = address)]
    #[serde(deserialize_with = "some_address")]
    pub listen_https: Option<SocketAddr>,
    /// Address for agents (HTTPS with client certificates); default is `0.0.0.0:8444`.
    #[arg(long, env = "LOTSE_LISTEN_AGENTS", value_name = "ADDRESS", value_parser = address)]
    #[serde(deserialize_with = "some_address")]
    pub listen_agents: Option<SocketAddr>,
    /// Address for firmware, boot files, blobs and packages (HTTP); default is `0.0.0.0:8080`.
    #[arg(long, env = "LOTSE_LISTEN_BOOT", value_name = "ADDRESS", value_parser = address)]
    #[serde(deserialize_with = "some_address")]
    pub listen_boot: Option<SocketAddr>,
    /// Address for boot programs over TFTP (UDP); without one TFTP is off.
    #[arg(long, env = "LOTSE_LISTEN_TFTP", value_name = "ADDRESS", value_parser = address)]
    #[serde(deserialize_with = "some_address")]
    pub listen_tftp: Option<SocketAddr>,
    /// Host name or address by which clients reach this server; default is the machine's first address.
    #[arg(long, env = "LOTSE_HOST", value_name = "NAME")]
    pub host: Option<String>,
    /// Directory with `job-scripts` and `pxe`; default is `/usr/share/lotse`.
    #[arg(long, env = "LOTSE_SHARE", value_name = "DIR")]
    pub share: Option<PathBuf>,
    /// Directory with job scripts of this site; they win over those that Lotse brings.
    #[arg(long, env = "LOTSE_SITE_SCRIPTS", value_name = "DIR")]
    pub site_scripts: Option<PathBuf>,
    /// Mirrors for the package pull-through, `NAME=URL`; default are the mirrors of this machine's apt.
    #[arg(long = "mirrors", env = "LOTSE_MIRRORS", value_name = "NAME=URL", value_delimiter = ',')]
    #[serde(rename = "mirrors")]
    pub mirrors: Vec<String>,
    /// Keyrings with which a mirror's suites are verified, `NAME=FILE`; default are those that the distributions name.
    #[arg(long, env = "LOTSE_CACHE_KEYRINGS", value_name = "NAME=FILE", value_delimiter = ',')]
    pub cache_keyrings: Vec<String>,
    /// Agents lose their work when nothing is heard of them for so many seconds, 3 to 3600; default is 60.
    #[arg(long, env = "LOTSE_LEASE", value_name = "SECONDS")]
    pub lease: Option<u32>,
    /// Words for the installer's kernel command line, such as `console=ttyS0,115200`.
    #[arg(long, env = "LOTSE_INSTALLER_COMMAND_LINE", value_name = "WORDS")]
    pub installer_command_line: Option<String>,
    /// File with the password for the mail server; the user's name is a setting.
    #[arg(long, env = "LOTSE_MAIL_PASSWORD_FILE", value_name = "FILE")]
    pub mail_password_file: Option<PathBuf>,
    /// File with CA certificates (PEM) of the mail server and of webhooks, beside those that this machine trusts.
    #[arg(long, env = "LOTSE_NOTICE_CA", value_name = "FILE")]
    pub notice_ca: Option<PathBuf>,
    /// Addresses of this machine and its link (loopback, link-local) to which webhooks may go all the same.
    #[arg(
        long = "webhook-allow",
        env = "LOTSE_WEBHOOK_ALLOW",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    #[serde(rename = "webhook-allow")]
    pub webhook_allow: Vec<IpAddr>,
    /// A directory whose people may log in; only in the file.
    #[arg(skip)]
    pub ldap: Option<ldap::Settings>,
    /// A login service whose people may log in; only in the file.
    #[arg(skip)]
    pub oidc: Option<oidc::Settings>,
    /// Log lines as JSON.
    #[arg(long, env = "LOTSE_LOG_JSON", num_args = 0..=1, default_missing_value = "true")]
    pub log_json: Option<bool>,
}

/// The configuration, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory for database, keys, blobs and run-time files.
    pub data: PathBuf,
    /// The database.
    pub database: Location,
    /// Pages, API, enrolment.
    pub listen_https: SocketAddr,
    /// Agents.
    pub listen_agents: SocketAddr,
    /// Firmware and files.
    pub listen_boot: SocketAddr,
    /// TFTP.
    pub listen_tftp: Option<SocketAddr>,
    /// By which clients reach this server.
    pub host: String,
    /// Directory with `job-scripts` and `pxe`.
    pub share: PathBuf,
    /// Job scripts of this site.
    pub site_scripts: Option<PathBuf>,
    /// Mirrors for the package pull-through: name and base URL without a slash at its end.
    pub mirrors: Vec<(String, String)>,
    /// Keyrings for single mirrors: name and file.
    pub cache_keyrings: Vec<(String, PathBuf)>,
    /// Length of a lease in seconds. By default a network that is away for a minute or two costs no attempt; a machine that was
    /// restarted is noticed by its next poll, long before.
    pub lease_s: u32,
    /// Words for the installer's kernel command line.
    pub installer_command_line: String,
    /// A directory whose people may log in.
    pub ldap: Option<ldap::Settings>,
    /// A login service whose people may log in.
    pub oidc: Option<oidc::Settings>,
    /// Log lines as JSON.
    pub log_json: bool,
    /// How notices leave.
    pub notices: Notices,
    /// Every value with its source, for people.
    pub decided: Vec<Decided>,
    /// How long silent connections are kept; only tests have reason to change it.
    pub patience: Patience,
}

/// What the configuration says about notices; whom they go to is set while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// File with the password for the mail server.
    pub mail_password_file: Option<PathBuf>,
    /// File with CA certificates (PEM).
    pub ca: Option<PathBuf>,
    /// Loopback and link-local addresses to which webhooks may go.
    pub webhook_allow: Vec<IpAddr>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("reading the configuration {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("understanding the configuration {path}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The description of the directory or of the login service cannot be used.
    #[error("{0}")]
    Directory(String),
    /// A value cannot be used.
    #[error("{name}: {message}")]
    Value {
        /// The value's name.
        name: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Where the configuration is when nobody says otherwise.
pub const FILE: &str = "/etc/lotse/lotse.toml";

impl Config {
    /// Flags and environment (`over`) over the file, which may be missing when nobody named it.
    ///
    /// # Errors
    /// The file is unreadable or not understood, or a value cannot be used.
    pub fn load(file: Option<&Path>, over: Settings) -> Result<Self, Error> {
        let path = file.unwrap_or(Path::new(FILE));
        let base = match fs_err::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|source| Error::Parse { path: path.to_owned(), source: Box::new(source) })?,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Settings::default()
            }
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        Self::merge(base, over)
    }

    fn merge(base: Settings, over: Settings) -> Result<Self, Error> {
        let said = Said::new(&base, &over);
        let any = |port| SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port);
        let data = over.data.or(base.data).unwrap_or_else(|| PathBuf::from("/var/lib/lotse"));
        let database = match over.database.or(base.database) {
            Some(text) => text.parse().map_err(|message| Error::Value { name: "database", message })?,
            None => Location::Sqlite(data.join("lotse.sqlite")),
        };
        let mirrors = if over.mirrors.is_empty() { base.mirrors } else { over.mirrors };
        let mirrors = mirrors.iter().map(|text| mirror(text)).collect::<Result<Vec<_>, _>>()?;
        let keyrings = if over.cache_keyrings.is_empty() { base.cache_keyrings } else { over.cache_keyrings };
        let cache_keyrings = keyrings.iter().map(|text| keyring(text)).collect::<Result<Vec<_>, _>>()?;
        let lease_s = over.lease.or(base.lease).unwrap_or(180);
        if !(3..=3600).contains(&lease_s) {
            let message = format!("`{lease_s}` must be 3 to 3600 seconds");
            return Err(Error::Value { name: "lease", message });
        }
        let host = over.host.or(base.host).unwrap_or_else(own_address);
        check_host(&host)?;
        let installer_command_line =
            over.installer_command_line.or(base.installer_command_line).unwrap_or_default();
        if installer_command_line.contains(char::is_control) {
            let message = format!("{installer_command_line:?} must be one line");
            return Err(Error::Value { name: "installer-command-line", message });
        }
        let ldap = over.ldap.or(base.ldap);
        if let Some(settings) = &ldap {
            settings.check().map_err(|error| Error::Directory(error.to_string()))?;
        }
        let oidc = over.oidc.or(base.oidc);
        if let Some(settings) = &oidc {
            settings.check().map_err(|error| Error::Directory(error.to_string()))?;
        }
        let site_scripts = over.site_scripts.or(base.site_scripts);
        if let Some(path) = site_scripts.as_ref().filter(|path| !path.is_dir()) {
            let message = format!("`{}` is not a directory", path.display());
            return Err(Error::Value { name: "site-scripts", message });
        }
        let mail_password_file = over.mail_password_file.or(base.mail_password_file);
        let notice_ca = over.notice_ca.or(base.notice_ca);
        for (name, path) in [("mail-password-file", &mail_password_file), ("notice-ca", &notice_ca)] {
            if let Some(path) = path.as_ref().filter(|path| !path.is_file()) {
                let message = format!("`{}` is not a file", path.display());
                return Err(Error::Value { name, message });
            }
        }
        let webhook_allow =
            if over.webhook_allow.is_empty() { base.webhook_allow } else { over.webhook_allow };
        let mut config = Self {
            database,
            listen_https: over.listen_https.or(base.listen_https).unwrap_or_else(|| any(8443)),
            listen_agents: over.listen_agents.or(base.listen_agents).unwrap_or_else(|| any(8444)),
            listen_boot: over.listen_boot.or(base.listen_boot).unwrap_or_else(|| any(8080)),
            listen_tftp: over.listen_tftp.or(base.listen_tftp),
            host,
            share: over.share.or(base.share).unwrap_or_else(|| PathBuf::from("/usr/share/lotse")),
            site_scripts,
            mirrors,
            cache_keyrings,
            lease_s,
            installer_command_line,
            ldap,
            oidc,
            log_json: over.log_json.or(base.log_json).unwrap_or(false),
            notices: Notices { mail_password_file, ca: notice_ca, webhook_allow },
            decided: Vec::new(),
            patience: Patience::default(),
            data,
        };
        config.decided = said.all(&config);
        Ok(config)
    }
}

/// Who has said what about each value.
struct Said(Vec<(&'static str, DecidedBy)>);

impl Said {
    fn new(base: &Settings, over: &Settings) -> Self {
        let mut said = Vec::new();
        macro_rules! say {
            ($($field:ident: $name:literal,)*) => {
                $(said.push(($name, by($name, over.$field.is_some(), base.$field.is_some())));)*
            };
        }
        say! {
            data: "data",
            database: "database",
            listen_https: "listen-https",
            listen_agents: "listen-agents",
            listen_boot: "listen-boot",
            listen_tftp: "listen-tftp",
            host: "host",
            share: "share",
            site_scripts: "site-scripts",
            lease: "lease",
            installer_command_line: "installer-command-line",
            mail_password_file: "mail-password-file",
            notice_ca: "notice-ca",
            log_json: "log-json",
        }
        let list = |name, over: bool, base: bool| (name, by(name, over, base));
        said.push(list("mirrors", !over.mirrors.is_empty(), !base.mirrors.is_empty()));
        said.push(list("cache-keyrings", !over.cache_keyrings.is_empty(), !base.cache_keyrings.is_empty()));
        said.push(list("webhook-allow", !over.webhook_allow.is_empty(), !base.webhook_allow.is_empty()));
        Self(said)
    }

    fn all(&self, config: &Config) -> Vec<Decided> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let value = |name: &str| match name {
            "data" => Some(config.data.display().to_string()),
            "database" => Some(config.database.to_string()),
            "listen-https" => Some(config.listen_https.to_string()),
            "listen-agents" => Some(config.listen_agents.to_string()),
            "listen-boot" => Some(config.listen_boot.to_string()),
            "listen-tftp" => config.listen_tftp.map(|address| address.to_string()),
            "host" => Some(config.host.clone()),
            "share" => Some(config.share.display().to_string()),
            "site-scripts" => path(&config.site_scripts),
            "lease" => Some(config.lease_s.to_string()),
            "installer-command-line" => Some(config.installer_command_line.clone()),
            "mail-password-file" => path(&config.notices.mail_password_file),
            "notice-ca" => path(&config.notices.ca),
            "log-json" => Some(config.log_json.to_string()),
            "mirrors" => Some(
                config
                    .mirrors
                    .iter()
                    .map(|(name, url)| format!("{name}={}", shown(url)))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            "cache-keyrings" => {
                let pair = |(name, path): &(String, PathBuf)| format!("{name}={}", path.display());
                Some(config.cache_keyrings.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
            _ => {
                let allowed = config.notices.webhook_allow.iter().map(ToString::to_string);
                Some(allowed.collect::<Vec<_>>().join(", "))
            }
        };
        let decided = |(name, source): &(&'static str, DecidedBy)| Decided {
            name: (*name).to_owned(),
            value: value(name).unwrap_or_default(),
            source: *source,
        };
        self.0.iter().map(decided).collect()
    }
}

/// The parser of flags tells nobody whether a value came from the environment, so what stands there is looked at again.
fn by(name: &str, over: bool, base: bool) -> DecidedBy {
    let variable = format!("LOTSE_{}", name.to_ascii_uppercase().replace('-', "_"));
    match (over, base) {
        (true, _) if std::env::var_os(variable).is_some() => DecidedBy::Environment,
        (true, _) => DecidedBy::Flag,
        (false, true) => DecidedBy::File,
        (false, false) => DecidedBy::Default,
    }
}

/// A URL without user and password.
fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` must be an address of this machine and a port, such as 0.0.0.0:8443 or [::]:8443")
    })
}

fn some_address<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(reader)?;
    address(&text).map(Some).map_err(D::Error::custom)
}

/// The host stands in addresses, certificates and boot scripts, so nothing else may come along with it.
fn check_host(host: &str) -> Result<(), Error> {
    let named = is_domain(&host.to_ascii_lowercase());
    if named || host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let message = format!(
        "`{host}` must be a name such as lotse.school.example, or an address, without scheme and without port"
    );
    Err(Error::Value { name: "host", message })
}

fn mirror(text: &str) -> Result<(String, String), Error> {
    let message =
        || Error::Value { name: "mirrors", message: format!("`{text}` must be NAME=URL with http or https") };
    let (name, url) = text.split_once('=').ok_or_else(message)?;
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !named || !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(message());
    }
    Ok((name.to_owned(), url.trim_end_matches('/').to_owned()))
}

fn keyring(text: &str) -> Result<(String, PathBuf), Error> {
    let value = |message| Error::Value { name: "cache-keyrings", message };
    let (name, path) = text.split_once('=').ok_or_else(|| value(format!("`{text}` must be NAME=FILE")))?;
    let path = PathBuf::from(path);
    if !path.is_file() {
        return Err(value(format!("`{}` is not a file", path.display())));
    }
    Ok((name.to_owned(), path))
}

/// The address from which this machine would send to another network: no packet is sent for it.
fn own_address() -> String {
    std::net::UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| {
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        })
        .map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let base: Settings =
            toml::from_str("data = '/srv/lotse'\nlease = 90\nlisten-https = '127.0.0.1:1'").unwrap();
        let over = Settings { lease: Some(30), ..Settings::default() };
        let config = Config::merge(base, over).unwrap();
        assert_eq!(config.lease_s, 30);
        assert_eq!(config.listen_https.to_string(), "127.0.0.1:1");
        assert_eq!(config.database, Location::Sqlite("/srv/lotse/lotse.sqlite".into()));
        assert_eq!(config.listen_agents.port(), 8444);
    }

    #[test]
    fn an_unknown_name_in_the_file_is_an_error() {
        assert!(toml::from_str::<Settings>("lisen-https = '127.0.0.1:1'").is_err());
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_more() {
        for host in ["lotse", "Lotse.school.example", "192.0.2.1", "2001:db8::1"] {
            assert!(check_host(host).is_ok(), "{host}");
        }
        for host in ["", "a b", "https://lotse", "lotse:8443", "[::1]", "lotse/", "a\nb"] {
            assert!(check_host(host).unwrap_err().to_string().contains(&format!("`{host}`")), "{host}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_in_the_file_its_line_too() {
        let error =
            toml::from_str::<Settings>("lease = 60\nlisten-tftp = '0.0.0.0'").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("`0.0.0.0` must be"), "{error}");
        let wrong = |base: &str| Config::merge(toml::from_str(base).unwrap(), Settings::default());
        for (base, value) in [
            ("lease = 2", "lease: `2`"),
            ("site-scripts = '/nonexistent'", "site-scripts: `/nonexistent`"),
            ("installer-command-line = \"a\\nb\"", "installer-command-line: \"a\\nb\""),
        ] {
            let error = wrong(base).unwrap_err().to_string();
            assert!(error.starts_with(value), "{error}");
        }
    }

    #[test]
    fn a_mirror_needs_a_name_and_a_url() {
        assert!(mirror("debian=ftp://x").is_err());
        assert!(mirror("http://x").is_err());
        assert_eq!(
            mirror("debian=http://x/debian/").unwrap(),
            ("debian".to_owned(), "http://x/debian".to_owned())
        );
    }

    #[test]
    fn every_value_is_shown_with_its_source_and_without_a_password() {
        let base: Settings = toml::from_str(
            "lease = 90\ndatabase = 'postgres://lotse:geheim@db/lotse'\nmirrors = ['d=http://u:geheim@x/d']",
        )
        .unwrap();
        let over = Settings { host: Some("lotse.example".to_owned()), ..Settings::default() };
        let decided = Config::merge(base, over).unwrap().decided;
        let named = |name: &str| decided.iter().find(|decided| decided.name == name).unwrap();
        assert_eq!((named("lease").value.as_str(), named("lease").source), ("90", DecidedBy::File));
        assert_eq!((named("host").value.as_str(), named("host").source), ("lotse.example", DecidedBy::Flag));
        assert_eq!(named("log-json").source, DecidedBy::Default);
        assert!(named("database").value.contains("@db/lotse"), "{:?}", named("database"));
        assert!(!format!("{decided:?}").contains("geheim"), "{decided:?}");
        let mut names: Vec<_> = decided.iter().map(|decided| decided.name.clone()).collect();
        let mut known = crate::cli::settings_names();
        names.sort();
        known.sort();
        assert_eq!(names, known);
    }

    #[test]
    fn the_example_configuration_documents_every_value() {
        let text = include_str!("../../packaging/config/lotse.example.toml");
        for name in crate::cli::settings_names() {
            assert!(text.contains(&format!("\n#{name} = ")), "`{name}` is missing in lotse.example.toml");
        }
        let opened = text.replace("\n#", "\n").replace("\n ", "\n# ");
        let values: Vec<_> = opened
            .lines()
            .filter(|line| (line.contains(" = ") || line.starts_with('[')) && !line.starts_with('#'))
            .collect();
        let example = toml::from_str::<Settings>(&values.join("\n")).unwrap();
        example.ldap.unwrap().check().unwrap();
        example.oidc.unwrap().check().unwrap();
    }
}
