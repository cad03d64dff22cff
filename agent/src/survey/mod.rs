//! How this installed system is set up: name, network, people's accounts, package sources, language and time, as its own files say.
//!
//! Invariants: nothing is changed, and nothing secret leaves this folder: password hashes are not read, of keys only fingerprints are kept,
//! and addresses lose their user and password ([`without_secret`]). Files are understood by pure functions, one file for each kind.

mod ini;
mod network;
mod settings;
mod sources;
mod users;

use std::path::Path;

use wire::survey::Survey;

use crate::{
    facts::os,
    host::{self, Host},
    packages,
};

/// Reads the system.
pub async fn gather(host: &dyn Host) -> Survey {
    let mut files = Files { host, unread: Vec::new() };
    let network = network::gather(&mut files).await;
    let users = users::gather(&mut files).await;
    let sources = sources::gather(&mut files);
    let settings = settings::gather(&mut files);
    Survey {
        surveyed_at: host.now(),
        os: os::gather(host),
        packages: packages::family(host),
        hostname: settings.hostname,
        domain: settings.domain,
        timezone: settings.timezone,
        locale: settings.locale,
        keyboard: settings.keyboard,
        keyboard_variant: settings.keyboard_variant,
        ntp: settings.ntp,
        proxy: settings.proxy,
        proxy_secret: settings.proxy_secret,
        nameservers: network.nameservers,
        interfaces: network.interfaces,
        users,
        sources,
        unread: files.unread,
    }
}

/// The system's files; what is there and cannot be read is remembered.
struct Files<'a> {
    host: &'a dyn Host,
    unread: Vec<String>,
}

impl Files<'_> {
    /// A text; empty when there is no such file.
    fn text(&mut self, path: &str) -> String {
        let file = Path::new(path);
        if !self.host.exists(file) {
            return String::new();
        }
        match self.host.read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                self.fail(&error);
                String::new()
            }
        }
    }

    /// The files of a directory whose names are fine, in the order of their names, with their texts.
    fn texts(&mut self, directory: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let names = match self.host.list(Path::new(directory)) {
            Ok(names) => names,
            Err(error) => {
                self.fail(&error);
                return Vec::new();
            }
        };
        let wanted = names.into_iter().filter(|name| is_wanted(name));
        wanted
            .map(|name| {
                let path = format!("{directory}/{name}");
                let text = self.text(&path);
                (path, text)
            })
            .collect()
    }

    fn fail(&mut self, error: &host::Error) {
        self.unread.push(crate::report::chain(error));
    }
}

/// An address without the user and password in it, and whether there was one (RFC 3986, 3.2.1).
fn without_secret(uri: &str) -> (String, bool) {
    let Some((scheme, rest)) = uri.split_once("://") else { return (uri.to_owned(), false) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => (format!("{scheme}://{host}{path}"), true),
        None => (uri.to_owned(), false),
    }
}

#[cfg(test)]
mod tests;
