//! The command line of `lotse-agent`.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use wire::{Sha256, enrol::Realm, user_data::UserData};

use crate::{
    config::{self, Addresses, Config, SYSTEM_STATE_DIR},
    facts,
    host::{Host, real::RealHost},
    metadata,
    server::{https::Https, plain::Http},
    session::{self, Console, Ended, Session},
    survey,
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
    Enrol(Enrol),
    /// Looks for this machine's server where its cloud keeps user-data, and tells of each place.
    Metadata {
        /// Write what was found to this file, in the words of the kernel command line. It holds the token.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Measures this machine and prints the result as JSON.
    Facts,
    /// Reads how this system is set up and prints the result as JSON; changes nothing.
    Survey,
    /// Carries an upgrade of the agent to its end; the agent starts it by itself.
    #[command(hide = true)]
    Supervise,
}

#[derive(Debug, clap::Args)]
struct Enrol {
    /// The server's address, such as `https://server:8443`.
    #[arg(long, required_unless_present = "from_metadata")]
    server: Option<String>,
    /// The server's plain HTTP address, such as `http://server:8080`.
    #[arg(long, required_unless_present = "from_metadata")]
    boot: Option<String>,
    /// SHA-256 fingerprint of the server's CA.
    #[arg(long, required_unless_present = "from_metadata")]
    ca: Option<Sha256>,
    /// One-time token; without it an admin has to adopt this machine.
    #[arg(long, env = "LOTSE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Take all of it from the user-data of this machine's cloud.
    #[arg(long, conflicts_with_all = ["server", "boot", "ca", "token"])]
    from_metadata: bool,
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
        Subcommands::Enrol(Enrol { server: Some(server), boot: Some(boot), ca: Some(ca), token, .. }) => {
            let addresses = Addresses { server, agents: String::new(), boot, ca };
            enrol(Config::system(addresses, token), host, stop).await
        }
        Subcommands::Enrol(_) => {
            let mut found = from_metadata(host.as_ref(), stop).await?;
            let token = found.token.take();
            enrol(Config::system(found.into(), token), host, stop).await
        }
        Subcommands::Metadata { out } => {
            let found = from_metadata(host.as_ref(), stop).await?;
            print(&format!("the server is {}, its CA {}", found.server, found.ca));
            match out {
                None => Ok(()),
                Some(file) => host
                    .write(&file, config::words(&found).as_bytes(), 0o600)
                    .with_context(|| format!("writing {}", file.display())),
            }
        }
        Subcommands::Facts => {
            let facts = facts::gather(host.as_ref(), Realm::System).await;
            print(&serde_json::to_string_pretty(&facts).context("writing the facts as JSON")?);
            Ok(())
        }
        Subcommands::Survey => {
            let survey = survey::gather(host.as_ref()).await;
            print(&serde_json::to_string_pretty(&survey).context("writing the survey as JSON")?);
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

async fn from_metadata(host: &dyn Host, stop: &CancellationToken) -> anyhow::Result<UserData> {
    let ask = Http::new()?;
    let search = metadata::find(metadata::Machine { host, ask: &ask }, &print, stop).await;
    // Only the server's timeline would miss it.
    if let Err(error) = metadata::keep(host, &search.looked) {
        tracing::warn!(error = &error as &dyn std::error::Error, "keeping where the server was looked for");
    }
    search.found.context("no place has user-data of a Lotse server; see docs/user-data.md")
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
