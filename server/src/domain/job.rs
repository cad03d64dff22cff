//! A job: one unit of work for one client, and the states that it goes through.
//!
//! Invariant: [`JobState::apply`] is the only way from one state to another; it is total and never panics.

mod waiting;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{AttemptId, ClientId, JobId, enrol::Realm};

pub use self::waiting::{Surroundings, Wait, waits_for};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Selected but not accepted, or waits for an approval.
    Held,
    /// Waits for its turn.
    Queued,
    /// An agent holds it.
    Running,
    /// Every step ended well.
    Succeeded,
    /// A step failed, and no retry is left.
    Failed,
    /// Somebody, or the failure of a job it depends on, cancelled it.
    Cancelled,
    /// It was not begun in time.
    Expired,
}

/// All states, in the order of life.
pub const STATES: [JobState; 7] = [
    JobState::Held,
    JobState::Queued,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
    JobState::Expired,
];

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// An admin accepted it.
    Accept,
    /// An admin holds it back.
    Hold,
    /// An agent took it.
    Claim,
    /// The attempt ended well.
    Succeed,
    /// The attempt failed and another one is allowed.
    Retry,
    /// The attempt failed for good.
    Fail,
    /// It is cancelled.
    Cancel,
    /// Its time is over before it began.
    Expire,
}

impl std::fmt::Display for JobEvent {
    /// What people ask for, after "cannot".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accept => "be accepted",
            Self::Hold => "be held",
            Self::Claim => "be taken by an agent",
            Self::Succeed => "succeed",
            Self::Retry => "be tried again",
            Self::Fail => "fail",
            Self::Cancel => "be cancelled",
            Self::Expire => "expire",
        })
    }
}

/// An event that makes no sense in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot {event}")]
pub struct IllegalTransition {
    /// The state.
    pub state: JobState,
    /// The event.
    pub event: JobEvent,
}

impl JobState {
    /// The state after an event.
    ///
    /// # Errors
    /// The event makes no sense in this state.
    pub fn apply(self, event: JobEvent) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Held, JobEvent::Accept) | (Self::Running, JobEvent::Retry) => Ok(Self::Queued),
            (Self::Queued, JobEvent::Hold) => Ok(Self::Held),
            (Self::Queued, JobEvent::Claim) => Ok(Self::Running),
            (Self::Running, JobEvent::Succeed) => Ok(Self::Succeeded),
            (Self::Running | Self::Queued, JobEvent::Fail) => Ok(Self::Failed),
            (Self::Held | Self::Queued | Self::Running, JobEvent::Cancel) => Ok(Self::Cancelled),
            (Self::Held | Self::Queued, JobEvent::Expire) => Ok(Self::Expired),
            _ => Err(IllegalTransition { state: self, event }),
        }
    }

    /// Nothing more will happen to the job.
    pub fn is_final(self) -> bool {
        match self {
            Self::Held | Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired => true,
        }
    }

    /// The word for the state, in the database, the API and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is none of the words that are allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what}")]
pub struct UnknownWord {
    /// What was read.
    pub word: String,
    /// What it should have been.
    pub what: &'static str,
}

impl FromStr for JobState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        STATES
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "job state" })
    }
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// For which client.
    pub client: ClientId,
    /// The job script's name.
    pub job_type: String,
    /// The job script's parameters.
    pub params: serde_json::Value,
    /// Where it runs; `None` means anywhere.
    pub realm: Option<Realm>,
    /// Lower first.
    pub priority: i64,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it is held, what its last attempt said, or how it ended.
    pub reason: String,
    /// Not before this time.
    pub not_before: Option<i64>,
    /// Expires when it was not begun by this time.
    pub expires_at: Option<i64>,
    /// How often it may be tried in all.
    pub max_attempts: i64,
    /// Pause before another attempt.
    pub retry_after_s: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// Somebody wants the running job to stop; why.
    pub cancel_reason: Option<String>,
    /// Somebody released the running job.
    pub released: bool,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// When it reached a final state.
    pub finished_at: Option<i64>,
    /// Grows with every change.
    pub version: i64,
    /// It is, or was, carried out within the attempt of this job of the same client.
    pub joined_to: Option<JobId>,
    /// It was carried out together with others, which did not succeed: now it runs by itself.
    pub alone: bool,
    /// Jobs that must succeed first.
    pub needs: Vec<JobId>,
}

/// A job that does not exist yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// For which client.
    pub client: ClientId,
    /// The job script's name.
    pub job_type: String,
    /// Parameters that the job script has accepted.
    pub params: serde_json::Value,
    /// Where it runs.
    pub realm: Option<Realm>,
    /// Lower first.
    pub priority: i64,
    /// Held with this reason instead of queued.
    pub held: Option<String>,
    /// Not before this time.
    pub not_before: Option<i64>,
    /// Expires when it was not begun by this time.
    pub expires_at: Option<i64>,
    /// How often it may be tried.
    pub max_attempts: i64,
    /// Pause before another attempt.
    pub retry_after_s: i64,
    /// Who makes it.
    pub created_by: String,
    /// Jobs that must succeed first.
    pub needs: Vec<JobId>,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptState {
    /// An agent works on it.
    Running,
    /// Every step ended well.
    Succeeded,
    /// A step failed.
    Failed,
    /// The agent did not begin; nothing was changed.
    Refused,
    /// It was stopped.
    Cancelled,
    /// Its lease ran out, or the machine came back without it.
    Lost,
}

impl AttemptState {
    /// The word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

impl FromStr for AttemptState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Running, Self::Succeeded, Self::Failed, Self::Refused, Self::Cancelled, Self::Lost]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "attempt state" })
    }
}

/// One execution of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Its number among all attempts: the fencing token.
    pub id: AttemptId,
    /// Of which job.
    pub job: JobId,
    /// On which client.
    pub client: ClientId,
    /// 1 for the job's first.
    pub number: i64,
    /// In which boot of the machine.
    pub boot_id: String,
    /// How it stands.
    pub state: AttemptState,
    /// How it ended.
    pub reason: String,
    /// The step that runs, or ran last.
    pub step: String,
    /// Progress of that step, 0 to 100.
    pub percent: i64,
    /// What the step says.
    pub message: String,
    /// When it began.
    pub started_at: i64,
    /// It is lost when nothing is heard until then.
    pub leased_until: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Number of the last stored event.
    pub stored_seq: i64,
    /// Bytes of the lines of output that were reported.
    pub output_bytes: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [JobEvent; 8] = [
        JobEvent::Accept,
        JobEvent::Hold,
        JobEvent::Claim,
        JobEvent::Succeed,
        JobEvent::Retry,
        JobEvent::Fail,
        JobEvent::Cancel,
        JobEvent::Expire,
    ];

    #[test]
    fn a_final_state_stays_whatever_happens() {
        for state in STATES.into_iter().filter(|state| state.is_final()) {
            for event in EVENTS {
                assert_eq!(state.apply(event), Err(IllegalTransition { state, event }));
            }
        }
    }

    #[test]
    fn every_state_is_read_as_it_is_written() {
        for state in STATES {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    proptest! {
        #[test]
        fn only_a_claimed_job_can_succeed(events in proptest::collection::vec(0..EVENTS.len(), 0..20)) {
            let mut state = JobState::Queued;
            let mut claimed = false;
            for event in events {
                if let Ok(next) = state.apply(EVENTS[event]) {
                    claimed = match next {
                        JobState::Running => true,
                        JobState::Queued | JobState::Held => false,
                        _ => claimed,
                    };
                    prop_assert!(next != JobState::Succeeded || claimed);
                    state = next;
                }
            }
        }
    }
}
