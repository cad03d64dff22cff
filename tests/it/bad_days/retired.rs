//! Clients that are taken out of service while their agents run, and come back.

use super::{
    Machine, client, enrol, facts, identity, installer, job, mac, order, poll, reaches, serves, showing,
    token_on_the_wire, until, wants_installer,
};
use agent::{host::fake::Answer as Does, identity::NewKey};
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

on_both_engines! {
    a_retired_client_is_let_in_no_more_and_its_jobs_end_with_the_reason,
    a_client_that_is_taken_back_gets_a_new_identity,
}

async fn act(server: &TestServer, verb: &str) -> harness::server::Answer {
    server.send(Method::POST, &format!("/api/v1/clients/lab-01/{verb}"), &json!({})).await.unwrap()
}

async fn a_retired_client_is_let_in_no_more_and_its_jobs_end_with_the_reason(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let mut machine = Machine::enrolled(&server, "lab-01", mac(1)).await;
    machine.host.answer("/bin/sh", Does::prints("working").after(Duration::from_mins(10)));
    let script = json!({ "job_type": "script", "params": { "text": "true" } });
    let running = order(&server, "lab-01", &script).await;
    reaches(&server, running, "running").await;
    until(&server, "the script runs", async || (machine.scripts() == 1).then_some(())).await;
    let waiting = order(&server, "lab-01", &script).await;
    let needy = order(&server, "lab-01", &json!({ "job_type": "reboot", "needs": [waiting] })).await;

    act(&server, "retire").await.ok().unwrap();
    for id in [running, waiting] {
        let ended = job(&server, id).await;
        assert_eq!(
            (&ended["state"], &ended["reason"]),
            (&json!("cancelled"), &json!("client lab-01 was retired by admin"))
        );
    }
    assert_eq!(job(&server, needy).await["state"], "cancelled");
    assert_eq!(client(&server, "lab-01").await["stage"], "retired");
    // The agent hears of it: it stops the script and forgets the attempt.
    until(&server, "the agent has dropped the attempt", async || {
        let state = machine.config.state_dir.clone();
        let host: std::sync::Arc<dyn agent::host::Host> = std::sync::Arc::new(machine.host.clone());
        agent::journal::Journal::find(&host, &state).unwrap().is_none().then_some(())
    })
    .await;
    assert!(machine.host.powers().is_empty(), "the cancelled reboot was done");
    machine.stop().await;

    for verb in ["install", "rescue", "enrol-command", "adopt", "restart"] {
        let body = json!(if verb == "rescue" {
            json!({ "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 a"] })
        } else {
            json!({})
        });
        let got = server.send(Method::POST, &format!("/api/v1/clients/lab-01/{verb}"), &body).await.unwrap();
        assert!(got.is_problem(409) && got.text.contains("lotse client reinstate lab-01"), "{verb}: {got:?}");
    }
    let got = server.send(Method::POST, "/api/v1/clients/lab-01/jobs", &script).await.unwrap();
    assert!(got.is_problem(409) && got.text.contains("lotse client reinstate lab-01"), "{got:?}");
    assert!(act(&server, "retire").await.is_problem(409));
    let announced =
        enrol(&server, mac(1), &NewKey::generate().unwrap(), None, "serial-52:54:00:00:00:01").await;
    assert!(announced.text.contains("client lab-01 is retired"), "{announced:?} {}", facts("a"));
    // What happened stays to be read.
    assert_eq!(
        server.get("/api/v1/jobs?client=lab-01").await.unwrap().ok().unwrap()["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_client_that_is_taken_back_gets_a_new_identity(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    installer(&server, b"tools").await;
    super::register(&server, "lab-01", mac(1)).await;
    let fresh = async || {
        let token = token_on_the_wire(&server, mac(1)).await;
        let key = NewKey::generate().unwrap();
        let enrolled = enrol(&server, mac(1), &key, Some(&token), "a").await;
        showing(&server, &identity(&enrolled, key))
    };
    let old = fresh().await;
    poll(&server, &old).await.ok().unwrap();
    wants_installer(&server, "lab-01").await;
    let unused = token_on_the_wire(&server, mac(1)).await;
    assert!(act(&server, "reinstate").await.is_problem(409));
    act(&server, "retire").await.ok().unwrap();
    let refused = poll(&server, &old).await;
    assert!(
        refused.is_problem(401) && refused.text.contains("client lab-01 was retired by admin"),
        "{refused:?}"
    );
    let late = enrol(&server, mac(1), &NewKey::generate().unwrap(), Some(&unused), "a").await;
    assert!(late.is_problem(401), "a token from before: {late:?}");
    act(&server, "reinstate").await.ok().unwrap();
    assert_eq!(client(&server, "lab-01").await["stage"], "registered");
    assert!(poll(&server, &old).await.is_problem(401), "the old identity came back");
    poll(&server, &fresh().await).await.ok().unwrap();
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_waiting_agent_hears_at_once_that_its_client_is_retired() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    installer(&server, b"tools").await;
    super::register(&server, "lab-01", mac(1)).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    let enrolled = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let agent = showing(&server, &identity(&enrolled, key));
    poll(&server, &agent).await.ok().unwrap();
    let body = json!({ "boot_id": "b", "realm": "installer", "agent_version": "0", "wait_s": 60 });
    let waiting = agent.post(format!("{}/agent/v1/poll", server.ctx.addresses.agents)).json(&body);
    let waiting = tokio::spawn(harness::server::answer(waiting));
    until(&server, "the agent is heard", async || {
        client(&server, "lab-01").await["last_seen_at"].as_i64().map(|_| ())
    })
    .await;
    // However the two meet, the agent must not wait for its minute.
    act(&server, "retire").await.ok().unwrap();
    let told = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap().unwrap();
    assert!(told.is_problem(401) && told.text.contains("retired"), "{told:?}");
    server.stop().await.unwrap();
}
