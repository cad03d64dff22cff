//! Job scripts: read, upload, compare, try, go back.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::plan::Plan;

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        Error,
        job_scripts::{self, JobScript, JobScriptRow, Wanted},
        tag as content,
    },
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(upload))
        .routes(routes!(choose))
        .routes(routes!(difference))
        .routes(routes!(sample))
        .routes(routes!(render))
}

/// Job scripts by name.
#[utoipa::path(get, path = "/job-scripts", responses((status = 200, body = Vec<JobScriptRow>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<JobScriptRow>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(job_scripts::list(&ctx, &mut tx).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct VersionQuery {
    /// Number of a version, 0 for the one that is brought; without it the one that is used.
    version: Option<i64>,
}

/// A job script with its files, steps and versions.
#[utoipa::path(get, path = "/job-scripts/{name}", params(VersionQuery), responses((status = 200, body = JobScript, headers(("ETag" = String, description = "Changes with its versions, for `If-Match`.")))))]
async fn show(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = job_scripts::show(&ctx, &mut tx, &name, query.version).await?;
    let state = job_scripts::state(&mut tx, &name).await?;
    Ok((tag::header(content::of(&state)), Json(found)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewVersion {
    /// Path and content of every file.
    files: BTreeMap<String, String>,
    /// What is different.
    #[serde(default)]
    comment: String,
    /// The newest number that the uploader knows; refused when there is a newer one. 0: there was none.
    #[serde(default)]
    base: Option<i64>,
    /// Only check, keep nothing.
    #[serde(default)]
    check: bool,
}

#[derive(Serialize, ToSchema)]
struct Uploaded {
    /// Its number; absent when it was only checked.
    version: Option<i64>,
}

/// Keeps files as the newest version, which is used from now on; nothing is overwritten, and plans that are made stay.
#[utoipa::path(post, path = "/job-scripts/{name}/versions", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when there are other versions since.")), request_body = NewVersion, responses((status = 201, body = Uploaded), (status = 200, body = Uploaded)))]
async fn upload(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(new): Json<NewVersion>,
) -> Result<(StatusCode, Json<Uploaded>), Rejection> {
    if new.check {
        job_scripts::check(&ctx, &name, &new.files)?;
        return Ok((StatusCode::OK, Json(Uploaded { version: None })));
    }
    let expected = tag::expected(&headers)?;
    let (comment, base) = (&new.comment, new.base);
    let version =
        job_scripts::upload(&ctx, &name, &new.files, comment, base, expected.as_deref(), &actor.name).await?;
    Ok((StatusCode::CREATED, Json(Uploaded { version: Some(version) })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Choice {
    /// Number of the version; 0 for the one that is brought.
    version: i64,
}

/// Lets another version count from now on.
#[utoipa::path(put, path = "/job-scripts/{name}/version", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when there are other versions since.")), request_body = Choice, responses((status = 204)))]
async fn choose(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(choice): Json<Choice>,
) -> Result<StatusCode, Rejection> {
    let expected = tag::expected(&headers)?;
    job_scripts::choose(&ctx, &name, choice.version, expected.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DifferenceQuery {
    /// The older version; 0 for the one that is brought.
    from: i64,
    /// The newer version.
    to: i64,
}

/// What is different from one version to another, as unified difference.
#[utoipa::path(get, path = "/job-scripts/{name}/difference", params(DifferenceQuery), responses((status = 200, body = String)))]
async fn difference(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<DifferenceQuery>,
) -> Result<String, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(job_scripts::difference(&ctx, &mut tx, &name, query.from, query.to).await?)
}

/// A sample as it is rendered: the plan, and every script and file in it.
#[utoipa::path(get, path = "/job-scripts/{name}/samples/{sample}", params(VersionQuery), responses((status = 200, body = BTreeMap<String, String>)))]
async fn sample(
    State(ctx): State<Ctx>,
    Path((name, sample)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<BTreeMap<String, String>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    let number = query.version.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0);
    Ok(Json(job_scripts::render_sample(&ctx, &mut tx, &name, number, &sample).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// Name of the client.
    client: String,
    /// Parameters of the job.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Value,
    /// Number of a version.
    #[serde(default)]
    version: Option<i64>,
    /// Or files that nobody has uploaded.
    #[serde(default)]
    files: Option<BTreeMap<String, String>>,
}

/// The plan that would come out for a client; nothing is stored or carried out.
#[utoipa::path(post, path = "/job-scripts/{name}/render", request_body = Trial, responses((status = 200, body = Plan)))]
async fn render(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Json(trial): Json<Trial>,
) -> Result<Json<Plan>, Rejection> {
    let wanted = match (trial.version, trial.files) {
        (None, None) => Wanted::Used,
        (Some(number), None) => Wanted::Version(number),
        (None, Some(files)) => Wanted::Files(files),
        (Some(_), Some(_)) => {
            let title = "a trial is either of a `version` or of `files`";
            return Err(Error::invalid(title, "leave one of them out").into());
        }
    };
    Ok(Json(job_scripts::dry_run(&ctx, &name, wanted, &trial.client, &trial.params).await?))
}
