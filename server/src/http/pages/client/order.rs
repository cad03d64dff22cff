//! What can be done with a client: each order shows first what it does. What destroys or cuts off asks for the client's name.

use axum::{
    Form, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::problem::Problem;

use super::{
    super::{
        super::problem,
        Rejection,
        frame::{Frame, Page, Visitor, page},
        orders::{Known, must_be_typed},
        words::job_title,
    },
    hardware::{PreviewView, preview_view},
};
use crate::{
    app::{
        Error, clients, helpdesk, installation,
        jobs::{self, JobOrder},
        layouts, notes, recovery, retirement, user_data,
    },
    context::Ctx,
    domain::{client::Client, people::Role},
    planner::storage::described,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}/do/{order}", get(form).post(carry_out))
        .route("/clients/{name}/notes", post(add_note))
        .route("/clients/{name}/notes/{id}/delete", post(delete_note))
        .route("/clients/{name}/packages", post(packages))
}

/// Every order.
const ORDERS: [Known; 14] = [
    ("restart", Role::Helpdesk, false),
    ("upgrade-agent", Role::Operator, false),
    ("redo", Role::Helpdesk, true),
    ("recover", Role::Operator, true),
    ("rescue", Role::Helpdesk, false),
    ("release", Role::Helpdesk, false),
    ("wipe", Role::Operator, true),
    ("reset", Role::Operator, true),
    ("retire", Role::Operator, true),
    ("reinstate", Role::Operator, false),
    ("clear-alarm", Role::Operator, false),
    ("enrol", Role::Operator, false),
    ("user-data", Role::Operator, false),
    ("delete", Role::Admin, true),
];

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    order: String,
    typed: bool,
    /// What is written and destroyed.
    disks: Vec<PreviewView>,
    /// What is lost beside that.
    warnings: Vec<String>,
    /// Jobs that are queued.
    jobs: Vec<String>,
    /// Disks to choose from: serial number or path, and description.
    choice: Vec<(String, String)>,
    form: Typed,
    mistyped: bool,
    problem: Option<Problem>,
    /// What is shown once: a command, or a text.
    shown: Option<String>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Typed {
    confirmed: String,
    keys: String,
    disk: String,
    method: String,
}

async fn client_of(ctx: &Ctx, name: &str) -> Result<Client, Error> {
    let mut tx = ctx.db.read().await?;
    clients::get(&mut tx, name).await
}

async fn form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, order)): Path<(String, String)>,
) -> Result<Page, Rejection> {
    show(&ctx, &visitor, &name, &order, Typed::default(), None, None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    order: &str,
    form: Typed,
    problem: Option<Problem>,
    shown: Option<String>,
) -> Result<Page, Rejection> {
    let typed = must_be_typed(ctx, visitor, &ORDERS, name, order).await?;
    let client = client_of(ctx, name).await?;
    let mut view = View {
        page: visitor.frame("/clients"),
        name: name.to_owned(),
        order: order.to_owned(),
        typed,
        disks: Vec::new(),
        warnings: Vec::new(),
        jobs: Vec::new(),
        choice: Vec::new(),
        mistyped: !form.confirmed.is_empty() && form.confirmed.trim() != name,
        form,
        problem,
        shown,
    };
    if matches!(order, "redo" | "recover") {
        match layouts::preview(ctx, name, None).await {
            Ok(disks) => view.disks = disks.into_iter().map(preview_view).collect(),
            Err(error) => view.problem = view.problem.or(Some(problem::shown(error))),
        }
        let chain = crate::planner::installation(&client);
        view.jobs = chain.iter().map(|entry| job_title(ctx, visitor.language, &entry.job_type)).collect();
    }
    if matches!(order, "redo" | "recover") {
        let mut tx = ctx.db.read().await?;
        view.warnings = installation::warnings(&mut tx, &client).await?;
    }
    if order == "recover" {
        let mut tx = ctx.db.read().await?;
        let again = recovery::done_before(&mut tx, &client).await?;
        view.jobs.extend(again.iter().map(|job| {
            let params = if job.params == json!({}) { String::new() } else { format!(" {}", job.params) };
            format!("{}{params}", job_title(ctx, visitor.language, &job.job_type))
        }));
    }
    if order == "wipe" {
        let disks = client.facts.iter().flat_map(|facts| &facts.disks);
        view.choice = disks
            .map(|disk| {
                let named = if disk.serial.is_empty() { &disk.path } else { &disk.serial };
                (named.clone(), described(disk))
            })
            .collect();
    }
    page(ctx, visitor, "pages/order.html", &view)
}

async fn carry_out(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, order)): Path<(String, String)>,
    Form(form): Form<Typed>,
) -> Result<Response, Rejection> {
    let typed = must_be_typed(&ctx, &visitor, &ORDERS, &name, &order).await?;
    if typed && form.confirmed.trim() != name {
        let confirmed = if form.confirmed.is_empty() { " ".to_owned() } else { form.confirmed.clone() };
        let form = Typed { confirmed, ..form };
        return Ok(show(&ctx, &visitor, &name, &order, form, None, None).await?.into_response());
    }
    match do_it(&ctx, &name, &order, &form, visitor.name()).await {
        Ok(None) => {
            let to = if order == "delete" { "/clients".to_owned() } else { format!("/clients/{name}") };
            Ok(Redirect::to(&to).into_response())
        }
        Ok(shown) => Ok(show(&ctx, &visitor, &name, &order, form, None, shown).await?.into_response()),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. })) => {
            let form = Typed { confirmed: String::new(), ..form };
            let problem = Some(problem::shown(error));
            Ok(show(&ctx, &visitor, &name, &order, form, problem, None).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Carries it out; gives what is shown once.
async fn do_it(
    ctx: &Ctx,
    name: &str,
    order: &str,
    form: &Typed,
    actor: &str,
) -> Result<Option<String>, Error> {
    match order {
        "restart" => helpdesk::restart(ctx, name, actor).await.map(drop)?,
        "upgrade-agent" => queue(ctx, name, "agent-upgrade", json!({}), actor).await?,
        "redo" => helpdesk::redo(ctx, name, actor).await.map(drop)?,
        "recover" => recovery::recover(ctx, name, false, actor).await.map(drop)?,
        "rescue" => {
            let keys: Vec<String> = form
                .keys
                .lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect();
            helpdesk::rescue(ctx, name, &keys, actor).await.map(drop)?;
        }
        "release" => helpdesk::release(ctx, name, actor).await.map(drop)?,
        "wipe" => {
            let params = json!({ "disk": form.disk, "method": form.method });
            queue(ctx, name, "wipe-disk", params, actor).await?;
        }
        "reset" => {
            let id = client_of(ctx, name).await?.id;
            installation::reset(ctx, id, actor).await?;
        }
        "retire" => retirement::retire(ctx, name, actor).await?,
        "reinstate" => retirement::reinstate(ctx, name, actor).await?,
        "clear-alarm" => clients::clear_alarm(ctx, name, actor).await?,
        "enrol" => return helpdesk::enrol_command(ctx, name, actor).await.map(|made| Some(made.command)),
        "user-data" => return user_data::of_client(ctx, name, actor).await.map(|made| Some(made.text)),
        "delete" => clients::delete(ctx, name, actor).await?,
        other => return Err(Error::not_found(format!("the order {other}"))),
    }
    Ok(None)
}

async fn queue(
    ctx: &Ctx,
    name: &str,
    job_type: &str,
    params: serde_json::Value,
    actor: &str,
) -> Result<(), Error> {
    let id = client_of(ctx, name).await?.id;
    let order = JobOrder { job_type: job_type.to_owned(), params, ..JobOrder::default() };
    jobs::create(ctx, id, &order, actor).await.map(drop)
}

#[derive(Deserialize)]
struct NewNote {
    #[serde(default)]
    text: String,
}

async fn add_note(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(note): Form<NewNote>,
) -> Result<Redirect, Rejection> {
    if !note.text.trim().is_empty() {
        notes::add(&ctx, &name, &note.text, visitor.name()).await?;
    }
    Ok(Redirect::to(&format!("/clients/{name}#notes")))
}

async fn delete_note(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Redirect, Rejection> {
    notes::delete(&ctx, &name, id, visitor.name()).await?;
    Ok(Redirect::to(&format!("/clients/{name}#notes")))
}

#[derive(Deserialize)]
struct PackageOrder {
    #[serde(default)]
    packages: String,
    #[serde(default)]
    what: String,
    /// `version`, `origin` or `release`, and its word.
    #[serde(default)]
    by: String,
    #[serde(default)]
    word: String,
    #[serde(default)]
    priority: String,
}

async fn packages(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(order): Form<PackageOrder>,
) -> Result<Redirect, Rejection> {
    let named: Vec<&str> = order.packages.split_whitespace().collect();
    let (job_type, params) = match order.what.as_str() {
        "remove" => ("package-remove", json!({ "packages": named })),
        "upgrade" => ("package-upgrade", json!({})),
        "pin" => {
            let pin = format!("{} {}", order.by, order.word.trim());
            // What is no number is told as such by the job's own check.
            let priority = order.priority.trim();
            let priority = priority.parse::<i64>().map_or_else(|_| json!(priority), |number| json!(number));
            ("package-pin", json!({ "packages": named, "pin": pin, "priority": priority }))
        }
        "unpin" => ("package-unpin", json!({ "packages": named })),
        _ => ("package-install", json!({ "packages": named })),
    };
    queue(&ctx, &name, job_type, params, visitor.name()).await?;
    Ok(Redirect::to(&format!("/clients/{name}")))
}
