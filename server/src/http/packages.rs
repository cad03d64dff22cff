//! The package cache as apt, debootstrap and installers see it: `GET /mirror/NAME/PATH`, with ranges and conditions (RFC 9110, 13 and 14).
//!
//! How an answer came about stands in `Cache-Status` (RFC 9211).

use std::{
    ops::Range,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::{problem, respond};
use crate::{
    cache::{Content, Failure, Found, How, Source, pieces},
    context::Ctx,
};

/// RFC 9211.
const CACHE_STATUS: &str = "cache-status";

/// A file of a mirror.
pub(super) async fn get(
    State(ctx): State<Ctx>,
    Path((name, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match ctx.cache.get(&name, &path).await {
        Ok(found) => answer(found, &path, &method, &headers).unwrap_or_else(|error| {
            tracing::error!(%error, "an answer of the package cache cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }),
        Err(failure) => refused(&failure),
    }
}

fn answer(
    found: Found,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, axum::http::Error> {
    let etag = format!("\"{}\"", found.sha256);
    let modified = found.modified.map(whole_seconds);
    let mut answer = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(CACHE_STATUS, status(&found.how));
    if let Some(modified) = modified {
        answer = answer.header(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    }
    if unchanged(headers, &etag, modified) {
        return answer.status(StatusCode::NOT_MODIFIED).body(Body::empty());
    }
    answer = answer.header(header::CONTENT_TYPE, kind(path));
    let size = found.size;
    let range = match wanted(headers, &etag, modified, size) {
        Wanted::All => 0..size,
        Wanted::Part(range) => {
            let said = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, said);
            range
        }
        Wanted::Nothing => {
            let said = format!("bytes */{size}");
            answer = answer.header(header::CONTENT_RANGE, said);
            return answer.status(StatusCode::RANGE_NOT_SATISFIABLE).body(Body::empty());
        }
    };
    answer = answer.header(header::CONTENT_LENGTH, range.end - range.start);
    if method == Method::HEAD {
        return answer.body(Body::empty());
    }
    let body = match found.content {
        Content::Document(bytes) => {
            found.mirror.counts.served.fetch_add(range.end - range.start, Ordering::Relaxed);
            let within = |at| usize::try_from(at).unwrap_or(usize::MAX);
            Body::from(bytes.slice(within(range.start)..within(range.end)))
        }
        Content::File(source) => stream(source, range, found.mirror),
    };
    answer.body(body)
}

fn stream(source: Source, range: Range<u64>, mirror: std::sync::Arc<crate::cache::Mirror>) -> Body {
    Body::from_stream(pieces(source, range, mirror))
}

/// HTTP knows no parts of seconds.
fn whole_seconds(at: SystemTime) -> SystemTime {
    let age = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(age.as_secs())
}

fn status(how: &How) -> String {
    match how {
        How::Hit => "lotse; hit".to_owned(),
        How::Miss => "lotse; fwd=miss; stored".to_owned(),
        How::Joined => "lotse; fwd=miss; collapsed".to_owned(),
        How::Stale(why) => {
            let why = why
                .to_string()
                .replace(|c: char| !(c.is_ascii_graphic() || c == ' ') || c == '"' || c == '\\', "_");
            format!("lotse; hit; detail=\"not asked anew: {why}\"")
        }
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit(['.', '/']).next() {
        Some("deb" | "udeb") => "application/vnd.debian.binary-package",
        Some("xz") => "application/x-xz",
        Some("gz") => "application/gzip",
        Some("InRelease" | "Release" | "Packages" | "Sources") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether whoever asks has it already (RFC 9110, 13.1.2 and 13.1.3).
fn unchanged(headers: &HeaderMap, etag: &str, modified: Option<SystemTime>) -> bool {
    if let Some(tags) = text(headers, header::IF_NONE_MATCH) {
        return tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*");
    }
    let since =
        text(headers, header::IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
    matches!((since, modified), (Some(since), Some(modified)) if modified <= since)
}

enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Which part is wanted. Several parts at once are nobody's need here, so all of it is the answer to them.
fn wanted(headers: &HeaderMap, etag: &str, modified: Option<SystemTime>, size: u64) -> Wanted {
    let Some(range) = text(headers, header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let same = text(headers, header::IF_RANGE).is_none_or(|known| {
        known == etag
            || modified
                .is_some_and(|modified| httpdate::parse_http_date(known).is_ok_and(|date| date == modified))
    });
    let Some((first, last)) = range.split_once('-').filter(|_| same && !range.contains(',')) else {
        return Wanted::All;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(last)) if first.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

/// A failure as an answer that says what to do next.
fn refused(failure: &Failure) -> Response {
    let (status, code, remedy) = match failure {
        Failure::NoMirror(_) => (
            StatusCode::NOT_FOUND,
            "not-found",
            "`lotse info` names the mirrors; a distribution has to name it",
        ),
        Failure::NotPlain => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "ask for a file as the index names it")
        }
        Failure::NotThere { .. } => {
            (StatusCode::NOT_FOUND, "not-found", "run `apt-get update` on the client")
        }
        Failure::NotNamed { .. } => (
            StatusCode::NOT_FOUND,
            "not-found",
            "run `apt-get update` on the client; only what a signed index names is passed on",
        ),
        Failure::Down { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "look whether the server reaches its own package mirror (`apt-get update` there), or name the mirror's real address in the server's configuration: mirrors = [\"NAME=URL\"]",
        ),
        Failure::Unfit { .. } => (
            StatusCode::BAD_GATEWAY,
            "unfit",
            "try again in a few minutes; if it stays so, name another mirror in the server's configuration: mirrors = [\"NAME=URL\"]",
        ),
        Failure::NoKeyring(_) => (
            StatusCode::BAD_GATEWAY,
            "no-keyring",
            "install the distribution's keyring on the server, or name one in its configuration: cache-keyrings = [\"NAME=FILE\"]",
        ),
        Failure::Offline(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "offline",
            "let the package cache ask its mirrors again: `lotse settings set cache.offline off`",
        ),
        Failure::NoRoom(_) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "no-room",
            "make room on the server's disk, or raise the setting cache.limit-gib; `lotse cache clean` removes what was not used for long",
        ),
        Failure::Broken(why) => {
            tracing::error!(why = &**why, "the package cache failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "look for the request id in the server's log")
        }
    };
    let title = match failure {
        Failure::Broken(_) => "the server failed to answer".to_owned(),
        other => other.to_string(),
    };
    respond(status, problem(status, code, title, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: &str, size: u64) -> Option<Range<u64>> {
        let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
        match wanted(&headers, "\"x\"", None, size) {
            Wanted::All => Some(0..size),
            Wanted::Part(range) => Some(range),
            Wanted::Nothing => None,
        }
    }

    #[test]
    fn a_range_is_what_is_there_of_it() {
        assert_eq!(part("bytes=2-4", 10), Some(2..5));
        assert_eq!(part("bytes=2-", 10), Some(2..10));
        assert_eq!(part("bytes=-3", 10), Some(7..10));
        assert_eq!(part("bytes=-30", 10), Some(0..10));
        assert_eq!(part("bytes=5-99999999999999999999", 10), Some(0..10));
        assert_eq!(part("bytes=9-99", 10), Some(9..10));
        assert_eq!(part("bytes=10-", 10), None);
        assert_eq!(part("bytes=-0", 10), None);
        for all in ["bytes=4-2", "bytes=0-1,3-4", "bytes=x", "pages=1-2"] {
            assert_eq!(part(all, 10), Some(0..10), "{all}");
        }
    }

    #[test]
    fn a_part_of_something_else_is_not_given() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ask = |condition: &str| {
            let headers = HeaderMap::from_iter([
                (header::RANGE, "bytes=2-".parse().unwrap()),
                (header::IF_RANGE, condition.parse().unwrap()),
            ]);
            matches!(wanted(&headers, "\"x\"", Some(at), 10), Wanted::Part(_))
        };
        assert!(ask("\"x\"") && ask(&httpdate::fmt_http_date(at)));
        assert!(!ask("\"y\"") && !ask(&httpdate::fmt_http_date(SystemTime::UNIX_EPOCH)));
    }

    #[test]
    fn whoever_has_it_is_told_so() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let asks = |name: header::HeaderName, value: &str| {
            unchanged(&HeaderMap::from_iter([(name, value.parse().unwrap())]), "\"x\"", Some(at))
        };
        assert!(asks(header::IF_NONE_MATCH, "\"y\", W/\"x\"") && !asks(header::IF_NONE_MATCH, "\"y\""));
        assert!(asks(header::IF_MODIFIED_SINCE, &httpdate::fmt_http_date(at)));
        assert!(!asks(header::IF_MODIFIED_SINCE, &httpdate::fmt_http_date(SystemTime::UNIX_EPOCH)));
    }
}
