//! Agents with nothing to do, by the ten thousand: what their connections and long polls cost the server in memory and processor time.
//!
//! The server is `lotse serve` as a program of its own, with SQLite. The agents are connections of this process: real TLS with a
//! certificate for each, HTTP/2 as the agent speaks it, polls that wait a minute.

mod agents;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::site::Site;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use self::agents::Identities;
use crate::{
    program::{Program, lotse},
    say,
    table::{Line, count},
};

/// Handshakes at the same time.
const AT_ONCE: usize = 64;
/// What arriving costs is over by then.
const SETTLING: Duration = Duration::from_secs(30);
/// As long as a poll waits, so that each agent asks once.
const WATCHED: Duration = Duration::from_secs(60);
/// What 50 000 agents may cost: MiB of memory, and a part of one processor.
const AIM: (f64, f64) = (4096.0, 0.25);
const AIM_AT: usize = 50_000;
/// Files that the two processes have open beside their connections.
const OTHER_FILES: usize = 4000;

/// What so many agents cost.
struct Cost {
    agents: usize,
    resident_mib: f64,
    processors: f64,
    polls_per_second: f64,
}

/// Measures at each of the numbers, which rise.
pub(crate) async fn measure(numbers: &[usize]) -> Result<Vec<Line>> {
    let most = numbers.last().copied().context("no number of idle agents is given")?;
    ensure!(numbers.is_sorted(), "the numbers of idle agents must rise");
    allow_files(most + OTHER_FILES)?;
    let scratch = tempfile::Builder::new().prefix("lotse-bench-").tempdir()?;
    say(&format!("idle agents: {most} identities"));
    let identities = Identities::prepare(&scratch.path().join("data"), most).await?;
    let (server, addresses) = lotse(scratch.path(), &[]).await?;
    let identities = Arc::new(identities.towards(&addresses.agents)?);
    let mut fleet = Fleet { identities, polls: Arc::default(), polling: JoinSet::new() };
    let mut costs = vec![Cost {
        agents: 0,
        resident_mib: server.resident_mib()?,
        processors: 0.0,
        polls_per_second: 0.0,
    }];
    let mut connected = 0;
    for &number in numbers {
        say(&format!("idle agents: {number} of them arrive"));
        fleet.arrive(connected..number).await?;
        connected = number;
        costs.push(fleet.watched(&server, number).await?);
    }
    Ok(costs.windows(2).flat_map(lines).collect())
}

/// One for each connection, here and in the server, which inherits it (getrlimit(2)).
fn allow_files(most: usize) -> Result<()> {
    let process = std::process::id().to_string();
    let words = ["prlimit", "--pid", &process, &format!("--nofile={most}:{most}")];
    Site::run(&words).context("allowing so many open files; root may").map(drop)
}

struct Fleet {
    identities: Arc<agents::Towards>,
    polls: Arc<AtomicUsize>,
    /// One task for each agent; none of them ends.
    polling: JoinSet<Result<()>>,
}

impl Fleet {
    /// Connects these agents; each goes on to poll.
    async fn arrive(&mut self, numbers: Range<usize>) -> Result<()> {
        let (turns, arrived) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(0)));
        let wanted = u32::try_from(numbers.len())?;
        for number in numbers {
            let (identities, polls) = (Arc::clone(&self.identities), Arc::clone(&self.polls));
            let (turns, arrived) = (Arc::clone(&turns), Arc::clone(&arrived));
            self.polling.spawn(async move {
                let turn = turns.acquire().await?;
                let mut agent =
                    identities.connect(number).await.with_context(|| format!("connecting agent {number}"))?;
                drop(turn);
                arrived.add_permits(1);
                loop {
                    agent.poll().await.with_context(|| format!("agent {number} polls"))?;
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tokio::select! {
            all = arrived.acquire_many(wanted) => all?.forget(),
            ended = self.polling.join_next() => ended.context("there are no agents")???,
        }
        Ok(())
    }

    async fn watched(&mut self, server: &Program, agents: usize) -> Result<Cost> {
        sleep(SETTLING).await;
        let (processor, polls) = (server.processor_seconds()?, self.polls.load(Ordering::Relaxed));
        sleep(WATCHED).await;
        if let Some(ended) = self.polling.try_join_next() {
            ended??;
        }
        let seconds = WATCHED.as_secs_f64();
        Ok(Cost {
            agents,
            resident_mib: server.resident_mib()?,
            processors: (server.processor_seconds()? - processor) / seconds,
            polls_per_second: count(self.polls.load(Ordering::Relaxed) - polls) / seconds,
        })
    }
}

/// What one number costs, and what each agent more than the number before costs.
fn lines(pair: &[Cost]) -> Vec<Line> {
    let [before, cost] = pair else { return Vec::new() };
    let each_kib = (cost.resident_mib - before.resident_mib) * 1024.0 / count(cost.agents - before.agents);
    let memory = Line::new(
        format!("{} idle agents: resident memory of the server", cost.agents),
        format!("{:.0} MiB; each agent beyond {}: {each_kib:.1} KiB", cost.resident_mib, before.agents),
    );
    let processor = Line::new(
        format!("{} idle agents: processors that the server needs", cost.agents),
        format!("{:.3} for {:.0} polls a second", cost.processors, cost.polls_per_second),
    );
    if cost.agents < AIM_AT {
        return vec![memory, processor];
    }
    vec![
        memory
            .beside(format!("{:.0} MiB", AIM.0), cost.resident_mib / AIM.0)
            .aim("under 4 GiB", cost.resident_mib < AIM.0),
        processor
            .beside(format!("{:.2}", AIM.1), cost.processors / AIM.1)
            .aim("under a quarter", cost.processors < AIM.1),
    ]
}
