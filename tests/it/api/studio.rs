//! Layouts before they are kept, own job scripts, images, health and reports.

use std::collections::BTreeMap;

use harness::server::{Engine, TestServer, answer, repository};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    db::{clients, images},
    domain::{image::Image, people::Role},
};
use wire::{
    Sha256,
    enrol::BlobRef,
    facts::{Facts, MountedFileSystem},
};

fn facts(file: &str) -> Facts {
    let path = repository().join("job-scripts/_facts").join(file);
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// A server with one client whose machine is known.
async fn with_machine(engine: Engine, layout: &str) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    let body = json!({ "name": "lab-01", "groups": ["lab"], "config": { "layout": layout } });
    server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
    measure(&server, &facts("qemu-bios.json")).await;
    server
}

async fn measure(server: &TestServer, facts: &Facts) {
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = clients::find_by_name(&mut tx, "lab-01").await.unwrap().unwrap();
    clients::set_facts(&mut tx, client.id, facts, server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Value {
    server.send(Method::POST, path, body).await.unwrap().ok().unwrap()
}

const LAYOUT: &str = "disks:\n  system:\n    match: { min_size: 1GiB }\n    table: gpt\n    wipe: true\n    partitions:\n      - { id: bios, size: 1MiB, type: bios-boot, when: bios }\n      - { id: root, size: rest, format: ext4, mount: / }\n";

pub(super) async fn a_layout_is_checked_as_text_and_as_picture_before_it_is_kept(engine: Engine) {
    let server = with_machine(engine, "whole-disk").await;
    let path = "/api/v1/layout-checks";
    let good = post(&server, path, &json!({ "yaml": LAYOUT, "client": "lab-01" })).await;
    assert_eq!(good["problems"], json!([]));
    assert_eq!(good["disks"][0]["written"][1]["mount"], "/");
    assert_eq!(good["disks"][0]["name"], "system");
    // The picture is changed, and comes back as text.
    let mut picture = good["layout"].clone();
    picture["disks"]["system"]["partitions"][1]["size"] = json!("50%");
    let drawn = post(&server, path, &json!({ "layout": picture, "client": "lab-01" })).await;
    assert!(
        drawn["yaml"].as_str().unwrap().contains("- { id: root, size: 50%, format: ext4, mount: / }"),
        "{drawn}"
    );
    let size = |check: &Value| check["disks"][0]["written"][1]["size_bytes"].as_u64().unwrap();
    assert!(size(&drawn) * 19 / 10 < size(&good));
    let wrong = LAYOUT.replace("size: rest", "size: 900TiB");
    let wrong = post(&server, path, &json!({ "yaml": wrong, "client": "lab-01" })).await;
    assert_eq!(wrong["disks"], json!([]));
    assert!(wrong["problems"][0]["line"].as_u64().unwrap() > 0, "{wrong}");
    let example = post(&server, path, &json!({ "yaml": LAYOUT })).await;
    assert_eq!((&example["client"], &example["problems"]), (&Value::Null, &json!([])));
    let both = server.send(Method::POST, path, &json!({ "yaml": LAYOUT, "layout": picture })).await.unwrap();
    assert!(both.is_problem(422));
    let stranger = json!({ "yaml": LAYOUT, "client": "nobody" });
    assert!(server.send(Method::POST, path, &stranger).await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

pub(super) async fn a_layout_that_a_client_uses_is_not_deleted(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let path = "/api/v1/layouts/ours";
    answer(server.request(Some(Role::Operator), Method::PUT, path).body(LAYOUT)).await.unwrap().ok().unwrap();
    let body = json!({ "name": "lab-01", "config": { "layout": "ours" } });
    post(&server, "/api/v1/clients", &body).await;
    let refused = server.send(Method::DELETE, path, &json!({})).await.unwrap();
    assert!(refused.is_problem(409), "{refused:?}");
    assert!(refused.json()["title"].as_str().unwrap().contains("lab-01"), "{refused:?}");
    server.send(Method::POST, "/api/v1/clients/lab-01/retire", &json!({})).await.unwrap().ok().unwrap();
    server.send(Method::DELETE, path, &json!({})).await.unwrap().ok().unwrap();
    server.stop().await.unwrap();
}

pub(super) async fn an_own_job_script_counts_until_another_version_is_chosen(engine: Engine) {
    let server = with_machine(engine, "whole-disk").await;
    let path = "/api/v1/job-scripts/package-install";
    let brought = server.get(path).await.unwrap().ok().unwrap();
    assert_eq!((&brought["version"], &brought["origin"]), (&json!(0), &json!("lotse")));
    let mut files = brought["files"].as_object().unwrap().clone();
    files.retain(|path, _| !path.starts_with("expected/"));
    let plan_of = async |id: i64| server.get(&format!("/api/v1/jobs/{id}/plan")).await.unwrap().text;
    let order = json!({ "job_type": "package-install", "params": { "packages": ["hello"] } });
    let before = post(&server, "/api/v1/clients/lab-01/jobs", &order).await.as_i64().unwrap();
    let planned = plan_of(before).await;

    // What would put a value into the shell unquoted is refused at the door, with its place.
    let declared = files["job.yaml"].as_str().unwrap().to_owned();
    let step = "  - script: 30-more.sh.tera\n    title: { en: More, de: Mehr }\n    timeout: 5m\n";
    files.insert("job.yaml".to_owned(), json!(format!("{declared}{step}")));
    files.insert("30-more.sh.tera".to_owned(), json!("eval {{ params.packages | words }}\n"));
    let upload = async |files: &serde_json::Map<String, Value>, base: i64| {
        let body = json!({ "files": files, "comment": "ours", "base": base });
        server.send(Method::POST, &format!("{path}/versions"), &body).await.unwrap()
    };
    let refused = upload(&files, 0).await;
    assert!(refused.is_problem(422) && refused.text.contains("30-more.sh.tera:"), "{refused:?}");

    files.insert("30-more.sh.tera".to_owned(), json!("echo ours\n"));
    let trial = json!({ "client": "lab-01", "params": { "packages": ["hello"] }, "files": files });
    let tried = post(&server, &format!("{path}/render"), &trial).await;
    assert!(tried.to_string().contains("echo ours"), "{tried}");
    let kept = upload(&files, 0).await;
    assert_eq!((kept.status, kept.json()["version"].as_i64()), (StatusCode::CREATED, Some(1)));
    assert!(upload(&files, 0).await.is_problem(409), "somebody else's version would be lost from sight");

    let after = post(&server, "/api/v1/clients/lab-01/jobs", &order).await.as_i64().unwrap();
    assert!(plan_of(after).await.contains("echo ours"));
    assert_eq!(plan_of(before).await, planned, "a plan that was made has changed");
    let difference = server.get(&format!("{path}/difference?from=0&to=1")).await.unwrap();
    assert!(difference.text.contains("+echo ours"), "{difference:?}");
    let sample = server.get(&format!("{path}/samples/two")).await.unwrap().ok().unwrap();
    assert!(sample["30-more.sh"].as_str().unwrap().contains("echo ours"));

    let choose = json!({ "version": 0 });
    server.send(Method::PUT, &format!("{path}/version"), &choose).await.unwrap().ok().unwrap();
    let last = post(&server, "/api/v1/clients/lab-01/jobs", &order).await.as_i64().unwrap();
    assert!(!plan_of(last).await.contains("echo ours"));
    let shown = server.get(path).await.unwrap().ok().unwrap();
    assert_eq!((&shown["version"], shown["versions"].as_array().unwrap().len()), (&json!(0), 1));
    let nothing =
        server.send(Method::PUT, &format!("{path}/version"), &json!({ "version": 7 })).await.unwrap();
    assert!(nothing.is_problem(404), "{nothing:?}");
    server.stop().await.unwrap();
}

async fn image(server: &TestServer, name: &str, content: &'static [u8]) -> (i64, Sha256) {
    let blob = server.request(Some(Role::Admin), Method::POST, "/api/v1/blobs").body(content);
    let blob: BlobRef = serde_json::from_value(answer(blob).await.unwrap().ok().unwrap()).unwrap();
    let parts: BTreeMap<_, _> = [("archive".to_owned(), blob.clone())].into();
    let made = Image {
        id: 0,
        name: name.to_owned(),
        recipe: blob.sha256.clone(),
        parts,
        built_at: 0,
        version: String::new(),
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = images::create(&mut tx, &made).await.unwrap();
    tx.commit().await.unwrap();
    (id, blob.sha256)
}

pub(super) async fn an_image_is_deleted_only_when_nobody_needs_it(engine: Engine) {
    let server = with_machine(engine, "whole-disk").await;
    let (old, old_file) = image(&server, "debian-12/virtual", b"old").await;
    let (new, new_file) = image(&server, "debian-12/virtual", b"new").await;
    let (twin, _) = image(&server, "debian-13/virtual", b"new").await;
    let delete = async |id: i64| {
        server.send(Method::DELETE, &format!("/api/v1/images/{id}"), &json!({})).await.unwrap()
    };
    assert!(delete(new).await.is_problem(409), "a client shall have this distribution");
    // The file of one is the other's as well.
    delete(twin).await.ok().unwrap();
    assert!(server.ctx.blobs.find(&new_file).is_some());
    delete(old).await.ok().unwrap();
    assert!(server.ctx.blobs.find(&old_file).is_none());
    assert!(delete(old).await.is_problem(404));
    let report = json!({ "name": "installer", "percent": 40, "message": "unpacking" });
    server.send(Method::POST, "/api/v1/image-builds", &report).await.unwrap().ok().unwrap();
    let builds = server.get("/api/v1/image-builds").await.unwrap().ok().unwrap();
    assert_eq!((&builds[0]["percent"], &builds[0]["actor"]), (&json!(40), &json!("admin")));
    server.stop().await.unwrap();
}

pub(super) async fn every_part_of_the_server_says_how_it_is(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let health = server.get("/api/v1/health").await.unwrap().ok().unwrap();
    let part = |name: &str| {
        let parts = health["parts"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name} in {health}")).clone()
    };
    assert_eq!(part("database")["condition"], "good");
    assert_eq!(part("boot")["condition"], "good", "{health}");
    assert_eq!(part("server certificate")["condition"], "good");
    assert_eq!(part("CA certificate")["condition"], "good");
    assert_eq!(part("images")["condition"], "warning");
    assert!(part("images")["remedy"].as_str().unwrap().contains("lotse image build"));
    for part in health["parts"].as_array().unwrap() {
        let well = ["good", "unknown"].contains(&part["condition"].as_str().unwrap());
        assert!(well || !part["remedy"].as_str().unwrap().is_empty(), "{part}");
    }
    let seen = answer(server.request(Some(Role::Viewer), Method::GET, "/api/v1/health")).await.unwrap();
    let seen = seen.ok().unwrap();
    assert!(seen["parts"].as_array().unwrap().iter().all(|part| part["said"] == ""), "{seen}");
    server.stop().await.unwrap();
}

pub(super) async fn every_report_is_a_table_for_programs_and_for_spreadsheets(engine: Engine) {
    let server = with_machine(engine, "whole-disk").await;
    let mut facts = facts("qemu-bios.json");
    facts.memory_bytes *= 2;
    facts.os.reboot_wanted = "linux-image".to_owned();
    facts.dmi.vendor = "=HYPERLINK(\"x\")".to_owned();
    facts.dmi.bios_date = "04/01/2014".to_owned();
    let mounted = |mount: &str, free_bytes| MountedFileSystem {
        mount: mount.to_owned(),
        device: "/dev/vda2".to_owned(),
        format: "ext4".to_owned(),
        size_bytes: 1000,
        free_bytes,
    };
    facts.file_systems = vec![mounted("/", 500), mounted("/home", 19)];
    measure(&server, &facts).await;
    let names = server.get("/api/v1/reports").await.unwrap().ok().unwrap();
    for name in names.as_array().unwrap() {
        let name = name.as_str().unwrap();
        let report = server.get(&format!("/api/v1/reports/{name}?group=lab")).await.unwrap().ok().unwrap();
        let columns = report["columns"].as_array().unwrap().len();
        for row in report["rows"].as_array().unwrap() {
            assert_eq!(row.as_array().unwrap().len(), columns, "{name}: {row}");
        }
        let file = server.get(&format!("/api/v1/reports/{name}?format=csv")).await.unwrap();
        assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
        let head: Vec<_> = file.text.lines().next().unwrap().split(',').collect();
        assert_eq!(head.len(), columns, "{name}: {head:?}");
    }
    let rows = async |path: &str| server.get(path).await.unwrap().ok().unwrap()["rows"].clone();
    assert_eq!(rows("/api/v1/reports/reboots").await[0][1], "linux-image");
    assert_eq!(rows("/api/v1/reports/age").await[0][7], "firmware");
    let space = rows("/api/v1/reports/space").await;
    assert_eq!((&space[0][1], &space[0][2], &space[1][1]), (&json!(99), &json!("/home"), &json!(50)));
    let changes = rows("/api/v1/reports/changes").await;
    assert!(changes.as_array().unwrap().iter().any(|row| row[2] == "memory"), "{changes}");
    let hardware = server.get("/api/v1/reports/hardware?format=csv").await.unwrap().text;
    assert!(hardware.contains("\"'=HYPERLINK(\"\"x\"\")\""), "{hardware}");
    assert!(server.get("/api/v1/reports/moon").await.unwrap().is_problem(422));
    assert!(server.get("/api/v1/reports/age?group=nobody").await.unwrap().is_problem(404));
    assert!(server.get("/api/v1/reports/changes?from=5&to=5").await.unwrap().is_problem(422));
    server.stop().await.unwrap();
}
