//! Logging in and out, and one's own account.

use std::net::SocketAddr;

use axum::{
    Form, Router,
    extract::{ConnectInfo, FromRequest, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, LANGUAGE_COOKIE, Page, Visitor, is_own, page},
};
use crate::{
    app::{
        Error,
        sessions::{self, Origin},
    },
    context::Ctx,
    identity::token::Token,
    pages::LANGUAGES,
};

/// The browser sends it only here, only over TLS, and shows it to no script.
pub(super) const COOKIE: &str = "__Host-lotse";

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/login", get(form).post(login))
        .route("/logout", post(logout))
        .route("/language", post(language))
}

pub(super) fn account() -> Router<Ctx> {
    Router::new().route("/account", get(show)).route("/account/password", post(set_password))
}

#[derive(Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Serialize)]
struct LoginView {
    page: Frame,
    next: String,
    name: String,
    fault: bool,
    locked: bool,
}

async fn form(
    State(ctx): State<Ctx>,
    Query(query): Query<Next>,
    request: Request,
) -> Result<Page, Rejection> {
    let visitor = Visitor::stranger(&request);
    let view = LoginView {
        page: visitor.frame(""),
        next: query.next,
        name: String::new(),
        fault: false,
        locked: false,
    };
    page(&ctx, &visitor, "pages/login.html", &view)
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    link: String,
    #[serde(default)]
    next: String,
}

async fn login(
    State(ctx): State<Ctx>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Rejection> {
    let visitor = Visitor::stranger(&request);
    let browser = request.headers().get(header::USER_AGENT).and_then(|name| name.to_str().ok());
    let origin =
        Origin { address: peer.ip().to_canonical(), browser: browser.unwrap_or_default().to_owned() };
    let Form(login) = Form::<Login>::from_request(request, &ctx)
        .await
        .map_err(|_| Error::invalid("the login is not what the form sends", "open the login page again"))?;
    let begun = if login.link.is_empty() {
        sessions::by_password(&ctx, &login.name, &login.password, &origin).await
    } else {
        sessions::by_link(&ctx, &login.link, &origin).await
    };
    let locked = match begun {
        Ok(secret) => {
            let next = if login.link.is_empty() { login.next.as_str() } else { "/account" };
            return Ok(logged_in(&secret, if is_own(next) { next } else { "/" }));
        }
        Err(Error::Unauthenticated(_)) => false,
        Err(Error::Unavailable { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    let view =
        LoginView { page: visitor.frame(""), next: login.next, name: login.name, fault: !locked, locked };
    let status = if locked { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
    Ok((status, page(&ctx, &visitor, "pages/login.html", &view)?).into_response())
}

fn logged_in(secret: &Token, next: &str) -> Response {
    with_cookie(
        Redirect::to(next),
        &format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", secret.reveal()),
    )
}

fn with_cookie(answer: Redirect, cookie: &str) -> Response {
    let mut response = answer.into_response();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

async fn logout(State(ctx): State<Ctx>, headers: HeaderMap) -> Result<Response, Rejection> {
    if let Some(secret) = super::frame::cookie(&headers, COOKIE) {
        sessions::end(&ctx, secret).await?;
    }
    Ok(with_cookie(
        Redirect::to("/login"),
        &format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
    ))
}

#[derive(Deserialize)]
struct Language {
    lang: String,
    back: String,
}

async fn language(Form(wish): Form<Language>) -> Response {
    let back = Redirect::to(if is_own(&wish.back) { &wish.back } else { "/" });
    match LANGUAGES.into_iter().find(|known| *known == wish.lang) {
        Some(known) => with_cookie(
            back,
            &format!("{LANGUAGE_COOKIE}={known}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=31536000"),
        ),
        None => back.into_response(),
    }
}

#[derive(Serialize)]
struct AccountView {
    page: Frame,
    has_password: bool,
    changed: bool,
    problem: Option<String>,
}

async fn account_page(
    ctx: &Ctx,
    visitor: &Visitor,
    changed: bool,
    problem: Option<String>,
) -> Result<Page, Rejection> {
    let has_password = sessions::has_password(ctx, visitor.name()).await?;
    let view = AccountView { page: visitor.frame("/account"), has_password, changed, problem };
    page(ctx, visitor, "pages/account.html", &view)
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    account_page(&ctx, &visitor, false, None).await
}

#[derive(Deserialize)]
struct NewPassword {
    password: String,
    again: String,
}

async fn set_password(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(new): Form<NewPassword>,
) -> Result<Page, Rejection> {
    let Some(who) = &visitor.who else { return account_page(&ctx, &visitor, false, None).await };
    let set = if new.password == new.again {
        sessions::set_password(&ctx, who, &new.password, &visitor.secret).await
    } else {
        Err(Error::invalid("the two passwords differ", "type the same one twice"))
    };
    match set {
        Ok(()) => account_page(&ctx, &visitor, true, None).await,
        Err(Error::Invalid { title, remedy, .. }) => {
            account_page(&ctx, &visitor, false, Some(format!("{title}: {remedy}"))).await
        }
        Err(error) => Err(error.into()),
    }
}
