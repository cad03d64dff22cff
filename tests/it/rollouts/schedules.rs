//! Windows, periods and clients that do not come.

use harness::server::Engine;
use serde_json::json;
use server::{app::rollouts::Looks, clock::SECOND, domain::job::JobState};

use super::site::{End, Site, count, is_in, spec};

const HOUR: i64 = 3600;

pub(super) async fn a_window_that_closes_takes_back_what_nobody_has_begun(engine: Engine) {
    let mut site = Site::start(engine, 4).await;
    // It is Saturday, 13:00 in Berlin; in the night the clocks go from 2:00 to 3:00.
    let windows = json!({ "time_zone": "Europe/Berlin", "open": ["sun 01:00-04:00"] });
    let id = site.begin(&spec(json!({ "waves": [{ "size": "rest" }], "windows": windows }))).await;
    site.look().await;
    let view = site.show(id).await;
    assert_eq!((&view["doing"]["kind"], count(&view, "waiting")), (&json!("window"), 4));
    site.advance(12 * HOUR).await;
    site.until(id, "the window is open", |view| count(view, "queued") == 4).await;
    let there = site.clients[..2].to_vec();
    // Two hours of the window, because the clocks skip one.
    site.advance(2 * HOUR - 1).await;
    assert_eq!(site.claim(&there).await, 2, "a moment before it closes");
    site.advance(1).await;
    assert_eq!(
        site.claim(&site.clients.clone()).await,
        0,
        "the queue itself refuses, before anybody has looked"
    );
    site.reap().await;
    let view = site.until(id, "two wait again", |view| count(view, "waiting") == 2).await;
    assert_eq!((count(&view, "running"), &view["state"]), (2, &json!("running")));
    site.hear(&site.clients).await;
    site.end(&site.clients.clone(), End::Well).await;
    site.until(id, "what had begun has ended", |view| count(view, "succeeded") == 2).await;
    // The next Sunday.
    let view = site.until(id, "it waits for its window", |view| view["doing"]["kind"] == "window").await;
    let opens_at = view["doing"]["opens_at"].as_i64().unwrap();
    site.advance((opens_at - site.server.ctx.now()) / SECOND).await;
    site.until(id, "it goes on", |view| count(view, "queued") == 2).await;
    assert_eq!(site.work(End::Well).await, 2);
    site.until(id, "it finishes", is_in("finished")).await;
    site.server.stop().await.unwrap();
}

pub(super) async fn a_recurring_rollout_comes_once_in_each_period(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let windows = json!({ "time_zone": "Europe/Berlin", "open": ["sun 02:00-05:00"] });
    let order = json!({ "name": "security", "spec": spec(json!({
        "windows": windows, "waves": [{ "size": "rest" }], "at_once": 2,
    })) });
    site.post("rollout-schedules", &order).await.ok().unwrap();
    let nothing = json!({ "name": "never", "spec": spec(json!({})) });
    assert!(
        site.post("rollout-schedules", &nothing).await.is_problem(422),
        "one without a window never comes"
    );
    let list =
        async |site: &Site| site.server.get("/api/v1/rollouts").await.unwrap().ok().unwrap()["items"].clone();
    site.look().await;
    assert_eq!(list(&site).await, json!([]));
    // Sunday, 4:00 in Berlin, since the clocks skipped an hour.
    site.advance(14 * HOUR).await;
    site.look().await;
    let found = list(&site).await;
    assert_eq!(found.as_array().unwrap().len(), 1, "{found:#}");
    let id = found[0]["id"].as_i64().unwrap();
    site.until(id, "two have jobs", |view| count(view, "queued") == 2).await;
    assert_eq!(site.work(End::Well).await, 2);
    site.until(id, "the third has one", |view| count(view, "queued") == 1).await;
    // Nobody begins it: the period is over, and it is left out. A restart in between makes no second one, nor does a clock that jumps back.
    site.looks = Looks::default();
    site.look().await;
    site.server.ctx.clock.advance(-1800);
    site.look().await;
    site.advance(1800 + HOUR).await;
    site.reap().await;
    let view = site.until(id, "the period is over", is_in("finished")).await;
    assert_eq!((count(&view, "succeeded"), count(&view, "skipped")), (2, 1), "{view:#}");
    assert_eq!(list(&site).await.as_array().unwrap().len(), 1);
    site.advance(7 * 24 * HOUR - HOUR).await;
    site.look().await;
    assert_eq!(list(&site).await.as_array().unwrap().len(), 2, "the next Sunday it comes again");
    assert_eq!(site.count(&[JobState::Succeeded]).await, 2);
    let schedules = site.server.get("/api/v1/rollout-schedules").await.unwrap().ok().unwrap();
    assert_eq!((&schedules[0]["name"], &schedules[0]["window"]["open"]), (&json!("security"), &json!(true)));
    site.server.stop().await.unwrap();
}

pub(super) async fn a_client_that_stays_offline_is_given_up(engine: Engine) {
    let mut site = Site::start(engine, 3).await;
    let id = site.begin(&spec(json!({ "waves": [{ "size": "rest" }], "expire_after_s": 7200 }))).await;
    site.until(id, "all have jobs", |view| count(view, "queued") == 3).await;
    // One goes offline before it begins: it gives its turn back. Nobody judges that who has not looked for a while.
    let there = site.clients[..2].to_vec();
    for _ in 0..8 {
        site.server.ctx.clock.advance(30);
        site.hear(&there).await;
        site.look().await;
    }
    let view = site.until(id, "one waits again", |view| count(view, "waiting") == 1).await;
    assert_eq!(count(&view, "queued"), 2);
    site.claim(&there).await;
    site.end(&there, End::Well).await;
    // The server was away for a day, and everybody seems to be: nobody is given up for that.
    site.server.ctx.clock.advance(24 * HOUR);
    site.looks = Looks::default();
    site.look().await;
    assert_eq!(count(&site.show(id).await, "offline_expired"), 0);
    for _ in 0..8 {
        site.server.ctx.clock.advance(30);
        site.hear(&there).await;
        site.look().await;
    }
    let view = site.until(id, "it finishes", is_in("finished")).await;
    assert_eq!((count(&view, "succeeded"), count(&view, "offline_expired")), (2, 1));
    // Tried again when it is back.
    site.hear(&site.clients).await;
    site.post(&format!("rollouts/{id}/retry"), &json!({ "offline": true })).await.ok().unwrap();
    site.until(id, "it has a job", |view| count(view, "queued") == 1).await;
    site.work(End::Well).await;
    let view = site.until(id, "it finishes again", is_in("finished")).await;
    assert_eq!(count(&view, "succeeded"), 3);
    site.server.stop().await.unwrap();
}
