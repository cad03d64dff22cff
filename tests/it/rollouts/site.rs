//! A server with clients whose agents do what the test says.

use std::{collections::BTreeMap, time::Duration};

use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::rollouts::{self, Looks},
    clock::{Clock, SECOND},
    db::{clients, jobs},
    domain::{
        client::{ClientConfig, Stage},
        job::{Job, JobState},
    },
    queue,
};
use wire::{
    AttemptId, ClientId,
    enrol::Realm,
    event::{Event, EventKind, Outcome},
};

/// Saturday, 28 March 2026, 12:00 UTC: the clocks of Europe change in the night after.
pub(super) const NOON: i64 = 1_774_699_200 * SECOND;

pub(super) struct Site {
    pub(super) server: TestServer,
    pub(super) clients: Vec<ClientId>,
    running: BTreeMap<ClientId, AttemptId>,
    /// What the server remembers; a new one is a restart.
    pub(super) looks: Looks,
}

/// How a job ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    Well,
    Badly,
}

impl Site {
    pub(super) async fn start(engine: Engine, count: usize) -> Self {
        let server = TestServer::start_with(engine, Clock::fixed(NOON)).await.unwrap();
        let mut site =
            Self { server, clients: Vec::new(), running: BTreeMap::new(), looks: Looks::default() };
        for _ in 0..count {
            site.add().await;
        }
        site
    }

    /// One more client, online.
    pub(super) async fn add(&mut self) -> ClientId {
        let name = format!("pc-{:03}", self.clients.len());
        let mut tx = self.server.ctx.db.write().await.unwrap();
        let now = self.server.ctx.now();
        let id = clients::create(&mut tx, &name, Stage::Installed, &ClientConfig::default(), &[], now)
            .await
            .unwrap();
        clients::set_seen(&mut tx, id, "boot", Realm::System, "1", now).await.unwrap();
        tx.commit().await.unwrap();
        self.clients.push(id);
        id
    }

    /// The clock goes on, and those that were online still are.
    pub(super) async fn advance(&self, seconds: i64) {
        self.server.ctx.clock.advance(seconds);
        self.hear(&self.clients).await;
    }

    /// These are heard now.
    pub(super) async fn hear(&self, clients: &[ClientId]) {
        let mut tx = self.server.ctx.db.write().await.unwrap();
        for id in clients {
            clients::set_seen(&mut tx, *id, "boot", Realm::System, "1", self.server.ctx.now()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Machines come up in a realm, and their agents are heard from it.
    pub(super) async fn boot(&self, realm: Realm, clients: &[ClientId]) {
        let now = self.server.ctx.now();
        for id in clients {
            let mut tx = self.server.ctx.db.write().await.unwrap();
            clients::set_seen(&mut tx, *id, "another boot", realm, "1", now).await.unwrap();
            let stage = clients::stage(&mut tx, *id).await.unwrap().unwrap();
            queue::follow_stage(&mut tx, *id, stage, realm, now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// The server looks until nothing is left to do.
    pub(super) async fn look(&mut self) {
        while rollouts::work(&self.server.ctx, &mut self.looks).await.unwrap() {}
    }

    /// The server looks until something is so; another server may have it at the moment.
    pub(super) async fn until(&mut self, id: i64, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            self.look().await;
            let view = self.show(id).await;
            if is(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: {:#}", self.show(id).await);
    }

    pub(super) async fn show(&self, id: i64) -> Value {
        self.server.get(&format!("/api/v1/rollouts/{id}")).await.unwrap().ok().unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> harness::server::Answer {
        self.server.send(Method::POST, &format!("/api/v1/{path}"), body).await.unwrap()
    }

    /// Makes and starts one.
    pub(super) async fn begin(&self, spec: &Value) -> i64 {
        let body = json!({ "title": "hello", "spec": spec });
        let made = self.post("rollouts", &body).await.ok().unwrap();
        let id = made["id"].as_i64().unwrap();
        self.post(&format!("rollouts/{id}/start"), &json!({})).await.ok().unwrap();
        id
    }

    /// Agents take what is there for them; tells how many did.
    pub(super) async fn claim(&mut self, clients: &[ClientId]) -> usize {
        self.claim_in(Realm::System, clients).await
    }

    /// Agents of a realm take what is there for them; tells how many did.
    pub(super) async fn claim_in(&mut self, realm: Realm, clients: &[ClientId]) -> usize {
        let mut taken = 0;
        for id in clients {
            let mut tx = self.server.ctx.db.write().await.unwrap();
            let now = self.server.ctx.now();
            let found = queue::claim(&mut tx, *id, realm, "boot", 60, now).await.unwrap();
            tx.commit().await.unwrap();
            if let Some((_, attempt)) = found {
                self.running.insert(*id, attempt);
                taken += 1;
            }
        }
        taken
    }

    /// Who works at the moment.
    pub(super) fn working(&self) -> Vec<ClientId> {
        self.running.keys().copied().collect()
    }

    /// Jobs end.
    pub(super) async fn end(&mut self, clients: &[ClientId], how: End) {
        for id in clients {
            let Some(attempt) = self.running.remove(id) else { continue };
            let outcome = match how {
                End::Well => Outcome::Succeeded,
                End::Badly => Outcome::Failed {
                    step: "10-install".to_owned(),
                    reason: format!("exit status 100 after {} s: E: Unable to locate package helo", id.0),
                    transient: false,
                },
            };
            let now = self.server.ctx.now();
            let events = [Event { seq: 1, at: now, kind: EventKind::Finished { outcome } }];
            let mut tx = self.server.ctx.db.write().await.unwrap();
            queue::report(&mut tx, *id, attempt, &events, 60, now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Every client takes and ends what it has.
    pub(super) async fn work(&mut self, how: End) -> usize {
        let all = self.clients.clone();
        let taken = self.claim(&all).await;
        self.end(&all, how).await;
        taken
    }

    /// Leases and times to begin run out.
    pub(super) async fn reap(&mut self) {
        let mut tx = self.server.ctx.db.write().await.unwrap();
        queue::reap(&mut tx, self.server.ctx.now()).await.unwrap();
        tx.commit().await.unwrap();
        let mut still = BTreeMap::new();
        for (client, attempt) in std::mem::take(&mut self.running) {
            let mut tx = self.server.ctx.db.read().await.unwrap();
            let running = server::db::attempts::running(&mut tx, client).await.unwrap();
            if running.is_some_and(|running| running.id == attempt) {
                still.insert(client, attempt);
            }
        }
        self.running = still;
    }

    /// All jobs of a client, oldest first.
    pub(super) async fn jobs(&self, client: ClientId) -> Vec<Job> {
        let mut tx = self.server.ctx.db.read().await.unwrap();
        let filter = jobs::Filter { client: Some(client), ..jobs::Filter::default() };
        let sees = server::domain::reach::Sees::Everything;
        let mut found = jobs::list(&mut tx, &sees, &filter, i64::MAX, 100).await.unwrap();
        found.reverse();
        found
    }

    /// How many jobs of all clients are in one of these states.
    pub(super) async fn count(&self, states: &[JobState]) -> usize {
        let mut count = 0;
        for client in &self.clients {
            count += self.jobs(*client).await.iter().filter(|job| states.contains(&job.state)).count();
        }
        count
    }
}

/// Everybody gets a script.
pub(super) fn spec(more: Value) -> Value {
    let mut spec = json!({
        "work": { "kind": "jobs", "jobs": [{ "job_type": "script", "params": { "text": "true" } }] },
        "target": { "where": "name:pc-*" },
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

pub(super) fn is_in(state: &'static str) -> impl Fn(&Value) -> bool {
    move |view| view["state"] == state
}

/// How many clients are in a state.
pub(super) fn count(view: &Value, state: &str) -> i64 {
    view["counts"][state].as_i64().unwrap()
}
