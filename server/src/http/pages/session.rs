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
    frame::{Frame, LANGUAGE_COOKIE, Page, Visitor, is_own, page, query_encoded},
};
use crate::{
    app::{
        Error, accounts,
        login::{self, Begun, Refusal},
        oidc,
        sessions::{self, Origin},
    },
    context::Ctx,
    domain::people::Source,
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
    /// Set after a logout by somebody of the login service.
    #[serde(default)]
    left: String,
}

#[derive(Serialize)]
pub(super) struct LoginView {
    page: Frame,
    next: String,
    name: String,
    /// Which refusal is shown, by the word of its text; none at first.
    fault: &'static str,
    /// Goes on with a login that waits for a code.
    step: String,
    service: Option<Service>,
    /// Where somebody who has left here ends their session at the login service, too.
    end: String,
}

/// The login service, for its button.
#[derive(Serialize)]
struct Service {
    title: String,
    is_down: bool,
    href: String,
}

impl LoginView {
    pub(super) fn new(ctx: &Ctx, visitor: &Visitor, next: String) -> Self {
        let service = ctx.login_service.as_ref().map(|service| Service {
            title: service.title().to_owned(),
            is_down: service.is_down(),
            href: if is_own(&next) && next != "/" {
                format!("/login/oidc?next={}", query_encoded(&next))
            } else {
                "/login/oidc".to_owned()
            },
        });
        Self {
            page: visitor.frame(""),
            next,
            name: String::new(),
            fault: "",
            step: String::new(),
            service,
            end: String::new(),
        }
    }

    /// The page after a login that went no further: with what was wrong, or with the question for a code.
    pub(super) fn answer(
        mut self,
        ctx: &Ctx,
        visitor: &Visitor,
        begun: Result<Begun, Refusal>,
    ) -> Result<Response, Rejection> {
        let status = match begun {
            Ok(Begun::Session(secret)) => {
                return Ok(logged_in(&secret, if is_own(&self.next) { &self.next } else { "/" }));
            }
            Ok(Begun::SecondFactor(step)) => {
                step.reveal().clone_into(&mut self.step);
                StatusCode::OK
            }
            Err(Refusal::Failed(error)) => return Err(error.into()),
            Err(refusal) => {
                self.fault = word(&refusal);
                // It may have been asked just now.
                if let (Some(shown), Some(known)) = (&mut self.service, &ctx.login_service) {
                    shown.is_down = known.is_down();
                }
                match refusal {
                    Refusal::Locked => StatusCode::TOO_MANY_REQUESTS,
                    Refusal::Directory | Refusal::LoginService => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::UNAUTHORIZED,
                }
            }
        };
        Ok((status, page(ctx, visitor, "pages/login.html", &self)?).into_response())
    }
}

async fn form(
    State(ctx): State<Ctx>,
    Query(query): Query<Next>,
    request: Request,
) -> Result<Page, Rejection> {
    let visitor = Visitor::stranger(&request);
    let mut view = LoginView::new(&ctx, &visitor, query.next);
    if query.left == "oidc" {
        view.end = oidc::end_address(&ctx).unwrap_or_default();
    }
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
    let origin = origin(peer, request.headers());
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
    let mut view = LoginView::new(&ctx, &visitor, next);
    view.name = login.name;
    if matches!(begun, Err(Refusal::Code)) {
        view.step = login.step;
    }
    view.answer(&ctx, &visitor, begun)
}

/// Where a login comes from.
pub(super) fn origin(peer: SocketAddr, headers: &HeaderMap) -> Origin {
    let browser = headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok());
    Origin { address: peer.ip().to_canonical(), browser: browser.unwrap_or_default().to_owned() }
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
        Refusal::LoginService => "service",
        Refusal::Answer => "answer",
        Refusal::Denied => "denied",
        Refusal::ServiceNoRole => "service-no-role",
        Refusal::ServiceNameTaken => "service-name-taken",
        Refusal::ServiceNoName => "service-no-name",
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
    let mut left = None;
    if let Some(secret) = super::frame::cookie(&headers, COOKIE) {
        left = sessions::end(&ctx, secret).await?;
    }
    // Not at once to the login service: the form would leave this site, which its policy forbids.
    Ok(with_cookie(
        Redirect::to(if left == Some(Source::Oidc) { "/login?left=oidc" } else { "/login" }),
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
