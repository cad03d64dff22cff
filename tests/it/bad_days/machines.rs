//! Machines that nobody knows, that share an address, or whose disks do not fit.

use super::{
    Machine, client, installer, job, mac, reaches, register, serves, timeline, token_on_the_wire, until,
};
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use wire::enrol::Realm;

async fn site() -> TestServer {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    installer(&server, b"tools").await;
    server
}

#[tokio::test]
async fn a_machine_that_nobody_knows_waits_for_an_admin_and_says_so_on_both_sides() {
    let server = site().await;
    let mut machine = Machine::new(&server, mac(1), Realm::Installer, None);
    machine.start();
    machine.shows(&server, "waits for an admin to adopt it").await;
    let name = "new-525400000001";
    let found = client(&server, name).await;
    assert_eq!(found["stage"], "discovered");
    let shown = found["announced_fingerprint"].as_str().unwrap().to_owned();
    assert!(machine.console().replace(' ', "").contains(&shown), "the screen shows another fingerprint");
    let line = server.get(&format!("/api/v1/clients/{name}/timeline")).await.unwrap().ok().unwrap();
    assert!(line["expected"]["remedy"].as_str().unwrap().contains("`lotse client adopt`"), "{line}");

    let wrong = json!({ "fingerprint": "0".repeat(64) });
    let refused = server.send(Method::POST, &format!("/api/v1/clients/{name}/adopt"), &wrong).await.unwrap();
    assert!(
        refused.is_problem(409) && refused.text.contains("compare with the machine's screen"),
        "{refused:?}"
    );
    let adopted = json!({ "fingerprint": shown, "name": "lab-01" });
    server
        .send(Method::POST, &format!("/api/v1/clients/{name}/adopt"), &adopted)
        .await
        .unwrap()
        .ok()
        .unwrap();
    machine.shows(&server, "enrolled as lab-01").await;
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_machines_with_one_address_are_told_apart_and_the_first_one_keeps_its_place() {
    let server = site().await;
    let mut first = Machine::new(&server, mac(1), Realm::Installer, None);
    first.start();
    first.shows(&server, "waits for an admin to adopt it").await;
    let name = "new-525400000001";
    let shown = client(&server, name).await["announced_fingerprint"].clone();
    let mut second = Machine::new(&server, mac(1), Realm::Installer, None);
    second.host = second.host.clone().with_file("/sys/class/dmi/id/product_serial", "another\n");
    second.start();
    second.shows(&server, "another machine has the address of client new-525400000001").await;
    assert_eq!(client(&server, name).await["announced_fingerprint"], shown);
    let lines = timeline(&server, mac(1)).await;
    assert!(lines.contains("serial number `another`, known is `serial-52:54:00:00:00:01`"), "{lines}");
    assert!(
        lines.contains("give one of the two another address") && lines.contains("lotse client delete"),
        "{lines}"
    );
    let adopt = json!({ "fingerprint": shown, "name": "lab-01" });
    server.send(Method::POST, &format!("/api/v1/clients/{name}/adopt"), &adopt).await.unwrap().ok().unwrap();
    first.shows(&server, "enrolled as lab-01").await;
    assert!(!second.console().contains("enrolled"));
    // Once before and perhaps once after the first one's enrolment, but not every three seconds.
    let told = timeline(&server, mac(1)).await.matches("another machine has the address").count();
    assert!(told <= 2, "it floods: {told} lines");
    first.stop().await;
    second.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_without_identity_does_not_become_an_installed_client_by_its_address() {
    let server = site().await;
    let mut real = Machine::enrolled(&server, "lab-01", mac(1)).await;
    let mut other = Machine::new(&server, mac(1), Realm::Installer, None);
    other.start();
    other.shows(&server, "is managed already").await;
    until(&server, "the timeline tells of it", async || {
        let lines = timeline(&server, mac(1)).await;
        (lines.contains("without an identity") && lines.contains("`lotse client adopt lab-01 --fingerprint"))
            .then_some(())
    })
    .await;
    assert_eq!(client(&server, "lab-01").await["health"]["state"], "ok");
    other.stop().await;
    // The real one was not disturbed.
    let id =
        super::order(&server, "lab-01", &json!({ "job_type": "script", "params": { "text": "true" } })).await;
    reaches(&server, id, "succeeded").await;
    real.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

/// Disks as the kernel shows them: name, size and serial number.
fn with_disks(mut machine: Machine, disks: &[(&str, u64)]) -> Machine {
    for (name, gib) in disks {
        machine.host = machine
            .host
            .clone()
            .with_file(&format!("/sys/block/{name}/size"), format!("{}\n", (gib << 30) / 512))
            .with_file(&format!("/sys/block/{name}/serial"), format!("serial-{name}\n"))
            .with_file(&format!("/sys/block/{name}/queue/logical_block_size"), "512\n")
            .with_disk(&format!("/dev/{name}"), 1 << 20);
    }
    machine
}

/// Name and size in GiB.
type Disks = &'static [(&'static str, u64)];

/// What is wrong, the disks, and the words that the reason must have.
const BAD_DISKS: [(&str, Disks, &[&str]); 3] = [
    ("none", &[], &["no disk"]),
    ("small", &[("vda", 1)], &["vda"]),
    ("two", &[("vda", 20), ("vdb", 30)], &["vda", "serial-vda", "vdb", "serial-vdb"]),
];

fn images(server: &TestServer, blob: &Value) -> impl Future<Output = ()> {
    let bodies = ["debian-12/virtual", "debian-12/metal", "debian-13/virtual", "debian-13/metal"]
        .map(|name| json!({ "name": name, "recipe": "1".repeat(64), "parts": { "archive": blob } }));
    async move {
        for body in bodies {
            server.send(Method::POST, "/api/v1/images", &body).await.unwrap().ok().unwrap();
        }
        let agent = json!({ "name": "agent", "recipe": "1".repeat(64), "parts": { "package": blob } });
        server.send(Method::POST, "/api/v1/images", &agent).await.unwrap().ok().unwrap();
    }
}

#[tokio::test]
async fn disks_that_do_not_fit_are_told_before_anything_is_queued() {
    let server = site().await;
    images(&server, &super::store(&server, b"x").await).await;
    for (number, (kind, disks, words)) in BAD_DISKS.into_iter().enumerate() {
        let (name, mac) = (format!("pc-{kind}"), mac(10 + u8::try_from(number).unwrap()));
        register(&server, &name, mac).await;
        let token = token_on_the_wire(&server, mac).await;
        let mut machine = with_disks(Machine::new(&server, mac, Realm::Installer, Some(token)), disks);
        machine.start();
        machine.shows(&server, "enrolled as").await;
        let refused =
            server.send(Method::POST, &format!("/api/v1/clients/{name}/install"), &json!({})).await.unwrap();
        assert!(refused.is_problem(422), "{kind}: {refused:?}");
        for word in words {
            assert!(refused.text.contains(word), "{kind}: `{word}` is missing in {refused:?}");
        }
        let remedy = refused.json()["remedy"].as_str().unwrap().to_owned();
        assert!(remedy.contains("choose another one, or change the machine's disks"), "{kind}: {remedy}");
        let jobs = server.get(&format!("/api/v1/jobs?client={name}")).await.unwrap().ok().unwrap();
        assert_eq!(jobs["items"], json!([]), "{kind}");
        machine.stop().await;
    }
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn disks_that_turn_out_not_to_fit_end_the_installation_with_the_reason_and_touch_nothing() {
    let server = site().await;
    images(&server, &super::store(&server, b"x").await).await;
    for (number, (kind, disks, words)) in BAD_DISKS.into_iter().enumerate() {
        let (name, mac) = (format!("pc-{kind}"), mac(20 + u8::try_from(number).unwrap()));
        register(&server, &name, mac).await;
        // Nobody knows the disks yet.
        let chain =
            server.send(Method::POST, &format!("/api/v1/clients/{name}/install"), &json!({})).await.unwrap();
        let chain: Vec<i64> = serde_json::from_value(chain.ok().unwrap()["jobs"].clone()).unwrap();
        let token = token_on_the_wire(&server, mac).await;
        let mut machine = with_disks(Machine::new(&server, mac, Realm::Installer, Some(token)), disks);
        machine.start();
        let failed = reaches(&server, chain[0], "failed").await;
        let reason = failed["reason"].as_str().unwrap();
        assert!(reason.starts_with("it could not be planned"), "{kind}: {reason}");
        for word in words {
            assert!(reason.contains(word), "{kind}: `{word}` is missing in {reason}");
        }
        for needs in &chain[1..] {
            let job = job(&server, *needs).await;
            let why = job["reason"].as_str().unwrap();
            assert!(
                job["state"] == "cancelled" && why.contains("which failed") || why.contains("was cancelled"),
                "{job}"
            );
        }
        let health = client(&server, &name).await["health"].clone();
        assert!(
            health["state"] == "critical"
                && health["reason"].as_str().unwrap().contains("could not be planned"),
            "{health}"
        );
        machine.stop().await;
        for (disk, _) in disks {
            assert!(
                machine.host.disk(&format!("/dev/{disk}")).unwrap().iter().all(|byte| *byte == 0),
                "{kind}: {disk}"
            );
        }
    }
    serves(&server).await;
    server.stop().await.unwrap();
}
