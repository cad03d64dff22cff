//! All jobs, by state, type, client and cause; and one job: what it does, how it went, its output live.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::{
    JobId,
    step::{Step, StepKind},
};

use super::{
    Rejection,
    client::May,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
    words::{WaitView, actor_name, as_json, in_language, job_title},
};
use crate::{
    app::{
        Error, clients, job_records, jobs,
        reach::{self, About},
    },
    context::Ctx,
    domain::{
        job::{Attempt, JobState},
        people::Role,
    },
};

/// Rows of one page.
const ROWS: i64 = 50;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/{order}", post(carry_out))
}

pub(super) fn kind_of(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "good",
        JobState::Failed => "bad",
        JobState::Running => "busy",
        JobState::Held | JobState::Expired => "warn",
        JobState::Queued | JobState::Cancelled => "",
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Wanted {
    client: String,
    state: String,
    r#type: String,
    cause: String,
    before: Option<i64>,
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    wanted: Wanted,
    states: Vec<&'static str>,
    /// Name and title of each type.
    types: Vec<(String, String)>,
    jobs: Vec<Row>,
    filtered: bool,
    unknown_client: bool,
    next: Option<String>,
    may_operate: bool,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    client: String,
    title: String,
    state: &'static str,
    kind: &'static str,
    is_final: bool,
    why: String,
    waits: Option<WaitView>,
    at: Moment,
    by: String,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let language = visitor.language;
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = job_records::Wanted {
        client: given(&wanted.client),
        state: wanted.state.parse().ok(),
        job_type: given(&wanted.r#type),
        cause: given(&wanted.cause),
    };
    let before = wanted.before.unwrap_or(i64::MAX);
    let mut tx = ctx.db.read().await?;
    let actor = visitor.actor()?;
    let found = job_records::list(&ctx, &mut tx, &actor.sees(), &filter, before, ROWS + 1).await;
    let (records, unknown_client) = match found {
        Ok(records) => (records, false),
        Err(Error::NotFound { .. }) => (Vec::new(), true),
        Err(error) => return Err(error.into()),
    };
    let more = i64::try_from(records.len()).unwrap_or(0) > ROWS;
    let jobs: Vec<Row> = records
        .into_iter()
        .take(usize::try_from(ROWS).unwrap_or(0))
        .map(|record| Row {
            id: record.job.id.0,
            title: job_title(&ctx, language, &record.job.job_type),
            client: record.client_name,
            state: record.job.state.as_str(),
            kind: kind_of(record.job.state),
            is_final: record.job.state.is_final(),
            waits: record.waits_for.map(|wait| WaitView::new(&ctx, &wait, language)),
            why: record.job.reason,
            at: Moment::new(record.job.finished_at.unwrap_or(record.job.created_at), ctx.now(), language),
            by: record.job.created_by,
        })
        .collect();
    let next = jobs.last().filter(|_| more).map(|last| {
        format!(
            "/jobs?client={}&state={}&type={}&cause={}&before={}",
            query_encoded(&wanted.client),
            query_encoded(&wanted.state),
            query_encoded(&wanted.r#type),
            query_encoded(&wanted.cause),
            last.id
        )
    });
    let states = [
        JobState::Held,
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Expired,
    ];
    let types = ctx
        .catalog
        .job_types()
        .map(|declared| (declared.name.clone(), in_language(&declared.title, language, &declared.name)));
    let view = ListView {
        page: visitor.frame("/jobs"),
        states: states.map(JobState::as_str).to_vec(),
        types: types.collect(),
        filtered: filter.client.is_some()
            || filter.state.is_some()
            || filter.job_type.is_some()
            || filter.cause.is_some()
            || wanted.before.is_some(),
        wanted,
        jobs,
        unknown_client,
        next,
        may_operate: actor.reach.greatest() >= Some(Role::Operator),
    };
    page(&ctx, &visitor, "pages/jobs.html", &view)
}

#[derive(Serialize)]
struct JobPage {
    page: Frame,
    id: i64,
    client: String,
    title: String,
    job_type: String,
    state: &'static str,
    kind: &'static str,
    is_final: bool,
    is_rescue: bool,
    destructive: bool,
    may: May,
    why: String,
    waits: Option<WaitView>,
    params: String,
    by: String,
    created: Moment,
    finished: Option<Moment>,
    needs: Vec<i64>,
    /// The job in whose attempt it is, or was, carried out.
    joined_to: Option<i64>,
    /// The jobs that are, or were, carried out in its attempt.
    joined: Vec<i64>,
    steps: Vec<StepView>,
    /// Titles of the steps by their ids, as JSON.
    titles: String,
    no_plan: Option<String>,
    attempts: Vec<AttemptView>,
    watched: Option<i64>,
    history: Vec<HistoryView>,
}

#[derive(Serialize)]
struct StepView {
    id: String,
    title: String,
    script: Option<String>,
    /// The attempt that is watched is here: `done`, `now`, `failed`, or not yet.
    state: &'static str,
}

#[derive(Serialize)]
struct AttemptView {
    id: i64,
    number: i64,
    state: &'static str,
    reason: String,
    step: String,
    percent: i64,
    message: String,
    begun: Moment,
    seconds: Option<i64>,
}

#[derive(Serialize)]
struct HistoryView {
    to: &'static str,
    kind: &'static str,
    by: String,
    reason: String,
    at: Moment,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Looking {
    attempt: Option<i64>,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<JobId>,
    Query(looking): Query<Looking>,
) -> Result<Page, Rejection> {
    let language = visitor.language;
    let moment = |at| Moment::new(at, ctx.now(), language);
    let mut tx = ctx.db.read().await?;
    let record = job_records::whole(&ctx, &mut tx, id).await?;
    let client = clients::get(&mut tx, &record.client_name).await?;
    let may = May::of(visitor.actor()?.reach.on(&client.groups));
    let (steps, no_plan) = match job_records::plan(&ctx, &mut tx, id).await {
        Ok(plan) => (plan.steps, None),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. })) => {
            (Vec::new(), Some(error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    let watched = record
        .attempts
        .iter()
        .find(|attempt| Some(attempt.id.0) == looking.attempt)
        .or_else(|| record.attempts.last())
        .cloned();
    let declared = ctx.catalog.job_type(&record.job.job_type);
    let state = record.job.state;
    let view = JobPage {
        page: visitor.frame("/jobs"),
        id: id.0,
        title: job_title(&ctx, language, &record.job.job_type),
        client: record.client_name,
        state: state.as_str(),
        kind: kind_of(state),
        is_final: state.is_final(),
        is_rescue: record.job.job_type == "rescue" && state == JobState::Running,
        destructive: declared.is_some_and(|declared| declared.destructive),
        may,
        why: record.job.reason,
        waits: record.waits_for.map(|wait| WaitView::new(&ctx, &wait, language)),
        params: match &record.job.params {
            serde_json::Value::Object(map) if map.is_empty() => String::new(),
            params => serde_yaml::to_string(params).unwrap_or_default(),
        },
        by: record.job.created_by,
        created: moment(record.job.created_at),
        finished: record.job.finished_at.map(moment),
        needs: record.job.needs.iter().map(|needed| needed.0).collect(),
        joined_to: record.job.joined_to.map(|job| job.0),
        joined: record.joined.iter().map(|job| job.0).collect(),
        titles: as_json(
            steps.iter().map(|step| (step.id.clone(), in_language(&step.title, language, &step.id))),
        ),
        steps: steps_view(&steps, watched.as_ref(), language),
        no_plan,
        attempts: record.attempts.iter().rev().map(|attempt| attempt_view(attempt, &moment)).collect(),
        watched: watched.map(|attempt| attempt.id.0),
        history: record
            .history
            .into_iter()
            .rev()
            .map(|line| HistoryView {
                to: line.to.as_str(),
                kind: kind_of(line.to),
                by: actor_name(&ctx, language, &line.actor),
                // That it runs as attempt so and so is seen above.
                reason: if line.to == JobState::Running { String::new() } else { line.reason },
                at: moment(line.at),
            })
            .collect(),
        job_type: record.job.job_type,
    };
    page(&ctx, &visitor, "pages/job.html", &view)
}

fn attempt_view(attempt: &Attempt, moment: &impl Fn(i64) -> Moment) -> AttemptView {
    AttemptView {
        id: attempt.id.0,
        number: attempt.number,
        state: attempt.state.as_str(),
        reason: attempt.reason.clone(),
        step: attempt.step.clone(),
        percent: attempt.percent,
        message: attempt.message.clone(),
        begun: moment(attempt.started_at),
        seconds: attempt.finished_at.map(|at| (at - attempt.started_at) / crate::clock::SECOND),
    }
}

fn steps_view(steps: &[Step], watched: Option<&Attempt>, language: &str) -> Vec<StepView> {
    use crate::domain::job::AttemptState;
    let here = watched.and_then(|attempt| steps.iter().position(|step| step.id == attempt.step));
    let state = |at: usize| match (watched.map(|attempt| attempt.state), here) {
        (Some(AttemptState::Succeeded), _) => "done",
        (Some(_), Some(here)) if at < here => "done",
        (Some(AttemptState::Running), Some(here)) if at == here => "now",
        (Some(_), Some(here)) if at == here => "failed",
        _ => "",
    };
    let view = |(at, step): (usize, &Step)| StepView {
        id: step.id.clone(),
        title: in_language(&step.title, language, &step.id),
        script: match &step.kind {
            StepKind::Script { text, .. } => Some(text.clone()),
            _ => None,
        },
        state: state(at),
    };
    steps.iter().enumerate().map(view).collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Because {
    reason: String,
    /// The page to go back to.
    back: String,
}

async fn carry_out(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((id, order)): Path<(JobId, String)>,
    Form(because): Form<Because>,
) -> Result<Response, Rejection> {
    let needed = match order.as_str() {
        "cancel" | "release" => Role::Helpdesk,
        "accept" | "hold" | "retry" => Role::Operator,
        other => return Err(Error::not_found(format!("the order {other}")).into()),
    };
    {
        let mut tx = ctx.db.read().await?;
        reach::require(&mut tx, &visitor.actor()?.reach, About::Job(id.0), needed).await?;
    }
    let actor = visitor.name();
    let reason = |done_by: &str| {
        if because.reason.trim().is_empty() {
            format!("{done_by} {actor}")
        } else {
            because.reason.trim().to_owned()
        }
    };
    let mut to = id;
    match order.as_str() {
        "accept" => jobs::accept(&ctx, id, actor).await?,
        "hold" => jobs::hold(&ctx, id, actor, &reason("held by")).await?,
        "cancel" => jobs::cancel(&ctx, id, actor, &reason("cancelled by")).await?,
        "release" => jobs::release(&ctx, id).await?,
        _ => to = jobs::retry(&ctx, id, actor).await?,
    }
    let back = if because.back.starts_with("/jobs?") || because.back == "/jobs" {
        because.back
    } else {
        format!("/jobs/{to}")
    };
    Ok(Redirect::to(&back).into_response())
}
