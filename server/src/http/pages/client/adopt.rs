//! Adopting a discovered machine: its key is accepted, it gets a name and a configuration.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use wire::problem::{FieldProblem, Problem};

use super::super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    machine_form::{FormView, MachineForm},
    words,
};
use crate::{
    app::{
        clients::{self, ClientChange},
        presets,
    },
    context::Ctx,
    domain::client::ClientConfig,
    planner::storage::hardware,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/clients/{name}/adopt", get(form).post(adopt))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    fingerprint: String,
    hardware: String,
    fields: FormView,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct With {
    preset: String,
}

async fn form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(with): Query<With>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let form = if with.preset.is_empty() {
        if client.config == ClientConfig::default() {
            MachineForm::fresh(visitor.language)
        } else {
            MachineForm::of(&client.config)
        }
    } else {
        let preset = presets::get(&mut tx, &with.preset).await?;
        MachineForm { group: preset.groups.join(" "), preset: preset.name, ..MachineForm::of(&preset.config) }
    };
    drop(tx);
    let named = if client.name.starts_with("new-") { String::new() } else { client.name };
    show(&ctx, &visitor, &name, MachineForm { name: named, ..form }, &[], None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: MachineForm,
    faults: &[FieldProblem],
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, name).await?
    };
    let view = View {
        page: visitor.frame("/discovered"),
        name: name.to_owned(),
        fingerprint: client.announced_key.as_ref().map(words::grouped).unwrap_or_default(),
        hardware: client.facts.as_ref().map(hardware).unwrap_or_default(),
        fields: FormView::new(ctx, visitor.language, form, faults, problem).await?,
    };
    page(ctx, visitor, "pages/adopt.html", &view)
}

async fn adopt(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<MachineForm>,
) -> Result<Response, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?
    };
    // Adopting is accepting this very key; without having compared it nobody can say so.
    if form.compared.is_empty() {
        let message = "compare the fingerprint first".to_owned();
        let fault = FieldProblem { field: "compared".to_owned(), message };
        return Ok(show(&ctx, &visitor, &name, form, &[fault], None).await?.into_response());
    }
    let config = match form.config(&client.config) {
        Ok(config) => config,
        Err(faults) => return Ok(show(&ctx, &visitor, &name, form, &faults, None).await?.into_response()),
    };
    let groups = form.groups();
    if !groups.is_empty() {
        super::edit::may_enter(&ctx, &visitor, &name, &groups).await?;
    }
    let change = ClientChange {
        name: Some(form.name.trim().to_owned()),
        config: Some(config),
        groups: (!groups.is_empty()).then_some(groups),
        passwords: form.passwords(),
        fingerprint: client.announced_key,
    };
    match clients::adopt(&ctx, &name, &change, visitor.name()).await {
        Ok(name) => Ok(Redirect::to(&format!("/clients/{name}/install")).into_response()),
        Err(error) => {
            let (faults, problem) = problem::of_typed(error)?;
            Ok(show(&ctx, &visitor, &name, form, &faults, problem).await?.into_response())
        }
    }
}
