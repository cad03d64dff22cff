//! `make bench`: how fast, how small; everything beside something that was measured in the same run. The last thing is one table.
//!
//! Timing never fails the program: it ends with success when everything could be measured.

mod agent;
mod cache;
mod console;
mod desktops;
mod fanout;
mod idle;
mod installation;
mod program;
mod queue;
mod rollouts;
mod systems;
mod table;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Measures, and prints one table with ratios.
#[derive(Parser)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_values_t = [What::All])]
    what: Vec<What>,
    /// How often the queue is measured; the table has medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Clients of the console's database.
    #[arg(long, default_value_t = 50_000)]
    clients: u32,
    /// Simulated agents of the rollout.
    #[arg(long, default_value_t = 5_000)]
    agents: u32,
    /// Desktops at three simulated providers.
    #[arg(long, default_value_t = 1_000)]
    desktops: usize,
    /// Jobs of the console's database.
    #[arg(long, default_value_t = 1_000_000)]
    jobs: u32,
    /// Numbers of idle agents at which the server is watched, rising.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000])]
    idle: Vec<usize>,
    /// How often a machine is installed, and its floor measured; the table has medians.
    #[arg(long, default_value_t = 3)]
    installations: usize,
    /// Seconds for which the idle agent is watched.
    #[arg(long, default_value_t = 180)]
    watch: u64,
    /// The distribution that is installed.
    #[arg(long, default_value = "debian-12")]
    distribution: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    All,
    Queue,
    Fanout,
    Console,
    Rollouts,
    Desktops,
    Systems,
    Agent,
    Idle,
    Cache,
    Installation,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this program reports to people")]
async fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut lines = Vec::new();
    // What runs ends with what is dropped here, so an interrupted benchmark leaves nothing behind.
    let result = tokio::select! {
        result = measure(&arguments, &mut lines) => result,
        stopped = stopped() => stopped.and_then(|()| anyhow::bail!("it was interrupted")),
    };
    match machine() {
        Ok(machine) => println!("\n{machine}\n"),
        Err(error) => println!("\n(the machine cannot be described: {error:#})\n"),
    }
    print!("{}", table::render(&lines));
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: it could not be measured: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments, lines: &mut Vec<table::Line>) -> Result<()> {
    let wants = |what| arguments.what.iter().any(|wanted| *wanted == What::All || *wanted == what);
    if wants(What::Queue) {
        lines.extend(queue::measure(arguments.rounds).await.context("measuring the queue")?);
    }
    if wants(What::Fanout) {
        lines.extend(fanout::measure().await.context("measuring live output")?);
    }
    if wants(What::Console) {
        let measured = console::measure(arguments.clients, arguments.jobs).await;
        lines.extend(measured.context("measuring the console")?);
    }
    if wants(What::Rollouts) {
        lines.extend(rollouts::measure(arguments.agents).await.context("measuring a rollout")?);
    }
    if wants(What::Desktops) {
        lines.extend(desktops::measure(arguments.desktops).await.context("measuring desktops")?);
    }
    if wants(What::Systems) {
        lines.extend(systems::measure().await.context("measuring a rollout to real systems")?);
    }
    if wants(What::Agent) {
        lines.extend(agent::measure(arguments.watch).await.context("measuring the agent")?);
    }
    if wants(What::Idle) {
        lines.extend(idle::measure(&arguments.idle).await.context("measuring idle agents")?);
    }
    if wants(What::Cache) {
        lines.extend(cache::measure().await.context("measuring the package cache")?);
    }
    if wants(What::Installation) {
        let measured = installation::measure(arguments.installations, &arguments.distribution).await;
        lines.extend(measured.context("measuring an installation")?);
    }
    Ok(())
}

/// Waits until somebody wants this program to end.
async fn stopped() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Says what is going on; measuring takes minutes.
#[expect(clippy::print_stdout, reason = "this program reports to people")]
fn say(text: &str) {
    println!("{text}");
}

/// The machine in one line.
fn machine() -> Result<String> {
    let read = |path: &str| fs_err::read_to_string(path);
    let (processors, memory, load) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?, read("/proc/loadavg")?);
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let memory_kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    Ok(format!("{model}, {cores} cores, {} GiB, Linux {}, load {load}", memory_kib >> 20, kernel.trim()))
}
