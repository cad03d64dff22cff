//! Source lists, looking for packages, and own repositories.

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::JobId;

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        package_search::{self, FoundPackages, SearchWish},
        reach::{self, About},
        repositories::{
            self, NewRepository, OwnRepository, RepositoryKey, RepositoryPackage, RollBack, SuiteState,
            Taking,
        },
        source_lists::{self, ListUsers, Receiver, SourceCheck, SourceList},
        tag as content,
    },
    context::Ctx,
    domain::{package_build::PackageBuild, people::Role, source_list::ListWish},
    http::{
        extract::Json,
        sent::{LARGEST_PACKAGE, sent},
    },
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, set, delete))
        .routes(routes!(check))
        .routes(routes!(refresh))
        .routes(routes!(give_group, take_group))
        .routes(routes!(give_client, take_client))
        .routes(routes!(search))
        .routes(routes!(key))
        .routes(routes!(list_repositories, create_repository))
        .routes(routes!(show_repository, delete_repository))
        .routes(routes!(packages))
        .routes(routes!(remove_package))
        .routes(routes!(take))
        .routes(routes!(states))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
}

/// Source lists by name: own ones, those of distributions, and those of own repositories.
#[utoipa::path(get, path = "/source-lists", responses((status = 200, body = Vec<SourceList>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<SourceList>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(source_lists::list(&ctx, &mut tx).await?))
}

/// A source list, and who has it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct SourceListView {
    /// The list.
    #[serde(flatten)]
    pub list: SourceList,
    /// Who has it beside the clients of its distribution.
    pub users: ListUsers,
}

/// A source list.
#[utoipa::path(get, path = "/source-lists/{name}", responses((status = 200, body = SourceListView, headers(("ETag" = String, description = "Changes with what is in it, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    view(&ctx, &name).await
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let list = source_lists::get(ctx, &mut tx, name).await?;
    let users = source_lists::users(&mut tx, name).await?;
    Ok((tag::header(content::of(&list.wish)), Json(SourceListView { list, users })).into_response())
}

/// Keeps a source list, once its archives have said for every suite what they must.
#[utoipa::path(put, path = "/source-lists/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the list was changed since.")), request_body = ListWish, responses((status = 200, body = SourceListView)))]
async fn set(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wish): Json<ListWish>,
) -> Result<Response, Rejection> {
    let expected = tag::expected(&headers)?;
    source_lists::set(&ctx, &name, &wish, expected.as_deref(), &actor.name).await?;
    view(&ctx, &name).await
}

/// Removes an own source list.
#[utoipa::path(delete, path = "/source-lists/{name}", responses((status = 204)))]
async fn delete(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    source_lists::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the archives of what is to become a source list; nothing is kept.
#[utoipa::path(post, path = "/source-list-checks", request_body = ListWish, responses((status = 200, body = Vec<SourceCheck>)))]
async fn check(
    State(ctx): State<Ctx>,
    Json(wish): Json<ListWish>,
) -> Result<Json<Vec<SourceCheck>>, Rejection> {
    Ok(Json(source_lists::check(&ctx, &wish).await?))
}

/// Lets the archives of a list be asked whether they offer something newer; what they say is read in the background.
#[utoipa::path(post, path = "/source-lists/{name}/refresh", responses((status = 204)))]
async fn refresh(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    package_search::ask_again(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give(
    ctx: &Ctx,
    name: &str,
    to: Receiver<'_>,
    given: bool,
    actor: &str,
) -> Result<StatusCode, Rejection> {
    source_lists::give(ctx, name, to, given, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a list to all members of a group, also later ones.
#[utoipa::path(put, path = "/source-lists/{name}/groups/{group}", responses((status = 204)))]
async fn give_group(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, group)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    give(&ctx, &name, Receiver::Group(&group), true, &actor.name).await
}

/// Takes a list from a group.
#[utoipa::path(delete, path = "/source-lists/{name}/groups/{group}", responses((status = 204)))]
async fn take_group(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, group)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    give(&ctx, &name, Receiver::Group(&group), false, &actor.name).await
}

/// Gives a list to a client.
#[utoipa::path(put, path = "/source-lists/{name}/clients/{client}", responses((status = 204)))]
async fn give_client(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, client)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    give(&ctx, &name, Receiver::Client(&client), true, &actor.name).await
}

/// Takes a list from a client.
#[utoipa::path(delete, path = "/source-lists/{name}/clients/{client}", responses((status = 204)))]
async fn take_client(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, client)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    give(&ctx, &name, Receiver::Client(&client), false, &actor.name).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Words that name or description must have in them; without any, only the indices are told.
    #[serde(default)]
    q: String,
    /// In this source list only.
    list: Option<String>,
    /// In the source lists of this client only.
    client: Option<String>,
    /// At most so many; up to 500.
    limit: Option<i64>,
}

/// Looks for packages in what archives offer: in a source list, in those of a client, or in everything that was read. An index that was not read yet is, then.
#[utoipa::path(get, path = "/package-search", params(SearchQuery), responses((status = 200, body = FoundPackages)))]
async fn search(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Query(query): Query<SearchQuery>,
) -> Result<Json<FoundPackages>, Rejection> {
    if let Some(client) = &query.client {
        let mut tx = ctx.db.read().await?;
        reach::require(&mut tx, &actor.reach, About::Client(client), Role::Viewer).await?;
    }
    let SearchQuery { q: words, list, client, limit } = query;
    let wish = SearchWish { words, list, client, limit: limit.unwrap_or(50) };
    Ok(Json(package_search::search(&ctx, &wish).await?))
}

/// The key that own repositories are signed with.
#[utoipa::path(get, path = "/repository-key", responses((status = 200, body = RepositoryKey)))]
async fn key(State(ctx): State<Ctx>) -> Result<Json<RepositoryKey>, Rejection> {
    Ok(Json(repositories::key(&ctx).await?))
}

/// Own repositories by name.
#[utoipa::path(get, path = "/repositories", responses((status = 200, body = Vec<OwnRepository>)))]
async fn list_repositories(State(ctx): State<Ctx>) -> Result<Json<Vec<OwnRepository>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(repositories::list(&mut tx).await?))
}

/// Makes a repository.
#[utoipa::path(post, path = "/repositories", request_body = NewRepository, responses((status = 201, body = OwnRepository)))]
async fn create_repository(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(wish): Json<NewRepository>,
) -> Result<(StatusCode, Json<OwnRepository>), Rejection> {
    repositories::create(&ctx, &wish, &actor.name).await?;
    let mut tx = ctx.db.read().await?;
    Ok((StatusCode::CREATED, Json(repositories::show(&mut tx, &wish.name).await?)))
}

/// A repository.
#[utoipa::path(get, path = "/repositories/{name}", responses((status = 200, body = OwnRepository)))]
async fn show_repository(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<OwnRepository>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(repositories::show(&mut tx, &name).await?))
}

/// Removes a repository with its packages.
#[utoipa::path(delete, path = "/repositories/{name}", responses((status = 204)))]
async fn delete_repository(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    repositories::delete(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The packages of a repository, with the suites that have them.
#[utoipa::path(get, path = "/repositories/{name}/packages", responses((status = 200, body = Vec<RepositoryPackage>)))]
async fn packages(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<Vec<RepositoryPackage>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(repositories::packages(&mut tx, &name).await?))
}

/// Takes a package, the body, into the suite testing of a repository. The same again is fine.
#[utoipa::path(post, path = "/repositories/{name}/packages", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = RepositoryPackage)))]
pub(super) async fn upload_package(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<RepositoryPackage>), Rejection> {
    let content = std::pin::pin!(sent(body, LARGEST_PACKAGE));
    let package = repositories::upload(&ctx, &name, content, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(package)))
}

/// Makes a package of an archive of files, the body, and takes it into the suite testing of a repository. Files are at the paths that the
/// archive has them at; those under `/etc` are configuration. The same files with the same words are the same package.
#[utoipa::path(post, path = "/repositories/{name}/builds", params(PackageBuild), request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A tar archive, plain or packed by gzip, xz or zstd, or a ZIP archive."), responses((status = 201, body = RepositoryPackage)))]
pub(super) async fn build_package(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Query(wanted): Query<PackageBuild>,
    body: Body,
) -> Result<(StatusCode, Json<RepositoryPackage>), Rejection> {
    let content = std::pin::pin!(sent(body, LARGEST_PACKAGE));
    let package = repositories::build(&ctx, &name, &wanted, content, &actor.name).await?;
    Ok((StatusCode::CREATED, Json(package)))
}

/// Takes packages that are installed on a client: queues the job that sends them, and gives its number. They are in testing as they come.
#[utoipa::path(post, path = "/repositories/{name}/takings", request_body = Taking, responses((status = 201, body = JobId)))]
async fn take(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(wish): Json<Taking>,
) -> Result<(StatusCode, Json<JobId>), Rejection> {
    Ok((StatusCode::CREATED, Json(repositories::take(&ctx, &name, &wish, &actor.name).await?)))
}

/// Takes a package out of testing.
#[utoipa::path(delete, path = "/repositories/{name}/packages/{id}", responses((status = 204)))]
async fn remove_package(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path((name, id)): Path<(String, i64)>,
) -> Result<StatusCode, Rejection> {
    repositories::remove(&ctx, &name, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The states of both suites, the newest first.
#[utoipa::path(get, path = "/repositories/{name}/states", responses((status = 200, body = Vec<SuiteState>)))]
async fn states(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<Json<Vec<SuiteState>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(repositories::states(&mut tx, &name).await?))
}

/// Lets production have what testing has.
#[utoipa::path(post, path = "/repositories/{name}/promote", responses((status = 204)))]
async fn promote(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<StatusCode, Rejection> {
    repositories::promote(&ctx, &name, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suite have the packages of an earlier state again.
#[utoipa::path(post, path = "/repositories/{name}/roll-back", request_body = RollBack, responses((status = 204)))]
async fn roll_back(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Json(wish): Json<RollBack>,
) -> Result<StatusCode, Rejection> {
    repositories::roll_back(&ctx, &name, &wish, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
