//! The audit: listed, exported, verified.

use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Rejection, view::Page};
use crate::{
    app::{
        Error,
        audit::{self, Filter, Head, Verdict},
    },
    context::Ctx,
    domain::audit::Entry,
    http::extract::Json,
};

/// Entries of an export that are read in one go.
const BATCH: i64 = 1000;

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(head))
        .routes(routes!(verify))
        .routes(routes!(export))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Entries with a smaller number than this one.
    before: Option<i64>,
    /// At most so many; up to 500.
    limit: Option<i64>,
    /// Who.
    actor: Option<String>,
    /// What: a whole action, or its part before the dot.
    action: Option<String>,
    /// With what: any part of it.
    object: Option<String>,
    /// Not before this time, microseconds since the Unix epoch.
    since: Option<i64>,
    /// Before this time, microseconds since the Unix epoch.
    until: Option<i64>,
}

/// What people have changed, newest first.
#[utoipa::path(get, path = "/audit", params(ListQuery), responses((status = 200, body = Page<Entry>)))]
async fn list(
    State(ctx): State<Ctx>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Entry>>, Rejection> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let filter = Filter {
        actor: query.actor,
        action: query.action,
        object: query.object,
        since: query.since,
        until: query.until,
    };
    let mut tx = ctx.db.read().await?;
    let mut items = audit::list(&mut tx, &filter, query.before.unwrap_or(i64::MAX), limit + 1).await?;
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| more).map(|last| last.seq.to_string());
    Ok(Json(Page { items, next }))
}

/// The end of the chain, signed; noted down elsewhere it proves later that nothing before it was rewritten.
#[utoipa::path(get, path = "/audit/head", responses((status = 200, body = Head)))]
async fn head(State(ctx): State<Ctx>) -> Result<Json<Head>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(audit::head(&ctx, &mut tx).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct VerifyQuery {
    /// An end that was noted down earlier: its number. Its hash belongs to it.
    seq: Option<i64>,
    /// Its hash.
    hash: Option<String>,
}

/// Looks through the whole chain, and names the first entry that is not as it was written.
#[utoipa::path(get, path = "/audit/verify", params(VerifyQuery), responses((status = 200, body = Verdict)))]
async fn verify(
    State(ctx): State<Ctx>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<Verdict>, Rejection> {
    let expected = match (query.seq, query.hash) {
        (Some(seq), Some(hash)) => Some((seq, hash)),
        (None, None) => None,
        _ => {
            return Err(Error::invalid(
                "an end that was noted down has a number and a hash",
                "give both, or none",
            )
            .into());
        }
    };
    Ok(Json(audit::verify(&ctx, expected.as_ref()).await?))
}

/// In which form an export is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::http) enum ExportFormat {
    /// One entry a line, as JSON.
    #[default]
    Jsonl,
    /// Comma-separated values (RFC 4180), with a head line.
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ExportQuery {
    /// `jsonl` or `csv`.
    #[serde(default)]
    #[param(inline)]
    format: ExportFormat,
    /// Entries after this number.
    #[serde(default)]
    after: i64,
}

/// All entries, oldest first, with everything that their hashes are made of.
#[utoipa::path(get, path = "/audit/export", params(ExportQuery), responses((status = 200, content((String = "application/jsonl"), (String = "text/csv")))))]
async fn export(State(ctx): State<Ctx>, Query(query): Query<ExportQuery>) -> Result<Response, Rejection> {
    Ok(exported(ctx, &query))
}

/// Written while it is read, so that it needs no memory.
pub(in crate::http) fn exported(ctx: Ctx, query: &ExportQuery) -> Response {
    let format = query.format;
    let (kind, name) = match format {
        ExportFormat::Jsonl => ("application/jsonl", "attachment; filename=\"audit.jsonl\""),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""),
    };
    let begin = (query.after, format == ExportFormat::Csv);
    let content = stream::try_unfold(begin, move |(after, headed)| {
        let ctx = ctx.clone();
        async move {
            let mut tx = ctx.db.read().await?;
            let entries = audit::after(&mut tx, after, BATCH).await?;
            let Some(last) = entries.last().map(|entry| entry.seq) else {
                let empty = headed.then(|| (format!("{COLUMNS}\r\n"), (after, false)));
                return Ok::<_, Error>(empty);
            };
            let mut text = if headed { format!("{COLUMNS}\r\n") } else { String::new() };
            for entry in &entries {
                match format {
                    ExportFormat::Jsonl => {
                        text +=
                            &serde_json::to_string(entry).map_err(|error| Error::Internal(error.into()))?;
                        text.push('\n');
                    }
                    ExportFormat::Csv => text += &csv_line(entry),
                }
            }
            Ok(Some((text, (last, false))))
        }
    });
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    (headers, Body::from_stream(content)).into_response()
}

const COLUMNS: &str = "seq,at,actor,via,address,request_id,action,object,before,after,hash";

fn csv_line(entry: &Entry) -> String {
    let cells = [
        entry.seq.to_string(),
        crate::clock::rfc3339(entry.at),
        entry.actor.clone(),
        entry.via.clone(),
        entry.address.clone(),
        entry.request_id.clone(),
        entry.action.clone(),
        entry.object.clone(),
        entry.before.clone().unwrap_or_default(),
        entry.after.clone().unwrap_or_default(),
        entry.hash.clone(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",") + "\r\n"
}

/// A cell in quotes; what a spreadsheet would take for a formula is made a text.
fn csv_cell(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{formula}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_can_neither_leave_its_quotes_nor_be_a_formula() {
        assert_eq!(csv_cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(csv_cell("=cmd|x"), "\"'=cmd|x\"");
    }
}
