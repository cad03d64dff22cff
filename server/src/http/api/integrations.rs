//! Machines that were installed by somebody else: taken over as they are.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::integration::{self, IntegrationOrder, IntegrationView, TakeOver},
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(show))
}

/// Orders that a machine becomes a client as it is; the answer is the command that does it, with a one-time token. It replaces one that
/// nobody used.
#[utoipa::path(post, path = "/integrations", request_body = IntegrationOrder, responses((status = 201, body = TakeOver)))]
async fn begin(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(order): Json<IntegrationOrder>,
) -> Result<(StatusCode, Json<TakeOver>), Rejection> {
    Ok((StatusCode::CREATED, Json(integration::begin(&ctx, &order, &actor.name).await?)))
}

/// How a client was taken over, how its system is set up, and where that differs from its record.
#[utoipa::path(get, path = "/clients/{name}/integration", responses((status = 200, body = IntegrationView)))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<IntegrationView>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(integration::of_client(&ctx, &mut tx, &name).await?))
}
