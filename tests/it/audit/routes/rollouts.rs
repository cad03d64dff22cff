//! Changes of rollouts and of those that come again and again.

use server::{db::rollouts::members, domain::rollout::RolloutClientState};

use super::*;

pub(super) async fn about_rollouts(walk: &mut Walk<'_>) {
    let p = |method, route| (method, route);
    let none = &json!({});
    let job = json!({ "job_type": "script", "params": { "text": "true" } });
    let mut spec = json!({ "work": { "kind": "jobs", "jobs": [job] }, "target": { "clients": ["pc-01"] } });
    let mut numbers = Vec::new();
    for title in ["one", "two"] {
        let order = json!({ "title": title, "spec": spec });
        let new = ("rollout.create", "rollout ", NEW);
        let made = walk.step(p(Method::POST, "/api/v1/rollouts"), &[], &order, new).await;
        numbers.push(made["id"].to_string());
        let change = ("rollout.start", "rollout ", CHANGED);
        let id = &[("id", numbers.last().unwrap().as_str())];
        walk.step(p(Method::POST, "/api/v1/rollouts/{id}/start"), id, none, change).await;
    }
    for (route, action) in [
        ("/api/v1/rollouts/{id}/pause", "rollout.pause"),
        ("/api/v1/rollouts/{id}/resume", "rollout.resume"),
        ("/api/v1/rollouts/{id}/halt", "rollout.halt"),
    ] {
        let change = (action, "rollout ", CHANGED);
        walk.step(p(Method::POST, route), &[("id", &numbers[0])], none, change).await;
    }
    let mut tx = walk.server.ctx.db.write().await.unwrap();
    let failed = members::Become { state: RolloutClientState::Failed, reason: "", cause: "", job: None };
    let (id, client) =
        (numbers[0].parse().unwrap(), client_rows::find_by_name(&mut tx, "pc-01").await.unwrap().unwrap().id);
    members::set(&mut tx, id, client, &failed, 1).await.unwrap();
    tx.commit().await.unwrap();
    let change = ("rollout.retry", "rollout ", CHANGED);
    walk.step(p(Method::POST, "/api/v1/rollouts/{id}/retry"), &[("id", &numbers[0])], none, change).await;
    let change = ("rollout.cancel", "rollout ", CHANGED);
    walk.step(p(Method::POST, "/api/v1/rollouts/{id}/cancel"), &[("id", &numbers[1])], none, change).await;
    spec["windows"] = json!({ "open": ["sun 02:00-02:01"] });
    let order = json!({ "name": "weekly", "spec": spec });
    let object = "rollout schedule weekly";
    let new = ("rollout.schedule", object, NEW);
    walk.step(p(Method::POST, "/api/v1/rollout-schedules"), &[], &order, new).await;
    let (route, weekly) = ("/api/v1/rollout-schedules/{name}", &[("name", "weekly")]);
    let change = ("rollout.schedule-change", object, CHANGED);
    walk.step(
        p(Method::POST, "/api/v1/rollout-schedules/{name}/switch"),
        weekly,
        &json!({ "enabled": false }),
        change,
    )
    .await;
    walk.step(p(Method::DELETE, route), weekly, none, ("rollout.unschedule", object, GONE)).await;
}
