//! The package cache: what lies in it, how its mirrors are, and what was refused.

use axum::{
    Form, Router,
    extract::{Query, State},
    response::Redirect,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::cache::{self, CleanWish, MirrorStatus},
    context::Ctx,
    domain::{layout::size::human, people::Role},
};

/// Files on the page.
const FILES: usize = 50;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/package-cache", get(show)).route("/package-cache/clean", post(clean))
}

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    search: String,
    #[serde(default)]
    removed: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    offline: bool,
    files: u64,
    size: String,
    limit: String,
    percent: u64,
    free: String,
    mirrors: Vec<MirrorView>,
    stored: Vec<FileView>,
    found: usize,
    search: String,
    removed: String,
    may_clean: bool,
}

#[derive(Serialize)]
struct MirrorView {
    name: String,
    condition: &'static str,
    chip: &'static str,
    since: Option<Moment>,
    why: String,
    path: String,
    answered: Option<Moment>,
    hits: u64,
    asked: u64,
    share: u64,
    served: String,
    fetched: String,
    refused: u64,
    suites: Vec<(String, Moment)>,
}

#[derive(Serialize)]
struct FileView {
    name: String,
    size: String,
    used: Moment,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Page, Rejection> {
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let status = cache::status(&ctx);
    let (stored, found) = cache::files(&ctx, asked.search.trim(), FILES);
    let view = View {
        page: visitor.frame("/package-cache"),
        offline: status.offline,
        files: status.files,
        size: human(status.bytes),
        limit: human(status.limit_bytes),
        percent: status.bytes.saturating_mul(100).checked_div(status.limit_bytes).unwrap_or(0),
        free: human(status.free_bytes),
        mirrors: status.mirrors.into_iter().map(|mirror| mirror_view(mirror, moment)).collect(),
        stored: stored
            .into_iter()
            .map(|file| FileView {
                name: file.name,
                size: human(file.size_bytes),
                used: moment(file.used_at),
            })
            .collect(),
        found,
        search: asked.search,
        removed: asked.removed.chars().filter(char::is_ascii_digit).collect(),
        may_clean: visitor.may(Role::Admin),
    };
    page(&ctx, &visitor, "pages/package-cache.html", &view)
}

fn mirror_view(mirror: MirrorStatus, moment: impl Fn(i64) -> Moment) -> MirrorView {
    let (condition, chip, since, why, path) = if mirror.lacks_keyring {
        ("keyless", "bad", None, String::new(), String::new())
    } else if let Some(since) = mirror.down_since {
        ("down", "bad", Some(since), mirror.down_why.unwrap_or_default(), String::new())
    } else if let Some(unfit) = mirror.unfit {
        ("unfit", "bad", Some(unfit.at), unfit.why, unfit.path)
    } else if mirror.answered_at.is_some() {
        ("well", "good", None, String::new(), String::new())
    } else {
        ("unasked", "", None, String::new(), String::new())
    };
    let hits = mirror.hits + mirror.joined;
    let asked = hits + mirror.misses;
    MirrorView {
        name: mirror.name,
        condition,
        chip,
        since: since.map(&moment),
        why,
        path,
        answered: mirror.answered_at.map(&moment),
        hits,
        asked,
        share: (hits * 100).checked_div(asked).unwrap_or(0),
        served: human(mirror.served_bytes),
        fetched: human(mirror.fetched_bytes),
        refused: mirror.refused,
        suites: mirror.suites.into_iter().map(|suite| (suite.path, moment(suite.dated_at))).collect(),
    }
}

#[derive(Deserialize)]
struct CleanForm {
    days: u32,
}

async fn clean(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<CleanForm>,
) -> Result<Redirect, Rejection> {
    let wish = CleanWish { unused_days: (form.days > 0).then_some(form.days), ..CleanWish::default() };
    let cleaned = cache::clean(&ctx, &wish, visitor.name()).await?;
    Ok(Redirect::to(&format!("/package-cache?removed={}", cleaned.files)))
}
