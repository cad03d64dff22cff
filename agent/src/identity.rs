//! Who the agent is: its key, and what the server gave it for that key. Kept in one file, readable by root only.
//!
//! Invariant: key and certificate change together (one atomic write), so a crash never leaves a pair that does not fit.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};
use wire::{
    Sha256,
    enrol::{Identity, Realm},
};

use crate::{
    config::SYSTEM_STATE_DIR,
    host::{self, Host},
};

/// File below the state directory; [`Credentials::hand_over`] copies it into a target.
pub const FILE: &str = "identity.json";
/// File below the state directory: the key of an enrolment that is under way.
const KEY_FILE: &str = "enrolment-key.pem";

/// A key with the identity that belongs to it.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Credentials {
    /// The private key in PEM (PKCS #8).
    pub key_pem: String,
    /// What the server gave.
    pub identity: Identity,
    /// When it was received, by the (corrected) clock of the machine.
    pub issued_at: i64,
    /// Where the key was made.
    pub realm: Realm,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("client", &self.identity.client).finish_non_exhaustive()
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or its request cannot be made.
    #[error("making a key and the request for its certificate")]
    Key(#[source] rcgen::Error),
    /// The file cannot be read or written.
    #[error("keeping the agent's identity")]
    Store(#[source] host::Error),
    /// The file is damaged.
    #[error("understanding the stored identity; remove the file to enrol again")]
    Json(#[source] serde_json::Error),
}

/// A fresh key and the request for its certificate.
pub struct NewKey {
    key: KeyPair,
    /// PKCS #10 in PEM. It names nobody: the server decides who the agent is.
    pub csr_pem: String,
}

impl NewKey {
    /// Makes an ECDSA P-256 key.
    pub fn generate() -> Result<Self, Error> {
        Self::of(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(Error::Key)?)
    }

    /// The key of an enrolment that was cut off, or a new one that outlives the agent until [`Credentials::store`]: a token works
    /// for one key only, and an adopted machine is known by its key.
    pub fn for_enrolment(host: &dyn Host, state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(KEY_FILE);
        let kept = host.exists(&path).then(|| host.read(&path)).transpose().map_err(Error::Store)?;
        // A damaged file is as good as none.
        if let Some(key) = kept.and_then(|pem| KeyPair::from_pem(&String::from_utf8_lossy(&pem)).ok()) {
            return Self::of(key);
        }
        let new = Self::generate()?;
        host.write(&path, new.key.serialize_pem().as_bytes(), 0o600).map_err(Error::Store)?;
        Ok(new)
    }

    fn of(key: KeyPair) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr_pem = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(Error::Key)?;
        Ok(Self { key, csr_pem })
    }

    /// SHA-256 of the public key (SPKI, DER), as the admin's page shows it.
    pub fn fingerprint(&self) -> Sha256 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &self.key.subject_public_key_info()).as_ref());
        Sha256::from_bytes(bytes)
    }

    /// Joins the key with what the server gave for it.
    pub fn into_credentials(self, identity: Identity, realm: Realm, now: i64) -> Credentials {
        Credentials { key_pem: self.key.serialize_pem(), identity, issued_at: now, realm }
    }
}

impl Credentials {
    /// The stored identity, if there is one.
    pub fn find(host: &dyn Host, state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE);
        if !host.exists(&path) {
            return Ok(None);
        }
        let text = host.read(&path).map_err(Error::Store)?;
        serde_json::from_slice(&text).map(Some).map_err(Error::Json)
    }

    /// Stores the identity, 0600. No enrolment is under way any more.
    pub fn store(&self, host: &dyn Host, state_dir: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(Error::Json)?;
        host.write(&state_dir.join(FILE), &text, 0o600).map_err(Error::Store)?;
        host.remove(&state_dir.join(KEY_FILE)).map_err(Error::Store)
    }

    /// Gives the identity to the system installed below `root`, whose agent exchanges it for one with a fresh key.
    pub fn hand_over(host: &dyn Host, state_dir: &Path, root: &Path) -> Result<(), Error> {
        let text = host.read(&state_dir.join(FILE)).map_err(Error::Store)?;
        let target = root.join(&SYSTEM_STATE_DIR[1..]).join(FILE);
        host.write(&target, &text, 0o600).map_err(Error::Store)
    }

    /// Forgets the identity.
    pub fn remove(host: &dyn Host, state_dir: &Path) -> Result<(), Error> {
        host.remove(&state_dir.join(FILE)).map_err(Error::Store)
    }

    /// Two thirds of its life are over, or the key came from the installer, whose memory anybody on the machine could read.
    pub fn is_due(&self, realm: Realm, now: i64) -> bool {
        let life = self.identity.expires_at.saturating_sub(self.issued_at).max(0);
        realm != self.realm || now >= self.issued_at.saturating_add(life / 3 * 2)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    pub(crate) fn identity() -> Identity {
        Identity {
            client: wire::ClientId(7),
            name: "pc7".into(),
            certificate_pem: String::new(),
            expires_at: 900,
            ca_pem: String::new(),
            plan_key: String::new(),
            agents_url: "https://s:8444".into(),
            boot_url: "http://s:8080".into(),
            tools: None,
        }
    }

    #[test]
    fn renewal_is_due_at_two_thirds_of_life_and_at_once_in_another_realm() {
        let key = NewKey::generate().unwrap();
        let credentials = key.into_credentials(identity(), Realm::System, 0);
        assert!(!credentials.is_due(Realm::System, 599));
        assert!(credentials.is_due(Realm::System, 600));
        assert!(credentials.is_due(Realm::Installer, 1));
    }

    #[test]
    fn the_identity_is_stored_for_root_only_and_read_back() {
        let host = FakeHost::new(0);
        let dir = Path::new("/var/lib/lotse-agent");
        assert_eq!(Credentials::find(&host, dir).unwrap(), None);
        let credentials = NewKey::generate().unwrap().into_credentials(identity(), Realm::System, 1);
        credentials.store(&host, dir).unwrap();
        assert_eq!(host.file("/var/lib/lotse-agent/identity.json").unwrap().mode, 0o600);
        assert_eq!(Credentials::find(&host, dir).unwrap().as_ref(), Some(&credentials));
        Credentials::hand_over(&host, dir, Path::new("/target")).unwrap();
        let target = Path::new("/target/var/lib/lotse-agent");
        assert_eq!(Credentials::find(&host, target).unwrap(), Some(credentials));
    }

    #[test]
    fn an_enrolment_that_was_cut_off_goes_on_with_its_key_and_the_next_one_has_another() {
        let host = FakeHost::new(0);
        let dir = Path::new("/var/lib/lotse-agent");
        let key = NewKey::for_enrolment(&host, dir).unwrap().fingerprint();
        assert_eq!(host.file("/var/lib/lotse-agent/enrolment-key.pem").unwrap().mode, 0o600);
        host.power_cut();
        let again = NewKey::for_enrolment(&host, dir).unwrap();
        assert_eq!(again.fingerprint(), key);
        again.into_credentials(identity(), Realm::System, 0).store(&host, dir).unwrap();
        assert_ne!(NewKey::for_enrolment(&host, dir).unwrap().fingerprint(), key);
    }

    #[test]
    fn the_fingerprint_is_the_hash_of_the_public_key_in_the_request() {
        use x509_parser::prelude::FromDer;
        let key = NewKey::generate().unwrap();
        let pem = x509_parser::pem::parse_x509_pem(key.csr_pem.as_bytes()).unwrap().1;
        let (_, csr) =
            x509_parser::certification_request::X509CertificationRequest::from_der(&pem.contents).unwrap();
        csr.verify_signature().unwrap();
        let hash = digest(&SHA256, csr.certification_request_info.subject_pki.raw);
        assert_eq!(key.fingerprint().to_string(), hex::encode(hash));
    }
}
