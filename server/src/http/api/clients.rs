//! Clients and groups.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::{JobId, facts::Facts};

use super::{
    Asking, Rejection,
    view::{ClientView, Page, TimelineView},
};
use crate::{
    app::{
        Error,
        clients::{self, ClientChange, NewClient},
        installation::{self, Installation},
        jobs::{self, JobOrder},
        layouts,
    },
    context::Ctx,
    db,
    domain::client::Stage,
    planner::storage::DiskPreview,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(facts))
        .routes(routes!(timeline))
        .routes(routes!(adopt))
        .routes(routes!(install))
        .routes(routes!(reset))
        .routes(routes!(clear_alarm))
        .routes(routes!(storage))
        .routes(routes!(create_job))
        .routes(routes!(list_groups, create_group))
        .routes(routes!(delete_group))
        .routes(routes!(create_group_jobs))
}

#[derive(Deserialize, IntoParams)]
struct ListQuery {
    /// Names after this one.
    #[serde(default)]
    after: String,
    /// At most so many; up to 500.
    limit: Option<i64>,
    /// Only this stage.
    stage: Option<Stage>,
    /// Only members of this group.
    group: Option<String>,
}

/// Clients by name.
#[utoipa::path(get, path = "/clients", params(ListQuery), responses((status = 200, body = Page<ClientView>)))]
async fn list(
    State(ctx): State<Ctx>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ClientView>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let found =
        db::clients::list(&mut tx, &query.after, query.stage, query.group.as_deref(), limit + 1).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > limit;
    let mut items = Vec::new();
    for client in found.into_iter().take(usize::try_from(limit).unwrap_or(0)) {
        items.push(ClientView::from(clients::standing(&ctx, &mut tx, client).await?));
    }
    let next = items.last().filter(|_| more).map(|last| last.name.clone());
    Ok(Json(Page { items, next }))
}

/// Registers a client.
#[utoipa::path(post, path = "/clients", request_body = NewClient, responses((status = 201, body = ClientView)))]
async fn create(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewClient>,
) -> Result<Response, Rejection> {
    clients::create(&ctx, &new, &actor.name).await?;
    Ok((StatusCode::CREATED, view(&ctx, &new.name).await?).into_response())
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Error> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, name).await?;
    let tag = format!("\"{}\"", client.version);
    let view = ClientView::from(clients::standing(ctx, &mut tx, client).await?);
    Ok(([(header::ETAG, tag)], Json(view)).into_response())
}

/// A client.
#[utoipa::path(get, path = "/clients/{name}", responses((status = 200, body = ClientView)))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    Ok(view(&ctx, &name).await?)
}

/// Changes a client; with `If-Match` only when it is still of that version.
#[utoipa::path(patch, path = "/clients/{name}", request_body = ClientChange, responses((status = 200, body = ClientView)))]
async fn update(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<ClientChange>,
) -> Result<Response, Rejection> {
    let expected = match headers.get(header::IF_MATCH) {
        None => None,
        Some(tag) => {
            Some(tag.to_str().ok().and_then(|tag| tag.trim_matches('"').parse().ok()).ok_or_else(|| {
                Error::invalid("If-Match must be the ETag of the client", "read the client and take its ETag")
            })?)
        }
    };
    clients::update(&ctx, &name, &change, expected, &actor.name).await?;
    Ok(view(&ctx, change.name.as_deref().unwrap_or(&name)).await?)
}

/// Removes a client with everything that belongs to it.
#[utoipa::path(delete, path = "/clients/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    clients::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the agent measured.
#[utoipa::path(get, path = "/clients/{name}/facts", responses((status = 200, body = Facts)))]
async fn facts(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Facts>, Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let facts = client.facts.ok_or_else(|| Error::not_found(format!("facts of client {name}")))?;
    Ok(Json(facts))
}

/// Every contact of the machine on its way into the system.
#[utoipa::path(get, path = "/clients/{name}/timeline", responses((status = 200, body = TimelineView)))]
async fn timeline(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<TimelineView>, Rejection> {
    let (lines, expected) = clients::timeline(&ctx, &name).await?;
    Ok(Json(TimelineView { lines, expected }))
}

/// Lets a discovered machine become a client.
#[utoipa::path(post, path = "/clients/{name}/adopt", request_body = ClientChange, responses((status = 200, body = ClientView)))]
async fn adopt(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(change): Json<ClientChange>,
) -> Result<Response, Rejection> {
    let name = clients::adopt(&ctx, &name, &change, &actor.name).await?;
    Ok(view(&ctx, &name).await?)
}

#[derive(Deserialize, IntoParams)]
struct InstallQuery {
    /// Only show what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// Queues the installation of a client.
#[utoipa::path(post, path = "/clients/{name}/install", params(InstallQuery), responses((status = 200, body = Installation)))]
async fn install(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Query(query): Query<InstallQuery>,
) -> Result<Json<Installation>, Rejection> {
    let id = id_of(&ctx, &name).await?;
    Ok(Json(installation::install(&ctx, id, query.dry_run, &actor.name).await?))
}

async fn id_of(ctx: &Ctx, name: &str) -> Result<wire::ClientId, Error> {
    let mut tx = ctx.db.read().await?;
    Ok(clients::get(&mut tx, name).await?.id)
}

/// Drops everything that waits for a client.
#[utoipa::path(post, path = "/clients/{name}/reset", responses((status = 204)))]
async fn reset(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    let id = id_of(&ctx, &name).await?;
    installation::reset(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a client work again after an alarm.
#[utoipa::path(delete, path = "/clients/{name}/alarm", responses((status = 204)))]
async fn clear_alarm(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    clients::clear_alarm(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
struct StorageQuery {
    /// Another layout than the client's own.
    layout: Option<String>,
}

/// What the client's layout would do to its disks.
#[utoipa::path(get, path = "/clients/{name}/storage", params(StorageQuery), responses((status = 200, body = Vec<DiskPreview>)))]
async fn storage(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<StorageQuery>,
) -> Result<Json<Vec<DiskPreview>>, Rejection> {
    Ok(Json(layouts::preview(&ctx, &name, query.layout.as_deref()).await?))
}

/// Queues a job for a client.
#[utoipa::path(post, path = "/clients/{name}/jobs", request_body = JobOrder, responses((status = 201, body = JobId)))]
async fn create_job(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(order): Json<JobOrder>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    let client = id_of(&ctx, &name).await?;
    let id = jobs::create(&ctx, client, &order, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(id)))
}

/// Groups by name.
#[utoipa::path(get, path = "/groups", responses((status = 200, body = Vec<db::groups::Group>)))]
async fn list_groups(State(ctx): State<Ctx>) -> Result<Json<Vec<db::groups::Group>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(db::groups::list(&mut tx).await?))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    /// Its name.
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", request_body = NewGroup, responses((status = 204)))]
async fn create_group(State(ctx): State<Ctx>, Json(new): Json<NewGroup>) -> Result<StatusCode, Rejection> {
    if !crate::domain::client::is_name(&new.name) {
        return Err(Error::invalid(
            format!("`{}` cannot be a group's name", new.name),
            "use small letters, digits and hyphens",
        )
        .into());
    }
    let mut tx = ctx.db.write().await?;
    db::groups::create(&mut tx, &new.name, &new.description, ctx.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a group; its clients stay.
#[utoipa::path(delete, path = "/groups/{name}", responses((status = 204)))]
async fn delete_group(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    let mut tx = ctx.db.write().await?;
    let group =
        db::groups::find(&mut tx, &name).await?.ok_or_else(|| Error::not_found(format!("group {name}")))?;
    db::groups::delete(&mut tx, group).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Queues a job for every member of a group.
#[utoipa::path(post, path = "/groups/{name}/jobs", request_body = JobOrder, responses((status = 201, body = Vec<JobId>)))]
async fn create_group_jobs(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(order): Json<JobOrder>,
) -> Result<(StatusCode, Json<Vec<JobId>>), Rejection> {
    let members = {
        let mut tx = ctx.db.read().await?;
        db::groups::find(&mut tx, &name).await?.ok_or_else(|| Error::not_found(format!("group {name}")))?;
        db::clients::list(&mut tx, "", None, Some(&name), i64::MAX).await?
    };
    let mut ids = Vec::new();
    for client in members {
        ids.push(jobs::create(&ctx, client.id, &order, &actor.name).await?);
    }
    Ok((StatusCode::CREATED, Json(ids)))
}
