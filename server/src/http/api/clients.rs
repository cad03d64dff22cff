//! Clients.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Map;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::{JobId, facts::Facts};

use super::{
    Asking, Rejection, tag,
    view::{ClientItem, ClientPage, ClientView},
};
use crate::{
    app::{
        Error,
        boot_timeline::{self, Timeline},
        clients::{self, ClientChange, NewClient},
        groups,
        helpdesk::{self, EnrolCommand},
        installation::{self, Installation},
        jobs::{self, JobOrder},
        layouts,
        people::Actor,
        reach, retirement,
        search::{self, Search, SortBy, Wanted},
        user_data::{self, ClientUserData},
    },
    context::Ctx,
    domain::{
        client::Stage,
        people::Role,
        search::{Expr, Span, Test, parse},
    },
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
        .routes(routes!(wake))
        .routes(routes!(rescue))
        .routes(routes!(release))
        .routes(routes!(enrol_command))
        .routes(routes!(make_user_data))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only clients that this search means, such as `stage:installed health:offline not name:pc-*`; docs/search.md has the language.
    #[serde(default)]
    q: String,
    /// By which column: name, stage, activity, health, group, os, distribution, model, serial, mac, ip, memory, disk, threads, agent, seen or added; with `-` before it the largest first.
    #[serde(default)]
    sort: String,
    /// Behind this client: `next` of the page before. With the usual order it is a name.
    #[serde(default)]
    after: String,
    /// Before this client: `previous` of the page behind.
    #[serde(default)]
    before: String,
    /// At most so many; up to 500.
    limit: Option<i64>,
    /// Only these fields of each client and its name, separated by commas.
    #[serde(default)]
    columns: String,
    /// Only this stage.
    stage: Option<Stage>,
    /// Only members of this group.
    group: Option<String>,
}

/// Clients that a search means, in any order.
#[utoipa::path(get, path = "/clients", params(ListQuery), responses((status = 200, body = ClientPage)))]
async fn list(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<ListQuery>,
) -> Result<Json<ClientPage>, Rejection> {
    let mut tx = ctx.db.read().await?;
    let mut expr = parse(&query.q).map_err(Error::from)?;
    if let Some(name) = &query.group {
        groups::get(&ctx, &mut tx, name).await?;
        expr = search::within_group(expr, name);
    }
    if let Some(stage) = query.stage {
        expr = Expr::All(vec![Expr::Test(Test::Stage(stage), Span(0..0)), expr]);
    }
    let (by, descending) = sorting(&query.sort)?;
    let search = Search::of(&ctx, &mut tx, expr).await?.seen_by(actor.sees());
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let wanted = Wanted { by, descending, after: query.after, before: query.before, limit };
    let found = search::list(&ctx, &mut tx, &search, &wanted).await?;
    let views = found.clients.into_iter().map(ClientView::from);
    let items = views.map(|view| only(view, &query.columns)).collect::<Result<_, _>>()?;
    Ok(Json(ClientPage { items, total: found.total, next: found.next, previous: found.previous }))
}

/// By what a list is sorted, and whether the largest comes first.
fn sorting(text: &str) -> Result<(SortBy, bool), Error> {
    let (word, descending) = match text.strip_prefix('-') {
        Some(word) => (word, true),
        None => (text, false),
    };
    if word.is_empty() {
        return Ok((SortBy::Name, descending));
    }
    let by = word.parse().map_err(|_| {
        let words = SortBy::ALL.map(SortBy::as_str).join(", ");
        Error::invalid(format!("clients cannot be sorted by `{word}`"), format!("possible are: {words}"))
    })?;
    Ok((by, descending))
}

/// A client with only some of its fields; all when none is named.
fn only(view: ClientView, columns: &str) -> Result<ClientItem, Error> {
    if columns.is_empty() {
        return Ok(ClientItem::Whole(Box::new(view)));
    }
    let value = serde_json::to_value(view).map_err(|error| Error::Internal(error.into()))?;
    let serde_json::Value::Object(mut fields) = value else { return Ok(ClientItem::Part(Map::new())) };
    let wanted: Vec<&str> = columns.split(',').map(str::trim).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !fields.contains_key(**wanted)) {
        let names = fields.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::invalid(
            format!("a client has no field `{unknown}`"),
            format!("possible are: {names}"),
        ));
    }
    fields.retain(|name, _| name == "name" || wanted.contains(&name.as_str()));
    Ok(ClientItem::Part(fields))
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
    let tag = tag::header(client.version);
    let view = ClientView::from(clients::standing(ctx, &mut tx, client).await?);
    Ok((tag, Json(view)).into_response())
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

/// The version that `If-Match` asks for.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(tag) = tag::expected(headers)? else { return Ok(None) };
    tag.parse().map(Some).map_err(|_| {
        Error::invalid("If-Match must be the ETag of the client", "read the client and take its ETag")
    })
}

/// Removes a client with everything that belongs to it.
#[utoipa::path(
    delete,
    path = "/clients/{name}",
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the client was changed since.")),
    responses((status = 204))
)]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejection> {
    clients::delete_if(&ctx, &name, expected(&headers)?, &actor.name).await?;
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

/// Wakes a machine over the network.
#[utoipa::path(post, path = "/clients/{name}/wake", responses((status = 204)))]
async fn wake(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    helpdesk::wake(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
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

/// Makes the user-data with which a machine in a cloud becomes this client. It replaces a token that nobody used.
#[utoipa::path(post, path = "/clients/{name}/user-data", responses((status = 201, body = ClientUserData)))]
async fn make_user_data(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<ClientUserData>), Rejection> {
    Ok((StatusCode::CREATED, Json(user_data::of_client(&ctx, &name, &actor.name).await?)))
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
