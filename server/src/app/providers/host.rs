//! A client that hosts machines, behind [`vm::kvm::Host`]: what its agent has told is in its facts, what shall be done is a job in its queue.
//!
//! Its agent tells whenever a machine is made, changed, started or stopped, and after each of its jobs. So what is known is how it is, as long
//! as the agent is heard, and no job about machines has ended badly since; then it is asked first.

use std::time::Duration;

use serde_json::Value;
use wire::JobId;

use super::super::{
    Error, images,
    jobs::{self as orders, JobOrder},
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, clients, jobs},
    domain::{
        client::{Client, Stage},
        desktop::FaultClass,
        job::{Job, JobState},
        provider::HOST_NAME,
    },
    presence::ONLINE_FOR,
    vm::{
        self, Doing, Progress,
        kvm::{Coming, Host, HostOrder, View},
    },
};

/// What is not begun within this time is asked for elsewhere.
const WITHIN: i64 = 600 * SECOND;
/// The job that makes the agent tell how its machine is.
const LOOK: &str = "hardware-detection";
/// The job that makes a machine.
const CREATE: &str = "vm-create";
/// A look is waited for, and the database asked this often meanwhile.
const GLANCE: Duration = Duration::from_millis(200);
/// So many hosts are offered at most.
const MOST_CHOICES: i64 = 50;
/// In whose name jobs are queued.
const ACTOR: &str = "server";

/// A client's queue and facts.
pub struct QueuedHost {
    ctx: Ctx,
    name: String,
    patience: Duration,
}

fn transient(attempt: &str, error: &Error) -> vm::Error {
    vm::Error::new(FaultClass::Transient, attempt, error.to_string())
}

impl QueuedHost {
    /// The client of this name; a look at it may take so many seconds.
    pub fn new(ctx: Ctx, name: &str, timeout_s: u32) -> Self {
        Self { ctx, name: name.to_owned(), patience: Duration::from_secs(timeout_s.into()) }
    }

    fn error(&self, class: FaultClass, reason: impl AsRef<str>) -> vm::Error {
        vm::Error::new(class, &format!("asking the host {}", self.name), reason)
    }

    fn wrong(&self, error: impl Into<Error>) -> vm::Error {
        self.error(FaultClass::Transient, error.into().to_string())
    }

    async fn client(&self, tx: &mut Tx) -> Result<Client, vm::Error> {
        let found = clients::find_by_name(tx, &self.name).await.map_err(|error| self.wrong(error))?;
        let client = found.ok_or_else(|| self.error(FaultClass::Caller, "there is no such client"))?;
        let heard = self.ctx.presence.seen(client.id).map(|seen| seen.at).or(client.last_seen_at);
        if heard.is_none_or(|at| self.ctx.now() - at >= ONLINE_FOR) {
            return Err(self.error(FaultClass::Transient, "its agent is not heard"));
        }
        Ok(client)
    }

    /// The host as it is known, and whether that is for sure.
    async fn known(&self, tx: &mut Tx, client: &Client) -> Result<(View, bool), vm::Error> {
        let Some((facts, told)) =
            client.facts.as_ref().and_then(|facts| Some((facts, facts.vm_host.as_ref()?)))
        else {
            let reason = format!("it hosts no machines yet: `lotse job run {} vm-host`", self.name);
            return Err(self.error(FaultClass::Caller, reason));
        };
        let told_at = client.facts_at.unwrap_or(0);
        let failed = jobs::failed_since(tx, client.id, "vm-%", told_at).await;
        let open = jobs::open(tx, client.id).await.map_err(|error| self.wrong(error))?;
        let iso = match images::boot_iso(&self.ctx, tx).await {
            Ok(iso) => Ok(format!("{} MiB", iso.size_bytes >> 20)),
            Err(Error::Conflict { title, remedy }) => Err(format!("{title}: {remedy}")),
            Err(error) => return Err(self.wrong(error)),
        };
        let view = View {
            name: self.name.clone(),
            threads: facts.cpu.threads,
            memory_bytes: facts.memory_bytes,
            told: told.clone(),
            coming: open.iter().filter(|job| job.job_type == CREATE).filter_map(coming).collect(),
            iso,
        };
        let is_sure = told.problem.is_empty() && !failed.map_err(|error| self.wrong(error))?;
        Ok((view, is_sure))
    }

    async fn queue(&self, tx: &mut Tx, client: &Client, order: &JobOrder) -> Result<JobId, Error> {
        let checked = orders::known_type(&self.ctx, order)?;
        let id = orders::put(&self.ctx, tx, client, order, checked, ACTOR).await?;
        orders::plan_if_possible(&self.ctx, tx, id, client).await?;
        Ok(id)
    }

    fn came(&self, client: &Client) {
        self.ctx.presence.work_waits_for(client.id);
        self.ctx.presence.events_came();
    }

    /// Lets the agent tell how its machine is, and waits for that.
    async fn look(&self) -> Result<(), vm::Error> {
        let job = self.ask().await.map_err(|error| self.wrong(error))?;
        let over = async {
            loop {
                let mut tx = self.ctx.db.read().await?;
                let found = jobs::find(&mut tx, job).await?;
                drop(tx);
                if let Some(state) = found.map(|job| job.state).filter(|state| state.is_final()) {
                    return Ok::<_, crate::db::Error>(state);
                }
                tokio::time::sleep(GLANCE).await;
            }
        };
        match tokio::time::timeout(self.patience, over).await {
            Ok(Ok(JobState::Succeeded)) => Ok(()),
            Ok(Ok(state)) => {
                Err(self.error(FaultClass::Transient, format!("job {job}, a look at it, is {state}")))
            }
            Ok(Err(error)) => Err(self.wrong(error)),
            Err(_) => {
                Err(self.error(FaultClass::Transient, format!("job {job}, a look at it, has not ended yet")))
            }
        }
    }

    /// The job that looks: one that is open, or a new one.
    async fn ask(&self) -> Result<JobId, Error> {
        let mut tx = self.ctx.db.write().await?;
        let client = clients::find_by_name(&mut tx, &self.name).await?;
        let client = client.ok_or_else(|| Error::not_found(format!("client {}", self.name)))?;
        clients::lock(&mut tx, client.id).await?;
        if let Some(job) = jobs::open(&mut tx, client.id).await?.iter().find(|job| job.job_type == LOOK) {
            return Ok(job.id);
        }
        let expires_at = Some(self.ctx.now() + WITHIN);
        let order = JobOrder { job_type: LOOK.to_owned(), expires_at, ..JobOrder::default() };
        let id = self.queue(&mut tx, &client, &order).await?;
        tx.commit().await?;
        self.came(&client);
        Ok(id)
    }

    async fn sure_view(&self) -> Result<View, vm::Error> {
        for looked in [false, true] {
            let mut tx = self.ctx.db.read().await.map_err(|error| self.wrong(error))?;
            let client = self.client(&mut tx).await?;
            let (view, is_sure) = self.known(&mut tx, &client).await?;
            drop(tx);
            if is_sure {
                return Ok(view);
            }
            if looked {
                return Err(self.error(
                    FaultClass::Transient,
                    format!("it does not know how it is: {}", view.told.problem),
                ));
            }
            self.look().await?;
        }
        Err(self.error(FaultClass::Transient, "it does not know how it is"))
    }

    async fn order_there(&self, order: HostOrder<'_>, fits: &vm::kvm::Fits<'_>) -> Result<String, vm::Error> {
        // Whatever has to be asked of the host is asked before the transaction.
        self.sure_view().await?;
        let wrong = |error: Error| transient(order.attempt, &error);
        let mut tx = self.ctx.db.write().await.map_err(|error| wrong(error.into()))?;
        let client = self.client(&mut tx).await?;
        clients::lock(&mut tx, client.id).await.map_err(|error| wrong(error.into()))?;
        let (view, is_sure) = self.known(&mut tx, &client).await?;
        if !is_sure {
            return Err(self.error(FaultClass::Transient, "something has just gone wrong there"));
        }
        fits(&view)?;
        let now = self.ctx.now();
        if let Some((reference, text)) = order.secret {
            let kept = clients::set_secret(&mut tx, client.id, reference, text, now).await;
            kept.map_err(|error| wrong(error.into()))?;
        }
        let job = JobOrder {
            job_type: order.job_type.to_owned(),
            params: order.params,
            expires_at: Some(now + WITHIN),
            ..JobOrder::default()
        };
        let id = self.queue(&mut tx, &client, &job).await.map_err(|error| match error {
            // It cannot be planned: the same would be refused again.
            Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. } => {
                vm::Error::new(FaultClass::Caller, order.attempt, error.to_string())
            }
            error => wrong(error),
        })?;
        tx.commit().await.map_err(|error| wrong(error.into()))?;
        self.came(&client);
        Ok(id.to_string())
    }

    async fn progress(&self, id: &str) -> Result<Progress, vm::Error> {
        let gone = || self.error(FaultClass::Gone, format!("there is no job {id}"));
        let number = id.parse().map(JobId).map_err(|_| gone())?;
        let mut tx = self.ctx.db.read().await.map_err(|error| self.wrong(error))?;
        let job = jobs::find(&mut tx, number).await.map_err(|error| self.wrong(error))?.ok_or_else(gone)?;
        drop(tx);
        if !job.state.is_final() {
            return Ok(Progress::Pending);
        }
        self.forget_secret(&job).await.map_err(|error| self.wrong(error))?;
        Ok(match job.state {
            JobState::Succeeded => Progress::Done(None),
            state => {
                let attempt = format!("job {id} ({}) on {}", job.job_type, self.name);
                let reason = if job.reason.is_empty() { state.to_string() } else { job.reason };
                Progress::Failed(vm::Error::new(FaultClass::Transient, &attempt, reason))
            }
        })
    }

    /// The user-data is in the machine now, or nobody needs it.
    async fn forget_secret(&self, job: &Job) -> Result<(), Error> {
        let Some(reference) = job.params["user_data"].as_str().filter(|_| job.job_type == CREATE) else {
            return Ok(());
        };
        let mut tx = self.ctx.db.write().await?;
        clients::forget_secret(&mut tx, job.client, reference).await?;
        Ok(tx.commit().await?)
    }
}

/// A client that hosts machines, for whoever chooses one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostChoice {
    /// Its name.
    pub name: String,
    /// GiB that are free for disks.
    pub free_gib: u64,
    /// What it lacks, or what is bad about it.
    pub lacks: Vec<String>,
}

/// Clients that have told which machines they host, the first fifty by name, with what each lacks.
///
/// # Errors
/// The database refuses.
pub async fn host_choices(ctx: &Ctx, tx: &mut Tx) -> Result<Vec<HostChoice>, Error> {
    let hosts = clients::with_machines(tx, MOST_CHOICES).await?;
    Ok(hosts.iter().filter_map(|client| choice(ctx, client)).collect())
}

fn choice(ctx: &Ctx, client: &Client) -> Option<HostChoice> {
    let told = client.facts.as_ref()?.vm_host.as_ref()?;
    let heard = ctx.presence.seen(client.id).map(|seen| seen.at).or(client.last_seen_at);
    let mut lacks = Vec::new();
    if client.stage != Stage::Installed || heard.is_none_or(|at| ctx.now() - at >= ONLINE_FOR) {
        lacks.push("its agent is not heard".to_owned());
    }
    if !told.problem.is_empty() {
        lacks.push(told.problem.clone());
    }
    if !told.kvm {
        lacks.push("it has no /dev/kvm, so its machines are emulated and many times slower".to_owned());
    }
    if !told.networks.iter().any(|name| name == HOST_NAME) {
        lacks.push(format!("it has no network {HOST_NAME}: run the job vm-host on it"));
    }
    Some(HostChoice { name: client.name.clone(), free_gib: told.disk_free_bytes >> 30, lacks })
}

/// The machine that a job makes.
fn coming(job: &Job) -> Option<Coming> {
    let number = |name: &str| job.params[name].as_u64().and_then(|number| u32::try_from(number).ok());
    let name = job.params.get("name").and_then(Value::as_str)?;
    Some(Coming::new(name, number("processors")?, number("memory_mib")?, number("disk_gib")?))
}

impl Host for QueuedHost {
    fn view(&self) -> Doing<'_, View> {
        Box::pin(self.sure_view())
    }

    fn order<'a>(&'a self, order: HostOrder<'a>, fits: &'a vm::kvm::Fits<'a>) -> Doing<'a, String> {
        Box::pin(self.order_there(order, fits))
    }

    fn job<'a>(&'a self, id: &'a str) -> Doing<'a, Progress> {
        Box::pin(self.progress(id))
    }
}
