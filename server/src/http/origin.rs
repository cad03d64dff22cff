//! Who asks, from where, under which number: set around every request that may change something, for the audit.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::{
    app::{audit, people::Actor},
    context::Ctx,
};

/// Longest number of a request that is kept; a browser may send its own.
const LONGEST_ID: usize = 100;

/// Runs a request within its origin. Whoever was let in stands in the request's extensions by now; before a login nobody does.
pub(super) async fn scoped(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return next.run(request).await;
    }
    always(State(ctx), request, next).await
}

/// The same for a request that changes something although its method says that it does not: the answer of a login service.
pub(super) async fn always(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    let mut origin = audit::origin(&ctx, request.extensions().get::<Actor>());
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        origin.address = peer.ip().to_canonical().to_string();
    }
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    origin.request_id = id.chars().take(LONGEST_ID).collect();
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str());
    origin.action = format!("{} {route}", request.method());
    origin.object = request.uri().path().chars().take(200).collect();
    origin.scope(next.run(request)).await
}
