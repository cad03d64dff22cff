//! `lotse serve`

use std::{io::IsTerminal, path::PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::output;
use crate::{
    clock::Clock,
    config::{Config, Settings},
    startup::Server,
};

#[derive(clap::Args)]
pub(super) struct Serve {
    /// Configuration file; default is /etc/lotse/lotse.toml when it exists.
    #[arg(long, env = "LOTSE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(serve: Serve) -> anyhow::Result<()> {
    let config = Config::load(serve.config.as_deref(), serve.settings)?;
    let filter = EnvFilter::try_from_env("LOTSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if config.log_json {
        logs.json().init();
    } else {
        logs.init();
    }
    let server = Server::bind(config, Clock::system()).await?;
    let addresses = &server.ctx().addresses;
    output::say(&format!(
        "lotse serves pages and API at {}, agents at {}, boot files at {}",
        addresses.https, addresses.agents, addresses.boot
    ));
    output::say(&format!("CA fingerprint: {}", addresses.ca));
    if let Some(link) = server.first_login() {
        output::say("This is the first run. Log in as admin with this one-time link, valid for 24 hours:");
        output::say(&format!("  lotse login '{link}' --ca-fingerprint {}", addresses.ca));
    }
    let stop = CancellationToken::new();
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopped.cancel();
    });
    server.run(stop).await
}
