//! Rollouts: shown first, made, looked at. `control` is what people do with one, `runner` what the server does by itself.
//!
//! Invariant: what a rollout does next is decided by `domain::rollout` alone, from what the database holds.

mod control;
mod give;
mod runner;
mod schedules;
mod target;

use serde_json::json;
use wire::problem::FieldProblem;

use super::{
    Error,
    jobs::{self, JobOrder},
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, audit,
        rollouts::{self, NewRollout, Rollout, RolloutEvent, members},
    },
    domain::{
        approval::Risk,
        batch::Skip,
        rollout::{
            Counts, Progress, RolloutClientState, RolloutSpec, RolloutState, RolloutWork, Window, split,
        },
    },
};

pub use self::{
    control::{cancel, halt, pause, resume, retry, start},
    runner::{Looks, work},
    schedules::{
        ScheduleChange, ScheduleOrder, ScheduleView, change as change_schedule, delete as delete_schedule,
        list as list_schedules, schedule,
    },
};
pub use crate::db::rollouts::members::{Members, RolloutCause, RolloutMember};

/// Longest title.
const TITLE: usize = 120;
/// Causes that are shown.
const CAUSES: i64 = 20;
/// Clients that are shown of each cause.
const OF_CAUSE: i64 = 10;
/// Lines of history that are shown.
const HISTORY: i64 = 200;
/// Names that are shown of each wave.
const EXAMPLES: usize = 20;

/// A rollout that somebody wants.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutOrder {
    /// What people call it.
    pub title: String,
    /// What is rolled out, to whom, and how carefully.
    pub spec: RolloutSpec,
    /// Only show what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a rollout would do if it were started now.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutPreview {
    /// How many clients are meant.
    pub clients: i64,
    /// How many of them are offline now.
    pub offline: i64,
    /// The waves.
    pub waves: Vec<RolloutWavePreview>,
    /// Those for which it makes no sense as they are now, by reason.
    pub skipped: Vec<RolloutSkipped>,
    /// Whether it destroys something.
    pub destructive: bool,
    /// Whether work may begin now, and until when that is so.
    pub window: RolloutWindow,
    /// A second person has to approve the start.
    pub needs_approval: bool,
}

/// A wave as it would be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutWavePreview {
    /// How large it is wanted, such as `10%`.
    pub size: String,
    /// How many clients that are.
    pub clients: i64,
    /// The first of them.
    pub names: Vec<String>,
}

/// Clients for which a rollout makes no sense, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutSkipped {
    /// Why.
    pub reason: Skip,
    /// How many.
    pub count: i64,
}

/// Whether work may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutWindow {
    /// It may.
    pub open: bool,
    /// Until when that is so; absent when it does not change soon.
    pub until: Option<i64>,
}

impl From<Window> for RolloutWindow {
    fn from(window: Window) -> Self {
        match window {
            Window::Open { until } => Self { open: true, until },
            Window::Closed { until } => Self { open: false, until },
        }
    }
}

/// A rollout in a list.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutSummary {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// Its clients.
    pub counts: Counts,
}

/// A wave as it stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutWaveView {
    /// From 1.
    pub number: i64,
    /// How large it is wanted; empty for a wave of latecomers.
    pub size: String,
    /// Its clients.
    pub counts: Counts,
    /// When it began.
    pub started_at: Option<i64>,
    /// When it was good enough to go on.
    pub settled_at: Option<i64>,
    /// It soaks until then.
    pub soaks_until: Option<i64>,
    /// It begins only when somebody resumes the rollout.
    pub pause: bool,
}

/// For what a rollout waits, or what it does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RolloutDoing {
    /// Nobody has started it.
    Planned,
    /// Agents work.
    Working {
        /// How many clients have an open job.
        clients: i64,
    },
    /// Its window is closed.
    Window {
        /// It opens then; absent when that is far away.
        opens_at: Option<i64>,
    },
    /// A wave soaks.
    Soaking {
        /// Which, from 1.
        wave: i64,
        /// Until then.
        until: i64,
    },
    /// Those whose turn it is are offline.
    Offline {
        /// How many.
        clients: i64,
    },
    /// It does not run: `why` says why.
    Stopped,
    /// It is at its end.
    Ended,
}

impl std::fmt::Display for RolloutDoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = crate::clock::rfc3339;
        match self {
            Self::Planned => f.write_str("nobody has started it"),
            Self::Working { clients } => write!(f, "{clients} clients are at work"),
            Self::Window { opens_at: Some(at) } => {
                write!(f, "waits for its window, which opens at {}", time(*at))
            }
            Self::Window { opens_at: None } => f.write_str("waits for its window, which does not open soon"),
            Self::Soaking { wave, until } => write!(f, "wave {wave} soaks until {}", time(*until)),
            Self::Offline { clients } => write!(f, "waits for {clients} clients that are offline"),
            Self::Stopped => f.write_str("it does not run"),
            Self::Ended => f.write_str("it is at its end"),
        }
    }
}

/// A rollout with everything that one looks at.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RolloutView {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// Why it does not run, in words.
    pub reason: String,
    /// For what it waits, or what it does.
    pub doing: RolloutDoing,
    /// All clients.
    pub counts: Counts,
    /// Its waves.
    pub waves: Vec<RolloutWaveView>,
    /// Why clients failed, the most frequent causes first.
    pub causes: Vec<RolloutCause>,
    /// Whether work may begin now.
    pub window: RolloutWindow,
    /// What happened to it, oldest first.
    pub history: Vec<RolloutEvent>,
}

/// A rollout that must exist.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, id: i64) -> Result<Rollout, Error> {
    rollouts::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("rollout {id}")))
}

/// Whether work of a rollout may begin at a time.
pub(super) fn window(spec: &RolloutSpec, now: i64) -> Window {
    match spec.windows.read() {
        Ok(hours) => hours.at(now),
        // A newer program wrote what this one cannot read: better never than at the wrong time.
        Err(_) => Window::Closed { until: None },
    }
}

/// Refuses a specification that cannot be carried out, whoever it is for; puts the parameters of its jobs into the form that they are
/// kept in.
pub(super) fn check(ctx: &Ctx, spec: &mut RolloutSpec) -> Result<(), Error> {
    let mut fields: Vec<FieldProblem> = spec
        .problems()
        .into_iter()
        .map(|problem| FieldProblem { field: problem.field, message: problem.message })
        .collect();
    if let RolloutWork::Jobs { jobs: wanted } = &mut spec.work {
        for (at, job) in wanted.iter_mut().enumerate() {
            let order = JobOrder {
                job_type: job.job_type.clone(),
                params: if job.params.is_null() { json!({}) } else { job.params.clone() },
                ..JobOrder::default()
            };
            let place = format!("work.jobs[{at}]");
            match jobs::check_type(ctx, &order) {
                Ok((_, params)) => job.params = params,
                Err(Error::Invalid { fields: wrong, .. }) => {
                    fields.extend(wrong.into_iter().map(|problem| FieldProblem {
                        field: format!("{place}.{}", problem.field),
                        message: problem.message,
                    }));
                }
                Err(error) => {
                    fields.push(FieldProblem {
                        field: format!("{place}.job_type"),
                        message: error.to_string(),
                    });
                }
            }
        }
    }
    if fields.is_empty() {
        Ok(())
    } else {
        Err(Error::fields("the rollout cannot be carried out so", fields))
    }
}

/// What a second person may have to approve about it.
pub(super) fn risk(spec: &RolloutSpec) -> Option<Risk> {
    match &spec.work {
        RolloutWork::Reinstall => Some(Risk::InstallOver),
        RolloutWork::Jobs { jobs } => jobs.iter().find_map(|job| Risk::of_job_type(&job.job_type)),
    }
}

/// Whether it destroys something.
fn destroys(ctx: &Ctx, spec: &RolloutSpec) -> bool {
    match &spec.work {
        RolloutWork::Reinstall => true,
        RolloutWork::Jobs { jobs } => {
            jobs.iter().any(|job| ctx.catalog.job_type(&job.job_type).is_some_and(|found| found.destructive))
        }
    }
}

/// Shows what a rollout would do.
///
/// # Errors
/// It cannot be carried out.
pub async fn preview(ctx: &Ctx, order: &RolloutOrder) -> Result<RolloutPreview, Error> {
    let mut spec = order.spec.clone();
    check(ctx, &mut spec)?;
    let mut tx = ctx.db.read().await?;
    let now = ctx.now();
    let mut ids = target::choose(ctx, &mut tx, &spec).await?;
    // A rollout that does not exist has no number: whoever looks again sees the same order.
    target::sort(&spec, 0, &mut ids);
    let total = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let parts = split(total, &spec.waves.iter().map(|wave| wave.size).collect::<Vec<_>>());
    let mut rest = ids.iter().copied();
    let mut waves = Vec::with_capacity(parts.len());
    for (wave, clients) in spec.waves.iter().zip(&parts) {
        let of_wave: Vec<_> = rest.by_ref().take(usize::try_from(*clients).unwrap_or(0)).collect();
        let first = of_wave.get(..of_wave.len().min(EXAMPLES)).unwrap_or_default();
        let known = members::names(&mut tx, first).await?;
        let names = first.iter().filter_map(|id| known.get(id).cloned()).collect();
        waves.push(RolloutWavePreview { size: wave.size.to_string(), clients: *clients, names });
    }
    let (offline, skipped) = target::look(ctx, &mut tx, &spec, &ids).await?;
    Ok(RolloutPreview {
        clients: total,
        offline,
        waves,
        skipped,
        destructive: destroys(ctx, &spec),
        window: window(&spec, now).into(),
        needs_approval: spec.approve_start,
    })
}

/// Makes a rollout; nothing happens before it is started.
///
/// # Errors
/// It cannot be carried out.
pub async fn create(ctx: &Ctx, order: &RolloutOrder, actor: &str) -> Result<i64, Error> {
    let mut spec = order.spec.clone();
    check(ctx, &mut spec)?;
    let title = order.title.trim();
    if title.is_empty() || title.chars().count() > TITLE || title.chars().any(char::is_control) {
        let message = format!("1 to {TITLE} characters in one line");
        return Err(Error::fields(
            "the rollout needs a title",
            vec![FieldProblem { field: "title".to_owned(), message }],
        ));
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    // Who names what does not exist learns it now.
    target::choose(ctx, &mut tx, &spec).await?;
    let id = rollouts::create(&mut tx, &NewRollout { title, spec: &spec, actor, period: None }, now).await?;
    let after = json!({ "title": title, "spec": spec });
    audit::note(&mut tx, "rollout.create", &format!("rollout {id}"), &(), &after).await?;
    crate::db::events::add(&mut tx, "rollout.created", None, None, actor, &format!("{title} ({id})"), now)
        .await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(id)
}

/// Rollouts before a number, newest first.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx, before: i64, limit: i64) -> Result<Vec<RolloutSummary>, Error> {
    let found = rollouts::list(tx, before, limit).await?;
    let ids: Vec<i64> = found.iter().map(|rollout| rollout.id).collect();
    let totals = members::totals(tx, &ids).await?;
    let summaries = found.into_iter().map(|rollout| {
        let mut counts = Counts::default();
        for (_, state, count) in totals.iter().filter(|(id, _, _)| *id == rollout.id) {
            counts.add(*state, *count);
        }
        RolloutSummary { rollout, counts }
    });
    Ok(summaries.collect())
}

/// A rollout with its waves, what it waits for, and why clients failed.
///
/// # Errors
/// There is none.
pub async fn show(ctx: &Ctx, tx: &mut Tx, id: i64) -> Result<RolloutView, Error> {
    let rollout = get(tx, id).await?;
    let now = ctx.now();
    let progress = rollouts::progress(tx, &rollout).await?;
    let window = window(&rollout.spec, now);
    let causes = members::causes(tx, id, CAUSES, OF_CAUSE).await?;
    let history = rollouts::history(tx, id, HISTORY).await?;
    let spec = &rollout.spec;
    let waves = progress.waves.iter().enumerate().map(|(place, wave)| RolloutWaveView {
        number: i64::try_from(place + 1).unwrap_or(i64::MAX),
        size: spec.waves.get(place).map(|wave| wave.size.to_string()).unwrap_or_default(),
        counts: wave.counts,
        started_at: wave.started_at,
        settled_at: wave.settled_at,
        soaks_until: wave.settled_at.map(|at| at.saturating_add(spec.soak_of(place))).filter(|at| *at > now),
        pause: spec.waves.get(place).is_some_and(|wave| wave.pause),
    });
    Ok(RolloutView {
        reason: rollout.why.as_ref().map(ToString::to_string).unwrap_or_default(),
        doing: doing(&rollout.spec, &progress, window, now),
        counts: progress.counts(),
        waves: waves.collect(),
        causes,
        window: window.into(),
        history,
        rollout,
    })
}

/// For what a rollout waits, or what it does.
fn doing(spec: &RolloutSpec, at: &Progress, window: Window, now: i64) -> RolloutDoing {
    let all = at.counts();
    match at.state {
        RolloutState::Planned => return RolloutDoing::Planned,
        RolloutState::Paused | RolloutState::Halted => return RolloutDoing::Stopped,
        RolloutState::Finished | RolloutState::Cancelled => return RolloutDoing::Ended,
        RolloutState::Running if all.in_flight() > 0 => {
            return RolloutDoing::Working { clients: all.in_flight() };
        }
        RolloutState::Running => {}
    }
    let current = at.current();
    let soaking = current.and_then(|place| {
        let until = at.waves.get(place)?.settled_at?.saturating_add(spec.soak_of(place));
        (until > now)
            .then(|| RolloutDoing::Soaking { wave: i64::try_from(place + 1).unwrap_or(i64::MAX), until })
    });
    if let Some(soaking) = soaking {
        return soaking;
    }
    if let Window::Closed { until } = window {
        return RolloutDoing::Window { opens_at: until };
    }
    let begun = current.map_or(0, |place| place + 1);
    let clients = at.waves.iter().take(begun).map(|wave| wave.counts.waiting).sum();
    RolloutDoing::Offline { clients }
}

/// Clients of a rollout in their order.
///
/// # Errors
/// There is no such rollout.
pub async fn members(tx: &mut Tx, id: i64, wanted: &Members<'_>) -> Result<Vec<RolloutMember>, Error> {
    get(tx, id).await?;
    Ok(members::list(tx, id, wanted).await?)
}

/// When those that are offline now are given up.
pub(super) fn expiry(spec: &RolloutSpec, now: i64) -> i64 {
    now.saturating_add(spec.expire_after_s.saturating_mul(SECOND))
}

/// The state of a client whose jobs were taken back.
pub(super) fn taken_back(state: RolloutState) -> RolloutClientState {
    if state == RolloutState::Cancelled { RolloutClientState::Cancelled } else { RolloutClientState::Waiting }
}
