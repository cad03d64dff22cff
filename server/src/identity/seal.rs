//! Seals what only this server shall read again: secrets in its database, and what it leaves with a browser (AES-256-GCM, NIST SP 800-38D).
//!
//! Invariant: a sealed text opens only for the purpose for which it was sealed, so none can be put in another's place. The key is derived
//! from the CA's (HKDF, RFC 5869), so that there is no further file that can be lost: who replaces the CA begins anew in any case.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Error;

/// What a sealed text begins with; no other text does.
const MARK: &str = "sealed1.";
const USE: &[u8] = b"lotse: what only the server reads";

/// The key.
pub(super) struct Seal(RandomizedNonceKey);

impl Seal {
    /// The key that belongs to the CA's (PKCS #8, DER).
    pub(super) fn new(ca_key: &[u8]) -> Result<Self, Error> {
        let failed = |_| Error::certificate("deriving the key that seals")("the library refuses");
        let mut key = [0; 32];
        let secret = Salt::new(HKDF_SHA256, b"lotse").extract(ca_key);
        secret.expand(&[USE], HKDF_SHA256).and_then(|derived| derived.fill(&mut key)).map_err(failed)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).map(Self).map_err(failed)
    }

    pub(super) fn close(&self, purpose: &str, text: &str) -> Result<String, Error> {
        let mut inside = text.as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut inside)
            .map_err(|_| Error::certificate("sealing a secret")("the library refuses"))?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut inside);
        Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    pub(super) fn open(&self, purpose: &str, sealed: &str) -> Result<String, Error> {
        let broken = || Error::Sealed(format!("what was kept for `{purpose}`"));
        let text = sealed.strip_prefix(MARK).ok_or_else(broken)?;
        let mut whole = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
        let (nonce, inside) = whole.split_at_mut_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
        let opened =
            self.0.open_in_place(nonce, Aad::from(purpose.as_bytes()), inside).map_err(|_| broken())?;
        String::from_utf8(opened.to_vec()).map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_purpose_and_its_key_only() {
        let (seal, other) = (Seal::new(b"a key").unwrap(), Seal::new(b"another").unwrap());
        let sealed = seal.close("account 1", "a secret").unwrap();
        assert!(!sealed.contains("secret") && sealed != seal.close("account 1", "a secret").unwrap());
        assert_eq!(seal.open("account 1", &sealed).unwrap(), "a secret");
        assert!(seal.open("account 2", &sealed).is_err());
        assert!(other.open("account 1", &sealed).is_err());
        let mut changed = sealed.clone().into_bytes();
        let last = changed.len() - 1;
        changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
        for wrong in [
            String::from_utf8(changed).unwrap(),
            "a secret".to_owned(),
            MARK.to_owned(),
            sealed[..20].to_owned(),
        ] {
            assert!(seal.open("account 1", &wrong).is_err(), "{wrong}");
        }
    }
}
