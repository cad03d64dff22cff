//! Searches that people keep.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::filters::{self, NewFilter, SavedFilter},
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list, save)).routes(routes!(delete))
}

/// Searches that are kept: one's own, and those that others share.
#[utoipa::path(get, path = "/filters", responses((status = 200, body = Vec<SavedFilter>)))]
async fn list(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Vec<SavedFilter>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(filters::list(&mut tx, &actor.name).await?))
}

/// Keeps a search; one's own of the same name is replaced.
#[utoipa::path(post, path = "/filters", request_body = NewFilter, responses((status = 201, body = SavedFilter)))]
async fn save(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewFilter>,
) -> Result<(StatusCode, Json<SavedFilter>), Rejection> {
    Ok((StatusCode::CREATED, Json(filters::save(&ctx, &new, &actor.name).await?)))
}

/// Forgets a search of one's own.
#[utoipa::path(delete, path = "/filters/{id}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    filters::delete(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
