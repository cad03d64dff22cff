//! Accounts: everybody's for admins, one's own for everybody; and the login that gives a token.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        Error,
        accounts::{self, AccountChange, Login, LoginLink, NewAccount},
        login::{self, LoginOrder},
        people::{self, ShownToken},
        second_factors::{self, RecoveryCodes, SecondFactor},
        sessions::{self, Origin},
        tag as content,
    },
    context::Ctx,
    domain::people::{Account, ApiToken},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(login_link))
        .routes(routes!(logins, revoke_logins))
        .routes(routes!(revoke_login))
        .routes(routes!(reset_second_factor))
        .routes(routes!(own))
        .routes(routes!(set_password))
        .routes(routes!(set_language))
        .routes(routes!(offer_second_factor))
        .routes(routes!(confirm_second_factor))
        .routes(routes!(end_second_factor))
        .routes(routes!(own_logins, revoke_own_logins))
        .routes(routes!(revoke_own_login))
        .routes(routes!(prolong))
}

/// Accounts by name.
#[utoipa::path(get, path = "/accounts", responses((status = 200, body = Vec<Account>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<Account>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(accounts::list(&mut tx).await?))
}

/// Makes an account; the answer is the only place where the link for its first login is shown.
#[utoipa::path(post, path = "/accounts", request_body = NewAccount, responses((status = 201, body = LoginLink)))]
async fn create(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<LoginLink>), Rejection> {
    Ok((StatusCode::CREATED, Json(accounts::create(&ctx, &new, &actor.name).await?)))
}

async fn by_name(ctx: &Ctx, name: &str) -> Result<Account, Error> {
    let mut tx = ctx.db.read().await?;
    accounts::get(&mut tx, name).await
}

fn tagged(account: Account) -> impl IntoResponse {
    let tag = tag::header(content::of(&accounts::changeable(&account)));
    (tag, Json(account))
}

/// An account.
#[utoipa::path(get, path = "/accounts/{name}", responses((status = 200, body = Account, headers(("ETag" = String, description = "Of what can be changed, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<impl IntoResponse, Rejection> {
    Ok(tagged(by_name(&ctx, &name).await?))
}

/// Changes an account: its full name, its roles, whether it can log in.
#[utoipa::path(patch, path = "/accounts/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the account was changed since.")), request_body = AccountChange, responses((status = 200, body = Account)))]
async fn change(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<AccountChange>,
) -> Result<impl IntoResponse, Rejection> {
    let expected = tag::expected(&headers)?;
    Ok(tagged(accounts::change(&ctx, &name, &change, expected.as_deref(), &actor.name).await?))
}

/// Removes an account with all its logins.
#[utoipa::path(delete, path = "/accounts/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    accounts::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a one-time link for a forgotten password.
#[utoipa::path(post, path = "/accounts/{name}/login-link", responses((status = 200, body = LoginLink)))]
async fn login_link(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<Json<LoginLink>, Rejection> {
    Ok(Json(accounts::link(&ctx, &name, &actor.name).await?))
}

/// Where an account is logged in.
#[utoipa::path(get, path = "/accounts/{name}/logins", responses((status = 200, body = Vec<Login>)))]
async fn logins(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<Json<Vec<Login>>, Rejection> {
    let account = by_name(&ctx, &name).await?;
    Ok(Json(sessions::list(&ctx, account.id, &actor).await?))
}

/// Ends all logins of an account.
#[utoipa::path(delete, path = "/accounts/{name}/logins", responses((status = 204)))]
async fn revoke_logins(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    let account = by_name(&ctx, &name).await?;
    sessions::revoke_all(&ctx, &account, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one login of an account.
#[utoipa::path(delete, path = "/accounts/{name}/logins/{id}", params(("name" = String, Path), ("id" = String, Path)), responses((status = 204)))]
async fn revoke_login(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    let account = by_name(&ctx, &name).await?;
    sessions::revoke(&ctx, account.id, &id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the second factor of somebody who has lost it.
#[utoipa::path(delete, path = "/accounts/{name}/second-factor", responses((status = 204)))]
async fn reset_second_factor(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    second_factors::reset(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account of whoever asks.
#[utoipa::path(get, path = "/account", responses((status = 200, body = Account)))]
async fn own(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Account>, Rejection> {
    Ok(Json(accounts::own(&ctx, &actor).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The present one; not needed where there is none.
    #[serde(default)]
    old: String,
    /// The new one.
    new: String,
}

/// Sets the password of whoever asks, and ends their other logins.
#[utoipa::path(post, path = "/account/password", request_body = NewPassword, responses((status = 204)))]
async fn set_password(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, Rejection> {
    accounts::set_password(&ctx, &actor, &new.old, &new.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLanguage {
    /// `en` or `de`.
    language: String,
}

/// Chooses the language of one's pages.
#[utoipa::path(post, path = "/account/language", request_body = NewLanguage, responses((status = 204)))]
async fn set_language(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewLanguage>,
) -> Result<StatusCode, Rejection> {
    accounts::set_language(&ctx, &actor, &new.language).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Offers a second factor: codes by time of an app.
#[utoipa::path(post, path = "/account/second-factor", responses((status = 200, body = SecondFactor)))]
async fn offer_second_factor(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
) -> Result<Json<SecondFactor>, Rejection> {
    Ok(Json(second_factors::offer(&ctx, &actor).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    /// The present code of the app.
    code: String,
}

/// From now on the second factor is asked for; the answer is the only place where the recovery codes are shown.
#[utoipa::path(post, path = "/account/second-factor/confirm", request_body = Code, responses((status = 200, body = RecoveryCodes)))]
async fn confirm_second_factor(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(code): Json<Code>,
) -> Result<Json<RecoveryCodes>, Rejection> {
    Ok(Json(second_factors::confirm(&ctx, &actor, &code.code).await?))
}

/// Ends one's second factor; it takes a code of it, or a recovery code.
#[utoipa::path(post, path = "/account/second-factor/end", request_body = Code, responses((status = 204)))]
async fn end_second_factor(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(code): Json<Code>,
) -> Result<StatusCode, Rejection> {
    second_factors::end(&ctx, &actor, &code.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where one is logged in.
#[utoipa::path(get, path = "/account/logins", responses((status = 200, body = Vec<Login>)))]
async fn own_logins(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<Vec<Login>>, Rejection> {
    let account = people::account_of(&actor)?;
    Ok(Json(sessions::list(&ctx, account, &actor).await?))
}

/// Ends all one's logins but the one that asks.
#[utoipa::path(delete, path = "/account/logins", responses((status = 204)))]
async fn revoke_own_logins(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<StatusCode, Rejection> {
    let account = accounts::own(&ctx, &actor).await?;
    sessions::revoke_all(&ctx, &account, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of one's logins.
#[utoipa::path(delete, path = "/account/logins/{id}", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke_own_login(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<String>,
) -> Result<StatusCode, Rejection> {
    let account = people::account_of(&actor)?;
    sessions::revoke(&ctx, account, &id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the token of a login be valid for half a day from now on, but no longer than a session would be.
#[utoipa::path(post, path = "/account/prolong", responses((status = 200, body = ApiToken)))]
async fn prolong(State(ctx): State<Ctx>, Asking(actor): Asking) -> Result<Json<ApiToken>, Rejection> {
    Ok(Json(people::prolong(&ctx, &actor).await?))
}

/// Exchanges a one-time login link, or name and password, for a token. Open to everybody.
#[utoipa::path(post, path = "/login", request_body = LoginOrder, responses((status = 200, body = ShownToken)))]
pub(super) async fn login(
    State(ctx): State<Ctx>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(order): Json<LoginOrder>,
) -> Result<Json<ShownToken>, Rejection> {
    let browser = headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let origin = Origin { address: peer.ip().to_canonical(), browser: browser.to_owned() };
    Ok(Json(login::for_token(&ctx, &order, &origin).await.map_err(Error::from)?))
}
