//! A whole fleet in a storm: messages are lost, repeated and held up, agents are killed, plugs pulled, cables cut, the server
//! dies again and again, and people cancel, hold, accept and delete meanwhile. Afterwards every invariant holds.

use std::{collections::BTreeMap, time::Instant};

use harness::{
    fleet::{
        dice::Dice,
        invariants::violations,
        luck::{Blow, Chances},
        program::Script,
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use reqwest::Method;
use serde_json::json;
use server::db::attempts;
use wire::JobId;

const DAY: i64 = 86_400_000_000;
/// Machines of a storm.
const MACHINES: usize = 200;
/// The server dies whenever so many machines have come.
const MACHINES_OF_A_LIFE: usize = 40;
/// It dies once more after so many more messages.
const MESSAGES_OF_THE_LAST_LIFE: u64 = 500;
/// A cut machine has its job by then, and a restarted one its identity.
const FIRST_BLOW: u64 = 10;
const LAST_BLOW: u64 = 30;

/// The seed of `FLEET_SEED`, or another one each time.
#[expect(clippy::disallowed_methods, reason = "a failing run is repeated with the seed that it names")]
fn seed() -> u64 {
    let given = std::env::var("FLEET_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| server::clock::Clock::system().now().unsigned_abs() % 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_on_sqlite_loses_nothing_and_does_nothing_twice() {
    weather_a_storm(Engine::Sqlite, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_on_postgres_loses_nothing_and_does_nothing_twice() {
    weather_a_storm(Engine::Postgres, seed()).await;
}

/// These machines are installed in the storm.
fn is_blank(number: usize) -> bool {
    number.is_multiple_of(10)
}

/// The network of these machines is cut in the middle of their work, early enough for their leases to run out meanwhile.
fn is_cut(number: usize) -> bool {
    number < 80 && number % 20 == 7
}

/// Two storms at once would only slow each other down, and leases would run out for no other reason.
static SKY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn weather_a_storm(engine: Engine, seed: u64) {
    let _alone = SKY.lock().await;
    let begun = Instant::now();
    let mut storm = Storm {
        fleet: Fleet::start(engine, seed).await.unwrap(),
        dice: Dice::new(seed, "storm"),
        cut: Vec::new(),
        held: Vec::new(),
        jobs: Vec::new(),
        deaths: 0,
    };
    for number in 0..MACHINES {
        storm.arrive(number).await;
        if (number + 1).is_multiple_of(MACHINES_OF_A_LIFE) {
            storm.meddle().await;
            storm.server_dies().await;
        }
    }
    let sent = storm.fleet.tally.of("messages");
    storm.wait_for_messages(sent + MESSAGES_OF_THE_LAST_LIFE).await;
    storm.server_dies().await;
    storm.accept_held().await;
    storm.repair_cut().await;
    let tally = storm.fleet.tally.clone();
    let ended = storm.fleet.finish().await;
    let record = ended.unwrap_or_else(|error| panic!("FLEET_SEED={seed}: {error:#}"));
    let wrong = violations(&record);
    eprintln!("{engine:?}, seed {seed}, {:?}: {}", begun.elapsed(), summary(&record, &tally));
    assert!(wrong.is_empty(), "FLEET_SEED={seed}, {} violations:\n{}", wrong.len(), wrong.join("\n"));
}

fn summary(record: &harness::fleet::record::Record, tally: &harness::fleet::luck::Tally) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for job in record.jobs.iter().filter_map(|job| job.job.as_ref()) {
        *states.entry(job.state.as_str()).or_default() += 1;
    }
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines = 0;
    for (_, attempt) in record.attempts() {
        *attempts.entry(attempt.attempt.state.as_str()).or_default() += 1;
        lines += attempt.events.len();
    }
    let machines = record.machines.len();
    format!(
        "{machines} machines, jobs {states:?}, attempts {attempts:?}, {lines} events; {}",
        tally.summary()
    )
}

struct Storm {
    fleet: Fleet,
    dice: Dice,
    /// Machines whose network is cut at some time.
    cut: Vec<usize>,
    held: Vec<JobId>,
    jobs: Vec<(usize, JobId)>,
    deaths: u32,
}

impl Storm {
    /// A machine comes, with what will happen to it and what it shall do.
    async fn arrive(&mut self, number: usize) {
        let arrival = if is_blank(number) { Arrival::Blank } else { Arrival::Installed };
        let is_cut = is_cut(number);
        let mut planned = BTreeMap::new();
        if is_cut {
            planned.insert(FIRST_BLOW, Blow::Cut);
        } else if self.dice.hits(400) {
            for _ in 0..self.dice.between(1, 3) {
                let blow = [Blow::Kill, Blow::Stop, Blow::PowerCut][self.throw(3)];
                planned.insert(self.dice.between(FIRST_BLOW, LAST_BLOW), blow);
            }
        }
        let member = self.fleet.add(arrival, Chances::BAD, planned).await.unwrap();
        if arrival == Arrival::Blank {
            let install = self.script("install");
            let install = Script { status: 0, busy: 0, ..install };
            let needed = self.order(member, "fleet-install", &[("text", &install)], json!({})).await;
            self.order(member, "reboot", &[], json!({ "needs": [needed] })).await;
        }
        if is_cut {
            let long = Script { lines: 60, pace_ms: 80, status: 0, busy: 0, name: format!("cut-{number}") };
            self.order(member, "fleet-once", &[("text", &long)], json!({})).await;
            self.cut.push(member);
        }
        for count in 0..2 {
            self.order_something(member, count).await;
        }
    }

    fn throw(&mut self, sides: u64) -> usize {
        usize::try_from(self.dice.between(0, sides)).unwrap()
    }

    fn script(&mut self, name: &str) -> Script {
        let is_slow = self.dice.hits(150);
        Script {
            name: format!("{name}-{}", self.dice.between(0, 1 << 40)),
            lines: if is_slow { 50 } else { self.dice.between(1, 40) },
            pace_ms: if is_slow { 60 } else { self.dice.between(0, 20) },
            status: if self.dice.hits(150) { 3 } else { 0 },
            busy: if self.dice.hits(200) { self.dice.between(1, 4) } else { 0 },
        }
    }

    async fn order(
        &mut self,
        member: usize,
        job_type: &str,
        scripts: &[(&str, &Script)],
        more: serde_json::Value,
    ) -> JobId {
        self.fleet.order(member, job_type, scripts, more).await.unwrap()
    }

    async fn order_something(&mut self, member: usize, count: u64) {
        let script = self.script("any");
        let is_held = self.dice.hits(40);
        let more = if is_held { json!({ "hold": true }) } else { json!({}) };
        let job = match self.dice.between(0, 10) {
            0..=3 => self.order(member, "fleet-once", &[("text", &script)], more).await,
            4..=6 => {
                let first = Script { status: 0, busy: 0, ..self.script("first") };
                self.order(member, "fleet-again", &[("first", &first), ("second", &script)], more).await
            }
            7 => self.order(member, "fleet-secret", &[("text", &script)], more).await,
            8 => self.order(member, "fleet-facts", &[], more).await,
            _ if count == 1 => self.order(member, "reboot", &[], more).await,
            _ => self.order(member, "fleet-once", &[("text", &script)], more).await,
        };
        if is_held {
            self.held.push(job);
        } else {
            self.jobs.push((member, job));
        }
    }

    async fn wait_for_messages(&self, messages: u64) {
        let sent =
            async |fleet: &Fleet| Ok(fleet.tally.of("messages") >= messages || fleet.open().await? == 0);
        self.fleet.until("messages flow", sent).await.unwrap();
    }

    /// People cancel, hold, accept, delete and order more, while the agents work.
    async fn meddle(&mut self) {
        for _ in 0..6 {
            let at = self.throw(self.jobs.len() as u64);
            let (_, job) = self.jobs[at];
            self.fleet.cancel(job).await.unwrap();
        }
        for _ in 0..6 {
            let at = self.throw(self.jobs.len() as u64);
            let (_, job) = self.jobs[at];
            let path = format!("/api/v1/jobs/{job}/hold");
            let answer = self.fleet.server.send(Method::POST, &path, &json!({})).await.unwrap();
            if answer.status.is_success() {
                self.held.push(job);
            }
        }
        let gone = self.throw(self.fleet.members.len() as u64);
        if !is_cut(gone) && !is_blank(gone) && self.jobs.iter().any(|(member, _)| *member == gone) {
            self.fleet.delete(gone).await.unwrap();
            self.jobs.retain(|(member, _)| *member != gone);
        }
        for _ in 0..8 {
            let at = self.throw(self.jobs.len() as u64);
            let (member, _) = self.jobs[at];
            if !is_blank(member) {
                // Two thirds of the life of its certificate are over at once. No installer lives so long.
                self.fleet.members[member].host.advance_clock(61 * DAY);
            }
            self.order_something(member, 0).await;
        }
    }

    /// Killed, and every third time told to stop.
    async fn server_dies(&mut self) {
        self.deaths += 1;
        let server = &mut self.fleet.server;
        let restarted = if self.deaths.is_multiple_of(3) {
            server.stop_and_restart().await
        } else {
            server.kill_and_restart().await
        };
        restarted.unwrap();
        self.fleet.tally.count("server restarts");
    }

    async fn accept_held(&mut self) {
        for job in std::mem::take(&mut self.held) {
            let path = format!("/api/v1/jobs/{job}/accept");
            let answer = self.fleet.server.send(Method::POST, &path, &json!({})).await.unwrap();
            // Its client may be deleted, and somebody may have cancelled it.
            let fine = answer.status.is_success() || answer.status == 404 || answer.status == 409;
            assert!(fine, "{}", answer.text);
        }
    }

    /// All cut machines were cut, and can be reached again.
    async fn repair_cut(&self) {
        let repaired = async |fleet: &Fleet| repair_given_up(fleet, &self.cut).await;
        self.fleet.until("the attempts of cut machines are given up", repaired).await.unwrap();
    }
}

/// Only once the server has given up what a cut machine held, the machine can be reached again. Gives whether all of them can.
async fn repair_given_up(fleet: &Fleet, cut: &[usize]) -> anyhow::Result<bool> {
    let mut tx = fleet.server.db.read().await?;
    let mut waits = false;
    for member in cut.iter().map(|member| &fleet.members[*member]) {
        if member.luck.is_cut() && attempts::running(&mut tx, member.client).await?.is_none() {
            member.luck.repair();
        }
        waits |= member.luck.is_cut() || member.luck.is_planned();
    }
    Ok(!waits)
}
