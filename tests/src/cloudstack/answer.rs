//! The envelope of answers and errors.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

fn enveloped(command: &str, inner: &Value) -> String {
    let mut outer = serde_json::Map::new();
    outer.insert(format!("{}response", command.to_lowercase()), inner.clone());
    Value::Object(outer).to_string()
}

/// An answer that went well.
pub(super) fn ok(command: &str, inner: &Value) -> Response {
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    ([kind], enveloped(command, inner)).into_response()
}

/// An error: the code is the status as well. A server that counts calls says how long to wait in its text.
pub(super) fn error(command: &str, code: u16, text: &str) -> Response {
    let text = if code == 429 {
        "The given user has reached his/her account api limit, please retry after 1500 ms.".to_owned()
    } else {
        text.to_owned()
    };
    let inner = json!({ "uuidList": [], "errorcode": code, "cserrorcode": 4350, "errortext": text });
    let mut answer = ok(command, &inner);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}
