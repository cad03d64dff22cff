//! Fleets of real agents on fake machines, with bad luck. `FLEET_SEED=n` repeats the throws of a run; a failing one names its seed.

mod killed;
mod storm;

use std::collections::BTreeMap;

use harness::{
    fleet::{
        invariants::violations,
        luck::Chances,
        program::Script,
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use serde_json::json;
use server::{
    db::attempts,
    domain::job::{AttemptState, JobState},
};

/// As long ago as an attempt's lease may have ended.
const LONG_AGO: i64 = 1;

fn script(name: &str, lines: u64, status: i32) -> Script {
    Script { name: name.to_owned(), lines, pace_ms: 5, status, busy: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_does_what_was_ordered() {
    let mut fleet = Fleet::start(Engine::Sqlite, 1).await.unwrap();
    for number in 0..5 {
        let arrival = if number == 0 { Arrival::Blank } else { Arrival::Installed };
        let member = fleet.add(arrival, Chances::NONE, BTreeMap::new()).await.unwrap();
        if arrival == Arrival::Blank {
            let install = script("install", 5, 0);
            let needed =
                fleet.order(member, "fleet-install", &[("text", &install)], json!({})).await.unwrap();
            fleet.order(member, "reboot", &[], json!({ "needs": [needed] })).await.unwrap();
        }
        let [good, bad] = [script("good", 30, 0), script("bad", 10, 3)];
        let again = Script { busy: 1, ..script("again", 10, 0) };
        fleet.order(member, "fleet-once", &[("text", &good)], json!({})).await.unwrap();
        fleet.order(member, "fleet-once", &[("text", &bad)], json!({})).await.unwrap();
        fleet.order(member, "fleet-again", &[("first", &good), ("second", &again)], json!({})).await.unwrap();
        fleet.order(member, "fleet-secret", &[("text", &good)], json!({})).await.unwrap();
    }
    let tally = fleet.tally.clone();
    let record = fleet.finish().await.unwrap();
    assert_eq!(violations(&record), Vec::<String>::new());
    assert_eq!(record.jobs.len(), 22);
    assert_eq!(tally.of("installer boots"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installed_system_is_still_known_after_the_installer_was_there() {
    let mut fleet = Fleet::start(Engine::Sqlite, 1).await.unwrap();
    let member = fleet.add(Arrival::Blank, Chances::NONE, BTreeMap::new()).await.unwrap();
    let small = |name| script(name, 3, 0);
    let install =
        fleet.order(member, "fleet-install", &[("text", &small("install"))], json!({})).await.unwrap();
    let restart = fleet.order(member, "reboot", &[], json!({ "needs": [install] })).await.unwrap();
    let needs = json!({ "needs": [restart] });
    let first = fleet.order(member, "fleet-once", &[("text", &small("first"))], needs).await.unwrap();
    let done = async |fleet: &Fleet| fleet.is(first, &[JobState::Succeeded]).await;
    fleet.until("the system is installed", done).await.unwrap();

    let visit = fleet.order(member, "fleet-visit", &[("text", &small("visit"))], json!({})).await.unwrap();
    fleet.order(member, "reboot", &[], json!({})).await.unwrap();
    let restart = fleet.order(member, "reboot", &[], json!({ "needs": [visit] })).await.unwrap();
    let needs = json!({ "needs": [restart] });
    fleet.order(member, "fleet-once", &[("text", &small("second"))], needs).await.unwrap();
    let tally = fleet.tally.clone();
    let record = fleet.finish().await.unwrap();
    assert_eq!(violations(&record), Vec::<String>::new());
    assert!(record.jobs.iter().all(|job| job.job.as_ref().unwrap().state == JobState::Succeeded));
    assert_eq!(tally.of("installer boots"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_for_longer_than_a_lease_gives_up_nothing_that_goes_on() {
    let mut fleet = Fleet::start(Engine::Sqlite, 1).await.unwrap();
    let member = fleet.add(Arrival::Installed, Chances::NONE, BTreeMap::new()).await.unwrap();
    let long = Script { pace_ms: 100, ..script("long", 60, 0) };
    let job = fleet.order(member, "fleet-once", &[("text", &long)], json!({})).await.unwrap();
    let runs = async |fleet: &Fleet| fleet.is(job, &[JobState::Running]).await;
    fleet.until("the script runs", runs).await.unwrap();
    fleet.server.kill().await.unwrap();
    let mut tx = fleet.server.db.write().await.unwrap();
    assert_eq!(attempts::shorten(&mut tx, LONG_AGO).await.unwrap(), 1);
    tx.commit().await.unwrap();
    fleet.server.start_again().await.unwrap();
    let record = fleet.finish().await.unwrap();
    assert_eq!(violations(&record), Vec::<String>::new());
    let states: Vec<_> = record.attempts().map(|(_, known)| known.attempt.state).collect();
    assert_eq!(states, [AttemptState::Succeeded]);
}
