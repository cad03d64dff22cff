//! Layouts, distributions, job types, images and the files that they are made of.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::{Sha256, enrol::BlobRef};

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        Error,
        images::{self, BootIso, Build, ImageUse},
        layouts::{self, Draft, LayoutCheck, NamedLayout},
        tag as content,
    },
    blobs,
    catalog::{JobType, NamedDistribution},
    context::Ctx,
    domain::{image::Image, layout::Layout},
    http::extract::Json,
};

/// No image is larger.
const LARGEST_BLOB: u64 = 8 << 30;
/// A sender that is silent for so long has gone.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_layouts))
        .routes(routes!(show_layout, set_layout, delete_layout))
        .routes(routes!(check_layout))
        .routes(routes!(list_distributions))
        .routes(routes!(list_job_types))
        .routes(routes!(list_images, create_image))
        .routes(routes!(list_all_images))
        .routes(routes!(show_boot_iso))
        .routes(routes!(delete_image))
        .routes(routes!(list_builds, report_build))
}

/// Layouts by name.
#[utoipa::path(get, path = "/layouts", responses((status = 200, body = Vec<NamedLayout>)))]
async fn list_layouts(State(ctx): State<Ctx>) -> Result<Json<Vec<NamedLayout>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(layouts::list(&ctx, &mut tx).await?))
}

/// Keeps a layout; the body is its YAML text.
#[utoipa::path(put, path = "/layouts/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the layout was changed since.")), request_body = String, responses((status = 204)))]
async fn set_layout(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    yaml: String,
) -> Result<StatusCode, Rejection> {
    layouts::set_if(&ctx, &name, &yaml, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes an own layout.
#[utoipa::path(delete, path = "/layouts/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when the layout was changed since.")), responses((status = 204)))]
async fn delete_layout(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejection> {
    layouts::delete_if(&ctx, &name, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A layout with its YAML text.
#[utoipa::path(get, path = "/layouts/{name}", responses((status = 200, body = NamedLayout, headers(("ETag" = String, description = "Changes with its text, for `If-Match`.")))))]
async fn show_layout(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let layout = layouts::get(&ctx, &mut tx, &name).await?;
    Ok((tag::header(content::of(&layout)), Json(layout)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LayoutDraft {
    /// The text.
    #[serde(default)]
    yaml: Option<String>,
    /// Or the parts of a picture, as an earlier answer had them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    layout: Option<Box<Layout>>,
    /// Name of the client whose disks are meant; without one it is an example.
    #[serde(default)]
    client: Option<String>,
}

/// Checks what is to become a layout, and shows what it would do; nothing is kept.
#[utoipa::path(post, path = "/layout-checks", request_body = LayoutDraft, responses((status = 200, body = LayoutCheck)))]
async fn check_layout(
    State(ctx): State<Ctx>,
    Json(wanted): Json<LayoutDraft>,
) -> Result<Json<LayoutCheck>, Rejection> {
    let draft = match (wanted.yaml, wanted.layout) {
        (Some(yaml), None) => Draft::Yaml(yaml),
        (None, Some(layout)) => Draft::Layout(layout),
        _ => {
            let title = "a check needs exactly one of `yaml` and `layout`";
            return Err(Error::invalid(title, "leave one of them out").into());
        }
    };
    Ok(Json(layouts::check(&ctx, draft, wanted.client.as_deref()).await?))
}

/// Distributions by name.
#[utoipa::path(get, path = "/distributions", responses((status = 200, body = Vec<NamedDistribution>)))]
async fn list_distributions(State(ctx): State<Ctx>) -> Json<Vec<NamedDistribution>> {
    let all = ctx.catalog.distributions();
    Json(
        all.map(|(name, distribution)| NamedDistribution {
            name: name.to_owned(),
            distribution: distribution.clone(),
        })
        .collect(),
    )
}

#[derive(Serialize, ToSchema)]
struct JobTypeView {
    #[serde(flatten)]
    job_type: JobType,
    /// JSON Schema of the parameters.
    #[schema(value_type = Object)]
    params_schema: serde_json::Value,
}

/// Job types by name.
#[utoipa::path(get, path = "/job-types", responses((status = 200, body = Vec<JobTypeView>)))]
async fn list_job_types(State(ctx): State<Ctx>) -> Json<Vec<JobTypeView>> {
    let view = |job_type: &JobType| JobTypeView {
        params_schema: job_type.params.json_schema(),
        job_type: job_type.clone(),
    };
    Json(ctx.catalog.job_types().map(|job_type| view(&job_type)).collect())
}

/// The newest image of each name.
#[utoipa::path(get, path = "/images", responses((status = 200, body = Vec<Image>)))]
async fn list_images(State(ctx): State<Ctx>) -> Result<Json<Vec<Image>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(images::list(&mut tx).await?))
}

/// The boot ISO that knows no server, as a cloud is told to fetch it.
#[utoipa::path(get, path = "/boot-iso", responses((status = 200, body = BootIso)))]
async fn show_boot_iso(State(ctx): State<Ctx>) -> Result<Json<BootIso>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(images::boot_iso(&ctx, &mut tx).await?))
}

/// All images, older ones too, with what uses them.
#[utoipa::path(get, path = "/image-uses", responses((status = 200, body = Vec<ImageUse>)))]
async fn list_all_images(State(ctx): State<Ctx>) -> Result<Json<Vec<ImageUse>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(images::used(&mut tx).await?))
}

/// Removes an image that nobody needs, with its files.
#[utoipa::path(delete, path = "/images/{id}", responses((status = 204)))]
async fn delete_image(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    images::delete(&ctx, id, &actor.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Builds that run or have just failed, by the words of those who build.
#[utoipa::path(get, path = "/image-builds", responses((status = 200, body = Vec<Build>)))]
async fn list_builds(State(ctx): State<Ctx>) -> Json<Vec<Build>> {
    Json(ctx.builds.list(ctx.now()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BuildReport {
    /// Name of the image.
    name: String,
    /// How far it is, 0 to 100; at 100 it is over.
    #[schema(maximum = 100)]
    percent: u8,
    /// What is being done.
    #[serde(default)]
    message: String,
    /// It has failed.
    #[serde(default)]
    failed: bool,
}

/// Tells how far a build is that runs where `lotse image build` was called.
#[utoipa::path(post, path = "/image-builds", request_body = BuildReport, responses((status = 204)))]
async fn report_build(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(told): Json<BuildReport>,
) -> Result<StatusCode, Rejection> {
    images::report(&ctx, &told.name, told.percent, &told.message, told.failed, &actor.name)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewImage {
    /// Its name.
    name: String,
    /// Hash of everything that it was made from.
    recipe: Sha256,
    /// Its files, stored before.
    parts: BTreeMap<String, BlobRef>,
    /// Version of what it holds, where that has one.
    #[serde(default)]
    version: String,
}

/// Keeps an image whose files were sent before; it is the one to use from now on.
#[utoipa::path(post, path = "/images", request_body = NewImage, responses((status = 201, body = Image)))]
async fn create_image(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(new): Json<NewImage>,
) -> Result<(StatusCode, Json<Image>), Rejection> {
    let NewImage { name, recipe, parts, version } = new;
    let image = Image { id: 0, name, recipe, parts, built_at: 0, version };
    Ok((StatusCode::CREATED, Json(images::create(&ctx, image, &actor.name).await?)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct BlobQuery {
    /// Store it only when it has this hash.
    sha256: Option<Sha256>,
}

/// Stores a file under its hash.
#[utoipa::path(post, path = "/blobs", params(BlobQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = BlobRef)))]
pub(super) async fn create_blob(
    State(ctx): State<Ctx>,
    Query(query): Query<BlobQuery>,
    body: Body,
) -> Result<(StatusCode, Json<BlobRef>), Rejection> {
    let limited = http_body_util::Limited::new(body, usize::try_from(LARGEST_BLOB).unwrap_or(usize::MAX));
    let content = http_body_util::BodyDataStream::new(limited);
    // A sender that went away without a word must not hold its half of a file for ever.
    let content = content.timeout(LONGEST_PAUSE).map(|chunk| match chunk {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(error),
        Err(elapsed) => Err(Box::new(elapsed).into()),
    });
    let content = std::pin::pin!(content);
    let blob = ctx.blobs.store(content, query.sha256.as_ref()).await.map_err(|error| match error {
        blobs::Error::Mismatch { .. } => Error::conflict(error.to_string(), "send the file again"),
        blobs::Error::Receive(_) => {
            Error::invalid("the file did not arrive whole; nothing was stored", "send it again")
        }
        blobs::Error::Io { .. } => Error::Unavailable {
            title: format!("the file could not be stored: {:#}", anyhow::Error::from(error)),
            remedy: "look for free space in the server's data directory".to_owned(),
        },
    })?;
    images::stored(&ctx, &blob).await?;
    Ok((StatusCode::CREATED, Json(blob)))
}
