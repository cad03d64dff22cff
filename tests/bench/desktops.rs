//! Desktops at three providers that fail now and then: how many are made a second, what became of the faults, what is left over; and beside
//! it the same providers on a good day. Then how long one desktop takes by stages, by the clock on the wall.
//!
//! The providers are the CloudStack of the tests, over TLS with signatures, in the same process: what is measured is the server and the
//! asking, not a cloud. Their machines only stand in a list.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use harness::{
    cloudstack::{Cloud, Left, Random, keys},
    server::{Engine, TestServer},
};
use server::{
    app::{
        clients::NewClient,
        desktops::{self, NewDesktop},
        passwords::Passwords,
        providers::{self, NewProvider},
    },
    clock::{Clock, SECOND},
    context::Ctx,
    domain::{
        client::ClientConfig,
        desktop::{DesktopState, PartKind, PartState, TrialState},
        desktop_stage::StageWord,
        provider::{PoolMember, ProviderWish},
        reach::Sees,
    },
};

use crate::{
    say,
    table::{Line, count, median},
};

/// Of a thousand calls so many go wrong.
const PER_MILLE: u64 = 30;
/// Desktops whose stages are measured.
const STAGES_OF: usize = 3;

/// Measures with so many desktops.
pub(crate) async fn measure(wanted: usize) -> Result<Vec<Line>> {
    say(&format!("{wanted} desktops at three providers that never fail ..."));
    let good = many(wanted, 0).await.context("on a good day")?;
    say(&format!("{wanted} desktops at three providers, of whose calls {PER_MILLE} of 1000 fail ..."));
    let bad = many(wanted, PER_MILLE).await.context("with faults")?;
    say("how long one desktop takes ...");
    let stages = stages().await.context("by stages")?;
    let mut lines = vec![
        Line::new(
            format!("{wanted} desktops at 3 providers, {PER_MILLE}/1000 calls fail: made a second"),
            rate(&bad),
        )
        .beside(format!("without faults: {}", rate(&good)), bad.a_second() / good.a_second().max(0.001)),
        Line::new("  faults that were handled", bad.faults.to_string()).beside(
            format!("desktops that were given up: {}", bad.failed),
            count(bad.failed) / count(bad.faults.max(1)),
        ),
        Line::new(
            "  left at the providers that nobody knows, or known and not there",
            bad.orphans.to_string(),
        )
        .aim("0", bad.orphans == 0),
    ];
    lines.extend(stages);
    Ok(lines)
}

fn rate(run: &Run) -> String {
    format!("{:.1}/s", run.a_second())
}

/// What came of a run.
struct Run {
    made: usize,
    failed: usize,
    faults: usize,
    orphans: usize,
    seconds: f64,
}

impl Run {
    fn a_second(&self) -> f64 {
        count(self.made) / self.seconds.max(0.001)
    }
}

fn new(name: String) -> NewDesktop {
    let client = NewClient {
        name,
        macs: Vec::new(),
        config: ClientConfig::default(),
        groups: Vec::new(),
        passwords: Passwords::default(),
    };
    let (size, pool) = ("standard".to_owned(), Some("cloud".to_owned()));
    NewDesktop { client, provider: None, pool, size, network: None, selection: None }
}

async fn register(ctx: &Ctx, clouds: &[Cloud]) -> Result<()> {
    let mut members = Vec::new();
    for (at, cloud) in clouds.iter().enumerate() {
        let wish = ProviderWish { timeout_s: 5, ..cloud.wish() };
        let provider = format!("cloud-{at}");
        providers::create(ctx, &NewProvider { name: provider.clone(), wish, keys: keys() }).await?;
        members.push(PoolMember { provider, order: 0, weight: 1 });
    }
    providers::set_pool(ctx, "cloud", &members, None).await?;
    Ok(())
}

async fn many(wanted: usize, per_mille: u64) -> Result<Run> {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(Engine::Sqlite, clock.clone()).await?;
    let ctx = &server.ctx;
    let mut clouds = Vec::new();
    for _ in 0..3 {
        clouds.push(Cloud::start(clock.clone()).await?);
    }
    register(ctx, &clouds).await?;
    for (seed, cloud) in (1..).zip(&clouds) {
        cloud.random(Some(Random { seed, per_mille }).filter(|_| per_mille > 0));
    }
    let begun = Instant::now();
    for at in 0..wanted {
        desktops::create(ctx, &new(format!("desk-{at:04}")), "bench").await?;
    }
    until_nothing_moves(ctx, &clock, DesktopState::Creating).await?;
    let seconds = begun.elapsed().as_secs_f64();
    for cloud in &clouds {
        cloud.random(None);
    }
    // What came too late is found by comparing, once no provider is left alone any more.
    for _ in 0..3 {
        clock.advance(1801);
        desktops::compare(ctx).await?;
        desktops::work(ctx).await?;
    }
    let mut run = Run { made: 0, failed: 0, faults: 0, orphans: 0, seconds };
    let mut known = Left::default();
    let mut tx = ctx.db.read().await?;
    for desktop in desktops::list(&mut tx, &Sees::Everything).await? {
        let record = desktops::get(&mut tx, &desktop.name).await?;
        match desktop.state {
            DesktopState::Ready => run.made += 1,
            _ => run.failed += 1,
        }
        for trial in &record.trials {
            run.faults += usize::try_from(trial.retries).unwrap_or(0);
            run.faults += usize::from(trial.state == TrialState::Failed);
        }
        for part in record.journal.iter().filter(|part| part.state != PartState::Gone) {
            match part.kind {
                PartKind::Vm => (known.machines, known.volumes) = (known.machines + 1, known.volumes + 1),
                PartKind::Address => known.addresses += 1,
                PartKind::Forwarding => known.forwardings += 1,
                PartKind::Firewall => known.firewall += 1,
                PartKind::Egress => known.egress += 1,
            }
        }
    }
    drop(tx);
    ensure!(
        run.made + run.failed == wanted,
        "{} of {wanted} desktops are accounted for",
        run.made + run.failed
    );
    run.orphans = apart(&clouds, known);
    server.stop().await?;
    Ok(run)
}

/// How much there is that nobody knows, and how much that is known is not there.
fn apart(clouds: &[Cloud], known: Left) -> usize {
    let there = clouds.iter().map(Cloud::left);
    let sum =
        |of: fn(&Left) -> usize| there.clone().map(|left| of(&left)).sum::<usize>().abs_diff(of(&known));
    sum(|left| left.machines)
        + sum(|left| left.volumes)
        + sum(|left| left.addresses)
        + sum(|left| left.forwardings)
        + sum(|left| left.firewall)
        + sum(|left| left.egress)
}

/// Works until no desktop is in a state any more; the clock goes on whenever all of them wait.
async fn until_nothing_moves(ctx: &Ctx, clock: &Clock, state: DesktopState) -> Result<()> {
    for _ in 0..100_000 {
        if desktops::work(ctx).await? {
            continue;
        }
        let mut tx = ctx.db.read().await?;
        let all = desktops::list(&mut tx, &Sees::Everything).await?;
        drop(tx);
        if all.iter().all(|desktop| desktop.state != state) {
            return Ok(());
        }
        clock.advance(1);
    }
    anyhow::bail!("desktops are {} for ever", state.as_str())
}

/// One after the other, by the server's own work and the clock on the wall.
async fn stages() -> Result<Vec<Line>> {
    let server = TestServer::start(Engine::Sqlite).await?;
    let ctx = &server.ctx;
    let clouds = [Cloud::start(Clock::system()).await?];
    register(ctx, &clouds).await?;
    let (mut deployed, mut removed) = (Vec::new(), Vec::new());
    for at in 0..STAGES_OF {
        let name = format!("desk-{at}");
        desktops::create(ctx, &new(name.clone()), "bench").await?;
        until(ctx, &name, DesktopState::Ready).await?;
        let mut tx = ctx.db.read().await?;
        let view = desktops::view(ctx, &mut tx, &name).await?;
        drop(tx);
        let stage = view.stages.iter().find(|stage| stage.stage == StageWord::Deployed);
        let times = stage.and_then(|stage| Some((stage.began_at?, stage.ended_at?)));
        let (began, ended) = times.context("nobody says when it was made")?;
        deployed.push(seconds(ended - began));
        let begun = Instant::now();
        desktops::delete(ctx, &name, "bench").await?;
        until(ctx, &name, DesktopState::Deleted).await?;
        removed.push(begun.elapsed().as_secs_f64());
    }
    server.stop().await?;
    let line = |what: &str, times: &[f64]| Line::new(what, format!("{:.1} s", median(times)));
    Ok(vec![
        line("  one desktop: ordered until its machine runs and is reached", &deployed),
        line("  one desktop: deleted until nothing is left", &removed),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a benchmark")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / SECOND as f64
}

async fn until(ctx: &Ctx, name: &str, state: DesktopState) -> Result<()> {
    loop {
        let mut tx = ctx.db.read().await?;
        let found = desktops::get(&mut tx, name).await?.desktop;
        drop(tx);
        if found.state == state {
            return Ok(());
        }
        ensure!(found.state != DesktopState::Failed, "{}", found.reason);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
