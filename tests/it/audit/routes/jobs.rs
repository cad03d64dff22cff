//! Changes of jobs, and of many clients at once.

use super::*;

pub(super) async fn about_many(walk: &mut Walk<'_>) {
    let server = walk.server;
    for name in ["pc-01", "pc-02"] {
        let mac = format!("52:54:00:00:01:{}", &name[3..]);
        let new = json!({ "name": name, "macs": [mac] });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    }
    walk.seen = entries(server).await.len();
    let none = &json!({});
    let p = |method, route| (method, route);
    let filter = json!({ "name": "silent", "query": "seen>7d" });
    let made = walk
        .step(p(Method::POST, "/api/v1/filters"), &[], &filter, ("filter.save", "filter silent", NEW))
        .await;
    let number = made["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/filters/{id}"),
        &[("id", &number)],
        none,
        ("filter.delete", "filter ", GONE),
    )
    .await;
    let group = json!({ "name": "own", "description": "a room" });
    walk.step(p(Method::POST, "/api/v1/groups"), &[], &group, ("group.create", "group own", NEW)).await;
    let change = json!({ "description": "another room" });
    walk.step(
        p(Method::PATCH, "/api/v1/groups/{name}"),
        &[("name", "own")],
        &change,
        ("group.change", "group own", CHANGED),
    )
    .await;
    // Woken is over the network, which not every machine that tests has.
    let wake = server.send(Method::POST, "/api/v1/clients/pc-01/wake", none).await.unwrap();
    let all = entries(server).await;
    assert_eq!(wake.status.is_success(), all.last().unwrap()["action"] == "client.wake", "{wake:?}");
    walk.used.insert("POST /api/v1/clients/{name}/wake".to_owned());
    walk.seen = all.len();
    let order = json!({ "order": { "action": "join-group", "group": "own" }, "clients": ["pc-01", "pc-02"] });
    walk.step(p(Method::POST, "/api/v1/batches"), &[], &order, ("batch.order", "batch ", NEW)).await;
    // One that waits, as it would when the server had more to do.
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = client_rows::find_by_name(&mut tx, "pc-01").await.unwrap().unwrap().id;
    let chosen = [(id, None)];
    let batch =
        batches::create(&mut tx, &Action::Reboot, "", "admin", &chosen, server.ctx.now()).await.unwrap();
    assert!(batches::take(&mut tx, batch, id, server.ctx.now()).await.unwrap());
    tx.commit().await.unwrap();
    walk.step(
        p(Method::POST, "/api/v1/batches/{id}/stop"),
        &[("id", &batch.to_string())],
        none,
        ("batch.stop", "batch ", CHANGED),
    )
    .await;
    let mut tx = server.ctx.db.read().await.unwrap();
    let files = job_scripts::files(&server.ctx, &mut tx, "reboot", 0).await.unwrap();
    drop(tx);
    let script = &[("name", "reboot")];
    let new = json!({ "files": files, "comment": "the same" });
    walk.step(
        p(Method::POST, "/api/v1/job-scripts/{name}/versions"),
        script,
        &new,
        ("job-script.upload", "job script reboot", CHANGED),
    )
    .await;
    let old = json!({ "version": 0 });
    walk.step(
        p(Method::PUT, "/api/v1/job-scripts/{name}/version"),
        script,
        &old,
        ("job-script.choose", "job script reboot", CHANGED),
    )
    .await;
}

pub(super) async fn about_jobs(walk: &mut Walk<'_>) {
    let server = walk.server;
    register(server, "lab-02").await;
    walk.seen = entries(server).await.len();
    let none = &json!({});
    let order = json!({ "job_type": "script", "params": { "text": "true" } });
    let p = |method, route| (method, route);
    let lab = &[("name", "lab-02")];
    let made = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/jobs"), lab, &order, ("job.create", "job ", NEW))
        .await;
    let number = made.to_string();
    let (job, object) = (&[("id", number.as_str())], format!("job {number}"));
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/hold"), job, none, ("job.hold", &object, CHANGED)).await;
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/accept"), job, none, ("job.accept", &object, CHANGED)).await;
    let id = id_of(server, "lab-02").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    queue::claim(&mut tx, id, Realm::System, "boot", 60, server.ctx.now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/release"), job, none, ("job.release", &object, CHANGED))
        .await;
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/cancel"), job, none, ("job.cancel", &object, CHANGED)).await;
    let other = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/jobs"), lab, &order, ("job.create", "job ", NEW))
        .await;
    let number = other.to_string();
    let (job, object) = (&[("id", number.as_str())], format!("job {number}"));
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/cancel"), job, none, ("job.cancel", &object, CHANGED)).await;
    // The running one is the same, so it must be over before it can be tried again.
    let mut tx = server.ctx.db.write().await.unwrap();
    queue::reap(&mut tx, server.ctx.now() + 3_600_000_000).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/retry"), job, none, ("job.create", "job ", NEW)).await;
}
