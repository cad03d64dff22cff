//! What a run has left: what the database says, and what the machines did.

use agent::host::fake::{FakeEnd, FakeProcess};
use anyhow::{Result, ensure};
use server::{
    db::{Db, attempts, jobs},
    domain::job::{Attempt, Job},
};
use wire::{AttemptId, ClientId, JobId, event::Event};

pub use server::db::jobs::HistoryLine;

/// A run that is over.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The machines.
    pub machines: Vec<MachineRecord>,
    /// The jobs that were ordered, as far as their clients still exist.
    pub jobs: Vec<JobRecord>,
}

/// What one machine did.
#[derive(Clone, Debug)]
pub struct MachineRecord {
    /// Its client.
    pub client: ClientId,
    /// All that ran on it.
    pub processes: Vec<FakeProcess>,
    /// Nothing happened to it but a bad network and a server that died.
    pub is_calm: bool,
}

/// What became of one job.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// What was ordered.
    pub order: Ordered,
    /// The job; `None` when the database has lost it.
    pub job: Option<Job>,
    /// Every change of its state.
    pub history: Vec<HistoryLine>,
    /// Its attempts with what was reported.
    pub attempts: Vec<AttemptRecord>,
}

/// An attempt and what was reported of it.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// The attempt.
    pub attempt: Attempt,
    /// Everything that is stored of it.
    pub events: Vec<Event>,
}

/// What was ordered, and what has to come of it when nothing interferes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The job.
    pub id: JobId,
    /// For whom.
    pub client: ClientId,
    /// Scripts in its plan.
    pub scripts: usize,
    /// How its last script ends.
    pub status: i32,
    /// Attempts that end with "try again later" before.
    pub busy: u64,
    /// Somebody cancelled it, perhaps too late.
    pub cancelled: bool,
    /// It needs other jobs, so it may be cancelled with them.
    pub needs: bool,
}

/// A process of a script step, with the attempt to which it belongs.
pub(super) fn script_attempt(process: &FakeProcess) -> Option<AttemptId> {
    let path = process.command.argv.last()?;
    path.strip_prefix("/run/lotse-step-")?.strip_suffix(".sh")?.parse().ok()
}

/// The process ended by itself and well.
pub(super) fn ended_well(process: &FakeProcess) -> bool {
    matches!(process.ended, Some((_, FakeEnd::Status(0))))
}

impl MachineRecord {
    /// The script processes of an attempt, in order.
    pub fn scripts_of(&self, attempt: AttemptId) -> Vec<&FakeProcess> {
        self.processes.iter().filter(|process| script_attempt(process) == Some(attempt)).collect()
    }
}

impl Record {
    /// The machine of a client.
    pub fn machine(&self, client: ClientId) -> Option<&MachineRecord> {
        self.machines.iter().find(|machine| machine.client == client)
    }

    /// Every attempt with its job.
    pub fn attempts(&self) -> impl Iterator<Item = (&JobRecord, &AttemptRecord)> {
        self.jobs.iter().flat_map(|job| job.attempts.iter().map(move |attempt| (job, attempt)))
    }
}

/// Reads what became of jobs.
///
/// # Errors
/// The database refuses.
pub async fn read_jobs(db: &Db, ordered: &[Ordered]) -> Result<Vec<JobRecord>> {
    let mut tx = db.read().await?;
    let mut records = Vec::new();
    for order in ordered {
        let mut found = Vec::new();
        for attempt in attempts::list(&mut tx, order.id).await? {
            let events = attempts::events(&mut tx, attempt.id, 0, i64::MAX).await?;
            ensure!(attempt.client == order.client, "attempt {} is on another client", attempt.id);
            found.push(AttemptRecord { attempt, events });
        }
        records.push(JobRecord {
            order: order.clone(),
            job: jobs::find(&mut tx, order.id).await?,
            history: jobs::history(&mut tx, order.id).await?,
            attempts: found,
        });
    }
    Ok(records)
}
