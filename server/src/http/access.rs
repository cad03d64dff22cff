//! Who may do what: tables of routes with the least role for each.

use axum::http::{HeaderMap, Method, header};

use crate::domain::people::Role;

/// A route, and the least role that may use it.
pub(super) type Route = (&'static Method, &'static str, Role);

/// What a request needs.
pub(super) enum Needed {
    /// At least this role.
    Role(Role),
    /// The address is known, but not with this method: the router refuses it.
    OtherMethod,
    /// Nobody has said who may do it.
    Unknown,
}

/// What a request needs, by a table.
pub(super) fn needed(routes: &[Route], method: &Method, path: &str) -> Needed {
    // The router answers HEAD by the handler of GET.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    match routes.iter().find(|(known, route, _)| *known == method && *route == path) {
        Some((_, _, role)) => Needed::Role(*role),
        None if routes.iter().any(|(_, route, _)| *route == path) => Needed::OtherMethod,
        None => Needed::Unknown,
    }
}

/// The token that a request shows (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
