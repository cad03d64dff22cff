//! A server whose disk is full: it says so, keeps nothing by halves, and goes on when there is room again.

use std::{io::Write, path::Path};

use super::{enrol, facts, mac, serves, store};
use agent::identity::NewKey;
use harness::server::{Engine, TestServer, answer};
use nix::mount::{MsFlags, mount};
use reqwest::Method;
use serde_json::json;
use server::{clock::Clock, db::Location, domain::people::Role};

/// Says to the copy of this program that it may mount.
const INSIDE: &str = "LOTSE_TEST_MAY_MOUNT";

/// Writes until nothing more fits, but for `room` bytes.
fn fill(file: &Path, room: u64) {
    let mut filler = std::fs::File::create(file).unwrap();
    let mut size = 0;
    for piece in [1 << 20, 4096, 1] {
        while filler.write_all(&vec![0; piece]).is_ok() {
            size += piece as u64;
        }
    }
    filler.set_len(size.saturating_sub(room)).unwrap();
}

/// Runs this test again in a mount namespace of its own, where it may mount a small disk that nobody else sees.
#[expect(clippy::disallowed_methods, reason = "the only way to a mount namespace of its own")]
#[test]
fn a_full_disk_is_told_and_nothing_is_kept_by_halves() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(on_a_small_disk());
    }
    let mut unshare = std::process::Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let name = "bad_days::full_disk::a_full_disk_is_told_and_nothing_is_kept_by_halves";
    let own = std::env::current_exe().unwrap();
    let output = unshare
        .arg("--mount")
        .arg(own)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

async fn on_a_small_disk() {
    let place = tempfile::tempdir().unwrap();
    mount(Some("small"), place.path(), Some("tmpfs"), MsFlags::empty(), Some("size=12m")).unwrap();
    let data = place.path().join("data");
    let adjusted = data.clone();
    let server = TestServer::start_as(Engine::Sqlite, Clock::system(), move |config| {
        config.database = Location::Sqlite(adjusted.join("lotse.sqlite"));
        config.data = adjusted;
    });
    let server = server.await.unwrap();
    let kept = store(&server, b"kept").await;
    let filler = place.path().join("filler");

    // A file for which there is room only for a part.
    fill(&filler, 1 << 20);
    let upload = async |content: Vec<u8>| {
        let request = server.request(Some(Role::Admin), Method::POST, "/api/v1/blobs").body(content);
        answer(request).await.unwrap()
    };
    let refused = upload(vec![7; 3 << 20]).await;
    assert!(refused.is_problem(503) && refused.text.contains("could not be stored"), "{refused:?}");
    assert!(refused.json()["remedy"].as_str().unwrap().contains("free space"), "{refused:?}");
    let blobs = || -> Vec<String> {
        let entries = fs_err::read_dir(data.join("blobs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(blobs(), [kept["sha256"].as_str().unwrap()], "half a file stayed");

    // The database takes some more, and then no more. What its files have already may be full to the last page.
    fill(&filler, 256 << 10);
    let register = async |number: usize| {
        let body = json!({ "name": format!("pc-{number}"), "config": { "root_ssh_keys": vec![format!("ssh-ed25519 AAAA{} x", "A".repeat(300)); 50] } });
        server.send(Method::POST, "/api/v1/clients", &body).await.unwrap()
    };
    let mut number = 0;
    let refused = loop {
        let got = register(number).await;
        if !got.status.is_success() {
            break got;
        }
        number += 1;
        assert!(number < 5000, "the disk never became full");
    };
    assert!(refused.is_problem(503), "{refused:?}");
    assert!(refused.text.contains("database is full") && refused.text.contains("make room"), "{refused:?}");
    // Agents hear the same, and come again later.
    let announced = {
        let key = NewKey::generate().unwrap();
        let mut large = facts("a");
        large["dmi"]["vendor"] = json!("x".repeat(100_000));
        let body = json!({
            "csr_pem": key.csr_pem, "mac": mac(1), "boot_id": "b", "realm": "installer", "agent_version": "0", "facts": large,
        });
        answer(server.request(None, Method::POST, "/agent/v1/enrol").json(&body)).await.unwrap()
    };
    assert!(announced.is_problem(503), "{announced:?}");
    // Reading goes on, and so does booting.
    serves(&server).await;
    assert_eq!(server.get("/api/v1/clients/pc-0").await.unwrap().status, 200);
    assert_eq!(server.get(&format!("/api/v1/clients/pc-{number}")).await.unwrap().status, 404);

    // Room again: everything goes on by itself, and what was refused was not done.
    fs_err::remove_file(&filler).unwrap();
    assert!(register(number).await.status.is_success());
    assert!(upload(vec![7; 3 << 20]).await.status.is_success());
    let key = NewKey::generate().unwrap();
    assert_eq!(enrol(&server, mac(1), &key, None, "a").await.ok().unwrap()["status"], "waiting");
    serves(&server).await;
    server.stop().await.unwrap();
}
