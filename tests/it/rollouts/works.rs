//! What a rollout gives to clients besides scripts: an installation anew, and work that goes on at a stop only when two people want it.

use harness::server::{Engine, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::people,
    db::clients,
    domain::{client::Stage, people::Role},
};
use wire::{ClientId, enrol::Realm};

use super::site::{End, Site, count, is_in, spec};

async fn stage(site: &Site, client: ClientId) -> Stage {
    let mut tx = site.server.ctx.db.read().await.unwrap();
    clients::stage(&mut tx, client).await.unwrap().unwrap()
}

/// One client whose system was told to restart takes job after job in the installer, and ends the one with this type as the test wants;
/// tells which types it has taken.
async fn installs(site: &mut Site, client: ClientId, bad: &str) -> Vec<String> {
    let one = [client];
    site.boot(Realm::Installer, &one).await;
    let mut taken = Vec::new();
    while site.claim_in(Realm::Installer, &one).await == 1 {
        let jobs = site.jobs(client).await;
        let job = jobs.iter().find(|job| job.state.as_str() == "running").unwrap();
        let how = if job.job_type == bad { End::Badly } else { End::Well };
        taken.push(job.job_type.clone());
        site.end(&one, how).await;
    }
    taken
}

pub(super) async fn an_installation_anew_that_fails_touches_no_second_client(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let wanted = spec(json!({
        "work": { "kind": "reinstall" },
        "waves": [{ "size": "1" }, { "size": "rest" }],
        "target": { "clients": ["pc-000", "pc-001", "pc-002"] },
    }));
    let shown = site.post("rollouts", &json!({ "title": "anew", "spec": wanted, "dry_run": true })).await;
    assert_eq!(shown.ok().unwrap()["preview"]["destructive"], true);
    let id = site.begin(&wanted).await;
    site.until(id, "the first has its jobs", |view| count(view, "queued") == 1).await;
    let first = site.clients[0];
    assert_eq!(stage(&site, first).await, Stage::Installing);
    // The system that runs restarts, and does nothing of the installation.
    assert_eq!(site.claim(&[first]).await, 1);
    let running = site.jobs(first).await.into_iter().find(|job| job.state.as_str() == "running").unwrap();
    assert_eq!(running.job_type, "reboot");
    site.end(&[first], End::Well).await;
    assert_eq!(installs(&mut site, first, "boot-loader").await.last().unwrap(), "boot-loader");
    let view = site.until(id, "it halts", is_in("halted")).await;
    assert_eq!((count(&view, "failed"), count(&view, "waiting")), (1, 2), "{view:#}");
    for other in &site.clients[1..] {
        assert!(site.jobs(*other).await.is_empty());
        assert_eq!(stage(&site, *other).await, Stage::Installed);
    }

    // Again, all of it; then the others have their turn.
    site.post(&format!("rollouts/{id}/retry"), &json!({})).await.ok().unwrap();
    site.until(id, "it has jobs again", |view| count(view, "queued") == 1).await;
    let taken = installs(&mut site, first, "").await;
    assert_eq!(taken.first().map(String::as_str), Some("storage"), "{taken:?}");
    assert_eq!(taken.last().map(String::as_str), Some("reboot"), "{taken:?}");
    site.boot(Realm::System, &[first]).await;
    assert_eq!(stage(&site, first).await, Stage::Installed);
    site.until(id, "the others have theirs", |view| count(view, "queued") == 2).await;
    let others: Vec<_> = site.clients[1..].to_vec();
    for other in others {
        assert_eq!(site.claim(&[other]).await, 1);
        site.end(&[other], End::Well).await;
        installs(&mut site, other, "").await;
        site.boot(Realm::System, &[other]).await;
    }
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 3);
    site.server.stop().await.unwrap();
}

pub(super) async fn an_installation_anew_that_nobody_began_leaves_the_client_as_it_was(engine: Engine) {
    let mut site = Site::start(engine, 1).await;
    let wanted = spec(json!({ "work": { "kind": "reinstall" }, "waves": [{ "size": "rest" }] }));
    let id = site.begin(&wanted).await;
    site.until(id, "it has its jobs", |view| count(view, "queued") == 1).await;
    site.post(&format!("rollouts/{id}/cancel"), &json!({ "reason": "not today" })).await.ok().unwrap();
    site.until(id, "its jobs are taken back", |view| count(view, "cancelled") == 1).await;
    assert!(site.jobs(site.clients[0]).await.iter().all(|job| job.state.is_final()));
    assert_eq!(stage(&site, site.clients[0]).await, Stage::Installed);
    site.server.stop().await.unwrap();
}

pub(super) async fn a_stop_that_needs_a_second_person_holds_until_one_agrees(engine: Engine) {
    let mut site = Site::start(engine, 4).await;
    let wanted = spec(json!({
        "waves": [{ "size": "1" }, { "size": "rest", "pause": true }],
        "approve_pauses": true,
    }));
    // The start needs nobody: only the stop does.
    let id = site.begin(&wanted).await;
    site.until(id, "one has its job", |view| count(view, "queued") == 1).await;
    site.work(End::Well).await;
    let view = site.until(id, "it stops", is_in("paused")).await;
    assert_eq!(view["reason"], "wave 2 waits for somebody to resume the rollout");
    let resume = format!("rollouts/{id}/resume");
    let asked = site.post(&resume, &json!({})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let approval = asked.json()["fields"][0]["message"].as_str().unwrap().to_owned();
    site.look().await;
    let view = site.show(id).await;
    assert_eq!((&view["state"], count(&view, "waiting")), (&json!("paused"), 3));
    // Whoever asked is not the second person.
    let path = format!("/api/v1/approvals/{approval}/approve");
    let own = site.server.request(Some(Role::Admin), Method::POST, &path);
    assert!(answer(own).await.unwrap().is_problem(403));
    let ctx = &site.server.ctx;
    let mut tx = ctx.db.write().await.unwrap();
    let bob = people::create_token(&mut tx, "bob's", Role::Operator, None, "bob", ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    let other = site.server.request(None, Method::POST, &path).bearer_auth(&bob.secret);
    answer(other).await.unwrap().ok().unwrap();
    site.until(id, "the others have theirs", |view| count(view, "queued") == 3).await;
    // A pause that somebody wants is no stop of the plan: whoever may operate ends it alone.
    site.post(&format!("rollouts/{id}/pause"), &json!({})).await.ok().unwrap();
    let paused: Value = site.until(id, "it is paused", is_in("paused")).await;
    assert_eq!(paused["why"]["kind"], "person");
    site.post(&resume, &json!({})).await.ok().unwrap();
    site.until(id, "they have theirs again", |view| count(view, "queued") == 3).await;
    site.work(End::Well).await;
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 4);
    site.server.stop().await.unwrap();
}
