//! `GET /metrics` for Prometheus, and the counting of requests.
//!
//! Open to the server's own host and to whoever has an API token with a role for everything. A request that a proxy passes on comes from the proxy's host, not
//! from the one that asks, so such a request needs a token wherever it comes from.

use std::{net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Rejection, access::bearer};
use crate::{
    app::{Error, measures, people, reach},
    context::Ctx,
    domain::people::Role,
};

/// As in the `OpenMetrics` specification.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What proxies add (RFC 7239 and the custom before it).
const PASSED_ON: [&str; 3] = ["forwarded", "x-forwarded-for", "via"];

/// The one route.
pub fn router(ctx: Ctx) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(ctx)
}

async fn metrics(
    State(ctx): State<Ctx>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Rejection> {
    if !is_own_host(peer, &headers) {
        let secret = bearer(&headers).ok_or_else(|| {
            Error::Unauthenticated(
                "metrics need a token from another host than the server's: send `Authorization: Bearer TOKEN`".to_owned(),
            )
        })?;
        let actor = people::authenticate(&ctx, secret).await?;
        // Sums over all clients are for those who see all clients.
        if actor.reach.everywhere.is_none() {
            return Err(reach::nowhere(&actor.reach, Role::Viewer).into());
        }
    }
    let measured = measures::measure(&ctx).await?;
    let text = ctx.metrics.text(&measured).map_err(|error| Error::Internal(error.into()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

fn is_own_host(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().to_canonical().is_loopback() && !PASSED_ON.iter().any(|name| headers.contains_key(*name))
}

/// Counts a request, until the head of its answer is there.
pub async fn counted(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let route = route.unwrap_or_default();
    ctx.metrics.answered(&method, &route, response.status().as_u16(), began.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_needs_no_token_and_not_what_a_proxy_passes_on() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 4000);
        let none = HeaderMap::new();
        for own in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_own_host(at(own), &none), "{own}");
        }
        for foreign in ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_own_host(at(foreign), &none), "{foreign}");
        }
        for name in PASSED_ON {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), "10.0.0.1".parse().unwrap())]);
            assert!(!is_own_host(at("127.0.0.1"), &headers), "{name}");
        }
    }
}
