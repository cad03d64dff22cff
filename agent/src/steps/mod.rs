//! What a plan can do. One folder (or file) per kind of step; each is a function of a [`StepContext`] and its own values.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wire::{
    AttemptId,
    enrol::Identity,
    event::Stream,
    package_work::Transaction,
    step::{Root, StepKind},
};

use crate::{
    backoff::{self, Backoff},
    config::Addresses,
    host::{self, Host},
    report::chain,
    server::{self, Server},
};

mod boot_loader;
mod chroot;
mod debootstrap;
mod download;
mod facts;
mod install_agent;
mod mount;
mod packages;
mod rescue;
mod script;
mod send_packages;
mod storage;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
pub mod unpack;
mod upgrade_agent;
mod vm;
mod wipe_disk;
mod write_file;

/// So often is the server asked again: for some minutes.
const TRIES: u32 = 8;

/// What every step is given.
pub struct StepContext<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// The server: blobs and secrets.
    pub server: &'a dyn Server,
    /// The attempt that the step belongs to.
    pub attempt: AttemptId,
    /// Who the agent is.
    pub identity: &'a Identity,
    /// The server's addresses and CA, as the installed system needs them in its configuration.
    pub addresses: &'a Addresses,
    /// Where the agent keeps its identity.
    pub state_dir: &'a Path,
    /// Where the system being installed is mounted.
    pub target: &'a Path,
    /// Takes output and progress of the step.
    pub voice: &'a dyn Voice,
    /// Fires when the step shall stop: cancelled, timed out, superseded.
    pub stop: &'a CancellationToken,
    /// Fires when somebody releases the job: a step that waits (rescue) ends well then.
    pub release: &'a CancellationToken,
}

impl StepContext<'_> {
    /// The file tree of a step; `None` is the running system.
    pub fn root(&self, root: Root) -> Option<PathBuf> {
        match root {
            Root::Running => None,
            Root::Target => Some(self.target.to_owned()),
        }
    }

    /// Runs a command with its output in the report.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn run(&self, command: &host::Command) -> Result<String, host::Error> {
        self.host.run(command, &|stream, line| self.voice.line(stream, line), self.stop).await
    }

    /// Asks the server, and again with growing pauses while it cannot be reached: a lost answer is no reason to fail a step.
    ///
    /// # Errors
    /// The server refuses, or stays away for long; [`StepError::Stopped`] when the step shall stop.
    pub async fn ask<'b, T>(
        &self,
        ask: impl Fn() -> BoxFuture<'b, Result<T, server::Error>> + Send + Sync,
    ) -> Result<T, StepError>
    where
        T: Send,
    {
        let mut backoff = Backoff::default();
        loop {
            let answer = tokio::select! {
                answer = ask() => answer,
                () = self.stop.cancelled() => return Err(StepError::Stopped),
            };
            match answer {
                Err(error) if error.is_transient() && backoff.failures() < TRIES => {
                    tracing::info!(error = chain(&error), "a step could not ask the server; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(backoff.fail(backoff::random())) => {}
                        () = self.stop.cancelled() => return Err(StepError::Stopped),
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Says in the report what the agent does.
    pub fn say(&self, line: &str) {
        self.voice.line(Stream::Agent, line);
    }
}

/// Carries out one step. Restarting and switching off are the runner's, since the attempt has to be over first.
pub async fn execute(ctx: &StepContext<'_>, kind: &StepKind) -> Result<(), StepError> {
    match kind {
        StepKind::Reboot {} | StepKind::Shutdown {} => Ok(()),
        StepKind::Script { text, root, secrets, environment } => {
            script::execute(ctx, text, *root, secrets, environment).await
        }
        StepKind::WriteFile { files, root } => write_file::execute(ctx, files, *root),
        StepKind::Storage(work) => storage::execute(ctx, work).await,
        StepKind::Mount { mounts } => mount::execute(ctx, mounts).await,
        StepKind::Unpack { blob } => unpack::execute(ctx, blob).await,
        StepKind::Debootstrap { suite, mirror_url, architecture, keyring, packages } => {
            debootstrap::execute(
                ctx,
                &debootstrap::System { suite, mirror_url, architecture, keyring, packages },
            )
            .await
        }
        StepKind::BootLoader { firmware, disks, kernel_packages, packages, kernel_command_line } => {
            let firmware = *firmware;
            let booting = boot_loader::Booting {
                firmware,
                disks,
                kernel_packages,
                packages,
                command_line: kernel_command_line,
            };
            boot_loader::execute(ctx, &booting).await
        }
        StepKind::InstallAgent { package } => install_agent::execute(ctx, package).await,
        StepKind::UpgradeAgent { package, version, limit_s, reinstall } => {
            let wanted = upgrade_agent::Wanted { package, version, limit_s: *limit_s, reinstall: *reinstall };
            upgrade_agent::execute(ctx, &wanted).await
        }
        StepKind::Packages(work) => packages::execute(ctx, work).await,
        StepKind::SendPackages { packages } => send_packages::execute(ctx, packages).await,
        StepKind::Facts {} => facts::execute(ctx).await,
        StepKind::Survey {} => survey::execute(ctx).await,
        StepKind::Rescue { authorized_keys } => rescue::execute(ctx, authorized_keys).await,
        StepKind::WipeDisk { disk, method } => wipe_disk::execute(ctx, disk, *method).await,
        StepKind::Vm { work } => vm::execute(ctx, work).await,
        StepKind::Unknown => Err(StepError::Refused("this agent cannot carry out such a step".to_owned())),
    }
}

/// Takes what a step has to say. Never blocks.
pub trait Voice: Send + Sync {
    /// One line of output.
    fn line(&self, stream: Stream, line: &str);

    /// How far the step is, 0 to 100.
    fn progress(&self, percent: u8, message: &str);

    /// What a package manager is about to do, or would do.
    fn transaction(&self, is_preview: bool, transaction: &Transaction);
}

/// How a step can go wrong: the only thing that the runner branches on.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The same plan may succeed later: network, lock, mirror.
    #[error("{0:#}")]
    Transient(anyhow::Error),
    /// The same plan will fail again.
    #[error("{0:#}")]
    Permanent(anyhow::Error),
    /// A precondition does not hold; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Stopped on request.
    #[error("stopped")]
    Stopped,
}

impl From<host::Error> for StepError {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Stopped { .. } => Self::Stopped,
            host::Error::Start { .. } | host::Error::Status { .. } | host::Error::System { .. } => {
                Self::Permanent(error.into())
            }
        }
    }
}

impl From<server::Error> for StepError {
    fn from(error: server::Error) -> Self {
        if error.is_transient() { Self::Transient(error.into()) } else { Self::Permanent(error.into()) }
    }
}
