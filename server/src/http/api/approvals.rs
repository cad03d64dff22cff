//! Requests that need a second person.

use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, view::Page};
use crate::{
    app::approvals,
    context::Ctx,
    domain::approval::{Approval, ApprovalState},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(approve))
        .routes(routes!(refuse))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Requests with a smaller number than this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
    /// Only in this state.
    state: Option<ApprovalState>,
}

/// Requests that need or needed a second person, newest first, as far as whoever asks helps where they happen.
#[utoipa::path(get, path = "/approvals", params(ListQuery), responses((status = 200, body = Page<Approval>)))]
async fn list(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Approval>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let mut items =
        approvals::list(&mut tx, &actor, query.state, query.before.unwrap_or(i64::MAX), limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { items, next }))
}

/// A request.
#[utoipa::path(get, path = "/approvals/{id}", responses((status = 200, body = Approval)))]
async fn show(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<Json<Approval>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(approvals::show(&mut tx, id, &actor).await?))
}

/// Approves a request, and carries it out; whoever asked for it cannot.
#[utoipa::path(post, path = "/approvals/{id}/approve", responses((status = 200, body = Approval)))]
async fn approve(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<Json<Approval>, Rejection> {
    approvals::approve(&ctx, id, &actor).await?;
    let mut tx = ctx.db.read().await?;
    Ok(Json(approvals::show(&mut tx, id, &actor).await?))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refusal {
    /// Why.
    #[serde(default)]
    reason: String,
}

/// Refuses a request; whoever asked for it withdraws it so.
#[utoipa::path(post, path = "/approvals/{id}/refuse", request_body = Refusal, responses((status = 200, body = Approval)))]
async fn refuse(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
    Json(refusal): Json<Refusal>,
) -> Result<Json<Approval>, Rejection> {
    approvals::refuse(&ctx, id, &actor, &refusal.reason).await?;
    let mut tx = ctx.db.read().await?;
    Ok(Json(approvals::show(&mut tx, id, &actor).await?))
}
