//! What brings machines in and keeps them known: presets, rules, installations of many, recovery, notes, history.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, tag, view::Page};
use crate::{
    app::{
        discovery,
        installation::Installation,
        mass_installation::{self, MassOrder, MassPlan},
        notes::{self, Note, ServerEvent},
        presets::{self, Preset},
        recovery,
        rules::{self, RuleHit},
        tag as content,
    },
    context::Ctx,
    domain::{client::ClientConfig, rule::Rule},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_presets))
        .routes(routes!(show_preset, set_preset, delete_preset))
        .routes(routes!(list_rules))
        .routes(routes!(show_rule, set_rule, delete_rule))
        .routes(routes!(run_rules))
        .routes(routes!(mass))
        .routes(routes!(recover))
        .routes(routes!(forget))
        .routes(routes!(list_notes, add_note))
        .routes(routes!(delete_note))
        .routes(routes!(history))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DryRun {
    /// Only show what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// Presets: values kept under a name for new clients.
#[utoipa::path(get, path = "/presets", responses((status = 200, body = Vec<Preset>)))]
async fn list_presets(State(ctx): State<Ctx>) -> Result<Json<Vec<Preset>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(presets::list(&mut tx).await?))
}

/// A preset.
#[utoipa::path(get, path = "/presets/{name}", responses((status = 200, body = Preset, headers(("ETag" = String, description = "Changes with it, for `If-Match`.")))))]
async fn show_preset(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = presets::get(&mut tx, &name).await?;
    Ok((tag::header(content::of(&found)), Json(found)))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct PresetValues {
    /// What is wanted of a client.
    config: ClientConfig,
    /// Names of the groups it shall belong to.
    groups: Vec<String>,
}

/// Keeps a preset, replacing one of the name.
#[utoipa::path(put, path = "/presets/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the preset was changed since.")), request_body = PresetValues, responses((status = 204)))]
async fn set_preset(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(values): Json<PresetValues>,
) -> Result<StatusCode, Rejection> {
    let preset = Preset { name, config: values.config, groups: values.groups };
    presets::set(&ctx, &preset, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a preset; clients that were made with it stay as they are.
#[utoipa::path(delete, path = "/presets/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the preset was changed since.")), responses((status = 204)))]
async fn delete_preset(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejection> {
    presets::delete(&ctx, &name, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rules for machines that announce themselves, in the order in which they count.
#[utoipa::path(get, path = "/rules", responses((status = 200, body = Vec<Rule>)))]
async fn list_rules(State(ctx): State<Ctx>) -> Result<Json<Vec<Rule>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(rules::list(&mut tx).await?))
}

/// A rule.
#[utoipa::path(get, path = "/rules/{name}", responses((status = 200, body = Rule, headers(("ETag" = String, description = "Changes with it, for `If-Match`.")))))]
async fn show_rule(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = rules::get(&mut tx, &name).await?;
    Ok((tag::header(content::of(&found)), Json(found)))
}

/// Keeps a rule, replacing one of the name. A rule adopts without anybody having compared fingerprints.
#[utoipa::path(put, path = "/rules/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the rule was changed since.")), request_body = Rule, responses((status = 204)))]
async fn set_rule(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(rule): Json<Rule>,
) -> Result<StatusCode, Rejection> {
    rules::set(&ctx, &Rule { name, ..rule }, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a rule; what it has done stays done.
#[utoipa::path(delete, path = "/rules/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the rule was changed since.")), responses((status = 204)))]
async fn delete_rule(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejection> {
    rules::delete(&ctx, &name, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Follows the rules for all machines that wait for adoption.
#[utoipa::path(post, path = "/rule-runs", params(DryRun), responses((status = 200, body = Vec<RuleHit>)))]
async fn run_rules(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<DryRun>,
) -> Result<Json<Vec<RuleHit>>, Rejection> {
    Ok(Json(rules::follow_all(&ctx, query.dry_run, &actor.name).await?))
}

/// Installs many machines by a table: all of them or, when a row is wrong, none. With `dry_run` the answer says what is wrong, row by row.
#[utoipa::path(post, path = "/mass-installations", params(DryRun), request_body = MassOrder, responses((status = 200, body = MassPlan)))]
async fn mass(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<DryRun>,
    Json(order): Json<MassOrder>,
) -> Result<Json<MassPlan>, Rejection> {
    let plan = if query.dry_run {
        mass_installation::preview(&ctx, &order, &actor.name).await?
    } else {
        mass_installation::begin(&ctx, &order, &actor.name).await?
    };
    Ok(Json(plan))
}

/// Installs a client anew, and then does again what had succeeded on it before.
#[utoipa::path(post, path = "/clients/{name}/recover", params(DryRun), responses((status = 200, body = Installation)))]
async fn recover(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Query(query): Query<DryRun>,
) -> Result<Json<Installation>, Rejection> {
    Ok(Json(recovery::recover(&ctx, &name, query.dry_run, &actor.name).await?))
}

/// Forgets a machine that waits for adoption.
#[utoipa::path(post, path = "/clients/{name}/forget", responses((status = 204)))]
async fn forget(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    discovery::forget(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What people have noted about a client, newest first.
#[utoipa::path(get, path = "/clients/{name}/notes", responses((status = 200, body = Vec<Note>)))]
async fn list_notes(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Vec<Note>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(notes::list(&mut tx, &name).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNote {
    /// What it says.
    text: String,
}

/// Adds a note; the answer is its number.
#[utoipa::path(post, path = "/clients/{name}/notes", request_body = NewNote, responses((status = 201, body = i64, content_type = "application/json")))]
async fn add_note(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(note): Json<NewNote>,
) -> Result<(StatusCode, Json<i64>), Rejection> {
    let id = notes::add(&ctx, &name, &note.text, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(id)))
}

/// Removes a note.
#[utoipa::path(delete, path = "/clients/{name}/notes/{id}", responses((status = 204)))]
async fn delete_note(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, id)): Path<(String, i64)>,
) -> Result<StatusCode, Rejection> {
    notes::delete(&ctx, &name, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Numbers before this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// What has happened to a client, newest first.
#[utoipa::path(get, path = "/clients/{name}/history", params(HistoryQuery), responses((status = 200, body = Page<ServerEvent>)))]
async fn history(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<ServerEvent>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let mut tx = ctx.db.read().await?;
    let mut items = notes::history(&mut tx, &name, query.before.unwrap_or(i64::MAX), limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { items, next }))
}
