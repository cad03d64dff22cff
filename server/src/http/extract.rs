//! JSON bodies, with the path of the field that is wrong. An empty body counts as an empty object.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use wire::problem::FieldProblem;

use super::problem::{problem, respond};

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
            let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
            if kind != "application/json" {
                return Err(respond(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    problem(
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                        "unsupported-media-type",
                        format!("a body of type `{kind}` is not read here"),
                        "send JSON with `content-type: application/json`",
                    ),
                ));
            }
        }
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        read(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

/// Serialises as an answer, too.
impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

#[expect(clippy::result_large_err, reason = "an answer that is made at most once per request")]
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        (field, error.into_inner())
    });
    let (field, error) = match read {
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => (String::new(), error),
        },
        Err(found) => found,
    };
    if !error.is_data() {
        let status = StatusCode::BAD_REQUEST;
        return Err(respond(
            status,
            problem(
                status,
                "malformed",
                format!("the body is not JSON: {error}"),
                "look at that line and column",
            ),
        ));
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut found = problem(
        status,
        "invalid",
        "the request is not what is expected here",
        "mend the fields; GET /api/openapi.json shows what is expected",
    );
    let field = if field == "." { String::new() } else { field };
    found.fields.push(FieldProblem { field, message: error.to_string() });
    Err(respond(status, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Wanted {
        list: Vec<u8>,
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        let response = read::<Wanted>(br#"{"list": [1, "x"]}"#).unwrap_err();
        let problem = response.extensions().get::<wire::problem::Problem>().unwrap();
        assert_eq!((problem.status, problem.fields[0].field.as_str()), (422, "list[1]"));
    }

    #[test]
    fn what_is_not_json_is_malformed_and_not_invalid() {
        for body in [&b"{"[..], b"{\"list\": []} x", b"\xff"] {
            assert_eq!(read::<Wanted>(body).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
    }
}
