//! Bad days: whatever goes wrong ends in a clear state with a reason and a remedy, or goes on; and the server still serves.
//!
//! Servers, TLS and databases are real, and where an agent takes part it is the real session on a machine in memory.

mod certificates;
mod crashes;
mod downloads;
mod full_disk;
mod listeners;
mod machines;
mod repeated;
mod requests;
mod retired;
mod strangers;
mod tftp;
mod tokens;
mod trust;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    config::{Addresses, Config},
    host::fake::FakeHost,
    identity::NewKey,
    server::https::Https,
    session::{self, Ended, Session},
};
use harness::server::{Answer, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::{Mac, enrol::Realm};

/// Longest time that anything here may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

fn mac(last: u8) -> Mac {
    format!("52:54:00:00:00:{last:02x}").parse().unwrap()
}

/// Asks again whenever something has happened on the server, until the answer satisfies.
async fn until<T>(server: &TestServer, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            let happened = server.ctx.presence.events().notified_owned();
            tokio::time::timeout(Duration::from_millis(100), happened).await.ok();
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// The server answers as if nothing had been.
async fn serves(server: &TestServer) {
    server.get("/api/v1/server").await.unwrap().ok().unwrap();
    let url = format!("{}/boot/trust?nonce=abc", server.ctx.addresses.boot);
    assert_eq!(server.http.get(url).send().await.unwrap().status(), 200);
}

async fn client(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/api/v1/clients/{name}")).await.unwrap().ok().unwrap()
}

async fn job(server: &TestServer, id: i64) -> Value {
    server.get(&format!("/api/v1/jobs/{id}")).await.unwrap().ok().unwrap()
}

async fn register(server: &TestServer, name: &str, mac: Mac) {
    let body = json!({ "name": name, "macs": [mac] });
    server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
}

async fn order(server: &TestServer, name: &str, body: &Value) -> i64 {
    let made = server.send(Method::POST, &format!("/api/v1/clients/{name}/jobs"), body).await.unwrap();
    made.ok().unwrap().as_i64().unwrap()
}

/// Waits until a job is in a state.
async fn reaches(server: &TestServer, id: i64, state: &str) -> Value {
    let what = format!("job {id} is {state}");
    until(server, &what, async || Some(job(server, id).await).filter(|job| job["state"] == state)).await
}

/// The details of a timeline, one a line.
async fn timeline(server: &TestServer, mac: Mac) -> String {
    let found = server.get(&format!("/api/v1/boot-timelines/{mac}")).await.unwrap();
    let lines = found.json()["lines"].as_array().cloned().unwrap_or_default();
    let line =
        |line: &Value| format!("{}: {}\n", line["kind"].as_str().unwrap(), line["detail"].as_str().unwrap());
    lines.iter().map(line).collect()
}

/// Stores a file as an admin would.
async fn store(server: &TestServer, content: &[u8]) -> Value {
    let request = server.request(Some(server::domain::people::Role::Admin), Method::POST, "/api/v1/blobs");
    answer(request.body(content.to_vec())).await.unwrap().ok().unwrap()
}

/// Gives the server an installer image with these tools.
async fn installer(server: &TestServer, tools: &[u8]) -> Value {
    let tools = store(server, tools).await;
    let parts = json!({ "vmlinuz": store(server, b"kernel").await, "initramfs": store(server, b"initramfs").await, "tools": tools });
    let image = json!({ "name": "installer", "recipe": "0".repeat(64), "parts": parts });
    server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    tools
}

/// What anybody on the network reads when a machine boots: the token in its boot script.
async fn token_on_the_wire(server: &TestServer, mac: Mac) -> String {
    let url = format!("{}/boot/ipxe?mac={mac}", server.ctx.addresses.boot);
    let script = server.http.get(url).send().await.unwrap().text().await.unwrap();
    let token = script.split("lotse.token=").nth(1).unwrap_or_else(|| panic!("no token in {script}"));
    token.split_whitespace().next().unwrap().to_owned()
}

/// Wants the installer of a machine that was there before, so that its next boot brings a token.
async fn wants_installer(server: &TestServer, name: &str) {
    let keys = json!({ "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 ann"] });
    server.send(Method::POST, &format!("/api/v1/clients/{name}/rescue"), &keys).await.unwrap().ok().unwrap();
}

/// Facts of a machine, as small as they may be.
fn facts(serial: &str) -> Value {
    json!({
        "collected_at": 0, "realm": "installer", "agent_version": "0", "firmware": "bios",
        "cpu": { "model": "", "architecture": "x86_64", "cores": 1, "threads": 1 }, "memory_bytes": 1,
        "dmi": { "vendor": "", "product": "", "serial": serial, "uuid": "", "bios_version": "" },
        "disks": [], "nics": [], "os": { "id": "", "version": "", "name": "", "kernel": "", "hostname": "", "reboot_wanted": "" },
    })
}

/// Sends a request for an identity, as an agent would.
async fn enrol(server: &TestServer, mac: Mac, key: &NewKey, token: Option<&str>, serial: &str) -> Answer {
    let body = json!({
        "token": token, "csr_pem": key.csr_pem, "mac": mac, "boot_id": "b", "realm": "installer",
        "agent_version": "0", "facts": facts(serial),
    });
    answer(server.request(None, Method::POST, "/agent/v1/enrol").json(&body)).await.unwrap()
}

/// Connections that show this certificate and key.
fn showing(server: &TestServer, pem: &str) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(server.ctx.authority.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        .build()
        .unwrap()
}

/// Certificate and key of an enrolled agent.
fn identity(enrolled: &Answer, key: NewKey) -> String {
    let answer = enrolled.json();
    assert_eq!(answer["status"], "enrolled", "{enrolled:?}");
    let identity: wire::enrol::Identity = serde_json::from_value(answer).unwrap();
    let certificate = identity.certificate_pem.clone();
    certificate + &key.into_credentials(identity, Realm::Installer, 0).key_pem
}

/// Asks for work and gives the answer at once.
async fn poll(server: &TestServer, agent: &reqwest::Client) -> Answer {
    let body = json!({ "boot_id": "b", "realm": "installer", "agent_version": "0", "wait_s": 0 });
    let url = format!("{}/agent/v1/poll", server.ctx.addresses.agents);
    answer(agent.post(url).json(&body)).await.unwrap()
}

/// A machine in memory with the real agent on it.
struct Machine {
    host: FakeHost,
    config: Config,
    lines: Arc<Mutex<Vec<String>>>,
    running: Option<(CancellationToken, JoinHandle<Result<Ended, session::Error>>)>,
}

impl Machine {
    /// A machine that is off.
    fn new(server: &TestServer, mac: Mac, realm: Realm, token: Option<String>) -> Self {
        let addresses = Addresses {
            server: server.ctx.addresses.https.clone(),
            agents: server.ctx.addresses.agents.clone(),
            boot: server.ctx.addresses.boot.clone(),
            ca: server.ctx.addresses.ca.parse().unwrap(),
        };
        let host = FakeHost::new(server.ctx.now())
            .with_file("/usr/bin/apt-get", "a package manager")
            .with_file("/sys/class/net/eth0/address", format!("{mac}\n"))
            .with_file("/sys/class/net/eth0/carrier", "1\n")
            .with_file("/sys/class/net/eth0/device/vendor", "0x1af4\n")
            .with_file("/sys/class/dmi/id/product_serial", format!("serial-{mac}\n"));
        let mut config = Config { realm, boot_mac: Some(mac), ..Config::system(addresses, token) };
        if realm == Realm::Installer {
            config.state_dir = agent::config::INSTALLER_STATE_DIR.into();
        }
        Self { host, config, lines: Arc::default(), running: None }
    }

    /// A machine whose agent runs and has enrolled as a client on an installed system.
    async fn enrolled(server: &TestServer, name: &str, mac: Mac) -> Self {
        register(server, name, mac).await;
        let path = format!("/api/v1/clients/{name}/enrol-command");
        let command = server.send(Method::POST, &path, &json!({})).await.unwrap().ok().unwrap();
        let command = command["command"].as_str().unwrap();
        let token = command.split_whitespace().next().unwrap().strip_prefix("LOTSE_TOKEN=").unwrap();
        let mut machine = Self::new(server, mac, Realm::System, Some(token.to_owned()));
        machine.start();
        until(server, "the agent is there", async || {
            (client(server, name).await["stage"] == "installed").then_some(())
        })
        .await;
        machine
    }

    /// Lets the agent run.
    fn start(&mut self) {
        let lines = Arc::clone(&self.lines);
        let session = Session {
            config: self.config.clone(),
            host: Arc::new(self.host.clone()),
            connect: Arc::new(Https),
            console: Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())),
        };
        let stop = CancellationToken::new();
        let task = {
            let stop = stop.clone();
            tokio::spawn(async move { session::run(&session, &stop).await })
        };
        self.running = Some((stop, task));
    }

    /// Tells the agent to stop, and waits for it.
    async fn stop(&mut self) -> Ended {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        tokio::time::timeout(PATIENCE, task).await.expect("the agent hangs").unwrap().unwrap()
    }

    /// Pulls the plug and boots again.
    async fn power_cut(&mut self) {
        let (_, task) = self.running.take().unwrap();
        task.abort();
        task.await.ok();
        self.host.power_cut();
        self.start();
    }

    /// What the machine's screen shows.
    fn console(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until the screen shows something.
    async fn shows(&self, server: &TestServer, text: &str) {
        let what = format!("the screen shows `{text}`");
        until(server, &what, async || self.console().contains(text).then_some(())).await;
    }

    /// The scripts that were run, by the words of their commands.
    fn scripts(&self) -> usize {
        self.host.command_lines().iter().filter(|line| line.starts_with("/bin/sh")).count()
    }
}
