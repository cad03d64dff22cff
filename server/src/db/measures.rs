//! What is counted about the whole site, by indexes alone: it is asked for several times a minute.

use super::{Error, Tx, args};
use crate::domain::job::{AttemptState, JobState};

/// Jobs of one type and state that have not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJobs {
    /// The type.
    pub job_type: String,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: i64,
}

/// Jobs that have not ended, by type and state.
pub async fn open_jobs(tx: &mut Tx) -> Result<Vec<OpenJobs>, Error> {
    let sql = "SELECT job_type, state, count(*) AS count FROM jobs WHERE state IN ('held', 'queued', 'running') \
               GROUP BY job_type, state ORDER BY job_type, state";
    let rows = tx.all(sql, []).await?;
    rows.iter()
        .map(|row| {
            Ok(OpenJobs {
                job_type: row.text("job_type")?,
                state: row.parsed("state")?,
                count: row.int("count")?,
            })
        })
        .collect()
}

/// Since when the oldest job waits that could run now.
pub async fn oldest_due(tx: &mut Tx, now: i64) -> Result<Option<i64>, Error> {
    let sql = "SELECT min(coalesce(not_before, created_at)) AS at FROM jobs \
               WHERE state = 'queued' AND (not_before IS NULL OR not_before <= $1)";
    tx.optional(sql, args![now]).await?.map_or(Ok(None), |row| row.opt_int("at"))
}

/// Attempts that ended in a span of time, by job type and outcome.
pub async fn ended(tx: &mut Tx, after: i64, until: i64) -> Result<Vec<(String, AttemptState, i64)>, Error> {
    let sql = "SELECT j.job_type, a.state, count(*) AS count FROM attempts a JOIN jobs j ON j.id = a.job_id \
               WHERE a.finished_at > $1 AND a.finished_at <= $2 GROUP BY j.job_type, a.state ORDER BY j.job_type, a.state";
    let rows = tx.all(sql, args![after, until]).await?;
    rows.iter().map(|row| Ok((row.text("job_type")?, row.parsed("state")?, row.int("count")?))).collect()
}
