//! The doors through which notices leave: mail and webhooks.

pub mod mail;
pub mod webhook;

use std::path::{Path, PathBuf};

/// Why a notice did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is set does not allow it.
    #[error("{0}")]
    Unset(String),
    /// A file that the configuration names cannot be read.
    #[error("reading {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A certificate of the own CA cannot be used.
    #[error("reading the CA {path}: {reason}", path = path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The mail cannot be written, or the mail server did not take it.
    #[error("sending mail through {server}: {reason}")]
    Mail {
        /// Which server.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The mail was handed over, and the mail server did not say whether it took it: sending it again may send it twice.
    #[error("sending mail through {server}: it did not say whether it took the mail: {reason}")]
    Unanswered {
        /// Which server.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The receiver was not reached or refused it.
    #[error("sending to {url}: {reason}")]
    Webhook {
        /// Scheme, host and port; the path may hold a secret.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs_err::tokio::read(path).await.map_err(|source| Error::Read { path: path.to_owned(), source })
}
