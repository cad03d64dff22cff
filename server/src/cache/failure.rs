//! Why a file is not there.

use std::sync::Arc;

/// Why a file is not there. Cheap to clone: everybody who waits for a file gets it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// No mirror has this name.
    #[error("there is no mirror {0}")]
    NoMirror(Arc<str>),
    /// The path means more than a file below the mirror.
    #[error("the path is not a plain path below the mirror")]
    NotPlain,
    /// The mirror has no such file.
    #[error("the mirror {mirror} has no {path}")]
    NotThere {
        /// Which mirror.
        mirror: Arc<str>,
        /// Below it.
        path: Arc<str>,
    },
    /// No signed index names it, so nobody knows what it would have to be.
    #[error("no signed index of the mirror {mirror} names {path}")]
    NotNamed {
        /// Which mirror.
        mirror: Arc<str>,
        /// Below it.
        path: Arc<str>,
    },
    /// The mirror does not answer, or not as a mirror does.
    #[error("the mirror {mirror} {why}")]
    Down {
        /// Which mirror.
        mirror: Arc<str>,
        /// Such as "does not answer".
        why: Arc<str>,
    },
    /// The mirror gave something else than what is signed; it was not passed on.
    #[error("what the mirror {mirror} gives for {path} {why}; it was not passed on")]
    Unfit {
        /// Which mirror.
        mirror: Arc<str>,
        /// Below it.
        path: Arc<str>,
        /// What is wrong, such as "has another hash than the signed index says".
        why: Arc<str>,
    },
    /// No key is known with which the mirror's suites could be verified.
    #[error("the suites of the mirror {0} cannot be verified: no keyring is there")]
    NoKeyring(Arc<str>),
    /// It is not stored, and the mirror is not asked.
    #[error("the package cache is offline and has no {0}")]
    Offline(Arc<str>),
    /// It cannot be stored.
    #[error("the package cache has no room: {0}")]
    NoRoom(&'static str),
    /// The server's own disk or programs.
    #[error("{0}")]
    Broken(Arc<str>),
}

impl Failure {
    /// Something of the server itself went wrong.
    pub fn broken(attempt: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Broken(format!("{attempt}: {error}").into())
    }

    /// The mirror's fault or the network's, not the question's: what is stored may be given in its place.
    pub fn is_of_the_mirror(&self) -> bool {
        matches!(self, Self::Down { .. } | Self::Unfit { .. } | Self::Offline(_))
    }
}
