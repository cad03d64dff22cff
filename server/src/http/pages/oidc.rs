//! Logging in by a login service: to it, and back.
//!
//! The way there is a link and no form: a form that is redirected to another site would break the pages' policy (`form-action 'self'`).
//! The cookie that goes along comes back with the answer although another site sends it (`SameSite=Lax`), and nobody reads it but the server.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::{
    super::origin::always,
    Rejection,
    frame::{Visitor, cookie, is_own},
    session::{LoginView, origin, with_cookie},
};
use crate::{
    app::oidc::{self, ANSWER, AWAY_FOR, Answer},
    clock::SECOND,
    context::Ctx,
};

const COOKIE: &str = "__Host-lotse-away";
/// A cookie has 4096 bytes (RFC 6265, 6.1); a longer way back is not kept.
const LONGEST: usize = 1500;

pub(super) fn router(ctx: &Ctx) -> Router<Ctx> {
    // Whoever comes back begins a session, or fails to: both are entries of the audit.
    let noted = middleware::from_fn_with_state(ctx.clone(), always);
    Router::new().route("/login/oidc", get(begin)).route(ANSWER, get(finish).layer(noted))
}

#[derive(Default, Deserialize)]
struct Wish {
    #[serde(default)]
    next: String,
}

async fn begin(
    State(ctx): State<Ctx>,
    Query(wish): Query<Wish>,
    request: Request,
) -> Result<Response, Rejection> {
    let next = if is_own(&wish.next) && wish.next.len() <= LONGEST { wish.next } else { "/".to_owned() };
    match oidc::begin(&ctx, &next).await {
        Ok(sent) => {
            let seconds = AWAY_FOR / SECOND;
            let kept = sent.kept;
            Ok(with_cookie(
                Redirect::to(&sent.address),
                &format!("{COOKIE}={kept}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}"),
            ))
        }
        Err(refusal) => {
            let visitor = Visitor::stranger(&request);
            LoginView::new(&ctx, &visitor, next).answer(&ctx, &visitor, Err(refusal))
        }
    }
}

async fn finish(
    State(ctx): State<Ctx>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(answer): Query<Answer>,
    request: Request,
) -> Result<Response, Rejection> {
    let visitor = Visitor::stranger(&request);
    let kept = cookie(request.headers(), COOKIE).unwrap_or_default();
    let done = oidc::finish(&ctx, kept, &answer, &origin(peer, request.headers())).await;
    let (begun, next) = match done {
        Ok((begun, next)) => (Ok(begun), next),
        Err(refusal) => (Err(refusal), "/".to_owned()),
    };
    let mut response = LoginView::new(&ctx, &visitor, next).answer(&ctx, &visitor, begun)?.into_response();
    let over =
        HeaderValue::from_static("__Host-lotse-away=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    response.headers_mut().append(header::SET_COOKIE, over);
    Ok(response)
}
