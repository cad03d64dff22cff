//! Desktops: the list, and one with its way, how to connect, what was tried and what was made.

mod form;
mod order;

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use serde::Serialize;

use super::{
    Rejection,
    clients::Status,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words::{job_title, told},
};
use crate::{
    app::{
        clients, consoles,
        desktops::{self, Connection, Desktop},
        jobs, providers,
    },
    clock::SECOND,
    context::Ctx,
    domain::{
        desktop::{DesktopPart, DesktopState, PartState, PowerOrder, ProviderTrial, TrialState},
        desktop_stage::{DesktopStage, StageState},
        people::Role,
    },
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/desktops", get(list))
        .route("/new-desktop", get(form::new).post(form::make))
        .route("/desktops/{name}", get(show))
        .route("/desktops/{name}/do/{order}", get(order::form).post(order::carry_out))
}

/// A desktop in a list.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    state: &'static str,
    /// The look of that.
    kind: &'static str,
    power: String,
    /// The provider or the pool that was asked for.
    at: String,
    size: String,
    reason: String,
    /// What somebody has ordered and was not done yet.
    order: Option<&'static str>,
    by: String,
    made: Moment,
}

impl Row {
    pub(super) fn new(ctx: &Ctx, desktop: &Desktop, language: &str) -> Self {
        let wish = &desktop.wish;
        Self {
            name: desktop.name.clone(),
            state: desktop.state.as_str(),
            kind: match desktop.state {
                DesktopState::Creating | DesktopState::Deleting => "busy",
                DesktopState::Ready => "good",
                DesktopState::Failed | DesktopState::Lost => "bad",
                DesktopState::Deleted => "",
            },
            power: desktop.power.clone(),
            at: wish.provider.clone().or_else(|| wish.pool.clone()).unwrap_or_default(),
            size: wish.size.clone(),
            reason: told(ctx, language, &desktop.reason),
            order: desktop.order.map(PowerOrder::as_str),
            by: desktop.created_by.clone(),
            made: Moment::new(desktop.created_at, ctx.now(), language),
        }
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    desktops: Vec<Row>,
    /// Something is under way, so the page looks again by itself.
    moves: bool,
    /// There is a provider at which one can be made; absent when whoever looks may not know.
    has_provider: Option<bool>,
    may_make: bool,
    may_register: bool,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let actor = visitor.actor()?;
    let mut tx = ctx.db.read().await?;
    let found = desktops::list(&mut tx, &actor.sees()).await?;
    let has_provider =
        if visitor.may(Role::Operator) { Some(!providers::list(&mut tx).await?.is_empty()) } else { None };
    drop(tx);
    let view = ListView {
        page: visitor.frame("/desktops"),
        moves: found.iter().any(moves),
        desktops: found.iter().map(|desktop| Row::new(&ctx, desktop, visitor.language)).collect(),
        has_provider,
        may_make: actor.reach.everywhere >= Some(Role::Operator),
        may_register: actor.reach.everywhere >= Some(Role::Admin),
    };
    page(&ctx, &visitor, "pages/desktops.html", &view)
}

fn moves(desktop: &Desktop) -> bool {
    matches!(desktop.state, DesktopState::Creating | DesktopState::Deleting)
        || desktop.order.is_some()
        || desktop.doing.is_some()
}

/// A stage of its way.
#[derive(Serialize)]
struct StageView {
    stage: &'static str,
    state: &'static str,
    /// How long it took, or has taken until now.
    took: String,
    since: Option<Moment>,
    percent: Option<i64>,
    reason: String,
    job: Option<i64>,
    title: String,
}

/// A time as people say it: `42 s`, `3 min`, `1 h 20 min`.
fn lasting(microseconds: i64) -> String {
    match microseconds.max(0) / SECOND {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3600 => match seconds % 60 {
            0 => format!("{} min", seconds / 60),
            rest => format!("{} min {rest} s", seconds / 60),
        },
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

impl StageView {
    fn new(ctx: &Ctx, stage: DesktopStage, job_type: Option<&str>, language: &str) -> Self {
        let took = match (stage.began_at, stage.ended_at) {
            (Some(began), Some(ended)) => lasting(ended - began),
            _ => String::new(),
        };
        let goes = matches!(stage.state, StageState::Goes);
        Self {
            stage: stage.stage.as_str(),
            state: stage.state.as_str(),
            took,
            percent: stage.percent,
            since: stage.began_at.filter(|_| goes).map(|at| Moment::new(at, ctx.now(), language)),
            reason: told(ctx, language, &stage.reason),
            job: stage.job.map(|job| job.0),
            title: job_type.map(|job_type| job_title(ctx, language, job_type)).unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct TrialView {
    provider: String,
    state: &'static str,
    kind: &'static str,
    class: Option<&'static str>,
    reason: String,
    began: Moment,
    took: String,
}

impl TrialView {
    fn new(ctx: &Ctx, trial: ProviderTrial, language: &str) -> Self {
        Self {
            state: trial.state.as_str(),
            kind: match trial.state {
                TrialState::Building | TrialState::Clearing => "busy",
                TrialState::Succeeded => "good",
                TrialState::Failed => "bad",
            },
            class: trial.class.map(crate::domain::desktop::FaultClass::as_str),
            reason: told(ctx, language, &trial.reason),
            began: Moment::new(trial.started_at, ctx.now(), language),
            took: trial.ended_at.map(|ended| lasting(ended - trial.started_at)).unwrap_or_default(),
            provider: trial.provider,
        }
    }
}

#[derive(Serialize)]
struct PartView {
    kind: &'static str,
    state: &'static str,
    chip: &'static str,
    name: String,
    problem: String,
    since: Moment,
}

impl PartView {
    fn new(ctx: &Ctx, part: DesktopPart, language: &str) -> Self {
        Self {
            kind: part.kind.as_str(),
            state: part.state.as_str(),
            chip: match part.state {
                PartState::Intended | PartState::Making | PartState::Leaving => "busy",
                PartState::Made => "good",
                PartState::Gone => "",
            },
            name: part.tag,
            problem: told(ctx, language, &part.problem),
            since: Moment::new(part.changed_at, ctx.now(), language),
        }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    desktop: Row,
    moves: bool,
    stages: Vec<StageView>,
    /// Somebody can log in.
    ready: bool,
    connections: Vec<Connection>,
    /// Answers of its client; none once that is gone.
    status: Option<Status>,
    trials: Vec<TrialView>,
    /// What is there, or may be.
    there: Vec<PartView>,
    /// What was there.
    gone: Vec<PartView>,
    may: May,
    may_see_providers: bool,
}

/// What somebody may do with a desktop as it is now.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct May {
    console: bool,
    switch: bool,
    rebuild: bool,
    delete: bool,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let language = visitor.language;
    let actor = visitor.actor()?;
    let mut tx = ctx.db.read().await?;
    let found = desktops::view(&ctx, &mut tx, &name).await?;
    let (mut status, mut role) = (None, actor.reach.everywhere);
    if found.record.desktop.client.is_some() {
        let client = clients::get(&mut tx, &name).await?;
        role = actor.reach.on(&client.groups);
        status = Some(Status::new(&ctx, &clients::standing(&ctx, &mut tx, client).await?, language));
    }
    let mut stages = Vec::new();
    for stage in found.stages {
        let job = match stage.job {
            Some(job) => Some(jobs::get(&mut tx, job).await?),
            None => None,
        };
        stages.push(StageView::new(&ctx, stage, job.as_ref().map(|job| job.job_type.as_str()), language));
    }
    let has_console = status.is_some() && consoles::place(&mut tx, &name).await?.is_some();
    drop(tx);
    let desktop = &found.record.desktop;
    let state = desktop.state;
    let settled = matches!(state, DesktopState::Ready | DesktopState::Failed | DesktopState::Lost);
    let (gone, there): (Vec<_>, Vec<_>) =
        found.record.journal.into_iter().partition(|part| part.state == PartState::Gone);
    let part = |part| PartView::new(&ctx, part, language);
    let view = View {
        page: visitor.frame("/desktops"),
        moves: moves(desktop) || stages.iter().any(|stage| stage.state == StageState::Goes.as_str()),
        ready: stages.last().is_some_and(|last| last.state == StageState::Done.as_str()),
        stages,
        connections: found.connections,
        status,
        trials: found
            .record
            .trials
            .into_iter()
            .rev()
            .map(|trial| TrialView::new(&ctx, trial, language))
            .collect(),
        there: there.into_iter().map(part).collect(),
        gone: gone.into_iter().map(part).collect(),
        may: May {
            console: has_console && role >= Some(consoles::LEAST_ROLE),
            switch: role >= Some(Role::Helpdesk) && state == DesktopState::Ready,
            rebuild: role >= Some(Role::Operator) && settled,
            delete: role >= Some(Role::Admin)
                && !matches!(state, DesktopState::Deleting | DesktopState::Deleted),
        },
        may_see_providers: actor.reach.everywhere >= Some(Role::Operator),
        desktop: Row::new(&ctx, desktop, language),
    };
    page(&ctx, &visitor, "pages/desktop.html", &view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_two_units_at_most() {
        let told: Vec<_> = [0, 59, 60, 185, 4_800].map(|seconds| lasting(seconds * SECOND)).to_vec();
        assert_eq!(told, ["0 s", "59 s", "1 min", "3 min 5 s", "1 h 20 min"]);
    }
}
