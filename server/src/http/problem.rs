//! Errors as `application/problem+json` (RFC 9457). The server's own faults are logged here, once, with their whole chain.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::problem::Problem;

use crate::app::Error;

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
        let (status, code) = match &self.0 {
            Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Error::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Error::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Error::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            Error::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let mut problem = Problem {
            status: status.as_u16(),
            code: code.to_owned(),
            title: self.0.to_string(),
            remedy: String::new(),
            fields: Vec::new(),
            request_id: String::new(),
        };
        match self.0 {
            Error::Invalid { fields, remedy, .. } => (problem.fields, problem.remedy) = (fields, remedy),
            Error::Conflict { remedy, .. } | Error::Unavailable { remedy, .. } => problem.remedy = remedy,
            Error::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a request failed inside the server");
                "the server failed to answer".clone_into(&mut problem.title);
                "look into the server's log; the request id is in the answer's x-request-id header"
                    .clone_into(&mut problem.remedy);
            }
            Error::Unauthenticated(_) | Error::Forbidden(_) | Error::NotFound { .. } => {}
        }
        respond(status, &problem)
    }
}

fn respond(status: StatusCode, problem: &Problem) -> Response {
    let mut response = (status, Json(problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
