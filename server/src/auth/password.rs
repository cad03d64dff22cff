//! Passwords of local accounts: argon2id (RFC 9106), as PHC strings. Both functions take long on purpose; call them off the runtime's threads.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

/// A password has at least so many characters (NIST SP 800-63B, 5.1.1.2 asks for 8).
pub const SHORTEST: usize = 10;
/// And at most so many.
pub const LONGEST: usize = 200;

/// The hash of a password could not be made.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password: {0}")]
pub struct Error(String);

/// What is stored of a password.
///
/// # Errors
/// The system gives no salt.
pub fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Error(error.to_string()))
}

/// Whether a password fits a hash. Takes as long for a name that does not exist, so that names cannot be guessed by the time.
pub fn verify(hash: Option<&str>, password: &str) -> bool {
    let argon = Argon2::default();
    if let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) {
        argon.verify_password(password.as_bytes(), &hash).is_ok()
    } else {
        std::hint::black_box(argon.hash_password(password.as_bytes()).is_ok());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify(Some(&hash), "correct horse"));
        assert!(!verify(Some(&hash), "correct house"));
        assert!(!verify(None, "correct horse"));
        assert!(!verify(Some("nonsense"), "nonsense"));
    }
}
