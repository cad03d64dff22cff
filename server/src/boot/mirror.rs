//! The mirrors of the server's own machine: clients reach them, through the package cache, under `/mirror/NAME/…`, and nothing else.

use std::{path::Path, time::Duration};

use reqwest::redirect::Policy;

/// A file that moved more often than this is not looked for any further.
const MOST_REDIRECTS: usize = 5;

/// The mirrors that clients reach through this server.
#[derive(Clone, Debug)]
pub struct Mirrors {
    urls: Vec<(String, String)>,
    client: reqwest::Client,
}

impl Mirrors {
    /// Those that are configured, or else those of this machine's apt; in either case only what a distribution names, so that the server
    /// is no way to anything else that its own machine may use.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn open(configured: &[(String, String)], is_named: impl Fn(&str) -> bool) -> reqwest::Result<Self> {
        let mut urls =
            if configured.is_empty() { of_this_machine(Path::new("/etc/apt")) } else { configured.to_vec() };
        urls.retain(|(name, _)| is_named(name));
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            // A mirror may move a file, but cannot make this server ask other hosts in its place.
            .redirect(Policy::custom(|attempt| {
                let to = attempt.url();
                let stays = attempt.previous().first().is_some_and(|first| {
                    let upgraded = first.scheme() == "http"
                        && to.scheme() == "https"
                        && to.port().is_none()
                        && first.port().is_none();
                    first.host_str() == to.host_str()
                        && (first.port_or_known_default() == to.port_or_known_default() || upgraded)
                });
                if attempt.previous().len() > MOST_REDIRECTS {
                    attempt.error("it redirects without end")
                } else if stays {
                    attempt.follow()
                } else {
                    attempt.error("it redirects to another host")
                }
            }))
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { urls, client })
    }

    /// Base URL of a mirror.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.urls.iter().find(|(known, _)| known == name).map(|(_, url)| url.as_str())
    }

    /// Names and base URLs.
    pub fn list(&self) -> &[(String, String)] {
        &self.urls
    }

    /// Fetches from mirrors.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

/// Mirrors that a machine's apt uses, `(name, base URL)`; the name is the last part of the URL's path, such as `debian-security`.
///
/// Reads `sources.list` and `sources.list.d` (sources.list(5), both formats); the first mirror of a name wins.
pub fn of_this_machine(apt: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    if let Ok(text) = fs_err::read_to_string(apt.join("sources.list")) {
        texts.push(text);
    }
    let mut files: Vec<_> = fs_err::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
        .unwrap_or_default();
    files.sort();
    texts.extend(files.iter().filter_map(|path| fs_err::read_to_string(path).ok()));
    let mut mirrors: Vec<(String, String)> = Vec::new();
    for (name, url) in texts.iter().flat_map(|text| parse(text)) {
        if !mirrors.iter().any(|(known, _)| *known == name) {
            mirrors.push((name, url));
        }
    }
    mirrors
}

/// Every binary mirror that a text in either format of sources.list(5) names.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut urls = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(uris) = line.strip_prefix("URIs:") {
            urls.extend(uris.split_whitespace());
        } else if let Some(rest) = line.strip_prefix("deb ") {
            let rest = rest.trim_start();
            let rest =
                if rest.starts_with('[') { rest.split_once(']').map_or("", |(_, rest)| rest) } else { rest };
            urls.extend(rest.split_whitespace().next());
        }
    }
    urls.into_iter().filter_map(named).collect()
}

fn named(url: &str) -> Option<(String, String)> {
    let url = url.trim_end_matches('/');
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (_, path) = rest.split_once('/')?;
    let name = path.rsplit('/').next()?;
    (!name.is_empty()).then(|| (name.to_owned(), url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_of_sources_list_are_read() {
        let text = "Types: deb\nURIs: http://mirror.example/debian/ \nSuites: bookworm\n\n\
                    deb [signed-by=/x arch=amd64] https://mirror.example/debian-security bookworm-security main\n\
                    # deb http://old.example/debian x\ndeb-src http://src.example/debian x main\n";
        let mirrors = parse(text);
        assert_eq!(
            mirrors,
            [
                ("debian".to_owned(), "http://mirror.example/debian".to_owned()),
                ("debian-security".to_owned(), "https://mirror.example/debian-security".to_owned())
            ]
        );
    }
}
