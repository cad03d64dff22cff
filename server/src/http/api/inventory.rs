//! Packages of clients: lists, history, comparisons; as JSON and CSV.

use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, reports::Format, reports::as_csv, view::Page};
use crate::{
    app::{
        Error,
        inventory::{self, Against, ClientPackages, Comparison, Only, PackageWish},
        reach::{self, About},
    },
    context::Ctx,
    domain::{inventory::PackageChange, people::Role},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(history)).routes(routes!(compare))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct PackagesQuery {
    /// A part of the name.
    #[serde(default)]
    name: String,
    /// Only some: `all`, `updates`, `security`, `held`, `manual` or `automatic`.
    #[serde(default)]
    #[param(inline)]
    only: Only,
    /// JSON or CSV.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// The packages of a client as its agent has told of them. With `format=csv` the answer is `text/csv`.
#[utoipa::path(get, path = "/clients/{name}/packages", params(PackagesQuery), responses((status = 200, content((ClientPackages = "application/json"), (String = "text/csv")))))]
async fn list(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<PackagesQuery>,
) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let wish = PackageWish { name: query.name, only: query.only };
    let found = inventory::of_client(&mut tx, &name, &wish).await?;
    Ok(match query.format {
        Format::Json => Json(found).into_response(),
        Format::Csv => as_csv(&inventory::table(&name, &found, ctx.now())),
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Only packages whose name holds this.
    #[serde(default)]
    package: String,
    /// Only what is older than this change; `next` of the page before.
    before: Option<i64>,
    /// At most so many, up to 1000.
    limit: Option<i64>,
}

/// What was installed, upgraded and removed on a client, the newest first, with the job that did it.
#[utoipa::path(get, path = "/clients/{name}/packages/history", params(HistoryQuery), responses((status = 200, body = Page<PackageChange>)))]
async fn history(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<PackageChange>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    let before = query.before.unwrap_or(i64::MAX);
    let mut tx = ctx.db.read().await?;
    let mut items = inventory::history(&mut tx, &name, &query.package, before, limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { items, next }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct CompareQuery {
    /// Another client; without it the client is compared with itself at `at`.
    with: Option<String>,
    /// A time, microseconds since the Unix epoch.
    at: Option<i64>,
    /// JSON or CSV.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// How the packages of a client differ from those of another one, or from its own at a time.
#[utoipa::path(get, path = "/clients/{name}/packages/comparison", params(CompareQuery), responses((status = 200, content((Comparison = "application/json"), (String = "text/csv")))))]
async fn compare(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Query(query): Query<CompareQuery>,
) -> Result<Response, Rejection> {
    let against = match (query.with, query.at) {
        (Some(other), None) => Against::Client(other),
        (None, Some(at)) => Against::Time(at),
        _ => {
            let remedy = "give either `with`, the name of another client, or `at`, a time";
            return Err(Error::invalid("it is not clear what the client is compared with", remedy).into());
        }
    };
    let mut tx = ctx.db.read().await?;
    if let Against::Client(other) = &against {
        reach::require(&mut tx, &actor.reach, About::Client(other), Role::Viewer).await?;
    }
    let found = inventory::compare(&mut tx, &name, &against).await?;
    Ok(match query.format {
        Format::Json => Json(found).into_response(),
        Format::Csv => as_csv(&inventory::comparison_table(&found, ctx.now())),
    })
}
