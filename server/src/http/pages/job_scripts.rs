//! Job scripts: what each does, its rendered samples, its versions and what differs between them, a trial against a client, and an
//! editor for own versions.

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
        Error, clients,
        job_scripts::{self, JobScript, JobScriptRow, Origin, Version, Wanted},
    },
    catalog::Files,
    context::Ctx,
    domain::{client::is_name, people::Role},
    planner::sample,
};

/// What a new job script begins with: it can be used as it is.
const BEGINNING: [(&str, &str); 3] = [
    (
        "job.yaml",
        "title: { en: Say hello, de: Hallo sagen }\nrealm: system\npriority: 30\nparams:\n  name:\n    type: string\n    required: true\n    help: { en: Whom to greet, de: Wer gegrüßt wird }\nsteps:\n  - script: 10-hello.sh.tera\n    timeout: 1m\n",
    ),
    ("10-hello.sh.tera", "printf 'Hello %s\\n' {{ params.name }}\n"),
    ("samples/plain.yaml", "params: { name: Ann }\n"),
];
/// Clients that can be chosen for a trial.
const CHOICES: i64 = 200;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/job-scripts", get(list))
        .route("/job-scripts/{name}", get(show))
        .route("/job-scripts/{name}/edit", get(edit).post(upload))
        .route("/job-scripts/{name}/version", post(choose))
        .route("/job-scripts/{name}/difference", get(difference))
        .route("/job-scripts/{name}/samples/{sample}", get(rendered))
        .route("/job-scripts/{name}/trial", get(trial))
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

#[derive(Deserialize)]
struct Pair {
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
fn marked(text: &str) -> Vec<(&'static str, String)> {
    let kind = |line: &str| match line {
        _ if line.starts_with("---") || line.starts_with("+++") => "file",
        _ if line.starts_with("@@") => "place",
        _ if line.starts_with('+') => "new",
        _ if line.starts_with('-') => "old",
        _ => "",
    };
    text.lines().map(|line| (kind(line), line.to_owned())).collect()
}

async fn difference(
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

async fn rendered(
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
struct Trial {
    #[serde(default)]
    client: String,
    #[serde(default)]
    params: String,
    version: Option<i64>,
}

async fn trial(
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
fn as_problem(error: Error) -> wire::problem::Problem {
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

#[derive(Serialize)]
struct EditView {
    page: Frame,
    name: String,
    base: i64,
    comment: String,
    files: Vec<(String, String)>,
    problem: Option<wire::problem::Problem>,
    checked: bool,
    difference: Vec<(&'static str, String)>,
}

async fn edit(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let number = which.version.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0);
    let base = job_scripts::versions(&mut tx, &name).await?.first().map_or(0, |version| version.number);
    let found = match job_scripts::files(&ctx, &mut tx, &name, number).await {
        Err(Error::NotFound { .. }) if number == 0 => {
            BEGINNING.map(|(path, text)| (path.to_owned(), text.to_owned())).into()
        }
        found => found?,
    };
    // What is expected of the brought versions belongs to Lotse's own tests.
    let files = found.into_iter().filter(|(path, _)| !path.starts_with("expected/")).collect();
    let view = EditView {
        page: visitor.frame("/job-scripts"),
        name,
        base,
        comment: String::new(),
        files,
        problem: None,
        checked: false,
        difference: Vec::new(),
    };
    page(&ctx, &visitor, "pages/job-script-edit.html", &view)
}

/// A form with any number of files: `path` and `content` in turn.
async fn upload(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let value = |wanted: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let (action, comment, base) =
        (value("action"), value("comment"), value("base").parse::<i64>().unwrap_or(0));
    let mut files: Vec<(String, String)> = Vec::new();
    for (key, value) in &pairs {
        match key.as_str() {
            "path" => files.push((value.trim().to_owned(), String::new())),
            "content" => {
                if let Some((_, content)) = files.last_mut() {
                    *content = value.replace("\r\n", "\n");
                }
            }
            _ => {}
        }
    }
    // A file without a name is the empty place for a new one, or one that was taken out.
    files.retain(|(path, _)| !path.is_empty());
    let own: Files = files.iter().cloned().collect();
    let outcome = if action == "keep" {
        match job_scripts::upload(&ctx, &name, &own, &comment, Some(base), None, visitor.name()).await {
            Ok(_) => return Ok(Redirect::to(&format!("/job-scripts/{name}")).into_response()),
            Err(error) => Err(error),
        }
    } else {
        job_scripts::check(&ctx, &name, &own).map(drop)
    };
    let problem = match outcome {
        Ok(()) => None,
        Err(Error::Internal(error)) => return Err(Error::Internal(error).into()),
        Err(error) => Some(as_problem(error)),
    };
    let mut tx = ctx.db.read().await?;
    let used = ctx.catalog.own_version(&name).unwrap_or(0);
    let before = job_scripts::files(&ctx, &mut tx, &name, used).await.unwrap_or_default();
    let before = before.into_iter().filter(|(path, _)| !path.starts_with("expected/")).collect();
    let view = EditView {
        page: visitor.frame("/job-scripts"),
        difference: marked(&job_scripts::compare(&before, &own)),
        name,
        base,
        comment,
        files,
        checked: problem.is_none(),
        problem,
    };
    Ok(page(&ctx, &visitor, "pages/job-script-edit.html", &view)?.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn what_a_new_job_script_begins_with_can_be_used() {
        let share = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalog = Catalog::load(&share, None).unwrap_or_else(|error| panic!("{error}"));
        let files = BEGINNING.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        assert_eq!(catalog.read_own("hello", &files).unwrap().steps.len(), 1);
    }
}
