//! A server that can be killed at any moment and started again on the same data and the same ports.
//!
//! It lives in a runtime of its own. Killing it drops every task where it stands: no answer is finished, no transaction is
//! rolled back in order, no connection is closed with a word. That is as near to SIGKILL as one process comes.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use reqwest::{Certificate, Method};
use serde_json::Value;
use server::{
    app::people, clock::Clock, config::Config, context::Addresses, db::Db, domain::people::Role,
    startup::Server,
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    postgres,
    server::{Answer, Engine, answer, config},
};

/// After this long without an agent's word its attempt is lost.
pub const LEASE_S: u32 = 25;
/// Threads that drop their tasks need no longer.
const DYING: Duration = Duration::from_secs(20);
/// Below the ports that the kernel gives to connections, so that nobody takes one while the server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The job types of fleets; see the folder.
fn job_scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("it/fleet/job-scripts")
}

/// A server for a fleet.
pub struct FleetServer {
    config: Config,
    /// Where it listens.
    pub addresses: Addresses,
    /// The same database, looked at from outside.
    pub db: Db,
    http: reqwest::Client,
    token: String,
    running: Option<Running>,
    _directory: TempDir,
}

struct Running {
    /// `None` only once it is being shut down.
    runtime: Option<Runtime>,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    addresses: Addresses,
    ca_pem: String,
}

impl Running {
    /// Drops every task, and waits for the threads, so that the ports are free again.
    async fn die(mut self) -> Result<()> {
        let runtime = self.runtime.take();
        tokio::task::spawn_blocking(move || runtime.map(|runtime| runtime.shutdown_timeout(DYING))).await?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts a server in a runtime of its own.
async fn run(config: Config) -> Result<Running> {
    let started = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fleet-server")
            .enable_all()
            .build()?;
        let server = runtime.block_on(Server::bind(config, Clock::system()))?;
        let (addresses, ca_pem) =
            (server.ctx().addresses.clone(), server.ctx().authority.ca_pem().to_owned());
        let stop = CancellationToken::new();
        let task = runtime.spawn(server.run(stop.clone()));
        anyhow::Ok(Running { runtime: Some(runtime), stop, task, addresses, ca_pem })
    });
    started.await?.context("starting the server")
}

/// An address of this machine on which nobody listens.
fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes at once begin at different places.
    let first = (std::process::id() % 100) as u16 * 100;
    let span = PORTS.end - PORTS.start;
    for _ in 0..span {
        let port = PORTS.start + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % span;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port of {PORTS:?} is free")
}

impl FleetServer {
    /// Starts a server on free ports.
    pub async fn start(engine: Engine) -> Result<Self> {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres::database().await?),
        };
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir()?;
        let mut config = config(directory.path().join("data"), database);
        config.lease_s = LEASE_S;
        config.site_scripts = Some(job_scripts());
        for listen in [&mut config.listen_https, &mut config.listen_agents, &mut config.listen_boot] {
            *listen = free_address()?;
        }
        let running = run(config.clone()).await?;
        let (addresses, ca) = (running.addresses.clone(), running.ca_pem.clone());
        let db = Db::open(&config.database, 0).await?;
        let mut tx = db.write().await?;
        let token = people::create_token(&mut tx, "fleet", Role::Admin, None, "test", 0).await?.secret;
        tx.commit().await?;
        let http =
            reqwest::Client::builder().tls_certs_only([Certificate::from_pem(ca.as_bytes())?]).build()?;
        let running = Some(running);
        Ok(Self { config, addresses, db, http, token, running, _directory: directory })
    }

    /// Kills the server.
    pub async fn kill(&mut self) -> Result<()> {
        self.running.take().context("killing a server that does not run")?.die().await
    }

    /// Starts the server again where it was.
    pub async fn start_again(&mut self) -> Result<()> {
        self.running = Some(run(self.config.clone()).await?);
        Ok(())
    }

    /// Kills the server and starts it again.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.start_again().await
    }

    /// Tells the server to stop, waits until its connections are closed, and starts it again.
    pub async fn stop_and_restart(&mut self) -> Result<()> {
        let mut running = self.running.take().context("stopping a server that does not run")?;
        running.stop.cancel();
        (&mut running.task).await.context("the server panicked")??;
        running.die().await?;
        self.start_again().await
    }

    /// The CA of the server; none while it does not run.
    pub fn ca_pem(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.ca_pem.as_str())
    }

    /// Sends a request as an admin; JSON `null` is no body.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}{path}", self.addresses.https);
        let request = self.http.request(method, url).bearer_auth(&self.token);
        answer(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Sends a file; gives its reference.
    pub async fn store(&self, content: Vec<u8>) -> Result<Value> {
        let url = format!("{}/api/v1/blobs", self.addresses.https);
        answer(self.http.post(url).bearer_auth(&self.token).body(content)).await?.ok()
    }

    /// Ends the server.
    pub async fn end(mut self) -> Result<()> {
        self.db.close().await;
        self.running.take().context("ending a server that does not run")?.die().await
    }
}
