//! Requests that may be repeated without being carried out twice: `Idempotency-Key` on every `POST` (as in the IETF draft
//! "The Idempotency-Key HTTP Header Field"). The same request with the same key gets the same answer for a day.
//!
//! What was refused before anything was changed is not remembered: repeating it is trying it.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{LARGEST_REQUEST, Rejection};
use crate::{
    app::{
        Error,
        people::{Actor, Pass},
    },
    blobs,
    context::Ctx,
    db::answers::{self, Answer, Kept, Mark},
};

/// The name of the header.
pub(super) const HEADER: &str = "idempotency-key";
/// Says of an answer that it was given before.
const REPEATED: &str = "idempotency-replayed";
const LONGEST_KEY: usize = 128;
/// Answers of these routes hold a secret that is shown once, so they are not kept.
const SECRET: [&str; 9] = [
    "/tokens",
    "/enrol-command",
    "/user-data",
    "/channels",
    "/secret",
    "/accounts",
    "/login-link",
    "/second-factor",
    "/second-factor/confirm",
];

/// Carries a request out at most once, when it has a key.
pub(super) async fn at_most_once(
    State(ctx): State<Ctx>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let token = request.extensions().get::<Actor>().and_then(|actor| match actor.pass {
        Pass::Token(id) => Some(id),
        Pass::Session(_) => None,
    });
    let (Some(token), Some(key), &Method::POST) = (token, key(request.headers())?, request.method()) else {
        return Ok(next.run(request).await);
    };
    let secret = SECRET.iter().any(|end| request.uri().path().ends_with(end));
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let hash = hash(&parts.method, &parts.uri.to_string(), &body);
    let now = ctx.now();
    let kept = {
        let mut tx = ctx.db.read().await?;
        answers::find(&mut tx, token, &key, now).await?
    };
    if let Some(kept) = kept {
        return Ok(repeated(&key, &hash, kept)?);
    }
    let mark = Mark::new(token, key, hash, now);
    let response = mark.scope(next.run(Request::from_parts(parts, Body::from(body)))).await;
    if !mark.is_written() || secret { Ok(response) } else { keep(&ctx, &mark, response).await }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key.to_owned())),
        _ => Err(Error::invalid(
            format!("an Idempotency-Key has 1 to {LONGEST_KEY} visible ASCII signs"),
            "make a random one for each request, such as a UUID",
        )),
    }
}

fn hash(method: &Method, uri: &str, body: &Bytes) -> String {
    let mut text = format!("{method} {uri}\n").into_bytes();
    text.extend_from_slice(body);
    blobs::hash(&text).to_string()
}

fn repeated(key: &str, hash: &str, kept: Kept) -> Result<Response, Error> {
    if kept.request != hash {
        return Err(Error::invalid(
            format!("the Idempotency-Key `{key}` was used for another request"),
            "make a fresh key for each request, and repeat it only with the very same request",
        ));
    }
    let Some(answer) = kept.answer else {
        return Err(Error::conflict(
            format!(
                "the request with the Idempotency-Key `{key}` was carried out, but its answer is not kept"
            ),
            "look at what is there before you send it again with a fresh key",
        ));
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPEATED, HeaderValue::from_static("true"));
    if let Some(etag) = answer.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Keeps the answer beside its mark. One that cannot be kept is logged, and given all the same: the work is done.
async fn keep(ctx: &Ctx, mark: &Mark, response: Response) -> Result<Response, Rejection> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| Error::Internal(error.into()))?;
    let etag = parts.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(&body).into_owned();
    let answer = Answer { status: parts.status.as_u16(), etag, body: text };
    let written = async {
        let mut tx = ctx.db.write().await?;
        answers::keep(&mut tx, mark, &answer).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        tracing::warn!(
            error = format!("{:#}", anyhow::Error::from(error)),
            "keeping an answer for its repetition"
        );
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
