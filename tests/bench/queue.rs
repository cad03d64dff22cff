//! The queue over real HTTPS with real certificates: polls with nothing to do, and lease-run-report cycles; beside them the claim
//! statement alone, on the same database with the same rows.
//!
//! Agents are the real agent's connections, without machines. Server and agents share the processors, so the figures are for both.

mod bare;
pub(crate) mod fleet;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::server::{Engine, TestServer};
use tokio::task::JoinSet;

use crate::{
    say,
    table::{Line, at, count, median},
};
use fleet::{Agent, enrol};
pub(crate) use fleet::{addresses, token};

/// Agents that ask at the same time.
const AGENTS: usize = 32;
/// Jobs of an agent in a round.
const JOBS: usize = 10;
const POLLING: Duration = Duration::from_secs(3);

/// How often something could be done in a second, and how long it took each time (milliseconds).
#[derive(Default)]
struct Pace {
    per_second: Vec<f64>,
    took_ms: Vec<f64>,
}

impl Pace {
    fn add(&mut self, took_ms: Vec<f64>, all: Duration) {
        self.per_second.push(count(took_ms.len()) / all.as_secs_f64());
        self.took_ms.extend(took_ms);
    }

    fn shown(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            median(&self.per_second),
            median(&self.took_ms),
            at(&self.took_ms, 0.99)
        )
    }

    fn beside(&self, other: &Self) -> f64 {
        median(&self.per_second) / median(&other.per_second)
    }
}

/// Measures on both databases.
pub(crate) async fn measure(rounds: usize) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (engine, name) in [(Engine::Sqlite, "SQLite"), (Engine::Postgres, "PostgreSQL")] {
        say(&format!("queue on {name}: {AGENTS} agents, {rounds} rounds"));
        lines.extend(on(engine, name, rounds).await.with_context(|| format!("on {name}"))?);
    }
    Ok(lines)
}

async fn on(engine: Engine, name: &str, rounds: usize) -> Result<Vec<Line>> {
    let server = TestServer::start(engine).await?;
    let agents = enrol(&server, AGENTS).await?;
    let (mut polls, mut cycles, mut idle, mut claims) =
        (Pace::default(), Pace::default(), Pace::default(), Pace::default());
    // The first round warms connections, caches and prepared statements up, and is not counted.
    for round in 0..=rounds {
        if round == 1 {
            (polls, cycles, idle, claims) = Default::default();
        }
        poll(&agents, &mut polls).await?;
        bare::claim_nothing(&server.ctx, &agents, &mut idle).await?;
        fleet::order(&server.ctx, &agents, JOBS).await?;
        bare::claim(&server.ctx, &agents, &mut claims).await?;
        run_jobs(&agents, &mut cycles).await?;
    }
    server.stop().await?;
    Ok(vec![
        Line::new(format!("{name}: polls with nothing to do"), polls.shown())
            .beside(format!("bare claim that finds nothing: {}", idle.shown()), polls.beside(&idle)),
        Line::new(format!("{name}: lease-run-report cycles"), cycles.shown())
            .beside(format!("bare claim: {}", claims.shown()), cycles.beside(&claims)),
    ])
}

async fn poll(agents: &[Agent], pace: &mut Pace) -> Result<()> {
    let begun = Instant::now();
    let took = each(agents, move |agent| async move {
        let mut took = Vec::new();
        while begun.elapsed() < POLLING {
            let asked = Instant::now();
            agent.poll_for_nothing().await?;
            took.push(ms(asked));
        }
        Ok(took)
    });
    let took = took.await?;
    pace.add(took, begun.elapsed());
    Ok(())
}

async fn run_jobs(agents: &[Agent], pace: &mut Pace) -> Result<()> {
    let begun = Instant::now();
    let took = each(agents, |agent| async move {
        let mut took = Vec::new();
        for _ in 0..JOBS {
            let asked = Instant::now();
            agent.run_a_job().await?;
            took.push(ms(asked));
        }
        Ok(took)
    });
    let took = took.await?;
    pace.add(took, begun.elapsed());
    Ok(())
}

/// Lets all agents work at the same time, each in a task of its own; gives all that they measured.
async fn each<W>(agents: &[Agent], work: impl Fn(Agent) -> W) -> Result<Vec<f64>>
where
    W: Future<Output = Result<Vec<f64>>> + Send + 'static,
{
    let mut working: JoinSet<Result<Vec<f64>>> = agents.iter().map(|agent| work(agent.clone())).collect();
    let mut took = Vec::new();
    while let Some(done) = working.join_next().await {
        took.extend(done.context("an agent broke down")??);
    }
    Ok(took)
}

/// Milliseconds since then.
fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
