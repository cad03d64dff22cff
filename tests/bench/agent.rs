//! The agent as a program: the very file that travels to machines, enrolled at a server over HTTPS, waiting in its long poll.
//!
//! It is watched from outside, through `/proc`, and left alone meanwhile.

mod process;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use harness::{
    server::{Engine, TestServer},
    site::Programs,
};
use tokio::time::sleep;

use crate::{
    queue::{addresses, token},
    say,
    table::{Line, count},
};
use process::{Confined, State};

/// An agent that has started has this long until it counts as idle.
const SETTLING: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;

/// Watches an idle agent for so many seconds.
pub(crate) async fn measure(seconds: u64) -> Result<Vec<Line>> {
    let program = Programs::built()?.agent;
    let size = bytes(fs_err::metadata(&program)?.len()) / MIB;
    let server = TestServer::start(Engine::Sqlite).await?;
    let token = token(&server, "idle").await?;
    say(&format!("agent: enrols, settles for {} s, is watched for {seconds} s", SETTLING.as_secs()));
    let mut agent = Confined::start(&program, &addresses(&server.ctx)?, &token)?;
    connected(&server, &mut agent).await?;
    sleep(SETTLING).await;
    let (before, begun) = (agent.state()?, Instant::now());
    sleep(Duration::from_secs(seconds)).await;
    let after = agent.state()?;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    drop(agent);
    server.stop().await?;
    Ok(lines(size, &before, &after, minutes))
}

fn lines(size: f64, before: &State, after: &State, minutes: f64) -> Vec<Line> {
    let resident = bytes(after.resident) / MIB;
    let woken = |of: fn(&State) -> u64| bytes(of(after).saturating_sub(of(before))) / minutes;
    let threads = count(after.threads);
    vec![
        Line::new(
            "agent: resident memory when idle",
            format!(
                "{resident:.1} MiB ({:.1} MiB of it its own, highest {:.1} MiB)",
                bytes(after.private) / MIB,
                bytes(after.highest) / MIB
            ),
        )
        .beside("10 MiB", resident / 10.0)
        .aim("under 10 MiB", resident < 10.0),
        Line::new("agent: size of the program", format!("{size:.1} MiB"))
            .beside("15 MiB", size / 15.0)
            .aim("under 15 MiB", size < 15.0),
        Line::new(
            "agent: wake-ups in a minute when idle",
            format!(
                "{:.1} (and {:.1} times interrupted), {threads} threads",
                woken(|state| state.slept),
                woken(|state| state.interrupted)
            ),
        ),
    ]
}

/// Waits until the agent has polled.
async fn connected(server: &TestServer, agent: &mut Confined) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while server.ctx.presence.take_unwritten().is_empty() {
        if !agent.is_running()? || Instant::now() > deadline {
            bail!("the agent does not come to its server: {}", agent.output()?);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes and counts of a small program")]
fn bytes(count: u64) -> f64 {
    count as f64
}
