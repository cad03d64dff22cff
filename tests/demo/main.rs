//! `make demo`: a blank machine boots over the network and becomes an installed, managed Debian client; on real parts, in one command.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use harness::{
    lab::{Disk, Firmware, Machine},
    site::{Dhcp, Programs, Site},
    story::{CHAIN, Newcomer},
};

/// Shows the main job: network boot, discovery, adoption, installation, packages.
#[derive(Parser)]
struct Arguments {
    /// Leave server and machine running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Distribution to install.
    #[arg(long, default_value = "debian-12")]
    distribution: String,
    /// Start the machine with UEFI instead of BIOS.
    #[arg(long)]
    uefi: bool,
}

const MAC: &str = "52:54:00:6c:6f:74";
const NAME: &str = "demo-01";

/// Counts and times what the demo shows.
struct Stages {
    begun: Instant,
    passed: u32,
    failed: u32,
}

impl Stages {
    /// Runs one stage and says how long it took.
    #[expect(clippy::print_stdout, reason = "the demo talks to a person")]
    async fn stage<T>(&mut self, what: &str, work: impl Future<Output = Result<T>>) -> Option<T> {
        println!("▸ {what} ...");
        let begun = Instant::now();
        let result = work.await;
        let seconds = begun.elapsed().as_secs_f64();
        match result {
            Ok(value) => {
                self.passed += 1;
                println!("  ✓ {seconds:.1} s");
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                println!("  ✗ {seconds:.1} s: {error:#}");
                None
            }
        }
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the demo talks to a person")]
async fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut stages = Stages { begun: Instant::now(), passed: 0, failed: 0 };
    if let Err(error) = run(&arguments, &mut stages).await {
        stages.failed += 1;
        println!("  ✗ {error:#}");
    }
    let seconds = stages.begun.elapsed().as_secs();
    println!("demo: {} stages passed, {} failed, {seconds} s", stages.passed, stages.failed);
    if stages.failed == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the demo talks to a person")]
async fn run(arguments: &Arguments, stages: &mut Stages) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("lotse-demo-").tempdir()?;
    let directory: PathBuf = scratch.path().to_owned();
    let programs = Programs::built()?;
    let started = Site::start(programs, &directory, Dhcp::Own);
    let Some(site) = stages.stage("Start the server, make its CA, log in as the first admin", started).await
    else {
        return Ok(());
    };
    let base = format!("{}/virtual", arguments.distribution);
    let names = ["installer", "loaders", "agent", &base];
    if stages
        .stage("Build installer, boot loaders and base system (kept between runs)", site.build_images(&names))
        .await
        .is_none()
    {
        return Ok(());
    }
    let firmware = if arguments.uefi { Firmware::Uefi } else { Firmware::Bios };
    let machine = Machine::new(&directory.join("machine"), firmware)?
        .disk(Disk::create(&directory.join("machine/disk.img"), "DEMO-0001", 8)?)
        .card(&site.network, MAC)?
        .limit(Duration::from_hours(2));
    let running = machine.power_on(&site.network).context("switching the machine on")?;
    let story = story(arguments, stages, &site).await;
    if let Err(error) = &story {
        println!("{error:#}\nThe end of the machine's console:\n{}", tail(&running.serial()?, 30));
    }
    println!("\nBoot timeline of {MAC}:");
    for name in [NAME.to_owned(), Newcomer::new(MAC, NAME, "").first_name()] {
        if let Ok(timeline) = site.lotse(&["client", "timeline", &name]).await {
            println!("{timeline}");
        }
    }
    println!("{}", site.lotse(&["info"]).await?);
    if arguments.keep {
        println!("Everything keeps running; Ctrl-C ends it. To look around:");
        println!("  export LOTSE_DATA={} HOME={}", site.data().display(), directory.display());
        println!("  {} client list", Programs::built()?.lotse.display());
        println!(
            "To do it all again in a browser on this computer, open this link; it works once, then you have a password. The browser \
             warns of the certificate, since the server's own CA made it:"
        );
        println!("  {}", site.lotse(&["account", "link", "admin"]).await?.trim());
        tokio::signal::ctrl_c().await?;
    }
    story
}

async fn story(arguments: &Arguments, stages: &mut Stages, site: &Site) -> Result<()> {
    let newcomer = Newcomer::new(MAC, NAME, &arguments.distribution);
    let discovered = newcomer.is_discovered(site);
    let Some(fingerprint) =
        stages.stage("A blank machine boots over the network and announces itself", discovered).await
    else {
        anyhow::bail!("the machine was not discovered");
    };
    let adopted = newcomer.adopt(site, &fingerprint);
    if stages.stage("An admin adopts it, sees the plan and queues the installation", adopted).await.is_none()
    {
        anyhow::bail!("the machine was not adopted");
    }
    for (job_type, what) in CHAIN {
        if stages.stage(what, newcomer.job_succeeds(site, job_type)).await.is_none() {
            anyhow::bail!("the installation stopped");
        }
    }
    if stages
        .stage("The machine boots from its own disk, and its agent reports", newcomer.reports(site))
        .await
        .is_none()
    {
        anyhow::bail!("the installed system did not report");
    }
    stages.stage("A package is installed on it by apt, watched live", newcomer.takes_a_package(site)).await;
    Ok(())
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
