//! A fleet with its server, from the first machine to the record of what became of everything.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agent::{
    config::{Addresses, Config},
    host::fake::FakeHost,
};
use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    clock::Clock,
    db::{clients, jobs},
    domain::{client::Stage, job::JobState, reach::Sees},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use wire::{ClientId, JobId, Mac};

use super::{
    dice::Dice,
    luck::{Blow, Chances, Luck, Tally},
    machine::{Boots, Machine, Screen, hardware},
    program::Script,
    record::{MachineRecord, Ordered, Record, read_jobs},
    server::FleetServer,
};
use crate::server::Engine;

/// Nothing takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Conditions are looked at this often.
const GLANCE: Duration = Duration::from_millis(50);
/// The secret that jobs of type `fleet-secret` name.
const SECRET: &str = "fleet-word";

/// A server with machines.
pub struct Fleet {
    /// Everything that is thrown in this run comes from it.
    pub seed: u64,
    /// The server.
    pub server: FleetServer,
    /// The machines, in the order in which they came.
    pub members: Vec<Member>,
    /// What happened so far.
    pub tally: Arc<Tally>,
    ordered: Vec<Ordered>,
    end: CancellationToken,
}

/// A machine of a fleet.
pub struct Member {
    /// Its client's name.
    pub name: String,
    /// Its client.
    pub client: ClientId,
    /// The machine.
    pub host: FakeHost,
    /// What goes wrong with it.
    pub luck: Arc<Luck>,
    /// What it shows.
    screen: Screen,
    /// Nothing but messages goes wrong with it.
    is_calm: bool,
    life: JoinHandle<Result<()>>,
}

/// How a machine comes into a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Installed by somebody else; enrols by a token.
    Installed,
    /// Known by its address; boots over the network.
    Blank,
}

impl Fleet {
    /// Starts a server for a fleet.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(engine: Engine, seed: u64) -> Result<Self> {
        let server = FleetServer::start(engine).await?;
        let fleet = Self {
            seed,
            server,
            members: Vec::new(),
            tally: Arc::default(),
            ordered: Vec::new(),
            end: CancellationToken::new(),
        };
        fleet.store_images().await?;
        Ok(fleet)
    }

    /// What installers need; that it is none of what it pretends to be matters to nobody here.
    async fn store_images(&self) -> Result<()> {
        let mut parts = BTreeMap::new();
        for (name, size) in [("vmlinuz", 10), ("initramfs", 10), ("tools", 150_000), ("package", 60_000)] {
            let content = name.bytes().cycle().take(size).collect();
            parts.insert(name, self.server.store(content).await?);
        }
        let recipe = "0".repeat(64);
        let package = parts.remove("package");
        for image in [
            json!({ "name": "installer", "recipe": recipe, "parts": parts }),
            json!({ "name": "agent", "recipe": recipe, "parts": { "package": package } }),
        ] {
            self.server.send(Method::POST, "/api/v1/images", &image).await?.ok()?;
        }
        Ok(())
    }

    /// Registers a client and switches its machine on. `planned`: what happens at which of its messages.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn add(
        &mut self,
        arrival: Arrival,
        chances: Chances,
        planned: BTreeMap<u64, Blow>,
    ) -> Result<usize> {
        let number = self.members.len();
        let name = format!("m{number:03}");
        let [_, _, high, low] = u32::try_from(number)?.to_be_bytes();
        let mac = Mac::from_bytes([0x52, 0x54, 0, 0xf1, high, low]);
        let new = json!({ "name": name, "macs": [mac.to_string()] });
        self.server.send(Method::POST, "/api/v1/clients", &new).await?.ok()?;
        let mut tx = self.server.db.write().await?;
        let client = clients::find_by_name(&mut tx, &name).await?.context("a client is gone")?.id;
        clients::set_secret(&mut tx, client, SECRET, "Shibboleth", 0).await?;
        if arrival == Arrival::Blank {
            // As an installation does: from now on jobs say what the machine boots.
            clients::set_stage(&mut tx, client, Stage::Installing).await?;
        }
        tx.commit().await?;
        let boots = match arrival {
            Arrival::Blank => Boots::Network(self.server.addresses.boot.clone()),
            Arrival::Installed => Boots::System(Box::new(self.system(&name).await?)),
        };
        let host = hardware(mac, Clock::system().now());
        let (sender, blows) = mpsc::unbounded_channel();
        let is_calm = planned.is_empty();
        let dice = Dice::new(self.seed, &name);
        let luck = Arc::new(Luck::new(dice, chances, planned, sender, self.tally.clone()));
        let (luck_, tally) = (luck.clone(), self.tally.clone());
        let screen = Screen::default();
        let machine =
            Machine { mac, host: host.clone(), luck: luck_, tally, blows, boots, screen: screen.clone() };
        let life = tokio::spawn(machine.live(self.end.clone()));
        self.members.push(Member { name, client, host, luck, screen, is_calm, life });
        Ok(number)
    }

    async fn system(&self, name: &str) -> Result<Config> {
        let path = format!("/api/v1/clients/{name}/enrol-command");
        let answer = self.server.send(Method::POST, &path, &json!({})).await?.ok()?;
        let command = answer["command"].as_str().unwrap_or_default();
        let token = command.split(' ').find_map(|word| word.strip_prefix("LOTSE_TOKEN="));
        let token = token.context("finding the token in the enrol command")?.to_owned();
        let addresses = &self.server.addresses;
        let addresses = Addresses {
            server: addresses.https.clone(),
            agents: addresses.agents.clone(),
            boot: addresses.boot.clone(),
            ca: addresses.ca.parse()?,
        };
        Ok(Config::system(addresses, Some(token)))
    }

    /// Orders a job. `scripts`: what its plan runs, by parameter.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn order(
        &mut self,
        member: usize,
        job_type: &str,
        scripts: &[(&str, &Script)],
        more: Value,
    ) -> Result<JobId> {
        let params: BTreeMap<_, _> = scripts.iter().map(|(name, script)| (*name, script.text())).collect();
        let mut order = json!({ "job_type": job_type, "params": params });
        for (field, value) in more.as_object().into_iter().flatten() {
            order[field] = value.clone();
        }
        let path = format!("/api/v1/clients/{}/jobs", self.members[member].name);
        let made = self.server.send(Method::POST, &path, &order).await?.ok()?;
        let id = JobId(made.as_i64().context("the server has named no job")?);
        self.ordered.push(Ordered {
            id,
            client: self.members[member].client,
            scripts: scripts.len(),
            status: scripts.last().map_or(0, |(_, script)| script.status),
            busy: scripts.iter().map(|(_, script)| script.busy).sum(),
            cancelled: false,
            needs: more.get("needs").is_some(),
        });
        Ok(id)
    }

    /// Cancels a job, if it is not too late.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn cancel(&mut self, id: JobId) -> Result<()> {
        let path = format!("/api/v1/jobs/{id}/cancel");
        let answer = self.server.send(Method::POST, &path, &json!({ "reason": "of no use" })).await?;
        ensure!(answer.status.is_success() || answer.status == 409, "{}", answer.text);
        if let Some(order) = self.ordered.iter_mut().find(|order| order.id == id) {
            order.cancelled = true;
        }
        self.tally.count("cancelled");
        Ok(())
    }

    /// Removes a client with all its jobs; its machine stays.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn delete(&mut self, member: usize) -> Result<()> {
        let member = &self.members[member];
        let path = format!("/api/v1/clients/{}", member.name);
        self.server.send(Method::DELETE, &path, &Value::Null).await?.ok()?;
        self.ordered.retain(|order| order.client != member.client);
        self.tally.count("deleted");
        Ok(())
    }

    /// Lets something happen to a machine now.
    pub fn strike(&mut self, member: usize, blow: Blow) {
        self.members[member].is_calm = false;
        self.members[member].luck.strike(blow);
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// It does not within the patience of this module.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> Result<bool>) -> Result<()> {
        let waiting = async {
            while !holds(self).await? {
                tokio::time::sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("waited for {PATIENCE:?}: {what}\n{}", self.open_jobs().await?),
        }
    }

    /// Whether a job is in one of these states.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn is(&self, id: JobId, states: &[JobState]) -> Result<bool> {
        let mut tx = self.server.db.read().await?;
        Ok(jobs::find(&mut tx, id).await?.is_some_and(|job| states.contains(&job.state)))
    }

    /// How many jobs are not over.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn open(&self) -> Result<usize> {
        let mut tx = self.server.db.read().await?;
        let mut open = 0;
        for state in [JobState::Held, JobState::Queued, JobState::Running] {
            open += jobs::list(&mut tx, &Sees::Everything, &in_state(state), i64::MAX, 10_000).await?.len();
        }
        Ok(open)
    }

    async fn open_jobs(&self) -> Result<String> {
        let mut tx = self.server.db.read().await?;
        let mut lines = Vec::new();
        for state in [JobState::Held, JobState::Queued, JobState::Running] {
            for job in jobs::list(&mut tx, &Sees::Everything, &in_state(state), i64::MAX, 20).await? {
                let attempt = server::db::attempts::list(&mut tx, job.id).await?.pop();
                let attempt =
                    attempt.map(|it| format!("attempt {} {} {}", it.id, it.state.as_str(), it.reason));
                let member = self.members.iter().find(|member| member.client == job.client);
                let (name, text) = member.map_or(("?", String::new()), |it| (&it.name, it.screen.text()));
                lines.push(format!(
                    "{name}: job {} {} is {}, {}; {attempt:?}; the screen shows: {text}",
                    job.id, job.job_type, job.state, job.reason
                ));
            }
        }
        Ok(lines.join("\n"))
    }

    /// Lets the run come to its end: nothing goes wrong any more, all jobs end, all machines are switched off. Gives what is left.
    ///
    /// # Errors
    /// A job does not end, or an agent gave up.
    pub async fn finish(mut self) -> Result<Record> {
        for member in &self.members {
            member.luck.calm();
        }
        self.until("every job ends", async |fleet| Ok(fleet.open().await? == 0)).await?;
        self.end.cancel();
        let mut machines = Vec::new();
        for member in std::mem::take(&mut self.members) {
            let life = tokio::time::timeout(PATIENCE, member.life).await;
            life.with_context(|| format!("switching {} off", member.name))??
                .with_context(|| format!("the agent of {}", member.name))?;
            machines.push(MachineRecord {
                client: member.client,
                processes: member.host.processes(),
                is_calm: member.is_calm,
            });
        }
        // A deleted client's jobs are gone, so nobody can say what its machine ran.
        let mut tx = self.server.db.read().await?;
        let mut known = Vec::new();
        for machine in machines {
            if clients::find(&mut tx, machine.client).await?.is_some() {
                known.push(machine);
            }
        }
        drop(tx);
        let jobs = read_jobs(&self.server.db, &self.ordered).await?;
        self.server.end().await?;
        Ok(Record { machines: known, jobs })
    }
}

fn in_state(state: JobState) -> jobs::Filter {
    jobs::Filter { state: Some(state), ..jobs::Filter::default() }
}
