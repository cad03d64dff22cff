//! What every installation on a real machine has in common: discovered, adopted, installed, managed.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::site::{CONSOLE, Site};

/// The jobs of an installation, in order, and what they are for a person.
pub const CHAIN: [(&str, &str); 6] = [
    ("storage", "The agent partitions and formats"),
    ("base-system", "It unpacks the base system"),
    ("configure", "It configures the system"),
    ("boot-loader", "It installs the boot loader"),
    ("agent", "It installs itself"),
    ("reboot", "It restarts the machine"),
];

/// No job of a story lasts longer, not even debootstrap on a busy machine.
const LONGEST_JOB: Duration = minutes(45);

/// A machine that becomes a client.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Hardware address of its card.
    pub mac: String,
    /// Its host name as a client.
    pub name: String,
    /// What is installed.
    pub distribution: String,
    /// `image` or `debootstrap`.
    pub base: String,
}

impl Newcomer {
    /// One that is installed by image.
    pub fn new(mac: &str, name: &str, distribution: &str) -> Self {
        Self {
            mac: mac.to_owned(),
            name: name.to_owned(),
            distribution: distribution.to_owned(),
            base: "image".to_owned(),
        }
    }

    /// Its name until it is adopted.
    pub fn first_name(&self) -> String {
        format!("new-{}", self.mac.replace(':', ""))
    }

    /// Waits until the machine has announced itself; gives the fingerprint of its key.
    ///
    /// # Errors
    /// It has not within five minutes.
    pub async fn is_discovered(&self, site: &Site) -> Result<String> {
        let announced = |client: &Value| client["announced_fingerprint"].is_string();
        let client = site.wait_for_client(&self.first_name(), "is discovered", minutes(5), announced).await?;
        Ok(client["announced_fingerprint"].as_str().unwrap_or_default().to_owned())
    }

    /// Adopts it, and queues its installation.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn adopt(&self, site: &Site, fingerprint: &str) -> Result<()> {
        let first_name = self.first_name();
        let words = [
            "client",
            "adopt",
            &first_name,
            "--name",
            &self.name,
            "--fingerprint",
            fingerprint,
            "--group",
            "lab",
            "--distribution",
            &self.distribution,
            "--base",
            &self.base,
            "--layout",
            "whole-disk",
            "--user",
            "ann",
            "--locale",
            "de_DE.UTF-8",
            "--keyboard",
            "de",
            "--timezone",
            "Europe/Berlin",
            "--serial-console",
            CONSOLE,
        ];
        site.lotse(&words).await?;
        self.install(site).await
    }

    /// Queues its installation, once more if it was installed before.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn install(&self, site: &Site) -> Result<()> {
        site.lotse(&["client", "install", &self.name, "--yes"]).await.map(drop)
    }

    /// Waits until its newest job of this type has succeeded.
    ///
    /// # Errors
    /// It fails; the error says why.
    pub async fn job_succeeds(&self, site: &Site, job_type: &str) -> Result<()> {
        let id = self.newest_job(site, job_type).await?.to_string();
        match tokio::time::timeout(LONGEST_JOB, site.lotse(&["job", "watch", &id])).await {
            Ok(ended) => ended.map(drop),
            Err(_) => bail!(
                "waiting for job {id} ({job_type}) of {}: not within {LONGEST_JOB:?}\n{}",
                self.name,
                site.lotse(&["client", "show", &self.name]).await?
            ),
        }
    }

    /// Number of its newest job of a type.
    ///
    /// # Errors
    /// There is none.
    pub async fn newest_job(&self, site: &Site, job_type: &str) -> Result<i64> {
        let jobs = site.json(&["job", "list", "--client", &self.name]).await?;
        let job = jobs.as_array().into_iter().flatten().find(|job| job["job_type"] == job_type);
        job.and_then(|job| job["id"].as_i64())
            .with_context(|| format!("finding the job {job_type} of {}", self.name))
    }

    /// Waits until the whole chain has succeeded and the installed system has reported.
    ///
    /// # Errors
    /// Something of it fails.
    pub async fn becomes_installed(&self, site: &Site) -> Result<()> {
        for (job_type, _) in CHAIN {
            self.job_succeeds(site, job_type).await?;
        }
        self.reports(site).await
    }

    /// Waits until the agent reports from the installed system.
    ///
    /// # Errors
    /// It does not within ten minutes.
    pub async fn reports(&self, site: &Site) -> Result<()> {
        let reports = |client: &Value| client["stage"] == "installed" && client["realm"] == "system";
        site.wait_for_client(&self.name, "is installed", minutes(10), reports).await.map(drop)
    }

    /// Installs a package on it, and reads in the output that it was.
    ///
    /// # Errors
    /// It was not.
    pub async fn takes_a_package(&self, site: &Site) -> Result<()> {
        let output = site.lotse(&["package", "install", &self.name, "hello", "--watch"]).await?;
        ensure!(
            output.contains("Setting up hello"),
            "the output does not show that hello was set up: {output}"
        );
        Ok(())
    }

    /// What its agent measured last.
    ///
    /// # Errors
    /// Nothing was measured.
    pub async fn facts(&self, site: &Site) -> Result<Value> {
        let text = site.lotse(&["client", "show", &self.name, "--facts"]).await?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// So many minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
