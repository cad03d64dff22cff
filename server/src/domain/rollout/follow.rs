//! How a client stands, from its jobs.

use crate::domain::job::JobState;

use super::words::RolloutClientState;

/// A job of a client, in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSeen {
    /// Its state.
    pub state: JobState,
    /// How it ended, or why it waits.
    pub reason: String,
}

/// How a client stands, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// How.
    pub state: RolloutClientState,
    /// Why, where that is worth telling.
    pub reason: String,
}

/// How a client stands whose jobs these are. What was not begun in time waits again: its window closed, not its chance.
pub fn follow(jobs: &[JobSeen]) -> Followed {
    let first = |states: &[JobState]| jobs.iter().find(|job| states.contains(&job.state));
    let found = |state, job: Option<&JobSeen>| Followed {
        state,
        reason: job.map(|job| job.reason.clone()).unwrap_or_default(),
    };
    let begun = first(&[JobState::Succeeded]).is_some();
    if jobs.is_empty() {
        return Followed { state: RolloutClientState::Cancelled, reason: "its jobs were removed".to_owned() };
    }
    if let Some(job) = first(&[JobState::Failed]) {
        return found(RolloutClientState::Failed, Some(job));
    }
    if let Some(job) = first(&[JobState::Expired]) {
        let state = if begun { RolloutClientState::Failed } else { RolloutClientState::Waiting };
        return found(state, Some(job));
    }
    // What needed a job that failed is cancelled with it, so a cancelled one here was cancelled by somebody.
    if let Some(job) = first(&[JobState::Cancelled]) {
        return found(RolloutClientState::Cancelled, Some(job));
    }
    if jobs.iter().all(|job| job.state == JobState::Succeeded) {
        return found(RolloutClientState::Succeeded, None);
    }
    if begun || first(&[JobState::Running]).is_some() {
        return found(RolloutClientState::Running, None);
    }
    match first(&[JobState::Held]) {
        Some(job) => found(RolloutClientState::Held, Some(job)),
        None => found(RolloutClientState::Queued, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(states: &[JobState]) -> RolloutClientState {
        let jobs: Vec<_> =
            states.iter().map(|state| JobSeen { state: *state, reason: String::new() }).collect();
        follow(&jobs).state
    }

    #[test]
    fn a_client_stands_as_its_jobs_do() {
        use JobState as J;
        use RolloutClientState as C;
        assert_eq!(state(&[J::Queued, J::Queued]), C::Queued);
        assert_eq!(state(&[J::Succeeded, J::Queued]), C::Running, "between two jobs it is at work");
        assert_eq!(state(&[J::Succeeded, J::Succeeded]), C::Succeeded);
        assert_eq!(state(&[J::Failed, J::Cancelled]), C::Failed);
        assert_eq!(state(&[J::Expired, J::Cancelled]), C::Waiting, "it comes again in the next window");
        assert_eq!(state(&[J::Succeeded, J::Expired]), C::Failed, "half of the work is no success");
        assert_eq!(state(&[J::Cancelled]), C::Cancelled);
        assert_eq!(state(&[J::Held, J::Queued]), C::Held);
        assert_eq!(state(&[]), C::Cancelled);
    }
}
