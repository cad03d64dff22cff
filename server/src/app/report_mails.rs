//! Reports that are mailed by the calendar: made, changed, sent.
//!
//! Invariant: a report is sent at most once a period, whatever ends when and however many servers there are. The period moves on in the
//! transaction that makes its sending, and a sending is taken before anything leaves; one of which nobody knows whether it has left is
//! not repeated. Only what certainly did not leave is tried again.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use wire::problem::FieldProblem;

use super::{Error, groups, notices, reports, settings, tag};
use crate::{
    clock::{self, SECOND},
    context::Ctx,
    db::{Tx, audit, events, report_mails},
    delivery::{self, mail},
    domain::{
        client::is_name,
        layout::size::human,
        notice::pause,
        reach::Sees,
        report::{Cell, Kind, Report},
        report_mail::{MailWish, ReportMail, Sending},
        settings::{MAIL_FROM, RETENTION_NOTICE_DAYS},
    },
};

/// So long a server may take to make and send one report; then another one gives the sending up.
const TAKEN_FOR: i64 = 600 * SECOND;
/// After so many attempts a sending is given up: about a day.
const ATTEMPTS: i64 = 16;
/// Larger files are taken by few mail servers.
const LARGEST: usize = 10 << 20;
/// Rows that stand in the text; the file has all.
const ROWS: usize = 25;

/// A report mail to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewReportMail {
    /// Its name.
    pub name: String,
    /// What is sent.
    #[serde(flatten)]
    pub wish: MailWish,
}

/// A report mail that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<ReportMail, Error> {
    report_mails::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("report mail {name}")))
}

/// All report mails by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<ReportMail>, Error> {
    Ok(report_mails::list(tx).await?)
}

/// The newest sendings of a report mail.
///
/// # Errors
/// There is no such report mail.
pub async fn sendings(tx: &mut Tx, name: &str, limit: i64) -> Result<Vec<Sending>, Error> {
    let mail = get(tx, name).await?;
    Ok(report_mails::sendings(tx, mail.id, limit).await?)
}

/// Checks a wish, and gives when its next period begins.
async fn check(ctx: &Ctx, tx: &mut Tx, wish: &MailWish) -> Result<i64, Error> {
    let wrong = wish.check();
    if !wrong.is_empty() {
        return Err(Error::fields("the report cannot be sent like this", wrong));
    }
    if let Some(group) = &wish.group {
        groups::get(ctx, tx, group).await?;
    }
    wish.next(ctx.now())
        .ok_or_else(|| Error::invalid("the report would never be sent", "choose another time"))
}

/// Makes a report mail.
///
/// # Errors
/// Fields are wrong, or the name is taken.
pub async fn create(ctx: &Ctx, new: &NewReportMail) -> Result<ReportMail, Error> {
    if !is_name(&new.name) {
        let message = "must have small letters, digits and hyphens".to_owned();
        let field = FieldProblem { field: "name".to_owned(), message };
        return Err(Error::fields(format!("`{}` cannot be a name", new.name), vec![field]));
    }
    let mut tx = ctx.db.write().await?;
    let next_at = check(ctx, &mut tx, &new.wish).await?;
    if report_mails::find(&mut tx, &new.name).await?.is_some() {
        return Err(Error::conflict(
            format!("report mail {} exists already", new.name),
            "change it, or choose another name",
        ));
    }
    report_mails::create(&mut tx, &new.name, &new.wish, next_at, ctx.now()).await?;
    audit::note(&mut tx, "report-mail.create", &object(&new.name), &(), &new.wish).await?;
    let mail = get(&mut tx, &new.name).await?;
    tx.commit().await?;
    Ok(mail)
}

fn object(name: &str) -> String {
    format!("report mail {name}")
}

/// Changes what is sent, with `expected` only when that is still what it was.
///
/// # Errors
/// There is no such report mail, fields are wrong, or [`Error::Stale`].
pub async fn update(ctx: &Ctx, name: &str, wish: &MailWish, expected: Option<&str>) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let mail = get(&mut tx, name).await?;
    tag::check(&object(name), &mail.wish, expected)?;
    let next_at = check(ctx, &mut tx, wish).await?;
    report_mails::update(&mut tx, mail.id, wish, next_at).await?;
    audit::note(&mut tx, "report-mail.change", &object(name), &mail.wish, wish).await?;
    Ok(tx.commit().await?)
}

/// Removes a report mail.
///
/// # Errors
/// There is no such report mail.
pub async fn delete(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let mail = get(&mut tx, name).await?;
    report_mails::delete(&mut tx, mail.id).await?;
    audit::note(&mut tx, "report-mail.delete", &object(name), &mail.wish, &()).await?;
    Ok(tx.commit().await?)
}

/// Sends a report now, beside its periods, and waits for it.
///
/// # Errors
/// It did not arrive, with the reason.
pub async fn send_now(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let mail = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    let now = ctx.now();
    let id = format!("report_{}_{}", mail.id, uuid::Uuid::new_v4().simple());
    let sent = send(ctx, &mail, &id, now).await;
    let result = match &sent {
        Ok(_) => "sent".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let mut tx = ctx.db.write().await?;
    audit::note(&mut tx, "report-mail.send", &object(name), &(), &json!({ "result": result })).await?;
    tx.commit().await?;
    sent.map(drop).map_err(|error| Error::Unavailable {
        title: format!("the report {name} was not sent: {error:#}"),
        remedy: "look at the mail settings, and at what the configuration says about notices".to_owned(),
    })
}

/// Puts reports on their way whose period has begun, and sends what is due.
///
/// # Errors
/// The database refuses; that a report does not arrive is none.
pub async fn work(ctx: &Ctx) -> Result<(), Error> {
    loop {
        let now = ctx.now();
        let due = {
            let mut tx = ctx.db.read().await?;
            if !report_mails::any_work(&mut tx, now).await? {
                return Ok(());
            }
            report_mails::due(&mut tx, now).await?
        };
        let mut tx = ctx.db.write().await?;
        for mail in due {
            // Periods that nobody was there for are one.
            let next_at = mail.wish.next(now).unwrap_or(i64::MAX);
            if report_mails::go_on(&mut tx, &mail, next_at).await? && mail.wish.enabled {
                report_mails::post(&mut tx, mail.id, mail.next_at, now).await?;
            }
        }
        let reason = "the server ended while it was being sent; it may have arrived, so it is not sent again";
        report_mails::abandon(&mut tx, reason, now).await?;
        let taken = report_mails::take(&mut tx, now, now + TAKEN_FOR).await?;
        let mail = match &taken {
            Some(sending) => report_mails::by_id(&mut tx, sending.mail).await?,
            None => None,
        };
        tx.commit().await?;
        if let (Some(sending), Some(mail)) = (taken, mail) {
            let id = format!("report_{}_{}", mail.id, sending.period_at);
            let sent = send(ctx, &mail, &id, sending.period_at).await;
            note(ctx, &mail, &sending, sent).await?;
        }
    }
}

async fn note(
    ctx: &Ctx,
    mail: &ReportMail,
    sending: &Sending,
    sent: anyhow::Result<i64>,
) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    match sent {
        Ok(rows) => report_mails::finish(&mut tx, sending.id, "sent", "", Some(rows), now).await?,
        Err(error) => {
            let reason: String = format!("{error:#}").chars().take(1000).collect();
            let unanswered = error
                .downcast_ref::<delivery::Error>()
                .is_some_and(|error| matches!(error, delivery::Error::Unanswered { .. }));
            let superseded = mail.wish.next(sending.period_at).is_some_and(|next| next <= now);
            if unanswered || superseded || sending.attempts >= ATTEMPTS {
                let state = if unanswered { "unknown" } else { "given-up" };
                tracing::error!(report = mail.name, reason, "a report was not sent");
                report_mails::finish(&mut tx, sending.id, state, &reason, None, now).await?;
                let detail = format!("{}: {reason}", object(&mail.name));
                events::add(&mut tx, "notice.given-up", None, None, "server", &detail, now).await?;
            } else {
                tracing::warn!(report = mail.name, reason, "a report was not sent, and is tried again");
                report_mails::again(&mut tx, sending.id, &reason, now + pause(sending.attempts)).await?;
            }
        }
    }
    Ok(tx.commit().await?)
}

/// Makes a report and sends it once; gives its rows.
async fn send(ctx: &Ctx, mail: &ReportMail, id: &str, period_at: i64) -> anyhow::Result<i64> {
    let wish = &mail.wish;
    let asked = reports::ReportWish {
        name: wish.report.clone(),
        group: wish.group.clone(),
        days: wish.days,
        // What happened since the period before.
        from: wish.previous(period_at),
        to: Some(period_at),
    };
    let report = reports::make(ctx, &asked, &Sees::Everything).await?;
    let rows = i64::try_from(report.rows.len()).unwrap_or(i64::MAX);
    if rows == 0 && !wish.when_empty {
        return Ok(0);
    }
    let set = {
        let mut tx = ctx.db.read().await?;
        settings::current(&mut tx).await?
    };
    let server = notices::mail_server(ctx, &set)?;
    let csv = report.to_csv();
    anyhow::ensure!(
        csv.len() <= LARGEST,
        "the report is larger than {}: choose a group",
        human(LARGEST as u64)
    );
    let view = View::new(ctx, mail, &report);
    let write = |name: &str| ctx.pages.render(&wish.language, name, &view).context("writing the mail");
    let day: String = clock::rfc3339(report.made_at).chars().take(10).collect();
    let message = mail::Mail {
        id,
        from: &set.text(&MAIL_FROM),
        to: &wish.to,
        subject: write("mails/report-subject.txt")?.trim().to_owned(),
        text: write("mails/report.txt")?,
        attachment: Some(mail::Attachment { name: format!("{}-{day}.csv", mail.name), csv }),
    };
    mail::send(&server, &message).await?;
    Ok(rows)
}

/// What the template of a mail is given.
#[derive(Serialize)]
struct View {
    name: String,
    report: String,
    group: Option<String>,
    made_at: String,
    count: usize,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    left_out: usize,
    notes: Vec<String>,
    server: String,
}

impl View {
    fn new(ctx: &Ctx, mail: &ReportMail, report: &Report) -> Self {
        let time = |at: i64| clock::rfc3339(at).replace('T', " ").replace('Z', " UTC");
        let cell = |(cell, kind): (&Cell, Kind)| match (cell, kind) {
            (Cell::Nothing, _) => "-".to_owned(),
            (Cell::Number(at), Kind::Time) => time(*at),
            (Cell::Number(bytes), Kind::Bytes) => human(u64::try_from(*bytes).unwrap_or(0)),
            (Cell::Number(number), _) => number.to_string(),
            // One line stays one line.
            (Cell::Text(text), _) => text.replace(char::is_control, " ").chars().take(80).collect(),
        };
        let kinds: Vec<Kind> = report.columns.iter().map(|column| column.kind).collect();
        let row = |row: &Vec<Cell>| row.iter().zip(kinds.iter().copied()).map(cell).collect();
        Self {
            name: mail.name.clone(),
            report: report.name.clone(),
            group: report.group.clone(),
            made_at: time(report.made_at),
            count: report.rows.len(),
            columns: report.columns.iter().map(|column| column.name.replace('_', "-")).collect(),
            rows: report.rows.iter().take(ROWS).map(row).collect(),
            left_out: report.rows.len().saturating_sub(ROWS),
            notes: report.notes.clone(),
            server: ctx.addresses.https.clone(),
        }
    }
}

/// Forgets sendings that ended long ago.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let days = settings::current(&mut tx).await?.number(&RETENTION_NOTICE_DAYS);
    // A year of monthly ones is little, and worth to be seen.
    report_mails::prune(&mut tx, ctx.now() - days.max(400) * 24 * 3600 * SECOND).await?;
    Ok(tx.commit().await?)
}
