//! A whole site for tests and the demo: a server, its images, a network of its own with DHCP, and machines on it.
//!
//! Everything is done as an admin would: through the command line, against the server's API. Dropping a [`Site`] ends all of it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::lab::{
    Dnsmasq, ForeignDhcp, Network,
    process::{Process, run, run_given, run_with},
};

/// A site lasts no longer than this.
const LIMIT: Duration = Duration::from_hours(3);
/// Serial line of every machine in the lab.
pub const CONSOLE: &str = "ttyS0,115200";

/// How the site's machines get their addresses and what to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dhcp {
    /// Our dnsmasq gives both.
    Own,
    /// Our dnsmasq gives both; UEFI machines start signed shim and GRUB.
    SecureBoot,
    /// Somebody else's server gives addresses, ours only says what to boot.
    Proxy,
    /// Somebody else's server gives addresses; nobody says what to boot.
    ForeignOnly,
    /// Nobody asks for an address.
    None,
}

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `lotse`
    pub lotse: PathBuf,
    /// `lotse-agent`, for old glibc.
    pub agent: PathBuf,
    /// The agent's Debian package.
    pub agent_package: PathBuf,
    /// Where built images are kept between runs.
    pub images: PathBuf,
}

impl Programs {
    /// Where `make` puts them below the target directory that this program was built in.
    ///
    /// # Errors
    /// The own path cannot be found out.
    pub fn built() -> Result<Self> {
        let own = std::env::current_exe()?;
        let target = own
            .ancestors()
            .find(|path| path.join("CACHEDIR.TAG").is_file())
            .context("finding the target directory")?;
        let profile = own.parent().context("finding the own directory")?;
        let programs = Self {
            lotse: profile.join("lotse"),
            agent: target.join("lotse/lotse-agent"),
            agent_package: target.join("lotse/lotse-agent.deb"),
            images: target.join("lotse/images"),
        };
        for file in [&programs.lotse, &programs.agent, &programs.agent_package] {
            if !file.is_file() {
                bail!("{} is missing: `make programs` builds it", file.display());
            }
        }
        Ok(programs)
    }
}

/// A running site.
pub struct Site {
    programs: Programs,
    /// Where everything of the site is kept.
    pub directory: PathBuf,
    /// The network of its machines.
    pub network: Network,
    token: String,
    words: Vec<String>,
    server: Option<Process>,
    dhcp: (Option<Dnsmasq>, Option<ForeignDhcp>),
}

impl Site {
    /// Starts server and DHCP in a new directory, and logs in with the link of the first run.
    ///
    /// # Errors
    /// Something of it does not start; the error shows what it said.
    pub async fn start(programs: Programs, directory: &Path, dhcp: Dhcp) -> Result<Self> {
        Self::start_with(programs, directory, dhcp, &[]).await
    }

    /// The same, with more words on the server's command line.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn start_with(
        programs: Programs,
        directory: &Path,
        dhcp: Dhcp,
        words: &[String],
    ) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        let network = Network::create()?;
        let mut site = Self {
            programs,
            directory: directory.to_owned(),
            network,
            token: String::new(),
            words: words.to_vec(),
            server: None,
            dhcp: (None, None),
        };
        site.start_server().await?;
        site.token = site.first_login().await?;
        site.start_dhcp(dhcp).await?;
        Ok(site)
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The repository: job scripts and recipes.
    pub fn share() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// Starts the server, again on the same ports when it ran before.
    ///
    /// # Errors
    /// It does not answer within 30 s.
    pub async fn start_server(&mut self) -> Result<()> {
        let host = self.network.server_address();
        let addresses = self.data().join("run/addresses.json");
        let before =
            fs_err::read(&addresses).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let port = |name: &str| {
            let url = before.as_ref().and_then(|before| before[name].as_str()).unwrap_or_default();
            url.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).unwrap_or(0)
        };
        let mut argv = vec![
            self.programs.lotse.display().to_string(),
            "serve".to_owned(),
            format!("--data={}", self.data().display()),
            format!("--share={}", Self::share().display()),
            format!("--host={host}"),
            format!("--listen-https={host}:{}", port("https")),
            format!("--listen-agents={host}:{}", port("agents")),
            format!("--listen-boot={host}:{}", port("boot")),
            format!("--listen-tftp={host}:69"),
            format!("--installer-command-line=console=tty0 console={CONSOLE}"),
        ];
        argv.extend_from_slice(&self.words);
        fs_err::remove_file(&addresses).ok();
        let mut server = Process::start(&argv, &self.directory.join("server.log"), LIMIT)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !addresses.is_file() {
            if !server.is_running()? || Instant::now() > deadline {
                bail!("the server does not start: {}", server.output()?);
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.server = Some(server);
        Ok(())
    }

    /// Kills the server as a power cut would.
    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    async fn first_login(&self) -> Result<String> {
        let said = fs_err::read_to_string(self.directory.join("server.log"))?;
        let link = said
            .split('\'')
            .find(|word| word.contains("/login#"))
            .context("finding the first admin's link in what the server says")?;
        let ca = self.addresses()?["ca"].as_str().unwrap_or_default().to_owned();
        let home = self.directory.display().to_string();
        self.run_lotse(&[("HOME", &home)], &["login", link, "--ca-fingerprint", &ca]).await?;
        let kept = fs_err::read_to_string(self.directory.join(".config/lotse/credentials.toml"))?;
        let token =
            kept.lines().find_map(|line| line.strip_prefix("token = ")).context("finding the kept token")?;
        Ok(token.trim_matches(['"', '\'']).to_owned())
    }

    async fn start_dhcp(&mut self, dhcp: Dhcp) -> Result<()> {
        let directory = self.directory.join("dhcp");
        let network = &self.network;
        let range = format!("{},{},255.255.255.0", network.address(100), network.address(199));
        let foreign = match dhcp {
            Dhcp::Own | Dhcp::SecureBoot | Dhcp::None => None,
            Dhcp::Proxy | Dhcp::ForeignOnly => Some(ForeignDhcp::start(network, &directory).await?),
        };
        let zero = network.address(0).to_string();
        let script = self.dhcp_script()?.display().to_string();
        let words: &[&str] = match dhcp {
            Dhcp::Own => &["--range", &range, "--event-script", &script],
            Dhcp::SecureBoot => &["--range", &range, "--event-script", &script, "--secure-boot"],
            Dhcp::Proxy => &["--proxy", &zero],
            Dhcp::ForeignOnly | Dhcp::None => &[],
        };
        let own = if words.is_empty() {
            None
        } else {
            let share = Self::share().display().to_string();
            let argv = [&["pxe", "dnsmasq", "--share", &share, "--interface", "br0"], words].concat();
            let configuration = self.lotse(&argv).await?;
            Some(Dnsmasq::start(network, &configuration, &directory).await?)
        };
        self.dhcp = (own, foreign);
        Ok(())
    }

    /// dnsmasq starts its script without words and environment of ours, so the script knows them.
    fn dhcp_script(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.directory.join("dhcp-event");
        let boot = self.addresses()?["boot"].as_str().unwrap_or_default().to_owned();
        let text = format!(
            "#!/bin/sh\nLOTSE_BOOT_URL={boot} exec {} pxe event \"$@\"\n",
            self.programs.lotse.display()
        );
        fs_err::write(&path, text)?;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// The DHCP server that belongs to somebody else.
    ///
    /// # Errors
    /// This site has none.
    pub fn foreign_dhcp(&self) -> Result<&ForeignDhcp> {
        self.dhcp.1.as_ref().context("the DHCP server of this site is our own")
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// It has not started.
    pub fn addresses(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs_err::read(self.data().join("run/addresses.json"))?)?)
    }

    /// Runs `lotse` as the admin, and gives what it writes.
    ///
    /// # Errors
    /// It ends badly; the error has its words.
    pub async fn lotse(&self, argv: &[&str]) -> Result<String> {
        let home = self.directory.display().to_string();
        self.run_lotse(&[("LOTSE_TOKEN", &self.token), ("HOME", &home)], argv).await
    }

    /// Runs `lotse` as the admin with a line on its standard input.
    ///
    /// # Errors
    /// As [`Site::lotse`].
    pub async fn lotse_given(&self, line: &str, argv: &[&str]) -> Result<String> {
        let home = self.directory.display().to_string();
        let (data, program) = (self.data().display().to_string(), self.programs.lotse.display().to_string());
        let environment = [("LOTSE_TOKEN", self.token.as_str()), ("HOME", &home), ("LOTSE_DATA", &data)];
        run_given(&[&[program.as_str()], argv].concat(), &environment, &format!("{line}\n")).await
    }

    async fn run_lotse(&self, environment: &[(&str, &str)], argv: &[&str]) -> Result<String> {
        let (data, program) = (self.data().display().to_string(), self.programs.lotse.display().to_string());
        let environment = [environment, &[("LOTSE_DATA", &data)]].concat();
        run_with(&[&[program.as_str()], argv].concat(), &environment).await
    }

    /// Runs `lotse` and understands its JSON.
    ///
    /// # Errors
    /// As [`Site::lotse`].
    pub async fn json(&self, argv: &[&str]) -> Result<Value> {
        let text = self.lotse(&[&["--output", "json"], argv].concat()).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("understanding what `lotse {}` writes: {text}", argv.join(" ")))
    }

    /// Builds images, or takes them from the cache.
    ///
    /// # Errors
    /// A recipe fails.
    pub async fn build_images(&self, names: &[&str]) -> Result<()> {
        let share = Self::share().display().to_string();
        let agent = self.programs.agent.display().to_string();
        let package = self.programs.agent_package.display().to_string();
        let cache = self.programs.images.display().to_string();
        let words = [
            "image",
            "build",
            "--share",
            &share,
            "--agent",
            &agent,
            "--agent-package",
            &package,
            "--cache",
            &cache,
        ];
        self.lotse(&[&words[..], names].concat()).await.map(drop)
    }

    /// A client, once it is as wanted.
    ///
    /// # Errors
    /// It is not within `timeout`, or a job of it failed; the error says what it does instead.
    pub async fn wait_for_client(
        &self,
        name: &str,
        what: &str,
        timeout: Duration,
        is_there: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + timeout;
        loop {
            let client = self.json(&["client", "show", name]).await;
            match &client {
                Ok(client) if is_there(client) => return Ok(client.clone()),
                Ok(client) if client["health"]["state"] == "critical" => {
                    bail!(
                        "waiting until {name} {what}: {}\n{}",
                        client["health"],
                        self.lotse(&["client", "timeline", name]).await?
                    );
                }
                Ok(_) | Err(_) => {}
            }
            if Instant::now() > deadline {
                let shown =
                    self.lotse(&["client", "show", name]).await.unwrap_or_else(|error| error.to_string());
                let timeline = self.lotse(&["client", "timeline", name]).await.unwrap_or_default();
                bail!("{name} {what}: not within {timeout:?}\n{shown}\n{timeline}");
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Runs a program on the host and gives its output.
    ///
    /// # Errors
    /// It ends badly.
    pub fn run(argv: &[&str]) -> Result<String> {
        run(argv)
    }
}
