//! The server itself, events and tokens.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::Mac;

use super::{Asking, Rejection};
use crate::{
    app::{
        Error,
        boot_timeline::{self, Timeline},
        happenings::{self, ServerEvent},
        health::{self, Health},
        people::{self, NewToken, ShownToken},
    },
    context::Ctx,
    domain::{
        boot::BootEvent,
        people::{ApiToken, Role},
    },
    http::{extract::Json, stream},
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(server))
        .routes(routes!(health))
        .routes(routes!(events))
        .routes(routes!(events_stream))
        .routes(routes!(strangers))
        .routes(routes!(boot_timeline))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
}

#[derive(Serialize, ToSchema)]
struct ServerView {
    /// Version of the server.
    version: &'static str,
    /// Pages, API, enrolment.
    https: String,
    /// Agents.
    agents: String,
    /// Firmware and files.
    boot: String,
    /// SHA-256 of the CA certificate.
    ca: String,
    /// Names of the mirrors under `/mirror/`.
    mirrors: Vec<String>,
    /// The server's time.
    server_at: i64,
}

/// The server itself.
#[utoipa::path(get, path = "/server", responses((status = 200, body = ServerView)))]
async fn server(State(ctx): State<Ctx>) -> Json<ServerView> {
    let addresses = &ctx.addresses;
    Json(ServerView {
        version: env!("CARGO_PKG_VERSION"),
        https: addresses.https.clone(),
        agents: addresses.agents.clone(),
        boot: addresses.boot.clone(),
        ca: addresses.ca.clone(),
        mirrors: ctx.mirrors.list().iter().map(|(name, _)| name.clone()).collect(),
        server_at: ctx.now(),
    })
}

/// How every part of the server is. Who is no admin sees only which parts there are and how they are.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
async fn health(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Health>, Rejection> {
    let found = health::look(&ctx).await?;
    Ok(Json(if actor.role == Role::Admin { found } else { found.without_details() }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Events after this number.
    after: Option<i64>,
    /// At most so many; up to 1000.
    limit: Option<i64>,
}

/// What happened.
#[utoipa::path(get, path = "/events", params(EventsQuery), responses((status = 200, body = Vec<ServerEvent>)))]
async fn events(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Vec<ServerEvent>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    Ok(Json(happenings::after(&mut tx, &actor.sees(), query.after.unwrap_or(0), limit).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    /// Events after this number.
    after: Option<i64>,
}

/// What happens, live: server-sent events whose id is the event's number. `Last-Event-ID` or `after` resumes; without them only what is new comes.
#[utoipa::path(get, path = "/events/stream", params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Resumes after this number; it wins over `after`.")), responses((status = 200, content_type = "text/event-stream")))]
async fn events_stream(
    State(ctx): State<Ctx>,
    Asking(reader): Asking,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Rejection> {
    let after = if let Some(after) = stream::last_event_id(&headers).or(query.after) {
        after
    } else {
        let mut tx = ctx.db.read().await?;
        happenings::newest(&mut tx).await?
    };
    let (sees, came) = (reader.sees(), ctx.presence.events());
    Ok(stream::follow(ctx, reader, came, after, move |ctx, after| {
        let sees = sees.clone();
        Box::pin(async move {
            let mut tx = ctx.db.read().await?;
            let events = happenings::after(&mut tx, &sees, after, stream::BATCH).await?;
            let items = events
                .iter()
                .map(|event| stream::item(event.id, &event.kind, event))
                .collect::<Result<_, Error>>()?;
            Ok((items, false))
        })
    }))
}

/// Machines that nobody knows yet and that are on their way: the last contact of each, newest first.
#[utoipa::path(get, path = "/boot-timelines", responses((status = 200, body = Vec<BootEvent>)))]
async fn strangers(State(ctx): State<Ctx>) -> Result<Json<Vec<BootEvent>>, Rejection> {
    Ok(Json(boot_timeline::strangers(&ctx).await?))
}

/// Every contact of one hardware address, whether a client has it or not.
#[utoipa::path(get, path = "/boot-timelines/{mac}", responses((status = 200, body = Timeline)))]
async fn boot_timeline(State(ctx): State<Ctx>, Path(mac): Path<Mac>) -> Result<Json<Timeline>, Rejection> {
    Ok(Json(boot_timeline::of_mac(&ctx, mac).await?))
}

/// Tokens, newest first; never the secrets.
#[utoipa::path(get, path = "/tokens", responses((status = 200, body = Vec<ApiToken>)))]
async fn list_tokens(State(ctx): State<Ctx>) -> Result<Json<Vec<ApiToken>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(people::list_tokens(&mut tx).await?))
}

/// Makes a token; the answer is the only place where its secret is shown.
#[utoipa::path(post, path = "/tokens", request_body = NewToken, responses((status = 201, body = ShownToken)))]
async fn create_token(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<ShownToken>), Rejection> {
    let maker = {
        let mut tx = ctx.db.read().await?;
        people::person(&mut tx, &people::pass_word(&actor.pass), &actor.name).await?
    };
    let shown = people::add_token(&ctx, new, &maker).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/tokens/{id}", responses((status = 204)))]
async fn revoke_token(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    people::revoke_token(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
