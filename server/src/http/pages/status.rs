//! The three answers of a client as pages show them.

use serde::Serialize;

use super::{
    moment::Moment,
    words::{WaitView, job_title, step_title},
};
use crate::{
    app::clients::Standing,
    context::Ctx,
    domain::{
        client::Stage,
        client_status::{Activity, Health},
    },
};

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
    pub(super) waits: Option<WaitView>,
    pub(super) health: &'static str,
    pub(super) health_kind: &'static str,
    pub(super) health_reason: String,
    pub(super) offline_since: Option<Moment>,
}

impl Status {
    pub(super) fn new(ctx: &Ctx, standing: &Standing, language: &str) -> Self {
        let now = ctx.now();
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
            waits: None,
            health: "ok",
            health_kind: "good",
            health_reason: String::new(),
            offline_since: None,
        };
        match &standing.activity {
            Activity::Idle => {}
            Activity::Waiting { job, job_type, reason } => {
                (status.activity, status.job) = ("waiting", Some(job.0));
                status.job_type = job_title(ctx, language, job_type);
                status.waits = Some(WaitView::new(ctx, reason, language));
            }
            Activity::Working { job, job_type, step, percent, message } => {
                (status.activity, status.job, status.percent) = ("working", Some(job.0), *percent);
                status.job_type = job_title(ctx, language, job_type);
                status.step = step_title(ctx, language, job_type, step);
                status.message.clone_from(message);
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
