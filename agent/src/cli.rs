//! The command line of `lotse-agent`.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use wire::{Sha256, enrol::Realm};

use crate::{
    config::{Addresses, Config, SYSTEM_STATE_DIR},
    facts,
    host::{Host, real::RealHost},
    server::https::Https,
    session::{self, Console, Ended, Session},
    upgrade::supervisor,
};

/// The Lotse agent: carries out what the server has planned for this machine.
#[derive(Debug, Parser)]
#[command(name = "lotse-agent", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Runs in the RAM system: takes the server from the kernel command line.
    Installer {
        /// Words to add to the kernel command line.
        #[arg(long, env = "LOTSE_CMDLINE", default_value = "", hide_env_values = true)]
        words: String,
    },
    /// Runs on an installed system, as a service.
    Run,
    /// Makes this installed system known to a server; copy the whole command from the server.
    Enrol {
        /// The server's address, such as `https://server:8443`.
        #[arg(long)]
        server: String,
        /// The server's plain HTTP address, such as `http://server:8080`.
        #[arg(long)]
        boot: String,
        /// SHA-256 fingerprint of the server's CA.
        #[arg(long)]
        ca: Sha256,
        /// One-time token; without it an admin has to adopt this machine.
        #[arg(long, env = "LOTSE_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Measures this machine and prints the result as JSON.
    Facts,
    /// Carries an upgrade of the agent to its end; the agent starts it by itself.
    #[command(hide = true)]
    Supervise,
}

/// Does what the command line says, until it is done or `stop` fires.
pub async fn run(arguments: Arguments, stop: &CancellationToken) -> anyhow::Result<()> {
    let host: Arc<dyn Host> = Arc::new(RealHost);
    match arguments.command {
        Subcommands::Installer { words } => {
            let line = host.read(Path::new("/proc/cmdline")).context("reading the kernel command line")?;
            let line = format!("{} {words}", String::from_utf8_lossy(&line).trim());
            let config = Config::from_command_line(&line).inspect_err(|error| print(&error.to_string()))?;
            print(&format!("Lotse agent {}, server {}", env!("CARGO_PKG_VERSION"), config.addresses.server));
            serve(session(config, host, Arc::new(print)), stop).await
        }
        Subcommands::Run => {
            let config = Config::read(host.as_ref())?;
            let console: Console = Arc::new(|line: &str| tracing::info!("{line}"));
            serve(session(config, host, console), stop).await
        }
        Subcommands::Enrol { server, boot, ca, token } => {
            let addresses = Addresses { server, agents: String::new(), boot, ca };
            enrol(Config::system(addresses, token), host, stop).await
        }
        Subcommands::Facts => {
            let facts = facts::gather(host.as_ref(), Realm::System).await;
            print(&serde_json::to_string_pretty(&facts).context("writing the facts as JSON")?);
            Ok(())
        }
        Subcommands::Supervise => {
            // Whoever boots the machine and the agent itself may start one at the same moment; the kernel lets one of them work.
            let path = Path::new(SYSTEM_STATE_DIR).join("supervisor.lock");
            let lock = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    tracing::info!("another supervisor is at work");
                    return Ok(());
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", path.display()));
                }
            }
            supervisor::supervise(host.as_ref(), Path::new(SYSTEM_STATE_DIR), stop)
                .await
                .context("carrying the upgrade of the agent to its end")
        }
    }
}

async fn serve(session: Session, stop: &CancellationToken) -> anyhow::Result<()> {
    if session::run(&session, stop).await? == Ended::Down {
        // An init system is stopping everything; ending earlier would look like a crash.
        stop.cancelled().await;
    }
    Ok(())
}

async fn enrol(config: Config, host: Arc<dyn Host>, stop: &CancellationToken) -> anyhow::Result<()> {
    let session = session(config, host.clone(), Arc::new(print));
    let credentials = session::enrol(&session, stop).await?.context("stopped before the server answered")?;
    let identity = &credentials.identity;
    let addresses = Addresses { agents: identity.agents_url.clone(), ..session.config.addresses };
    addresses.write(host.as_ref(), Path::new("/"))?;
    print("start the agent with: systemctl restart lotse-agent");
    Ok(())
}

fn session(config: Config, host: Arc<dyn Host>, console: Console) -> Session {
    Session { config, host, connect: Arc::new(Https), console }
}

fn print(line: &str) {
    // Nobody may be looking, and then nothing is lost.
    writeln!(std::io::stdout(), "{line}").ok();
}
