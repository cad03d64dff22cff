//! What runs by itself, again and again: idempotent, without input, repeated by period. An error is logged and the next round tries again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{
        Error, approvals, batches, cache, desktops, inventory, job_scripts, package_search, providers,
        report_mails, reports, repositories, rollouts, selections, serial, sessions, settings, source_lists,
    },
    clock::SECOND,
    context::Ctx,
    db::{answers, attempts, boot, clients, events, jobs},
    domain::settings::{RETENTION_BOOT_LINES, RETENTION_EVENTS, RETENTION_OUTPUT_DAYS},
    queue,
};

/// Leases and expiry times are looked at this often; so is the queue, for work that another node or the clock has brought.
const QUEUE_EVERY: Duration = Duration::from_secs(2);
/// Who was heard is written this often.
const PRESENCE_EVERY: Duration = Duration::from_secs(15);

/// Orders for many clients that another server left behind are looked for this often.
const BATCHES_EVERY: Duration = Duration::from_secs(10);

/// Rollouts are looked after this often, ...
const ROLLOUTS_EVERY: Duration = Duration::from_secs(2);
/// ... and not more often than that, however much happens.
const ROLLOUTS_PAUSE: Duration = Duration::from_millis(300);

/// Who belongs to groups that are found by a search is looked up this often for their selections of packages.
const SELECTIONS_EVERY: Duration = Duration::from_secs(10);

/// Desktops that are due are looked for this often.
const DESKTOPS_EVERY: Duration = Duration::from_secs(1);
/// What is at providers is compared with the journal when it is due, which is looked at this often.
const PROVIDERS_EVERY: Duration = Duration::from_secs(10);

/// Whether archives have something new is looked at this often; they are asked seldom.
const INDICES_EVERY: Duration = Duration::from_mins(1);

/// Own job scripts and source lists that another node has changed are read this often.
const SCRIPTS_EVERY: Duration = Duration::from_mins(1);
/// What charts over time show is counted this often.
const MEASURE_EVERY: Duration = Duration::from_hours(1);
/// Timelines and events are cut to their newest lines, and old answers forgotten, this often.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Microseconds of a day.
const DAY: i64 = 86_400 * SECOND;
/// So many lines are kept of machines that nobody knows.
const STRANGERS_LINES: i64 = 50_000;

/// Runs until `stop` fires, and once more for what is unwritten.
pub async fn run(ctx: Ctx, stop: CancellationToken) {
    tokio::join!(look_after(&ctx, &stop), count(&ctx, &stop));
}

/// Counts for charts, beside everything else: with many clients it takes longer than the queue may wait.
async fn count(ctx: &Ctx, stop: &CancellationToken) {
    let mut selections = tokio::time::interval(SELECTIONS_EVERY);
    selections.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut measure = tokio::time::interval(MEASURE_EVERY);
    measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = measure.tick() => {
                logged("counting for reports", reports::measure(ctx).await);
                logged("forgetting old changes of packages", inventory::prune(ctx).await);
                logged("forgetting old sendings of reports", report_mails::prune(ctx).await);
                logged("forgetting old states of own repositories", repositories::prune(ctx).await);
                logged("forgetting journals of old desktops", desktops::prune(ctx).await);
            }
            _ = selections.tick() => {
                logged("giving selections of packages to new members", selections::follow(ctx).await);
            }
            () = stop.cancelled() => break,
        }
    }
}

async fn look_after(ctx: &Ctx, stop: &CancellationToken) {
    let mut queue = tokio::time::interval(QUEUE_EVERY);
    let mut presence = tokio::time::interval(PRESENCE_EVERY);
    queue.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut prune = tokio::time::interval(PRUNE_EVERY);
    prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut scripts = tokio::time::interval(SCRIPTS_EVERY);
    scripts.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A heartbeat comes three times in a lease. Whoever was deaf for so long has not heard agents that were there.
    let deaf_after = Duration::from_secs(u64::from(ctx.config.lease_s) / 3);
    let mut heard_at: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = scripts.tick() => {
                logged("reading own job scripts", job_scripts::reload(ctx).await);
                logged("reading source lists", source_lists::reload(ctx).await);
            }
            _ = prune.tick() => logged("forgetting what is old", self::prune(ctx).await),
            _ = queue.tick() => {
                let was_deaf = heard_at.is_none_or(|at| at.elapsed() > deaf_after);
                let looked = if was_deaf { self::queue_after_silence(ctx).await } else { self::queue(ctx).await };
                if looked.is_ok() {
                    heard_at = Some(Instant::now());
                }
                logged("looking after the queue", looked);
                logged("looking after the package cache", cache::look_after(ctx).await);
                logged("ending requests that nobody approved in time", approvals::expire(ctx).await);
            }
            _ = presence.tick() => logged("writing who was heard", self::presence(ctx).await),
            () = stop.cancelled() => break,
        }
    }
    logged("writing who was heard", self::presence(ctx).await);
}

/// Reads what archives offer until `stop` fires: when somebody searches where nobody has before, and now and then.
pub async fn indices(ctx: Ctx, stop: CancellationToken) {
    let mut now_and_then = tokio::time::interval(INDICES_EVERY);
    now_and_then.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ctx.presence.indices().notified() => {}
            _ = now_and_then.tick() => {}
            () = stop.cancelled() => break,
        }
        tokio::select! {
            // What is half written does not count, and goes later.
            () = stop.cancelled() => break,
            looked = package_search::look_after(&ctx) => logged("reading what archives offer", looked),
        }
    }
}

/// Carries out orders for many clients until `stop` fires: when one is given, and now and then for those that a server left behind.
pub async fn batches(ctx: Ctx, stop: CancellationToken) {
    let mut left = tokio::time::interval(BATCHES_EVERY);
    left.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ctx.presence.batches().notified() => {}
            _ = left.tick() => {}
            () = stop.cancelled() => break,
        }
        logged("carrying out orders for many clients", batches::work(&ctx).await);
    }
}

/// Looks after rollouts until `stop` fires: now and then, when somebody changed one, and when something happened to a job.
pub async fn rollouts(ctx: Ctx, stop: CancellationToken) {
    let mut now_and_then = tokio::time::interval(ROLLOUTS_EVERY);
    now_and_then.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let events = ctx.presence.events();
    let mut looks = rollouts::Looks::default();
    loop {
        tokio::select! {
            () = ctx.presence.rollouts().notified() => {}
            () = events.notified() => {}
            _ = now_and_then.tick() => {}
            () = stop.cancelled() => break,
        }
        match rollouts::work(&ctx, &mut looks).await {
            Ok(true) => ctx.presence.rollout_came(),
            Ok(false) => {}
            Err(error) => logged("looking after rollouts", Err(error)),
        }
        tokio::select! {
            () = tokio::time::sleep(ROLLOUTS_PAUSE) => {}
            () = stop.cancelled() => break,
        }
    }
}

/// Works on desktops until `stop` fires, and compares what is at providers with what is known here.
pub async fn desktops(ctx: Ctx, stop: CancellationToken) {
    let every = |period: Duration| {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        interval
    };
    let work = async {
        let mut due = every(DESKTOPS_EVERY);
        loop {
            tokio::select! {
                () = ctx.presence.desktops().notified() => {}
                _ = due.tick() => {}
            }
            match desktops::work(&ctx).await {
                // Who was worked on may be due again, and others may have waited.
                Ok(true) => ctx.presence.desktop_came(),
                Ok(false) => {}
                Err(error) => logged("looking for desktops that are due", Err(error)),
            }
        }
    };
    let compare = async {
        let mut due = every(PROVIDERS_EVERY);
        loop {
            due.tick().await;
            logged("comparing providers with the journal", desktops::compare(&ctx).await);
            logged("looking after boot images at providers", providers::keep_images(&ctx).await);
        }
    };
    tokio::select! {
        // Whatever is interrupted is gone on with after the next start.
        () = stop.cancelled() => {}
        () = work => {}
        () = compare => {}
    }
}

fn logged(attempt: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "{attempt}");
    }
}

/// After a time in which this server heard nobody (it was down, its database was away), every agent gets the time of a lease to
/// be heard again.
async fn queue_after_silence(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    attempts::lengthen(&mut tx, ctx.now() + i64::from(ctx.config.lease_s) * SECOND).await?;
    tx.commit().await?;
    queue(ctx).await
}

/// Ends what ran out, and wakes the agents for which work has become due.
///
/// # Errors
/// The database refuses.
pub async fn queue(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    attempts::shorten(&mut tx, now + i64::from(ctx.config.lease_s) * SECOND).await?;
    let touched = queue::reap(&mut tx, now).await?;
    let waiting = jobs::clients_with_work(&mut tx, now).await?;
    tx.commit().await?;
    if !touched.is_empty() {
        ctx.presence.events_came();
    }
    for client in touched.into_iter().chain(waiting) {
        ctx.presence.work_waits_for(client);
    }
    Ok(())
}

async fn presence(ctx: &Ctx) -> Result<(), Error> {
    let unwritten = ctx.presence.take_unwritten();
    if unwritten.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.db.write().await?;
    for (client, seen) in unwritten {
        clients::set_seen(&mut tx, client, &seen.boot_id, seen.realm, &seen.agent_version, seen.at).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let settings = settings::current(&mut tx).await?;
    boot::prune(&mut tx, STRANGERS_LINES, settings.number(&RETENTION_BOOT_LINES)).await?;
    events::prune(&mut tx, settings.number(&RETENTION_EVENTS)).await?;
    answers::prune(&mut tx, ctx.now()).await?;
    tx.commit().await?;
    let before = ctx.now() - settings.number(&RETENTION_OUTPUT_DAYS) * DAY;
    loop {
        // In small pieces: others want to write meanwhile.
        let mut tx = ctx.db.write().await?;
        let removed = attempts::remove_output(&mut tx, before, ctx.now()).await?;
        tx.commit().await?;
        if removed == 0 {
            break;
        }
    }
    sessions::prune(ctx).await?;
    serial::prune(ctx).await?;
    ctx.cache.prune();
    Ok(())
}
