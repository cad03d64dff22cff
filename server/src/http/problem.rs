//! Errors as `application/problem+json` (RFC 9457). The server's own faults are logged here, once, with their whole chain.
//!
//! Invariant: whatever refuses a request (a use case, an extractor, the router, a limit, a panic), the answer is a problem document
//! that carries the request's number.

use axum::{
    Json,
    body::{self, Body},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, response::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Collected};
use wire::problem::{FieldProblem, Problem};

use crate::app::Error;

/// Longest text of a library that becomes the title of a problem.
const LONGEST_TEXT: u64 = 4096;

/// The code of an answer that says: it is kept, and carried out when a second person approves it.
pub(super) const AWAITS_APPROVAL: &str = "awaits-approval";

/// An error on its way to whoever asked.
#[derive(Debug)]
pub struct Rejection(pub Error);

impl<E: Into<Error>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let (status, problem) = described(self.0);
        respond(status, problem)
    }
}

/// What somebody can mend on the page that they sent, as a problem; the rest goes on as an error.
///
/// # Errors
/// Nobody can mend it there.
pub(super) fn mendable(error: Error) -> Result<Problem, Error> {
    match error {
        Error::Invalid { .. } | Error::Conflict { .. } | Error::Stale { .. } | Error::NotFound { .. } => {
            Ok(described(error).1)
        }
        other => Err(other),
    }
}

/// An error as a page shows it beside what was asked for.
pub(super) fn shown(error: Error) -> Problem {
    described(error).1
}

/// The same for an error that is about what was typed; any other comes back.
pub(super) fn of_typed(error: Error) -> Result<(Vec<FieldProblem>, Option<Problem>), Error> {
    match error {
        Error::Invalid { .. } | Error::Conflict { .. } | Error::Stale { .. } => Ok(of_form(error)),
        other => Err(other),
    }
}

/// What is wrong with the fields of a form, or with all of it.
pub(super) fn of_form(error: Error) -> (Vec<FieldProblem>, Option<Problem>) {
    let problem = shown(error);
    if problem.fields.is_empty() { (Vec::new(), Some(problem)) } else { (problem.fields, None) }
}

fn described(error: Error) -> (StatusCode, Problem) {
    let (status, code) = match &error {
        Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        Error::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Error::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
        Error::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
        Error::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "stale"),
        Error::AwaitsApproval { .. } => (StatusCode::ACCEPTED, AWAITS_APPROVAL),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    let mut problem = problem(status, code, error.to_string(), "");
    match error {
        Error::Invalid { fields, remedy, .. } => (problem.fields, problem.remedy) = (fields, remedy),
        Error::Conflict { remedy, .. } | Error::Unavailable { remedy, .. } => problem.remedy = remedy,
        Error::AwaitsApproval { approval, .. } => {
            problem.remedy = format!("a second person decides: `lotse approval approve {approval}`");
            problem.fields.push(FieldProblem { field: "approval".to_owned(), message: approval.to_string() });
        }
        Error::Stale { .. } => {
            "read it again, and repeat your change on what is there now".clone_into(&mut problem.remedy);
        }
        Error::Internal(error) => {
            tracing::error!(error = format!("{error:#}"), "a request failed inside the server");
            (problem.title, problem.remedy) = own_fault();
        }
        Error::Unauthenticated(_) | Error::Forbidden(_) | Error::NotFound { .. } => {}
    }
    (status, problem)
}

/// A problem without fields.
pub(super) fn problem(status: StatusCode, code: &str, title: impl Into<String>, remedy: &str) -> Problem {
    Problem {
        status: status.as_u16(),
        code: code.to_owned(),
        title: title.into(),
        remedy: remedy.to_owned(),
        fields: Vec::new(),
        request_id: String::new(),
    }
}

fn own_fault() -> (String, String) {
    ("the server failed to answer".to_owned(), "look for the request id in the server's log".to_owned())
}

/// A problem as an answer; [`uniform`] adds the request's number.
pub(super) fn respond(status: StatusCode, problem: Problem) -> Response {
    let mut response = (status, Json(&problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response.extensions_mut().insert(problem);
    response
}

/// Gives every problem its request's number, and turns refusals of libraries, which are plain text or empty, into problems.
pub async fn uniform(request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let id = id.to_owned();
    let (mut parts, body) = next.run(request).await.into_parts();
    if !parts.status.is_client_error() && !parts.status.is_server_error() {
        return Response::from_parts(parts, body);
    }
    let found = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None if is_short_text(&parts.headers, &body) => {
            let text = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            foreign(parts.status, String::from_utf8_lossy(&text).trim())
        }
        None => return Response::from_parts(parts, body),
    };
    with_id(parts, &Problem { request_id: id, ..found })
}

fn with_id(mut parts: Parts, problem: &Problem) -> Response {
    let Ok(text) = serde_json::to_vec(problem) else { return parts.status.into_response() };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, Body::from(text))
}

fn is_short_text(headers: &HeaderMap, body: &Body) -> bool {
    let plain =
        headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    plain && body::HttpBody::size_hint(body).upper().is_some_and(|size| size <= LONGEST_TEXT)
}

/// What a library refused, in our words.
fn foreign(status: StatusCode, text: &str) -> Problem {
    let (code, title, remedy) = match status {
        StatusCode::NOT_FOUND => {
            ("not-found", "this address does not exist", "GET /api/openapi.json lists all")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method-not-allowed", "this address does not know the method", "see the `allow` header")
        }
        StatusCode::REQUEST_TIMEOUT => {
            ("timeout", "the request took too long", "look at the server's load and log, and try again")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("too-large", "the request is too large", "files are sent to POST /api/v1/blobs")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "unsupported-media-type",
            "the request has a type that is not read here",
            "send application/json",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "the request is wrong", ""),
        status if status.is_server_error() => {
            let (title, remedy) = own_fault();
            return problem(status, "internal", title, &remedy);
        }
        _ => ("malformed", "the request is not well formed", "GET /api/openapi.json shows what is expected"),
    };
    // axum's words for a query that cannot be read: the parameter's name follows, and what is wrong with it.
    if let Some(wrong) = text.strip_prefix("Failed to deserialize query string: ") {
        let (field, message) = wrong.split_once(": ").unwrap_or(("", wrong));
        let mut found = problem(status, code, "the query of this address is wrong", remedy);
        found.fields.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
        return found;
    }
    problem(status, code, if text.is_empty() { title } else { text }, remedy)
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn asked(router: Router) -> (StatusCode, String) {
        let router = router.layer(CatchPanicLayer::new()).layer(middleware::from_fn(uniform));
        let request = Request::builder().uri("/").header("x-request-id", "r-1").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_panic_is_our_fault_and_shows_only_the_number_of_the_request() {
        async fn broken() -> &'static str {
            panic!("the secret is 42")
        }
        let (status, text) = asked(Router::new().route("/", get(broken))).await;
        let problem: Problem = serde_json::from_str(&text).unwrap();
        assert_eq!((status.as_u16(), problem.status, problem.request_id.as_str()), (500, 500, "r-1"));
        assert!(!text.contains("42"), "{text}");
    }

    #[tokio::test]
    async fn an_error_inside_the_server_keeps_its_chain_to_itself() {
        async fn broken() -> Rejection {
            Rejection(Error::Internal(anyhow::anyhow!("the password is 42")))
        }
        let (status, text) = asked(Router::new().route("/", get(broken))).await;
        assert_eq!(status, 500);
        assert!(text.contains("r-1") && !text.contains("42"), "{text}");
    }

    #[test]
    fn a_wrong_word_of_a_query_is_named() {
        let text = "Failed to deserialize query string: limit: invalid digit found in string";
        let found = foreign(StatusCode::BAD_REQUEST, text);
        assert_eq!((found.fields[0].field.as_str(), found.code.as_str()), ("limit", "malformed"));
    }

    #[tokio::test]
    async fn what_a_mirror_refuses_is_passed_on_as_it_is() {
        async fn page() -> Response {
            (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/html")], "<h1>Not here</h1>")
                .into_response()
        }
        let (status, text) = asked(Router::new().route("/", get(page))).await;
        assert_eq!((status.as_u16(), text.as_str()), (404, "<h1>Not here</h1>"));
    }
}
