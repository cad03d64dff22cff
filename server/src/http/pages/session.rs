//! Logging in, by password or link and then by the second factor, and logging out.

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
        Error, accounts,
        login::{self, Begun, Refusal},
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
    /// Which refusal is shown, by the word of its text; none at first.
    fault: &'static str,
    /// Goes on with a login that waits for a code.
    step: String,
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
        fault: "",
        step: String::new(),
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
    step: String,
    #[serde(default)]
    code: String,
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
    let begun = if !login.step.is_empty() {
        login::by_code(&ctx, &login.step, &login.code, &origin).await.map(Begun::Session)
    } else if login.link.is_empty() {
        login::by_password(&ctx, &login.name, &login.password, &origin).await
    } else {
        login::by_link(&ctx, &login.link, &origin).await
    };
    let next = if login.link.is_empty() { login.next } else { "/account".to_owned() };
    let mut view =
        LoginView { page: visitor.frame(""), next, name: login.name, fault: "", step: String::new() };
    let status = match begun {
        Ok(Begun::Session(secret)) => {
            return Ok(logged_in(&secret, if is_own(&view.next) { &view.next } else { "/" }));
        }
        Ok(Begun::SecondFactor(step)) => {
            step.reveal().clone_into(&mut view.step);
            StatusCode::OK
        }
        Err(Refusal::Failed(error)) => return Err(error.into()),
        Err(refusal) => {
            view.fault = word(&refusal);
            if matches!(refusal, Refusal::Code) {
                view.step = login.step;
            }
            match refusal {
                Refusal::Locked => StatusCode::TOO_MANY_REQUESTS,
                Refusal::Directory => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::UNAUTHORIZED,
            }
        }
    };
    Ok((status, page(&ctx, &visitor, "pages/login.html", &view)?).into_response())
}

/// The word by which a refusal has its text.
fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Wrong | Refusal::CodeMissing | Refusal::Failed(_) => "wrong",
        Refusal::Link => "link",
        Refusal::Code => "code",
        Refusal::Over => "over",
        Refusal::Disabled => "disabled",
        Refusal::NoRole => "no-role",
        Refusal::NameTaken => "name-taken",
        Refusal::Locked => "locked",
        Refusal::Directory => "directory",
    }
}

fn logged_in(secret: &Token, next: &str) -> Response {
    with_cookie(
        Redirect::to(next),
        &format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", secret.reveal()),
    )
}

pub(super) fn with_cookie(answer: Redirect, cookie: &str) -> Response {
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

async fn language(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Form(wish): Form<Language>,
) -> Result<Response, Rejection> {
    let back = Redirect::to(if is_own(&wish.back) { &wish.back } else { "/" });
    match LANGUAGES.into_iter().find(|known| *known == wish.lang) {
        Some(known) => {
            // Somebody who is logged in keeps it in their account, for every browser.
            let secret = super::frame::cookie(&headers, COOKIE).unwrap_or_default();
            if let Some(who) = sessions::authenticate(&ctx, secret).await? {
                accounts::set_language(&ctx, &who.actor, known).await?;
            }
            Ok(with_cookie(
                back,
                &format!(
                    "{LANGUAGE_COOKIE}={known}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=31536000"
                ),
            ))
        }
        None => Ok(back.into_response()),
    }
}
