//! Storage layouts: the list, and one layout as text and as a picture, checked against the disks of a client.
//!
//! Without scripts the text is checked when the form is sent; with them the picture and the text follow each other as somebody works.

use axum::{
    Form, Json, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
};
use crate::{
    app::{
        Error,
        clients::with_disks,
        layouts::{self, Draft, LayoutCheck},
    },
    context::Ctx,
    domain::{
        layout::{LayoutProblem, size::human},
        people::Role,
    },
    planner::storage::{DiskPreview, PartitionPreview},
};

/// What a new layout begins with: it works on any machine with one disk.
const BEGINNING: &str = "\
disks:
  system:
    match: { min_size: 8GiB }
    table: gpt
    wipe: true
    partitions:
      - { id: esp, size: 512MiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }
      - { id: bios, size: 1MiB, type: bios-boot, when: bios }
      - { id: swap, size: 10%, format: swap }
      - { id: root, size: rest, min: 4GiB, format: ext4, mount: / }
";
/// Clients that can be chosen; with more the rest is typed.
const CHOICES: i64 = 200;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/layouts", get(list))
        .route("/new-layout", get(new).post(create))
        .route("/layout-check", post(check))
        .route("/layouts/{name}", get(show).post(change))
        .route("/layouts/{name}/delete", post(delete))
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    layouts: Vec<Row>,
    may_change: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    title: String,
    own: bool,
    used: i64,
    disks: Vec<Bar>,
}

/// A disk to scale.
#[derive(Serialize)]
pub(super) struct Bar {
    title: String,
    destroyed: String,
    parts: Vec<BarPart>,
}

#[derive(Serialize)]
struct BarPart {
    name: String,
    content: String,
    size: String,
    start: f64,
    /// It carries files.
    mounted: bool,
    width: f64,
}

/// A disk to scale, from its preview.
#[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than an f64 has digits")]
pub(super) fn bar(disk: DiskPreview) -> Bar {
    let whole = disk.size_bytes.max(1) as f64;
    let percent = |bytes: u64| (bytes as f64 / whole * 10_000.0).round() / 100.0;
    let part = |part: PartitionPreview| BarPart {
        start: percent(part.start_bytes),
        mounted: !part.mount.is_empty(),
        width: percent(part.size_bytes).max(0.4),
        size: human(part.size_bytes),
        name: if part.mount.is_empty() { part.id } else { part.mount },
        content: part.content,
    };
    Bar {
        title: format!("{}: {}", disk.name, disk.disk),
        destroyed: disk.destroyed,
        parts: disk.written.into_iter().map(part).collect(),
    }
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let (all, users) = {
        let mut tx = ctx.db.read().await?;
        let all = layouts::list(&ctx, &mut tx).await?;
        let users = layouts::users(&mut tx, &all).await?;
        (all, users)
    };
    let mut rows = Vec::with_capacity(all.len());
    for (layout, used) in all.into_iter().zip(users) {
        let drawn = layouts::check(&ctx, Draft::Yaml(layout.yaml), None).await?;
        let title = drawn.layout.and_then(|mut parsed| parsed.title.remove(visitor.language));
        rows.push(Row {
            title: title.unwrap_or_default(),
            own: layout.own,
            used,
            disks: drawn.disks.into_iter().map(bar).collect(),
            name: layout.name,
        });
    }
    let view = ListView { page: visitor.frame("/layouts"), layouts: rows, may_change: may_change(&visitor) };
    page(&ctx, &visitor, "pages/layouts.html", &view)
}

fn may_change(visitor: &Visitor) -> bool {
    visitor.who.as_ref().is_some_and(|who| who.actor.role >= Role::Operator)
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct EditView {
    page: Frame,
    name: String,
    is_new: bool,
    own: bool,
    brought: bool,
    used: i64,
    users: Vec<String>,
    may_change: bool,
    form: LayoutForm,
    clients: Vec<String>,
    problems: Vec<LayoutProblem>,
    disks: Vec<Bar>,
    /// Whose disks are shown.
    of: String,
    problem: Option<String>,
    kept: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct LayoutForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    yaml: String,
    #[serde(default)]
    client: String,
    /// `keep`, or only `check`.
    #[serde(default)]
    action: String,
}

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    client: String,
    #[serde(default)]
    kept: String,
}

async fn new(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let form = LayoutForm { yaml: BEGINNING.to_owned(), client: wanted.client, ..LayoutForm::default() };
    edit_page(&ctx, &visitor, None, form, None, false).await
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let layout = {
        let mut tx = ctx.db.read().await?;
        layouts::get(&ctx, &mut tx, &name).await?
    };
    let form = LayoutForm { yaml: layout.yaml, client: wanted.client, ..LayoutForm::default() };
    edit_page(&ctx, &visitor, Some(&name), form, None, !wanted.kept.is_empty()).await
}

async fn edit_page(
    ctx: &Ctx,
    visitor: &Visitor,
    name: Option<&str>,
    mut form: LayoutForm,
    problem: Option<String>,
    kept: bool,
) -> Result<Page, Rejection> {
    // Browsers send line ends as CR LF.
    form.yaml = form.yaml.replace("\r\n", "\n");
    let client = Some(form.client.trim()).filter(|client| !client.is_empty());
    let (check, problem) = match layouts::check(ctx, Draft::Yaml(form.yaml.clone()), client).await {
        Ok(check) => (check, problem),
        Err(error @ (Error::NotFound { .. } | Error::Conflict { .. })) => {
            let check = layouts::check(ctx, Draft::Yaml(form.yaml.clone()), None).await?;
            (check, problem.or(Some(error.to_string())))
        }
        Err(error) => return Err(error.into()),
    };
    let mut tx = ctx.db.read().await?;
    let (used, users) = match name {
        Some(name) => layouts::used_by(&mut tx, name).await?,
        None => (0, Vec::new()),
    };
    let own = match name {
        Some(name) => layouts::get(ctx, &mut tx, name).await.is_ok_and(|layout| layout.own),
        None => false,
    };
    let view = EditView {
        page: visitor.frame("/layouts"),
        name: name.unwrap_or(&form.name).to_owned(),
        is_new: name.is_none(),
        own,
        brought: name.is_some_and(|name| ctx.catalog.layout(name).is_some()),
        used,
        users,
        may_change: may_change(visitor),
        clients: with_disks(&mut tx, CHOICES).await?,
        of: check.client.unwrap_or_default(),
        problems: check.problems,
        disks: check.disks.into_iter().map(bar).collect(),
        form,
        problem,
        kept,
    };
    page(ctx, visitor, "pages/layout.html", &view)
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<LayoutForm>,
) -> Result<Response, Rejection> {
    let name = form.name.trim().to_owned();
    let taken = {
        let mut tx = ctx.db.read().await?;
        layouts::get(&ctx, &mut tx, &name).await.is_ok()
    };
    if form.action == "keep" && taken {
        let problem = Error::conflict(format!("there is a layout {name} already"), "").to_string();
        return Ok(edit_page(&ctx, &visitor, None, form, Some(problem), false).await?.into_response());
    }
    keep(&ctx, &visitor, None, &name, form).await
}

async fn change(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<LayoutForm>,
) -> Result<Response, Rejection> {
    keep(&ctx, &visitor, Some(&name), &name, form).await
}

/// Keeps the text, or shows it again with what stands against it.
async fn keep(
    ctx: &Ctx,
    visitor: &Visitor,
    shown: Option<&str>,
    name: &str,
    form: LayoutForm,
) -> Result<Response, Rejection> {
    if form.action != "keep" {
        return Ok(edit_page(ctx, visitor, shown, form, None, false).await?.into_response());
    }
    let yaml = form.yaml.replace("\r\n", "\n");
    match layouts::set(ctx, name, &yaml, visitor.name()).await {
        Ok(()) => Ok(Redirect::to(&format!("/layouts/{name}?kept=yes")).into_response()),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. })) => {
            let problem = Some(error.to_string());
            Ok(edit_page(ctx, visitor, shown, form, problem, false).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    layouts::delete(&ctx, &name, visitor.name()).await?;
    Ok(Redirect::to("/layouts"))
}

#[derive(Deserialize)]
struct Sketch {
    draft: Draft,
    #[serde(default)]
    client: String,
}

/// What the picture asks while somebody draws.
#[derive(Serialize)]
struct Drawn {
    #[serde(flatten)]
    check: LayoutCheck,
    /// The same sizes as people read them: by disk, by partition.
    sizes: Vec<Vec<String>>,
}

async fn check(
    State(ctx): State<Ctx>,
    _: Visitor,
    Json(sketch): Json<Sketch>,
) -> Result<Json<Drawn>, Rejection> {
    let client = Some(sketch.client.trim()).filter(|client| !client.is_empty());
    let check = layouts::check(&ctx, sketch.draft, client).await?;
    let sizes = check
        .disks
        .iter()
        .map(|disk| disk.written.iter().map(|part| human(part.size_bytes)).collect())
        .collect();
    Ok(Json(Drawn { check, sizes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::layout::Layout;

    #[test]
    fn what_a_new_layout_begins_with_is_a_layout() {
        assert!(Layout::parse(BEGINNING).is_ok());
    }
}
