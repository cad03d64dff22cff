//! What somebody may ask for and a second person approves: kept in words, carried out later, and where it happens.

use serde::{Deserialize, Serialize};
use wire::JobId;

use super::super::{
    Error,
    batches::{self, BatchOrder},
    clients, desktops, groups, helpdesk, installation,
    jobs::{self, JobOrder},
    mass_installation::{self, MassOrder},
    recovery, retirement,
    rollouts::{self, ScheduleOrder},
};
use crate::{
    context::Ctx,
    db::{Tx, reach as rows},
    domain::{people::Role, reach::Reach},
};

/// What can be asked for and carried out later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Wish {
    /// Install a client.
    Install {
        /// Its name.
        client: String,
    },
    /// Install it anew, and restart it for that.
    Redo {
        /// Its name.
        client: String,
    },
    /// Take it out of service.
    Retire {
        /// Its name.
        client: String,
    },
    /// Remove it.
    DeleteClient {
        /// Its name.
        client: String,
    },
    /// Replace a desktop's machine by a new one.
    RebuildDesktop {
        /// Its name.
        client: String,
    },
    /// Remove a desktop with its machine.
    DeleteDesktop {
        /// Its name.
        client: String,
    },
    /// Queue a job.
    Job {
        /// For which client.
        client: String,
        /// Which.
        order: JobOrder,
    },
    /// Queue the same job again.
    RetryJob {
        /// Which.
        job: JobId,
    },
    /// Install it anew, and do again what had succeeded on it.
    Recover {
        /// Its name.
        client: String,
    },
    /// Install many machines; passwords are in no wish.
    MassInstall {
        /// Which, and how.
        order: Box<MassOrder>,
    },
    /// Order something for many clients.
    Batch {
        /// What, and for which.
        order: Box<BatchOrder>,
    },
    /// Start a rollout.
    StartRollout {
        /// Its number.
        rollout: i64,
    },
    /// Let a rollout go on.
    ResumeRollout {
        /// Its number.
        rollout: i64,
    },
    /// Let a rollout come again and again.
    ScheduleRollout {
        /// What, and under which name.
        order: Box<ScheduleOrder>,
    },
    /// Queue a job for every member of a group.
    GroupJobs {
        /// Its name.
        group: String,
        /// Which job.
        order: JobOrder,
    },
}

impl Wish {
    /// The least role that may carry it out.
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Redo { .. } => Role::Helpdesk,
            Self::Batch { order } => order.order.role(),
            Self::Install { .. }
            | Self::Retire { .. }
            | Self::RebuildDesktop { .. }
            | Self::Job { .. }
            | Self::RetryJob { .. }
            | Self::Recover { .. }
            | Self::MassInstall { .. }
            | Self::StartRollout { .. }
            | Self::ResumeRollout { .. }
            | Self::ScheduleRollout { .. }
            | Self::GroupJobs { .. } => Role::Operator,
            Self::DeleteClient { .. } | Self::DeleteDesktop { .. } => Role::Admin,
        }
    }

    pub(super) fn summary(&self, clients: usize) -> String {
        match self {
            Self::Install { client } => format!("install {client}"),
            Self::Redo { client } => format!("install {client} anew"),
            Self::Retire { client } => format!("retire {client}"),
            Self::DeleteClient { client } => format!("delete {client}"),
            Self::RebuildDesktop { client } => format!("make desktop {client} anew"),
            Self::DeleteDesktop { client } => format!("delete desktop {client}"),
            Self::Job { client, order } => format!("{} on {client}", order.job_type),
            Self::RetryJob { job } => format!("job {job} again"),
            Self::Recover { client } => format!("recover {client}"),
            Self::MassInstall { .. } => {
                format!("install {clients} machines, without passwords: set those afterwards")
            }
            Self::Batch { order } => format!("{} for {clients} clients", order.order.as_str()),
            Self::StartRollout { rollout } => format!("start rollout {rollout} for {clients} clients"),
            Self::ResumeRollout { rollout } => {
                format!("let rollout {rollout} go on with the {clients} clients that wait")
            }
            Self::ScheduleRollout { order } => {
                format!("roll out {} again and again, now for {clients} clients", order.name)
            }
            Self::GroupJobs { group, order } => {
                format!("{} on the {clients} clients of group {group}", order.job_type)
            }
        }
    }

    pub(super) async fn carry_out(&self, ctx: &Ctx, actor: &str) -> Result<(), Error> {
        let id = async |name: &str| -> Result<wire::ClientId, Error> {
            let mut tx = ctx.db.read().await?;
            Ok(clients::get(&mut tx, name).await?.id)
        };
        match self {
            Self::Install { client } => {
                installation::install(ctx, id(client).await?, false, actor).await.map(drop)
            }
            Self::Redo { client } => helpdesk::redo(ctx, client, actor).await.map(drop),
            Self::Retire { client } => retirement::retire(ctx, client, actor).await,
            Self::DeleteClient { client } => clients::delete(ctx, client, actor).await,
            Self::RebuildDesktop { client } => desktops::rebuild(ctx, client, actor).await,
            Self::DeleteDesktop { client } => desktops::delete(ctx, client, actor).await,
            Self::Job { client, order } => jobs::create(ctx, id(client).await?, order, actor).await.map(drop),
            Self::RetryJob { job } => jobs::retry(ctx, *job, actor).await.map(drop),
            Self::Recover { client } => recovery::recover(ctx, client, false, actor).await.map(drop),
            Self::MassInstall { order } => mass_installation::begin(ctx, order, actor).await.map(drop),
            Self::StartRollout { rollout } => rollouts::start(ctx, *rollout, actor).await,
            Self::ResumeRollout { rollout } => rollouts::resume(ctx, *rollout, actor).await,
            Self::ScheduleRollout { order } => rollouts::schedule(ctx, order, actor).await,
            Self::Batch { order } => batches::order(ctx, order, actor, order.order.role()).await.map(drop),
            Self::GroupJobs { group, order } => groups::create_jobs(ctx, group, order, actor).await.map(drop),
        }
    }

    /// The role that somebody has where it happens; none where it is out of their sight.
    pub(super) async fn role_there(&self, tx: &mut Tx, reach: &Reach) -> Result<Option<Role>, Error> {
        // What is for many, or for whatever a search finds, is for those whose role counts everywhere.
        if reach.groups.is_empty() {
            return Ok(reach.everywhere);
        }
        let groups = match self {
            Self::Install { client }
            | Self::Redo { client }
            | Self::Retire { client }
            | Self::DeleteClient { client }
            | Self::RebuildDesktop { client }
            | Self::DeleteDesktop { client }
            | Self::Job { client, .. }
            | Self::Recover { client } => rows::client_by_name(tx, client).await?.map(|(_, groups)| groups),
            Self::RetryJob { job } => rows::client_of_job(tx, job.0).await?.map(|(_, groups)| groups),
            Self::GroupJobs { group, .. } => {
                let group = crate::db::groups::get(tx, group).await?.filter(|group| group.query.is_none());
                group.map(|group| vec![group.id])
            }
            Self::MassInstall { .. }
            | Self::Batch { .. }
            | Self::StartRollout { .. }
            | Self::ResumeRollout { .. }
            | Self::ScheduleRollout { .. } => None,
        };
        Ok(reach.on(&groups.unwrap_or_default()))
    }
}
