//! What the signed text of a suite says (`Release`, Debian repository format): its age, and every index with its size and hashes.
//!
//! Pure. Whether the text is signed is decided elsewhere (`signature.rs`) before it is read here.

use std::collections::HashMap;

use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use wire::Sha256;

use super::path;
use crate::clock;

/// What a file has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its content.
    pub sha256: Sha256,
    /// Its length in bytes; unknown only for what is asked for by its hash alone.
    pub size: Option<u64>,
}

/// The signed text of a suite.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// When it was made.
    pub dated_at: i64,
    /// Until when it counts, if it says so.
    pub valid_until: Option<i64>,
    /// `Suite`, such as `stable`.
    pub suite: String,
    /// `Codename`, such as `bookworm`.
    pub codename: String,
    /// Indices are there under their hashes, too.
    pub by_hash: bool,
    /// `Components`, such as `main`.
    pub components: Vec<String>,
    /// `Architectures`, such as `amd64`.
    pub architectures: Vec<String>,
    files: HashMap<String, Wanted>,
    by_sha512: HashMap<String, String>,
}

/// Why a text is no release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A field that must be there is not, or says nothing that can be understood.
    #[error("its field {0} is missing or cannot be read")]
    Field(&'static str),
    /// It has no SHA-256 hashes; weaker ones prove nothing.
    #[error("it lists no SHA-256 hashes")]
    NoHashes,
}

impl Release {
    /// Reads the text; lines of files with paths that lead elsewhere are left out.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut fields: HashMap<&str, &str> = HashMap::new();
        let (mut files, mut by_sha512) = (HashMap::new(), HashMap::new());
        let mut list = "";
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix([' ', '\t']) {
                let words: Vec<_> = entry.split_whitespace().collect();
                let [hash, size, name] = words[..] else { continue };
                if !path::is_plain(name) {
                    continue;
                }
                match (list, hash.parse(), size.parse()) {
                    ("SHA256", Ok(sha256), Ok(size)) => {
                        files.insert(name.to_owned(), Wanted { sha256, size: Some(size) });
                    }
                    ("SHA512", ..) => {
                        by_sha512.insert(hash.to_owned(), name.to_owned());
                    }
                    _ => {}
                }
            } else if let Some((name, value)) = line.split_once(':') {
                list = name;
                fields.insert(name, value.trim());
            }
        }
        if files.is_empty() {
            return Err(Error::NoHashes);
        }
        let text = |name| fields.get(name).copied().unwrap_or_default().to_owned();
        let valid_until = match fields.get("Valid-Until") {
            Some(text) => Some(date(text).ok_or(Error::Field("Valid-Until"))?),
            None => None,
        };
        Ok(Self {
            dated_at: fields.get("Date").and_then(|text| date(text)).ok_or(Error::Field("Date"))?,
            valid_until,
            suite: text("Suite"),
            codename: text("Codename"),
            by_hash: text("Acquire-By-Hash") == "yes",
            components: text("Components").split_whitespace().map(str::to_owned).collect(),
            architectures: text("Architectures").split_whitespace().map(str::to_owned).collect(),
            files,
            by_sha512,
        })
    }

    /// What a file below the suite has to be.
    pub(super) fn file(&self, name: &str) -> Option<&Wanted> {
        self.files.get(name)
    }

    /// The file with a SHA-512 hash.
    pub(super) fn by_sha512(&self, hash: &str) -> Option<&Wanted> {
        self.files.get(self.by_sha512.get(hash)?)
    }

    /// The file with this content.
    pub(super) fn by_sha256(&self, hash: &Sha256) -> Option<&Wanted> {
        self.files.values().find(|wanted| wanted.sha256 == *hash)
    }

    /// Every file that it lists.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Wanted)> {
        self.files.iter().map(|(name, wanted)| (name.as_str(), wanted))
    }

    /// Whether it is the release of the suite at `root`, such as `dists/bookworm-updates`: one that belongs elsewhere was put in its
    /// place. Roots outside of `dists` have no name of their own.
    pub(super) fn is_of(&self, root: &str) -> bool {
        let Some(place) = root.strip_prefix("dists/") else { return true };
        let first = place.split('/').next().unwrap_or_default();
        let named = |name: &str| !name.is_empty() && (name == place || name == first);
        named(&self.suite) || named(&self.codename) || (self.suite.is_empty() && self.codename.is_empty())
    }
}

/// A date as in mails (RFC 5322), with the zone word that archives use.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |rest| format!("{rest}GMT"));
    OffsetDateTime::parse(&text, &Rfc2822).ok().map(clock::micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(last: u8) -> String {
        format!("{last:064x}")
    }

    fn text() -> String {
        format!(
            "Origin: Debian\nSuite: stable-updates\nCodename: bookworm-updates\nDate: Sat, 21 Nov 2026 08:12:01 UTC\n\
             Valid-Until: Sat,  5 Dec 2026 08:12:01 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 0123 7 main/a\nSHA256:\n \
             {} 1 main/Packages.xz\n {} 22 main/../../x\n {} 3 main/Packages\nSHA512:\n abc 1 main/Packages.xz\n",
            hash(1),
            hash(2),
            hash(3)
        )
    }

    #[test]
    fn a_release_says_what_every_index_has_to_be() {
        let release = Release::parse(&text()).unwrap();
        let wanted = Wanted { sha256: hash(1).parse().unwrap(), size: Some(1) };
        assert_eq!(release.file("main/Packages.xz"), Some(&wanted));
        assert_eq!(release.by_sha512("abc"), Some(&wanted));
        assert_eq!(release.by_sha256(&wanted.sha256), Some(&wanted));
        assert_eq!(release.files().count(), 2, "a path that leads out was taken");
        assert!(release.by_hash && release.file("main/a").is_none());
        assert_eq!(release.valid_until.unwrap() - release.dated_at, 14 * 86_400 * clock::SECOND);
    }

    #[test]
    fn a_release_of_another_suite_is_known_as_such() {
        let release = Release::parse(&text()).unwrap();
        assert!(release.is_of("dists/bookworm-updates") && release.is_of("dists/stable-updates"));
        assert!(release.is_of("dists/bookworm-updates/x") && release.is_of("local"));
        assert!(!release.is_of("dists/bookworm") && !release.is_of("dists/trixie-updates"));
    }

    #[test]
    fn what_has_no_date_or_no_strong_hashes_is_no_release() {
        let undated = text().replace("Date: ", "Dated: ");
        assert_eq!(Release::parse(&undated).unwrap_err(), Error::Field("Date"));
        let weak = text().replace("SHA256:", "SHA1:");
        assert_eq!(Release::parse(&weak).unwrap_err(), Error::NoHashes);
    }
}
