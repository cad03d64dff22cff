//! Desktops.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::desktops::{self, Desktop, DesktopPlan, DesktopRecord, DesktopView, NewDesktop},
    context::Ctx,
    domain::desktop::PowerOrder,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(plan))
        .routes(routes!(show, delete))
        .routes(routes!(power))
        .routes(routes!(rebuild))
}

/// What shall be done with a machine.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PowerWish {
    /// What.
    order: PowerOrder,
}

/// Desktops by name, without those that are deleted.
#[utoipa::path(get, path = "/desktops", responses((status = 200, body = Vec<Desktop>)))]
async fn list(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Vec<Desktop>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(desktops::list(&mut tx, &actor.sees()).await?))
}

/// Makes a desktop: its client at once, its machine in the background.
#[utoipa::path(post, path = "/desktops", request_body = NewDesktop, responses((status = 201, body = DesktopRecord)))]
async fn create(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewDesktop>,
) -> Result<(StatusCode, Json<DesktopRecord>), Rejection> {
    Ok((StatusCode::CREATED, Json(desktops::create(&ctx, &new, &actor.name).await?)))
}

/// Shows what would be made for a desktop, and where; nothing is made.
#[utoipa::path(post, path = "/desktop-plans", request_body = NewDesktop, responses((status = 200, body = DesktopPlan)))]
async fn plan(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewDesktop>,
) -> Result<Json<DesktopPlan>, Rejection> {
    Ok(Json(desktops::plan(&ctx, &new, &actor.name).await?))
}

/// A desktop: its way in stages, how to connect, which providers were tried, and the journal of everything that was made for it.
#[utoipa::path(get, path = "/desktops/{name}", responses((status = 200, body = DesktopView)))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<DesktopView>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(desktops::view(&ctx, &mut tx, &name).await?))
}

/// Orders its machine to be started, stopped or restarted.
#[utoipa::path(post, path = "/desktops/{name}/power", request_body = PowerWish, responses((status = 204)))]
async fn power(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(wish): Json<PowerWish>,
) -> Result<StatusCode, Rejection> {
    desktops::power(&ctx, &name, wish.order, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces its machine by a new one and installs that; what was on the disk is gone.
#[utoipa::path(post, path = "/desktops/{name}/rebuild", responses((status = 204)))]
async fn rebuild(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    desktops::rebuild(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes it: everything at its provider, then its client with all records.
#[utoipa::path(delete, path = "/desktops/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    desktops::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
