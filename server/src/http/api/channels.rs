//! Channels, and the notices that go out by them.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Rejection, tag};
use crate::{
    app::{
        channels::{self, NewChannel, ShownChannel},
        tag as content,
    },
    context::Ctx,
    domain::notice::{Channel, ChannelWish, Posted},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(test))
        .routes(routes!(renew_secret))
        .routes(routes!(notices))
        .routes(routes!(retry))
}

/// Channels by name; never their secrets.
#[utoipa::path(get, path = "/channels", responses((status = 200, body = Vec<Channel>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<Channel>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(channels::list(&mut tx).await?))
}

/// Makes a channel; the answer is the only place where a webhook's secret is shown.
#[utoipa::path(post, path = "/channels", request_body = NewChannel, responses((status = 201, body = ShownChannel)))]
async fn create(
    State(ctx): State<Ctx>,
    Json(new): Json<NewChannel>,
) -> Result<(StatusCode, Json<ShownChannel>), Rejection> {
    Ok((StatusCode::CREATED, Json(channels::create(&ctx, &new).await?)))
}

/// A channel.
#[utoipa::path(get, path = "/channels/{name}", responses((status = 200, body = Channel, headers(("ETag" = String, description = "Changes with what is wanted of it, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    view(&ctx, &name).await
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let channel = channels::get(&mut tx, name).await?;
    Ok((tag::header(content::of(&channel.wish)), Json(channel)).into_response())
}

/// Changes a channel, whole.
#[utoipa::path(put, path = "/channels/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the channel was changed since.")), request_body = ChannelWish, responses((status = 200, body = Channel)))]
async fn update(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wish): Json<ChannelWish>,
) -> Result<Response, Rejection> {
    channels::update(&ctx, &name, &wish, tag::expected(&headers)?.as_deref()).await?;
    view(&ctx, &name).await
}

/// Removes a channel.
#[utoipa::path(delete, path = "/channels/{name}", responses((status = 204)))]
async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    channels::delete(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a notice that only shows that the way works; the answer says whether it arrived.
#[utoipa::path(post, path = "/channels/{name}/test", responses((status = 204)))]
async fn test(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    channels::test(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a webhook another secret; the answer is the only place where it is shown.
#[utoipa::path(post, path = "/channels/{name}/secret", responses((status = 200, body = ShownChannel)))]
async fn renew_secret(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<ShownChannel>, Rejection> {
    Ok(Json(channels::renew_secret(&ctx, &name).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct NoticesQuery {
    /// Only of this channel.
    channel: Option<String>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// Notices that were sent, wait or were given up, newest first.
#[utoipa::path(get, path = "/notices", params(NoticesQuery), responses((status = 200, body = Vec<Posted>)))]
async fn notices(
    State(ctx): State<Ctx>,
    Query(query): Query<NoticesQuery>,
) -> Result<Json<Vec<Posted>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    Ok(Json(channels::outbox(&mut tx, query.channel.as_deref(), limit).await?))
}

/// Sends a notice again that was given up.
#[utoipa::path(post, path = "/notices/{id}/retry", responses((status = 204)))]
async fn retry(State(ctx): State<Ctx>, Path(id): Path<i64>) -> Result<StatusCode, Rejection> {
    channels::retry(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
