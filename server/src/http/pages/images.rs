//! Images: what is there, what needs it, what is being built, and how to build what is missing.

use axum::{
    Router,
    extract::{Path, State},
    response::Redirect,
    routing::{get, post},
};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::images::{self, ImageUse},
    context::Ctx,
    domain::{layout::size::human, people::Role},
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/images", get(show)).route("/images/{id}/delete", post(delete))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    images: Vec<Row>,
    missing: Vec<String>,
    builds: Vec<BuildView>,
    may_change: bool,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    name: String,
    recipe: String,
    size: String,
    parts: Vec<(String, String)>,
    built: Moment,
    current: bool,
    clients: i64,
    jobs: i64,
    deletable: bool,
}

#[derive(Serialize)]
struct BuildView {
    name: String,
    percent: u8,
    message: String,
    failed: bool,
    at: Moment,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let all = {
        let mut tx = ctx.db.read().await?;
        images::used(&mut tx).await?
    };
    let missing = images::buildable(&ctx)
        .into_iter()
        .filter(|name| !all.iter().any(|used| used.image.name == *name))
        .collect();
    let row = |used: ImageUse| Row {
        id: used.image.id,
        recipe: used.image.recipe.as_str()[..12].to_owned(),
        size: human(used.image.parts.values().map(|blob| blob.size_bytes).sum()),
        parts: used.image.parts.iter().map(|(part, blob)| (part.clone(), human(blob.size_bytes))).collect(),
        built: moment(used.image.built_at),
        current: used.current,
        clients: used.clients,
        jobs: used.jobs,
        deletable: used.needed.is_none(),
        name: used.image.name,
    };
    let builds = ctx.builds.list(now).into_iter().map(|build| BuildView {
        name: build.name,
        percent: build.percent,
        message: build.message,
        failed: build.failed,
        at: moment(build.at),
    });
    let view = View {
        page: visitor.frame("/images"),
        images: all.into_iter().map(row).collect(),
        missing,
        builds: builds.collect(),
        may_change: visitor.who.as_ref().is_some_and(|who| who.actor.role == Role::Admin),
    };
    page(&ctx, &visitor, "pages/images.html", &view)
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Redirect, Rejection> {
    images::delete(&ctx, id, visitor.name()).await?;
    Ok(Redirect::to("/images"))
}
