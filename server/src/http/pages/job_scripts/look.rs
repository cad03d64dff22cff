//! What a job script comes to: its versions compared, its samples rendered, its plan for a client.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        Rejection,
        frame::{Frame, Page, Visitor, page},
    },
    CHOICES, Which,
};
use crate::{
    app::{
        Error, clients,
        job_scripts::{self, Wanted},
    },
    context::Ctx,
    planner::sample,
};

#[derive(Deserialize)]
pub(super) struct Pair {
    #[serde(default)]
    from: i64,
    /// Without it the one that is used.
    to: Option<i64>,
}

#[derive(Serialize)]
struct DifferenceView {
    page: Frame,
    name: String,
    from: i64,
    to: i64,
    lines: Vec<(&'static str, String)>,
}

/// Lines of a unified difference with what each is.
pub(super) fn marked(text: &str) -> Vec<(&'static str, String)> {
    let kind = |line: &str| match line {
        _ if line.starts_with("---") || line.starts_with("+++") => "file",
        _ if line.starts_with("@@") => "place",
        _ if line.starts_with('+') => "new",
        _ if line.starts_with('-') => "old",
        _ => "",
    };
    text.lines().map(|line| (kind(line), line.to_owned())).collect()
}

pub(super) async fn difference(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(pair): Query<Pair>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let to = pair.to.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0);
    let text = job_scripts::difference(&ctx, &mut tx, &name, pair.from, to).await?;
    let view = DifferenceView {
        page: visitor.frame("/job-scripts"),
        name,
        from: pair.from,
        to,
        lines: marked(&text),
    };
    page(&ctx, &visitor, "pages/job-script-difference.html", &view)
}

#[derive(Serialize)]
struct RenderedView {
    page: Frame,
    name: String,
    title: String,
    sample: String,
    client: String,
    params: String,
    clients: Vec<String>,
    version: i64,
    files: BTreeMap<String, String>,
    problem: Option<wire::problem::Problem>,
}

pub(super) async fn rendered(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, sample)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let version = which.version.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0);
    let files = job_scripts::render_sample(&ctx, &mut tx, &name, version, &sample).await?;
    let view = RenderedView {
        page: visitor.frame("/job-scripts"),
        title: sample.clone(),
        name,
        sample,
        client: String::new(),
        params: String::new(),
        clients: Vec::new(),
        version,
        files,
        problem: None,
    };
    page(&ctx, &visitor, "pages/job-script-rendered.html", &view)
}

#[derive(Default, Deserialize)]
pub(super) struct Trial {
    #[serde(default)]
    client: String,
    #[serde(default)]
    params: String,
    version: Option<i64>,
}

pub(super) async fn trial(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(trial): Query<Trial>,
) -> Result<Page, Rejection> {
    let wanted = trial.version.map_or(Wanted::Used, Wanted::Version);
    let params = if trial.params.trim().is_empty() { "{}" } else { trial.params.trim() };
    let (files, problem) = match serde_json::from_str::<Value>(params) {
        // Nobody was chosen yet.
        _ if trial.client.trim().is_empty() => (BTreeMap::new(), None),
        Err(error) => {
            let remedy = "write it like {\"packages\": [\"hello\"]}";
            (
                BTreeMap::new(),
                Some(as_problem(Error::invalid(format!("the parameters are not JSON: {error}"), remedy))),
            )
        }
        Ok(params) => match job_scripts::dry_run(&ctx, &name, wanted, trial.client.trim(), &params).await {
            Ok(plan) => (sample::as_files(&plan).map_err(|error| Error::Internal(error.into()))?, None),
            Err(Error::Internal(error)) => return Err(Error::Internal(error).into()),
            Err(error) => (BTreeMap::new(), Some(as_problem(error))),
        },
    };
    let mut tx = ctx.db.read().await?;
    let view = RenderedView {
        page: visitor.frame("/job-scripts"),
        title: trial.client.clone(),
        version: trial.version.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0),
        name,
        sample: String::new(),
        client: trial.client,
        params: trial.params,
        clients: clients::with_disks(&mut tx, CHOICES).await?,
        files,
        problem,
    };
    page(&ctx, &visitor, "pages/job-script-rendered.html", &view)
}

/// What a use case refused, to be shown beside the form.
pub(super) fn as_problem(error: Error) -> wire::problem::Problem {
    let title = error.to_string();
    let (fields, remedy) = match error {
        Error::Invalid { fields, remedy, .. } => (fields, remedy),
        Error::Conflict { remedy, .. } => (Vec::new(), remedy),
        _ => (Vec::new(), String::new()),
    };
    wire::problem::Problem {
        status: 422,
        code: String::new(),
        title,
        remedy,
        fields,
        request_id: String::new(),
    }
}
