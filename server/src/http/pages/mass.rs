//! Installing many machines: a table is pasted, uploaded or comes from discovered machines; its gaps are filled; each row is checked and
//! shown with what would be destroyed; one button begins with all.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{FromRequest, Multipart, Query, Request, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::problem::FieldProblem;

use super::{
    Rejection,
    client::hardware::{PreviewView, preview_view},
    frame::{Frame, Page, Visitor, page},
    machine_form::MachineForm,
    words::told,
};
use crate::{
    app::{
        Error,
        mass_installation::{self, MassOrder, MassPlan, MassRow, RowWork},
        presets,
    },
    context::Ctx,
    domain::{
        client::{ClientConfig, User},
        sheet::{self, Column, Row},
    },
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/mass-installation", get(form).post(carry_on))
}

/// What somebody types beside the table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wishes {
    sheet: String,
    /// `preset:NAME`, `keep`, or empty for the usual values.
    values: String,
    user: String,
    names: String,
    addresses: String,
    gateway: String,
    groups: String,
    passwords: String,
    install: String,
    wipe: String,
    trusted: String,
    key: String,
    then: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    wishes: Wishes,
    presets: Vec<String>,
    /// Names of columns in the order in which they are shown; those that are not are carried along.
    columns: Vec<&'static str>,
    rows: Vec<RowView>,
    faults: BTreeMap<String, String>,
    problems: Vec<String>,
    /// `form`, `wrong`, `ready` or `done`.
    phase: &'static str,
    wrong: usize,
    adopts: bool,
    destroys: usize,
    passwords: bool,
}

#[derive(Serialize)]
struct RowView {
    number: usize,
    name: String,
    machine: String,
    hardware: String,
    what: &'static str,
    cells: Vec<CellView>,
    problems: Vec<String>,
    disks: Vec<PreviewView>,
    jobs: usize,
    user: String,
    password: String,
}

#[derive(Serialize)]
struct CellView {
    column: &'static str,
    /// The column in the key of its text.
    text: String,
    value: String,
    fault: String,
    shown: bool,
}

/// Columns that stand there even when nothing is in them.
const ALWAYS: [Column; 4] = [Column::Name, Column::Mac, Column::Groups, Column::User];
/// Columns that are carried along unseen.
const UNSEEN: [Column; 1] = [Column::Fingerprint];

#[derive(Default, Deserialize)]
#[serde(default)]
struct With {
    preset: String,
}

async fn form(State(ctx): State<Ctx>, visitor: Visitor, Query(with): Query<With>) -> Result<Page, Rejection> {
    let values = if with.preset.is_empty() { String::new() } else { format!("preset:{}", with.preset) };
    first(&ctx, &visitor, Wishes { values, ..fresh() }).await
}

fn fresh() -> Wishes {
    Wishes {
        names: "pc-{001..}".to_owned(),
        install: "yes".to_owned(),
        key: Uuid::new_v4().to_string(),
        ..Wishes::default()
    }
}

/// The form with a table of machines that were chosen elsewhere.
pub(super) async fn begin_with(ctx: &Ctx, visitor: &Visitor, sheet: String) -> Result<Page, Rejection> {
    first(ctx, visitor, Wishes { sheet, ..fresh() }).await
}

async fn first(ctx: &Ctx, visitor: &Visitor, wishes: Wishes) -> Result<Page, Rejection> {
    show(ctx, visitor, wishes, MassPlan::default(), false).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    wishes: Wishes,
    plan: MassPlan,
    checked: bool,
) -> Result<Page, Rejection> {
    let language = visitor.language;
    let presets = {
        let mut tx = ctx.db.read().await?;
        presets::list(&mut tx).await?.into_iter().map(|preset| preset.name).collect()
    };
    let filled = |column: &Column| plan.rows.iter().any(|row| row.cells.contains_key(column.as_str()));
    let shown: Vec<Column> = Column::all()
        .filter(|column| ALWAYS.contains(column) || (!UNSEEN.contains(column) && filled(column)))
        .collect();
    let mut faults = BTreeMap::new();
    let mut problems = Vec::new();
    for problem in &plan.problems {
        let text = told(ctx, language, &problem.message);
        match problem.field.as_str() {
            "names" | "addresses" | "gateway" | "sheet" => {
                faults.entry(problem.field.clone()).or_insert(text);
            }
            _ => problems.push(text),
        }
    }
    let phase = match (plan.done, checked, plan.is_ready()) {
        (true, ..) => "done",
        (false, false, _) => "form",
        (false, true, false) => "wrong",
        (false, true, true) => "ready",
    };
    let wrong = plan.rows.iter().filter(|row| !row.problems.is_empty()).count();
    let destroys = |row: &&MassRow| row.disks.iter().any(|disk| !disk.destroyed.is_empty());
    let view = View {
        page: visitor.frame("/discovered"),
        presets,
        columns: shown.iter().map(|column| column.as_str()).collect(),
        adopts: plan.rows.iter().any(|row| row.what == RowWork::Adopt),
        destroys: plan.rows.iter().filter(destroys).count(),
        passwords: plan.rows.iter().any(|row| row.cells.contains_key("password")),
        rows: plan
            .rows
            .into_iter()
            .enumerate()
            .map(|(at, row)| row_view(ctx, language, at, row, &shown))
            .collect(),
        wishes,
        faults,
        problems,
        phase,
        wrong,
    };
    page(ctx, visitor, "pages/mass.html", &view)
}

fn row_view(ctx: &Ctx, language: &str, at: usize, row: MassRow, shown: &[Column]) -> RowView {
    let cell = |column: Column| row.cells.get(column.as_str()).cloned().unwrap_or_default();
    let fault = |name: &str| {
        let here = row.problems.iter().find(|problem| problem.field == name);
        here.map(|problem| told(ctx, language, &problem.message)).unwrap_or_default()
    };
    let is_shown = |name: &str| shown.iter().any(|column| column.as_str() == name);
    RowView {
        number: at + 1,
        name: cell(Column::Name),
        user: cell(Column::User),
        password: cell(Column::Password),
        cells: Column::all()
            .map(|column| CellView {
                column: column.as_str(),
                text: column.as_str().replace('_', "-"),
                value: cell(column),
                fault: fault(column.as_str()),
                shown: is_shown(column.as_str()),
            })
            .collect(),
        problems: row
            .problems
            .iter()
            .filter(|problem| !is_shown(&problem.field))
            .map(|problem| told(ctx, language, &problem.message))
            .collect(),
        what: row.what.as_str(),
        jobs: row.jobs.len(),
        disks: row.disks.into_iter().map(preview_view).collect(),
        machine: row.machine,
        hardware: row.hardware,
    }
}

/// The words of a form, whichever way the browser sends them; a file counts as the table when it is not empty.
async fn sent(ctx: &Ctx, request: Request) -> Result<Vec<(String, String)>, Rejection> {
    let unreadable =
        |error: String| Error::invalid(format!("the form cannot be read: {error}"), "send it again");
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("multipart/form-data") {
        let Form(words) = Form::<Vec<(String, String)>>::from_request(request, ctx)
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        return Ok(words);
    }
    let mut parts =
        Multipart::from_request(request, ctx).await.map_err(|error| unreadable(error.to_string()))?;
    let mut words = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|error| unreadable(error.to_string()))? {
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(|error| unreadable(error.to_string()))?;
        let text = text_of(&bytes);
        match (name.as_str(), text.trim().is_empty()) {
            ("file", true) => {}
            ("file", false) => words.push(("sheet".to_owned(), text)),
            _ => words.push((name, text)),
        }
    }
    Ok(words)
}

/// Spreadsheets write UTF-8, or what Windows calls ANSI, of which Latin-1 is nearly all.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn wishes_of(words: &[(String, String)]) -> Wishes {
    // The last one of a name counts: a file comes after the text that it replaces.
    let find = |name: &str| {
        let found = words.iter().rev().find(|(word, _)| word == name);
        found.map(|(_, text)| text.trim().to_owned()).unwrap_or_default()
    };
    let mut wishes = Wishes {
        sheet: find("sheet"),
        values: find("values"),
        user: find("user"),
        names: find("names"),
        addresses: find("addresses"),
        gateway: find("gateway"),
        groups: find("groups"),
        passwords: find("passwords"),
        install: find("install"),
        wipe: find("wipe"),
        trusted: find("trusted"),
        key: find("key"),
        then: find("then"),
    };
    if words.iter().any(|(word, _)| word == "cell.name") {
        let mut rows: Vec<Row> = Vec::new();
        for column in Column::all() {
            let name = format!("cell.{}", column.as_str());
            let cells = words.iter().filter(|(word, _)| *word == name);
            for (at, (_, text)) in cells.enumerate() {
                if rows.len() <= at {
                    rows.push(Row::default());
                }
                rows[at].set(column, text.trim());
            }
        }
        wishes.sheet = sheet::write(&rows);
    }
    wishes
}

async fn order(ctx: &Ctx, language: &str, wishes: &Wishes) -> Result<MassOrder, Rejection> {
    let mut groups: Vec<String> = wishes.groups.split([' ', ',', ';']).map(str::to_owned).collect();
    let mut config = match wishes.values.strip_prefix("preset:") {
        Some(name) => {
            let mut tx = ctx.db.read().await?;
            let preset = presets::get(&mut tx, name).await?;
            groups.extend(preset.groups);
            Some(preset.config)
        }
        None if wishes.values == "keep" => None,
        None => MachineForm::fresh(language).config(&ClientConfig::default()).ok(),
    };
    if let (Some(config), false) = (&mut config, wishes.user.is_empty()) {
        match config.users.first_mut() {
            Some(user) => user.name.clone_from(&wishes.user),
            None => config.users.push(User { name: wishes.user.clone(), sudo: true, ..User::default() }),
        }
    }
    groups.retain(|name| !name.is_empty());
    Ok(MassOrder {
        sheet: wishes.sheet.clone(),
        config,
        groups,
        names: wishes.names.clone(),
        addresses: wishes.addresses.clone(),
        gateway: wishes.gateway.clone(),
        passwords: !wishes.passwords.is_empty(),
        install: !wishes.install.is_empty(),
        wipe: !wishes.wipe.is_empty(),
        key: wishes.key.clone(),
    })
}

async fn carry_on(State(ctx): State<Ctx>, visitor: Visitor, request: Request) -> Result<Response, Rejection> {
    let mut wishes = wishes_of(&sent(&ctx, request).await?);
    if wishes.then == "back" {
        return Ok(first(&ctx, &visitor, wishes).await?.into_response());
    }
    let order = order(&ctx, visitor.language, &wishes).await?;
    if wishes.then == "start" && wishes.trusted.is_empty() {
        let mut plan = mass_installation::preview(&ctx, &order, visitor.name()).await?;
        if plan.rows.iter().any(|row| row.what == RowWork::Adopt) {
            plan.problems.push(FieldProblem {
                field: "trusted".to_owned(),
                message: "say first that these machines are yours".to_owned(),
            });
            return Ok(show(&ctx, &visitor, wishes, plan, true).await?.into_response());
        }
    }
    if wishes.then == "start" {
        match mass_installation::begin(&ctx, &order, visitor.name()).await {
            Ok(mut plan) => {
                // The second press of the button gets the first one's answer, which has no passwords: they are in what was sent.
                let typed = sheet::read(&order.sheet).unwrap_or_default();
                for (row, typed) in plan.rows.iter_mut().zip(&typed) {
                    let password = typed.get(Column::Password);
                    if !password.is_empty() {
                        row.cells.insert(Column::Password.as_str().to_owned(), password.to_owned());
                    }
                }
                return Ok(show(&ctx, &visitor, wishes, plan, true).await?.into_response());
            }
            Err(Error::Invalid { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let plan = mass_installation::preview(&ctx, &order, visitor.name()).await?;
    if plan.rows.is_empty() {
        let mut plan = plan;
        if plan.problems.is_empty() {
            plan.problems
                .push(FieldProblem { field: "sheet".to_owned(), message: "names no machine".to_owned() });
        }
        return Ok(show(&ctx, &visitor, wishes, plan, false).await?.into_response());
    }
    wishes.sheet.clone_from(&plan.sheet);
    Ok(show(&ctx, &visitor, wishes, plan, true).await?.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn cells_that_were_mended_are_the_table() {
        let sent = words(&[
            ("sheet", "name;mac\nold;x\n"),
            ("cell.name", "pc-1"),
            ("cell.mac", "a"),
            ("cell.name", "pc-2"),
            ("cell.mac", ""),
        ]);
        let rows = sheet::read(&wishes_of(&sent).sheet).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (row.get(Column::Name), row.get(Column::Mac))).collect();
        assert_eq!(shown, [("pc-1", "a"), ("pc-2", "")]);
    }

    #[test]
    fn a_file_of_a_windows_spreadsheet_is_read() {
        assert_eq!(text_of(b"full_name\nM\xfcller\n"), "full_name\nMüller\n");
    }
}
