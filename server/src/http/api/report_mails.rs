//! Reports that are mailed by the calendar, and their sendings.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Rejection, tag};
use crate::{
    app::{
        report_mails::{self, NewReportMail},
        tag as content,
    },
    context::Ctx,
    domain::report_mail::{MailWish, ReportMail, Sending},
    http::extract::Json,
};

/// Sendings that are given.
const SENDINGS: i64 = 100;

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(send))
        .routes(routes!(sendings))
}

/// Reports that are mailed by the calendar, by name.
#[utoipa::path(get, path = "/report-mails", responses((status = 200, body = Vec<ReportMail>)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Vec<ReportMail>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(report_mails::list(&mut tx).await?))
}

/// Has a report mailed by the calendar.
#[utoipa::path(post, path = "/report-mails", request_body = NewReportMail, responses((status = 201, body = ReportMail)))]
async fn create(
    State(ctx): State<Ctx>,
    Json(new): Json<NewReportMail>,
) -> Result<(StatusCode, Json<ReportMail>), Rejection> {
    Ok((StatusCode::CREATED, Json(report_mails::create(&ctx, &new).await?)))
}

/// A report that is mailed.
#[utoipa::path(get, path = "/report-mails/{name}", responses((status = 200, body = ReportMail, headers(("ETag" = String, description = "Changes with what is sent, for `If-Match`.")))))]
async fn show(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    view(&ctx, &name).await
}

async fn view(ctx: &Ctx, name: &str) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let mail = report_mails::get(&mut tx, name).await?;
    Ok((tag::header(content::of(&mail.wish)), Json(mail)).into_response())
}

/// Changes what is sent, whole; its next period is counted from now.
#[utoipa::path(put, path = "/report-mails/{name}", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when it was changed since.")), request_body = MailWish, responses((status = 200, body = ReportMail)))]
async fn update(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wish): Json<MailWish>,
) -> Result<Response, Rejection> {
    report_mails::update(&ctx, &name, &wish, tag::expected(&headers)?.as_deref()).await?;
    view(&ctx, &name).await
}

/// Ends the mailing of a report.
#[utoipa::path(delete, path = "/report-mails/{name}", responses((status = 204)))]
async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    report_mails::delete(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the report now, beside its periods; the answer says whether the mail server took it.
#[utoipa::path(post, path = "/report-mails/{name}/send", responses((status = 204)))]
async fn send(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<StatusCode, Rejection> {
    report_mails::send_now(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sendings of a report, the newest period first.
#[utoipa::path(get, path = "/report-mails/{name}/sendings", responses((status = 200, body = Vec<Sending>)))]
async fn sendings(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Json<Vec<Sending>>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(report_mails::sendings(&mut tx, &name, SENDINGS).await?))
}
