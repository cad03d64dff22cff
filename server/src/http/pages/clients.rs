//! The list of clients.

use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        clients::{self, Standing},
        groups,
    },
    context::Ctx,
    domain::{
        client::Stage,
        client_status::{Activity, Health},
    },
};

/// Rows of one page.
const ROWS: i64 = 100;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/clients", get(list))
}

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    after: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    group: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    clients: Vec<Row>,
    stages: Vec<&'static str>,
    stage: String,
    groups: Vec<String>,
    group: String,
    next: Option<String>,
    filtered: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    status: Status,
    groups: Vec<String>,
    hardware: String,
    seen: Option<Moment>,
}

/// The three answers of a client.
#[derive(Serialize)]
pub(super) struct Status {
    pub(super) stage: &'static str,
    pub(super) stage_kind: &'static str,
    pub(super) activity: &'static str,
    pub(super) job: Option<i64>,
    pub(super) job_type: String,
    pub(super) step: String,
    pub(super) percent: i64,
    pub(super) message: String,
    pub(super) waits_for: String,
    pub(super) health: &'static str,
    pub(super) health_kind: &'static str,
    pub(super) health_reason: String,
    pub(super) offline_since: Option<Moment>,
}

impl Status {
    pub(super) fn new(standing: &Standing, now: i64, language: &str) -> Self {
        let stage = standing.client.stage;
        let mut status = Self {
            stage: stage.as_str(),
            stage_kind: match stage {
                Stage::Installed => "good",
                Stage::Installing => "busy",
                Stage::Discovered => "warn",
                Stage::Registered | Stage::Retired => "",
            },
            activity: "idle",
            job: None,
            job_type: String::new(),
            step: String::new(),
            percent: 0,
            message: String::new(),
            waits_for: String::new(),
            health: "ok",
            health_kind: "good",
            health_reason: String::new(),
            offline_since: None,
        };
        match &standing.activity {
            Activity::Idle => {}
            Activity::Waiting { job, job_type, reason } => {
                (status.activity, status.job) = ("waiting", Some(job.0));
                (status.job_type, status.waits_for) = (job_type.clone(), reason.clone());
            }
            Activity::Working { job, job_type, step, percent, message } => {
                (status.activity, status.job, status.percent) = ("working", Some(job.0), *percent);
                (status.job_type, status.step, status.message) =
                    (job_type.clone(), step.clone(), message.clone());
            }
        }
        match &standing.health {
            Health::Ok => {}
            Health::Warning { reason } => {
                (status.health, status.health_kind, status.health_reason) =
                    ("warning", "warn", reason.clone());
            }
            Health::Critical { reason } => {
                (status.health, status.health_kind, status.health_reason) =
                    ("critical", "bad", reason.clone());
            }
            Health::Offline { since_at } => {
                (status.health, status.health_kind) = ("offline", "");
                status.offline_since = since_at.map(|at| Moment::new(at, now, language));
            }
        }
        status
    }
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let stage: Option<Stage> = wanted.stage.parse().ok();
    let group = Some(wanted.group.as_str()).filter(|group| !group.is_empty());
    let sees = visitor.actor()?.sees();
    let found = clients::list(&mut tx, &sees, &wanted.after, stage, group, ROWS + 1).await?;
    let more = found.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    let mut rows = Vec::new();
    for client in found.into_iter().take(usize::try_from(ROWS).unwrap_or(0)) {
        let standing = clients::standing(&ctx, &mut tx, client).await?;
        rows.push(Row {
            status: Status::new(&standing, ctx.now(), visitor.language),
            hardware: standing.client.facts.as_ref().map(super::client::hardware).unwrap_or_default(),
            seen: standing.client.last_seen_at.map(|at| Moment::new(at, ctx.now(), visitor.language)),
            groups: standing.groups,
            name: standing.client.name,
        });
    }
    let next = rows.last().filter(|_| more).map(|last| {
        format!(
            "/clients?stage={}&group={}&after={}",
            query_encoded(&wanted.stage),
            query_encoded(&wanted.group),
            query_encoded(&last.name)
        )
    });
    let groups = groups::list(&mut tx, &sees).await?.into_iter().map(|group| group.name).collect();
    let stages = [Stage::Registered, Stage::Discovered, Stage::Installing, Stage::Installed, Stage::Retired];
    let view = View {
        page: visitor.frame("/clients"),
        clients: rows,
        stages: stages.map(Stage::as_str).to_vec(),
        filtered: stage.is_some() || group.is_some() || !wanted.after.is_empty(),
        stage: wanted.stage,
        groups,
        group: wanted.group,
        next,
    };
    page(&ctx, &visitor, "pages/clients.html", &view)
}
