//! Rollouts as people make, start, hold and end them.

use harness::server::{Engine, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::people,
    db::clients,
    domain::{client::Stage, job::JobState, people::Role},
};

use super::site::{End, Site, count, is_in, spec};

pub(super) async fn a_broken_package_stops_a_rollout_in_its_first_wave(engine: Engine) {
    let mut site = Site::start(engine, 30).await;
    let wanted = spec(json!({ "waves": [{ "size": "10%", "soak_s": 600 }, { "size": "rest" }] }));
    let id = site.begin(&wanted).await;
    let view = site.until(id, "the first wave has its jobs", |view| count(view, "queued") == 3).await;
    assert_eq!(view["waves"][0]["counts"]["queued"], 3, "{view:#}");
    assert_eq!(site.work(End::Badly).await, 3);
    let view = site.until(id, "it halts", is_in("halted")).await;
    assert_eq!(view["reason"], "3 of 3 clients of wave 1 failed, at most 10 % may");
    assert_eq!(view["why"]["kind"], "too-many-failed");
    assert_eq!((count(&view, "failed"), count(&view, "waiting")), (3, 27));
    // The same error on three machines is one cause, and leads to the output of each.
    let causes = view["causes"].as_array().unwrap();
    assert_eq!((causes.len(), &causes[0]["count"]), (1, &json!(3)), "{causes:#?}");
    assert_eq!(
        causes[0]["cause"],
        "step 10-install: exit status 100 after ‹amount›: E: Unable to locate package helo"
    );
    assert!(causes[0]["clients"][0]["job"].is_i64());
    // Nobody else was touched, and nobody is however long one waits.
    site.advance(24 * 3600).await;
    site.look().await;
    assert_eq!(site.work(End::Well).await, 0);
    assert_eq!(site.count(&[JobState::Failed]).await, 3);
    let events = site.server.get("/api/v1/events?limit=500").await.unwrap().text;
    assert!(events.contains("rollout.halted") && events.contains("of wave 1 failed"), "{events}");
    // Mended: only what failed is tried again, then the others have their turn.
    let retried = site.post(&format!("rollouts/{id}/retry"), &json!({})).await.ok().unwrap();
    assert_eq!(retried["clients"], 3);
    site.until(id, "the three have new jobs", |view| count(view, "queued") == 3).await;
    assert_eq!(site.work(End::Well).await, 3);
    site.until(id, "the first wave soaks", |view| view["doing"]["kind"] == "soaking").await;
    site.advance(601).await;
    site.until(id, "the others have jobs", |view| count(view, "queued") == 27).await;
    assert_eq!(site.work(End::Well).await, 27);
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 30);
    let kinds: Vec<_> = view["history"].as_array().unwrap().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(
        kinds,
        ["created", "started", "wave", "halted", "retried", "settled", "wave", "settled", "finished"]
    );
    site.server.stop().await.unwrap();
}

pub(super) async fn a_rollout_goes_through_its_waves_and_finishes(engine: Engine) {
    let mut site = Site::start(engine, 20).await;
    let wanted = spec(json!({
        "waves": [{ "size": "1" }, { "size": "25%", "pause": true }, { "size": "rest" }],
        "at_once": 4,
    }));
    let order = json!({ "title": "hello", "spec": wanted, "dry_run": true });
    let shown = site.post("rollouts", &order).await.ok().unwrap();
    let sizes: Vec<_> =
        shown["preview"]["waves"].as_array().unwrap().iter().map(|wave| wave["clients"].clone()).collect();
    assert_eq!((&shown["id"], sizes), (&Value::Null, vec![json!(1), json!(5), json!(14)]));
    let id = site.begin(&wanted).await;
    site.until(id, "one client is asked", |view| count(view, "queued") == 1).await;
    site.work(End::Well).await;
    let view = site.until(id, "it pauses", is_in("paused")).await;
    assert_eq!(view["reason"], "wave 2 waits for somebody to resume the rollout");
    site.post(&format!("rollouts/{id}/resume"), &json!({})).await.ok().unwrap();
    // Never more than four at a time.
    let mut rounds = 0;
    loop {
        site.look().await;
        let view = site.show(id).await;
        if view["state"] == "finished" {
            assert_eq!(count(&view, "succeeded"), 20);
            break;
        }
        let flying = count(&view, "queued") + count(&view, "running");
        assert!(flying <= 4, "{view:#}");
        site.work(End::Well).await;
        rounds += 1;
        assert!(rounds < 200, "{view:#}");
    }
    let list = site.server.get("/api/v1/rollouts").await.unwrap().ok().unwrap();
    assert_eq!(list["items"][0]["counts"]["succeeded"], 20);
    let path = format!("/api/v1/rollouts/{id}/clients?state=succeeded&limit=15");
    let page = site.server.get(&path).await.unwrap().ok().unwrap();
    let rest = format!("{path}&after={}", page["next"].as_str().unwrap());
    let rest = site.server.get(&rest).await.unwrap().ok().unwrap();
    assert_eq!(page["items"].as_array().unwrap().len() + rest["items"].as_array().unwrap().len(), 20);
    site.server.stop().await.unwrap();
}

pub(super) async fn what_cannot_be_carried_out_is_refused_with_its_fields(engine: Engine) {
    let site = Site::start(engine, 1).await;
    let send = async |spec: Value| site.post("rollouts", &json!({ "title": "x", "spec": spec })).await;
    let wrong = send(spec(json!({
        "work": { "kind": "jobs", "jobs": [{ "job_type": "script" }, { "job_type": "no-such" }] },
        "waves": [{ "size": "rest" }, { "size": "10%" }],
        "windows": { "open": ["sometimes"] },
    })))
    .await;
    assert!(wrong.is_problem(422), "{wrong:?}");
    let fields = wrong.json()["fields"].to_string();
    for field in ["work.jobs[0].params.text", "work.jobs[1].job_type", "waves[0].size", "windows.open[0]"] {
        assert!(fields.contains(field), "{field}: {fields}");
    }
    let nobody = json!({ "target": { "group": "no-such-group" } });
    assert!(send(spec(nobody)).await.is_problem(404));
    assert!(send(spec(json!({ "waves": [{ "size": "many" }] }))).await.is_problem(422));
    // Whoever may only look makes none.
    let body = json!({ "title": "x", "spec": spec(json!({})) });
    let viewer = site.server.request(Some(Role::Viewer), Method::POST, "/api/v1/rollouts").json(&body);
    assert!(answer(viewer).await.unwrap().is_problem(403));
    // A rollout that was not started does nothing, and cannot be resumed.
    let made = site.post("rollouts", &body).await.ok().unwrap();
    let path = format!("rollouts/{}/resume", made["id"]);
    assert!(site.post(&path, &json!({})).await.is_problem(409));
    assert_eq!(site.show(made["id"].as_i64().unwrap()).await["doing"]["kind"], "planned");
    site.server.stop().await.unwrap();
}

pub(super) async fn a_pause_takes_back_what_nobody_has_begun(engine: Engine) {
    let mut site = Site::start(engine, 6).await;
    let id = site.begin(&spec(json!({ "waves": [{ "size": "rest" }] }))).await;
    site.until(id, "all have jobs", |view| count(view, "queued") == 6).await;
    let first = site.clients[..2].to_vec();
    assert_eq!(site.claim(&first).await, 2);
    site.post(&format!("rollouts/{id}/pause"), &json!({ "reason": "the mirror is slow" }))
        .await
        .ok()
        .unwrap();
    let view = site.until(id, "four wait again", |view| count(view, "waiting") == 4).await;
    assert_eq!((&view["reason"], count(&view, "running")), (&json!("admin: the mirror is slow"), 2));
    assert_eq!(site.work(End::Well).await, 0, "what was taken back is not there any more");
    let view = site.until(id, "what ran has ended", |view| count(view, "succeeded") == 2).await;
    assert_eq!(view["state"], "paused");
    site.post(&format!("rollouts/{id}/resume"), &json!({})).await.ok().unwrap();
    site.until(id, "the four have jobs again", |view| count(view, "queued") == 4).await;
    site.work(End::Well).await;
    site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(site.count(&[JobState::Succeeded]).await, 6);
    site.server.stop().await.unwrap();
}

pub(super) async fn a_cancelled_rollout_leaves_nobody_without_a_state(engine: Engine) {
    let mut site = Site::start(engine, 6).await;
    let id = site.begin(&spec(json!({ "waves": [{ "size": "3" }, { "size": "rest" }] }))).await;
    site.until(id, "three have jobs", |view| count(view, "queued") == 3).await;
    let all = site.clients.clone();
    for client in &all {
        if site.claim(&[*client]).await == 1 {
            break;
        }
    }
    site.post(&format!("rollouts/{id}/cancel"), &json!({})).await.ok().unwrap();
    site.until(id, "five are cancelled", |view| count(view, "cancelled") == 5).await;
    site.end(&all, End::Well).await;
    let view = site.until(id, "one has ended", |view| count(view, "succeeded") == 1).await;
    assert_eq!((&view["state"], count(&view, "waiting")), (&json!("cancelled"), 0));
    assert!(site.post(&format!("rollouts/{id}/resume"), &json!({})).await.is_problem(409));
    assert!(site.post(&format!("rollouts/{id}/retry"), &json!({})).await.is_problem(409));
    site.server.stop().await.unwrap();
}

pub(super) async fn a_start_that_needs_a_second_person_waits_for_one(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let order = json!({ "title": "x", "spec": spec(json!({ "approve_start": true })) });
    let made = site.post("rollouts", &order).await.ok().unwrap();
    let id = made["id"].as_i64().unwrap();
    assert_eq!(made["preview"]["needs_approval"], true);
    let asked = site.post(&format!("rollouts/{id}/start"), &json!({})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let approval = asked.json()["fields"][0]["message"].as_str().unwrap().to_owned();
    site.look().await;
    assert_eq!(site.show(id).await["state"], "planned");
    // Whoever asks cannot approve.
    let path = format!("/api/v1/approvals/{approval}/approve");
    let own = site.server.request(Some(Role::Admin), Method::POST, &path);
    assert!(answer(own).await.unwrap().is_problem(403));
    let ctx = &site.server.ctx;
    let mut tx = ctx.db.write().await.unwrap();
    let bob = people::create_token(&mut tx, "bob's", Role::Operator, None, "bob", ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    let other = site.server.request(None, Method::POST, &path).bearer_auth(&bob.secret);
    answer(other).await.unwrap().ok().unwrap();
    let view = site.until(id, "it runs", |view| count(view, "queued") == 1).await;
    assert!(view["started_by"].as_str().unwrap().contains("approved by"), "{view:#}");
    site.server.stop().await.unwrap();
}

pub(super) async fn several_jobs_run_one_after_the_other(engine: Engine) {
    let mut site = Site::start(engine, 2).await;
    let job = |text: &str| json!({ "job_type": "script", "params": { "text": text } });
    let work = json!({ "kind": "jobs", "jobs": [job("first"), job("second")] });
    let id = site.begin(&spec(json!({ "work": work, "waves": [{ "size": "rest" }] }))).await;
    site.until(id, "both have jobs", |view| count(view, "queued") == 2).await;
    assert_eq!(site.work(End::Well).await, 2);
    site.until(id, "both are between two jobs", |view| count(view, "running") == 2).await;
    let (well, badly) = (site.clients[..1].to_vec(), site.clients[1..].to_vec());
    assert_eq!(site.claim(&site.clients.clone()).await, 2);
    site.end(&well, End::Well).await;
    site.end(&badly, End::Badly).await;
    let view = site.until(id, "it halts", is_in("halted")).await;
    assert_eq!((count(&view, "succeeded"), count(&view, "failed")), (1, 1));
    let jobs = site.jobs(site.clients[1]).await;
    assert_eq!(view["causes"][0]["clients"][0]["job"], json!(jobs[1].id), "the job that failed tells most");
    // Whoever tries again does all of it again.
    site.post(&format!("rollouts/{id}/retry"), &json!({})).await.ok().unwrap();
    for _ in 0..2 {
        site.until(id, "it has work", |view| count(view, "queued") + count(view, "running") == 1).await;
        site.work(End::Well).await;
    }
    site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(site.jobs(site.clients[1]).await.len(), 4);
    site.server.stop().await.unwrap();
}

pub(super) async fn a_client_that_makes_no_sense_is_left_out_with_the_reason(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let mut tx = site.server.ctx.db.write().await.unwrap();
    clients::set_stage(&mut tx, site.clients[0], Stage::Retired).await.unwrap();
    clients::set_stage(&mut tx, site.clients[1], Stage::Registered).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = spec(
        json!({ "waves": [{ "size": "rest" }], "target": { "clients": ["pc-000", "pc-001", "pc-002"] } }),
    );
    let id = site.begin(&wanted).await;
    let view = site.until(id, "one has a job", |view| count(view, "queued") == 1).await;
    assert_eq!(count(&view, "skipped"), 2);
    let path = format!("/api/v1/rollouts/{id}/clients?state=skipped");
    let left = site.server.get(&path).await.unwrap().ok().unwrap();
    let reasons: Vec<_> =
        left["items"].as_array().unwrap().iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons, ["retired", "never-installed"]);
    site.work(End::Well).await;
    site.until(id, "it finishes", is_in("finished")).await;
    site.server.stop().await.unwrap();
}

pub(super) async fn latecomers_get_a_wave_of_their_own(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let target = json!({ "where": "name:pc-*", "latecomers": "new-wave" });
    let id = site.begin(&spec(json!({ "waves": [{ "size": "rest" }], "target": target }))).await;
    site.until(id, "three have jobs", |view| count(view, "queued") == 3).await;
    site.add().await;
    site.advance(31).await;
    let view = site.until(id, "one has come late", |view| view["waves"].as_array().unwrap().len() == 2).await;
    assert_eq!(view["waves"][1]["counts"]["waiting"], 1, "{view:#}");
    site.work(End::Well).await;
    site.until(id, "it has its turn", |view| count(view, "queued") == 1).await;
    site.work(End::Well).await;
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 4);
    site.server.stop().await.unwrap();
}
