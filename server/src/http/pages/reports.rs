//! Reports: which there are, one as a table with its chart, and the same as a file for spreadsheets.

use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    chart::Chart,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        groups,
        reports::{self, ReportWish},
    },
    clock::SECOND,
    context::Ctx,
    domain::{
        layout::size::human,
        people::Role,
        report::{Cell, Kind, NAMES, Report, iso_day, shown_day},
    },
    http::api::as_csv,
};

const DAY: i64 = 86_400 * SECOND;
/// Rows of the page; the files have all.
const ROWS: usize = 500;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/reports", get(list)).route("/reports/{name}", get(show))
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    may_mail: bool,
    names: Vec<&'static str>,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let may_mail = may_mail(&visitor)?;
    let view = ListView { page: visitor.frame("/reports"), may_mail, names: NAMES.to_vec() };
    page(&ctx, &visitor, "pages/reports.html", &view)
}

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    group: String,
    #[serde(default)]
    days: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    format: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<CellView>>,
    count: usize,
    more: bool,
    notes: Vec<String>,
    chart: Option<Chart>,
    groups: Vec<String>,
    group: String,
    /// The report asks from which age on something counts.
    by_age: bool,
    days: i64,
    /// The report is about a time.
    by_time: bool,
    from: String,
    to: String,
    query: String,
    /// Where this report is made one that is mailed; nowhere for those who may not.
    mail: Option<String>,
}

/// Whether somebody may have reports mailed.
fn may_mail(visitor: &Visitor) -> Result<bool, Rejection> {
    Ok(visitor.actor()?.reach.everywhere >= Some(Role::Admin))
}

#[derive(Serialize)]
struct CellView {
    text: String,
    href: String,
    at: Option<Moment>,
    number: bool,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Rejection> {
    let by_time = ["failures", "changes"].contains(&name.as_str());
    let by_age = ["updates", "silent"].contains(&name.as_str());
    let now = ctx.now();
    let to_day = iso_day(&wanted.to).unwrap_or(now / DAY);
    let from_day = iso_day(&wanted.from).unwrap_or(to_day - 30);
    let wish = ReportWish {
        name: name.clone(),
        group: Some(wanted.group.clone()).filter(|group| !group.is_empty()),
        days: wanted.days.trim().parse().ok(),
        from: by_time.then_some(from_day.saturating_mul(DAY)),
        // The last day belongs to it.
        to: by_time.then_some(to_day.saturating_add(1).saturating_mul(DAY)),
    };
    let report = reports::make(&ctx, &wish, &visitor.actor()?.sees()).await?;
    match wanted.format.as_str() {
        "csv" => return Ok(as_csv(&report)),
        "json" => return Ok(axum::Json(report).into_response()),
        _ => {}
    }
    let groups = {
        let mut tx = ctx.db.read().await?;
        groups::list(&ctx, &mut tx, &visitor.actor()?.sees())
            .await?
            .into_iter()
            .map(|group| group.name)
            .collect()
    };
    let query =
        [("group", &wanted.group), ("days", &wanted.days), ("from", &wanted.from), ("to", &wanted.to)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("&{name}={}", query_encoded(value)))
            .collect::<Vec<_>>()
            .concat();
    let view = View {
        page: visitor.frame("/reports"),
        columns: report
            .columns
            .iter()
            .map(|column| (column.name.replace('_', "-"), is_number(column.kind)))
            .collect(),
        count: report.rows.len(),
        more: report.rows.len() > ROWS,
        notes: report.notes.clone(),
        chart: Chart::new(&report.days),
        rows: rows(&report, now, visitor.language),
        groups,
        group: wanted.group,
        by_age,
        days: wish.days.unwrap_or(if name == "silent" { 7 } else { 30 }),
        by_time,
        from: shown_day(from_day),
        to: shown_day(to_day),
        query,
        mail: may_mail(&visitor)?.then(|| format!("/report-mails?report={name}#new")),
        name,
    };
    Ok(page(&ctx, &visitor, "pages/report.html", &view)?.into_response())
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Number | Kind::Bytes)
}

fn rows(report: &Report, now: i64, language: &str) -> Vec<Vec<CellView>> {
    let view = |(cell, kind): (&Cell, Kind)| {
        let plain = |text: String| CellView { text, href: String::new(), at: None, number: is_number(kind) };
        match (cell, kind) {
            (Cell::Nothing, _) => plain(String::new()),
            (Cell::Number(at), Kind::Time) => {
                CellView { at: Some(Moment::new(*at, now, language)), ..plain(String::new()) }
            }
            (Cell::Number(bytes), Kind::Bytes) => plain(human(u64::try_from(*bytes).unwrap_or(0))),
            (Cell::Number(number), _) => plain(number.to_string()),
            (Cell::Text(name), Kind::Client) => {
                CellView { href: format!("/clients/{name}"), ..plain(name.clone()) }
            }
            (Cell::Text(text), _) => plain(text.clone()),
        }
    };
    let kinds: Vec<Kind> = report.columns.iter().map(|column| column.kind).collect();
    report
        .rows
        .iter()
        .take(ROWS)
        .map(|row| row.iter().zip(kinds.iter().copied()).map(view).collect())
        .collect()
}
