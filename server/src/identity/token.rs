//! Secrets that travel once: API tokens, login links, enrolment tokens. Only their hashes are stored.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use wire::Sha256;

use crate::blobs;

/// A secret of 256 bits; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one, `lotse_` and 43 letters.
    pub fn new() -> Self {
        Self(format!("lotse_{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
    }

    /// The secret itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored.
    pub fn hash(&self) -> Sha256 {
        hash(&self.0)
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The stored form of a token that somebody showed.
pub fn hash(token: &str) -> Sha256 {
    blobs::hash(token.as_bytes())
}

/// Random bytes from the system.
///
/// # Panics
/// The system gives none, which does not happen on a running Linux.
#[expect(
    clippy::expect_used,
    reason = "without randomness no secret can be made; the system call does not fail on a running Linux"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
