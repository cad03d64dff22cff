//! Server, agent or machine die in the very moment in which the server has done what the agent asked, and the answer is lost with
//! them: for each call. The job still ends well, and the agent is what it was.

use std::collections::BTreeMap;

use harness::{
    fleet::{
        invariants::violations,
        luck::{Blow, Call, Chances},
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use serde_json::json;
use server::domain::job::JobState;

use super::script;

const DAY: i64 = 86_400_000_000;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Agent,
    Machine,
}

async fn dies_at(engine: Engine, victim: Victim, call: Call) {
    let mut fleet = Fleet::start(engine, 1).await.unwrap();
    let installs = call == Call::Blob;
    let arrival = if installs { Arrival::Blank } else { Arrival::Installed };
    let member = fleet.add(arrival, Chances::NONE, BTreeMap::new()).await.unwrap();
    let luck = fleet.members[member].luck.clone();
    if !matches!(call, Call::Enrol | Call::Facts | Call::Blob) {
        // It has settled: what comes next is about the job.
        let before = script("before", 1, 0);
        let job = fleet.order(member, "fleet-once", &[("text", &before)], json!({})).await.unwrap();
        let over = async |fleet: &Fleet| fleet.is(job, &[JobState::Succeeded]).await;
        fleet.until("the first job is over", over).await.unwrap();
    }
    let ambush = luck.lie_in_wait(call);
    if call == Call::Renew {
        fleet.members[member].host.advance_clock(61 * DAY);
    }
    let long = script("long", 200, 0);
    let job_type = if installs { "fleet-install" } else { "fleet-secret" };
    fleet.order(member, job_type, &[("text", &long)], json!({})).await.unwrap();
    ambush.reached.notified().await;
    match victim {
        Victim::Server => fleet.server.kill_and_restart().await.unwrap(),
        Victim::Agent => fleet.strike(member, Blow::Kill),
        Victim::Machine => fleet.strike(member, Blow::PowerCut),
    }
    ambush.done.notify_one();
    // And afterwards the agent still is what it was.
    let after = script("after", 1, 0);
    let job_type = if installs { "fleet-install" } else { "fleet-once" };
    fleet.order(member, job_type, &[("text", &after)], json!({})).await.unwrap();
    let record = fleet.finish().await.unwrap_or_else(|error| panic!("{call:?}: {error:#}"));
    assert_eq!(violations(&record), Vec::<String>::new(), "{call:?}");
    let states: Vec<_> = record.jobs.iter().filter_map(|job| job.job.as_ref()).map(|job| job.state).collect();
    assert!(states.iter().all(|state| *state == JobState::Succeeded), "{call:?}: {states:?}");
}

macro_rules! for_each_call {
    ($($module:ident: $engine:ident, $victim:ident;)*) => {
        $(mod $module {
            use super::{Call, Engine, Victim, dies_at};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_an_agent_enrols() {
                dies_at(Engine::$engine, Victim::$victim, Call::Enrol).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_an_identity_is_renewed() {
                dies_at(Engine::$engine, Victim::$victim, Call::Renew).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_a_job_is_handed_out() {
                dies_at(Engine::$engine, Victim::$victim, Call::Poll).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_a_report_is_taken() {
                dies_at(Engine::$engine, Victim::$victim, Call::Report).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_facts_are_taken() {
                dies_at(Engine::$engine, Victim::$victim, Call::Facts).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_a_secret_is_given() {
                dies_at(Engine::$engine, Victim::$victim, Call::Secret).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn while_a_file_is_sent() {
                dies_at(Engine::$engine, Victim::$victim, Call::Blob).await;
            }
        })*
    };
}

for_each_call! {
    the_server_dies_on_sqlite: Sqlite, Server;
    the_server_dies_on_postgres: Postgres, Server;
    the_agent_is_killed: Sqlite, Agent;
    the_machine_loses_power: Sqlite, Machine;
}
