//! A rollout of one job to many simulated agents, and beside it the same jobs queued at once for the whole group: what waves, limits and
//! counting cost. Agents are calls of the queue in the same process, without TLS, so the processor time is that of the server's work.
//!
//! Both run on a new SQLite of their own, in the same run.

use anyhow::{Context, Result, ensure};
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::rollouts::{self, Looks},
    clock::Clock,
    context::Ctx,
    db::clients,
    domain::client::{ClientConfig, Stage},
    queue,
};
use wire::{
    ClientId,
    enrol::Realm,
    event::{Event, EventKind, Outcome},
};

use crate::{program::processor_seconds, say, table::Line};

/// Agents that work at the same time.
const AT_ONCE: usize = 500;

/// Measures with so many agents.
pub(crate) async fn measure(agents: u32) -> Result<Vec<Line>> {
    say(&format!("a rollout to {agents} simulated agents ..."));
    let rolled = rolled_out(agents).await.context("rolling out")?;
    say(&format!("the same {agents} jobs at once ..."));
    let at_once = queued_at_once(agents).await.context("queueing for the group")?;
    let thousands = f64::from(agents) / 1000.0;
    let (rolled, at_once) = (rolled / thousands, at_once / thousands);
    let line = Line::new(
        format!("rollout to {agents} agents: processor seconds for each 1000"),
        format!("{rolled:.2} s"),
    );
    Ok(vec![
        line.beside(format!("the same jobs without a rollout: {at_once:.2} s"), rolled / at_once.max(0.001)),
    ])
}

async fn site(agents: u32) -> Result<(TestServer, Vec<ClientId>)> {
    // A clock that stands still: nobody goes offline while this runs.
    let server = TestServer::start_with(Engine::Sqlite, Clock::fixed(Clock::system().now())).await?;
    server
        .send(Method::POST, "/api/v1/groups", &json!({ "name": "all", "query": "name:pc-*" }))
        .await?
        .ok()?;
    let now = server.ctx.now();
    let mut tx = server.ctx.db.write().await?;
    let mut ids = Vec::new();
    for number in 0..agents {
        let name = format!("pc-{number:05}");
        let id =
            clients::create(&mut tx, &name, Stage::Installed, &ClientConfig::default(), &[], now).await?;
        clients::set_seen(&mut tx, id, "boot", Realm::System, "1", now).await?;
        ids.push(id);
    }
    tx.commit().await?;
    Ok((server, ids))
}

fn job() -> Value {
    json!({ "job_type": "script", "params": { "text": "true" } })
}

async fn rolled_out(agents: u32) -> Result<f64> {
    let (server, ids) = site(agents).await?;
    let spec = json!({
        "work": { "kind": "jobs", "jobs": [job()] },
        "target": { "group": "all" },
        "at_once": AT_ONCE,
    });
    let begun = processor_seconds("self")?;
    let made = server
        .send(Method::POST, "/api/v1/rollouts", &json!({ "title": "bench", "spec": spec }))
        .await?
        .ok()?;
    let id = made["id"].as_i64().context("a rollout without a number")?;
    server.send(Method::POST, &format!("/api/v1/rollouts/{id}/start"), &json!({})).await?.ok()?;
    let mut looks = Looks::default();
    loop {
        while rollouts::work(&server.ctx, &mut looks).await? {}
        let waiting = ids_with_work(&server.ctx).await?;
        for client in &waiting {
            work(&server.ctx, *client).await?;
        }
        if waiting.is_empty() {
            let view = server.get(&format!("/api/v1/rollouts/{id}")).await?.ok()?;
            if view["state"] == "finished" {
                ensure!(view["counts"]["succeeded"] == json!(ids.len()), "somebody is missing: {view}");
                break;
            }
        }
    }
    let took = processor_seconds("self")? - begun;
    server.stop().await?;
    Ok(took)
}

async fn queued_at_once(agents: u32) -> Result<f64> {
    let (server, ids) = site(agents).await?;
    let begun = processor_seconds("self")?;
    server.send(Method::POST, "/api/v1/groups/all/jobs", &job()).await?.ok()?;
    for client in &ids {
        work(&server.ctx, *client).await?;
    }
    let took = processor_seconds("self")? - begun;
    server.stop().await?;
    Ok(took)
}

async fn ids_with_work(ctx: &Ctx) -> Result<Vec<ClientId>> {
    let mut tx = ctx.db.read().await?;
    Ok(server::db::jobs::clients_with_work(&mut tx, ctx.now()).await?)
}

/// An agent takes its job and ends it well.
async fn work(ctx: &Ctx, client: ClientId) -> Result<()> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let found = queue::claim(&mut tx, client, Realm::System, "boot", 600, now).await?;
    tx.commit().await?;
    let Some((_, attempt)) = found else { return Ok(()) };
    let end = EventKind::Finished { outcome: Outcome::Succeeded };
    let mut tx = ctx.db.write().await?;
    queue::report(&mut tx, client, attempt, &[Event { seq: 1, at: now, kind: end }], 600, now).await?;
    tx.commit().await?;
    Ok(())
}
