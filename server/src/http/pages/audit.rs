//! The audit: who changed what, with what was before and after.

use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, macros::format_description};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::audit::{self, Filter, Head, Verdict},
    clock::{self, SECOND},
    context::Ctx,
    domain::audit::{Difference, Entry, differences},
    http::api::audit::{ExportQuery, exported},
};

/// Entries of one page.
const ROWS: i64 = 50;
const DAY: i64 = 24 * 3600 * SECOND;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/audit", get(list)).route("/audit/export", get(export))
}

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Wanted {
    actor: String,
    action: String,
    object: String,
    from: String,
    to: String,
    before: String,
    verify: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    entries: Vec<EntryView>,
    wanted: Wanted,
    filtered: bool,
    actors: Vec<String>,
    actions: Vec<String>,
    next: Option<String>,
    head: Head,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct EntryView {
    seq: i64,
    at: Moment,
    actor: String,
    via: String,
    address: String,
    request_id: String,
    action: String,
    key: String,
    object: String,
    differences: Vec<Difference>,
    hash: String,
}

impl EntryView {
    fn new(entry: Entry, now: i64, language: &str) -> Self {
        Self {
            differences: differences(entry.before.as_deref(), entry.after.as_deref()),
            at: Moment::new(entry.at, now, language),
            key: entry.action.replace('.', "-"),
            seq: entry.seq,
            actor: entry.actor,
            via: entry.via,
            address: entry.address,
            request_id: entry.request_id,
            action: entry.action,
            object: entry.object,
            hash: entry.hash,
        }
    }
}

/// Midnight (UTC) of a day as a browser's date field writes it.
fn midnight(text: &str) -> Option<i64> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    Some(clock::micros(OffsetDateTime::new_utc(date, time::Time::MIDNIGHT)))
}

fn some(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let filter = Filter {
        actor: some(&wanted.actor),
        action: some(&wanted.action),
        object: some(&wanted.object),
        since: midnight(&wanted.from),
        until: midnight(&wanted.to).map(|at| at + DAY),
    };
    let verdict = if wanted.verify.is_empty() { None } else { Some(audit::verify(&ctx, None).await?) };
    let mut tx = ctx.db.read().await?;
    let before = wanted.before.parse().unwrap_or(i64::MAX);
    let mut found = audit::list(&mut tx, &filter, before, ROWS + 1).await?;
    let more = found.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(ROWS).unwrap_or(0));
    let (actions, actors) = audit::words(&mut tx).await?;
    let next = found.last().filter(|_| more).map(|last| {
        let pairs = [
            ("actor", &wanted.actor),
            ("action", &wanted.action),
            ("object", &wanted.object),
            ("from", &wanted.from),
            ("to", &wanted.to),
        ];
        let kept: Vec<_> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}&", query_encoded(value)))
            .collect();
        format!("/audit?{}before={}", kept.concat(), last.seq)
    });
    let now = ctx.now();
    let view = View {
        page: visitor.frame("/audit"),
        filtered: [&wanted.actor, &wanted.action, &wanted.object, &wanted.from, &wanted.to, &wanted.before]
            .iter()
            .any(|text| !text.is_empty()),
        entries: found.into_iter().map(|entry| EntryView::new(entry, now, visitor.language)).collect(),
        head: audit::head(&ctx, &mut tx).await?,
        wanted,
        actors,
        actions,
        next,
        verdict,
    };
    page(&ctx, &visitor, "pages/audit.html", &view)
}

async fn export(State(ctx): State<Ctx>, Query(query): Query<ExportQuery>) -> Response {
    exported(ctx, &query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_nonsense_is_no_day() {
        assert_eq!(midnight("2027-01-15"), Some(1_799_971_200 * SECOND));
        assert_eq!(midnight("2027-13-15"), None);
        assert_eq!(midnight(""), None);
    }
}
