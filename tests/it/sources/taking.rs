//! Packages taken of a client: who may send what into which repository, and what the agent's script finds on a real system.

use std::path::Path;

use bytes::Bytes;
use harness::{
    archive::Archive,
    server::{Engine, TestServer, answer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::{Error, repositories},
    db::{attempts, clients},
    domain::{
        client::{ClientConfig, Stage},
        job::AttemptState,
        people::Role,
    },
    queue,
};
use wire::{AttemptId, ClientId, enrol::Realm};

use super::said;

async fn site(engine: Engine) -> (TestServer, ClientId) {
    let server = TestServer::start(engine).await.unwrap();
    server
        .send(Method::POST, "/api/v1/repositories", &json!({ "name": "ours" }))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let mut tx = server.ctx.db.write().await.unwrap();
    let now = server.ctx.now();
    let id =
        clients::create(&mut tx, "pc", Stage::Installed, &ClientConfig::default(), &[], now).await.unwrap();
    tx.commit().await.unwrap();
    (server, id)
}

async fn order(server: &TestServer, packages: &[&str]) -> i64 {
    let wish = json!({ "client": "pc", "packages": packages });
    let made = server.send(Method::POST, "/api/v1/repositories/ours/takings", &wish).await.unwrap();
    made.ok().unwrap().as_i64().unwrap()
}

/// The client's agent begins with the next job.
async fn begins(server: &TestServer, client: ClientId) -> AttemptId {
    let mut tx = server.ctx.db.write().await.unwrap();
    let now = server.ctx.now();
    let (_, attempt) = queue::claim(&mut tx, client, Realm::System, "boot", 60, now).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    attempt
}

async fn sends(
    server: &TestServer,
    client: ClientId,
    attempt: AttemptId,
    content: &[u8],
) -> Result<Value, Error> {
    let content = [Ok::<_, std::io::Error>(Bytes::copy_from_slice(content))];
    let content = futures_util::stream::iter(content);
    let package = repositories::taken(&server.ctx, client, attempt, content).await?;
    Ok(serde_json::to_value(package).unwrap())
}

pub(super) async fn only_what_was_ordered_comes_of_a_client(engine: Engine) {
    let (server, client) = site(engine).await;
    let archive = Archive::new().unwrap();
    let (tool, other) =
        (archive.package("tool", "1", 100).unwrap(), archive.package("other", "1", 100).unwrap());
    let job = order(&server, &["tool"]).await;
    let attempt = begins(&server, client).await;
    let package = sends(&server, client, attempt, &tool.content).await.unwrap();
    assert_eq!((&package["name"], &package["suites"]), (&json!("tool"), &json!(["testing"])));
    assert_eq!(package["uploaded_by"], "admin", "who ordered it answers for it");
    assert_eq!(sends(&server, client, attempt, &tool.content).await.unwrap()["id"], package["id"]);
    let refused = async |client, attempt, content: &[u8], part: &str| {
        let error = sends(&server, client, attempt, content).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(client, attempt, &other.content, "is not to send the package other").await;
    refused(client, attempt, b"%PDF-1.5", "no Debian package").await;
    refused(ClientId(client.0 + 1), attempt, &tool.content, "not running on this client").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    attempts::finish(&mut tx, attempt, AttemptState::Lost, "", server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    refused(client, attempt, &tool.content, "not running on this client").await;
    let shown = server.get(&format!("/api/v1/jobs/{job}")).await.unwrap().ok().unwrap();
    assert_eq!(shown["job_type"], "package-take");
    server.stop().await.unwrap();
}

pub(super) async fn a_taking_is_ordered_at_its_repository(engine: Engine) {
    let (server, _) = site(engine).await;
    // As any other job it would name no repository.
    let job = json!({ "job_type": "package-take", "params": { "packages": ["tool"] } });
    let elsewhere = server.send(Method::POST, "/api/v1/clients/pc/jobs", &job).await.unwrap();
    assert!(elsewhere.is_problem(409) && elsewhere.text.contains("lotse repository take"), "{elsewhere:?}");
    let path = "/api/v1/repositories/ours/takings";
    for packages in [json!([]), json!(["tool=1"]), json!(["--help"]), json!(vec!["a1"; 101])] {
        let wish = json!({ "client": "pc", "packages": packages });
        let refused = server.send(Method::POST, path, &wish).await.unwrap();
        assert!(refused.is_problem(422), "{wish}: {refused:?}");
    }
    let wish = json!({ "client": "pc", "packages": ["tool"] });
    let nowhere = server.send(Method::POST, "/api/v1/repositories/theirs/takings", &wish).await.unwrap();
    assert!(nowhere.is_problem(404));
    let helper = server.request(Some(Role::Helpdesk), Method::POST, path).json(&wish);
    assert!(answer(helper).await.unwrap().is_problem(403));
    // One that was tried again is for the same repository.
    let first = order(&server, &["tool"]).await;
    let path = |what: &str, job: i64| format!("/api/v1/jobs/{job}/{what}");
    server.send(Method::POST, &path("cancel", first), &json!({})).await.unwrap().ok().unwrap();
    let again = server.send(Method::POST, &path("retry", first), &json!({})).await.unwrap().ok().unwrap();
    let again = wire::JobId(again.as_i64().or(again["id"].as_i64()).unwrap());
    let mut tx = server.ctx.db.read().await.unwrap();
    assert_eq!(server::db::repositories::taking(&mut tx, again).await.unwrap().as_deref(), Some("ours"));
    drop(tx);
    server.stop().await.unwrap();
}

const TAKE: &str = include_str!("../../../agent/src/steps/send_packages/take.sh");

/// What the agent's script says and makes, where no source has any package.
#[expect(clippy::disallowed_methods, reason = "the system's own dpkg is what is tested against")]
async fn take(directory: &Path, package: &str) -> std::process::Output {
    let away = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/false", away.path().join("apt-get")).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", away.path().display());
    tokio::process::Command::new("/bin/sh")
        .args(["-euc", TAKE, "take", directory.to_str().unwrap(), package])
        .env_clear()
        .env("PATH", path)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the system's own dpkg is what is tested against")]
async fn a_package_that_no_source_has_is_made_again_of_what_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    let output = take(directory.path(), "grep").await;
    assert!(output.status.success() && said(&output).contains("made again"), "{}", said(&output));
    let made: Vec<_> =
        fs_err::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].file_name().unwrap().to_str().unwrap().starts_with("grep_"), "{made:?}");
    let list =
        tokio::process::Command::new("dpkg-deb").arg("--contents").arg(&made[0]).output().await.unwrap();
    assert!(list.status.success() && said(&list).contains("bin/grep\n"), "{}", said(&list));
    let control = server::archive::deb::control(std::fs::File::open(&made[0]).unwrap()).unwrap();
    assert_eq!(control.name, "grep");
    // Whoever sends it twice sends the same.
    let first = fs_err::read(&made[0]).unwrap();
    fs_err::remove_file(&made[0]).unwrap();
    assert!(take(directory.path(), "grep").await.status.success());
    assert!(fs_err::read(&made[0]).unwrap() == first);
    let output = take(directory.path(), "no-such-package-anywhere").await;
    assert!(!output.status.success() && said(&output).contains("is not installed here"), "{}", said(&output));
}
