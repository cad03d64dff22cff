//! From a CA fingerprint to a CA and the right time, over a wire that anybody may forge (see [`wire::trust`]).
//!
//! Invariant: nothing of an answer is used before certificate, nonce and signature have been checked.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use wire::{
    Sha256,
    trust::{Trust, signed_text},
};
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

/// A clock that is further off is set.
pub const CLOCK_TOLERANCE_US: i64 = 60_000_000;

/// Why an answer is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is another CA. Asking again does not help.
    #[error(
        "this is not the expected server: the CA should have the fingerprint {expected}, but came with {got}; \
         if the server was set up anew, take its fingerprint from `lotse` and boot or enrol again"
    )]
    WrongCa {
        /// What the agent was told.
        expected: Sha256,
        /// What came.
        got: Sha256,
    },
    /// The answer cannot be understood.
    #[error("the server's CA cannot be understood: {0}")]
    Malformed(&'static str),
    /// The answer is not signed by the CA for this very question.
    #[error(
        "the server's time was not signed by its CA for this request: somebody on the network may be forging answers"
    )]
    Forged,
}

/// Checks the answer to a question with this nonce. The CA in it may be trusted afterwards, and so may its time.
pub fn verify(trust: &Trust, nonce: &str, fingerprint: &Sha256) -> Result<(), Error> {
    let malformed = |what| move |_| Error::Malformed(what);
    let pem = parse_x509_pem(trust.ca_pem.as_bytes()).map_err(|_| Error::Malformed("no PEM"))?.1;
    let got = sha256(&pem.contents);
    if got != *fingerprint {
        return Err(Error::WrongCa { expected: fingerprint.clone(), got });
    }
    let (_, certificate) =
        parse_x509_certificate(&pem.contents).map_err(|_| Error::Malformed("no X.509 certificate"))?;
    let key = &certificate.public_key().subject_public_key.data;
    let signature =
        BASE64_STANDARD.decode(&trust.signature).map_err(malformed("its signature is not base64"))?;
    if trust.nonce != nonce {
        return Err(Error::Forged);
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(signed_text(nonce, trust.server_at).as_bytes(), &signature)
        .map_err(|_| Error::Forged)
}

/// The time to set, if the machine's clock is too far off.
pub fn clock_correction(now: i64, server_at: i64) -> Option<i64> {
    (now.abs_diff(server_at) > CLOCK_TOLERANCE_US.unsigned_abs()).then_some(server_at)
}

fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Sha256::from_bytes(hash)
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, KeyPair, SigningKey};

    use super::*;

    /// A server's CA.
    pub(crate) struct TestCa {
        key: KeyPair,
        pem: String,
        pub(crate) fingerprint: Sha256,
    }

    impl TestCa {
        pub(crate) fn new() -> Self {
            let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let ca = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
            Self { pem: ca.pem(), fingerprint: sha256(ca.der()), key }
        }

        pub(crate) fn answer(&self, nonce: &str, server_at: i64) -> Trust {
            let signature = self.key.sign(signed_text(nonce, server_at).as_bytes()).unwrap();
            Trust {
                ca_pem: self.pem.clone(),
                server_at,
                nonce: nonce.to_owned(),
                signature: BASE64_STANDARD.encode(signature),
            }
        }
    }

    fn answer(nonce: &str, server_at: i64) -> (Trust, Sha256) {
        let ca = TestCa::new();
        (ca.answer(nonce, server_at), ca.fingerprint)
    }

    #[test]
    fn an_honest_answer_is_believed() {
        let (trust, fingerprint) = answer("n", 5);
        verify(&trust, "n", &fingerprint).unwrap();
    }

    #[test]
    fn another_ca_is_named_with_both_fingerprints() {
        let (trust, got) = answer("n", 5);
        let (_, expected) = answer("n", 5);
        assert_eq!(verify(&trust, "n", &expected), Err(Error::WrongCa { expected, got }));
    }

    #[test]
    fn a_changed_time_and_a_replayed_answer_are_refused() {
        let (trust, fingerprint) = answer("n", 5);
        assert_eq!(verify(&Trust { server_at: 6, ..trust.clone() }, "n", &fingerprint), Err(Error::Forged));
        assert_eq!(verify(&trust, "m", &fingerprint), Err(Error::Forged));
        assert_eq!(verify(&Trust { nonce: "m".into(), ..trust }, "m", &fingerprint), Err(Error::Forged));
    }

    #[test]
    fn only_a_clock_that_is_over_a_minute_off_is_set() {
        assert_eq!(clock_correction(0, 60_000_000), None);
        assert_eq!(clock_correction(0, 60_000_001), Some(60_000_001));
        assert_eq!(clock_correction(i64::MAX, 5), Some(5));
    }
}
