//! The agent replaces itself: what lies on disk for it, and who does what.
//!
//! The step (`steps/upgrade_agent.rs`) verifies the new package, keeps the old one, and starts the [`supervisor`]: a copy of the running
//! program outside the agent's process group. That one switches, restarts the agent, and waits until the new one has proved itself:
//! started, reached the server with its identity, and taken up its own attempt again. Otherwise it puts the old one back.
//!
//! Invariants: [`state::State`] on disk says before each act what is about to happen, so after a power cut the supervisor, which starts
//! with the agent's service, goes on where it was; only the supervisor goes on from [`Phase::Prepared`]; a phase in
//! which the supervisor does nothing more is the last.

use std::path::{Path, PathBuf};

use wire::AttemptId;

use crate::host::{self, Command, Host};

pub mod process;
mod service;
pub mod state;
pub mod supervisor;

pub use state::{Phase, Proof, State};

/// The program of an installed agent.
pub const PROGRAM: &str = "/usr/bin/lotse-agent";
/// Keeps what is there.
const KEEP: &str = include_str!("keep.sh");

/// Why an upgrade cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine refuses.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// What has to be written is no JSON.
    #[error("writing the state of the upgrade as JSON")]
    Json(#[from] serde_json::Error),
}

/// What lies on disk for an upgrade.
#[derive(Clone, Copy)]
pub struct Upgrade<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// The agent's state directory.
    pub state_dir: &'a Path,
}

impl<'a> Upgrade<'a> {
    /// The one upgrade of an agent.
    pub fn new(host: &'a dyn Host, state_dir: &'a Path) -> Self {
        Self { host, state_dir }
    }

    fn directory(&self) -> PathBuf {
        self.state_dir.join("upgrade")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// How far the last upgrade is, if there was one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn state(&self) -> Result<Option<State>, Error> {
        state::read(self.host, &self.path("state.json"))
    }

    fn set(&self, state: &State) -> Result<(), Error> {
        tracing::info!(phase = ?state.phase, reason = state.reason, "the upgrade of the agent");
        self.host.write(&self.path("state.json"), &serde_json::to_vec(state)?, 0o600)?;
        Ok(())
    }

    /// Forgets what an earlier upgrade has left.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn clear(&self) -> Result<(), Error> {
        Ok(self.host.remove(&self.directory())?)
    }

    /// Everything is there: from now on the supervisor may switch.
    ///
    /// # Errors
    /// The disk is full, or the old agent is no package.
    pub async fn prepare(&self, package: &[u8], state: &State) -> Result<(), Error> {
        self.clear()?;
        self.host.write(&self.path("new.deb"), package, 0o600)?;
        let directory = self.directory().display().to_string();
        let own = std::process::id().to_string();
        let keep = Command::new(["/bin/sh", "-eu", "-c", KEEP, "keep", &directory, &own]);
        self.host.run(&keep, &|_, _| {}, &tokio_util::sync::CancellationToken::new()).await?;
        self.note_process()?;
        self.set(state)
    }

    /// Notes which process the agent is, for a supervisor without an init system.
    ///
    /// # Errors
    /// The disk is full.
    pub fn note_process(&self) -> Result<(), Error> {
        // A fake machine has no processes.
        let own = self.host.read(Path::new("/proc/self/stat")).unwrap_or_default();
        Ok(self.host.write(&self.path("agent.pid"), &own, 0o600)?)
    }

    /// The attempt of an upgrade in whose trial this agent has just been started. Notes its process, too.
    ///
    /// What is wrong here must not keep an agent from its work.
    pub fn on_trial(&self) -> Option<AttemptId> {
        let found = self.state().map(|state| state.filter(|state| !state.phase.is_last()));
        let noted = match &found {
            Ok(Some(_)) => self.note_process(),
            _ => Ok(()),
        };
        match (found, noted) {
            (Ok(state), Ok(())) => {
                state.filter(|state| state.phase == Phase::Watching).map(|state| state.attempt)
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(error = crate::report::chain(&error), "looking for an upgrade of the agent");
                None
            }
        }
    }

    /// Says that this agent works: it has reached the server with its identity, which knows of its attempt.
    ///
    /// # Errors
    /// The disk is full.
    pub fn prove(&self) -> Result<(), Error> {
        let proof = Proof { version: env!("CARGO_PKG_VERSION").to_owned(), at: self.host.now() };
        tracing::info!(version = proof.version, "this agent has proved itself");
        Ok(self.host.write(&self.path("proof.json"), &serde_json::to_vec(&proof)?, 0o600)?)
    }

    /// Asks the supervisor not to begin. It may be too late.
    ///
    /// # Errors
    /// The disk is full.
    pub fn ask_to_stop(&self) -> Result<(), Error> {
        Ok(self.host.write(&self.path("stop"), b"", 0o600)?)
    }

    /// Starts the supervisor, unless it runs or is about to be started again.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn rouse(&self) -> Result<(), Error> {
        let notes = ["supervisor.pid", service::GUARDIAN];
        if notes.iter().any(|note| process::alive(self.host, &self.path(note)).is_some()) {
            return Ok(());
        }
        service::Service { upgrade: self }.start_supervisor().await
    }
}

#[cfg(test)]
mod tests;
