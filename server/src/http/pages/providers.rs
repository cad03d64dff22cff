//! Providers: how each is, what is there, what is left over, whether desktops can be made; and pools of them.

mod form;
mod pools;

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Serialize;
use wire::problem::Problem;

use self::pools::PoolView;
use super::{
    super::problem,
    Rejection,
    desktops::Row as DesktopRow,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words::told,
};
use crate::{
    app::{
        Error, desktops, images as boot_iso,
        providers::{self, ProviderTest},
    },
    context::Ctx,
    db::providers::ProviderRecord,
    domain::{
        people::Role,
        provider::{ProviderDifference, SizeThere},
        provider_image::{ImageState, ProviderImage},
    },
    vm::AccountLimit,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/providers", get(list).post(pools::set))
        .route("/new-provider", get(form::new).post(form::create))
        .route("/providers/{name}", get(show).post(test))
        .route("/providers/{name}/edit", get(form::edit).post(form::save))
        .route("/providers/{name}/delete", post(delete))
        .route("/provider-pools/{name}/delete", post(pools::delete))
}

/// A provider in the list.
#[derive(Serialize)]
struct Row {
    name: String,
    endpoint: String,
    zone: String,
    standing: &'static str,
    /// The look of that.
    kind: &'static str,
    rests_until: String,
    problem: String,
    sizes: Vec<String>,
    desktops: i64,
    differences: usize,
    compared: Option<Moment>,
}

impl Row {
    fn new(ctx: &Ctx, record: &ProviderRecord, desktops: i64, language: &str) -> Self {
        let now = ctx.now();
        let rests = record.standing.rests_until > now;
        let (standing, kind) = match (record.wish.enabled, rests, record.standing.failures) {
            (false, ..) => ("off", ""),
            (true, true, _) => ("rests", "bad"),
            (true, false, 0) if record.compared_at == 0 => ("new", ""),
            (true, false, 0) => ("good", "good"),
            (true, false, _) => ("shaky", "warn"),
        };
        let full = |at| Moment::new(at, now, language).full().to_owned();
        Self {
            name: record.name.clone(),
            endpoint: record.wish.endpoint.clone(),
            zone: record.wish.zone.clone(),
            standing,
            kind,
            rests_until: if rests { full(record.standing.rests_until) } else { String::new() },
            problem: record.standing.problem.clone(),
            sizes: record.wish.sizes.keys().cloned().collect(),
            desktops,
            differences: record.differences.len(),
            compared: (record.compared_at > 0).then(|| Moment::new(record.compared_at, now, language)),
        }
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    providers: Vec<Row>,
    pools: Vec<PoolView>,
    /// The form of a pool that does not exist yet.
    fresh: Option<PoolView>,
    problem: Option<Problem>,
    may_change: bool,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    show_list(&ctx, &visitor, None).await
}

async fn show_list(ctx: &Ctx, visitor: &Visitor, problem: Option<Problem>) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let records = providers::list(&mut tx).await?;
    let loads: BTreeMap<i64, i64> = providers::loads(&mut tx).await?;
    let pools = providers::pools(&mut tx).await?;
    drop(tx);
    let names: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
    let row = |record: &ProviderRecord| {
        Row::new(ctx, record, loads.get(&record.id).copied().unwrap_or(0), visitor.language)
    };
    let view = ListView {
        page: visitor.frame("/providers"),
        providers: records.iter().map(row).collect(),
        fresh: (names.len() > 1).then(|| PoolView::fresh(&names)),
        pools: pools.iter().map(|pool| PoolView::new(pool, &names)).collect(),
        problem,
        may_change: visitor.may(Role::Admin),
    };
    page(ctx, visitor, "pages/providers.html", &view)
}

/// What a test has shown.
#[derive(Serialize)]
struct TestView {
    good: bool,
    version: String,
    limits: Vec<LimitView>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct LimitView {
    of: String,
    used: i64,
    limit: Option<i64>,
    full: bool,
}

impl TestView {
    fn new(ctx: &Ctx, test: ProviderTest, language: &str) -> Self {
        let answer = test.answer.unwrap_or_default();
        let limit = |limit: AccountLimit| LimitView {
            full: limit.limit.is_some_and(|most| limit.used >= most),
            of: limit.of,
            used: limit.used,
            limit: limit.limit,
        };
        Self {
            good: test.good,
            version: answer.version,
            limits: answer.limits.into_iter().map(limit).collect(),
            problems: test.problems.iter().map(|problem| told(ctx, language, problem)).collect(),
        }
    }
}

#[derive(Serialize)]
struct SizeRow {
    name: String,
    #[serde(flatten)]
    there: SizeThere,
}

/// Something there that is not as it is known here.
#[derive(Serialize)]
struct DifferenceRow {
    kind: &'static str,
    name: String,
    id: String,
    desktop: Option<String>,
}

impl DifferenceRow {
    fn new(difference: &ProviderDifference) -> Self {
        let ProviderDifference { kind, name, id, desktop, .. } = difference;
        Self { kind: kind.as_str(), name: name.clone(), id: id.clone(), desktop: desktop.clone() }
    }
}

/// A boot image of this server there.
#[derive(Serialize)]
struct ImageRow {
    name: String,
    state: &'static str,
    /// The look of that.
    kind: &'static str,
    said: String,
    percent: Option<i64>,
    since: Moment,
}

impl ImageRow {
    fn new(ctx: &Ctx, image: ProviderImage, language: &str) -> Self {
        Self {
            state: image.state.as_str(),
            kind: match image.state {
                ImageState::Intended | ImageState::Loading | ImageState::Leaving => "busy",
                ImageState::Ready => "good",
                ImageState::Failed => "bad",
            },
            said: told(ctx, language, &image.said),
            percent: image.percent,
            since: Moment::new(image.changed_at, ctx.now(), language),
            name: image.name,
        }
    }
}

#[derive(Serialize)]
struct ShowView {
    page: Frame,
    provider: Row,
    network: String,
    iso: String,
    hypervisor: String,
    project: String,
    address: String,
    ports: String,
    sources: String,
    trust: &'static str,
    sizes: Vec<SizeRow>,
    unknown: Vec<DifferenceRow>,
    missing: Vec<DifferenceRow>,
    images: Vec<ImageRow>,
    /// Something comes or goes, so the page looks again by itself.
    moves: bool,
    /// This server has no boot image, and the provider has none of its own choice.
    lacks_iso: bool,
    desktops: Vec<DesktopRow>,
    pools: Vec<String>,
    test: Option<TestView>,
    problem: Option<Problem>,
    may_change: bool,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    show_one(&ctx, &visitor, &name, None, None).await
}

async fn show_one(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    test: Option<ProviderTest>,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let sees = visitor.actor()?.sees();
    let mut tx = ctx.db.read().await?;
    let providers::ProviderView { record, images } = providers::view(&mut tx, name).await?;
    let has_iso = boot_iso::boot_iso(ctx, &mut tx).await.is_ok();
    let there = desktops::at(&mut tx, name, &sees).await?;
    let loads = providers::loads(&mut tx).await?;
    let pools = providers::pools(&mut tx).await?;
    drop(tx);
    let (missing, unknown): (Vec<_>, Vec<_>) =
        record.differences.iter().partition(|difference| difference.missing);
    let wish = &record.wish;
    let words = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let view = ShowView {
        page: visitor.frame("/providers"),
        provider: Row::new(ctx, &record, loads.get(&record.id).copied().unwrap_or(0), visitor.language),
        network: wish.network.clone(),
        iso: wish.iso.clone(),
        hypervisor: wish.hypervisor.clone(),
        project: wish.project.clone(),
        address: wish.address.clone(),
        ports: words(&wish.ports),
        sources: wish.sources.join(", "),
        trust: match (&wish.fingerprint, wish.ca_pem.is_empty()) {
            (Some(_), _) => "fingerprint",
            (None, false) => "ca",
            (None, true) => "system",
        },
        sizes: wish
            .sizes
            .iter()
            .map(|(name, there)| SizeRow { name: name.clone(), there: there.clone() })
            .collect(),
        unknown: unknown.into_iter().map(DifferenceRow::new).collect(),
        missing: missing.into_iter().map(DifferenceRow::new).collect(),
        lacks_iso: wish.iso.is_empty() && !has_iso,
        moves: images.iter().any(|image| !matches!(image.state, ImageState::Ready | ImageState::Failed)),
        images: images.into_iter().map(|image| ImageRow::new(ctx, image, visitor.language)).collect(),
        desktops: there.iter().map(|desktop| DesktopRow::new(ctx, desktop, visitor.language)).collect(),
        pools: pools
            .into_iter()
            .filter(|pool| pool.members.iter().any(|member| member.provider == name))
            .map(|pool| pool.name)
            .collect(),
        test: test.map(|test| TestView::new(ctx, test, visitor.language)),
        problem,
        may_change: visitor.may(Role::Admin),
    };
    page(ctx, visitor, "pages/provider.html", &view)
}

async fn test(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let test = providers::test(&ctx, &name).await?;
    show_one(&ctx, &visitor, &name, Some(test), None).await
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    match providers::delete(&ctx, &name).await {
        Ok(()) => Ok(Redirect::to("/providers").into_response()),
        Err(error @ Error::Conflict { .. }) => {
            let problem = Some(problem::shown(error));
            Ok(show_one(&ctx, &visitor, &name, None, problem).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}
