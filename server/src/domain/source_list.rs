//! Source lists: named sets of package sources (sources.list(5)) with the keys that their archives are signed with. Pure.
//!
//! Invariant: a list that [`ListWish::check`] accepts can be written line by line: no value carries a blank, a line end or another
//! character with a meaning of its own; only keys have lines.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::problem::FieldProblem;

/// What is wanted of a source list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListWish {
    /// What it is for.
    pub description: String,
    /// For clients of this distribution, such as `debian-12`; absent: for all.
    pub distribution: Option<String>,
    /// Architecture in the distribution's words, such as `amd64`; empty takes the distribution's.
    pub architecture: String,
    /// Its sources, in order.
    pub sources: Vec<PackageSource>,
}

/// A source list with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedList {
    /// Its name.
    pub name: String,
    /// What is in it.
    #[serde(flatten)]
    pub wish: ListWish,
}

/// A paragraph of a source list (sources.list(5), deb822 format).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackageSource {
    /// `deb`, `deb-src` or both.
    pub types: Vec<String>,
    /// Where its archives are: `https://…`, `http://…`, `mirror:NAME` for a mirror of the package cache, `repository:NAME` for an own
    /// repository.
    pub uris: Vec<String>,
    /// Suites, such as `bookworm`.
    pub suites: Vec<String>,
    /// Components, such as `main`.
    pub components: Vec<String>,
    /// The key that it is signed with, in armour (RFC 9580); empty: that of the distribution or of the own repository.
    pub key: String,
    /// Clients use it.
    pub enabled: bool,
    /// Clients reach it through the server's package cache.
    pub cached: bool,
}

impl Default for PackageSource {
    fn default() -> Self {
        Self {
            types: vec!["deb".to_owned()],
            uris: Vec::new(),
            suites: Vec::new(),
            components: Vec::new(),
            key: String::new(),
            enabled: true,
            cached: false,
        }
    }
}

/// Where an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Somewhere, by HTTP or HTTPS.
    Url(&'a str),
    /// A mirror of the package cache.
    Mirror(&'a str),
    /// An own repository.
    Repository(&'a str),
}

/// Most sources of a list, and most words in one field.
const MOST: usize = 30;
/// Longest key. Keyrings of distributions have about 50 kB.
const LONGEST_KEY: usize = 256 << 10;

impl<'a> Place<'a> {
    /// Reads what stands in [`PackageSource::uris`].
    pub fn of(uri: &'a str) -> Option<Self> {
        if let Some(name) = uri.strip_prefix("mirror:") {
            return is_token(name).then_some(Self::Mirror(name));
        }
        if let Some(name) = uri.strip_prefix("repository:") {
            return super::client::is_name(name).then_some(Self::Repository(name));
        }
        let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
        let host = rest.split('/').next().unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+~:,[]".contains(&b);
        // No user and password: they would be in every client's file, and in this server's log.
        (!host.is_empty() && rest.bytes().all(plain) && !rest.split('/').any(|part| part == ".."))
            .then_some(Self::Url(uri))
    }
}

/// A word that can stand in a path as it is.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with(['.', '/', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b))
}

fn is_suite(text: &str) -> bool {
    !text.is_empty() && text.split('/').all(is_token)
}

/// Whether a text is public keys in armour and nothing else that could be secret.
pub fn is_key(text: &str) -> bool {
    let text = text.trim();
    text.len() <= LONGEST_KEY
        && text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        && text.ends_with("-----END PGP PUBLIC KEY BLOCK-----")
        && !text.contains("PRIVATE KEY")
        && text.chars().all(|c| c == '\n' || c == '\r' || !c.is_control())
}

impl PackageSource {
    /// The places of its archives.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.uris.iter().filter_map(|uri| Place::of(uri))
    }

    /// The file with its key, in the place where clients have it; absent when it has none of its own.
    pub fn key_path(&self) -> Option<String> {
        (!self.key.trim().is_empty())
            .then(|| format!("/etc/apt/keyrings/lotse-{}.asc", short_hash(&[self.key.trim()])))
    }
}

fn short_hash(parts: &[&str]) -> String {
    let hash = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    hex::encode(hash.as_ref().get(..6).unwrap_or_default())
}

/// The name of an archive in the package cache: the same for everybody who names the same address and key.
pub fn cache_name(url: &str, key: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let word: String = rest
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect();
    format!("{}-{}", word.trim_matches('-'), short_hash(&[url.trim_end_matches('/'), key.trim()]))
}

fn problem(field: String, message: &str) -> FieldProblem {
    FieldProblem { field, message: message.to_owned() }
}

impl ListWish {
    /// What is wrong with it as a text; whether its archives are there is another question.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut need = |fine: bool, field: String, message: &str| {
            if !fine {
                problems.push(problem(field, message));
            }
        };
        let plain = |text: &str, most| text.chars().count() <= most && !text.chars().any(char::is_control);
        need(
            plain(&self.description, 200),
            "description".to_owned(),
            "must be one line of at most 200 characters",
        );
        need(
            self.architecture.is_empty() || is_token(&self.architecture),
            "architecture".to_owned(),
            "must be one word, such as amd64",
        );
        need(!self.sources.is_empty(), "sources".to_owned(), "must name at least one source");
        need(self.sources.len() <= MOST, "sources".to_owned(), "a list has at most 30 sources");
        for (at, source) in self.sources.iter().enumerate() {
            let field = |name: &str| format!("sources[{at}].{name}");
            let some = |list: &[String]| !list.is_empty() && list.len() <= MOST;
            need(
                some(&source.types) && source.types.iter().all(|word| word == "deb" || word == "deb-src"),
                field("types"),
                "must be deb, deb-src or both",
            );
            need(
                some(&source.uris) && source.uris.iter().all(|uri| Place::of(uri).is_some()),
                field("uris"),
                "must be addresses that begin with https:// or http://, without user and password, or mirror:NAME, or repository:NAME",
            );
            need(
                some(&source.suites) && source.suites.iter().all(|suite| is_suite(suite)),
                field("suites"),
                "must be names such as bookworm; an archive without suites (a name that ends with a slash) cannot be used",
            );
            need(
                some(&source.components) && source.components.iter().all(|component| is_suite(component)),
                field("components"),
                "must be names such as main",
            );
            need(
                source.key.trim().is_empty() || is_key(&source.key),
                field("key"),
                "must be a public key in armour: it begins with -----BEGIN PGP PUBLIC KEY BLOCK-----",
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(change: impl FnOnce(&mut PackageSource)) -> ListWish {
        let mut source = PackageSource {
            uris: vec!["https://packages.example/vendor".to_owned()],
            suites: vec!["stable".to_owned()],
            components: vec!["main".to_owned()],
            ..PackageSource::default()
        };
        change(&mut source);
        ListWish { sources: vec![source], ..ListWish::default() }
    }

    fn wrong(change: impl FnOnce(&mut PackageSource)) -> Vec<String> {
        wish(change).check().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn what_could_become_another_line_or_another_option_is_refused() {
        assert!(wrong(|_| {}).is_empty());
        let uris = [
            "https://ann:secret@x.example/",
            "file:///etc",
            "http://",
            "https://x/../y",
            "https://x/ y",
            "mirror:a/b",
            "cdrom:x",
        ];
        for uri in uris {
            assert_eq!(wrong(|source| source.uris = vec![uri.to_owned()]), ["sources[0].uris"], "{uri}");
        }
        for suite in ["", "a b", "../x", "x/", "-o", "a\nSigned-By: /x"] {
            assert_eq!(
                wrong(|source| source.suites = vec![suite.to_owned()]),
                ["sources[0].suites"],
                "{suite}"
            );
        }
        assert_eq!(wrong(|source| source.types = vec!["rpm".to_owned()]), ["sources[0].types"]);
        assert_eq!(
            wrong(|source| source.key = "-----BEGIN PGP PRIVATE KEY BLOCK-----".to_owned()),
            ["sources[0].key"]
        );
        assert_eq!(ListWish::default().check().len(), 1);
    }

    #[test]
    fn an_archive_has_one_name_in_the_cache_for_one_address_and_key() {
        let name = cache_name("https://packages.example/Vendor_x/", "key");
        assert!(name.starts_with("vendor-x-") && name.len() == "vendor-x-".len() + 12, "{name}");
        assert_eq!(name, cache_name("https://packages.example/Vendor_x", "key\n"));
        assert_ne!(name, cache_name("https://packages.example/Vendor_x", "other"));
        assert_ne!(name, cache_name("https://packages.example:81/Vendor_x", "key"));
    }
}
