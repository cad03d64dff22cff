//! Who may do what: tables of routes with the least role for each, and the one place where a request is let through.
//!
//! Invariant: a route that stands in no table is closed to everybody. A route about something that the path does not name, and that
//! does not stand in [`FOR_ALL`], is closed to those whose roles are for single groups only.

use axum::{
    extract::RawPathParams,
    http::{HeaderMap, Method, header},
};

use crate::{
    app::{
        Error,
        people::Actor,
        reach::{self, About},
    },
    context::Ctx,
    domain::people::Role,
};

/// A route, and the least role that may use it.
pub(super) type Route = (&'static Method, &'static str, Role);

const GET: &Method = &Method::GET;

/// What is open to roles for single groups as well, without `/api/v1`: lists, which leave out what somebody does not see; what belongs
/// to no client and is no secret; everybody's own account (`/account` and below) and requests for approval are as well.
const FOR_ALL: &[(&Method, &str)] = &[
    (GET, "/"),
    (GET, "/live"),
    (GET, "/server"),
    (GET, "/clients"),
    (GET, "/desktops"),
    (GET, "/groups"),
    (GET, "/jobs"),
    (GET, "/layouts"),
    (GET, "/layouts/{name}"),
    (GET, "/distributions"),
    (GET, "/job-types"),
    (GET, "/images"),
    (GET, "/boot-iso"),
    (GET, "/events"),
    (GET, "/events/stream"),
    (GET, "/approvals"),
    (GET, "/package-search"),
    (GET, "/packages"),
    (GET, "/source-lists"),
    (GET, "/repositories"),
    (GET, "/reports"),
    (GET, "/reports/{name}"),
];

/// For what a role must be enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The client that `{name}` names.
    Client,
    /// The client of the job `{id}`.
    Job,
    /// The client of the attempt `{id}`.
    Attempt,
    /// The group that `{name}` names.
    Group,
    /// Both the group that `{name}` and the client that `{client}` names.
    Member,
    /// The client with the address `{mac}`.
    Machine,
    /// Anything: the use case gives everybody theirs.
    Own,
    /// Everything.
    Everything,
}

/// For what a role must be enough to use a route.
pub fn subject(method: &Method, path: &str) -> Subject {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<_> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        // A desktop has the name of its client.
        ["clients" | "desktops", "{name}", ..] => Subject::Client,
        ["jobs", "{id}", ..] => Subject::Job,
        ["attempts", "{id}", ..] => Subject::Attempt,
        ["boot-timelines", "{mac}"] => Subject::Machine,
        ["groups", "{name}", "members", "{client}"] => Subject::Member,
        // Roles of others may hang on a group, and its search may find anybody: changing and removing it is for those who have everything.
        ["groups", "{name}"] if method == GET => Subject::Group,
        ["groups", "{name}", "jobs"] => Subject::Group,
        // The use case looks for the role where the request would happen.
        ["account", ..] | ["approvals", "{id}", ..] => Subject::Own,
        _ if FOR_ALL.iter().any(|(known, open)| *known == method && *open == path) => Subject::Own,
        _ => Subject::Everything,
    }
}

/// What a request needs.
enum Needed {
    /// At least this role.
    Role(Role),
    /// The address is known, but not with this method: the router refuses it.
    OtherMethod,
    /// Nobody has said who may do it.
    Unknown,
}

fn needed(routes: &[Route], method: &Method, path: &str) -> Needed {
    match routes.iter().find(|(known, route, _)| *known == method && *route == path) {
        Some((_, _, role)) => Needed::Role(*role),
        None if routes.iter().any(|(_, route, _)| *route == path) => Needed::OtherMethod,
        None => Needed::Unknown,
    }
}

/// Lets a request through, or says why not. `path` is the route's, `params` are what stands in its place.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for what is out of sight.
pub(super) async fn admit(
    ctx: &Ctx,
    routes: &[Route],
    actor: &Actor,
    method: &Method,
    path: &str,
    params: &RawPathParams,
) -> Result<(), Error> {
    // The router answers HEAD by the handler of GET.
    let method = if method == Method::HEAD { GET } else { method };
    let needed = match needed(routes, method, path) {
        Needed::Role(needed) => needed,
        Needed::OtherMethod => return Ok(()),
        Needed::Unknown => return Err(Error::Forbidden("this route is not open to anybody".to_owned())),
    };
    if actor.reach.read_only && method != GET {
        return Err(Error::Forbidden("this token only reads; make one that may also change".to_owned()));
    }
    if actor.reach.everywhere >= Some(needed) {
        return Ok(());
    }
    let word = |name: &str| params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    // What is no number names no job; the handler says so.
    let number = || word("id").parse().unwrap_or(-1);
    let about: Vec<About<'_>> = match subject(method, path) {
        Subject::Client => vec![About::Client(word("name"))],
        Subject::Job => vec![About::Job(number())],
        Subject::Attempt => vec![About::Attempt(number())],
        Subject::Machine => match word("mac").parse() {
            Ok(mac) => vec![About::Mac(mac)],
            Err(_) => return Err(reach::nowhere(&actor.reach, needed)),
        },
        Subject::Group => vec![About::Group(word("name"))],
        Subject::Member => vec![About::Group(word("name")), About::Client(word("client"))],
        Subject::Own if actor.reach.greatest() >= Some(needed) => Vec::new(),
        Subject::Own | Subject::Everything => return Err(reach::nowhere(&actor.reach, needed)),
    };
    let mut tx = ctx.db.read().await?;
    for about in about {
        reach::require(&mut tx, &actor.reach, about, needed).await?;
    }
    Ok(())
}

/// Whether a page of the navigation is open to somebody.
pub(super) fn is_open(routes: &[Route], actor: &Actor, path: &str) -> bool {
    match needed(routes, GET, path) {
        Needed::Role(needed) if subject(GET, path) == Subject::Own => actor.reach.greatest() >= Some(needed),
        Needed::Role(needed) => actor.reach.everywhere >= Some(needed),
        Needed::OtherMethod | Needed::Unknown => false,
    }
}

/// The token that a request shows (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
