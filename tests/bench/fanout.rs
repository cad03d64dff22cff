//! Output that is watched while it comes: many agents report lines, and each page follows one of them over a connection of its own.
//!
//! The delay of a line is the time from when the agent said it until its page has it, so the agent's way of sending lines in batches is in it.
//! Agents, server and pages share the processors.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use harness::server::{Engine, TestServer};
use reqwest::{Certificate, Client};
use server::domain::people::Role;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    queue::fleet::{self, Agent},
    say,
    table::{Line, at, count, median},
};

/// Pages, each following an agent of its own.
const PAGES: usize = 200;
/// Lines that all agents say together in a second.
const LINES_PER_SECOND: usize = 20_000;
/// How often an agent sends what it has to say.
const EVERY: Duration = Duration::from_millis(250);
const FOR: Duration = Duration::from_secs(10);
const AIM_MS: f64 = 1000.0;
/// Stands around the time in a line, in microseconds since the start.
const MARK: char = '@';

/// Measures on both databases.
pub(crate) async fn measure() -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (engine, name) in [(Engine::Sqlite, "SQLite"), (Engine::Postgres, "PostgreSQL")] {
        say(&format!("live output on {name}: {PAGES} pages, {LINES_PER_SECOND} lines a second"));
        lines.push(on(engine, name).await.with_context(|| format!("on {name}"))?);
    }
    Ok(lines)
}

async fn on(engine: Engine, name: &str) -> Result<Line> {
    let server = TestServer::start(engine).await?;
    let agents = fleet::enrol(&server, PAGES).await?;
    fleet::order(&server.ctx, &agents, 1).await?;
    let (begin, begun) = watch::channel(None);
    let (mut working, mut reading) = (JoinSet::new(), JoinSet::new());
    for agent in agents {
        let attempt = agent.begin_a_job().await?;
        let url = format!("{}/api/v1/attempts/{attempt}/output/stream", server.ctx.addresses.https);
        let request = page(&server)?.get(url).bearer_auth(server.token(Role::Viewer));
        let response = request.send().await?.error_for_status()?;
        reading.spawn(read(response, begun.clone()));
        let mut begun = begun.clone();
        working.spawn(async move {
            let since = begun.wait_for(Option::is_some).await?.context("waiting for the beginning")?;
            work(&agent, attempt, since).await
        });
    }
    begin.send(Some(Instant::now()))?;
    let mut said = 0;
    while let Some(lines) = working.join_next().await {
        said += lines.context("an agent broke down")??;
    }
    let took = begun.borrow().map_or(0.0, |since| since.elapsed().as_secs_f64());
    let mut delays = Vec::new();
    while let Some(page) = reading.join_next().await {
        delays.extend(page.context("a page broke down")??);
    }
    ensure!(delays.len() == said, "{said} lines were said, {} reached their page", delays.len());
    server.stop().await?;
    let (p50, p99) = (median(&delays), at(&delays, 0.99));
    let shown = format!("{:.0} lines/s, p50 {p50:.0} ms, p99 {p99:.0} ms, none lost", count(said) / took);
    let kept_up = count(said) / took > 0.9 * count(LINES_PER_SECOND);
    Ok(Line::new(format!("{name}: output on {PAGES} open pages"), shown)
        .beside(format!("asked: {LINES_PER_SECOND} lines/s"), count(said) / took / count(LINES_PER_SECOND))
        .aim("p99 under 1 s at that rate", p99 < AIM_MS && kept_up))
}

/// A browser's connection.
fn page(server: &TestServer) -> Result<Client> {
    let ca = Certificate::from_pem(server.ctx.authority.ca_pem().as_bytes())?;
    Ok(Client::builder().tls_certs_only([ca]).build()?)
}

/// Says its share of the lines; gives how many it said.
async fn work(agent: &Agent, attempt: wire::AttemptId, since: Instant) -> Result<usize> {
    let mut ticks = tokio::time::interval(EVERY);
    let (mut said, mut first) = (0, 2);
    loop {
        ticks.tick().await;
        let elapsed = since.elapsed();
        let due = LINES_PER_SECOND / PAGES * usize::try_from(elapsed.min(FOR).as_millis())? / 1000;
        let text = format!(
            "Unpacking a package that has a name of usual length {MARK}{}{MARK}",
            elapsed.as_micros()
        );
        if due > said {
            first = agent.say(attempt, first, &vec![text; due - said]).await?;
            said = due;
        }
        if elapsed >= FOR {
            agent.end_a_job(attempt, first).await?;
            return Ok(said);
        }
    }
}

/// Reads until the attempt has ended; gives the delay of every line in milliseconds.
async fn read(response: reqwest::Response, begun: watch::Receiver<Option<Instant>>) -> Result<Vec<f64>> {
    let mut stream = response.bytes_stream();
    let (mut rest, mut delays) = (String::new(), Vec::new());
    while let Some(chunk) = stream.next().await {
        rest.push_str(&String::from_utf8_lossy(&chunk?));
        let now = begun.borrow().map_or(0.0, |since| since.elapsed().as_secs_f64() * 1000.0);
        let whole = rest.rfind('\n').map_or(0, |end| end + 1);
        for line in rest[..whole].lines() {
            if let Some(at) = line.split(MARK).nth(1) {
                delays.push(now - at.parse::<f64>()? / 1000.0);
            }
        }
        rest.drain(..whole);
    }
    Ok(delays)
}
