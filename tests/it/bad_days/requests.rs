//! Requests that are too large, too deep, of the wrong type or made of bytes that nobody expects.

use super::{
    Machine, client, enrol, facts, identity, installer, job, mac, order, poll, register, serves, showing,
    timeline, token_on_the_wire,
};
use agent::identity::NewKey;
use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use server::domain::people::Role;

on_both_engines! {
    numbers_beyond_all_measure_are_refused_or_bounded,
    the_character_nul_harms_neither_names_nor_reports,
    reports_that_make_no_sense_are_refused_and_the_attempt_goes_on,
}

/// A client with an identity, and its connection to the agents' listener.
async fn with_agent(engine: Engine) -> (TestServer, reqwest::Client) {
    let server = TestServer::start(engine).await.unwrap();
    installer(&server, b"tools").await;
    register(&server, "lab-01", mac(1)).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    let enrolled = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let agent = showing(&server, &identity(&enrolled, key));
    (server, agent)
}

// In one thread each: the server ends a plain connection on which too much comes, and with more threads its answer would race with the
// rest of the request.
#[tokio::test]
async fn bodies_that_are_no_sense_are_refused_on_every_listener_with_sqlite() {
    bodies_that_are_no_sense_are_refused_on_every_listener(Engine::Sqlite).await;
}

#[tokio::test]
async fn bodies_that_are_no_sense_are_refused_on_every_listener_with_postgres() {
    bodies_that_are_no_sense_are_refused_on_every_listener(Engine::Postgres).await;
}

async fn bodies_that_are_no_sense_are_refused_on_every_listener(engine: Engine) {
    let (server, agent) = with_agent(engine).await;
    let addresses = server.ctx.addresses.clone();
    let deep = "[".repeat(100_000);
    let deep_object = "{\"params\":".repeat(50_000);
    let large = format!("\"{}\"", "a".repeat(5 << 20));
    let places = [
        server.request(Some(Role::Admin), Method::POST, "/api/v1/clients"),
        server.request(Some(Role::Admin), Method::POST, "/api/v1/clients/lab-01/jobs"),
        server.request(None, Method::POST, "/api/v1/login"),
        server.request(None, Method::POST, "/agent/v1/enrol"),
        agent.post(format!("{}/agent/v1/poll", addresses.agents)),
        agent.post(format!("{}/agent/v1/facts", addresses.agents)),
        agent.post(format!("{}/agent/v1/attempts/1/report", addresses.agents)),
        server.http.post(format!("{}/boot/dhcp", addresses.boot)),
    ];
    for place in &places {
        let ask = async |kind: &str, body: Vec<u8>| -> Answer {
            answer(place.try_clone().unwrap().header(CONTENT_TYPE, kind).body(body)).await.unwrap()
        };
        for (what, wanted, kind, body) in [
            ("deep lists", &[400, 413, 422][..], "application/json", deep.clone().into_bytes()),
            ("deep objects", &[400, 413, 422], "application/json", deep_object.clone().into_bytes()),
            ("too much", &[413], "application/json", large.clone().into_bytes()),
            ("half of UTF-8", &[400, 422], "application/json", b"{\"name\": \"\xc3\"}".to_vec()),
            ("bytes", &[400, 422], "application/json", vec![0, 159, 146, 150]),
            ("a form", &[415], "application/x-www-form-urlencoded", b"name=a".to_vec()),
            ("XML", &[415], "text/xml", b"<name>a</name>".to_vec()),
            ("another shape", &[422], "application/json", b"\"text\"".to_vec()),
        ] {
            let got = ask(kind, body).await;
            let status = got.status.as_u16();
            assert!(wanted.contains(&status) && got.is_problem(status), "{what} at {place:?}: {got:?}");
            assert!(!got.json()["remedy"].as_str().unwrap().is_empty(), "{what} at {place:?}: {got:?}");
        }
    }
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn numbers_beyond_all_measure_are_refused_or_bounded(engine: Engine) {
    let (server, _) = with_agent(engine).await;
    for path in [
        "/api/v1/jobs/-1",
        "/api/v1/jobs/9223372036854775807",
        "/api/v1/jobs/99999999999999999999",
        "/api/v1/jobs?limit=99999999999999999999",
        "/api/v1/jobs?before=x",
        "/api/v1/attempts/-9223372036854775808",
        "/api/v1/attempts/0/output?after=-5",
    ] {
        let got = server.get(path).await.unwrap();
        assert!(got.status.is_client_error() && got.is_problem(got.status.as_u16()), "{path}: {got:?}");
    }
    for path in [
        "/api/v1/jobs?limit=-5",
        "/api/v1/jobs?limit=9223372036854775807",
        "/api/v1/jobs?before=-9223372036854775808",
        "/api/v1/clients?limit=-9223372036854775808",
        "/api/v1/events?after=-9223372036854775808",
        "/api/v1/events?after=9223372036854775807",
    ] {
        let got = server.get(path).await.unwrap();
        assert!(got.status.is_success(), "{path}: {got:?}");
    }
    let path = "/api/v1/clients/lab-01/jobs";
    for (name, value) in [
        ("expires_at", json!(i64::MIN)),
        ("expires_at", json!(-1)),
        ("expires_at", json!(1e300)),
        ("not_before", json!(99_999_999_999_999_999_999_u128.to_string())),
        ("needs", json!([-1])),
        ("needs", json!([i64::MAX])),
    ] {
        let got = server
            .send(Method::POST, path, &json!({ "job_type": "hardware-detection", name: value }))
            .await
            .unwrap();
        assert!(
            got.status.is_client_error() && got.is_problem(got.status.as_u16()),
            "{name}: {value}: {got:?}"
        );
    }
    let far = json!({ "job_type": "hardware-detection", "not_before": i64::MAX - 1, "expires_at": i64::MAX });
    let far = server.send(Method::POST, path, &far).await.unwrap().ok().unwrap().as_i64().unwrap();
    assert_eq!(job(&server, far).await["state"], "queued");
    let past =
        order(&server, "lab-01", &json!({ "job_type": "hardware-detection", "not_before": i64::MIN })).await;
    assert_eq!(job(&server, past).await["state"], "queued");
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn the_character_nul_harms_neither_names_nor_reports(engine: Engine) {
    let (server, agent) = with_agent(engine).await;
    for body in [
        json!({ "name": "a\0b" }),
        json!({ "name": "a", "groups": ["g\0"] }),
        json!({ "name": "a", "config": { "domain": "x\0y" } }),
    ] {
        let got = server.send(Method::POST, "/api/v1/clients", &body).await.unwrap();
        assert!(got.is_problem(422), "{body}: {got:?}");
    }
    for path in
        ["/api/v1/clients/a%00b", "/api/v1/clients?after=a%00b", "/api/v1/groups/%00", "/api/v1/layouts/%00"]
    {
        let got = server.get(path).await.unwrap();
        assert!(!got.status.is_server_error(), "{path}: {got:?}");
    }
    let token = json!({ "name": "a\0b", "role": "viewer" });
    assert!(server.send(Method::POST, "/api/v1/tokens", &token).await.unwrap().is_problem(422));
    let url = format!("{}/boot/ipxe?mac={}&platform=a%00b", server.ctx.addresses.boot, mac(1));
    assert_eq!(server.http.get(url).send().await.unwrap().status(), 200);
    assert!(timeline(&server, mac(1)).await.contains("iPXE (a"));

    // A program printed it, and so it stands in the reason of the failure: the report must get through all the same.
    let id = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;
    let lease = poll(&server, &agent).await.ok().unwrap();
    let attempt = lease["order"]["attempt"].as_i64().unwrap();
    let output =
        json!({ "seq": 1, "at": 0, "event": "output", "step": "s", "stream": "stdout", "line": "a\0b" });
    let end = json!({ "outcome": "failed", "step": "s", "reason": "it said: a\0b", "transient": false });
    let report = json!({ "boot_id": "b", "events": [output, { "seq": 2, "at": 0, "event": "finished", "outcome": end }] });
    let url = format!("{}/agent/v1/attempts/{attempt}/report", server.ctx.addresses.agents);
    let stored = answer(agent.post(&url).json(&report)).await.unwrap().ok().unwrap();
    assert_eq!(stored["stored_seq"], 2);
    let failed = job(&server, id).await;
    assert!(
        failed["state"] == "failed" && failed["reason"].as_str().unwrap().contains("it said: a"),
        "{failed}"
    );
    let lines = server.get(&format!("/api/v1/attempts/{attempt}/output")).await.unwrap().ok().unwrap();
    assert!(lines.to_string().contains("a\\u0000b"), "{lines}");

    // Facts come from firmware, which holds anything.
    let mut strange = facts("serial\0");
    strange["dmi"]["vendor"] = json!("\u{0}\u{feff}\u{202e}");
    let url = format!("{}/agent/v1/facts", server.ctx.addresses.agents);
    answer(agent.post(&url).json(&strange)).await.unwrap().ok().unwrap();
    assert_eq!(client(&server, "lab-01").await["name"], "lab-01");
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn reports_that_make_no_sense_are_refused_and_the_attempt_goes_on(engine: Engine) {
    let (server, agent) = with_agent(engine).await;
    let id = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;
    let lease = poll(&server, &agent).await.ok().unwrap();
    let attempt = lease["order"]["attempt"].as_i64().unwrap();
    let url = format!("{}/agent/v1/attempts/{attempt}/report", server.ctx.addresses.agents);
    let report = async |events: Value| {
        answer(agent.post(&url).json(&json!({ "boot_id": "b", "events": events }))).await.unwrap()
    };
    let progress = |seq: Value, percent: Value| json!([{ "seq": seq, "at": i64::MIN, "event": "progress", "step": "s", "percent": percent }]);
    for wrong in [
        progress(json!(-1), json!(1)),
        progress(json!(1), json!(300)),
        progress(json!(1.5), json!(1)),
        progress(json!("1"), json!(1)),
    ] {
        let got = report(wrong.clone()).await;
        assert!(got.is_problem(422) && got.text.contains("events[0]"), "{wrong}: {got:?}");
    }
    // A gap is not filled by guessing, wherever it leads.
    for far in [
        progress(json!(u64::MAX), json!(1)),
        progress(json!(i64::MAX), json!(1)),
        progress(json!(7), json!(1)),
        progress(json!(0), json!(1)),
    ] {
        let got = report(far.clone()).await.ok().unwrap();
        assert_eq!(got["stored_seq"], 0, "{far}");
    }
    let good = report(progress(json!(1), json!(100))).await.ok().unwrap();
    assert_eq!((&good["stored_seq"], &good["verdict"]["verdict"]), (&json!(1), &json!("continue")));
    // An event of a newer agent is kept, not refused.
    let newer = json!([{ "seq": 2, "at": 0, "event": "sang-a-song", "song": "x" }]);
    assert_eq!(report(newer).await.ok().unwrap()["stored_seq"], 2);
    assert_eq!(job(&server, id).await["state"], "running");
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_whose_facts_are_too_large_still_works() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let mut machine = Machine::enrolled(&server, "lab-01", mac(1)).await;
    machine.stop().await;
    machine.host = machine.host.clone().with_file("/sys/class/dmi/id/product_name", "x".repeat(5 << 20));
    machine.start();
    let id = order(&server, "lab-01", &json!({ "job_type": "script", "params": { "text": "true" } })).await;
    super::reaches(&server, id, "succeeded").await;
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}
