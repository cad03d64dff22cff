//! A real PostgreSQL of the test's own: new cluster in a temporary directory, reached by a socket in it, gone when it is dropped.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use server::db::Location;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::lab::process::{Process, run};

/// A running PostgreSQL.
pub struct Postgres {
    // Ended before its directory goes.
    process: Process,
    directory: TempDir,
}

/// PostgreSQL refuses to run as root; then it runs as this user.
const USER: &str = "nobody";

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// PostgreSQL is not installed (`make setup`), or does not start; the error has its words.
    pub async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("lotse-pg-").tempdir()?;
        let place = directory.path().display().to_string();
        let data = format!("{place}/data");
        let bin = programs()?;
        let is_root = nix::unistd::geteuid().is_root();
        if is_root {
            run(&["chown", USER, &place])?;
        }
        let command = |program: &str, words: &[&str]| {
            let mut argv: Vec<String> = Vec::new();
            if is_root {
                argv.extend(
                    ["setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups"].map(str::to_owned),
                );
            }
            argv.push(bin.join(program).display().to_string());
            argv.extend(words.iter().map(|&word| word.to_owned()));
            argv
        };
        run(&command(
            "initdb",
            &["-D", &data, "-U", "lotse", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"],
        ))?;
        // Durability is the cluster's, not the test's, business: nothing survives the test anyway.
        let words = [
            "-D",
            &data,
            "-k",
            &place,
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=64",
        ];
        let process = Process::start(
            &command("postgres", &words),
            &directory.path().join("log"),
            Duration::from_secs(3600),
        )?;
        let mut postgres = Self { process, directory };
        postgres.wait_until_ready().await?;
        Ok(postgres)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.process.output()?.contains("database system is ready to accept connections") {
            if !self.process.is_running()? || Instant::now() > deadline {
                bail!("PostgreSQL does not start: {}", self.process.output()?);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Where the database is.
    pub fn location(&self) -> Location {
        Location::Postgres(format!(
            "postgres://lotse@localhost/postgres?host={}",
            self.directory.path().display()
        ))
    }
}

/// Debian keeps the programs by version; other systems have them on the path.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin"))).collect())
        .unwrap_or_default();
    found.push("/usr/local/bin".into());
    found.push("/usr/bin".into());
    found.sort();
    let has_both = |path: &&PathBuf| path.join("initdb").is_file() && path.join("postgres").is_file();
    found.iter().rev().find(has_both).cloned().context("finding PostgreSQL: `make setup` installs it")
}
