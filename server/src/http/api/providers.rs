//! Providers and pools of them.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Rejection, tag};
use crate::{
    app::{
        providers::{self, IsoWish, NewProvider, ProviderChange, ProviderTest, ProviderView},
        tag as content,
    },
    context::Ctx,
    db::providers::ProviderRecord,
    domain::provider::{Pool, PoolMember},
    http::extract::Json,
    vm::Offers,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(test))
        .routes(routes!(offers))
        .routes(routes!(register_iso))
        .routes(routes!(list_pools))
        .routes(routes!(show_pool, set_pool, delete_pool))
}

/// Providers by name; never their keys.
#[utoipa::path(get, path = "/providers", responses((status = 200, body = Vec<ProviderRecord>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<ProviderRecord>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(providers::list(&mut tx).await?))
}

/// Registers a provider.
#[utoipa::path(post, path = "/providers", request_body = NewProvider, responses((status = 201, body = ProviderRecord)))]
async fn create(
    State(ctx): State<Ctx>,
    Json(new): Json<NewProvider>,
) -> Result<(StatusCode, Json<ProviderRecord>), Rejection> {
    Ok((StatusCode::CREATED, Json(providers::create(&ctx, &new).await?)))
}

/// A provider.
#[utoipa::path(get, path = "/providers/{name}", responses((status = 200, body = ProviderView, headers(("ETag" = String, description = "Changes with what is wanted of it, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    view(&ctx, &name).await
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let view = providers::view(&mut tx, name).await?;
    Ok((tag::header(content::of(&view.record.wish)), Json(view)).into_response())
}

/// Changes a provider: what is wanted of it, whole, and its keys where new ones are given.
#[utoipa::path(put, path = "/providers/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the provider was changed since.")), request_body = ProviderChange, responses((status = 200, body = ProviderView)))]
async fn update(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<ProviderChange>,
) -> Result<Response, Rejection> {
    providers::update(&ctx, &name, &change, tag::expected(&headers)?.as_deref()).await?;
    view(&ctx, &name).await
}

/// Removes a provider at which nothing of ours is.
#[utoipa::path(delete, path = "/providers/{name}", responses((status = 204)))]
async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    providers::delete(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries what a desktop needs at a provider, without making anything.
#[utoipa::path(post, path = "/providers/{name}/test", responses((status = 200, body = ProviderTest)))]
async fn test(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<ProviderTest>, Rejection> {
    Ok(Json(providers::test(&ctx, &name).await?))
}

/// What a provider offers: zones, sizes, disks, networks, images.
#[utoipa::path(get, path = "/providers/{name}/offers", responses((status = 200, body = Offers)))]
async fn offers(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Offers>, Rejection> {
    Ok(Json(providers::offers(&ctx, &name).await?))
}

/// Lets a provider fetch the boot image, under the name that its desktops boot from.
#[utoipa::path(post, path = "/providers/{name}/isos", request_body = IsoWish, responses((status = 204)))]
async fn register_iso(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Json(wish): Json<IsoWish>,
) -> Result<StatusCode, Rejection> {
    providers::register_iso(&ctx, &name, &wish).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pools by name.
#[utoipa::path(get, path = "/provider-pools", responses((status = 200, body = Vec<Pool>)))]
async fn list_pools(State(ctx): State<Ctx>) -> Result<Json<Vec<Pool>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(providers::pools(&mut tx).await?))
}

/// A pool.
#[utoipa::path(get, path = "/provider-pools/{name}", responses((status = 200, body = Pool, headers(("ETag" = String, description = "Changes with it, for `If-Match`.")))))]
async fn show_pool(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let pool = providers::pool(&mut tx, &name).await?;
    Ok((tag::header(content::of(&pool)), Json(pool)))
}

/// Keeps a pool, whole.
#[utoipa::path(put, path = "/provider-pools/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the pool was changed since.")), request_body = Vec<PoolMember>, responses((status = 200, body = Pool)))]
async fn set_pool(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(members): Json<Vec<PoolMember>>,
) -> Result<Json<Pool>, Rejection> {
    let expected = tag::expected(&headers)?;
    Ok(Json(providers::set_pool(&ctx, &name, &members, expected.as_deref()).await?))
}

/// Removes a pool.
#[utoipa::path(delete, path = "/provider-pools/{name}", responses((status = 204)))]
async fn delete_pool(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    providers::delete_pool(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
