//! For what a job waits. Pure; each reason is a value of its own, so that pages can say it in their reader's language. `Display` is the
//! English of API and command line.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::{JobId, enrol::Realm};

use super::{Job, JobState};
use crate::clock::rfc3339;

/// What is known around a job when somebody asks why it waits.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The running job of the client: number and type.
    pub running: Option<(JobId, String)>,
    /// Jobs it needs that have not succeeded: number, type, state.
    pub needs: Vec<(JobId, String, JobState)>,
    /// The first job of the client that comes before it.
    pub before: Option<(JobId, String)>,
    /// The client's alarm.
    pub alarm: Option<String>,
    /// Where the agent was last seen, and when.
    pub realm: Option<Realm>,
    /// When the agent was last seen.
    pub last_seen_at: Option<i64>,
    /// The agent counts as connected.
    pub online: bool,
}

/// For what a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For somebody to accept it; why it is held.
    Held(String),
    /// For somebody to look at the client's alarm.
    Alarm(String),
    /// For a job that must succeed first.
    Needs(JobId, String, JobState),
    /// For the client's running job.
    Running(JobId, String),
    /// For a time.
    Until(i64),
    /// For a job of the client that comes first.
    Before(JobId, String),
    /// For the machine's first contact.
    NeverSeen,
    /// For the machine to come back; when it was last heard.
    Offline(i64),
    /// For the machine to boot the installer.
    Installer,
    /// For the installed system to start.
    System,
    /// For the agent's next poll.
    NextPoll,
    /// As a server told it.
    Told(String),
}

impl Wait {
    /// The word for the reason, for texts of pages.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Alarm(_) => "alarm",
            Self::Needs(..) => "needs",
            Self::Running(..) => "running",
            Self::Until(_) => "until",
            Self::Before(..) => "before",
            Self::NeverSeen => "never-seen",
            Self::Offline(_) => "offline",
            Self::Installer => "installer",
            Self::System => "system",
            Self::NextPoll => "next-poll",
            Self::Told(_) => "told",
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(reason) => write!(f, "held: {reason}"),
            Self::Alarm(alarm) => write!(f, "stopped by an alarm: {alarm}"),
            Self::Needs(id, job_type, state) => {
                write!(f, "waits for job {id} ({job_type}), which is {state}")
            }
            Self::Running(id, job_type) => write!(f, "waits for job {id} ({job_type}), which is running"),
            Self::Until(at) => write!(f, "waits until {}", rfc3339(*at)),
            Self::Before(id, job_type) => write!(f, "waits for job {id} ({job_type}), which comes first"),
            Self::NeverSeen => {
                f.write_str("the client's agent has never been seen: boot the machine over the network")
            }
            Self::Offline(at) => write!(f, "client offline since {}", rfc3339(*at)),
            Self::Installer => {
                f.write_str("waits for the installer: restart the machine, and let it boot over the network")
            }
            Self::System => f.write_str("waits for the installed system to start"),
            Self::NextPoll => f.write_str("is handed to the agent at its next poll"),
            Self::Told(text) => f.write_str(text),
        }
    }
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Told)
    }
}

/// For what a job waits, or `None` when it does not wait.
pub fn waits_for(job: &Job, around: &Surroundings, now: i64) -> Option<Wait> {
    match job.state {
        JobState::Held => Some(Wait::Held(job.reason.clone())),
        JobState::Queued => Some(queued_waits_for(job, around, now)),
        JobState::Running
        | JobState::Succeeded
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => None,
    }
}

fn queued_waits_for(job: &Job, around: &Surroundings, now: i64) -> Wait {
    if let Some(alarm) = &around.alarm {
        return Wait::Alarm(alarm.clone());
    }
    if let Some((id, job_type, state)) = around.needs.first() {
        return Wait::Needs(*id, job_type.clone(), *state);
    }
    if let Some((id, job_type)) = &around.running {
        return Wait::Running(*id, job_type.clone());
    }
    if let Some(at) = job.not_before.filter(|at| *at > now) {
        return Wait::Until(at);
    }
    if let Some((id, job_type)) = &around.before {
        return Wait::Before(*id, job_type.clone());
    }
    match (around.last_seen_at, around.online) {
        (None, _) => Wait::NeverSeen,
        (Some(at), false) => Wait::Offline(at),
        (Some(_), true) => match (job.realm, around.realm) {
            (Some(wanted), Some(found)) if wanted != found => match wanted {
                Realm::Installer => Wait::Installer,
                Realm::System | Realm::Unknown => Wait::System,
            },
            _ => Wait::NextPoll,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_tells_a_reason_in_words_and_reads_it_as_told() {
        let reason = Wait::Needs(JobId(3), "storage".to_owned(), JobState::Running);
        let text = serde_json::to_value(&reason).unwrap();
        assert_eq!(text, "waits for job 3 (storage), which is running");
        assert_eq!(serde_json::from_value::<Wait>(text.clone()).unwrap().to_string(), text);
    }
}
