//! Rollouts to real agents on fake machines: the server is killed in the middle, an agent, too, and messages get lost.

use std::collections::BTreeMap;

use harness::{
    fleet::{
        luck::{Blow, Chances},
        program::{BROKEN, Script},
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use reqwest::Method;
use serde_json::{Value, json};

const MACHINES: usize = 6;

async fn fleet(engine: Engine, chances: Chances) -> Fleet {
    let mut fleet = Fleet::start(engine, 7).await.unwrap();
    for _ in 0..MACHINES {
        fleet.add(Arrival::Installed, chances, BTreeMap::new()).await.unwrap();
    }
    fleet
}

/// Makes and starts a rollout of a script to all machines.
async fn begin(fleet: &Fleet, script: &Script) -> i64 {
    let spec = json!({
        "work": { "kind": "jobs", "jobs": [{ "job_type": "fleet-once", "params": { "text": script.text() } }] },
        "target": { "where": "name:m*" },
        "waves": [{ "size": "2" }, { "size": "rest" }],
        "at_once": 3,
    });
    let body = json!({ "title": "script", "spec": spec });
    let made = fleet.server.send(Method::POST, "/api/v1/rollouts", &body).await.unwrap().ok().unwrap();
    let id = made["id"].as_i64().unwrap();
    fleet
        .server
        .send(Method::POST, &format!("/api/v1/rollouts/{id}/start"), &json!({}))
        .await
        .unwrap()
        .ok()
        .unwrap();
    id
}

async fn show(fleet: &Fleet, id: i64) -> Value {
    let path = format!("/api/v1/rollouts/{id}");
    fleet.server.send(Method::GET, &path, &Value::Null).await.unwrap().ok().unwrap()
}

pub(super) async fn a_rollout_outlives_its_server_and_an_agent(engine: Engine) {
    let few = Chances { request_lost: 20, answer_lost: 20, twice: 20, ..Chances::NONE };
    let mut fleet = fleet(engine, few).await;
    let script = Script { name: "long".to_owned(), lines: 40, pace_ms: 10, status: 0, busy: 0 };
    let id = begin(&fleet, &script).await;
    let runs = async |fleet: &Fleet| Ok(show(fleet, id).await["counts"]["running"] != json!(0));
    fleet.until("the first wave runs", runs).await.unwrap();
    fleet.server.kill_and_restart().await.unwrap();
    let second = async |fleet: &Fleet| Ok(!show(fleet, id).await["waves"][1]["started_at"].is_null());
    fleet.until("the second wave begins", second).await.unwrap();
    fleet.strike(0, Blow::Kill);
    fleet.server.kill_and_restart().await.unwrap();
    let stopped = async |fleet: &Fleet| {
        let view = show(fleet, id).await;
        Ok(view["state"] != "running" && view["counts"]["running"] == 0)
    };
    fleet.until("the rollout stops", stopped).await.unwrap();
    let view = show(&fleet, id).await;
    let count = |state: &str| view["counts"][state].as_i64().unwrap();
    // The agent that was killed may have had it at that moment; everybody else succeeded.
    assert!(count("succeeded") >= 5 || view["state"] == "halted", "{view:#}");
    assert_eq!(count("succeeded") + count("failed") + count("waiting"), 6, "{view:#}");
    fleet.finish().await.unwrap();
}

/// A rollout of the agent that the server has now.
async fn begin_upgrade(fleet: &Fleet, version: &str) -> i64 {
    let package = fleet.server.store(version.as_bytes().to_vec()).await.unwrap();
    let image = json!({ "name": "agent", "recipe": "0".repeat(64), "version": version, "parts": { "package": package } });
    fleet.server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    let spec = json!({
        "work": { "kind": "jobs", "jobs": [{ "job_type": "agent-upgrade", "params": {} }] },
        "target": { "where": format!("name:m* agent<{version}") },
        "waves": [{ "size": "2" }, { "size": "rest" }],
    });
    let body = json!({ "title": "agents", "spec": spec });
    let made = fleet.server.send(Method::POST, "/api/v1/rollouts", &body).await.unwrap().ok().unwrap();
    let id = made["id"].as_i64().unwrap();
    let path = format!("/api/v1/rollouts/{id}/start");
    fleet.server.send(Method::POST, &path, &json!({})).await.unwrap().ok().unwrap();
    id
}

pub(super) async fn a_broken_agent_comes_to_no_machine_of_the_second_wave(engine: Engine) {
    let fleet = fleet(engine, Chances::NONE).await;
    let heard = async |fleet: &Fleet| {
        let path = "/api/v1/clients?q=agent%3E0";
        let clients = fleet.server.send(Method::GET, path, &Value::Null).await?.ok()?;
        Ok(clients["items"].as_array().is_some_and(|items| items.len() == MACHINES))
    };
    fleet.until("every agent is heard", heard).await.unwrap();
    let id = begin_upgrade(&fleet, &format!("9.0-{BROKEN}")).await;
    let halts = async |fleet: &Fleet| {
        let view = show(fleet, id).await;
        Ok(view["state"] == "halted" && view["counts"]["running"] == 0)
    };
    fleet.until("the rollout halts", halts).await.unwrap();
    let view = show(&fleet, id).await;
    assert_eq!((&view["counts"]["waiting"], &view["waves"][1]["started_at"]), (&json!(4), &Value::Null));
    assert!(view["causes"].to_string().contains("did not take up its work"), "{view:#}");
    let id = begin_upgrade(&fleet, "9.1").await;
    let ends = async |fleet: &Fleet| Ok(show(fleet, id).await["state"] == "finished");
    fleet.until("the rollout of a good agent ends", ends).await.unwrap();
    assert_eq!(show(&fleet, id).await["counts"]["succeeded"], MACHINES);
    fleet.finish().await.unwrap();
}

pub(super) async fn a_script_that_fails_runs_on_no_machine_of_the_second_wave(engine: Engine) {
    let fleet = fleet(engine, Chances::NONE).await;
    let script = Script { name: "broken".to_owned(), lines: 3, pace_ms: 1, status: 3, busy: 0 };
    let id = begin(&fleet, &script).await;
    let halts = async |fleet: &Fleet| {
        let view = show(fleet, id).await;
        Ok(view["state"] == "halted" && view["counts"]["running"] == 0)
    };
    fleet.until("the rollout halts", halts).await.unwrap();
    let view = show(&fleet, id).await;
    assert!(view["reason"].as_str().unwrap().contains("of wave 1 failed"), "{view:#}");
    assert_eq!((&view["counts"]["waiting"], &view["waves"][1]["started_at"]), (&json!(4), &Value::Null));
    assert_eq!(view["causes"].as_array().unwrap().len(), 1, "{view:#}");
    fleet.finish().await.unwrap();
}
