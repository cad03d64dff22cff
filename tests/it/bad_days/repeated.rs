//! Requests that come twice because an answer was lost: `Idempotency-Key`.

use super::serves;
use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{clock::Clock, domain::people::Role};

on_both_engines! {
    the_same_request_with_the_same_key_is_carried_out_once,
    a_key_belongs_to_one_request_of_one_token,
    repetitions_at_the_same_moment_do_it_once,
    what_was_refused_is_not_remembered,
    an_answer_that_holds_a_secret_is_not_kept,
    a_key_is_forgotten_after_a_day,
}

const JOBS: &str = "/api/v1/clients/lab-01/jobs";

async fn site(engine: Engine) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-01" })).await.unwrap().ok().unwrap();
    server
}

async fn post(server: &TestServer, role: Role, path: &str, key: &str, body: &Value) -> Answer {
    answer(server.request(Some(role), Method::POST, path).header("idempotency-key", key).json(body))
        .await
        .unwrap()
}

async fn count(server: &TestServer) -> usize {
    server.get("/api/v1/jobs").await.unwrap().ok().unwrap()["items"].as_array().unwrap().len()
}

async fn the_same_request_with_the_same_key_is_carried_out_once(engine: Engine) {
    let server = site(engine).await;
    let reboot = json!({ "job_type": "reboot" });
    let first = post(&server, Role::Admin, JOBS, "key-1", &reboot).await;
    let again = post(&server, Role::Admin, JOBS, "key-1", &reboot).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["content-type"], first.headers["content-type"]);
    assert_eq!(count(&server).await, 1);
    let other = post(&server, Role::Admin, JOBS, "key-2", &reboot).await;
    assert_ne!(other.ok().unwrap(), first.ok().unwrap());

    let new = json!({ "name": "lab-02" });
    let first = post(&server, Role::Admin, "/api/v1/clients", "key-3", &new).await;
    let again = post(&server, Role::Admin, "/api/v1/clients", "key-3", &new).await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &first.text));
    assert_eq!(again.headers.get("etag"), first.headers.get("etag"));
    // An order without an answer, and one that nobody can do twice.
    for _ in 0..2 {
        assert_eq!(
            post(&server, Role::Admin, "/api/v1/clients/lab-02/retire", "key-4", &json!({})).await.status,
            204
        );
    }
    assert!(
        post(&server, Role::Admin, "/api/v1/clients/lab-02/retire", "key-5", &json!({}))
            .await
            .is_problem(409)
    );
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_key_belongs_to_one_request_of_one_token(engine: Engine) {
    let server = site(engine).await;
    let reboot = json!({ "job_type": "reboot" });
    let first = post(&server, Role::Admin, JOBS, "key", &reboot).await.ok().unwrap();
    for (path, body) in
        [(JOBS, json!({ "job_type": "shutdown" })), ("/api/v1/groups", json!({ "name": "x" }))]
    {
        let got = post(&server, Role::Admin, path, "key", &body).await;
        assert!(got.is_problem(422) && got.text.contains("was used for another request"), "{got:?}");
        assert!(got.json()["remedy"].as_str().unwrap().contains("fresh key"), "{got:?}");
    }
    assert_ne!(post(&server, Role::Operator, JOBS, "key", &reboot).await.ok().unwrap(), first);
    assert!(post(&server, Role::Viewer, JOBS, "key", &reboot).await.is_problem(403));
    assert_eq!(count(&server).await, 2);
    for wrong in ["", &"k".repeat(129)] {
        assert!(post(&server, Role::Admin, JOBS, wrong, &reboot).await.is_problem(422), "{wrong}");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"k\xff").unwrap();
    let request = server.request(Some(Role::Admin), Method::POST, JOBS).header("idempotency-key", bytes);
    assert!(answer(request.json(&reboot)).await.unwrap().is_problem(422));
    assert_eq!(count(&server).await, 2);
    server.stop().await.unwrap();
}

async fn repetitions_at_the_same_moment_do_it_once(engine: Engine) {
    let server = site(engine).await;
    let reboot = json!({ "job_type": "reboot" });
    let all = (0..20).map(|_| post(&server, Role::Admin, JOBS, "key", &reboot));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(count(&server).await, 1);
    let done: Vec<_> = all.iter().filter(|answer| answer.status.is_success()).collect();
    assert!(!done.is_empty() && done.iter().all(|answer| answer.text == done[0].text));
    for other in all.iter().filter(|answer| !answer.status.is_success()) {
        assert!(
            other.is_problem(409) && other.text.contains("carried out") && other.text.contains("remedy"),
            "{other:?}"
        );
    }
    assert_eq!(post(&server, Role::Admin, JOBS, "key", &reboot).await.text, done[0].text);
    server.stop().await.unwrap();
}

async fn what_was_refused_is_not_remembered(engine: Engine) {
    let server = site(engine).await;
    let order = json!({ "job_type": "reboot" });
    let path = "/api/v1/clients/lab-02/jobs";
    assert!(post(&server, Role::Admin, path, "key", &order).await.is_problem(404));
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-02" })).await.unwrap().ok().unwrap();
    post(&server, Role::Admin, path, "key", &order).await.ok().unwrap();
    // Only shown, so nothing was done.
    for _ in 0..2 {
        let shown =
            post(&server, Role::Admin, "/api/v1/clients/lab-02/install?dry_run=true", "dry", &json!({}))
                .await;
        assert!(!shown.headers.contains_key("idempotency-replayed"), "{shown:?}");
    }
    server.stop().await.unwrap();
}

async fn an_answer_that_holds_a_secret_is_not_kept(engine: Engine) {
    let server = site(engine).await;
    let token = json!({ "name": "x", "role": "viewer" });
    for (path, body) in [("/api/v1/tokens", token), ("/api/v1/clients/lab-01/enrol-command", json!({}))] {
        let shown = post(&server, Role::Admin, path, path, &body).await;
        assert!(shown.ok().unwrap().to_string().contains("lotse_"), "{shown:?}");
        let again = post(&server, Role::Admin, path, path, &body).await;
        assert!(again.is_problem(409) && again.text.contains("answer is not kept"), "{again:?}");
        assert!(!again.text.contains("lotse_"));
    }
    server.stop().await.unwrap();
}

async fn a_key_is_forgotten_after_a_day(engine: Engine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-01" })).await.unwrap().ok().unwrap();
    let reboot = json!({ "job_type": "reboot" });
    let first = post(&server, Role::Admin, JOBS, "key", &reboot).await;
    clock.advance(24 * 3600 - 1);
    assert_eq!(post(&server, Role::Admin, JOBS, "key", &reboot).await.text, first.text);
    clock.advance(2);
    assert_ne!(post(&server, Role::Admin, JOBS, "key", &reboot).await.text, first.text);
    assert_eq!(count(&server).await, 2);
    server.stop().await.unwrap();
}
