//! JSON for people and scripts, under `/api/v1`; described at `/api/openapi.json`.
//!
//! Invariant: every route stands in [`ROUTES`] with the role that it needs; one that does not is refused to everybody.

mod clients;
mod files;
mod jobs;
mod misc;
mod stream;
pub mod view;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Request, State},
    http::{Method, header, request::Parts},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Rejection;
use crate::{
    app::{
        Error,
        people::{self, Actor},
    },
    context::Ctx,
    domain::people::Role,
};

/// Requests other than files.
const LARGEST_REQUEST: usize = 1 << 20;

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;
const PUT: &Method = &Method::PUT;
const PATCH: &Method = &Method::PATCH;
const DELETE: &Method = &Method::DELETE;

/// Every route, and the least role that may use it.
pub const ROUTES: &[(&Method, &str, Role)] = &[
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
    (POST, "/api/v1/clients/{name}/reset", Role::Operator),
    (DELETE, "/api/v1/clients/{name}/alarm", Role::Operator),
    (GET, "/api/v1/clients/{name}/storage", Role::Viewer),
    (POST, "/api/v1/clients/{name}/jobs", Role::Operator),
    (GET, "/api/v1/groups", Role::Viewer),
    (POST, "/api/v1/groups", Role::Operator),
    (DELETE, "/api/v1/groups/{name}", Role::Operator),
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
    (PUT, "/api/v1/layouts/{name}", Role::Operator),
    (DELETE, "/api/v1/layouts/{name}", Role::Operator),
    (GET, "/api/v1/distributions", Role::Viewer),
    (GET, "/api/v1/job-types", Role::Viewer),
    (GET, "/api/v1/images", Role::Viewer),
    (POST, "/api/v1/images", Role::Admin),
    (POST, "/api/v1/blobs", Role::Admin),
    (GET, "/api/v1/events", Role::Viewer),
    (GET, "/api/v1/events/stream", Role::Viewer),
    (GET, "/api/v1/tokens", Role::Admin),
    (POST, "/api/v1/tokens", Role::Admin),
    (DELETE, "/api/v1/tokens/{id}", Role::Admin),
];

/// All routes of the API.
pub fn router(ctx: Ctx) -> Router {
    let documented = OpenApiRouter::new()
        .nest("/api/v1", clients::router().merge(jobs::router()).merge(files::router()).merge(misc::router()))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST));
    let files =
        OpenApiRouter::new().nest("/api/v1", OpenApiRouter::new().routes(routes!(files::create_blob)));
    let (guarded, mut spec) = documented.merge(files).split_for_parts();
    let guarded = guarded.layer(middleware::from_fn_with_state(ctx.clone(), guard));
    spec.info = utoipa::openapi::Info::new("Lotse", env!("CARGO_PKG_VERSION"));
    Router::new()
        .route("/api/openapi.json", get(async move || Json(spec.clone())))
        .route("/api/v1/login", axum::routing::post(misc::login))
        .merge(guarded)
        .fallback(async || Rejection(Error::not_found("this address")))
        .with_state(ctx)
}

/// Lets a request through when its token's role is enough for the route.
async fn guard(State(ctx): State<Ctx>, mut request: Request, next: Next) -> Result<Response, Rejection> {
    let secret = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| {
            Error::Unauthenticated("the request has no token: send `Authorization: Bearer TOKEN`".to_owned())
        })?;
    let actor = people::authenticate(&ctx, secret).await?;
    let path =
        request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let needed = ROUTES
        .iter()
        .find(|(method, route, _)| *method == request.method() && *route == path)
        .map(|(_, _, role)| *role);
    match needed {
        Some(needed) if actor.role >= needed => {}
        Some(needed) => {
            let (have, needed) = (actor.role.as_str(), needed.as_str());
            return Err(
                Error::Forbidden(format!("this needs the role {needed}; the token has {have}")).into()
            );
        }
        None => return Err(Error::Forbidden("this route is not open to anybody".to_owned()).into()),
    }
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
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
