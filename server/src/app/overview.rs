//! What somebody who comes to work wants to know first.
//!
//! Invariant: it costs the same however many jobs there were: counts of hours that are over are kept, everything else is few rows by
//! indexes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::Error;
pub use crate::db::overview::Happened;
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx,
        overview::{self as rows, Few},
    },
    domain::{
        client::Stage,
        client_status::ONLINE_FOR,
        job::{Attempt, JobState},
        reach::Sees,
    },
};

/// Most entries of what runs and of what has happened.
const ENTRIES: i64 = 20;
/// Most entries of one kind of concern.
const FIRST: i64 = 6;
/// A failure is news for this long.
const NEWS_FOR: i64 = 24 * HOUR;
/// An installation that is not heard for this long is stuck: a machine restarts in less.
const STUCK_AFTER: i64 = 15 * 60 * SECOND;
const HOUR: i64 = 3600 * SECOND;
const HOURS: i64 = 24;
/// Days of the chart.
pub const DAYS: i64 = 14;
/// Transactions that began in an hour have ended so long after it.
const SETTLED_AFTER: i64 = 2 * 60 * SECOND;

/// The first page.
pub struct Overview {
    /// How many clients are in each stage.
    pub stages: Vec<(Stage, i64)>,
    /// What needs somebody now, the most urgent first; kinds of which there is none are left out.
    pub concerns: Vec<Concern>,
    /// How many jobs run.
    pub running_count: i64,
    /// The newest of them.
    pub running: Vec<Running>,
    /// What has happened last, newest first.
    pub happened: Vec<Happened>,
    /// Jobs that ended on each of the last days, the last one is today (UTC).
    pub days: Vec<Day>,
}

/// Clients or jobs of one kind that need somebody.
pub struct Concern {
    /// Why.
    pub kind: ConcernKind,
    /// How many, and the first of them.
    pub few: Few,
    /// The search that finds them.
    pub search: String,
}

/// Why a client needs somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcernKind {
    /// An alarm stops it.
    Alarm,
    /// Its installation has failed.
    Broken,
    /// Its installation is not heard.
    Stuck,
    /// A job has failed.
    Failed,
    /// A job waits for acceptance.
    Held,
    /// It waits for adoption.
    Discovered,
    /// It is installed and not heard.
    Offline,
    /// Its agent is older than the one that this server has.
    OldAgent,
}

impl ConcernKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Broken => "broken",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Discovered => "discovered",
            Self::Offline => "offline",
            Self::OldAgent => "old-agent",
        }
    }

    /// The search that finds these clients; `agent`: the version that this server has.
    pub fn search(self, agent: &str) -> String {
        let fixed = match self {
            Self::OldAgent => return format!("stage:installed agent<{agent}"),
            Self::Alarm => "health:critical",
            Self::Broken => "stage:installing health:critical",
            Self::Stuck => "stage:installing seen>15m",
            Self::Failed => "failed<1d",
            Self::Held => "activity:waiting",
            Self::Discovered => "stage:discovered",
            Self::Offline => "health:offline",
        };
        fixed.to_owned()
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

/// Jobs that ended on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// When it began (UTC).
    pub at: i64,
    /// How they ended.
    pub ended: Ended,
}

/// How many jobs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Well.
    pub succeeded: i64,
    /// Badly.
    pub failed: i64,
    /// Cancelled or expired.
    pub other: i64,
}

impl Ended {
    fn add(&mut self, state: JobState, count: i64) {
        match state {
            JobState::Succeeded => self.succeeded += count,
            JobState::Failed => self.failed += count,
            JobState::Held
            | JobState::Queued
            | JobState::Running
            | JobState::Cancelled
            | JobState::Expired => self.other += count,
        }
    }
}

/// Counts of hours that are over, by the hour's number: they do not change any more.
#[derive(Default)]
pub struct EndedJobs(Mutex<BTreeMap<i64, Ended>>);

impl EndedJobs {
    /// The last days. What is not known yet is counted once and kept.
    async fn days(&self, tx: &mut Tx, now: i64) -> Result<Vec<Day>, Error> {
        self.days_of(tx, &Sees::Everything, now).await
    }

    async fn days_of(&self, tx: &mut Tx, sees: &Sees, now: i64) -> Result<Vec<Day>, Error> {
        let today = now.div_euclid(HOURS * HOUR);
        let first = (today - DAYS + 1) * HOURS;
        // Hours before this one are settled.
        let settled = (now - SETTLED_AFTER).div_euclid(HOUR);
        let known: BTreeMap<i64, Ended> = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = kept.split_off(&first);
            kept.clone()
        };
        let from = (first..settled).find(|hour| !known.contains_key(hour)).unwrap_or(settled);
        let mut counted: BTreeMap<i64, Ended> =
            (from..settled).map(|hour| (hour, Ended::default())).collect();
        for (hour, state, count) in rows::ended(tx, sees, from * HOUR, i64::MAX).await? {
            counted.entry(hour).or_default().add(state, count);
        }
        let mut days: Vec<Day> = (0..DAYS)
            .map(|day| Day { at: (today - DAYS + 1 + day) * HOURS * HOUR, ..Day::default() })
            .collect();
        for (hour, ended) in known.range(..from).chain(&counted) {
            let day =
                usize::try_from((hour - first).div_euclid(HOURS)).ok().and_then(|day| days.get_mut(day));
            if let Some(day) = day {
                day.ended.succeeded += ended.succeeded;
                day.ended.failed += ended.failed;
                day.ended.other += ended.other;
            }
        }
        counted.retain(|hour, _| *hour < settled);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(counted);
        Ok(days)
    }
}

/// Collects it, from the clients that somebody sees.
///
/// # Errors
/// The database refuses.
pub async fn look(ctx: &Ctx, sees: &Sees) -> Result<Overview, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.read().await?;
    let tx = &mut tx;
    let agent = super::images::agent_version(tx).await?;
    let all = [
        (ConcernKind::Alarm, rows::alarms(tx, sees, FIRST).await?),
        (ConcernKind::Broken, rows::broken(tx, sees, FIRST).await?),
        (ConcernKind::Stuck, rows::stuck(tx, sees, now - STUCK_AFTER, FIRST).await?),
        (ConcernKind::Failed, rows::failed(tx, sees, now - NEWS_FOR, FIRST).await?),
        (ConcernKind::Held, rows::held(tx, sees, FIRST).await?),
        (ConcernKind::Discovered, rows::discovered(tx, sees, FIRST).await?),
        (ConcernKind::Offline, rows::offline(tx, sees, now - ONLINE_FOR, FIRST).await?),
        (ConcernKind::OldAgent, rows::old_agents(tx, sees, &agent, FIRST).await?),
    ];
    let concerns = all.into_iter().filter(|(_, few)| few.count > 0);
    let search = |kind: ConcernKind| kind.search(&agent);
    let running = rows::running(tx, sees, ENTRIES).await?;
    Ok(Overview {
        stages: rows::stages(tx, sees).await?,
        concerns: concerns.map(|(kind, few)| Concern { kind, few, search: search(kind) }).collect(),
        running_count: rows::running_count(tx, sees).await?,
        running: running
            .into_iter()
            .map(|(client, job_type, attempt)| Running { client, job_type, attempt })
            .collect(),
        happened: rows::happened(tx, sees, ENTRIES).await?,
        days: match sees {
            Sees::Everything => ctx.ended.days(tx, now).await?,
            // Nothing of it is kept: who is in a group changes, and with it what has happened there.
            Sees::Groups(_) => EndedJobs::default().days_of(tx, sees, now).await?,
        },
    })
}
