//! The second factor: codes by time (RFC 6238) with SHA-1, six digits and 30 seconds, which is what every app knows; its picture for
//! the app's camera; recovery codes for a lost telephone.
//!
//! Invariant: a code tells its time step, and whoever accepts it keeps the step: a code works once (RFC 6238, 5.2).

use fast_qr::{ECL, QRBuilder};
use totp_rs::{Builder, Secret, Totp};
use wire::Sha256;

use crate::{
    clock::SECOND,
    identity::token::{hash, random_bytes},
};

/// So many recovery codes are given.
const RECOVERY_CODES: usize = 10;
/// Empty modules around the picture (ISO/IEC 18004, 9.1).
const QUIET: usize = 4;

/// A second factor cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("using a second factor: {0}")]
pub struct Error(String);

/// A new secret, base32.
pub fn new_secret() -> String {
    Secret::new(Box::new(random_bytes::<20>())).to_base32()
}

fn totp(secret: &str, account: &str) -> Result<Totp, Error> {
    let secret = Secret::try_from_base32(secret).map_err(|error| Error(error.to_string()))?;
    Builder::new()
        .with_secret(secret)
        .with_account_name(account)
        .with_issuer(Some("Lotse"))
        .build()
        .map_err(|error| Error(error.to_string()))
}

/// The address by which apps take a secret (`otpauth://totp/…`).
///
/// # Errors
/// The secret is none.
pub fn address(secret: &str, account: &str) -> Result<String, Error> {
    totp(secret, account)?.to_url().map_err(|error| Error(error.to_string()))
}

/// The time step of a code, when it is one of now, of the step before or of the one after.
///
/// # Errors
/// The secret is none.
pub fn step_of(secret: &str, code: &str, now: i64) -> Result<Option<i64>, Error> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now / SECOND).unwrap_or(0);
    let step = totp(secret, "")?.check(&digits, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

/// A text as a picture: the side in modules, and the path of the dark ones for the `d` of an SVG path.
///
/// # Errors
/// The text is too long.
pub fn picture(text: &str) -> Result<(usize, String), Error> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().map_err(|error| Error(format!("{error:?}")))?;
    let mut path = String::new();
    for y in 0..code.size {
        for x in (0..code.size).filter(|x| code[y][*x].value()) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    Ok((code.size + 2 * QUIET, path))
}

/// New recovery codes: 80 bits each, in groups that can be read aloud.
pub fn recovery_codes() -> Vec<String> {
    let code = || {
        let text = Secret::new(Box::new(random_bytes::<10>())).to_base32().to_lowercase();
        text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    };
    std::iter::repeat_with(code).take(RECOVERY_CODES).collect()
}

/// What is stored of a recovery code, however it was typed.
pub fn recovery_hash(code: &str) -> Sha256 {
    hash(&code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890`, the secret of RFC 6238, appendix B.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(step_of(RFC, code, seconds * SECOND).unwrap(), Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_more_on_either_side() {
        let at = 1_111_111_109 * SECOND;
        let step = Some(1_111_111_109 / 30);
        assert_eq!(step_of(RFC, " 081 804 ", at + 30 * SECOND).unwrap(), step);
        assert_eq!(step_of(RFC, "081804", at - 30 * SECOND).unwrap(), step);
        assert_eq!(step_of(RFC, "081804", at + 60 * SECOND).unwrap(), None);
        for nonsense in ["", "0818040", "081805", "abcdef", "０８１８０４"] {
            assert_eq!(step_of(RFC, nonsense, at).unwrap(), None, "{nonsense}");
        }
    }

    #[test]
    fn an_address_names_account_and_issuer() {
        let address = address(RFC, "ann@school").unwrap();
        assert!(address.starts_with("otpauth://totp/Lotse:ann%40school?"), "{address}");
        assert!(address.contains(&format!("secret={RFC}")) && address.contains("issuer=Lotse"), "{address}");
        let (side, path) = picture(&address).unwrap();
        assert!(side > 30 && path.starts_with("M4 4h1v1h-1z"), "{side} {path}");
    }

    #[test]
    fn a_recovery_code_may_be_typed_in_any_way() {
        let codes = recovery_codes();
        assert_eq!(codes.len(), RECOVERY_CODES);
        assert_eq!(codes[0].len(), 19);
        assert_eq!(
            recovery_hash(&codes[0]),
            recovery_hash(&format!(" {} ", codes[0].replace('-', "").to_uppercase()))
        );
        assert_ne!(recovery_hash(&codes[0]), recovery_hash(&codes[1]));
    }
}
