//! Jobs, attempts and their output.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::{AttemptId, JobId, event::Event, plan::Plan};

use super::{
    Asking, Rejection,
    view::{JobView, Page},
};
use crate::{
    app::{job_records, jobs},
    context::Ctx,
    domain::job::{Attempt, JobState},
    http::{extract::Json, stream},
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(plan))
        .routes(routes!(attempts))
        .routes(routes!(accept))
        .routes(routes!(hold))
        .routes(routes!(cancel))
        .routes(routes!(release))
        .routes(routes!(retry))
        .routes(routes!(attempt))
        .routes(routes!(output))
        .routes(routes!(output_stream))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Numbers before this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
    /// Only of this client.
    client: Option<String>,
    /// Only in this state.
    state: Option<JobState>,
    /// Only of this type.
    r#type: Option<String>,
    /// Only with this text in their reason, whatever its case.
    cause: Option<String>,
}

/// Jobs, newest first.
#[utoipa::path(get, path = "/jobs", params(ListQuery), responses((status = 200, body = Page<JobView>)))]
async fn list(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<JobView>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let before = query.before.unwrap_or(i64::MAX);
    let wanted = job_records::Wanted {
        client: query.client,
        state: query.state,
        job_type: query.r#type,
        cause: query.cause,
    };
    let found = job_records::list(&ctx, &mut tx, &actor.sees(), &wanted, before, limit + 1).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > limit;
    let shown = found.into_iter().take(usize::try_from(limit).unwrap_or(0));
    let items: Vec<_> = shown.map(JobView::from).collect();
    let next = items.last().filter(|_| more).map(|last| last.job.id.to_string());
    Ok(Json(Page { items, next }))
}

/// A job with its history and attempts.
#[utoipa::path(get, path = "/jobs/{id}", responses((status = 200, body = JobView)))]
async fn show(State(ctx): State<Ctx>, Path(id): Path<JobId>) -> Result<Json<JobView>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(job_records::whole(&ctx, &mut tx, id).await?.into()))
}

/// Exactly what the job does; computed now when the plan was not made yet.
#[utoipa::path(get, path = "/jobs/{id}/plan", responses((status = 200, body = Plan)))]
async fn plan(State(ctx): State<Ctx>, Path(id): Path<JobId>) -> Result<Json<Plan>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(job_records::plan(&ctx, &mut tx, id).await?))
}

/// The job's attempts, oldest first.
#[utoipa::path(get, path = "/jobs/{id}/attempts", responses((status = 200, body = Vec<Attempt>)))]
async fn attempts(State(ctx): State<Ctx>, Path(id): Path<JobId>) -> Result<Json<Vec<Attempt>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(job_records::attempts_of(&mut tx, id).await?))
}

/// Lets a held job run.
#[utoipa::path(post, path = "/jobs/{id}/accept", responses((status = 204)))]
async fn accept(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<JobId>,
) -> Result<StatusCode, Rejection> {
    jobs::accept(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Because {
    /// Why.
    #[serde(default)]
    reason: String,
}

impl Because {
    fn or(self, otherwise: &str, actor: &str) -> String {
        if self.reason.is_empty() { format!("{otherwise} by {actor}") } else { self.reason }
    }
}

/// Holds a queued job back.
#[utoipa::path(post, path = "/jobs/{id}/hold", request_body = Because, responses((status = 204)))]
async fn hold(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<JobId>,
    Json(because): Json<Because>,
) -> Result<StatusCode, Rejection> {
    jobs::hold(&ctx, id, &actor.name, &because.or("held", &actor.name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancels a job: at once when it waits, through its agent when it runs.
#[utoipa::path(post, path = "/jobs/{id}/cancel", request_body = Because, responses((status = 204)))]
async fn cancel(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<JobId>,
    Json(because): Json<Because>,
) -> Result<StatusCode, Rejection> {
    jobs::cancel(&ctx, id, &actor.name, &because.or("cancelled", &actor.name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a running job that waits for people end well.
#[utoipa::path(post, path = "/jobs/{id}/release", responses((status = 204)))]
async fn release(State(ctx): State<Ctx>, Path(id): Path<JobId>) -> Result<StatusCode, Rejection> {
    jobs::release(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Queues the same again as a new job.
#[utoipa::path(post, path = "/jobs/{id}/retry", responses((status = 201, body = JobId)))]
async fn retry(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<JobId>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    let id = jobs::retry(&ctx, id, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(id)))
}

/// An attempt.
#[utoipa::path(get, path = "/attempts/{id}", responses((status = 200, body = Attempt)))]
async fn attempt(State(ctx): State<Ctx>, Path(id): Path<AttemptId>) -> Result<Json<Attempt>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(job_records::attempt(&mut tx, id).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct OutputQuery {
    /// Events after this number.
    #[serde(default)]
    after: i64,
    /// At most so many; up to 10000.
    limit: Option<i64>,
}

/// What the attempt reported: steps, lines, progress.
#[utoipa::path(get, path = "/attempts/{id}/output", params(OutputQuery), responses((status = 200, body = Vec<Event>)))]
async fn output(
    State(ctx): State<Ctx>,
    Path(id): Path<AttemptId>,
    Query(query): Query<OutputQuery>,
) -> Result<Json<Vec<Event>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    job_records::attempt(&mut tx, id).await?;
    let limit = query.limit.unwrap_or(1000).clamp(1, 10_000);
    Ok(Json(job_records::output(&mut tx, id, query.after, limit).await?))
}

/// The same, live: server-sent events whose id is the event's number; it ends with the attempt. `Last-Event-ID` resumes.
#[utoipa::path(get, path = "/attempts/{id}/output/stream", params(OutputQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Resumes after this number; it wins over `after`.")), responses((status = 200, content_type = "text/event-stream")))]
async fn output_stream(
    State(ctx): State<Ctx>,
    Asking(reader): Asking,
    Path(id): Path<AttemptId>,
    Query(query): Query<OutputQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Rejection> {
    {
        let mut tx = ctx.db.read().await?;
        job_records::attempt(&mut tx, id).await?;
    }
    let after = stream::last_event_id(&headers).unwrap_or(query.after);
    Ok(stream::output(ctx, reader, id, after))
}
