//! Carries out one attempt: from the verified plan through its steps to the last report.
//!
//! Invariants: a step begins only after the journal says so, and is reported as finished only after the journal says so;
//! while steps run, reports flow beside them in the same task; the machine goes down only after the server knows the
//! outcome (or, on an installed system, could not be told for two minutes: then the journal tells it after the boot).

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wire::{
    enrol::{Identity, Realm},
    event::{EventKind, Outcome},
    plan::Plan,
    step::Step,
};

use crate::{
    config::Config,
    host::{Host, Power},
    journal::{self, End, Journal},
    pace::Paced,
    plan,
    report::{Reported, Reports, Wishes},
    server::Server,
    session::Console,
    spool::{self, Spool},
    steps::{self, StepContext, StepError},
    tools,
    voice::SpoolVoice,
};

/// Where the system being installed is mounted.
const TARGET: &str = "/target";
/// For a step that was told to stop; the host's own patience with processes is shorter.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// For the server to hear of the outcome before an installed system restarts.
const POWER_PATIENCE: Duration = Duration::from_mins(2);
const TOOLS_PATIENCE: Duration = Duration::from_mins(30);
/// What may wait for the server: in the installer it takes memory.
const INSTALLER_SPOOL_BYTES: u64 = 16 * 1024 * 1024;
const SYSTEM_SPOOL_BYTES: u64 = 128 * 1024 * 1024;

/// Why an attempt cannot even be told about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be kept.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] spool::Error),
}

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The agent is free for the next one.
    Free,
    /// The machine is going down.
    Down,
    /// The agent was told to stop; the journal keeps what was reached.
    Stopped,
}

/// What every attempt of one session shares.
pub struct Runner<'a> {
    /// The machine.
    pub host: &'a Arc<dyn Host>,
    /// The server.
    pub server: &'a dyn Server,
    /// Who the agent is.
    pub identity: &'a Identity,
    /// What the agent was told: realm, addresses, state directory.
    pub config: &'a Config,
    /// The boot in which the agent runs.
    pub boot_id: &'a str,
    /// Set once this process is in the tool set.
    pub in_tools: &'a AtomicBool,
    /// For people before the machine.
    pub console: &'a Console,
    /// Fires when the agent shall end.
    pub stop: &'a CancellationToken,
}

/// Why a step is told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interruption {
    Cancelled,
    TimedOut,
    Aborted,
}

impl Runner<'_> {
    /// Carries out, or goes on with, the attempt of this journal.
    pub async fn run(&self, mut journal: Journal) -> Result<After, Error> {
        let dir = spool_dir(&self.config.state_dir, &journal);
        let limit =
            if self.config.realm == Realm::Installer { INSTALLER_SPOOL_BYTES } else { SYSTEM_SPOOL_BYTES };
        if journal.is_acknowledged() {
            return self.finish(journal);
        }
        let spool = Spool::open(self.host, dir, limit)?;
        let wishes = Wishes::default();
        let reports = Reports {
            server: self.server,
            spool: &spool,
            attempt: journal.lease().attempt,
            boot_id: self.boot_id,
            lease_s: journal.lease().lease_s,
            wishes: wishes.clone(),
        };
        let mut sending = pin!(reports.send());
        if journal.end().is_none() {
            let abort = CancellationToken::new();
            let end = {
                let mut walking = pin!(self.walk(&mut journal, &spool, &wishes, &abort));
                let superseded = tokio::select! {
                    // In a fixed order, so that a fleet with a seed runs twice alike.
                    biased;
                    end = &mut walking => Ok(end),
                    reported = &mut sending => Err(Some(reported)),
                    () = self.stop.cancelled() => Err(None),
                };
                match superseded {
                    Ok(end) => Ok(end),
                    Err(why) => {
                        abort.cancel();
                        timeout(STOP_PATIENCE, walking).await.ok();
                        Err(why)
                    }
                }
            };
            match end {
                Ok(Some(end)) => self.record_end(&mut journal, end),
                Ok(None) | Err(None) => {
                    // What the step said while it was stopped is told after the restart.
                    keep(&spool);
                    return Ok(After::Stopped);
                }
                Err(Some(reported)) => return self.superseded(journal, &reported),
            }
        }
        let Some(end) = journal.end().cloned() else { return Ok(After::Stopped) };
        if !spool.is_finished() {
            spool.push(self.host.now(), EventKind::Finished { outcome: end.outcome.clone() });
        }
        keep(&spool);
        // Only an installed system has a journal that outlives the restart.
        let hurry = end.power.is_some() && self.config.realm == Realm::System && end.boot_id == self.boot_id;
        let reported = tokio::select! {
            reported = &mut sending => reported,
            () = sleep(POWER_PATIENCE), if hurry => {
                tracing::warn!("the server cannot be reached; it will hear of the outcome after the restart");
                return Ok(self.go_down(&end));
            }
            () = self.stop.cancelled() => return Ok(After::Stopped),
        };
        if let Reported::Superseded(_) = &reported {
            return self.superseded(journal, &reported);
        }
        journal.acknowledge()?;
        self.finish(journal)
    }

    fn record_end(&self, journal: &mut Journal, end: End) {
        tracing::info!(attempt = journal.lease().attempt.0, outcome = ?end.outcome, "the attempt ended");
        (self.console)(&in_words(&end.outcome));
        if let Err(error) = journal.ends(end) {
            // The journal has taken note in memory; the server is told all the same.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the end of the attempt is not on disk"
            );
        }
    }

    /// The server knows the end: forget the attempt; restart if that is what was asked for.
    fn finish(&self, journal: Journal) -> Result<After, Error> {
        let dir = spool_dir(&self.config.state_dir, &journal);
        let end = journal.end().cloned();
        match end {
            // Not again after a restart: the agent may have found this journal on the far side of it.
            Some(end) if end.power.is_some() && end.boot_id == self.boot_id => Ok(self.go_down(&end)),
            _ => {
                Spool::remove(self.host.as_ref(), &dir)?;
                journal.forget()?;
                Ok(After::Free)
            }
        }
    }

    fn go_down(&self, end: &End) -> After {
        let Some(power) = end.power else { return After::Free };
        (self.console)(match power {
            Power::Reboot => "restarting the machine",
            Power::Off => "switching the machine off",
        });
        match self.host.power(power) {
            Ok(()) => After::Down,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the machine does not go down");
                After::Stopped
            }
        }
    }

    fn superseded(&self, journal: Journal, reported: &Reported) -> Result<After, Error> {
        if let Reported::Superseded(reason) = reported {
            tracing::warn!(attempt = journal.lease().attempt.0, reason, "the attempt is not ours any more");
            (self.console)(&format!("the server took the job back: {reason}"));
        }
        Spool::remove(self.host.as_ref(), &spool_dir(&self.config.state_dir, &journal))?;
        journal.forget()?;
        Ok(After::Free)
    }

    /// Verifies the plan and walks its steps. `None`: aborted, the attempt goes on another time or never.
    async fn walk(
        &self,
        journal: &mut Journal,
        spool: &Spool,
        wishes: &Wishes,
        abort: &CancellationToken,
    ) -> Option<End> {
        let end = |outcome, power| Some(End { outcome, power, boot_id: self.boot_id.to_owned() });
        let plan = match plan::verify(&journal.lease().plan, self.identity, self.config.realm) {
            Ok(plan) => plan,
            Err(refusal) => return end(Outcome::Refused { reason: refusal.to_string() }, None),
        };
        if let Some(outcome) = self.cut_off(journal, &plan) {
            return end(outcome, None);
        }
        let total = plan.steps.len();
        let mut power = None;
        for (index, step) in plan.steps.iter().enumerate() {
            power = plan::power(&step.kind);
            if journal.is_done(&step.id) {
                // Its report may have been lost with the power, after the journal and before the spool.
                spool.push(self.host.now(), EventKind::StepFinished { step: step.id.clone() });
                continue;
            }
            if wishes.cancel.is_cancelled() {
                return end(Outcome::Cancelled, None);
            }
            (self.console)(&format!("step {} of {total}: {}", index + 1, title(step)));
            let is_first = index == 0;
            let result = match journal.step_begins(&step.id, self.boot_id) {
                Ok(()) => self.attend(step, journal, spool, wishes, abort).await,
                Err(error) => Err((StepError::Transient(error.into()), None)),
            };
            let result = match result {
                Ok(()) => finish_step(journal, spool, &step.id).map_err(|error| (error, None)),
                failure => failure,
            };
            if let Err((error, interruption)) = result {
                if interruption == Some(Interruption::Aborted) {
                    return None;
                }
                return end(outcome(step, &error, interruption, is_first), None);
            }
            spool.push(self.host.now(), EventKind::StepFinished { step: step.id.clone() });
        }
        end(Outcome::Succeeded, power)
    }

    /// What a step that was running when the agent stopped means for the attempt.
    fn cut_off(&self, journal: &Journal, plan: &Plan) -> Option<Outcome> {
        let (id, boot_id) = journal.interrupted()?;
        let step = plan.steps.iter().find(|step| step.id == id)?;
        if plan::is_repeatable(&step.kind) {
            return None;
        }
        let why =
            if boot_id == self.boot_id { "the agent was restarted" } else { "the machine was restarted" };
        let reason = format!("the agent stopped in the middle of step {id} ({why})");
        Some(Outcome::Failed { step: id.to_owned(), reason, transient: true })
    }

    /// Runs one step, and sees to it that it stops when it has to.
    async fn attend(
        &self,
        step: &Step,
        journal: &Journal,
        spool: &Spool,
        wishes: &Wishes,
        abort: &CancellationToken,
    ) -> Result<(), (StepError, Option<Interruption>)> {
        spool.push(self.host.now(), EventKind::StepStarted { step: step.id.clone() });
        let halt = CancellationToken::new();
        let voice = SpoolVoice::new(spool, self.host.as_ref(), &step.id);
        let ctx = StepContext {
            host: self.host.as_ref(),
            server: self.server,
            attempt: journal.lease().attempt,
            identity: self.identity,
            addresses: &self.config.addresses,
            state_dir: &self.config.state_dir,
            target: Path::new(TARGET),
            voice: &voice,
            stop: &halt,
            release: &wishes.release,
        };
        let mut limit = Duration::from_secs(step.timeout_s.into());
        let tools = journal.lease().tools.as_ref().filter(|_| {
            let is_inside = self.in_tools.load(Ordering::Relaxed);
            self.config.realm == Realm::Installer && !is_inside && plan::needs_tools(&step.kind)
        });
        if tools.is_some() {
            limit += TOOLS_PATIENCE;
        }
        let work = async {
            if let Some(tools) = tools {
                tools::enter(&ctx, tools).await?;
                self.in_tools.store(true, Ordering::Relaxed);
            }
            steps::execute(&ctx, &step.kind).await
        };
        let mut work = Paced::new(Box::pin(work), spool, &halt);
        let interruption = tokio::select! {
            result = &mut work => return result.map_err(|error| (error, None)),
            () = wishes.cancel.cancelled() => Interruption::Cancelled,
            () = sleep(limit) => Interruption::TimedOut,
            () = abort.cancelled() => Interruption::Aborted,
        };
        halt.cancel();
        let result = timeout(STOP_PATIENCE, work).await.unwrap_or(Err(StepError::Stopped));
        result.map_err(|error| (error, Some(interruption)))
    }
}

/// What was said is safe, if the disk allows.
fn keep(spool: &Spool) {
    if let Err(error) = spool.sync() {
        tracing::warn!(error = &error as &dyn std::error::Error, "the last events are in memory only");
    }
}

/// The output is safe, then the journal says that the step is done.
fn finish_step(journal: &mut Journal, spool: &Spool, step: &str) -> Result<(), StepError> {
    keep(spool);
    journal.step_ends(step).map_err(|error| StepError::Transient(error.into()))
}

fn outcome(step: &Step, error: &StepError, interruption: Option<Interruption>, is_first: bool) -> Outcome {
    let failed = |reason: String, transient| Outcome::Failed { step: step.id.clone(), reason, transient };
    match (interruption, error) {
        (Some(Interruption::Cancelled), _) => Outcome::Cancelled,
        (Some(Interruption::TimedOut), StepError::Stopped) => {
            failed(format!("the step took longer than its {} s", step.timeout_s), true)
        }
        (Some(Interruption::TimedOut), error) => {
            failed(format!("the step took longer than its {} s; then: {error}", step.timeout_s), true)
        }
        (_, StepError::Refused(reason)) if is_first => Outcome::Refused { reason: reason.clone() },
        (_, error @ StepError::Transient(_)) => failed(error.to_string(), true),
        (_, error) => failed(error.to_string(), false),
    }
}

fn title(step: &Step) -> &str {
    step.title.get("en").map_or(step.id.as_str(), String::as_str)
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "the job succeeded".to_owned(),
        Outcome::Failed { step, reason, .. } => format!("the job failed in step {step}: {reason}"),
        Outcome::Refused { reason } => format!("the job was refused, nothing was changed: {reason}"),
        Outcome::Cancelled => "the job was cancelled".to_owned(),
        Outcome::Unknown => "the job ended".to_owned(),
    }
}

fn spool_dir(state_dir: &Path, journal: &Journal) -> PathBuf {
    spool_dir_of(state_dir, journal.lease().attempt)
}

/// Where the events of an attempt are spooled.
pub fn spool_dir_of(state_dir: &Path, attempt: wire::AttemptId) -> PathBuf {
    state_dir.join("spool").join(attempt.to_string())
}
