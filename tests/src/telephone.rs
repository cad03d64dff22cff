//! The app on a person's telephone that shows the codes of a second factor.

use anyhow::Result;
use totp_rs::{Builder, Secret};

const SECOND: i64 = 1_000_000;

/// The code that is shown for a secret (base32) at a time (microseconds since the Unix epoch).
///
/// # Errors
/// The secret is none.
pub fn code_of(secret: &str, now: i64) -> Result<String> {
    let secret = Secret::try_from_base32(secret)?;
    let totp = Builder::new().with_secret(secret).with_account_name("").build()?;
    Ok(totp.generate((now / SECOND).unsigned_abs()).to_string())
}
