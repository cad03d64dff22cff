//! `GET /boot/trust?nonce=…` over plain HTTP: how an agent that knows only a CA fingerprint gets the CA and the right time.
//!
//! The certificate is checked against the fingerprint, the time by a signature of the CA over [`signed_text`]; so neither
//! can be forged on the wire, and a fresh nonce keeps an old answer from being replayed.

use serde::{Deserialize, Serialize};

/// The server's CA and its clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The CA certificate in PEM.
    pub ca_pem: String,
    /// The server's time, microseconds since the Unix epoch.
    pub server_at: i64,
    /// The nonce of the request.
    pub nonce: String,
    /// ECDSA P-256 with SHA-256 (ASN.1 DER, base64) by the CA key over [`signed_text`].
    pub signature: String,
}

/// The bytes that [`Trust::signature`] covers.
pub fn signed_text(nonce: &str, server_at: i64) -> String {
    format!("lotse trust v1\n{nonce}\n{server_at}\n")
}
