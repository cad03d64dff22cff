//! What a site is measured by: asked for when somebody scrapes, kept nowhere.

use super::{
    Error,
    cache::{self, CacheStatus},
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        measures::{self, OpenJobs},
        overview,
    },
    domain::{client::Stage, job::AttemptState},
};

/// What is younger may not be committed yet, and is counted the next time.
const SETTLED: i64 = 5 * SECOND;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Clients by stage.
    pub stages: Vec<(Stage, i64)>,
    /// Clients whose agent was heard a moment ago, by this node.
    pub connected: i64,
    /// Jobs that have not ended.
    pub open: Vec<OpenJobs>,
    /// How long the oldest job that is due has waited, in seconds.
    pub oldest_s: i64,
    /// Attempts that ended after `ended_after` and until `ended_until`, by job type and outcome.
    pub ended: Vec<(String, AttemptState, i64)>,
    /// The package cache of this node.
    pub cache: CacheStatus,
    /// Where the span begins.
    pub ended_after: i64,
    /// Where it ends.
    pub ended_until: i64,
}

/// Looks.
///
/// # Errors
/// The database refuses.
pub async fn measure(ctx: &Ctx) -> Result<Measured, Error> {
    let now = ctx.now();
    let ended_after = ctx.metrics.counted_until();
    let ended_until = (now - SETTLED).max(ended_after);
    let mut tx = ctx.db.read().await?;
    let oldest = measures::oldest_due(&mut tx, now).await?;
    Ok(Measured {
        stages: overview::stages(&mut tx, &crate::domain::reach::Sees::Everything).await?,
        connected: ctx.presence.connected(now),
        open: measures::open_jobs(&mut tx).await?,
        oldest_s: oldest.map_or(0, |at| (now - at) / SECOND),
        ended: measures::ended(&mut tx, ended_after, ended_until).await?,
        cache: cache::status(ctx),
        ended_after,
        ended_until,
    })
}
