//! Rollouts: the list, one with its waves drawn as it goes, what people order of it.

mod form;
mod waves;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::Redirect,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use self::waves::{Part, WaveRow, parts};
use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words::job_title,
};
use crate::{
    app::{
        Error,
        rollouts::{
            self, Members, RolloutCause, RolloutDoing, RolloutMember, RolloutSummary, ScheduleChange,
            ScheduleView,
        },
    },
    context::Ctx,
    db::rollouts::RolloutEvent,
    domain::{
        people::Role,
        rollout::{Counts, RolloutClientState, RolloutSpec, RolloutState, RolloutWork, Why},
    },
};

/// Rows of the list.
const ROWS: i64 = 50;
/// Clients on a page.
const CLIENTS: i64 = 100;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/rollouts", get(list))
        .route("/rollouts/{id}", get(show))
        .route("/rollouts/{id}/clients", get(clients))
        .route("/rollouts/{id}/{order}", post(order))
        .route("/rollout-schedules/{name}/{order}", post(order_schedule))
        .route("/new-rollout", get(form::new).post(form::make))
}

/// What is rolled out, in words.
fn work(ctx: &Ctx, spec: &RolloutSpec, language: &str) -> String {
    match &spec.work {
        // The template says it: it is no type of job.
        RolloutWork::Reinstall => String::new(),
        RolloutWork::Jobs { jobs } => {
            let said = |job: &crate::domain::rollout::RolloutJob| {
                let title = job_title(ctx, language, &job.job_type);
                match job.params.get("packages").and_then(|packages| packages.as_array()) {
                    Some(packages) => {
                        let names: Vec<_> = packages.iter().filter_map(|name| name.as_str()).collect();
                        format!("{title}: {}", names.join(" "))
                    }
                    None => title,
                }
            };
            jobs.iter().map(said).collect::<Vec<_>>().join(", ")
        }
    }
}

/// For whom it is, in words.
#[derive(Serialize)]
struct TargetView {
    group: Option<String>,
    query: Option<String>,
    clients: usize,
}

impl TargetView {
    fn new(spec: &RolloutSpec) -> Self {
        let target = &spec.target;
        Self { group: target.group.clone(), query: target.query.clone(), clients: target.clients.len() }
    }
}

/// Why it does not run: the text is `rollout-why-KEY`.
#[derive(Serialize)]
struct WhyView {
    key: &'static str,
    wave: usize,
    count: i64,
    of: i64,
    limit: i64,
    actor: String,
    reason: String,
}

impl WhyView {
    fn new(why: &Why) -> Self {
        let mut view = Self {
            key: "person",
            wave: 0,
            count: 0,
            of: 0,
            limit: 0,
            actor: String::new(),
            reason: String::new(),
        };
        match why {
            Why::TooManyFailed { wave, failed, of, max, max_percent } => {
                (view.wave, view.count, view.of) = (wave.unwrap_or(0), *failed, *of);
                view.limit = max.or(*max_percent).unwrap_or(0);
                view.key = if max.is_some() { "failed" } else { "failed-percent" };
            }
            Why::NotEnoughSucceeded { wave, succeeded, of } => {
                (view.key, view.wave, view.count, view.of) = ("few", wave.unwrap_or(0), *succeeded, *of);
            }
            Why::NobodySucceeded { wave, of } => (view.key, view.wave, view.of) = ("nobody", *wave, *of),
            Why::PausePoint { wave } => (view.key, view.wave) = ("pause", *wave),
            Why::Person { actor, reason } => {
                (view.actor, view.reason) = (actor.clone(), reason.clone());
            }
        }
        view
    }
}

/// A rollout in the list.
#[derive(Serialize)]
struct Row {
    id: i64,
    title: String,
    state: &'static str,
    kind: &'static str,
    work: String,
    why: Option<WhyView>,
    at: Moment,
    actor: String,
    counts: Counts,
    asked: i64,
    parts: Vec<Part>,
}

/// The look of a state.
fn kind(state: RolloutState, counts: &Counts) -> &'static str {
    match state {
        RolloutState::Running => "busy",
        RolloutState::Paused => "warn",
        RolloutState::Halted => "bad",
        RolloutState::Finished if counts.failed > 0 => "warn",
        RolloutState::Finished => "good",
        RolloutState::Planned | RolloutState::Cancelled => "",
    }
}

fn row(ctx: &Ctx, summary: RolloutSummary, language: &str) -> Row {
    let RolloutSummary { rollout, counts } = summary;
    Row {
        id: rollout.id,
        work: work(ctx, &rollout.spec, language),
        state: rollout.state.as_str(),
        kind: kind(rollout.state, &counts),
        why: rollout.why.as_ref().map(WhyView::new),
        at: Moment::new(rollout.started_at.unwrap_or(rollout.created_at), ctx.now(), language),
        actor: rollout.created_by,
        asked: counts.asked(),
        parts: parts(&counts),
        title: rollout.title,
        counts,
    }
}

#[derive(Serialize)]
struct ScheduleRow {
    name: String,
    work: String,
    target: TargetView,
    windows: String,
    zone: String,
    enabled: bool,
    open: bool,
    next: Option<Moment>,
    newest: Option<i64>,
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    rollouts: Vec<Row>,
    next: Option<i64>,
    schedules: Vec<ScheduleRow>,
    may_operate: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Before {
    before: Option<i64>,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(query): Query<Before>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let mut found = rollouts::list(&mut tx, query.before.unwrap_or(i64::MAX), ROWS + 1).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > ROWS;
    found.truncate(usize::try_from(ROWS).unwrap_or(0));
    let next = found.last().filter(|_| more).map(|last| last.rollout.id);
    let schedules = rollouts::list_schedules(&ctx, &mut tx).await?;
    let language = visitor.language;
    let schedule = |ScheduleView { schedule, window, newest }: ScheduleView| ScheduleRow {
        work: work(&ctx, &schedule.spec, language),
        target: TargetView::new(&schedule.spec),
        windows: schedule.spec.windows.open.join("; "),
        zone: schedule.spec.windows.time_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
        enabled: schedule.enabled,
        open: window.open,
        next: window.until.filter(|_| !window.open).map(|at| Moment::new(at, ctx.now(), language)),
        newest,
        name: schedule.name,
    };
    let view = ListView {
        page: visitor.frame("/rollouts"),
        rollouts: found.into_iter().map(|summary| row(&ctx, summary, language)).collect(),
        next,
        schedules: schedules.into_iter().map(schedule).collect(),
        may_operate: visitor.may(Role::Operator),
    };
    page(&ctx, &visitor, "pages/rollouts.html", &view)
}

/// What it does: the text is `rollout-doing-KEY`.
#[derive(Serialize)]
struct DoingView {
    key: &'static str,
    count: i64,
    at: String,
}

impl DoingView {
    fn new(doing: &RolloutDoing, now: i64, language: &str) -> Self {
        let full = |at: i64| Moment::new(at, now, language).full().to_owned();
        let (key, count, at) = match doing {
            RolloutDoing::Planned => ("planned", 0, String::new()),
            RolloutDoing::Working { clients } => ("working", *clients, String::new()),
            RolloutDoing::Window { opens_at: Some(at) } => ("window", 0, full(*at)),
            RolloutDoing::Window { opens_at: None } => ("window-far", 0, String::new()),
            RolloutDoing::Soaking { wave, until } => ("soaking", *wave, full(*until)),
            RolloutDoing::Offline { clients } => ("offline", *clients, String::new()),
            RolloutDoing::Stopped => ("stopped", 0, String::new()),
            RolloutDoing::Ended => ("ended", 0, String::new()),
        };
        Self { key, count, at }
    }
}

/// A line of the history: the text is `rollout-history-KIND`.
#[derive(Serialize)]
struct HistoryRow {
    at: Moment,
    kind: String,
    wave: i64,
    count: i64,
    why: Option<WhyView>,
    actor: String,
}

fn history(event: RolloutEvent, now: i64, language: &str) -> HistoryRow {
    HistoryRow {
        at: Moment::new(event.at, now, language),
        kind: event.kind,
        wave: event.wave.unwrap_or(0),
        count: event.count.unwrap_or(0),
        why: event.why.as_ref().map(WhyView::new),
        actor: event.actor,
    }
}

#[derive(Serialize)]
struct CauseRow {
    cause: String,
    count: i64,
    more: i64,
    clients: Vec<RolloutMember>,
}

#[derive(Serialize)]
struct ShowView {
    page: Frame,
    rollout: Row,
    doing: DoingView,
    target: TargetView,
    waves: Vec<WaveRow>,
    causes: Vec<CauseRow>,
    history: Vec<HistoryRow>,
    at_once: i64,
    windows: Vec<String>,
    blackouts: Vec<String>,
    zone: String,
    calendars: bool,
    may_operate: bool,
    /// Which orders make sense now.
    orders: Vec<&'static str>,
}

fn orders(state: RolloutState, counts: &Counts) -> Vec<&'static str> {
    let mut orders = match state {
        RolloutState::Planned => vec!["start", "cancel"],
        RolloutState::Running => vec!["pause", "halt", "cancel"],
        RolloutState::Paused | RolloutState::Halted => vec!["resume", "cancel"],
        RolloutState::Finished | RolloutState::Cancelled => Vec::new(),
    };
    if counts.failed > 0 && state != RolloutState::Cancelled {
        orders.insert(0, "retry");
    }
    orders
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(id): Path<i64>) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = rollouts::show(&ctx, &mut tx, id).await?;
    drop(tx);
    let (now, language) = (ctx.now(), visitor.language);
    let windows = found.rollout.spec.windows.clone();
    let runs = found.rollout.state == RolloutState::Running;
    let cause = |cause: RolloutCause| CauseRow {
        more: cause.count - i64::try_from(cause.clients.len()).unwrap_or(0),
        cause: cause.cause,
        count: cause.count,
        clients: cause.clients,
    };
    let view = ShowView {
        page: visitor.frame("/rollouts"),
        doing: DoingView::new(&found.doing, now, language),
        target: TargetView::new(&found.rollout.spec),
        waves: found.waves.iter().map(|wave| WaveRow::new(wave, runs, now, language)).collect(),
        causes: found.causes.into_iter().map(cause).collect(),
        history: found.history.into_iter().rev().map(|event| history(event, now, language)).collect(),
        at_once: found.rollout.spec.at_once,
        calendars: windows.open_calendar.is_some() || windows.closed_calendar.is_some(),
        windows: windows.open,
        blackouts: windows.closed,
        zone: windows.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        may_operate: visitor.may(Role::Operator),
        orders: orders(found.rollout.state, &found.counts),
        rollout: row(&ctx, RolloutSummary { rollout: found.rollout, counts: found.counts }, language),
    };
    page(&ctx, &visitor, "pages/rollout.html", &view)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    state: String,
    wave: String,
    cause: String,
    after: String,
}

#[derive(Serialize)]
struct ClientsView {
    page: Frame,
    id: i64,
    title: String,
    clients: Vec<RolloutMember>,
    /// Where the next page begins.
    next: Option<String>,
    state: String,
    wave: String,
    cause: String,
    states: Vec<&'static str>,
}

async fn clients(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let members = Members {
        state: wanted.state.parse().ok(),
        wave: wanted.wave.parse::<i64>().ok().map(|wave| wave - 1),
        cause: Some(wanted.cause.as_str()).filter(|cause| !cause.is_empty()),
        after: wanted.after.parse().unwrap_or(-1),
        limit: CLIENTS + 1,
    };
    let mut tx = ctx.db.read().await?;
    let mut found = rollouts::members(&mut tx, id, &members).await?;
    let rollout = rollouts::get(&mut tx, id).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > CLIENTS;
    found.truncate(usize::try_from(CLIENTS).unwrap_or(0));
    let encoded = super::frame::query_encoded;
    let next = found.last().filter(|_| more).map(|last| {
        let (state, wave, cause) = (encoded(&wanted.state), encoded(&wanted.wave), encoded(&wanted.cause));
        format!("/rollouts/{id}/clients?state={state}&wave={wave}&cause={cause}&after={}", last.place)
    });
    let view = ClientsView {
        page: visitor.frame("/rollouts"),
        id,
        title: rollout.title,
        clients: found,
        next,
        states: crate::domain::rollout::ROLLOUT_CLIENT_STATES.map(RolloutClientState::as_str).to_vec(),
        state: wanted.state,
        wave: wanted.wave,
        cause: wanted.cause,
    };
    page(&ctx, &visitor, "pages/rollout-clients.html", &view)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ordered {
    reason: String,
    offline: String,
}

async fn order(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((id, order)): Path<(i64, String)>,
    Form(ordered): Form<Ordered>,
) -> Result<Redirect, Rejection> {
    let (actor, reason) = (visitor.name(), ordered.reason.as_str());
    match order.as_str() {
        "start" => rollouts::start(&ctx, id, actor).await?,
        "pause" => rollouts::pause(&ctx, id, reason, actor).await?,
        "resume" => rollouts::resume(&ctx, id, actor).await?,
        "halt" => rollouts::halt(&ctx, id, reason, actor).await?,
        "cancel" => rollouts::cancel(&ctx, id, reason, actor).await?,
        "retry" => drop(rollouts::retry(&ctx, id, !ordered.offline.is_empty(), actor).await?),
        other => return Err(Error::not_found(format!("order {other} for a rollout")).into()),
    }
    Ok(Redirect::to(&format!("/rollouts/{id}")))
}

async fn order_schedule(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, order)): Path<(String, String)>,
) -> Result<Redirect, Rejection> {
    let actor = visitor.name();
    match order.as_str() {
        "on" | "off" => {
            let change = ScheduleChange { enabled: order == "on" };
            rollouts::change_schedule(&ctx, &name, &change, actor).await?;
        }
        "delete" => rollouts::delete_schedule(&ctx, &name, actor).await?,
        other => return Err(Error::not_found(format!("order {other} for a recurring rollout")).into()),
    }
    Ok(Redirect::to("/rollouts"))
}
