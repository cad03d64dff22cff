//! Installing a client: what will be written and destroyed is shown before it is.

use axum::{
    Form, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use wire::{ClientId, problem::Problem};

use super::{
    super::{
        super::problem,
        Rejection,
        frame::{Frame, Page, Visitor, page},
        words::{distribution_title, layout_title},
    },
    hardware::{PreviewView, preview_view},
};
use crate::{
    app::{clients, installation, layouts},
    context::Ctx,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/clients/{name}/install", get(form).post(install))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    distribution: String,
    layout: String,
    disks: Vec<PreviewView>,
    destroys: bool,
    known: bool,
    warnings: Vec<String>,
    problem: Option<Problem>,
    mistyped: bool,
}

async fn form(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    show(&ctx, &visitor, &name, false).await
}

async fn show(ctx: &Ctx, visitor: &Visitor, name: &str, mistyped: bool) -> Result<Page, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, name).await?
    };
    let layout = {
        let mut tx = ctx.db.read().await?;
        let all = layouts::list(ctx, &mut tx).await?;
        let named = all.iter().find(|layout| layout.name == client.config.layout);
        named.map_or(client.config.layout.clone(), |layout| layout_title(visitor.language, layout))
    };
    let known = client.facts.is_some();
    let previewed = if known { layouts::preview(ctx, name, None).await } else { Ok(Vec::new()) };
    let (disks, mut found) = match previewed {
        Ok(disks) => (disks, None),
        Err(error) => (Vec::new(), Some(problem::shown(error))),
    };
    let mut warnings = Vec::new();
    if found.is_none() {
        match installation::install(ctx, client.id, true, visitor.name()).await {
            Ok(planned) => warnings = planned.warnings,
            Err(error) => found = Some(problem::shown(error)),
        }
    }
    let view = View {
        page: visitor.frame("/clients"),
        name: name.to_owned(),
        distribution: distribution_title(ctx, visitor.language, &client.config.distribution),
        layout,
        destroys: disks.iter().any(|disk| !disk.destroyed.is_empty()),
        known,
        warnings,
        disks: disks.into_iter().map(preview_view).collect(),
        problem: found,
        mistyped,
    };
    page(ctx, visitor, "pages/install.html", &view)
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    confirmed: String,
}

async fn install(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(confirmation): Form<Confirmation>,
) -> Result<Response, Rejection> {
    let destroys = layouts::preview(&ctx, &name, None)
        .await
        .is_ok_and(|disks| disks.iter().any(|disk| !disk.destroyed.is_empty()));
    if destroys && confirmation.confirmed.trim() != name {
        return Ok(show(&ctx, &visitor, &name, true).await?.into_response());
    }
    let id: ClientId = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?.id
    };
    installation::install(&ctx, id, false, visitor.name()).await?;
    Ok(Redirect::to(&format!("/clients/{name}")).into_response())
}
