//! The claim statement alone: begin, the very text that the server uses, commit. No HTTP, no TLS, no plan, no history.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use server::{
    context::Ctx,
    db::{Tx, jobs::claim_statement},
};
use tokio::task::JoinSet;
use wire::ClientId;

use super::{Agent, Pace, ms};

/// Claims for each agent in a round.
const REPETITIONS: usize = 10;

/// Claims that find nothing, because nothing waits.
pub(super) async fn claim_nothing(ctx: &Ctx, agents: &[Agent], pace: &mut Pace) -> Result<()> {
    let (mut took, mut all) = (Vec::new(), Duration::ZERO);
    for _ in 0..REPETITIONS {
        all += claim_for_all(ctx, agents, 0, &mut took).await?;
    }
    pace.add(took, all);
    Ok(())
}

/// Claims of jobs that wait; they are given back between two rounds, which is not counted.
pub(super) async fn claim(ctx: &Ctx, agents: &[Agent], pace: &mut Pace) -> Result<()> {
    let (mut took, mut all) = (Vec::new(), Duration::ZERO);
    for _ in 0..REPETITIONS {
        all += claim_for_all(ctx, agents, agents.len(), &mut took).await?;
        give_back(ctx).await?;
    }
    pace.add(took, all);
    Ok(())
}

/// One claim for each agent, all at the same time.
async fn claim_for_all(
    ctx: &Ctx,
    agents: &[Agent],
    expected: usize,
    took: &mut Vec<f64>,
) -> Result<Duration> {
    let begun = Instant::now();
    let mut claims: JoinSet<Result<(bool, f64)>> = agents
        .iter()
        .map(|agent| {
            let (ctx, client) = (ctx.clone(), agent.client);
            async move {
                let asked = Instant::now();
                Ok((one(&ctx, client).await?, ms(asked)))
            }
        })
        .collect();
    let mut found = 0;
    while let Some(claim) = claims.join_next().await {
        let (hit, time) = claim.context("a claim broke down")??;
        found += usize::from(hit);
        took.push(time);
    }
    let all = begun.elapsed();
    ensure!(found == expected, "{found} of {} claims found a job, {expected} should", agents.len());
    Ok(all)
}

async fn one(ctx: &Ctx, client: ClientId) -> Result<bool> {
    let mut tx = ctx.db.write().await?;
    let statement = sqlx::AssertSqlSafe(claim_statement(&tx));
    let found = match &mut tx {
        Tx::Sqlite(tx, _) => {
            let query = sqlx::query(statement).bind(client.0).bind("system").bind(ctx.now());
            query.fetch_optional(&mut **tx).await?.is_some()
        }
        Tx::Postgres(tx) => {
            let query = sqlx::query(statement).bind(client.0).bind("system").bind(ctx.now());
            query.fetch_optional(&mut **tx).await?.is_some()
        }
    };
    tx.commit().await?;
    Ok(found)
}

async fn give_back(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.db.write().await?;
    let sql = "UPDATE jobs SET state = 'queued', attempts = 0 WHERE state = 'running'";
    match &mut tx {
        Tx::Sqlite(tx, _) => sqlx::query(sql).execute(&mut **tx).await.map(drop)?,
        Tx::Postgres(tx) => sqlx::query(sql).execute(&mut **tx).await.map(drop)?,
    }
    tx.commit().await?;
    Ok(())
}
