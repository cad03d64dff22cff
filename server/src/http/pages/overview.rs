//! The first page: what needs somebody now, what is running, what has happened.

use axum::{Router, extract::State, routing::get};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::overview::{self, Concern, Overview},
    context::Ctx,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/", get(show))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    stages: Vec<(&'static str, i64)>,
    all: i64,
    concerns: Vec<ConcernView>,
    running: Vec<RunningView>,
    happened: Vec<HappenedView>,
}

#[derive(Serialize)]
struct ConcernView {
    client: String,
    kind: &'static str,
    reason: String,
    at: Option<Moment>,
}

#[derive(Serialize)]
struct RunningView {
    client: String,
    job: i64,
    job_type: String,
    step: String,
    percent: i64,
    message: String,
    since: Moment,
}

#[derive(Serialize)]
struct HappenedView {
    at: Moment,
    kind: String,
    client: Option<String>,
    actor: String,
    detail: String,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let overview = overview::look(&ctx, &visitor.actor()?.sees()).await?;
    page(&ctx, &visitor, "pages/overview.html", &view(&visitor, overview, ctx.now()))
}

fn view(visitor: &Visitor, overview: Overview, now: i64) -> View {
    let moment = |at| Moment::new(at, now, visitor.language);
    View {
        page: visitor.frame("/"),
        all: overview.stages.iter().map(|(_, count)| count).sum(),
        stages: overview.stages.into_iter().map(|(stage, count)| (stage.as_str(), count)).collect(),
        concerns: overview
            .concerns
            .into_iter()
            .map(|Concern { client, kind, reason, at }| ConcernView {
                client,
                kind: kind.as_str(),
                reason,
                at: at.map(moment),
            })
            .collect(),
        running: overview
            .running
            .into_iter()
            .map(|running| RunningView {
                client: running.client,
                job: running.attempt.job.0,
                job_type: running.job_type,
                step: running.attempt.step,
                percent: running.attempt.percent,
                message: running.attempt.message,
                since: moment(running.attempt.started_at),
            })
            .collect(),
        happened: overview
            .happened
            .into_iter()
            .map(|(event, client)| HappenedView {
                at: moment(event.at),
                kind: event.kind.replace('.', "-"),
                client,
                actor: event.actor,
                detail: event.detail,
            })
            .collect(),
    }
}
