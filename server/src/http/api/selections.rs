//! Selections of packages: kept, given to groups, compared with clients, applied.

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::JobId;

use super::{Asking, Rejection};
use crate::{
    app::{
        clients,
        selections::{self, Revision, Selection, SelectionRecord, Standing},
    },
    context::Ctx,
    domain::selection::Contents,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, set, delete))
        .routes(routes!(revisions))
        .routes(routes!(file))
        .routes(routes!(import))
        .routes(routes!(drift))
        .routes(routes!(attach, detach))
        .routes(routes!(of_client))
        .routes(routes!(compare, apply))
}

/// Selections of packages in the order in which a client gets them, with how many clients have and differ from each.
#[utoipa::path(get, path = "/selections", responses((status = 200, body = Vec<SelectionRecord>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<SelectionRecord>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::list(&mut tx).await?))
}

/// A selection of packages.
#[utoipa::path(get, path = "/selections/{name}", responses((status = 200, body = SelectionRecord)))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<SelectionRecord>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::record(&mut tx, &name).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SelectionOrder {
    /// What it holds.
    contents: Contents,
    /// The revision that was read; 409 when there is a newer one.
    #[serde(default)]
    expected: Option<i64>,
}

/// Makes a selection, or gives it its next revision.
#[utoipa::path(put, path = "/selections/{name}", request_body = SelectionOrder, responses((status = 200, body = Selection)))]
async fn set(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(order): Json<SelectionOrder>,
) -> Result<Json<Selection>, Rejection> {
    Ok(Json(selections::set(&ctx, &name, &order.contents, order.expected, &actor.name).await?))
}

/// Removes a selection; what is installed stays.
#[utoipa::path(delete, path = "/selections/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    selections::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a selection was after each change, the newest first.
#[utoipa::path(get, path = "/selections/{name}/revisions", responses((status = 200, body = Vec<Revision>)))]
async fn revisions(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Revision>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::revisions(&mut tx, &name).await?))
}

/// A selection as a YAML file, as `POST /selection-imports` takes it.
#[utoipa::path(get, path = "/selections/{name}/file", responses((status = 200, body = String, content_type = "application/yaml")))]
async fn file(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], selections::file(&mut tx, &name).await?)
        .into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SelectionFile {
    /// The text of the file.
    yaml: String,
}

/// Makes a selection of a YAML file, or gives the one of its name its next revision.
#[utoipa::path(post, path = "/selection-imports", request_body = SelectionFile, responses((status = 201, body = Selection)))]
async fn import(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(file): Json<SelectionFile>,
) -> Result<(StatusCode, Json<Selection>), Rejection> {
    let file = selections::read_file(&file.yaml)?;
    let selection = selections::set(&ctx, &file.name, &file.contents, None, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(selection)))
}

/// The clients of a selection that differ from it, and how; the first 200 by name.
#[utoipa::path(get, path = "/selections/{name}/drift", responses((status = 200, body = Vec<Standing>)))]
async fn drift(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Vec<Standing>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::drifting(&mut tx, &name).await?))
}

/// Gives a selection to a group: each member gets the job for it once, those who join later as well.
#[utoipa::path(put, path = "/selections/{name}/groups/{group}", responses((status = 204)))]
async fn attach(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, group)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    selections::set_group(&ctx, &name, &group, true, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a selection away from a group; what is installed stays.
#[utoipa::path(delete, path = "/selections/{name}/groups/{group}", responses((status = 204)))]
async fn detach(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, group)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    selections::set_group(&ctx, &name, &group, false, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The selections that a client has by its groups, and in what it differs from them.
#[utoipa::path(get, path = "/clients/{name}/selections", responses((status = 200, body = Vec<Standing>)))]
async fn of_client(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Standing>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::of_client(&mut tx, &name).await?))
}

/// In what a client differs from a selection, whether it has it or not.
#[utoipa::path(get, path = "/clients/{name}/selections/{selection}", responses((status = 200, body = Standing)))]
async fn compare(
    State(ctx): State<Ctx>,
    Path((name, selection)): Path<(String, String)>,
) -> Result<Json<Standing>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(selections::compare(&mut tx, &name, &selection).await?))
}

/// Queues the job that brings a client to a selection.
#[utoipa::path(post, path = "/clients/{name}/selections/{selection}", responses((status = 201, body = JobId)))]
async fn apply(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, selection)): Path<(String, String)>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?.id;
    drop(tx);
    Ok((StatusCode::CREATED, Json(selections::apply(&ctx, client, &selection, false, &actor.name).await?)))
}
