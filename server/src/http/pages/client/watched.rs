//! Which of a client's jobs is looked at first: the order in which they are listed, and whose output is shown.

use serde::Serialize;

use super::super::words::{as_json, job_title, step_title};
use crate::{
    app::{
        Error,
        job_records::{self, JobRecord},
    },
    context::Ctx,
    db::Tx,
    domain::job::{Job, JobState},
};

/// The attempt whose output is shown.
#[derive(Serialize)]
pub(super) struct Watched {
    attempt: i64,
    job: i64,
    title: String,
    /// Titles of its steps by their ids, as JSON.
    steps: String,
}

/// What runs, else what ran last; the newest job is neither while a chain before it runs.
pub(super) async fn find(
    ctx: &Ctx,
    tx: &mut Tx,
    language: &str,
    records: &[JobRecord],
) -> Result<Option<Watched>, Error> {
    let mut latest: Vec<&Job> = records.iter().map(|record| &record.job).collect();
    latest.sort_by_key(|job| (job.state != JobState::Running, std::cmp::Reverse(job.finished_at)));
    for job in latest {
        let attempts = job_records::attempts_of(tx, job.id).await?;
        let Some(attempt) = attempts.last() else { continue };
        let title = job_title(ctx, language, &job.job_type);
        let declared = ctx.catalog.job_type(&job.job_type);
        let steps = declared.iter().flat_map(|declared| &declared.steps).map(|step| {
            let own = step_title(ctx, language, &job.job_type, &step.id);
            (step.id.clone(), if own.is_empty() { title.clone() } else { own })
        });
        let steps = as_json(steps);
        return Ok(Some(Watched { attempt: attempt.id.0, job: job.id.0, title, steps }));
    }
    Ok(None)
}

/// What runs comes first, then what waits in the order in which it will run, then what is over, newest first.
pub(super) fn in_reading_order(job: &Job) -> (u8, i64, i64) {
    match job.state {
        JobState::Running => (0, 0, job.id.0),
        state if state.is_final() => (2, 0, -job.id.0),
        _ => (1, job.priority, job.id.0),
    }
}
