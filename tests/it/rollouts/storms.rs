//! Everything at once: agents that come and go, leases that run out, restarts, a clock that jumps, several servers.

use futures_util::future::join_all;
use harness::{fleet::dice::Dice, server::Engine};
use serde_json::json;
use server::{
    app::rollouts::{self, Looks},
    domain::job::JobState,
};

use super::site::{End, Site, count, is_in, spec};

const AT_ONCE: usize = 5;

pub(super) async fn nothing_forbidden_happens_whatever_comes(engine: Engine) {
    for seed in 1..=3 {
        storm(engine, seed).await;
    }
}

async fn storm(engine: Engine, seed: u64) {
    let mut dice = Dice::new(seed, "rollout");
    let mut site = Site::start(engine, 16).await;
    let limits = json!({ "max_failed": 16 });
    let id = site
        .begin(&spec(json!({
            "waves": [{ "size": "2", "soak_s": 60 }, { "size": "30%" }, { "size": "rest" }],
            "at_once": AT_ONCE, "limits": limits, "wave_limits": limits,
        })))
        .await;
    for _ in 0..60 {
        let mut below = |count: u64| usize::try_from(dice.between(0, count)).unwrap();
        let client = [site.clients[below(16)]];
        let working = site.working();
        match below(12) {
            0 | 1 => site.look().await,
            2 => {
                site.claim(&client).await;
            }
            3 => {
                site.claim(&site.clients.clone()).await;
            }
            4 => site.end(&client, End::Well).await,
            5 => site.end(&client, End::Badly).await,
            6 => site.end(&working, End::Well).await,
            7 => site.advance(45).await,
            // An agent is lost: its lease runs out.
            8 => {
                site.server.ctx.clock.advance(70);
                site.reap().await;
                site.hear(&site.clients).await;
            }
            // The clock jumps.
            9 => site.server.ctx.clock.advance([-600, 3600][below(2)]),
            // The server ends and starts: it remembers nothing.
            10 => site.looks = Looks::default(),
            _ => site.hear(&site.clients).await,
        }
        let open = site.count(&[JobState::Held, JobState::Queued, JobState::Running]).await;
        assert!(open <= AT_ONCE, "seed {seed}: {open} open jobs");
        for client in &site.clients {
            let jobs = site.jobs(*client).await;
            let ended = jobs.iter().filter(|job| matches!(job.state, JobState::Succeeded | JobState::Failed));
            assert!(ended.count() <= 1, "seed {seed}: {client} had it twice: {jobs:#?}");
        }
    }
    // Everything goes well from now on.
    for _ in 0..200 {
        site.advance(61).await;
        site.reap().await;
        site.look().await;
        let view = site.show(id).await;
        if view["state"] == "finished" {
            let ended = count(&view, "succeeded") + count(&view, "failed");
            assert_eq!((ended, view["counts"]["waiting"].as_i64()), (16, Some(0)), "seed {seed}: {view:#}");
            site.server.stop().await.unwrap();
            return;
        }
        if view["state"] == "halted" {
            site.post(&format!("rollouts/{id}/resume"), &json!({})).await.ok().unwrap();
        }
        site.work(End::Well).await;
        site.end(&site.working(), End::Well).await;
    }
    panic!("seed {seed}: it does not end: {:#}", site.show(id).await);
}

pub(super) async fn servers_that_look_at_the_same_time_order_once(engine: Engine) {
    let mut site = Site::start(engine, 40).await;
    let id = site.begin(&spec(json!({ "waves": [{ "size": "rest" }], "at_once": 25 }))).await;
    for _ in 0..4 {
        let ctx = site.server.ctx.clone();
        let looks = (0..6).map(|_| {
            let ctx = ctx.clone();
            async move {
                let mut looks = Looks::default();
                while rollouts::work(&ctx, &mut looks).await.unwrap() {}
            }
        });
        join_all(looks).await;
        let open = site.count(&[JobState::Queued, JobState::Running]).await;
        assert!(open <= 25, "{open} at once");
        site.work(End::Well).await;
    }
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 40);
    for client in &site.clients {
        assert_eq!(site.jobs(*client).await.len(), 1, "each client has one job");
    }
    site.server.stop().await.unwrap();
}
