//! Own repositories as apt sees them: `GET /repository/NAME/PATH`.

use std::time::{Duration, SystemTime};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::Rejection;
use crate::{
    app::repositories::{self, Served},
    context::Ctx,
};

/// A file of an own repository.
pub(super) async fn get(
    State(ctx): State<Ctx>,
    Path((name, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Rejection> {
    match repositories::serve(&ctx, &name, &path).await? {
        Served::Document(text, made_at) => Ok(document(text, made_at, request.headers())),
        Served::File(path) => {
            let Ok(response) = ServeFile::new(path).oneshot(request).await;
            Ok(response.into_response())
        }
    }
}

/// A text that is younger than whoever asks has it, or that it is not (RFC 9110, 13.1.3).
fn document(text: String, made_at: i64, headers: &HeaderMap) -> Response {
    let made = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(made_at).unwrap_or(0));
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|date| httpdate::parse_http_date(date).ok());
    let modified = [(header::LAST_MODIFIED, httpdate::fmt_http_date(made))];
    if since.is_some_and(|since| made <= since) {
        return (StatusCode::NOT_MODIFIED, modified).into_response();
    }
    (modified, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
