//! Images that are not what the plan names: never unpacked, never half kept, told with both hashes and what to do.

use super::{
    Machine, client, installer, job, mac, order, reaches, register, serves, store, token_on_the_wire, until,
};
use agent::host::fake::Answer as Does;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::clock::Clock;
use wire::enrol::Realm;

/// A base system in two pieces' length, the same at every call.
fn archive() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A machine in the installer whose disks are mounted, and the base image that it will be given.
pub(super) async fn site(clock: Clock) -> (TestServer, Machine, Value) {
    let server = TestServer::start_with(Engine::Sqlite, clock).await.unwrap();
    installer(&server, b"tools").await;
    let blob = store(&server, &archive()).await;
    for variant in ["virtual", "metal"] {
        let image = json!({ "name": format!("debian-12/{variant}"), "recipe": "1".repeat(64), "parts": { "archive": blob } });
        server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    }
    register(&server, "lab-01", mac(1)).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let mut machine = Machine::new(&server, mac(1), Realm::Installer, Some(token));
    machine.host = machine
        .host
        .clone()
        .with_file("/sys/block/vda/size", format!("{}\n", (20_u64 << 30) / 512))
        .with_file("/sys/block/vda/serial", "disk-1\n")
        .with_file("/sys/block/vda/queue/logical_block_size", "512\n")
        .with_disk("/dev/vda", 1 << 20);
    machine.start();
    until(&server, "the facts are there", async || {
        server.get("/api/v1/clients/lab-01/facts").await.unwrap().status.is_success().then_some(())
    })
    .await;
    (server, machine, blob)
}

/// Orders the base system for disks that carry what its plan expects.
pub(super) async fn order_base_system(server: &TestServer, machine: &Machine) -> i64 {
    let id = order(server, "lab-01", &json!({ "job_type": "base-system", "hold": true })).await;
    let plan = server.get(&format!("/api/v1/jobs/{id}/plan")).await.unwrap().ok().unwrap();
    let steps = plan["steps"].as_array().unwrap();
    for mount in steps.iter().flat_map(|step| step["mounts"].as_array().into_iter().flatten()) {
        let command = format!("blkid -p -s UUID -o value /dev/vda{}", mount["volume"]["number"]);
        machine.host.answer(&command, Does::prints(mount["uuid"].as_str().unwrap()));
    }
    server.send(Method::POST, &format!("/api/v1/jobs/{id}/accept"), &json!({})).await.unwrap().ok().unwrap();
    id
}

fn stored(server: &TestServer, blob: &Value) -> std::path::PathBuf {
    server.data().join("blobs").join(blob["sha256"].as_str().unwrap())
}

#[tokio::test]
async fn a_base_system_with_another_hash_is_refused_and_taken_once_it_was_sent_again() {
    let (server, mut machine, blob) = site(Clock::system()).await;
    let mut damaged = archive();
    damaged[500_000] ^= 1;
    fs_err::write(stored(&server, &blob), &damaged).unwrap();
    let id = order_base_system(&server, &machine).await;
    let failed = reaches(&server, id, "failed").await;
    let reason = failed["reason"].as_str().unwrap();
    let got = server::blobs::hash(&damaged);
    assert!(reason.contains(blob["sha256"].as_str().unwrap()) && reason.contains(got.as_str()), "{reason}");
    assert!(reason.contains("`lotse image build --force`"), "no remedy: {reason}");
    let health = client(&server, "lab-01").await["health"].clone();
    assert!(
        health["state"] == "warning" && health["reason"].as_str().unwrap().contains("base-system"),
        "{health}"
    );

    store(&server, &archive()).await;
    let again = order_base_system(&server, &machine).await;
    reaches(&server, again, "succeeded").await;
    assert_eq!(client(&server, "lab-01").await["health"]["state"], "ok");
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_base_system_that_is_cut_short_on_the_server_is_said_to_be() {
    let (server, mut machine, blob) = site(Clock::system()).await;
    fs_err::write(stored(&server, &blob), &archive()[..700_000]).unwrap();
    let id = order_base_system(&server, &machine).await;
    let failed = reaches(&server, id, "failed").await;
    let reason = failed["reason"].as_str().unwrap();
    assert!(
        reason.contains("ends at byte 700000") && reason.contains("`lotse image build --force`"),
        "{reason}"
    );
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_base_system_that_is_gone_from_the_server_is_said_to_be() {
    let (server, mut machine, blob) = site(Clock::system()).await;
    fs_err::remove_file(stored(&server, &blob)).unwrap();
    let id = order_base_system(&server, &machine).await;
    let failed = reaches(&server, id, "failed").await;
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("does not exist") && reason.contains("`lotse image build"), "{reason}");
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_tool_set_with_another_hash_is_not_entered_and_taken_once_it_was_sent_again() {
    let (server, mut machine, _) = site(Clock::system()).await;
    let tools = store(&server, b"tools").await;
    fs_err::write(stored(&server, &tools), b"slyly").unwrap();
    let id = order_base_system(&server, &machine).await;
    let output = until(&server, "the wrong hash is told", async || {
        let attempts = server.get(&format!("/api/v1/jobs/{id}/attempts")).await.unwrap().json();
        let attempt = attempts[0]["id"].as_i64()?;
        let output = server.get(&format!("/api/v1/attempts/{attempt}/output")).await.unwrap().text;
        output.contains("but what came has").then_some(output)
    })
    .await;
    assert!(output.contains(tools["sha256"].as_str().unwrap()), "{output}");
    assert_eq!((job(&server, id).await["state"].clone(), machine.host.entered()), (json!("running"), None));
    store(&server, b"tools").await;
    reaches(&server, id, "succeeded").await;
    assert_eq!(machine.host.text("/run/lotse-agent/tools.squashfs"), "tools");
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}
