//! Orders for many clients.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, view::Page};
use crate::{
    app::batches::{self, Batch, BatchOrder, BatchView, Ordered},
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list, order)).routes(routes!(show)).routes(routes!(stop))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Numbers below this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// Orders for many clients, newest first.
#[utoipa::path(get, path = "/batches", params(ListQuery), responses((status = 200, body = Page<Batch>)))]
async fn list(
    State(ctx): State<Ctx>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Batch>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let mut items = batches::list(&mut tx, query.before.unwrap_or(i64::MAX), limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { items, next }))
}

/// Gives an order for many clients, or shows with `dry_run` what it would do. It is carried out in the background.
#[utoipa::path(post, path = "/batches", request_body = BatchOrder, responses((status = 202, body = Ordered), (status = 200, description = "What it would do.", body = Ordered)))]
async fn order(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(order): Json<BatchOrder>,
) -> Result<(StatusCode, Json<Ordered>), Rejection> {
    let ordered = batches::order(&ctx, &order, &actor.name, actor.role).await?;
    let status = if ordered.batch.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(ordered)))
}

/// An order for many clients: how far it is, and for which clients nothing was ordered.
#[utoipa::path(get, path = "/batches/{id}", responses((status = 200, body = BatchView)))]
async fn show(State(ctx): State<Ctx>, Path(id): Path<i64>) -> Result<Json<BatchView>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(batches::show(&mut tx, id).await?))
}

/// Takes back what is not ordered yet.
#[utoipa::path(post, path = "/batches/{id}/stop", responses((status = 204)))]
async fn stop(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    batches::stop(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
