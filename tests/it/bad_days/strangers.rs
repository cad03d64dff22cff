//! What strangers and wrong clocks leave in the database is bounded, and who has become a stranger hears nothing more.

use super::{PATIENCE, facts, installer, mac, register, serves, timeline, token_on_the_wire};
use agent::identity::NewKey;
use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    clock::SECOND,
    db::{attempts, clients, events, jobs},
    domain::{job::NewJob, reach::Sees},
    reconcile,
};
use wire::enrol::Realm;

async fn site() -> TestServer {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    installer(&server, b"tools").await;
    server
}

/// A machine that nobody knows says this about itself.
async fn announce(server: &TestServer, facts: &Value) -> Answer {
    let csr_pem = NewKey::generate().unwrap().csr_pem;
    let request = json!({
        "token": null, "csr_pem": csr_pem, "mac": mac(9), "realm": "installer", "boot_id": "b", "agent_version": "0", "facts": facts,
    });
    answer(server.request(None, Method::POST, "/agent/v1/enrol").json(&request)).await.unwrap()
}

#[tokio::test]
async fn what_a_stranger_says_makes_no_line_of_any_length() {
    let server = site().await;
    let long = "x".repeat(20_000);
    let url = format!("{}/boot/ipxe?mac={}&platform={long}", server.ctx.addresses.boot, mac(9));
    answer(server.http.get(url)).await.unwrap();
    let lines = timeline(&server, mac(9)).await;
    assert!(lines.contains("xxx…") && lines.len() < 3000, "{} bytes", lines.len());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stranger_cannot_leave_megabytes_of_facts() {
    let server = site().await;
    let refused = announce(&server, &facts(&"x".repeat(1 << 20))).await;
    assert!(refused.is_problem(413), "{refused:?}");
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stranger_cannot_leave_a_boot_id_of_any_length() {
    let server = site().await;
    let csr_pem = NewKey::generate().unwrap().csr_pem;
    let request = json!({
        "token": null, "csr_pem": csr_pem, "mac": mac(9), "realm": "installer", "boot_id": "b".repeat(1000),
        "agent_version": "0", "facts": facts("s"),
    });
    let refused = answer(server.request(None, Method::POST, "/agent/v1/enrol").json(&request)).await.unwrap();
    assert!(refused.is_problem(422), "{refused:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stranger_cannot_take_the_addresses_of_machines_that_have_yet_to_come() {
    let server = site().await;
    let nics: Vec<_> = (0..=255)
        .map(|last: u8| {
            json!({ "name": "e", "mac": format!("52:54:00:99:00:{last:02x}"), "driver": "", "carrier": true,
                    "speed_mbit": 0, "addresses": [], "booted": false })
        })
        .collect();
    let mut facts = facts("s");
    facts["nics"] = json!(nics);
    announce(&server, &facts).await.ok().unwrap();
    let mut tx = server.ctx.db.read().await.unwrap();
    let last = "52:54:00:99:00:ff".parse().unwrap();
    assert!(clients::find_by_mac(&mut tx, last).await.unwrap().is_none(), "it has taken all of them");
    drop(tx);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn events_that_machines_cause_are_forgotten_and_those_of_people_stay() {
    let server = site().await;
    register(&server, "lab-01", mac(1)).await;
    for _ in 0..5 {
        token_on_the_wire(&server, mac(1)).await;
    }
    let mut tx = server.ctx.db.write().await.unwrap();
    assert!(events::prune(&mut tx, 1).await.unwrap() > 0, "nothing was forgotten");
    let kinds: Vec<_> = events::after(&mut tx, &Sees::Everything, 0, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert!(kinds.contains(&"client.registered".to_owned()), "{kinds:?}");
    assert!(kinds.iter().filter(|kind| *kind == "client.boot").count() <= 1, "{kinds:?}");
    drop(tx);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_lease_of_a_clock_that_was_years_ahead_ends_all_the_same() {
    let server = site().await;
    register(&server, "lab-01", mac(1)).await;
    let now = server.ctx.now();
    let years = 5 * 365 * 86_400 * SECOND;
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = clients::find_by_name(&mut tx, "lab-01").await.unwrap().unwrap().id;
    let wanted = NewJob {
        client,
        job_type: "hardware-detection".to_owned(),
        params: json!({}),
        realm: None,
        priority: 0,
        held: None,
        not_before: None,
        expires_at: None,
        max_attempts: 1,
        retry_after_s: 0,
        created_by: "test".to_owned(),
        needs: Vec::new(),
    };
    jobs::create(&mut tx, &wanted, now).await.unwrap();
    let job = jobs::claim(&mut tx, client, Realm::Installer, now + years).await.unwrap().unwrap();
    let attempt = attempts::create(&mut tx, &job, "b", now + years, now + years).await.unwrap();
    tx.commit().await.unwrap();
    reconcile::queue(&server.ctx).await.unwrap();
    let mut tx = server.ctx.db.read().await.unwrap();
    let leased_until = attempts::find(&mut tx, attempt).await.unwrap().unwrap().leased_until;
    let lease_s = i64::from(server.ctx.config.lease_s);
    // The server's own clock goes on meanwhile.
    assert!(leased_until <= server.ctx.now() + lease_s * SECOND, "{leased_until} is years away");
    drop(tx);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let server = site().await;
    let token = json!({ "name": "leaves soon", "role": "viewer" });
    let token = server.send(Method::POST, "/api/v1/tokens", &token).await.unwrap().ok().unwrap();
    let reader = server
        .request(None, Method::GET, "/api/v1/events/stream")
        .bearer_auth(token["secret"].as_str().unwrap());
    let stream = reader.send().await.unwrap().error_for_status().unwrap();
    let path = format!("/api/v1/tokens/{}", token["token"]["id"]);
    server.send(Method::DELETE, &path, &json!({})).await.unwrap().ok().unwrap();
    register(&server, "lab-01", mac(1)).await;
    let heard = tokio::time::timeout(PATIENCE, stream.text()).await.expect("the stream goes on").unwrap();
    assert!(!heard.contains("client.registered"), "{heard}");
    server.stop().await.unwrap();
}
