//! Reports as JSON and CSV.

use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::reports::{self, ReportWish},
    context::Ctx,
    domain::report::{NAMES, Report},
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(make))
}

/// Names of the reports.
#[utoipa::path(get, path = "/reports", responses((status = 200, body = Vec<String>)))]
async fn list() -> Json<Vec<String>> {
    Json(NAMES.map(str::to_owned).to_vec())
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// With what each column holds.
    #[default]
    Json,
    /// For spreadsheets (RFC 4180).
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    /// Only members of this group.
    group: Option<String>,
    /// Older than so many days counts as overdue or silent.
    days: Option<i64>,
    /// What happened from this time on, microseconds since the Unix epoch.
    from: Option<i64>,
    /// What happened before this time, microseconds since the Unix epoch.
    to: Option<i64>,
    /// JSON or CSV.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A report about the clients that whoever asks sees. With `format=csv` the answer is `text/csv`.
#[utoipa::path(get, path = "/reports/{name}", params(ReportQuery), responses((status = 200, content((Report = "application/json"), (String = "text/csv")))))]
async fn make(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Rejection> {
    let wish = ReportWish { name, group: query.group, days: query.days, from: query.from, to: query.to };
    let report = reports::make(&ctx, &wish, &actor.sees()).await?;
    Ok(match query.format {
        Format::Json => Json(report).into_response(),
        Format::Csv => as_csv(&report),
    })
}

/// A report as a file that a browser keeps.
pub(in crate::http) fn as_csv(report: &Report) -> Response {
    let name = format!("attachment; filename=\"{}.csv\"", report.name);
    (
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)],
        report.to_csv(),
    )
        .into_response()
}
