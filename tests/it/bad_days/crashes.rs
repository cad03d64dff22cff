//! Machines that lose power in the middle of their work: it is told, and done again where that does no harm.

use super::{Machine, downloads, job, mac, order, reaches, serves, token_on_the_wire, until};
use agent::host::fake::Answer as Does;
use harness::server::{Engine, TestServer};
use serde_json::{Value, json};
use server::clock::Clock;
use std::time::Duration;

async fn site() -> (TestServer, Clock, Machine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(Engine::Sqlite, clock.clone()).await.unwrap();
    let machine = Machine::enrolled(&server, "lab-01", mac(1)).await;
    (server, clock, machine)
}

async fn attempts(server: &TestServer, id: i64) -> Vec<Value> {
    let attempts = server.get(&format!("/api/v1/jobs/{id}/attempts")).await.unwrap().ok().unwrap();
    attempts.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_apt_is_told_and_apt_is_run_again() {
    let (server, clock, mut machine) = site().await;
    machine.host.answer("/bin/sh", Does::prints("Unpacking hello ...").after(Duration::from_mins(60)).once());
    let install =
        json!({ "job_type": "package-install", "params": { "packages": ["hello"], "refresh": false } });
    let id = order(&server, "lab-01", &install).await;
    until(&server, "apt runs", async || (machine.scripts() == 1).then_some(())).await;
    machine.power_cut().await;
    let waiting = until(&server, "the attempt has ended", async || {
        Some(job(&server, id).await).filter(|job| job["state"] == "queued")
    })
    .await;
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.contains("the agent stopped in the middle of step"), "{reason}");
    assert!(reason.contains("the machine was restarted"), "{reason}");
    clock.advance(61);
    reaches(&server, id, "succeeded").await;
    let states: Vec<_> = attempts(&server, id).await.iter().map(|attempt| attempt["state"].clone()).collect();
    assert_eq!(states, [json!("failed"), json!("succeeded")]);
    assert!(machine.scripts() > 1, "apt did not run again");
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_the_base_system_is_told_and_it_is_installed_anew() {
    let clock = Clock::fixed(Clock::system().now());
    let (server, mut machine, _) = downloads::site(clock.clone()).await;
    let id = downloads::order_base_system(&server, &machine).await;
    machine.host.answer("blkid", Does::default().after(Duration::from_mins(60)).once());
    until(&server, "the step runs", async || {
        machine.host.command_lines().iter().any(|line| line.starts_with("blkid")).then_some(())
    })
    .await;
    // The installer lives in memory, so the machine comes back with a new key, by the token of its next boot.
    let (_, task) = machine.running.take().unwrap();
    task.abort();
    task.await.ok();
    machine.host.power_cut();
    machine.config.token = Some(token_on_the_wire(&server, mac(1)).await);
    machine.start();
    let waiting = until(&server, "the attempt has ended", async || {
        Some(job(&server, id).await).filter(|job| job["state"] == "queued")
    })
    .await;
    assert_eq!(waiting["reason"], "the machine was restarted in the middle of it");
    clock.advance(11);
    reaches(&server, id, "succeeded").await;
    let states: Vec<_> = attempts(&server, id).await.iter().map(|attempt| attempt["state"].clone()).collect();
    assert_eq!(states, [json!("lost"), json!("succeeded")]);
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_script_of_a_person_is_told_and_the_script_is_not_run_again() {
    let (server, clock, mut machine) = site().await;
    machine.host.answer("/bin/sh", Does::prints("half done").after(Duration::from_mins(60)));
    let id = order(&server, "lab-01", &json!({ "job_type": "script", "params": { "text": "true" } })).await;
    until(&server, "the script runs", async || (machine.scripts() == 1).then_some(())).await;
    machine.power_cut().await;
    let failed = reaches(&server, id, "failed").await;
    assert!(
        failed["reason"].as_str().unwrap().contains("the agent stopped in the middle of step"),
        "{failed}"
    );
    clock.advance(24 * 3600);
    let next = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;
    reaches(&server, next, "succeeded").await;
    assert_eq!(machine.scripts(), 1);
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_stays_away_loses_its_work_with_the_reason_and_cannot_report_it_later() {
    let (server, clock, mut machine) = site().await;
    machine.host.answer("/bin/sh", Does::prints("half done").after(Duration::from_mins(60)));
    let id = order(&server, "lab-01", &json!({ "job_type": "script", "params": { "text": "true" } })).await;
    until(&server, "the script runs", async || (machine.scripts() == 1).then_some(())).await;
    let (_, task) = machine.running.take().unwrap();
    task.abort();
    clock.advance(61);
    let failed = reaches(&server, id, "failed").await;
    assert!(failed["reason"].as_str().unwrap().contains("its lease ran out"), "{failed}");
    assert_eq!(attempts(&server, id).await[0]["state"], "lost");
    // It comes back from the dead, and what it says of the old attempt changes nothing.
    machine.host.power_cut();
    machine.start();
    let next = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;
    reaches(&server, next, "succeeded").await;
    let before = failed["history"].as_array().unwrap().len();
    assert_eq!(job(&server, id).await["history"].as_array().unwrap().len(), before);
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}
