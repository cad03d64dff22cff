//! The key that own repositories are signed with: made at first use, a file beside the other keys.
//!
//! Invariant: where something was signed with it before, it is never made anew: clients trust the old one.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::{Error, keys, openpgp::PublicKey};
use crate::clock::SECOND;

/// Under which name clients know the key.
const USER: &str = "Lotse package repositories";

/// The key, once it was needed.
pub struct ArchiveKey {
    path: PathBuf,
    pair: Mutex<Option<Arc<Pair>>>,
}

struct Pair {
    secret: Ed25519KeyPair,
    public: PublicKey,
}

/// A release with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRelease {
    /// `InRelease`.
    pub inline: String,
    /// `Release.gpg`.
    pub detached: String,
}

impl ArchiveKey {
    /// The key of a data directory; nothing is read or made yet.
    pub fn new(data: &Path) -> Self {
        Self { path: data.join("keys/archive.key"), pair: Mutex::default() }
    }

    /// Reads the key, or makes it unless it `must_exist`.
    fn pair(&self, must_exist: bool, now: i64) -> Result<Arc<Pair>, Error> {
        let mut known = self.pair.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = &*known {
            return Ok(Arc::clone(pair));
        }
        if must_exist && !self.path.exists() {
            let source = std::io::Error::other(
                "it is gone, but clients trust what was signed with it: put it back from a backup; only if there is none, \
                 remove the repositories, and give clients their source lists again",
            );
            return Err(Error::File { attempt: "finding the key file", path: self.path.clone(), source });
        }
        // The second line is the key; the first, when it was made, belongs to its fingerprint.
        let content = keys::read_or_make(&self.path, false, || {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|error| Error::certificate("making the archive key")(error.to_string()))?;
            Ok(format!("{}\n{}\n", now / SECOND, hex::encode(document.as_ref())).into_bytes())
        })?;
        let damaged = || Error::certificate("reading the archive key")("it is damaged".to_owned());
        let text = String::from_utf8_lossy(&content).into_owned();
        let (created_s, secret) = text.trim().split_once('\n').ok_or_else(damaged)?;
        let created_s = created_s.parse().map_err(|_| damaged())?;
        let secret = hex::decode(secret).map_err(|_| damaged())?;
        let secret = Ed25519KeyPair::from_pkcs8(&secret).map_err(|_| damaged())?;
        let public = PublicKey::new(secret.public_key().as_ref(), USER, created_s);
        let pair = Arc::new(Pair { secret, public });
        *known = Some(Arc::clone(&pair));
        Ok(pair)
    }

    /// The public key in armour.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn public(&self, must_exist: bool, now: i64) -> Result<String, Error> {
        let pair = self.pair(must_exist, now)?;
        Ok(pair.public.armoured(|hash| pair.sign(hash)))
    }

    /// Its fingerprint, hexadecimal.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn fingerprint(&self, must_exist: bool, now: i64) -> Result<String, Error> {
        Ok(hex::encode_upper(self.pair(must_exist, now)?.public.fingerprint()))
    }

    /// Signs a release.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn sign(&self, release: &str, must_exist: bool, now: i64) -> Result<SignedRelease, Error> {
        let pair = self.pair(must_exist, now)?;
        let now_s = u32::try_from(now / SECOND).unwrap_or(u32::MAX);
        Ok(SignedRelease {
            inline: pair.public.signed_text(release, now_s, |hash| pair.sign(hash)),
            detached: pair.public.detached(release.as_bytes(), now_s, |hash| pair.sign(hash)),
        })
    }
}

impl Pair {
    fn sign(&self, hash: &[u8]) -> Vec<u8> {
        self.secret.sign(hash).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_something_was_signed_with_is_not_made_anew() {
        let data = tempfile::tempdir().unwrap();
        let now = 1_700_000_000 * SECOND;
        let first = ArchiveKey::new(data.path());
        assert!(first.public(true, now).is_err());
        let public = first.public(false, now).unwrap();
        let again = ArchiveKey::new(data.path());
        assert_eq!(again.public(true, now + SECOND).unwrap(), public, "the same key has the same text");
        assert_eq!(again.fingerprint(true, now).unwrap().len(), 40);
        fs_err::remove_file(data.path().join("keys/archive.key")).unwrap();
        assert!(ArchiveKey::new(data.path()).public(true, now).is_err());
    }
}
