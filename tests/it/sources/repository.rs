//! Own repositories: what the real apt sees of them.

use harness::{
    archive::{Archive, Package},
    server::{Answer, Engine, TestServer, answer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::repositories,
    clock::{Clock, SECOND},
    domain::people::Role,
};

use super::{Apt, said};

async fn server(engine: Engine) -> (TestServer, Clock) {
    // Each state is a second younger than the one before, and apt takes none of the future.
    let clock = Clock::fixed(Clock::system().now() - 3600 * SECOND);
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    let wish = json!({ "name": "ours", "keep": 2 });
    server.send(Method::POST, "/api/v1/repositories", &wish).await.unwrap().ok().unwrap();
    (server, clock)
}

async fn upload(server: &TestServer, content: &[u8]) -> Answer {
    let request = server.request(Some(Role::Operator), Method::POST, "/api/v1/repositories/ours/packages");
    answer(request.body(content.to_vec())).await.unwrap()
}

async fn uploaded(server: &TestServer, package: &Package) -> Value {
    upload(server, &package.content).await.ok().unwrap()
}

async fn order(server: &TestServer, path: &str, body: &Value) -> Answer {
    server.send(Method::POST, &format!("/api/v1/repositories/ours/{path}"), body).await.unwrap()
}

async fn key(server: &TestServer) -> String {
    let key = server.get("/api/v1/repository-key").await.unwrap().ok().unwrap();
    key["key"].as_str().unwrap().to_owned()
}

fn url(server: &TestServer) -> String {
    format!("{}/repository/ours", server.ctx.addresses.boot)
}

pub(super) async fn what_is_uploaded_promoted_and_rolled_back_is_what_apt_sees(engine: Engine) {
    let (server, _) = server(engine).await;
    let archive = Archive::new().unwrap();
    let key = key(&server).await;
    let [testing, production] = ["testing", "production"].map(|suite| Apt::new(&url(&server), suite, &key));
    // Suites are there before the first package is.
    testing.well(&["update"]).await;
    let first = archive.package("hello-ours", "1.0", 50_000).unwrap();
    let package = uploaded(&server, &first).await;
    assert_eq!((&package["name"], &package["suites"]), (&json!("hello-ours"), &json!(["testing"])));
    assert_eq!(testing.candidate("hello-ours").await, "1.0");
    testing.well(&["--download-only", "install", "hello-ours"]).await;
    assert_eq!(fs_err::read(testing.archives().join("hello-ours_1.0_all.deb")).unwrap(), first.content);
    assert_ne!(production.candidate("hello-ours").await, "1.0", "nobody has promoted it");
    assert_eq!(order(&server, "promote", &json!({})).await.status, 204);
    assert!(order(&server, "promote", &json!({})).await.is_problem(409));
    assert_eq!(production.candidate("hello-ours").await, "1.0");
    // A newer version: testing has it, production keeps what was promoted.
    let second = archive.package("hello-ours", "1.1", 50_000).unwrap();
    uploaded(&server, &second).await;
    assert_eq!(testing.candidate("hello-ours").await, "1.1");
    assert_eq!(production.candidate("hello-ours").await, "1.0");
    order(&server, "promote", &json!({})).await;
    assert_eq!(production.candidate("hello-ours").await, "1.1");
    let states = server.get("/api/v1/repositories/ours/states").await.unwrap().ok().unwrap();
    let before = states
        .as_array()
        .unwrap()
        .iter()
        .find(|state| state["suite"] == "production" && state["number"] == 2);
    assert_eq!(before.unwrap()["added"], json!(["hello-ours 1.0"]), "{states:#}");
    let back = json!({ "suite": "production", "number": 2 });
    assert_eq!(order(&server, "roll-back", &back).await.status, 204);
    assert_eq!(production.candidate("hello-ours").await, "1.0", "a state of before is younger for apt");
    assert_eq!(testing.candidate("hello-ours").await, "1.1");
    assert!(
        order(&server, "roll-back", &json!({ "suite": "production", "number": 99 })).await.is_problem(404)
    );
    // It can be found, too.
    let found =
        server.get("/api/v1/package-search?list=ours-testing&q=hello-ours").await.unwrap().ok().unwrap();
    assert_eq!(found["packages"].as_array().unwrap().len(), 2, "{found:#}");
    // Not one byte may be altered, neither of a package nor of what is signed.
    let stored = server.data().join("repositories").join(package["sha256"].as_str().unwrap());
    let mut content = first.content.clone();
    *content.last_mut().unwrap() ^= 1;
    fs_err::write(&stored, &content).unwrap();
    let fresh = Apt::new(&url(&server), "production", &key);
    fresh.well(&["update"]).await;
    let output = fresh.run(&["--download-only", "install", "hello-ours"]).await;
    assert!(!output.status.success() && said(&output).contains("Hash Sum mismatch"), "{}", said(&output));
    server
        .meddle(
            "UPDATE repository_snapshots SET in_release = replace(in_release, 'Lotse ours', 'Lotse 0urs')",
        )
        .await
        .unwrap();
    let output = Apt::new(&url(&server), "production", &key)
        .run(&["update", "-o", "APT::Update::Error-Mode=any"])
        .await;
    assert!(!output.status.success() && said(&output).contains("BADSIG"), "{}", said(&output));
    server.stop().await.unwrap();
}

pub(super) async fn what_is_no_package_or_another_one_of_the_same_version_is_refused(engine: Engine) {
    let (server, _) = server(engine).await;
    let archive = Archive::new().unwrap();
    let one = archive.package("tool", "1", 1000).unwrap();
    assert!(upload(&server, b"%PDF-1.5").await.is_problem(422));
    assert!(upload(&server, b"").await.is_problem(422));
    assert!(upload(&server, &one.content[..one.content.len() / 2]).await.is_problem(422));
    let first = uploaded(&server, &one).await;
    assert_eq!(uploaded(&server, &one).await["id"], first["id"], "the same again is the same");
    let other = archive.package("tool", "1", 1000).unwrap();
    let refused = upload(&server, &other.content).await;
    assert!(refused.is_problem(409), "{refused:?}");
    assert!(refused.json()["title"].as_str().unwrap().contains("tool 1 (all)"));
    let nowhere = server.request(Some(Role::Operator), Method::POST, "/api/v1/repositories/theirs/packages");
    assert!(answer(nowhere.body(one.content.clone())).await.unwrap().is_problem(404));
    let viewer = server.request(Some(Role::Helpdesk), Method::POST, "/api/v1/repositories/ours/packages");
    assert!(answer(viewer.body(one.content.clone())).await.unwrap().is_problem(403));
    // Of many versions the newest stay in testing.
    for version in ["1.10", "1.9", "1.10~rc1"] {
        uploaded(&server, &archive.package("tool", version, 100).unwrap()).await;
    }
    let all = server.get("/api/v1/repositories/ours/packages").await.unwrap().ok().unwrap();
    let mut testing: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["suites"] == json!(["testing"]))
        .map(|package| package["version"].as_str().unwrap())
        .collect();
    testing.sort_unstable();
    assert_eq!(testing, ["1.10", "1.10~rc1"], "the newest two");
    let taken =
        server.send(Method::POST, "/api/v1/repositories", &json!({ "name": "debian-12" })).await.unwrap();
    assert!(taken.is_problem(409), "{taken:?}");
    for path in ["pool/x/y", "dists/testing/%2e%2e%2fproduction/InRelease", "dists/unstable/InRelease"] {
        let answer = server.http.get(format!("{}/{path}", url(&server))).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn old_states_and_what_nobody_needs_are_forgotten(engine: Engine) {
    let (server, clock) = server(engine).await;
    let archive = Archive::new().unwrap();
    let first = uploaded(&server, &archive.package("tool", "0.1", 100).unwrap()).await;
    for version in 1..40 {
        uploaded(&server, &archive.package("tool", &format!("1.{version}"), 100).unwrap()).await;
    }
    clock.advance(2 * 3600);
    repositories::prune(&server.ctx).await.unwrap();
    let states = server.get("/api/v1/repositories/ours/states").await.unwrap().ok().unwrap();
    let of = |suite: &str| states.as_array().unwrap().iter().filter(|state| state["suite"] == suite).count();
    assert_eq!((of("testing"), of("production")), (30, 1));
    let all = server.get("/api/v1/repositories/ours/packages").await.unwrap().ok().unwrap();
    let all = all.as_array().unwrap();
    assert!(
        all.iter().all(|package| package["id"] != first["id"]),
        "a package that no state has is still there"
    );
    assert!(all.len() >= 30, "{}", all.len());
    let apt = Apt::new(&url(&server), "testing", &key(&server).await);
    assert_eq!(apt.candidate("tool").await, "1.39");
    assert_eq!(
        server.send(Method::DELETE, "/api/v1/repositories/ours", &json!({})).await.unwrap().status,
        204
    );
    assert_eq!(
        server.http.get(format!("{}/dists/testing/InRelease", url(&server))).send().await.unwrap().status(),
        404
    );
    server.stop().await.unwrap();
}
