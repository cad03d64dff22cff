//! Pages for people: rendered here, live by events, usable without scripts but for what happens live.
//!
//! Invariant: every page stands in [`ROUTES`] with the role that it needs; one that does not is refused to everybody.

mod about;
mod account;
mod accounts;
mod approvals;
mod audit;
mod batches;
mod cache;
mod channels;
mod chart;
mod client;
mod clients;
mod columns;
mod console;
mod desktops;
mod discovered;
mod frame;
mod groups;
mod images;
mod job_scripts;
mod jobs;
mod layouts;
mod live;
mod machine_form;
mod mass;
mod moment;
mod oidc;
mod orders;
mod overview;
mod package_search;
mod providers;
mod report_mails;
mod reports;
mod repositories;
mod rights;
mod rollouts;
mod rules;
mod selections;
mod session;
mod settings;
mod source_lists;
mod status;
mod take_over;
mod tokens;
mod words;

use axum::{
    Router,
    extract::{FromRequestParts, Path, RawPathParams, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower_http::csrf::CsrfLayer;
use wire::problem::Problem;

use self::frame::{Frame, Visitor, page};
use super::{
    Rejection,
    access::{Route, admit},
    origin, problem,
};
use crate::{
    app::{consoles::LEAST_ROLE, sessions},
    context::Ctx,
    domain::people::Role,
    novnc,
};

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;

/// Every page, and the least role that may see or use it.
pub const ROUTES: &[Route] = &[
    (GET, "/", Role::Viewer),
    (GET, "/clients", Role::Viewer),
    (POST, "/clients", Role::Helpdesk),
    (GET, "/clients-words", Role::Viewer),
    (GET, "/batches", Role::Viewer),
    (POST, "/batches", Role::Helpdesk),
    (POST, "/batches/preview", Role::Helpdesk),
    (GET, "/batches/{id}", Role::Viewer),
    (POST, "/batches/{id}/stop", Role::Operator),
    (GET, "/groups", Role::Viewer),
    (POST, "/groups", Role::Operator),
    (GET, "/groups/{name}", Role::Viewer),
    (POST, "/groups/{name}", Role::Operator),
    (POST, "/groups/{name}/delete", Role::Operator),
    (GET, "/selections", Role::Viewer),
    (POST, "/selections", Role::Operator),
    (POST, "/selection-imports", Role::Operator),
    (GET, "/selections/{name}", Role::Viewer),
    (POST, "/selections/{name}", Role::Operator),
    (GET, "/selections/{name}/file", Role::Viewer),
    (POST, "/selections/{name}/groups", Role::Operator),
    (POST, "/selections/{name}/repair", Role::Operator),
    (POST, "/selections/{name}/delete", Role::Operator),
    (POST, "/filters", Role::Viewer),
    (POST, "/filters/{id}/delete", Role::Viewer),
    (GET, "/clients/{name}", Role::Viewer),
    (GET, "/clients/{name}/adopt", Role::Operator),
    (POST, "/clients/{name}/adopt", Role::Operator),
    (GET, "/clients/{name}/install", Role::Operator),
    (POST, "/clients/{name}/install", Role::Operator),
    (GET, "/clients/{name}/edit", Role::Operator),
    (POST, "/clients/{name}/edit", Role::Operator),
    (GET, "/clients/{name}/do/{order}", Role::Helpdesk),
    (POST, "/clients/{name}/do/{order}", Role::Helpdesk),
    (POST, "/clients/{name}/notes", Role::Helpdesk),
    (POST, "/clients/{name}/notes/{id}/delete", Role::Operator),
    (GET, "/clients/{name}/packages", Role::Viewer),
    (POST, "/clients/{name}/packages", Role::Operator),
    (GET, "/clients/{name}/packages/change", Role::Operator),
    (POST, "/clients/{name}/packages/change", Role::Operator),
    (GET, "/clients/{name}/packages/previews/{id}", Role::Operator),
    (POST, "/clients/{name}/packages/previews/{id}", Role::Operator),
    (GET, "/clients/{name}/comparison", Role::Viewer),
    (GET, "/clients/{name}/console", LEAST_ROLE),
    (POST, "/clients/{name}/console", LEAST_ROLE),
    (POST, "/clients/{name}/console/ticket", LEAST_ROLE),
    (GET, "/clients/{name}/console/screen", LEAST_ROLE),
    (GET, "/clients/{name}/console/lines", LEAST_ROLE),
    (GET, "/clients/{name}/console/text", LEAST_ROLE),
    (GET, "/take-over", Role::Operator),
    (POST, "/take-over", Role::Operator),
    (GET, "/clients/{name}/integration", Role::Viewer),
    (GET, "/add-client", Role::Operator),
    (POST, "/add-client", Role::Operator),
    (POST, "/presets/{name}/delete", Role::Operator),
    (GET, "/desktops", Role::Viewer),
    (GET, "/new-desktop", Role::Operator),
    (POST, "/new-desktop", Role::Operator),
    (GET, "/desktops/{name}", Role::Viewer),
    (GET, "/desktops/{name}/do/{order}", Role::Helpdesk),
    (POST, "/desktops/{name}/do/{order}", Role::Helpdesk),
    (GET, "/providers", Role::Operator),
    (POST, "/providers", Role::Admin),
    (GET, "/new-provider", Role::Admin),
    (POST, "/new-provider", Role::Admin),
    (GET, "/providers/{name}", Role::Operator),
    (POST, "/providers/{name}", Role::Admin),
    (GET, "/providers/{name}/edit", Role::Admin),
    (POST, "/providers/{name}/edit", Role::Admin),
    (POST, "/providers/{name}/delete", Role::Admin),
    (POST, "/provider-pools/{name}/delete", Role::Admin),
    (GET, "/rollouts", Role::Viewer),
    (GET, "/rollouts/{id}", Role::Viewer),
    (GET, "/rollouts/{id}/clients", Role::Viewer),
    (POST, "/rollouts/{id}/{order}", Role::Operator),
    (POST, "/rollout-schedules/{name}/{order}", Role::Operator),
    (GET, "/new-rollout", Role::Operator),
    (POST, "/new-rollout", Role::Operator),
    (GET, "/discovered", Role::Viewer),
    (POST, "/discovered", Role::Operator),
    (GET, "/rules", Role::Viewer),
    (POST, "/rules", Role::Operator),
    (POST, "/rules/{name}/delete", Role::Operator),
    (GET, "/mass-installation", Role::Operator),
    (POST, "/mass-installation", Role::Operator),
    (GET, "/jobs", Role::Viewer),
    (GET, "/jobs/{id}", Role::Viewer),
    (POST, "/jobs/{id}/{order}", Role::Helpdesk),
    (GET, "/about", Role::Viewer),
    (GET, "/package-cache", Role::Viewer),
    (POST, "/package-cache/clean", Role::Admin),
    (GET, "/packages", Role::Viewer),
    (GET, "/source-lists", Role::Viewer),
    (GET, "/source-lists/{name}", Role::Viewer),
    (POST, "/source-lists/{name}", Role::Admin),
    (POST, "/source-lists/{name}/delete", Role::Admin),
    (POST, "/source-lists/{name}/give", Role::Operator),
    (POST, "/source-lists/{name}/refresh", Role::Operator),
    (GET, "/new-source-list", Role::Admin),
    (POST, "/new-source-list", Role::Admin),
    (GET, "/repositories", Role::Viewer),
    (POST, "/repositories", Role::Admin),
    (GET, "/repositories/{name}", Role::Viewer),
    (POST, "/repositories/{name}/upload", Role::Operator),
    (POST, "/repositories/{name}/build", Role::Operator),
    (POST, "/repositories/{name}/take", Role::Operator),
    (POST, "/repositories/{name}/promote", Role::Operator),
    (POST, "/repositories/{name}/roll-back", Role::Operator),
    (POST, "/repositories/{name}/packages/{id}/remove", Role::Operator),
    (POST, "/repositories/{name}/delete", Role::Admin),
    (GET, "/images", Role::Viewer),
    (POST, "/images/{id}/delete", Role::Admin),
    (GET, "/job-scripts", Role::Viewer),
    (GET, "/job-scripts/{name}", Role::Viewer),
    (GET, "/job-scripts/{name}/edit", Role::Admin),
    (POST, "/job-scripts/{name}/edit", Role::Admin),
    (POST, "/job-scripts/{name}/version", Role::Admin),
    (GET, "/job-scripts/{name}/difference", Role::Viewer),
    (GET, "/job-scripts/{name}/samples/{sample}", Role::Viewer),
    (GET, "/job-scripts/{name}/trial", Role::Operator),
    (GET, "/layouts", Role::Viewer),
    (GET, "/layouts/{name}", Role::Viewer),
    (POST, "/layouts/{name}", Role::Operator),
    (POST, "/layouts/{name}/delete", Role::Operator),
    (GET, "/new-layout", Role::Operator),
    (POST, "/new-layout", Role::Operator),
    (POST, "/layout-check", Role::Viewer),
    (GET, "/reports", Role::Viewer),
    (GET, "/reports/{name}", Role::Viewer),
    (GET, "/report-mails", Role::Admin),
    (POST, "/report-mails", Role::Admin),
    (GET, "/report-mails/{name}", Role::Admin),
    (POST, "/report-mails/{name}", Role::Admin),
    (POST, "/report-mails/{name}/send", Role::Admin),
    (POST, "/report-mails/{name}/delete", Role::Admin),
    (GET, "/live", Role::Viewer),
    (GET, "/attempts/{id}/output", Role::Viewer),
    (GET, "/account", Role::Viewer),
    (POST, "/account/password", Role::Viewer),
    (POST, "/account/second-factor", Role::Viewer),
    (POST, "/account/second-factor/end", Role::Viewer),
    (POST, "/account/logins/end", Role::Viewer),
    (POST, "/account/command-line", Role::Viewer),
    (GET, "/accounts", Role::Admin),
    (POST, "/accounts", Role::Admin),
    (GET, "/accounts/{name}", Role::Admin),
    (POST, "/accounts/{name}", Role::Admin),
    (POST, "/accounts/{name}/login-link", Role::Admin),
    (POST, "/accounts/{name}/logins/end", Role::Admin),
    (POST, "/accounts/{name}/second-factor/end", Role::Admin),
    (POST, "/accounts/{name}/delete", Role::Admin),
    (GET, "/tokens", Role::Admin),
    (POST, "/tokens", Role::Admin),
    (POST, "/tokens/{id}/revoke", Role::Admin),
    (GET, "/approvals", Role::Helpdesk),
    (POST, "/approvals/{id}/approve", Role::Operator),
    (POST, "/approvals/{id}/refuse", Role::Helpdesk),
    (GET, "/audit", Role::Admin),
    (GET, "/audit/export", Role::Admin),
    (GET, "/channels", Role::Admin),
    (POST, "/channels", Role::Admin),
    (GET, "/channels/{name}", Role::Admin),
    (POST, "/channels/{name}", Role::Admin),
    (POST, "/channels/{name}/test", Role::Admin),
    (POST, "/channels/{name}/secret", Role::Admin),
    (POST, "/channels/{name}/delete", Role::Admin),
    (POST, "/notices/{id}/retry", Role::Admin),
    (GET, "/settings", Role::Admin),
    (POST, "/settings", Role::Admin),
];

/// Scripts, styles and pictures come from here and from nowhere else; no page is framed, no form leaves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages.
pub fn router(ctx: Ctx) -> Router {
    let guarded = overview::router()
        .merge(clients::router())
        .merge(batches::router())
        .merge(desktops::router())
        .merge(providers::router())
        .merge(rollouts::router())
        .merge(groups::router())
        .merge(selections::router())
        .merge(client::router())
        .merge(console::router())
        .merge(discovered::router())
        .merge(rules::router())
        .merge(mass::router())
        .merge(jobs::router())
        .merge(about::router())
        .merge(images::router())
        .merge(cache::router())
        .merge(package_search::router())
        .merge(source_lists::router())
        .merge(repositories::router())
        .merge(job_scripts::router())
        .merge(layouts::router())
        .merge(reports::router())
        .merge(report_mails::router())
        .merge(live::router())
        .merge(account::router())
        .merge(accounts::router())
        .merge(take_over::router())
        .merge(tokens::router())
        .merge(approvals::router())
        .merge(channels::router())
        .merge(audit::router())
        .merge(settings::router())
        .layer(middleware::from_fn_with_state(ctx.clone(), origin::scoped))
        .layer(middleware::from_fn_with_state(ctx.clone(), guard));
    Router::new()
        .merge(
            session::router()
                .merge(oidc::router(&ctx))
                .layer(middleware::from_fn_with_state(ctx.clone(), origin::scoped)),
        )
        .route("/assets/{name}", get(asset))
        .route("/assets/novnc/{*path}", get(module))
        .merge(guarded)
        .layer(middleware::from_fn_with_state(ctx.clone(), errors_as_pages))
        .layer(middleware::from_fn(secured))
        .layer(CsrfLayer::new())
        .with_state(ctx)
}

/// Lets a request through when the browser is logged in and its user's role is enough; asks others to log in.
async fn guard(
    State(ctx): State<Ctx>,
    path: axum::extract::MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let secret = frame::cookie(request.headers(), session::COOKIE).unwrap_or_default();
    let Some(who) = sessions::authenticate(&ctx, secret).await? else {
        let back = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let to = if request.method() == Method::GET && back != "/" && back != "/live" {
            format!("/login?next={}", frame::query_encoded(back))
        } else {
            "/login".to_owned()
        };
        return Ok(Redirect::to(&to).into_response());
    };
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| crate::app::Error::not_found("what this address names"))?;
    admit(&ctx, ROUTES, &who.actor, &parts.method, path.as_str(), &params).await?;
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(who.actor.clone());
    let pending = {
        let mut tx = ctx.db.read().await?;
        crate::app::approvals::pending(&ctx, &mut tx, &who.actor).await?
    };
    let visitor = Visitor::new(&request, who, pending);
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    // A problem becomes a page with the frame of whoever asked.
    response.extensions_mut().insert(visitor);
    Ok(response)
}

#[derive(serde::Serialize)]
struct ErrorView {
    page: Frame,
    problem: Problem,
}

/// A problem is a page here.
async fn errors_as_pages(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    let stranger = Visitor::stranger(&request);
    let id =
        request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    if problem.code == problem::AWAITS_APPROVAL {
        let asked = problem.fields.first().map(|field| field.message.as_str()).unwrap_or_default();
        return Redirect::to(&format!("/approvals?asked={asked}")).into_response();
    }
    let status = response.status();
    let visitor = response.extensions_mut().remove().unwrap_or(stranger);
    let view = ErrorView { page: visitor.frame(""), problem: Problem { request_id: id, ..problem } };
    match page(&ctx, &visitor, "pages/error.html", &view) {
        Ok(page) => (status, page).into_response(),
        Err(_) => status.into_response(),
    }
}

async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn asset(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let asset =
        ctx.pages.asset(&name).ok_or_else(|| crate::app::Error::not_found(format!("the file {name}")))?;
    let tag = format!("\"{}\"", asset.tag);
    let fresh = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, fresh).into_response());
    }
    Ok((fresh, [(header::CONTENT_TYPE, asset.media_type)], asset.bytes.clone()).into_response())
}

/// A module of noVNC.
async fn module(Path(path): Path<String>) -> Result<Response, Rejection> {
    let found = novnc::module(&path).await;
    let bytes = found.ok_or_else(|| crate::app::Error::not_found(format!("the module {path}")))?;
    let headers =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    Ok((headers, bytes).into_response())
}
