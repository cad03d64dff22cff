//! What somebody who comes to work wants to know first.

use super::Error;
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{events::ServerEvent, overview as rows},
    domain::{client::Stage, job::Attempt, reach::Sees},
};

/// Most entries of each list.
const ENTRIES: i64 = 20;
/// A failure is news for this long.
const NEWS_FOR: i64 = 24 * 3600 * SECOND;

/// The first page.
pub struct Overview {
    /// How many clients are in each stage.
    pub stages: Vec<(Stage, i64)>,
    /// What needs somebody now, the most urgent first.
    pub concerns: Vec<Concern>,
    /// What is running, newest first.
    pub running: Vec<Running>,
    /// What has happened last, newest first, with the client's name.
    pub happened: Vec<(ServerEvent, Option<String>)>,
}

/// A client that needs somebody.
pub struct Concern {
    /// Its name.
    pub client: String,
    /// Why, as a kind.
    pub kind: ConcernKind,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub at: Option<i64>,
}

/// Why a client needs somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcernKind {
    /// An alarm stops it.
    Alarm,
    /// It waits for adoption.
    Discovered,
    /// A job waits for acceptance.
    Held,
    /// A job has failed.
    Failed,
}

impl ConcernKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Discovered => "discovered",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }
}

/// A job that runs.
pub struct Running {
    /// On which client.
    pub client: String,
    /// Its type.
    pub job_type: String,
    /// The attempt.
    pub attempt: Attempt,
}

/// Collects it, of the clients that somebody sees.
///
/// # Errors
/// The database refuses.
pub async fn look(ctx: &Ctx, sees: &Sees) -> Result<Overview, Error> {
    let mut tx = ctx.db.read().await?;
    let concern = |kind| {
        move |(client, reason, at): (String, String, Option<i64>)| Concern { client, kind, reason, at }
    };
    let mut concerns: Vec<Concern> =
        rows::alarms(&mut tx, sees, ENTRIES).await?.into_iter().map(concern(ConcernKind::Alarm)).collect();
    let discovered = rows::discovered(&mut tx, sees, ENTRIES).await?;
    concerns.extend(discovered.into_iter().map(concern(ConcernKind::Discovered)));
    concerns.extend(rows::held(&mut tx, sees, ENTRIES).await?.into_iter().map(concern(ConcernKind::Held)));
    let since = ctx.now() - NEWS_FOR;
    concerns.extend(
        rows::failed(&mut tx, sees, since, ENTRIES).await?.into_iter().map(concern(ConcernKind::Failed)),
    );
    let running = rows::running(&mut tx, sees, ENTRIES).await?;
    Ok(Overview {
        stages: rows::stages(&mut tx, sees).await?,
        concerns,
        running: running
            .into_iter()
            .map(|(client, job_type, attempt)| Running { client, job_type, attempt })
            .collect(),
        happened: rows::happened(&mut tx, sees, ENTRIES).await?,
    })
}
