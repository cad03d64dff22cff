//! The states of a rollout and of a client in it. Each client is in exactly one of them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::job::UnknownWord;

/// Where a rollout is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// Nobody has started it.
    Planned,
    /// It orders work as its waves and windows allow.
    Running,
    /// Somebody, or a pause point, holds it: what runs ends, nothing begins.
    Paused,
    /// It stopped by itself, or somebody stopped it because something is wrong.
    Halted,
    /// Every client has reached an end.
    Finished,
    /// Somebody ended it before its end.
    Cancelled,
}

/// All states of a rollout, in the order of life.
pub(super) const STATES: [RolloutState; 6] = [
    RolloutState::Planned,
    RolloutState::Running,
    RolloutState::Paused,
    RolloutState::Halted,
    RolloutState::Finished,
    RolloutState::Cancelled,
];

impl RolloutState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen by itself, nor by resuming it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

impl FromStr for RolloutState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        STATES
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "state of a rollout" })
    }
}

/// How a client of a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutClientState {
    /// Its turn has not come, or it is offline.
    Waiting,
    /// Its job is there, and somebody holds it.
    Held,
    /// Its job is there, and its agent has not taken it.
    Queued,
    /// Its agent works.
    Running,
    /// All of its jobs succeeded.
    Succeeded,
    /// One of its jobs failed, or could not be made.
    Failed,
    /// It stayed offline for too long.
    OfflineExpired,
    /// It was left out, with a reason.
    Skipped,
    /// Somebody cancelled its job or the rollout.
    Cancelled,
}

/// All states of a client in a rollout, in the order of life.
pub const ROLLOUT_CLIENT_STATES: [RolloutClientState; 9] = [
    RolloutClientState::Waiting,
    RolloutClientState::Held,
    RolloutClientState::Queued,
    RolloutClientState::Running,
    RolloutClientState::Succeeded,
    RolloutClientState::Failed,
    RolloutClientState::OfflineExpired,
    RolloutClientState::Skipped,
    RolloutClientState::Cancelled,
];

impl RolloutClientState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::OfflineExpired => "offline-expired",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// A job of it is open.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Held | Self::Queued | Self::Running)
    }

    /// Nothing more happens to it unless somebody tries again.
    pub fn is_final(self) -> bool {
        !self.is_in_flight() && self != Self::Waiting
    }
}

impl FromStr for RolloutClientState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        ROLLOUT_CLIENT_STATES
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "state of a client in a rollout" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for state in STATES {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for state in ROLLOUT_CLIENT_STATES {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
