//! Reports that are mailed by the calendar: which there are, one with its sendings, and the form for both.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::FieldProblem;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error, groups,
        report_mails::{self, NewReportMail},
    },
    clock,
    context::Ctx,
    domain::{
        report::NAMES,
        report_mail::{Every, MailWish, ReportMail, Sending},
    },
};

/// Sendings that are shown.
const SENDINGS: i64 = 30;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/report-mails", get(list).post(create))
        .route("/report-mails/{name}", get(show).post(update))
        .route("/report-mails/{name}/send", post(send))
        .route("/report-mails/{name}/delete", post(delete))
}

/// A report mail as it is typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct MailForm {
    name: String,
    report: String,
    group: String,
    days: String,
    every: String,
    weekday: String,
    day: String,
    time: String,
    time_zone: String,
    to: String,
    language: String,
    when_empty: String,
    enabled: String,
}

impl MailForm {
    fn empty(report: &str, language: &str) -> Self {
        Self {
            report: report.to_owned(),
            every: "weekly".to_owned(),
            weekday: "1".to_owned(),
            day: "1".to_owned(),
            time: "07:00".to_owned(),
            time_zone: if language == "de" { "Europe/Berlin" } else { "UTC" }.to_owned(),
            language: language.to_owned(),
            when_empty: "1".to_owned(),
            enabled: "1".to_owned(),
            ..Self::default()
        }
    }

    fn of(mail: &ReportMail) -> Self {
        let wish = &mail.wish;
        let mark = |is_so: bool| if is_so { "1".to_owned() } else { String::new() };
        Self {
            name: mail.name.clone(),
            report: wish.report.clone(),
            group: wish.group.clone().unwrap_or_default(),
            days: wish.days.map(|days| days.to_string()).unwrap_or_default(),
            every: wish.every.as_str().to_owned(),
            weekday: wish.weekday.to_string(),
            day: wish.day.to_string(),
            time: wish.time.clone(),
            time_zone: wish.time_zone.clone(),
            to: wish.to.join(" "),
            language: wish.language.clone(),
            when_empty: mark(wish.when_empty),
            enabled: mark(wish.enabled),
        }
    }

    fn wish(&self) -> MailWish {
        let words = self.to.split([' ', ',', ';', '\n', '\r', '\t']).filter(|word| !word.is_empty());
        MailWish {
            report: self.report.clone(),
            group: Some(self.group.clone()).filter(|group| !group.is_empty()),
            // What is no number is refused by its field.
            days: Some(self.days.trim())
                .filter(|days| !days.is_empty())
                .map(|days| days.parse().unwrap_or(-1)),
            every: match self.every.as_str() {
                "daily" => Every::Daily,
                "monthly" => Every::Monthly,
                _ => Every::Weekly,
            },
            weekday: self.weekday.trim().parse().unwrap_or(0),
            day: self.day.trim().parse().unwrap_or(0),
            time: self.time.trim().to_owned(),
            time_zone: self.time_zone.trim().to_owned(),
            to: words.map(str::to_owned).collect(),
            language: self.language.clone(),
            when_empty: !self.when_empty.is_empty(),
            enabled: !self.enabled.is_empty(),
        }
    }
}

/// When something will be, exactly.
fn exactly(at: i64) -> String {
    clock::rfc3339(at).replace('T', " ").replace('Z', " UTC")
}

#[derive(Serialize)]
struct Row {
    name: String,
    report: String,
    group: Option<String>,
    every: &'static str,
    to: String,
    next: String,
    enabled: bool,
}

/// What has just happened on a page.
#[derive(Default)]
struct News {
    form: Option<MailForm>,
    faults: Vec<FieldProblem>,
    problem: Option<String>,
    told: Option<&'static str>,
}

impl News {
    /// What a person can mend; everything else is an error page.
    fn of(form: MailForm, error: Error) -> Result<Self, Rejection> {
        match error {
            Error::Invalid { title, fields, .. } => {
                Ok(Self { form: Some(form), faults: fields, problem: Some(title), ..Self::default() })
            }
            error @ (Error::Conflict { .. } | Error::NotFound { .. }) => {
                Ok(Self { form: Some(form), problem: Some(error.to_string()), ..Self::default() })
            }
            error => Err(error.into()),
        }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    /// Empty for the list.
    name: String,
    mails: Vec<Row>,
    sendings: Vec<SendingView>,
    next: String,
    form: MailForm,
    reports: [&'static str; NAMES.len()],
    groups: Vec<String>,
    faults: BTreeMap<String, String>,
    problem: Option<String>,
    told: Option<&'static str>,
}

#[derive(Serialize)]
struct SendingView {
    period: String,
    state: String,
    kind: &'static str,
    rows: Option<i64>,
    attempts: i64,
    error: String,
    at: Option<Moment>,
}

fn sending_view(sending: Sending, now: i64, language: &str) -> SendingView {
    SendingView {
        period: exactly(sending.period_at),
        kind: match sending.state.as_str() {
            "sent" => "good",
            "given-up" | "unknown" => "bad",
            _ if sending.attempts > 0 => "warn",
            _ => "",
        },
        state: sending.state,
        rows: sending.rows,
        attempts: sending.attempts,
        error: sending.error,
        at: sending.finished_at.map(|at| Moment::new(at, now, language)),
    }
}

async fn view(ctx: &Ctx, visitor: &Visitor, name: &str, news: News, report: &str) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let groups = groups::list(ctx, &mut tx, &visitor.actor()?.sees()).await?;
    let mut view = View {
        page: visitor.frame("/reports"),
        name: name.to_owned(),
        mails: Vec::new(),
        sendings: Vec::new(),
        next: String::new(),
        form: MailForm::empty(report, visitor.language),
        reports: NAMES,
        groups: groups.into_iter().map(|group| group.name).collect(),
        faults: news.faults.into_iter().map(|fault| (fault.field, fault.message)).collect(),
        problem: news.problem,
        told: news.told,
    };
    if name.is_empty() {
        let row = |mail: ReportMail| Row {
            name: mail.name,
            every: mail.wish.every.as_str(),
            to: mail.wish.to.join(", "),
            report: mail.wish.report,
            group: mail.wish.group,
            next: exactly(mail.next_at),
            enabled: mail.wish.enabled,
        };
        view.mails = report_mails::list(&mut tx).await?.into_iter().map(row).collect();
    } else {
        let mail = report_mails::get(&mut tx, name).await?;
        let sendings = report_mails::sendings(&mut tx, name, SENDINGS).await?;
        let shown = |sending| sending_view(sending, ctx.now(), visitor.language);
        view.sendings = sendings.into_iter().map(shown).collect();
        view.next = exactly(mail.next_at);
        view.form = MailForm::of(&mail);
    }
    if let Some(form) = news.form {
        view.form = form;
    }
    let template = if name.is_empty() { "pages/report-mails.html" } else { "pages/report-mail.html" };
    page(ctx, visitor, template, &view)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    report: String,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let report = NAMES.into_iter().find(|name| *name == wanted.report).unwrap_or(NAMES[0]);
    view(&ctx, &visitor, "", News::default(), report).await
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<MailForm>,
) -> Result<Response, Rejection> {
    let new = NewReportMail { name: form.name.trim().to_owned(), wish: form.wish() };
    match report_mails::create(&ctx, &new).await {
        Ok(mail) => Ok(Redirect::to(&format!("/report-mails/{}", mail.name)).into_response()),
        Err(error) => Ok(view(&ctx, &visitor, "", News::of(form, error)?, NAMES[0]).await?.into_response()),
    }
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    view(&ctx, &visitor, &name, News::default(), NAMES[0]).await
}

async fn update(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<MailForm>,
) -> Result<Page, Rejection> {
    let news = match report_mails::update(&ctx, &name, &form.wish(), None).await {
        Ok(()) => News { told: Some("report-mail-saved"), ..News::default() },
        Err(error) => News::of(form, error)?,
    };
    view(&ctx, &visitor, &name, news, NAMES[0]).await
}

async fn send(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let news = match report_mails::send_now(&ctx, &name).await {
        Ok(()) => News { told: Some("report-mail-sent-now"), ..News::default() },
        Err(error @ Error::Unavailable { .. }) => {
            News { problem: Some(error.to_string()), ..News::default() }
        }
        Err(error) => return Err(error.into()),
    };
    view(&ctx, &visitor, &name, news, NAMES[0]).await
}

async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Redirect, Rejection> {
    report_mails::delete(&ctx, &name).await?;
    Ok(Redirect::to("/report-mails"))
}
