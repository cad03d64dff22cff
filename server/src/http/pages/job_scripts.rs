//! Job scripts: what each does, its rendered samples, its versions and what differs between them, a trial against a client, and an
//! editor for own versions.

mod edit;
mod look;

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        clients,
        job_scripts::{self, JobScript, JobScriptRow, Origin, Version},
    },
    catalog::Files,
    context::Ctx,
    domain::{client::is_name, people::Role},
};

/// Clients that can be chosen for a trial.
const CHOICES: i64 = 200;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/job-scripts", get(list))
        .route("/job-scripts/{name}", get(show))
        .route("/job-scripts/{name}/edit", get(edit::edit).post(edit::upload))
        .route("/job-scripts/{name}/version", post(choose))
        .route("/job-scripts/{name}/difference", get(look::difference))
        .route("/job-scripts/{name}/samples/{sample}", get(look::rendered))
        .route("/job-scripts/{name}/trial", get(look::trial))
}

fn may_change(visitor: &Visitor) -> bool {
    visitor.who.as_ref().is_some_and(|who| who.actor.role == Role::Admin)
}

/// A text in the visitor's language.
fn text(texts: &BTreeMap<String, String>, visitor: &Visitor) -> String {
    texts.get(visitor.language).or_else(|| texts.get("en")).cloned().unwrap_or_default()
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    scripts: Vec<RowView>,
    may_change: bool,
}

#[derive(Serialize)]
struct RowView {
    name: String,
    title: String,
    realm: &'static str,
    destructive: bool,
    origin: &'static str,
    version: i64,
    fault: String,
}

fn row_view(row: JobScriptRow, visitor: &Visitor) -> RowView {
    RowView {
        title: text(&row.title, visitor),
        realm: match row.realm {
            Some(wire::enrol::Realm::Installer) => "installer",
            Some(wire::enrol::Realm::System) => "system",
            _ => "any",
        },
        destructive: row.destructive,
        origin: match row.origin {
            Origin::Lotse => "lotse",
            Origin::Site => "site",
            Origin::Own => "own",
        },
        version: row.version,
        fault: row.fault.unwrap_or_default(),
        name: row.name,
    }
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    new: String,
}

/// The list; with the name of a new one, its editor.
async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(named): Query<Named>,
) -> Result<Response, Rejection> {
    let name = named.new.trim();
    if is_name(name) {
        return Ok(Redirect::to(&format!("/job-scripts/{name}/edit")).into_response());
    }
    let mut tx = ctx.db.read().await?;
    let scripts = job_scripts::list(&ctx, &mut tx).await?;
    let view = ListView {
        page: visitor.frame("/job-scripts"),
        scripts: scripts.into_iter().map(|row| row_view(row, &visitor)).collect(),
        may_change: may_change(&visitor),
    };
    Ok(page(&ctx, &visitor, "pages/job-scripts.html", &view)?.into_response())
}

#[derive(Serialize)]
struct ShowView {
    page: Frame,
    row: RowView,
    shown: i64,
    help: String,
    priority: i64,
    attempts: i64,
    after_s: i64,
    params: Vec<ParamView>,
    steps: Vec<StepView>,
    samples: Vec<String>,
    versions: Vec<VersionView>,
    files: Files,
    clients: Vec<String>,
    may_change: bool,
    may_try: bool,
    brought: bool,
}

#[derive(Serialize)]
struct ParamView {
    name: String,
    kind: String,
    required: bool,
    default: String,
    help: String,
}

#[derive(Serialize)]
struct StepView {
    id: String,
    title: String,
    kind: String,
    when: String,
    minutes: u32,
    source: String,
}

#[derive(Serialize)]
struct VersionView {
    number: i64,
    comment: String,
    at: Moment,
    by: String,
    used: bool,
}

#[derive(Default, Deserialize)]
struct Which {
    version: Option<i64>,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let script = job_scripts::show(&ctx, &mut tx, &name, which.version).await?;
    let clients = clients::with_disks(&mut tx, CHOICES).await?;
    let view = show_view(&ctx, &visitor, script, which.version, clients);
    page(&ctx, &visitor, "pages/job-script.html", &view)
}

fn show_view(
    ctx: &Ctx,
    visitor: &Visitor,
    script: JobScript,
    version: Option<i64>,
    clients: Vec<String>,
) -> ShowView {
    let JobScript { row, job_type, steps, versions, samples, files } = script;
    let word = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let params = job_type.params.iter().map(|(name, param)| ParamView {
        name: name.to_owned(),
        kind: serde_json::to_value(param.kind).as_ref().map(word).unwrap_or_default(),
        required: param.required,
        default: param.default.as_ref().map(word).unwrap_or_default(),
        help: text(&param.help, visitor),
    });
    let steps = steps.into_iter().map(|step| StepView {
        title: text(&step.title, visitor),
        id: step.id,
        kind: step.kind,
        when: step.when.unwrap_or_default(),
        minutes: step.timeout_s.div_ceil(60),
        source: step.source,
    });
    let used = row.version;
    let made = |version: Version| VersionView {
        used: version.number == used,
        number: version.number,
        comment: version.comment,
        at: Moment::new(version.created_at, ctx.now(), visitor.language),
        by: version.created_by,
    };
    ShowView {
        page: visitor.frame("/job-scripts"),
        shown: version.unwrap_or(used),
        help: text(&job_type.help, visitor),
        priority: job_type.priority,
        attempts: job_type.retry.attempts,
        after_s: job_type.retry.after_s,
        params: params.collect(),
        steps: steps.collect(),
        samples,
        versions: versions.into_iter().map(made).collect(),
        files,
        clients,
        may_change: may_change(visitor),
        may_try: visitor.who.as_ref().is_some_and(|who| who.actor.role >= Role::Operator),
        brought: ctx.catalog.brings(&job_type.name),
        row: row_view(row, visitor),
    }
}

#[derive(Deserialize)]
struct Choice {
    number: i64,
}

async fn choose(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(choice): Form<Choice>,
) -> Result<Redirect, Rejection> {
    job_scripts::choose(&ctx, &name, choice.number, None, visitor.name()).await?;
    // One that only existed by its own version is gone from the list then.
    let there = ctx.catalog.job_type(&name).is_some();
    Ok(Redirect::to(&if there { format!("/job-scripts/{name}") } else { "/job-scripts".to_owned() }))
}
