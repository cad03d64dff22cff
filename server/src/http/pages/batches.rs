//! Orders for many clients: shown first with what is left out and why, then one button, then how far it is.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        Error,
        batches::{self, Batch, BatchLine, BatchOrder, Preview},
    },
    context::Ctx,
    domain::{batch::Action, people::Role},
};

/// Rows of the list.
const ROWS: i64 = 50;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/batches", get(list).post(order))
        .route("/batches/preview", post(preview))
        .route("/batches/{id}", get(show))
        .route("/batches/{id}/stop", post(stop))
}

/// The actions that somebody with a role may order, those first that are ordered most.
pub(super) fn offered(role: Role) -> Vec<&'static str> {
    let all = [
        Action::PackageInstall { packages: Vec::new() },
        Action::PackageRemove { packages: Vec::new() },
        Action::PackageUpgrade,
        Action::ApplySelection { selection: String::new() },
        Action::Reboot,
        Action::Wake,
        Action::JoinGroup { group: String::new() },
        Action::LeaveGroup { group: String::new() },
        Action::Rescue { authorized_keys: Vec::new() },
        Action::Install,
        Action::Redo,
        Action::Retire,
    ];
    all.iter().filter(|action| role >= action.role()).map(Action::as_str).collect()
}

/// What the forms say. `client` comes once for each chosen client, so the body is read by hand.
#[derive(Clone, Default, Serialize)]
struct Form {
    action: String,
    words: String,
    all: bool,
    query: String,
    clients: Vec<String>,
    expected: String,
    confirmed: String,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match name.as_ref() {
                "action" => form.action = value,
                "words" => form.words = value,
                "all" => form.all = value == "yes",
                "query" => form.query = value,
                "client" => form.clients.push(value),
                "expected" => form.expected = value,
                "confirmed" => form.confirmed = value,
                _ => {}
            }
        }
        form
    }

    /// The order, when its words can be read.
    fn order(&self, dry_run: bool) -> Result<BatchOrder, Error> {
        let words: Vec<String> = self
            .words
            .split([' ', ',', '\n', '\r'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let lines = || self.words.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        let order = match self.action.as_str() {
            "install" => Action::Install,
            "redo" => Action::Redo,
            "reboot" => Action::Reboot,
            "wake" => Action::Wake,
            "retire" => Action::Retire,
            "rescue" => Action::Rescue { authorized_keys: lines().collect() },
            "package-install" => Action::PackageInstall { packages: words },
            "package-remove" => Action::PackageRemove { packages: words },
            "package-upgrade" => Action::PackageUpgrade,
            "apply-selection" => Action::ApplySelection { selection: self.words.trim().to_owned() },
            "join-group" => Action::JoinGroup { group: self.words.trim().to_owned() },
            "leave-group" => Action::LeaveGroup { group: self.words.trim().to_owned() },
            other => {
                return Err(Error::invalid(
                    format!("there is no action `{other}`"),
                    "choose one of those that are offered",
                ));
            }
        };
        Ok(BatchOrder {
            order,
            query: self.all.then(|| self.query.clone()),
            clients: if self.all { Vec::new() } else { self.clients.clone() },
            dry_run,
            expected: self.expected.parse().ok(),
        })
    }
}

#[derive(Serialize)]
struct PreviewView {
    page: Frame,
    form: Form,
    what: What,
    preview: Option<Preview>,
    more: i64,
    skipped: Vec<SkippedView>,
    problem: Option<Problem>,
    mistyped: bool,
    back: String,
}

/// What an action asks for.
#[derive(Serialize)]
struct What {
    /// Its word.
    action: &'static str,
    /// Kind of the words that it takes: `packages`, `group`, `keys`; empty for none.
    takes: &'static str,
}

#[derive(Serialize)]
struct SkippedView {
    reason: &'static str,
    count: i64,
    names: String,
    more: i64,
}

#[derive(Serialize)]
struct Problem {
    title: String,
    fields: Vec<wire::problem::FieldProblem>,
    remedy: String,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let title = error.to_string();
        match error {
            Error::Invalid { fields, remedy, .. } => Self { title, fields, remedy },
            Error::Conflict { remedy, .. } | Error::Unavailable { remedy, .. } => {
                Self { title, fields: Vec::new(), remedy }
            }
            _ => Self { title, fields: Vec::new(), remedy: String::new() },
        }
    }
}

fn what(action: &Action) -> What {
    What {
        action: action.as_str(),
        takes: match action {
            Action::PackageInstall { .. } | Action::PackageRemove { .. } => "packages",
            Action::JoinGroup { .. } | Action::LeaveGroup { .. } => "group",
            Action::ApplySelection { .. } => "selection",
            Action::Rescue { .. } => "keys",
            _ => "",
        },
    }
}

fn beyond(count: i64, names: &[String]) -> i64 {
    count - i64::try_from(names.len()).unwrap_or(count)
}

/// What would happen. The first time an action that takes words has none yet, so it asks for them.
async fn preview(State(ctx): State<Ctx>, visitor: Visitor, body: Bytes) -> Result<Page, Rejection> {
    let form = Form::read(&body);
    shown(&ctx, &visitor, form, None, false).await
}

async fn shown(
    ctx: &Ctx,
    visitor: &Visitor,
    form: Form,
    problem: Option<Problem>,
    mistyped: bool,
) -> Result<Page, Rejection> {
    let order = form.order(true)?;
    let what = what(&order.order);
    let asks = !what.takes.is_empty() && form.words.trim().is_empty();
    let (preview, problem) = if asks {
        (None, problem)
    } else {
        match batches::order(ctx, &order, visitor.name(), visitor.role()).await {
            Ok(ordered) => (Some(ordered.preview), problem),
            Err(error @ (Error::Internal(_) | Error::Forbidden(_))) => return Err(error.into()),
            Err(error) => (None, Some(Problem::from(error))),
        }
    };
    let skipped = preview.iter().flat_map(|preview| &preview.skipped).map(|skipped| SkippedView {
        reason: skipped.reason.as_str(),
        count: skipped.count,
        names: skipped.names.join(", "),
        more: beyond(skipped.count, &skipped.names),
    });
    let view = PreviewView {
        page: visitor.frame("/clients"),
        skipped: skipped.collect(),
        more: preview.as_ref().map_or(0, |preview| beyond(preview.fitting, &preview.names)),
        back: format!("/clients?q={}", query_encoded(&form.query)),
        form,
        what,
        preview,
        problem,
        mistyped,
    };
    page(ctx, visitor, "pages/batch-preview.html", &view)
}

/// Gives the order, when whoever gives it has confirmed the number that was shown.
async fn order(State(ctx): State<Ctx>, visitor: Visitor, body: Bytes) -> Result<Response, Rejection> {
    let form = Form::read(&body);
    let order = form.order(false)?;
    if order.order.is_destructive() && form.confirmed.trim() != form.expected {
        return Ok(shown(&ctx, &visitor, form, None, true).await?.into_response());
    }
    match batches::order(&ctx, &order, visitor.name(), visitor.role()).await {
        Ok(ordered) => {
            let id = ordered.batch.unwrap_or_default();
            Ok(Redirect::to(&format!("/batches/{id}")).into_response())
        }
        Err(error @ (Error::Internal(_) | Error::Forbidden(_) | Error::AwaitsApproval { .. })) => {
            Err(error.into())
        }
        Err(error) => {
            let problem = Some(Problem::from(error));
            Ok(shown(&ctx, &visitor, form, problem, false).await?.into_response())
        }
    }
}

/// A batch as pages show it.
#[derive(Serialize)]
struct BatchRow {
    id: i64,
    action: &'static str,
    words: String,
    query: String,
    actor: String,
    at: Moment,
    finished: bool,
    total: i64,
    percent: i64,
    done: i64,
    failed: i64,
    skipped: i64,
    waiting: i64,
}

impl BatchRow {
    fn new(batch: Batch, now: i64, language: &str) -> Self {
        let words = match &batch.action {
            Action::PackageInstall { packages } | Action::PackageRemove { packages } => packages.join(" "),
            Action::JoinGroup { group } | Action::LeaveGroup { group } => group.clone(),
            Action::ApplySelection { selection } => selection.clone(),
            _ => String::new(),
        };
        let waiting = batch.waiting + batch.working;
        let total = batch.done + batch.failed + waiting;
        Self {
            id: batch.id,
            action: batch.action.as_str(),
            words,
            query: batch.query,
            actor: batch.actor,
            at: Moment::new(batch.created_at, now, language),
            finished: batch.finished_at.is_some(),
            total,
            percent: ((batch.done + batch.failed) * 100).checked_div(total).unwrap_or(100),
            done: batch.done,
            failed: batch.failed,
            skipped: batch.skipped,
            waiting,
        }
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    batches: Vec<BatchRow>,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = batches::list(&mut tx, i64::MAX, ROWS).await?;
    let now = ctx.now();
    let batches = found.into_iter().map(|batch| BatchRow::new(batch, now, visitor.language)).collect();
    page(&ctx, &visitor, "pages/batches.html", &ListView { page: visitor.frame("/clients"), batches })
}

#[derive(Serialize)]
struct BatchPage {
    page: Frame,
    batch: BatchRow,
    lines: Vec<LineView>,
    may_stop: bool,
}

/// A client for which nothing was ordered. Reasons of those that are left out are words; those of failures are told by the server.
#[derive(Serialize)]
struct LineView {
    client: String,
    skipped: bool,
    reason: String,
}

impl From<BatchLine> for LineView {
    fn from(line: BatchLine) -> Self {
        Self { client: line.client, skipped: line.state == "skipped", reason: line.reason }
    }
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(id): Path<i64>) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = batches::show(&mut tx, id).await?;
    let batch = BatchRow::new(found.batch, ctx.now(), visitor.language);
    let view = BatchPage {
        page: visitor.frame("/clients"),
        may_stop: !batch.finished && visitor.may(Role::Operator),
        batch,
        lines: found.lines.into_iter().map(LineView::from).collect(),
    };
    page(&ctx, &visitor, "pages/batch.html", &view)
}

async fn stop(State(ctx): State<Ctx>, visitor: Visitor, Path(id): Path<i64>) -> Result<Redirect, Rejection> {
    batches::stop(&ctx, id, visitor.name()).await?;
    Ok(Redirect::to(&format!("/batches/{id}")))
}
