//! Whoever changes what somebody else has changed meanwhile is stopped, when they say what they have read (`If-Match`).

use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::{Method, header::IF_MATCH};
use serde_json::{Value, json};
use server::domain::people::Role;

async fn tag(server: &TestServer, path: &str) -> String {
    server.get(path).await.unwrap().headers["etag"].to_str().unwrap().to_owned()
}

async fn with_tag(server: &TestServer, method: Method, path: &str, tag: &str, body: &Value) -> Answer {
    let request = server.request(Some(Role::Admin), method, path).header(IF_MATCH, tag);
    answer(request.json(body)).await.unwrap()
}

/// Keeps, changes and removes something by name, each with the tag that was read and with an older one.
async fn guarded(server: &TestServer, path: &str, versions: [Value; 3]) {
    server.send(Method::PUT, path, &versions[0]).await.unwrap().ok().unwrap();
    let seen = tag(server, path).await;
    assert_eq!(with_tag(server, Method::PUT, path, &seen, &versions[1]).await.status, 204);
    let kept = server.get(path).await.unwrap().text;
    let stale = with_tag(server, Method::PUT, path, &seen, &versions[2]).await;
    assert!(stale.is_problem(412), "{stale:?}");
    assert!(with_tag(server, Method::DELETE, path, &seen, &json!({})).await.is_problem(412));
    assert_eq!(server.get(path).await.unwrap().text, kept);
    let seen = tag(server, path).await;
    assert_eq!(with_tag(server, Method::DELETE, path, &seen, &json!({})).await.status, 204);
    assert!(with_tag(server, Method::DELETE, path, &seen, &json!({})).await.is_problem(404));
    // What is gone has no tag that could be met.
    assert!(with_tag(server, Method::PUT, path, &seen, &versions[1]).await.is_problem(412));
}

pub(super) async fn a_preset_that_somebody_else_has_changed_is_not_overwritten(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let versions = ["room-1", "room-2", "room-3"].map(|group| json!({ "groups": [group] }));
    guarded(&server, "/api/v1/presets/lab", versions).await;
    server.stop().await.unwrap();
}

pub(super) async fn a_rule_that_somebody_else_has_changed_is_not_overwritten(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let versions =
        ["a-*", "b-*", "c-*"].map(|serial| json!({ "name": "lab", "serial": serial, "names": "pc-{001..}" }));
    guarded(&server, "/api/v1/rules/lab", versions).await;
    server.stop().await.unwrap();
}

pub(super) async fn a_job_script_with_newer_versions_is_not_changed_unseen(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let path = "/api/v1/job-scripts/hardware-detection";
    let (upload, choose) = (format!("{path}/versions"), format!("{path}/version"));
    let mut files = server.get(path).await.unwrap().json()["files"].as_object().unwrap().clone();
    files.retain(|path, _| !path.starts_with("expected/"));
    let new = json!({ "files": files, "comment": "the same" });
    let seen = tag(&server, path).await;
    assert_eq!(with_tag(&server, Method::POST, &upload, &seen, &new).await.status, 201);
    assert!(with_tag(&server, Method::POST, &upload, &seen, &new).await.is_problem(412));
    assert!(with_tag(&server, Method::PUT, &choose, &seen, &json!({ "version": 0 })).await.is_problem(412));
    let found = server.get(path).await.unwrap().json();
    assert_eq!((&found["version"], &found["own_versions"]), (&json!(1), &json!(1)));
    let seen = tag(&server, path).await;
    assert_eq!(with_tag(&server, Method::PUT, &choose, &seen, &json!({ "version": 0 })).await.status, 204);
    // Another one is used now, though no version was added.
    assert!(with_tag(&server, Method::PUT, &choose, &seen, &json!({ "version": 1 })).await.is_problem(412));
    server.stop().await.unwrap();
}
