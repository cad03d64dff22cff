//! One client: its three answers, its way here, its jobs live, its hardware, its history; and what can be done with it.

mod adopt;
mod change;
mod edit;
pub(super) mod hardware;
mod install;
mod order;
mod packages;
mod watched;

use std::collections::HashMap;

use axum::{
    Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use self::{
    hardware::{FactsView, facts_view},
    watched::{Watched, in_reading_order},
};
use super::{
    Rejection,
    clients::Status,
    frame::{Frame, Page, Visitor, page},
    jobs::kind_of,
    moment::Moment,
    words::{WaitView, actor_name, event_detail, grouped, job_title},
};
use crate::{
    app::{
        boot_timeline, clients, consoles, desktops, images, inventory, job_records,
        notes::{self, Note, ServerEvent},
        selections::{self, Standing},
    },
    context::Ctx,
    domain::{
        boot::{BootEvent, BootEventKind, Expectation},
        client::{Ipv4Method, Stage},
        client_status::Health,
        integration::SystemOrigin,
        inventory::Inventory,
        people::Role,
        search::version,
    },
};

/// Jobs that are shown.
const JOBS: i64 = 15;
/// Lines of history that are shown.
const HISTORY: i64 = 30;
/// Lines of the boot timeline that are shown.
const TIMELINE: usize = 30;
/// Those of them that are seen at once; the rest is folded up.
const LATEST: usize = 12;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}", get(show))
        .merge(adopt::router())
        .merge(change::router())
        .merge(edit::router())
        .merge(install::router())
        .merge(order::router())
        .merge(packages::router())
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct View {
    page: Frame,
    name: String,
    status: Status,
    alarm: bool,
    rescue: bool,
    was_installed: bool,
    /// It is a virtual machine whose console is seen here.
    console: bool,
    /// Where it is in its life as a desktop; none of a client that is no desktop.
    desktop: Option<&'static str>,
    /// It was taken over with its system.
    integrated: bool,
    looked_up: String,
    may: May,
    fingerprint: Option<String>,
    seen: Option<Moment>,
    macs: Vec<String>,
    groups: Vec<String>,
    distribution: String,
    layout: String,
    network: String,
    users: Vec<String>,
    agent_version: String,
    /// The version that this server has, when it is newer.
    agent_newer: Option<String>,
    facts: Option<FactsView>,
    facts_at: Option<Moment>,
    inventory: Option<Inventory>,
    selections: Vec<Standing>,
    earlier: Vec<LineView>,
    timeline: Vec<LineView>,
    expected: Option<Expectation>,
    jobs: Vec<JobRow>,
    watched: Option<Watched>,
    notes: Vec<NoteView>,
    history: Vec<HistoryView>,
}

/// What somebody may do with a client or a job.
#[derive(Serialize)]
pub(super) struct May {
    pub(super) help: bool,
    pub(super) operate: bool,
    delete: bool,
}

impl May {
    pub(super) fn of(role: Option<Role>) -> Self {
        Self {
            help: role >= Some(Role::Helpdesk),
            operate: role >= Some(Role::Operator),
            delete: role >= Some(Role::Admin),
        }
    }
}

#[derive(Serialize)]
struct LineView {
    at: Moment,
    kind: &'static str,
    refused: bool,
    detail: String,
}

#[derive(Serialize)]
struct JobRow {
    id: i64,
    title: String,
    state: &'static str,
    kind: &'static str,
    why: String,
    waits: Option<WaitView>,
    at: Moment,
}

#[derive(Serialize)]
struct NoteView {
    id: i64,
    text: String,
    by: String,
    at: Moment,
}

#[derive(Serialize)]
struct HistoryView {
    kind: String,
    detail: String,
    by: String,
    job: Option<i64>,
    /// What that job is called.
    title: String,
    at: Moment,
}

/// Packages that somebody has looked up, for the form that installs them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LookedUp {
    packages: String,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(looked_up): Query<LookedUp>,
) -> Result<Page, Rejection> {
    let (now, language) = (ctx.now(), visitor.language);
    let moment = |at| Moment::new(at, now, language);
    let timeline = boot_timeline::of_client(&ctx, &name).await?;
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let role = visitor.actor()?.reach.on(&client.groups);
    let desktop = desktops::of_client(&mut tx, client.id).await?.map(|desktop| desktop.state.as_str());
    let console = consoles::place(&mut tx, &name).await?.is_some();
    let inventory = inventory::summary(&mut tx, client.id).await?;
    let newest_agent = images::agent_version(&mut tx).await?;
    let selections = selections::of_client(&mut tx, &name).await?;
    let standing = clients::standing(&ctx, &mut tx, client).await?;
    let wanted = job_records::Wanted { client: Some(name.clone()), ..job_records::Wanted::default() };
    let records = job_records::list(&ctx, &mut tx, &visitor.actor()?.sees(), &wanted, i64::MAX, JOBS).await?;
    let watched = watched::find(&ctx, &mut tx, language, &records).await?;
    let rescue = records.iter().any(|record| record.job.job_type == "rescue" && !record.job.state.is_final());
    let titles: HashMap<i64, String> = records
        .iter()
        .map(|record| (record.job.id.0, job_title(&ctx, language, &record.job.job_type)))
        .collect();
    let jobs = job_rows(&ctx, language, records, &moment);
    let notes = notes::list(&mut tx, &name).await?;
    let history = notes::history(&mut tx, &name, i64::MAX, HISTORY).await?;
    let client = &standing.client;
    let waits_for_adoption = client.announced_key.is_some() && client.announced_key != client.adopted_key;
    let lines = timeline.lines.len().saturating_sub(TIMELINE);
    let mut seen: Vec<LineView> =
        timeline.lines.iter().skip(lines).map(|line| line_view(line, &moment)).collect();
    let view = View {
        page: visitor.frame("/clients"),
        status: Status::new(&ctx, &standing, language),
        alarm: matches!(standing.health, Health::Critical { .. }) && client.alarm.is_some(),
        rescue,
        console: console && role >= Some(consoles::LEAST_ROLE),
        desktop,
        integrated: standing.origin == SystemOrigin::Integrated,
        looked_up: looked_up.packages,
        was_installed: matches!(client.stage, Stage::Installing | Stage::Installed),
        may: May::of(role),
        fingerprint: client.announced_key.as_ref().filter(|_| waits_for_adoption).map(grouped),
        seen: client.last_seen_at.map(moment),
        macs: client.macs.iter().map(ToString::to_string).collect(),
        groups: standing.groups.clone(),
        distribution: client.config.distribution.clone(),
        layout: client.config.layout.clone(),
        network: match client.config.network.interfaces.first().map(|interface| &interface.ipv4) {
            Some(Ipv4Method::Static { address, prefix, .. }) => format!("{address}/{prefix}"),
            _ => "DHCP".to_owned(),
        },
        users: client.config.users.iter().map(|user| user.name.clone()).collect(),
        agent_version: client.agent_version.clone().unwrap_or_default(),
        agent_newer: client
            .agent_version
            .as_deref()
            .filter(|there| version::key(there) < version::key(&newest_agent))
            .map(|_| newest_agent.clone()),
        facts: client.facts.as_ref().map(facts_view),
        inventory,
        selections,
        facts_at: client.facts_at.map(moment),
        timeline: seen.split_off(seen.len().saturating_sub(LATEST)),
        earlier: seen,
        expected: timeline.expected,
        jobs,
        watched,
        notes: notes.into_iter().map(|note| note_view(note, &moment)).collect(),
        history: history
            .into_iter()
            .map(|event| history_view(&ctx, language, event, &titles, &moment))
            .collect(),
        name,
    };
    page(&ctx, &visitor, "pages/client.html", &view)
}

fn job_rows(
    ctx: &Ctx,
    language: &str,
    mut records: Vec<job_records::JobRecord>,
    moment: &impl Fn(i64) -> Moment,
) -> Vec<JobRow> {
    records.sort_by_key(|record| in_reading_order(&record.job));
    records
        .into_iter()
        .map(|record| JobRow {
            id: record.job.id.0,
            state: record.job.state.as_str(),
            kind: kind_of(record.job.state),
            waits: record.waits_for.map(|wait| WaitView::new(ctx, &wait, language)),
            why: record.job.reason,
            at: moment(record.job.finished_at.unwrap_or(record.job.created_at)),
            title: job_title(ctx, language, &record.job.job_type),
        })
        .collect()
}

fn line_view(line: &BootEvent, moment: &impl Fn(i64) -> Moment) -> LineView {
    LineView {
        at: moment(line.at),
        kind: line.kind.as_str(),
        refused: line.kind == BootEventKind::Refused,
        detail: line.detail.clone(),
    }
}

fn note_view(note: Note, moment: &impl Fn(i64) -> Moment) -> NoteView {
    NoteView { id: note.id, text: note.text, by: note.created_by, at: moment(note.created_at) }
}

fn history_view(
    ctx: &Ctx,
    language: &str,
    event: ServerEvent,
    titles: &HashMap<i64, String>,
    moment: &impl Fn(i64) -> Moment,
) -> HistoryView {
    HistoryView {
        title: event.job.and_then(|job| titles.get(&job.0).cloned()).unwrap_or_default(),
        detail: event_detail(ctx, language, &event.kind, event.detail),
        kind: event.kind.replace('.', "-"),
        by: actor_name(ctx, language, &event.actor),
        job: event.job.map(|job| job.0),
        at: moment(event.at),
    }
}
