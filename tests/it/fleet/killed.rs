//! The server dies in the very moment in which it has done what an agent asked, and the answer is lost with it: for each call.

use std::collections::BTreeMap;

use harness::{
    fleet::{
        invariants::violations,
        luck::{Call, Chances},
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use serde_json::json;
use server::domain::job::JobState;

use super::script;

const DAY: i64 = 86_400_000_000;

/// The server dies at the next call of this kind; the job still ends well, once.
async fn the_server_dies_at(engine: Engine, call: Call) {
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
    fleet.server.kill_and_restart().await.unwrap();
    ambush.done.notify_one();
    // And afterwards the agent still is what it was.
    let after = script("after", 1, 0);
    let job_type = if installs { "fleet-install" } else { "fleet-once" };
    fleet.order(member, job_type, &[("text", &after)], json!({})).await.unwrap();
    let record = fleet.finish().await.unwrap_or_else(|error| panic!("{call:?}: {error:#}"));
    assert_eq!(violations(&record), Vec::<String>::new(), "{call:?}");
}

macro_rules! for_each_call {
    ($($name:ident: $call:ident,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::the_server_dies_at(super::Engine::Sqlite, super::Call::$call).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::the_server_dies_at(super::Engine::Postgres, super::Call::$call).await;
            })*
        }
    };
}

for_each_call! {
    a_server_that_dies_while_it_enrols_an_agent_gives_it_its_identity_afterwards: Enrol,
    a_server_that_dies_while_it_renews_an_identity_does_not_lock_the_agent_out: Renew,
    a_server_that_dies_while_it_hands_out_a_job_hands_it_out_again: Poll,
    a_server_that_dies_while_it_takes_a_report_stores_it_once: Report,
    a_server_that_dies_while_it_takes_facts_gets_them_again: Facts,
    a_server_that_dies_while_it_gives_a_secret_gives_it_again: Secret,
    a_server_that_dies_while_it_sends_a_file_sends_the_rest_afterwards: Blob,
}
