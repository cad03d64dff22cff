//! How far an upgrade is. Agents and supervisors of other versions read and write these files, too: what was released stays.

use std::path::Path;

use serde::{Deserialize, Serialize};
use wire::AttemptId;

use super::Error;
use crate::host::Host;

/// How far an upgrade is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The attempt whose step it is.
    pub attempt: AttemptId,
    /// What is about to happen.
    pub phase: Phase,
    /// Version of the agent that was there.
    pub from: String,
    /// Version of the new one; empty when nobody knows it.
    #[serde(default)]
    pub to: String,
    /// So long may the new one take to prove itself.
    pub limit_s: u32,
    /// How often the new one was put on trial: a machine that it takes down begins anew.
    #[serde(default)]
    pub trials: u32,
    /// Why the old one is back.
    #[serde(default)]
    pub reason: String,
}

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Both packages lie there, nothing was changed.
    Prepared,
    /// The new package is being installed.
    Switching,
    /// The new agent is on trial.
    Watching,
    /// The old package is being put back.
    Reverting,
    /// The new agent has proved itself.
    Done,
    /// The old agent is back, or was never replaced.
    Reverted,
    /// A phase of another version.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// Nothing more happens.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Done | Self::Reverted)
    }
}

/// What a new agent says when it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its version.
    pub version: String,
    /// When, by the machine's clock.
    pub at: i64,
}

/// The content of a file of JSON; `None` when it is not there, or is no such thing.
pub(super) fn read<T: for<'de> Deserialize<'de>>(host: &dyn Host, path: &Path) -> Result<Option<T>, Error> {
    if !host.exists(path) {
        return Ok(None);
    }
    match serde_json::from_slice(&host.read(path)?) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a file of the upgrade cannot be understood");
            Ok(None)
        }
    }
}
