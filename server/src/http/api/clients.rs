//! Clients.

use axum::{
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
    view::{ClientView, Page},
};
use crate::{
    app::{
        Error,
        boot_timeline::{self, Timeline},
        clients::{self, ClientChange, NewClient},
        helpdesk::{self, EnrolCommand},
        installation::{self, Installation},
        jobs::{self, JobOrder},
        layouts,
        people::Actor,
        reach, retirement,
    },
    context::Ctx,
    domain::{client::Stage, people::Role},
    http::extract::Json,
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
        .routes(routes!(retire))
        .routes(routes!(reinstate))
        .routes(routes!(clear_alarm))
        .routes(routes!(storage))
        .routes(routes!(create_job))
        .routes(routes!(redo))
        .routes(routes!(restart))
        .routes(routes!(rescue))
        .routes(routes!(release))
        .routes(routes!(enrol_command))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
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
    Asking(actor): Asking,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ClientView>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let sees = actor.sees();
    let group = query.group.as_deref();
    let found = clients::list(&mut tx, &sees, &query.after, query.stage, group, limit + 1).await?;
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
#[utoipa::path(
    get,
    path = "/clients/{name}",
    responses((status = 200, body = ClientView, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    Ok(view(&ctx, &name).await?)
}

/// Changes a client; with `If-Match` only when it is still of that version.
#[utoipa::path(
    patch,
    path = "/clients/{name}",
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the client was changed since.")),
    request_body = ClientChange,
    responses((status = 200, body = ClientView, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
async fn update(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<ClientChange>,
) -> Result<Response, Rejection> {
    may_enter(&ctx, &actor, &name, &change).await?;
    clients::update(&ctx, &name, &change, expected(&headers)?, &actor.name).await?;
    Ok(view(&ctx, change.name.as_deref().unwrap_or(&name)).await?)
}

/// Refuses groups in which whoever asks has nothing to say.
async fn may_enter(ctx: &Ctx, actor: &Actor, name: &str, change: &ClientChange) -> Result<(), Error> {
    let Some(groups) = &change.groups else { return Ok(()) };
    let mut tx = ctx.db.read().await?;
    reach::require_groups(&mut tx, &actor.reach, name, groups, Role::Operator).await
}

/// The version that `If-Match` (RFC 9110, 13.1.1) asks for; `*` is met by any.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default();
    if tag == "*" {
        return Ok(None);
    }
    let version =
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    version.map(Some).ok_or_else(|| {
        Error::invalid("If-Match must be the ETag of the client", "read the client and take its ETag")
    })
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
    let facts = client.facts.ok_or_else(|| {
        Error::not_found(format!("measured hardware of client {name} (its agent has not reported any yet)"))
    })?;
    Ok(Json(facts))
}

/// Every contact of the machine on its way into the system, and what is expected next.
#[utoipa::path(get, path = "/clients/{name}/timeline", responses((status = 200, body = Timeline)))]
async fn timeline(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Timeline>, Rejection> {
    Ok(Json(boot_timeline::of_client(&ctx, &name).await?))
}

/// Lets a discovered machine become a client.
#[utoipa::path(post, path = "/clients/{name}/adopt", request_body = ClientChange, responses((status = 200, body = ClientView)))]
async fn adopt(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(change): Json<ClientChange>,
) -> Result<Response, Rejection> {
    may_enter(&ctx, &actor, &name, &change).await?;
    let name = clients::adopt(&ctx, &name, &change, &actor.name).await?;
    Ok(view(&ctx, &name).await?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
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

/// Takes a client out of service: its identity ends, its jobs are cancelled, its record and history stay.
#[utoipa::path(post, path = "/clients/{name}/retire", responses((status = 204)))]
async fn retire(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    retirement::retire(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a retired client back into service; it gets a new identity at its next boot.
#[utoipa::path(post, path = "/clients/{name}/reinstate", responses((status = 204)))]
async fn reinstate(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    retirement::reinstate(&ctx, &name, &actor.name).await?;
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
#[serde(deny_unknown_fields)]
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
    {
        let mut tx = ctx.db.read().await?;
        reach::require_jobs(&mut tx, &actor.reach, &order.needs).await?;
    }
    let id = jobs::create(&ctx, client, &order, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(id)))
}

/// Installs a client anew that was installed before, and restarts it when its system runs.
#[utoipa::path(post, path = "/clients/{name}/redo", responses((status = 200, body = Installation)))]
async fn redo(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<Json<Installation>, Rejection> {
    Ok(Json(helpdesk::redo(&ctx, &name, &actor.name).await?))
}

/// Restarts a machine through its agent; the job expires when the agent does not come in 15 minutes.
#[utoipa::path(post, path = "/clients/{name}/restart", responses((status = 201, body = JobId)))]
async fn restart(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    Ok((StatusCode::CREATED, Json(helpdesk::restart(&ctx, &name, &actor.name).await?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Rescue {
    /// Public keys that may log in as root.
    authorized_keys: Vec<String>,
}

/// Queues a rescue system: it boots over the network and lets the keys in until it is released.
#[utoipa::path(post, path = "/clients/{name}/rescue", request_body = Rescue, responses((status = 201, body = JobId)))]
async fn rescue(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(rescue): Json<Rescue>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    let id = helpdesk::rescue(&ctx, &name, &rescue.authorized_keys, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(id)))
}

/// Ends the rescue of a client; the answer is its job.
#[utoipa::path(post, path = "/clients/{name}/release", responses((status = 200, body = JobId)))]
async fn release(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<Json<JobId>, Rejection> {
    Ok(Json(helpdesk::release(&ctx, &name, &actor.name).await?))
}

/// Makes the command with which a system that is installed already becomes this client. It replaces one that nobody used.
#[utoipa::path(post, path = "/clients/{name}/enrol-command", responses((status = 201, body = EnrolCommand)))]
async fn enrol_command(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<EnrolCommand>), Rejection> {
    Ok((StatusCode::CREATED, Json(helpdesk::enrol_command(&ctx, &name, &actor.name).await?)))
}
