//! The packages of a client: a list with marks and updates, what has changed, and how it differs from others or from before.

use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use wire::packages::{Package, PackageFamily, Pin};

use super::super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        Error, clients,
        inventory::{self, Against, Only, PackageWish},
        reach::{self, About},
        selections::{self, Standing},
    },
    clock::SECOND,
    context::Ctx,
    domain::{
        inventory::{Inventory, PackageChange, PackageDifference},
        layout::size::human,
        people::Role,
        report::{iso_day, shown_day},
    },
    http::api::as_csv,
};

const DAY: i64 = 86_400 * SECOND;
/// Rows of the page; files have all.
const ROWS: usize = 1000;
/// Changes that are shown at once.
const CHANGES: i64 = 50;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}/packages", get(show))
        .route("/clients/{name}/comparison", get(compare))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    only: Only,
    format: String,
    /// The history from before this change.
    before: Option<i64>,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    q: String,
    only: Only,
    choices: [Only; Only::ALL.len()],
    known: Option<Known>,
    rows: Vec<Row>,
    count: usize,
    more: bool,
    changes: Vec<ChangeRow>,
    earlier: Option<i64>,
    query: String,
    may_operate: bool,
}

/// What is known as a whole.
#[derive(Serialize)]
struct Known {
    packages: i64,
    updates: Option<i64>,
    security: Option<i64>,
    unknown_why: String,
    reboot_why: String,
    services: Vec<String>,
    /// Only apt has pins.
    may_pin: bool,
    pins: Vec<Pin>,
    at: Moment,
}

#[derive(Serialize)]
struct Row {
    name: String,
    architecture: String,
    version: String,
    size: String,
    automatic: bool,
    held: bool,
    update: String,
    security: bool,
}

#[derive(Serialize)]
struct ChangeRow {
    at: Moment,
    name: String,
    architecture: String,
    was: String,
    became: String,
    job: Option<i64>,
    by: String,
}

fn known(inventory: Inventory, now: i64, language: &str) -> Known {
    Known {
        packages: inventory.packages,
        updates: inventory.updates,
        security: inventory.security_updates,
        unknown_why: inventory.condition.updates_unknown,
        reboot_why: inventory.condition.reboot_why,
        services: inventory.condition.services,
        may_pin: inventory.family == PackageFamily::Dpkg,
        pins: inventory.condition.pins,
        at: Moment::new(inventory.received_at, now, language),
    }
}

fn row(package: Package) -> Row {
    let (update, security) =
        package.update.map(|update| (update.version, update.security)).unwrap_or_default();
    Row {
        name: package.key.name,
        architecture: package.key.architecture,
        version: package.key.version,
        size: if package.size_bytes > 0 { human(package.size_bytes) } else { String::new() },
        automatic: package.automatic,
        held: package.held,
        update,
        security,
    }
}

fn change_row(change: PackageChange, now: i64, language: &str) -> ChangeRow {
    ChangeRow {
        at: Moment::new(change.at, now, language),
        name: change.name,
        architecture: change.architecture,
        was: change.was,
        became: change.became,
        job: change.job.map(|job| job.0),
        by: change.by.unwrap_or_default(),
    }
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Rejection> {
    let (now, language) = (ctx.now(), visitor.language);
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let wish = PackageWish { name: wanted.q.clone(), only: wanted.only };
    let found = inventory::of_client(&mut tx, &name, &wish).await?;
    if wanted.format == "csv" {
        return Ok(as_csv(&inventory::table(&name, &found, now)));
    }
    let before = wanted.before.unwrap_or(i64::MAX);
    let mut changes = inventory::history(&mut tx, &name, wanted.q.trim(), before, CHANGES + 1).await?;
    let more = i64::try_from(changes.len()).is_ok_and(|count| count > CHANGES);
    changes.truncate(usize::try_from(CHANGES).unwrap_or(0));
    let earlier = changes.last().filter(|_| more).map(|change| change.id);
    let query = format!("q={}&only={}", query_encoded(&wanted.q), wanted.only.as_str());
    let view = View {
        page: visitor.frame("/clients"),
        q: wanted.q,
        only: wanted.only,
        choices: Only::ALL,
        count: found.packages.len(),
        more: found.packages.len() > ROWS,
        known: found.inventory.map(|inventory| known(inventory, now, language)),
        rows: found.packages.into_iter().take(ROWS).map(row).collect(),
        changes: changes.into_iter().map(|change| change_row(change, now, language)).collect(),
        earlier,
        query,
        may_operate: visitor.actor()?.reach.on(&client.groups) >= Some(Role::Operator),
        name,
    };
    Ok(page(&ctx, &visitor, "pages/packages.html", &view)?.into_response())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Other {
    with: String,
    /// A day.
    at: String,
    /// A selection of packages.
    selection: String,
    format: String,
}

#[derive(Serialize)]
struct CompareView {
    page: Frame,
    name: String,
    with: String,
    at: String,
    today: String,
    problem: Option<String>,
    remedy: Option<String>,
    right: String,
    alike: i64,
    differences: Vec<PackageDifference>,
    made: bool,
    query: String,
    selections: Vec<String>,
    selection: String,
    standing: Option<Standing>,
}

async fn compare(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Other>,
) -> Result<Response, Rejection> {
    let now = ctx.now();
    let mut view = CompareView {
        page: visitor.frame("/clients"),
        today: shown_day(now / DAY),
        problem: None,
        remedy: None,
        right: String::new(),
        alike: 0,
        differences: Vec::new(),
        made: false,
        query: format!("with={}&at={}", query_encoded(&wanted.with), query_encoded(&wanted.at)),
        with: wanted.with.trim().to_owned(),
        at: wanted.at.trim().to_owned(),
        selections: Vec::new(),
        selection: wanted.selection.trim().to_owned(),
        standing: None,
        name,
    };
    let mut tx = ctx.db.read().await?;
    clients::get(&mut tx, &view.name).await?;
    let selections = selections::list(&mut tx).await?;
    view.selections = selections.into_iter().map(|record| record.selection.name).collect();
    if !view.selection.is_empty() {
        match selections::compare(&mut tx, &view.name, &view.selection).await {
            Ok(standing) => view.standing = Some(standing),
            Err(error) => return problem(&ctx, &visitor, view, error),
        }
        return Ok(shown(&ctx, &visitor, &view)?.into_response());
    }
    let against = if view.with.is_empty() {
        // The end of that day, or now.
        iso_day(&view.at).map(|day| Against::Time(day.saturating_add(1).saturating_mul(DAY).min(now)))
    } else {
        let actor = visitor.actor()?;
        match reach::require(&mut tx, &actor.reach, About::Client(&view.with), Role::Viewer).await {
            Ok(()) => Some(Against::Client(view.with.clone())),
            Err(error) => return problem(&ctx, &visitor, view, error),
        }
    };
    let Some(against) = against else { return Ok(shown(&ctx, &visitor, &view)?.into_response()) };
    let found = match inventory::compare(&mut tx, &view.name, &against).await {
        Ok(found) => found,
        Err(error) => return problem(&ctx, &visitor, view, error),
    };
    if wanted.format == "csv" {
        return Ok(as_csv(&inventory::comparison_table(&found, now)));
    }
    view.right = if view.with.is_empty() { view.at.clone() } else { view.with.clone() };
    (view.alike, view.differences, view.made) = (found.alike, found.differences, true);
    Ok(shown(&ctx, &visitor, &view)?.into_response())
}

/// What can be mended by choosing something else stands above the form.
fn problem(ctx: &Ctx, visitor: &Visitor, view: CompareView, error: Error) -> Result<Response, Rejection> {
    let (problem, remedy) = match error {
        Error::Conflict { title, remedy, .. } | Error::Invalid { title, remedy, .. } => (title, Some(remedy)),
        error @ Error::NotFound { .. } => (error.to_string(), None),
        error => return Err(error.into()),
    };
    let view = CompareView { problem: Some(problem), remedy, ..view };
    Ok(shown(ctx, visitor, &view)?.into_response())
}

fn shown(ctx: &Ctx, visitor: &Visitor, view: &CompareView) -> Result<Page, Rejection> {
    page(ctx, visitor, "pages/comparison.html", view)
}
