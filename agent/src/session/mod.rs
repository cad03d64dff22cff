//! The whole life of an agent: trust the server, have an identity, measure the machine, ask for work, do it, ask again.
//!
//! Invariant: a session keeps nothing in globals and installs no signal handlers, so hundreds run in one process; what must
//! survive is in the state directory, behind the [`Host`]. It ends when told to, or when the machine goes down.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use wire::{AttemptId, enrol::Realm};

use crate::{
    backoff::Backoff,
    config::Config,
    host::{self, Host},
    identity::{self, Credentials},
    journal, runner,
    server::{Connect, ConnectError},
    upgrade::Upgrade,
};

mod enrolment;
mod hosting;
mod packages;
mod react;
mod trusting;
mod work;

use enrolment::OnRefusal;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Shows lines to people before the machine.
pub type Console = Arc<dyn Fn(&str) + Send + Sync>;

/// One agent on one machine.
pub struct Session {
    /// What it was told.
    pub config: Config,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// How to come to the server.
    pub connect: Arc<dyn Connect>,
    /// Where people look.
    pub console: Console,
}

/// What a session cannot go on with by itself. Network and server never are among it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The boot id cannot be read.
    #[error("learning which boot this is")]
    Boot(#[source] host::Error),
    /// The identity cannot be made, read or stored.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The identity is of no use for a connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The journal cannot be kept.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// An attempt cannot be carried on.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The machine has no network interface by which it could be known.
    #[error("this machine shows no network interface: is a driver missing?")]
    NoInterface,
    /// The server refused the enrolment for good.
    #[error("the server refused the enrolment: {0}")]
    Refused(String),
    /// Randomness is missing.
    #[error("getting random numbers from the system")]
    Random,
}

/// How a session, or a part of it, ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Told to stop.
    Stopped,
    /// The machine is going down.
    Down,
}

/// What the parts of a session share.
struct Life<'a> {
    session: &'a Session,
    boot_id: String,
    in_tools: AtomicBool,
    said: Mutex<String>,
    /// The attempt of the upgrade in whose trial this agent was started.
    on_trial: Option<AttemptId>,
    proved: AtomicBool,
    stop: &'a CancellationToken,
}

/// Runs an agent until it is told to stop or its machine goes down.
pub async fn run(session: &Session, stop: &CancellationToken) -> Result<Ended, Error> {
    let life = Life::new(session, stop)?;
    let mut backoff = Backoff::default();
    loop {
        let Some((ca_pem, credentials)) = life.establish().await? else {
            return Ok(Ended::Stopped);
        };
        match life.work(&ca_pem, credentials, &mut backoff).await? {
            work::End::Ended(ended) => return Ok(ended),
            work::End::EnrolAgain => {
                Credentials::remove(session.host.as_ref(), &session.config.state_dir)?;
            }
            work::End::TrustAgain => {}
        }
    }
}

/// Trusts the server and gets an identity, once. For the `enrol` command.
pub async fn enrol(session: &Session, stop: &CancellationToken) -> Result<Option<Credentials>, Error> {
    let life = Life::new(session, stop)?;
    // An identity that is there stays until a new one has come.
    let Some(ca_pem) = life.trust(None).await? else { return Ok(None) };
    life.enrol(&ca_pem, OnRefusal::GiveUp).await
}

impl<'a> Life<'a> {
    fn new(session: &'a Session, stop: &'a CancellationToken) -> Result<Self, Error> {
        let boot_id = session.host.read(Path::new(BOOT_ID)).map_err(Error::Boot)?;
        let boot_id = String::from_utf8_lossy(&boot_id).trim().to_owned();
        let on_trial = Upgrade::new(session.host.as_ref(), &session.config.state_dir).on_trial();
        Ok(Self {
            session,
            boot_id,
            in_tools: AtomicBool::new(false),
            said: Mutex::default(),
            on_trial,
            proved: AtomicBool::new(false),
            stop,
        })
    }

    /// A CA that is trusted, and an identity. `None`: told to stop.
    async fn establish(&self) -> Result<Option<(String, Credentials)>, Error> {
        let host = self.session.host.as_ref();
        let stored = Credentials::find(host, &self.session.config.state_dir)?;
        let Some(ca_pem) = self.trust(stored.as_ref()).await? else { return Ok(None) };
        if let Some(credentials) = stored {
            return Ok(Some((ca_pem, credentials)));
        }
        let credentials = self.enrol(&ca_pem, OnRefusal::Announce).await?;
        Ok(credentials.map(|credentials| (ca_pem, credentials)))
    }

    /// Waits; `false`: told to stop meanwhile.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn say(&self, line: &str) {
        (self.session.console)(line);
    }

    /// Says what holds on for long: the same line again and again would push away what matters.
    fn say_once(&self, line: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != line {
            self.say(&line);
            *said = line;
        }
    }

    fn realm(&self) -> Realm {
        self.session.config.realm
    }
}

#[cfg(test)]
mod tests;
