//! Changes of clients and machines.

use server::{
    db::images,
    domain::image::{self, Image},
};
use wire::enrol::BlobRef;

use super::*;

pub(super) async fn about_clients(walk: &mut Walk<'_>) {
    let server = walk.server;
    let lab = &[("name", "lab-01")];
    let client = "client lab-01";
    let none = &json!({});
    let p = |method, route| (method, route);
    let new = json!({ "name": "lab-01", "macs": ["52:54:00:00:00:01"], "groups": ["lab"] });
    walk.step(p(Method::POST, "/api/v1/clients"), &[], &new, ("client.register", client, NEW)).await;
    let change = json!({ "groups": ["lab", "room-2"] });
    walk.step(p(Method::PATCH, "/api/v1/clients/{name}"), lab, &change, ("client.change", client, CHANGED))
        .await;
    let id = id_of(server, "lab-01").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    client_rows::set_announced_key(&mut tx, id, &blobs::hash(b"key")).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/clients/{name}/adopt"), lab, none, ("client.adopt", client, CHANGED))
        .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/install"),
        lab,
        none,
        ("client.install", client, CHANGED),
    )
    .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/reset"), lab, none, ("client.reset", client, CHANGED))
        .await;
    let mut tx = server.ctx.db.write().await.unwrap();
    client_rows::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    client_rows::set_alarm(&mut tx, id, Some("two machines show one identity")).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(
        p(Method::DELETE, "/api/v1/clients/{name}/alarm"),
        lab,
        none,
        ("client.clear-alarm", client, CHANGED),
    )
    .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/redo"), lab, none, ("client.install", client, CHANGED))
        .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/restart"), lab, none, ("job.create", "job ", NEW))
        .await;
    about_machines(walk, lab, client).await;
    let keys = json!({ "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHz7H6pRrRjQ1m4i1sVZkzQm1tB8vEoTWpT0oVnSnkR ann"] });
    walk.step(p(Method::POST, "/api/v1/clients/{name}/rescue"), lab, &keys, ("job.create", "job ", NEW))
        .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/release"), lab, none, ("job.cancel", "job ", CHANGED))
        .await;
    has_an_agent(server).await;
    ways_to_enrol(walk, lab, client).await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/retire"),
        lab,
        none,
        ("client.retire", client, CHANGED),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/reinstate"),
        lab,
        none,
        ("client.reinstate", client, CHANGED),
    )
    .await;
    walk.step(p(Method::DELETE, "/api/v1/clients/{name}"), lab, none, ("client.delete", client, GONE)).await;
}

async fn ways_to_enrol(walk: &mut Walk<'_>, lab: &[(&str, &str)], client: &str) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let order = json!({ "name": "web-01", "groups": ["lab"] });
    walk.step(
        p(Method::POST, "/api/v1/integrations"),
        &[],
        &order,
        ("client.integrate", "client web-01", NEW),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/enrol-command"),
        lab,
        none,
        ("client.enrol-command", client, NEW),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/user-data"),
        lab,
        none,
        ("client.user-data", client, NEW),
    )
    .await;
}

async fn about_machines(walk: &mut Walk<'_>, lab: &[(&str, &str)], client: &str) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let id = id_of(server, "lab-01").await;
    // Whatever the installation before has queued is in the way of the next one.
    walk.send(Method::POST, "/api/v1/clients/{name}/reset", "/api/v1/clients/lab-01/reset", none).await;
    let mut tx = server.ctx.db.write().await.unwrap();
    client_rows::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    tx.commit().await.unwrap();
    walk.seen = entries(server).await.len();
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/recover"),
        lab,
        none,
        ("client.install", client, CHANGED),
    )
    .await;
    let note = json!({ "text": "Netzteil getauscht" });
    let id = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/notes"), lab, &note, ("client.note", client, NEW))
        .await;
    let number = id.to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/clients/{name}/notes/{id}"),
        &[("name", "lab-01"), ("id", number.as_str())],
        none,
        ("client.delete-note", client, GONE),
    )
    .await;
    let (room, preset) = (&[("name", "room")], json!({ "groups": ["room-9"] }));
    walk.step(p(Method::PUT, "/api/v1/presets/{name}"), room, &preset, ("preset.set", "preset room", NEW))
        .await;
    walk.step(
        p(Method::DELETE, "/api/v1/presets/{name}"),
        room,
        none,
        ("preset.delete", "preset room", GONE),
    )
    .await;
    let rule = json!({ "mac": "52:54:77", "names": "pc-{01..}" });
    walk.step(p(Method::PUT, "/api/v1/rules/{name}"), room, &rule, ("rule.set", "rule room", NEW)).await;
    walk.send(Method::POST, "/api/v1/rule-runs", "/api/v1/rule-runs?dry_run=true", none).await;
    walk.seen = entries(server).await.len();
    walk.step(p(Method::DELETE, "/api/v1/rules/{name}"), room, none, ("rule.delete", "rule room", GONE))
        .await;
    let many = json!({ "sheet": "name;mac\npc-1;52:54:00:00:07:01\n", "config": {}, "install": false });
    walk.step(
        p(Method::POST, "/api/v1/mass-installations"),
        &[],
        &many,
        ("client.mass-install", "machines", NEW),
    )
    .await;
    let stranger = id_of(server, "pc-1").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    client_rows::set_stage(&mut tx, stranger, Stage::Discovered).await.unwrap();
    tx.commit().await.unwrap();
    let pc = &[("name", "pc-1")];
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/forget"),
        pc,
        none,
        ("client.delete", "client pc-1", GONE),
    )
    .await;
}

/// Taking a machine over needs a package of the agent; how that comes is another step.
async fn has_an_agent(server: &TestServer) {
    let package = BlobRef { sha256: blobs::hash(b"package"), size_bytes: 7 };
    let image = Image {
        id: 0,
        name: image::AGENT.to_owned(),
        recipe: blobs::hash(b"recipe"),
        parts: [(image::PACKAGE.to_owned(), package)].into(),
        built_at: 0,
        version: String::new(),
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    images::create(&mut tx, &image).await.unwrap();
    tx.commit().await.unwrap();
}
