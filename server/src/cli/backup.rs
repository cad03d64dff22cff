//! `lotse backup`: run on the server's own host, by whoever may read its data.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    Output,
    output::{say, table, time, write_json},
};
use crate::{
    backup::{self, Repository},
    clock::Clock,
    config::{Config, Settings},
};

#[derive(Subcommand)]
pub(super) enum BackupCommand {
    /// Make the repository, encrypted with the password of the file
    #[command(
        after_help = "Example:\n  head -c 30 /dev/urandom | base64 > /root/backup.password\n  lotse backup init --repository /mnt/backup --password-file /root/backup.password"
    )]
    Init(Repository),
    /// Save the server as it is, while it works: database, keys, images, packages of own repositories
    #[command(
        after_help = "Example, once a day:\n  lotse backup create --repository s3:https://s3.example/lotse --password-file /root/backup.password"
    )]
    Create {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        server: Server,
    },
    /// List the snapshots
    List(Repository),
    /// Read everything that is saved, and compare it with its hashes
    Check(Repository),
    /// Put a server back, into an empty data directory and an empty database
    #[command(
        after_help = "Example, on a fresh machine:\n  lotse backup restore --repository /mnt/backup --password-file backup.password\n  systemctl start lotse"
    )]
    Restore {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        server: Server,
        /// Name of the snapshot, as `lotse backup list` shows it.
        #[arg(default_value = "latest")]
        snapshot: String,
    },
}

/// Which server.
#[derive(clap::Args)]
pub(super) struct Server {
    /// Configuration file; default is /etc/lotse/lotse.toml when it exists.
    #[arg(long, env = "LOTSE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its data directory, unless the configuration names it.
    #[arg(long, env = "LOTSE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Its database, unless the configuration names it: `sqlite:PATH` or `postgres://…`.
    #[arg(long, env = "LOTSE_DATABASE", value_name = "DATABASE", hide_env_values = true)]
    database: Option<String>,
}

impl Server {
    fn config(self) -> anyhow::Result<Config> {
        let settings = Settings { data: self.data, database: self.database, ..Settings::default() };
        Ok(Config::load(self.config.as_deref(), settings)?)
    }
}

pub(super) async fn run(command: BackupCommand, format: Output) -> anyhow::Result<()> {
    match command {
        BackupCommand::Init(repository) => {
            repository.init().await?;
            say(&format!(
                "The repository {} is made. Keep its password at a second place: without it nobody can read it.",
                repository.repository
            ));
        }
        BackupCommand::Create { repository, server } => {
            let made = Box::pin(backup::create(&server.config()?, &repository, &Clock::system())).await?;
            match format {
                Output::Json => write_json(&made)?,
                Output::Table => say(&format!("The server is saved, as it was at {}.", time(made.made_at))),
            }
        }
        BackupCommand::List(repository) => {
            let snapshots = repository.list().await?;
            match format {
                Output::Json => write_json(&snapshots)?,
                Output::Table if snapshots.is_empty() => {
                    say("Nothing is saved there yet: lotse backup create");
                }
                Output::Table => {
                    let row = |one: backup::Snapshot| vec![one.short_id, one.time, one.hostname];
                    let rows: Vec<_> = snapshots.into_iter().map(row).collect();
                    table(&["SNAPSHOT", "MADE", "ON"], &rows);
                }
            }
        }
        BackupCommand::Check(repository) => {
            repository.check().await?;
            say("Everything that is saved was read, and is as it was saved.");
        }
        BackupCommand::Restore { repository, server, snapshot } => {
            let restored = Box::pin(backup::restore(&server.config()?, &repository, &snapshot)).await?;
            match format {
                Output::Json => write_json(&restored)?,
                Output::Table => {
                    say(&format!("The server is back as it was at {}.", time(restored.description.made_at)));
                    say(&format!("CA fingerprint: {}", restored.ca_fingerprint));
                    say("Start it: its agents go on by themselves.");
                }
            }
        }
    }
    Ok(())
}
