//! JSON for people and scripts, under `/api/v1`; described at `/api/openapi.json`.
//!
//! Invariant: every route stands in [`ROUTES`] with the role that it needs; one that does not is refused to everybody.

mod accounts;
mod approvals;
pub(super) mod audit;
mod batches;
mod cache;
mod channels;
mod clients;
mod consoles;
mod desktops;
mod files;
mod filters;
mod groups;
mod integrations;
mod inventory;
mod job_scripts;
mod jobs;
mod machines;
mod misc;
mod providers;
mod repeat;
mod report_mails;
mod reports;
pub(crate) mod rollouts;
mod selections;
mod settings;
pub mod sources;
mod spec;
mod tag;
pub mod view;

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::reports::as_csv;
use super::{
    Rejection,
    access::{Route, admit, bearer},
    origin,
};
use crate::{
    app::{
        Error,
        consoles::LEAST_ROLE,
        people::{self, Actor},
    },
    context::Ctx,
    domain::people::Role,
};

/// Requests other than files.
const LARGEST_REQUEST: usize = 1 << 20;
/// Nobody waits longer for an answer; streams have begun by then, files are not bound by it.
const LONGEST: Duration = Duration::from_mins(1);

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;
const PUT: &Method = &Method::PUT;
const PATCH: &Method = &Method::PATCH;
const DELETE: &Method = &Method::DELETE;

/// Every route, and the least role that may use it.
pub const ROUTES: &[Route] = &[
    (GET, "/api/v1/server", Role::Viewer),
    (GET, "/api/v1/clients", Role::Viewer),
    (POST, "/api/v1/clients", Role::Operator),
    (GET, "/api/v1/clients/{name}", Role::Viewer),
    (PATCH, "/api/v1/clients/{name}", Role::Operator),
    (DELETE, "/api/v1/clients/{name}", Role::Admin),
    (GET, "/api/v1/clients/{name}/facts", Role::Viewer),
    (GET, "/api/v1/clients/{name}/timeline", Role::Viewer),
    (POST, "/api/v1/clients/{name}/adopt", Role::Operator),
    (POST, "/api/v1/clients/{name}/install", Role::Operator),
    (POST, "/api/v1/clients/{name}/redo", Role::Helpdesk),
    (POST, "/api/v1/clients/{name}/restart", Role::Helpdesk),
    (POST, "/api/v1/clients/{name}/wake", Role::Helpdesk),
    (POST, "/api/v1/clients/{name}/rescue", Role::Helpdesk),
    (POST, "/api/v1/clients/{name}/release", Role::Helpdesk),
    (POST, "/api/v1/clients/{name}/enrol-command", Role::Operator),
    (POST, "/api/v1/clients/{name}/user-data", Role::Operator),
    (POST, "/api/v1/clients/{name}/reset", Role::Operator),
    (POST, "/api/v1/clients/{name}/retire", Role::Operator),
    (POST, "/api/v1/clients/{name}/reinstate", Role::Operator),
    (DELETE, "/api/v1/clients/{name}/alarm", Role::Operator),
    (GET, "/api/v1/clients/{name}/storage", Role::Viewer),
    (POST, "/api/v1/clients/{name}/jobs", Role::Operator),
    (POST, "/api/v1/clients/{name}/recover", Role::Operator),
    (POST, "/api/v1/clients/{name}/forget", Role::Operator),
    (GET, "/api/v1/clients/{name}/integration", Role::Viewer),
    (POST, "/api/v1/integrations", Role::Operator),
    (GET, "/api/v1/clients/{name}/notes", Role::Viewer),
    (POST, "/api/v1/clients/{name}/notes", Role::Helpdesk),
    (DELETE, "/api/v1/clients/{name}/notes/{id}", Role::Operator),
    (GET, "/api/v1/clients/{name}/history", Role::Viewer),
    (GET, "/api/v1/clients/{name}/packages", Role::Viewer),
    (GET, "/api/v1/clients/{name}/packages/history", Role::Viewer),
    (GET, "/api/v1/clients/{name}/packages/comparison", Role::Viewer),
    (GET, "/api/v1/clients/{name}/selections", Role::Viewer),
    (GET, "/api/v1/clients/{name}/selections/{selection}", Role::Viewer),
    (POST, "/api/v1/clients/{name}/selections/{selection}", Role::Operator),
    (POST, "/api/v1/clients/{name}/console", LEAST_ROLE),
    (GET, "/api/v1/clients/{name}/console/screen", LEAST_ROLE),
    (GET, "/api/v1/clients/{name}/console/output", LEAST_ROLE),
    (GET, "/api/v1/selections", Role::Viewer),
    (GET, "/api/v1/selections/{name}", Role::Viewer),
    (PUT, "/api/v1/selections/{name}", Role::Operator),
    (DELETE, "/api/v1/selections/{name}", Role::Operator),
    (GET, "/api/v1/selections/{name}/revisions", Role::Viewer),
    (GET, "/api/v1/selections/{name}/file", Role::Viewer),
    (GET, "/api/v1/selections/{name}/drift", Role::Viewer),
    (PUT, "/api/v1/selections/{name}/groups/{group}", Role::Operator),
    (DELETE, "/api/v1/selections/{name}/groups/{group}", Role::Operator),
    (POST, "/api/v1/selection-imports", Role::Operator),
    (GET, "/api/v1/presets", Role::Viewer),
    (GET, "/api/v1/presets/{name}", Role::Viewer),
    (PUT, "/api/v1/presets/{name}", Role::Operator),
    (DELETE, "/api/v1/presets/{name}", Role::Operator),
    (GET, "/api/v1/rules", Role::Viewer),
    (GET, "/api/v1/rules/{name}", Role::Viewer),
    (PUT, "/api/v1/rules/{name}", Role::Operator),
    (DELETE, "/api/v1/rules/{name}", Role::Operator),
    (POST, "/api/v1/rule-runs", Role::Operator),
    (POST, "/api/v1/mass-installations", Role::Operator),
    (GET, "/api/v1/batches", Role::Viewer),
    (POST, "/api/v1/batches", Role::Helpdesk),
    (GET, "/api/v1/batches/{id}", Role::Viewer),
    (POST, "/api/v1/batches/{id}/stop", Role::Operator),
    (GET, "/api/v1/rollouts", Role::Viewer),
    (POST, "/api/v1/rollouts", Role::Operator),
    (GET, "/api/v1/rollouts/{id}", Role::Viewer),
    (GET, "/api/v1/rollouts/{id}/clients", Role::Viewer),
    (POST, "/api/v1/rollouts/{id}/start", Role::Operator),
    (POST, "/api/v1/rollouts/{id}/pause", Role::Operator),
    (POST, "/api/v1/rollouts/{id}/resume", Role::Operator),
    (POST, "/api/v1/rollouts/{id}/halt", Role::Operator),
    (POST, "/api/v1/rollouts/{id}/cancel", Role::Operator),
    (POST, "/api/v1/rollouts/{id}/retry", Role::Operator),
    (GET, "/api/v1/rollout-schedules", Role::Viewer),
    (POST, "/api/v1/rollout-schedules", Role::Operator),
    (POST, "/api/v1/rollout-schedules/{name}/switch", Role::Operator),
    (DELETE, "/api/v1/rollout-schedules/{name}", Role::Operator),
    (GET, "/api/v1/filters", Role::Viewer),
    (POST, "/api/v1/filters", Role::Viewer),
    (DELETE, "/api/v1/filters/{id}", Role::Viewer),
    (GET, "/api/v1/groups", Role::Viewer),
    (POST, "/api/v1/groups", Role::Operator),
    (GET, "/api/v1/groups/{name}", Role::Viewer),
    (PATCH, "/api/v1/groups/{name}", Role::Operator),
    (DELETE, "/api/v1/groups/{name}", Role::Operator),
    (PUT, "/api/v1/groups/{name}/members/{client}", Role::Operator),
    (DELETE, "/api/v1/groups/{name}/members/{client}", Role::Operator),
    (POST, "/api/v1/groups/{name}/jobs", Role::Operator),
    (GET, "/api/v1/jobs", Role::Viewer),
    (GET, "/api/v1/jobs/{id}", Role::Viewer),
    (GET, "/api/v1/jobs/{id}/plan", Role::Viewer),
    (GET, "/api/v1/jobs/{id}/attempts", Role::Viewer),
    (POST, "/api/v1/jobs/{id}/accept", Role::Operator),
    (POST, "/api/v1/jobs/{id}/hold", Role::Operator),
    (POST, "/api/v1/jobs/{id}/cancel", Role::Helpdesk),
    (POST, "/api/v1/jobs/{id}/release", Role::Helpdesk),
    (POST, "/api/v1/jobs/{id}/retry", Role::Operator),
    (GET, "/api/v1/attempts/{id}", Role::Viewer),
    (GET, "/api/v1/attempts/{id}/output", Role::Viewer),
    (GET, "/api/v1/attempts/{id}/output/stream", Role::Viewer),
    (GET, "/api/v1/layouts", Role::Viewer),
    (GET, "/api/v1/layouts/{name}", Role::Viewer),
    (PUT, "/api/v1/layouts/{name}", Role::Operator),
    (DELETE, "/api/v1/layouts/{name}", Role::Operator),
    (POST, "/api/v1/layout-checks", Role::Viewer),
    (GET, "/api/v1/distributions", Role::Viewer),
    (GET, "/api/v1/job-types", Role::Viewer),
    (GET, "/api/v1/job-scripts", Role::Viewer),
    (GET, "/api/v1/job-scripts/{name}", Role::Viewer),
    (POST, "/api/v1/job-scripts/{name}/versions", Role::Admin),
    (PUT, "/api/v1/job-scripts/{name}/version", Role::Admin),
    (GET, "/api/v1/job-scripts/{name}/difference", Role::Viewer),
    (GET, "/api/v1/job-scripts/{name}/samples/{sample}", Role::Viewer),
    (POST, "/api/v1/job-scripts/{name}/render", Role::Operator),
    (GET, "/api/v1/images", Role::Viewer),
    (GET, "/api/v1/boot-iso", Role::Viewer),
    (POST, "/api/v1/images", Role::Admin),
    (DELETE, "/api/v1/images/{id}", Role::Admin),
    (GET, "/api/v1/image-uses", Role::Viewer),
    (GET, "/api/v1/image-builds", Role::Viewer),
    (POST, "/api/v1/image-builds", Role::Admin),
    (GET, "/api/v1/health", Role::Viewer),
    (POST, "/api/v1/blobs", Role::Admin),
    (GET, "/api/v1/reports", Role::Viewer),
    (GET, "/api/v1/reports/{name}", Role::Viewer),
    (GET, "/api/v1/events", Role::Viewer),
    (GET, "/api/v1/events/stream", Role::Viewer),
    (GET, "/api/v1/boot-timelines", Role::Viewer),
    (GET, "/api/v1/boot-timelines/{mac}", Role::Viewer),
    (GET, "/api/v1/tokens", Role::Admin),
    (POST, "/api/v1/tokens", Role::Admin),
    (DELETE, "/api/v1/tokens/{id}", Role::Admin),
    (GET, "/api/v1/accounts", Role::Admin),
    (POST, "/api/v1/accounts", Role::Admin),
    (GET, "/api/v1/accounts/{name}", Role::Admin),
    (PATCH, "/api/v1/accounts/{name}", Role::Admin),
    (DELETE, "/api/v1/accounts/{name}", Role::Admin),
    (POST, "/api/v1/accounts/{name}/login-link", Role::Admin),
    (GET, "/api/v1/accounts/{name}/logins", Role::Admin),
    (DELETE, "/api/v1/accounts/{name}/logins", Role::Admin),
    (DELETE, "/api/v1/accounts/{name}/logins/{id}", Role::Admin),
    (DELETE, "/api/v1/accounts/{name}/second-factor", Role::Admin),
    (GET, "/api/v1/account", Role::Viewer),
    (POST, "/api/v1/account/password", Role::Viewer),
    (POST, "/api/v1/account/language", Role::Viewer),
    (POST, "/api/v1/account/second-factor", Role::Viewer),
    (POST, "/api/v1/account/second-factor/confirm", Role::Viewer),
    (POST, "/api/v1/account/second-factor/end", Role::Viewer),
    (GET, "/api/v1/account/logins", Role::Viewer),
    (DELETE, "/api/v1/account/logins", Role::Viewer),
    (DELETE, "/api/v1/account/logins/{id}", Role::Viewer),
    (POST, "/api/v1/account/prolong", Role::Viewer),
    (GET, "/api/v1/audit", Role::Admin),
    (GET, "/api/v1/audit/head", Role::Admin),
    (GET, "/api/v1/audit/verify", Role::Admin),
    (GET, "/api/v1/audit/export", Role::Admin),
    (GET, "/api/v1/settings", Role::Admin),
    (PATCH, "/api/v1/settings", Role::Admin),
    (GET, "/api/v1/approvals", Role::Helpdesk),
    (GET, "/api/v1/approvals/{id}", Role::Helpdesk),
    (POST, "/api/v1/approvals/{id}/approve", Role::Operator),
    (POST, "/api/v1/approvals/{id}/refuse", Role::Helpdesk),
    (GET, "/api/v1/channels", Role::Admin),
    (POST, "/api/v1/channels", Role::Admin),
    (GET, "/api/v1/channels/{name}", Role::Admin),
    (PUT, "/api/v1/channels/{name}", Role::Admin),
    (DELETE, "/api/v1/channels/{name}", Role::Admin),
    (POST, "/api/v1/channels/{name}/test", Role::Admin),
    (POST, "/api/v1/channels/{name}/secret", Role::Admin),
    (GET, "/api/v1/report-mails", Role::Admin),
    (POST, "/api/v1/report-mails", Role::Admin),
    (GET, "/api/v1/report-mails/{name}", Role::Admin),
    (PUT, "/api/v1/report-mails/{name}", Role::Admin),
    (DELETE, "/api/v1/report-mails/{name}", Role::Admin),
    (POST, "/api/v1/report-mails/{name}/send", Role::Admin),
    (GET, "/api/v1/report-mails/{name}/sendings", Role::Admin),
    (GET, "/api/v1/providers", Role::Operator),
    (POST, "/api/v1/providers", Role::Admin),
    (GET, "/api/v1/providers/{name}", Role::Operator),
    (PUT, "/api/v1/providers/{name}", Role::Admin),
    (DELETE, "/api/v1/providers/{name}", Role::Admin),
    (POST, "/api/v1/providers/{name}/test", Role::Admin),
    (GET, "/api/v1/providers/{name}/offers", Role::Operator),
    (POST, "/api/v1/providers/{name}/isos", Role::Admin),
    (GET, "/api/v1/provider-pools", Role::Operator),
    (GET, "/api/v1/provider-pools/{name}", Role::Operator),
    (PUT, "/api/v1/provider-pools/{name}", Role::Admin),
    (DELETE, "/api/v1/provider-pools/{name}", Role::Admin),
    (GET, "/api/v1/desktops", Role::Viewer),
    (POST, "/api/v1/desktops", Role::Operator),
    (POST, "/api/v1/desktop-plans", Role::Operator),
    (GET, "/api/v1/desktops/{name}", Role::Viewer),
    (POST, "/api/v1/desktops/{name}/power", Role::Helpdesk),
    (POST, "/api/v1/desktops/{name}/rebuild", Role::Operator),
    (DELETE, "/api/v1/desktops/{name}", Role::Admin),
    (GET, "/api/v1/cache", Role::Viewer),
    (GET, "/api/v1/cache/files", Role::Viewer),
    (POST, "/api/v1/cache/clean", Role::Admin),
    (POST, "/api/v1/cache/fetch", Role::Operator),
    (GET, "/api/v1/source-lists", Role::Viewer),
    (GET, "/api/v1/source-lists/{name}", Role::Viewer),
    (PUT, "/api/v1/source-lists/{name}", Role::Admin),
    (DELETE, "/api/v1/source-lists/{name}", Role::Admin),
    (POST, "/api/v1/source-list-checks", Role::Admin),
    (POST, "/api/v1/source-lists/{name}/refresh", Role::Operator),
    (PUT, "/api/v1/source-lists/{name}/groups/{group}", Role::Operator),
    (DELETE, "/api/v1/source-lists/{name}/groups/{group}", Role::Operator),
    (PUT, "/api/v1/source-lists/{name}/clients/{client}", Role::Operator),
    (DELETE, "/api/v1/source-lists/{name}/clients/{client}", Role::Operator),
    (GET, "/api/v1/package-search", Role::Viewer),
    (GET, "/api/v1/repository-key", Role::Viewer),
    (GET, "/api/v1/repositories", Role::Viewer),
    (POST, "/api/v1/repositories", Role::Admin),
    (GET, "/api/v1/repositories/{name}", Role::Viewer),
    (DELETE, "/api/v1/repositories/{name}", Role::Admin),
    (GET, "/api/v1/repositories/{name}/packages", Role::Viewer),
    (POST, "/api/v1/repositories/{name}/packages", Role::Operator),
    (DELETE, "/api/v1/repositories/{name}/packages/{id}", Role::Operator),
    (POST, "/api/v1/repositories/{name}/builds", Role::Operator),
    (POST, "/api/v1/repositories/{name}/takings", Role::Operator),
    (GET, "/api/v1/repositories/{name}/states", Role::Viewer),
    (POST, "/api/v1/repositories/{name}/promote", Role::Operator),
    (POST, "/api/v1/repositories/{name}/roll-back", Role::Operator),
    (GET, "/api/v1/notices", Role::Admin),
    (POST, "/api/v1/notices/{id}/retry", Role::Admin),
];

/// All routes of the API.
pub fn router(ctx: Ctx) -> Router {
    let quick = clients::router()
        .merge(batches::router())
        .merge(rollouts::router())
        .merge(filters::router())
        .merge(groups::router())
        .merge(selections::router())
        .merge(jobs::router())
        .merge(machines::router())
        .merge(integrations::router())
        .merge(inventory::router())
        .merge(files::router())
        .merge(job_scripts::router())
        .merge(misc::router())
        .merge(accounts::router())
        .merge(audit::router())
        .merge(settings::router())
        .merge(approvals::router())
        .merge(channels::router())
        .merge(cache::router())
        .merge(sources::router())
        .merge(reports::router())
        .merge(report_mails::router())
        .merge(providers::router())
        .merge(desktops::router())
        .merge(consoles::router())
        .layer(middleware::from_fn_with_state(ctx.clone(), repeat::at_most_once));
    let bounded = |router: OpenApiRouter<Ctx>| {
        OpenApiRouter::new()
            .nest("/api/v1", router)
            .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST))
    };
    let files = OpenApiRouter::new().nest(
        "/api/v1",
        OpenApiRouter::new()
            .routes(routes!(files::create_blob))
            .routes(routes!(sources::upload_package))
            .routes(routes!(sources::build_package)),
    );
    let (guarded, mut api) = bounded(quick).merge(files).split_for_parts();
    let (open, login) = bounded(OpenApiRouter::new().routes(routes!(accounts::login))).split_for_parts();
    spec::guard(&mut api);
    api.merge(login);
    spec::complete(&mut api);
    let scoped = || middleware::from_fn_with_state(ctx.clone(), origin::scoped);
    let guarded = guarded.layer(scoped()).layer(middleware::from_fn_with_state(ctx.clone(), guard));
    let open = open.layer(scoped());
    Router::new()
        .route("/api/openapi.json", get(async move || Json(api.clone())))
        .merge(open)
        .merge(guarded)
        .fallback(async || StatusCode::NOT_FOUND)
        .with_state(ctx)
}

/// Lets a request through when its token's roles are enough for the route, and for what its path names.
async fn guard(State(ctx): State<Ctx>, request: Request, next: Next) -> Result<Response, Rejection> {
    let secret = bearer(request.headers()).ok_or_else(|| {
        Error::Unauthenticated("the request has no token: send `Authorization: Bearer TOKEN`".to_owned())
    })?;
    let actor = people::authenticate(&ctx, secret).await?;
    let path =
        request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.map_err(|_| no_path())?;
    admit(&ctx, ROUTES, &actor, &parts.method, &path, &params).await?;
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

fn no_path() -> Error {
    Error::not_found("what this address names")
}

/// Who asks, as [`guard`] has found.
pub(super) struct Asking(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let Extension(actor) = Extension::<Actor>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::Unauthenticated("the request has no token".to_owned()))?;
        Ok(Self(actor))
    }
}
