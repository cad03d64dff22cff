//! Rollouts: shown, made, started, held, ended, tried again; and those that come again and again.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, view::Page};
use crate::{
    app::{
        Error,
        rollouts::{
            self, Members, RolloutMember, RolloutOrder, RolloutPreview, RolloutSummary, RolloutView,
            ScheduleChange, ScheduleOrder, ScheduleView,
        },
    },
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(members))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(halt))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(schedules, schedule))
        .routes(routes!(change_schedule))
        .routes(routes!(delete_schedule))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Numbers below this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// Rollouts, newest first.
#[utoipa::path(get, path = "/rollouts", params(ListQuery), responses((status = 200, body = Page<RolloutSummary>)))]
async fn list(
    State(ctx): State<Ctx>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RolloutSummary>>, Rejection> {
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let mut items = rollouts::list(&mut tx, query.before.unwrap_or(i64::MAX), limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.rollout.id.to_string());
    Ok(Json(Page { items, next }))
}

/// A rollout that was made, or with `dry_run` what it would do.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct RolloutMade {
    /// Its number; absent when it was only shown.
    pub(crate) id: Option<i64>,
    /// What it does when it is started.
    pub(crate) preview: RolloutPreview,
}

/// Makes a rollout, or shows with `dry_run` what it would do. Nothing happens before it is started.
#[utoipa::path(post, path = "/rollouts", request_body = RolloutOrder, responses((status = 201, body = RolloutMade), (status = 200, description = "What it would do.", body = RolloutMade)))]
async fn create(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(order): Json<RolloutOrder>,
) -> Result<(StatusCode, Json<RolloutMade>), Rejection> {
    let preview = rollouts::preview(&ctx, &order).await?;
    if order.dry_run {
        return Ok((StatusCode::OK, Json(RolloutMade { id: None, preview })));
    }
    let id = rollouts::create(&ctx, &order, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(RolloutMade { id: Some(id), preview })))
}

/// A rollout: its waves, what it waits for, why clients failed, what happened to it.
#[utoipa::path(get, path = "/rollouts/{id}", responses((status = 200, body = RolloutView)))]
async fn show(State(ctx): State<Ctx>, Path(id): Path<i64>) -> Result<Json<RolloutView>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(rollouts::show(&ctx, &mut tx, id).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct MembersQuery {
    /// In this state, such as `failed` or `waiting`.
    state: Option<String>,
    /// In this wave, from 1.
    wave: Option<i64>,
    /// That failed for this cause.
    cause: Option<String>,
    /// Behind this place, as an earlier page has said.
    after: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// The clients of a rollout, in the order of their turns.
#[utoipa::path(get, path = "/rollouts/{id}/clients", params(MembersQuery), responses((status = 200, body = Page<RolloutMember>)))]
async fn members(
    State(ctx): State<Ctx>,
    Path(id): Path<i64>,
    Query(query): Query<MembersQuery>,
) -> Result<Json<Page<RolloutMember>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let state = query.state.as_deref().map(str::parse).transpose().map_err(|error| {
        Error::invalid(
            format!("{error}"),
            "one of waiting, held, queued, running, succeeded, failed, offline-expired, skipped, cancelled",
        )
    })?;
    let wanted = Members {
        state,
        wave: query.wave.map(|wave| wave.saturating_sub(1)),
        cause: query.cause.as_deref(),
        after: query.after.unwrap_or(-1),
        limit: limit + 1,
    };
    let mut tx = ctx.db.read().await?;
    let mut items = rollouts::members(&mut tx, id, &wanted).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.place.to_string());
    Ok(Json(Page { items, next }))
}

/// Why somebody changes a rollout.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolloutReason {
    /// In their words.
    pub(crate) reason: String,
}

/// Starts a rollout.
#[utoipa::path(post, path = "/rollouts/{id}/start", responses((status = 204)))]
async fn start(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    rollouts::start(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Holds a rollout: what runs ends, nothing begins.
#[utoipa::path(post, path = "/rollouts/{id}/pause", request_body = RolloutReason, responses((status = 204)))]
async fn pause(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
    Json(why): Json<RolloutReason>,
) -> Result<StatusCode, Rejection> {
    rollouts::pause(&ctx, id, &why.reason, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a rollout go on that is paused or halted. Only what fails from now on stops it again.
#[utoipa::path(post, path = "/rollouts/{id}/resume", responses((status = 204)))]
async fn resume(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    rollouts::resume(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops a rollout because something is wrong: what runs ends, nothing begins.
#[utoipa::path(post, path = "/rollouts/{id}/halt", request_body = RolloutReason, responses((status = 204)))]
async fn halt(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
    Json(why): Json<RolloutReason>,
) -> Result<StatusCode, Rejection> {
    rollouts::halt(&ctx, id, &why.reason, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a rollout: who waits is cancelled, what runs ends by itself.
#[utoipa::path(post, path = "/rollouts/{id}/cancel", request_body = RolloutReason, responses((status = 204)))]
async fn cancel(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
    Json(why): Json<RolloutReason>,
) -> Result<StatusCode, Rejection> {
    rollouts::cancel(&ctx, id, &why.reason, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is tried again.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolloutRetry {
    /// Those, too, that stayed offline.
    pub(crate) offline: bool,
}

/// How many are tried again.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct RolloutRetried {
    /// So many clients.
    pub(crate) clients: i64,
}

/// Tries again what failed, and nothing else; the rollout goes on.
#[utoipa::path(post, path = "/rollouts/{id}/retry", request_body = RolloutRetry, responses((status = 200, body = RolloutRetried)))]
async fn retry(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
    Json(wanted): Json<RolloutRetry>,
) -> Result<Json<RolloutRetried>, Rejection> {
    let clients = rollouts::retry(&ctx, id, wanted.offline, &actor.name).await?;
    Ok(Json(RolloutRetried { clients }))
}

/// Rollouts that come again and again, by name.
#[utoipa::path(get, path = "/rollout-schedules", responses((status = 200, body = Vec<ScheduleView>)))]
async fn schedules(State(ctx): State<Ctx>) -> Result<Json<Vec<ScheduleView>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(rollouts::list_schedules(&ctx, &mut tx).await?))
}

/// Makes a rollout that comes again in each of its open windows.
#[utoipa::path(post, path = "/rollout-schedules", request_body = ScheduleOrder, responses((status = 204)))]
async fn schedule(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(order): Json<ScheduleOrder>,
) -> Result<StatusCode, Rejection> {
    rollouts::schedule(&ctx, &order, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Switches a recurring rollout on or off.
#[utoipa::path(post, path = "/rollout-schedules/{name}/switch", request_body = ScheduleChange, responses((status = 204)))]
async fn change_schedule(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(change): Json<ScheduleChange>,
) -> Result<StatusCode, Rejection> {
    rollouts::change_schedule(&ctx, &name, &change, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a recurring rollout; what it has made stays.
#[utoipa::path(delete, path = "/rollout-schedules/{name}", responses((status = 204)))]
async fn delete_schedule(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    rollouts::delete_schedule(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
