//! Who is who: the CA, the server's own certificate, agents' certificates and the key that signs plans.
//!
//! Invariants: private keys are files of mode 0600 in `DATA/keys` and leave it never; nothing but the key is taken from a CSR.

mod archive_key;
mod authority;
mod keys;
mod openpgp;
mod seal;
pub mod tls;
pub mod token;

pub use archive_key::ArchiveKey;
pub use authority::{Authority, Issued};

/// Why an identity could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key file is missing, unreadable or damaged.
    #[error("{attempt} {path}", path = path.display())]
    File {
        /// What was attempted, as a gerund.
        attempt: &'static str,
        /// On which file.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate cannot be made or understood.
    #[error("{attempt}")]
    Certificate {
        /// What was attempted, as a gerund.
        attempt: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was sealed cannot be opened.
    #[error("opening {0}: it was sealed by another key, or changed")]
    Sealed(String),
    /// The CSR of an agent is not acceptable.
    #[error("the certificate request cannot be accepted: {0}")]
    Request(String),
}

impl Error {
    fn certificate<E>(attempt: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Certificate { attempt, source: source.into() }
    }
}
