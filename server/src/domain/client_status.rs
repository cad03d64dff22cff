//! What a client does and how it is: two of the three answers that every client gives (the third is its stage). Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::JobId;

use super::{
    client::Stage,
    job::{Attempt, Job, JobState, Wait},
};

/// An agent counts as connected for this long after its last word, in microseconds.
pub const ONLINE_FOR: i64 = 150 * crate::clock::SECOND;

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Activity {
    /// Nothing is to be done.
    Idle,
    /// A job waits.
    Waiting {
        /// Which job.
        job: JobId,
        /// Its type.
        job_type: String,
        /// For what.
        #[schema(value_type = String)]
        reason: Wait,
    },
    /// A job runs.
    Working {
        /// Which job.
        job: JobId,
        /// Its type.
        job_type: String,
        /// Which step of it.
        step: String,
        /// How far the step is, 0 to 100.
        percent: i64,
        /// What the step says.
        message: String,
    },
}

/// How a client is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Health {
    /// Nothing is wrong.
    Ok,
    /// Somebody should look.
    Warning {
        /// Why.
        reason: String,
    },
    /// Somebody must look.
    Critical {
        /// Why.
        reason: String,
    },
    /// Its agent is not heard.
    Offline {
        /// Since when; absent when it was never heard.
        since_at: Option<i64>,
    },
}

/// From which the health is told.
pub struct Signs {
    /// The client's stage.
    pub stage: Stage,
    /// Its alarm.
    pub alarm: Option<String>,
    /// Its agent is heard.
    pub online: bool,
    /// When its agent was last heard.
    pub last_seen_at: Option<i64>,
    /// Its last job that ended has failed: which, and why.
    pub failed: Option<(JobId, String, String)>,
}

/// What a client does, by its first open job.
pub fn activity(next: Option<&Job>, running: Option<&Attempt>, waits: Option<Wait>) -> Activity {
    let Some(job) = next else { return Activity::Idle };
    if let Some(attempt) = running {
        let job_type = if job.id == attempt.job { job.job_type.clone() } else { String::new() };
        return Activity::Working {
            job: attempt.job,
            job_type,
            step: attempt.step.clone(),
            percent: attempt.percent,
            message: attempt.message.clone(),
        };
    }
    if job.state == JobState::Running {
        return Activity::Working {
            job: job.id,
            job_type: job.job_type.clone(),
            step: String::new(),
            percent: 0,
            message: String::new(),
        };
    }
    Activity::Waiting { job: job.id, job_type: job.job_type.clone(), reason: waits.unwrap_or(Wait::NextPoll) }
}

/// How a client is.
pub fn health(signs: &Signs) -> Health {
    if let Some(alarm) = &signs.alarm {
        return Health::Critical { reason: alarm.clone() };
    }
    if let Some((job, job_type, reason)) = &signs.failed {
        let reason = format!("job {job} ({job_type}) failed: {reason}");
        return match signs.stage {
            Stage::Installing => Health::Critical { reason },
            Stage::Registered | Stage::Discovered | Stage::Installed | Stage::Retired => {
                Health::Warning { reason }
            }
        };
    }
    match signs.stage {
        Stage::Installed if !signs.online => Health::Offline { since_at: signs.last_seen_at },
        Stage::Registered | Stage::Discovered | Stage::Installing | Stage::Installed | Stage::Retired => {
            Health::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs() -> Signs {
        Signs { stage: Stage::Installed, alarm: None, online: true, last_seen_at: Some(5), failed: None }
    }

    #[test]
    fn an_alarm_comes_before_everything_else() {
        let signs = Signs { alarm: Some("stolen token".to_owned()), online: false, ..signs() };
        assert_eq!(health(&signs), Health::Critical { reason: "stolen token".to_owned() });
    }

    #[test]
    fn an_installed_client_that_is_silent_is_offline_since_its_last_word() {
        assert_eq!(health(&signs()), Health::Ok);
        assert_eq!(health(&Signs { online: false, ..signs() }), Health::Offline { since_at: Some(5) });
        assert_eq!(health(&Signs { online: false, stage: Stage::Registered, ..signs() }), Health::Ok);
    }

    #[test]
    fn a_failed_job_makes_an_installation_critical() {
        let failed = Some((JobId(3), "storage".to_owned(), "no disk".to_owned()));
        assert!(matches!(health(&Signs { failed: failed.clone(), ..signs() }), Health::Warning { .. }));
        assert!(matches!(
            health(&Signs { failed, stage: Stage::Installing, ..signs() }),
            Health::Critical { .. }
        ));
    }
}
