//! Clients as they are wanted: a new one, one that is changed, and presets for new ones.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::{FieldProblem, Problem};

use super::super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    machine_form::{FormView, MachineForm},
};
use crate::{
    app::{
        Error,
        clients::{self, ClientChange, NewClient},
        presets::{self, Preset},
        reach,
    },
    context::Ctx,
    domain::{client::ClientConfig, people::Role},
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/add-client", get(add_form).post(add))
        .route("/clients/{name}/edit", get(edit_form).post(edit))
        .route("/presets/{name}/delete", post(delete_preset))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    /// The client that is changed; empty for a new one.
    name: String,
    fields: FormView,
    kept: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct With {
    preset: String,
    kept: String,
}

async fn add_form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(with): Query<With>,
) -> Result<Page, Rejection> {
    let form = if with.preset.is_empty() {
        MachineForm::fresh(visitor.language)
    } else {
        let mut tx = ctx.db.read().await?;
        let preset = presets::get(&mut tx, &with.preset).await?;
        MachineForm { group: preset.groups.join(" "), preset: preset.name, ..MachineForm::of(&preset.config) }
    };
    show(&ctx, &visitor, "", form, &[], None, with.kept).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: MachineForm,
    faults: &[FieldProblem],
    problem: Option<Problem>,
    kept: String,
) -> Result<Page, Rejection> {
    let fields = FormView::new(ctx, visitor.language, form, faults, problem).await?;
    let view = View { page: visitor.frame("/clients"), name: name.to_owned(), fields, kept };
    page(ctx, visitor, "pages/edit_client.html", &view)
}

/// The form again with what is wrong, or the error when it is not about what was typed.
async fn again(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: MachineForm,
    error: Error,
) -> Result<Response, Rejection> {
    let (faults, problem) = problem::of_typed(error)?;
    Ok(show(ctx, visitor, name, form, &faults, problem, String::new()).await?.into_response())
}

async fn add(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<MachineForm>,
) -> Result<Response, Rejection> {
    let read = form.config(&ClientConfig::default()).and_then(|config| Ok((config, form.macs()?)));
    let (config, macs) = match read {
        Ok(read) => read,
        Err(faults) => return again(&ctx, &visitor, "", form, Error::fields("", faults)).await,
    };
    if form.then == "preset" {
        let preset = Preset { name: form.preset.trim().to_owned(), config, groups: form.groups() };
        return match presets::set(&ctx, &preset, None, visitor.name()).await {
            Ok(()) => {
                let to = format!("/add-client?preset={}&kept={}", preset.name, preset.name);
                Ok(Redirect::to(&to).into_response())
            }
            Err(error) => again(&ctx, &visitor, "", form, error).await,
        };
    }
    let enrols = form.then == "enrol";
    if macs.is_empty() && !enrols {
        let message = "is needed to know the machine when it boots".to_owned();
        let fault = FieldProblem { field: "mac".to_owned(), message };
        return again(&ctx, &visitor, "", form, Error::fields("", vec![fault])).await;
    }
    let name = form.name.trim().to_owned();
    let new =
        NewClient { name: name.clone(), macs, config, groups: form.groups(), passwords: form.passwords() };
    match clients::create(&ctx, &new, visitor.name()).await {
        Ok(_) if enrols => Ok(Redirect::to(&format!("/clients/{name}/do/enrol")).into_response()),
        Ok(_) => Ok(Redirect::to(&format!("/clients/{name}/install")).into_response()),
        Err(error) => again(&ctx, &visitor, "", form, error).await,
    }
}

async fn edit_form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let version = client.version.to_string();
    let form = MachineForm::of(&client.config);
    let standing = clients::standing(&ctx, &mut tx, client).await?;
    drop(tx);
    let form = MachineForm { name: name.clone(), group: standing.groups.join(" "), version, ..form };
    show(&ctx, &visitor, &name, form, &[], None, String::new()).await
}

async fn edit(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<MachineForm>,
) -> Result<Response, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?
    };
    let config = match form.config(&client.config) {
        Ok(config) => config,
        Err(faults) => return again(&ctx, &visitor, &name, form, Error::fields("", faults)).await,
    };
    let wanted = form.name.trim().to_owned();
    let change = ClientChange {
        name: Some(wanted.clone()),
        config: Some(config),
        groups: Some(form.groups()),
        passwords: form.passwords(),
        fingerprint: None,
    };
    may_enter(&ctx, &visitor, &name, &form.groups()).await?;
    let expected = form.version.parse().ok();
    match clients::update(&ctx, &name, &change, expected, visitor.name()).await {
        Ok(()) => Ok(Redirect::to(&format!("/clients/{wanted}")).into_response()),
        Err(error) => again(&ctx, &visitor, &name, form, error).await,
    }
}

/// Refuses groups in which whoever asks has nothing to say.
pub(super) async fn may_enter(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    groups: &[String],
) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    reach::require_groups(&mut tx, &visitor.actor()?.reach, name, groups, Role::Operator).await
}

async fn delete_preset(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    presets::delete(&ctx, &name, None, visitor.name()).await?;
    Ok(Redirect::to("/add-client"))
}
