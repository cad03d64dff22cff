//! The package cache as JSON.

use axum::extract::{Query, State};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::cache::{self, CacheStatus, CachedFile, CleanWish, Cleaned, FetchWish, FetchedFile},
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(files))
        .routes(routes!(clean))
        .routes(routes!(fetch))
}

/// How the package cache of this server and its mirrors are.
#[utoipa::path(get, path = "/cache", responses((status = 200, body = CacheStatus)))]
async fn status(State(ctx): State<Ctx>) -> Json<CacheStatus> {
    Json(cache::status(&ctx))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct FilesQuery {
    /// Only files with this in mirror or path.
    contains: Option<String>,
    /// At most so many; up to 1000.
    limit: Option<usize>,
}

/// Stored files, the last used first.
#[utoipa::path(get, path = "/cache/files", params(FilesQuery), responses((status = 200, body = Vec<CachedFile>)))]
async fn files(State(ctx): State<Ctx>, Query(query): Query<FilesQuery>) -> Json<Vec<CachedFile>> {
    let (files, _) = cache::files(&ctx, &query.contains.unwrap_or_default(), query.limit.unwrap_or(100));
    Json(files)
}

/// Removes files that nobody reads; clients that want one get it from the mirror again.
#[utoipa::path(post, path = "/cache/clean", request_body = CleanWish, responses((status = 200, body = Cleaned)))]
async fn clean(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(wish): Json<CleanWish>,
) -> Result<Json<Cleaned>, Rejection> {
    Ok(Json(cache::clean(&ctx, &wish, &actor.name).await?))
}

/// Fetches a file before a client asks for it; answers when it begins to come.
#[utoipa::path(post, path = "/cache/fetch", request_body = FetchWish, responses((status = 200, body = FetchedFile)))]
async fn fetch(State(ctx): State<Ctx>, Json(wish): Json<FetchWish>) -> Result<Json<FetchedFile>, Rejection> {
    Ok(Json(cache::fetch(&ctx, &wish).await?))
}
