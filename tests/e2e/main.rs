//! `make e2e`: stories on real machines, one after another. The last line is `N passed, N failed`.
//!
//! Logs of a story are under `target/lotse/e2e/STORY`; they stay there when it failed.

mod agent_upgrade;
mod browser_installation;
mod desktop;
mod integration;
mod rollout;
mod server_package;
mod ssh;
mod stories;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use clap::Parser;
use futures_util::future::BoxFuture;
use harness::site::Programs;

/// Runs stories on real machines.
#[derive(Parser)]
struct Arguments {
    /// `all`, `short`, or names of stories (a part of the name is enough).
    #[arg(default_value = "all")]
    names: Vec<String>,
    /// Only say which there are.
    #[arg(long)]
    list: bool,
}

/// What a story is given: the programs, and a directory of its own.
type Story = fn(Programs, PathBuf) -> BoxFuture<'static, Result<()>>;

/// An installation on either firmware (UEFI over the network, BIOS from the ISO as a cloud desktop), and packages on twenty systems;
/// CI runs these.
const SHORT: [&str; 3] =
    ["uefi_pxe_debian13", "desktop_on_cloudstack", "rollout_of_a_broken_package_halts_by_itself"];

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this program reports to people and CI")]
async fn main() -> std::process::ExitCode {
    // Stories fetch what a server gives over plain HTTP, and `reqwest` wants to know its cryptography even then.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let arguments = Arguments::parse();
    let wanted = |name: &str| {
        arguments.names.iter().any(|word| match word.as_str() {
            "all" => true,
            "short" => SHORT.contains(&name),
            part => name.contains(part),
        })
    };
    let chosen: Vec<(&str, Story)> = stories::ALL.iter().copied().filter(|(name, _)| wanted(name)).collect();
    if arguments.list {
        for (name, _) in &chosen {
            println!("{name}");
        }
        return std::process::ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, story) in chosen {
        let begun = Instant::now();
        println!("{name} ...");
        // Dropped in the middle, a story ends its machines and networks.
        let ended = tokio::select! {
            ended = run(name, story) => ended,
            _ = tokio::signal::ctrl_c() => {
                println!("  interrupted");
                return std::process::ExitCode::FAILURE;
            }
        };
        match ended {
            Ok(()) => {
                passed += 1;
                println!("  ok, {:.0} s", begun.elapsed().as_secs_f64());
            }
            Err(error) => {
                failed += 1;
                println!("  FAILED, {:.0} s: {error:#}", begun.elapsed().as_secs_f64());
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

async fn run(name: &str, story: Story) -> Result<()> {
    let programs = Programs::built()?;
    let directory = programs.images.parent().unwrap_or(Path::new("/tmp")).join("e2e").join(name);
    fs_err::remove_dir_all(&directory).ok();
    let result = story(programs, directory.clone()).await;
    match result {
        Ok(()) => fs_err::remove_dir_all(&directory).map_err(Into::into),
        Err(error) => Err(error.context(format!("logs are in {}", directory.display()))),
    }
}
