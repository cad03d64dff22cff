//! Groups.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::JobId;

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        groups::{self, Group, GroupChange},
        jobs::JobOrder,
        tag as content,
    },
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(join, leave))
        .routes(routes!(create_jobs))
}

/// Groups by name.
#[utoipa::path(get, path = "/groups", responses((status = 200, body = Vec<Group>)))]
async fn list(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Vec<Group>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(groups::list(&ctx, &mut tx, &actor.sees()).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    /// Its name.
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// A search that finds its members, such as `stage:installed os:debian-12`; without it they are named.
    #[serde(default)]
    query: Option<String>,
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", request_body = NewGroup, responses((status = 201, body = Group)))]
async fn create(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewGroup>,
) -> Result<(StatusCode, Json<Group>), Rejection> {
    groups::create(&ctx, &new.name, &new.description, new.query.as_deref(), &actor.name).await?;
    let mut tx = ctx.db.read().await?;
    Ok((StatusCode::CREATED, Json(groups::get(&ctx, &mut tx, &new.name).await?)))
}

/// A group; its members are `/clients?group=`.
#[utoipa::path(get, path = "/groups/{name}", responses((status = 200, body = Group, headers(("ETag" = String, description = "Changes with what can be changed of it, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    view(&ctx, &name).await
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let group = groups::get(ctx, &mut tx, name).await?;
    Ok((tag::header(content::of(&groups::changeable(&group))), Json(group)).into_response())
}

/// Changes what a group is for, or the search that finds its members.
#[utoipa::path(patch, path = "/groups/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the group was changed since.")), request_body = GroupChange, responses((status = 200, body = Group)))]
async fn update(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<GroupChange>,
) -> Result<Response, Rejection> {
    groups::update(&ctx, &name, &change, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    view(&ctx, &name).await
}

/// Removes a group; its clients stay.
#[utoipa::path(delete, path = "/groups/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    groups::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a client into a group.
#[utoipa::path(put, path = "/groups/{name}/members/{client}", responses((status = 204)))]
async fn join(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, client)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    groups::set_member(&ctx, &name, &client, true, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a client out of a group.
#[utoipa::path(delete, path = "/groups/{name}/members/{client}", responses((status = 204)))]
async fn leave(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, client)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    groups::set_member(&ctx, &name, &client, false, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Queues a job for every member: for all of them, or for none when one of them cannot have it.
#[utoipa::path(post, path = "/groups/{name}/jobs", request_body = JobOrder, responses((status = 201, body = Vec<JobId>)))]
async fn create_jobs(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(order): Json<JobOrder>,
) -> Result<(StatusCode, Json<Vec<JobId>>), Rejection> {
    Ok((StatusCode::CREATED, Json(groups::create_jobs(&ctx, &name, &order, &actor.name).await?)))
}
