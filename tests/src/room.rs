//! A room of installed systems without machines: a server, an archive of the test that the server takes for Debian's, and copies of one
//! base system that get their packages from it through the server's package cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    archive::{Archive, Mirror},
    lab::{Copies, Copy, Network},
    site::{Dhcp, Programs, Site},
    story::minutes,
};

/// The group that all of them are in.
pub const GROUP: &str = "room-12";

/// The last number of the first system's address.
const FIRST: u8 = 11;

/// A room; all of it ends when it is dropped.
pub struct Room {
    /// The systems, once there are some.
    pub systems: Vec<Copy>,
    /// The server and the network of the systems.
    pub site: Site,
    /// What the systems get their packages from.
    pub archive: Archive,
    agent: PathBuf,
    _mirror: Mirror,
}

impl Room {
    /// Starts the server of a room without systems. The archive has at least one release.
    ///
    /// # Errors
    /// Something of it does not start.
    pub async fn open(programs: Programs, directory: &Path, archive: Archive) -> Result<Self> {
        let mirror = Mirror::serve(&archive.root()).await?;
        let words = [
            format!("--mirrors=debian={}", mirror.url),
            format!("--cache-keyrings=debian={}", archive.keyring().display()),
        ];
        let agent = programs.agent.clone();
        let site = Site::start_with(programs, directory, Dhcp::None, &words).await?;
        Ok(Self { systems: Vec::new(), site, archive, agent, _mirror: mirror })
    }

    /// The archive of a base image that the site has built.
    ///
    /// # Errors
    /// There is no such image.
    pub async fn image(&self, name: &str) -> Result<PathBuf> {
        let images = self.site.json(&["image", "list"]).await?;
        let found = images.as_array().into_iter().flatten().find(|found| found["name"] == name);
        let found = found.with_context(|| format!("{name} is not there: {images}"))?;
        let hash =
            found["parts"]["archive"]["sha256"].as_str().with_context(|| format!("no archive in {found}"))?;
        Ok(self.site.data().join("blobs").join(hash))
    }

    /// Starts so many copies of a base system, and waits until the server has all of them as installed. `prepare` is given the folder of
    /// the base system; `services` is a shell command that each copy runs before its agent.
    ///
    /// # Errors
    /// One of them does not come; the error says which.
    pub async fn fill(
        &mut self,
        base: &Path,
        prepare: impl FnOnce(&Path) -> Result<()>,
        services: &str,
        count: u8,
    ) -> Result<()> {
        let copies = Copies::of(base, &self.agent, &self.site.directory.join("copies"))?;
        self.use_archive(&copies.base().join("etc"))?;
        prepare(&copies.base())?;
        for number in 0..count {
            let name = Self::name(number);
            self.site.lotse(&["client", "add", &name, "--group", GROUP]).await?;
            let enrol = self.site.json(&["client", "enrol-command", &name]).await?;
            let enrol = enrol["command"].as_str().context("no command to enrol")?;
            let copy = copies.start(&self.site.network, &name, FIRST + number, enrol, services)?;
            self.systems.push(copy);
        }
        for system in &self.systems {
            let is_installed = |client: &Value| client["stage"] == "installed";
            self.site.wait_for_client(&system.name, "is installed", minutes(5), is_installed).await?;
        }
        Ok(())
    }

    /// What a system is called, and its address, by its place in the room.
    pub fn place(network: &Network, number: u8) -> (String, String) {
        (Self::name(number), network.address(FIRST + number).to_string())
    }

    fn name(number: u8) -> String {
        format!("pc-{:02}", number + 1)
    }

    fn use_archive(&self, etc: &Path) -> Result<()> {
        let keyring = "/etc/apt/keyrings/school.gpg";
        fs_err::create_dir_all(etc.join("apt/keyrings"))?;
        fs_err::copy(self.archive.keyring(), etc.join("apt/keyrings/school.gpg"))?;
        let sources = format!("deb [signed-by={keyring}] {}/mirror/debian bookworm main\n", self.boot()?);
        fs_err::write(etc.join("apt/sources.list"), sources).map_err(Into::into)
    }

    fn boot(&self) -> Result<String> {
        Ok(self.site.addresses()?["boot"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the package cache gives this text in its list of packages. As apt does, it asks for the release first: with that, the
    /// cache looks whether the archive has a newer one, no more than once in some seconds.
    ///
    /// # Errors
    /// It does not come to know of it within two minutes.
    pub async fn knows(&self, text: &str) -> Result<()> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let suite = format!("{}/mirror/debian/dists/bookworm", self.boot()?);
        let deadline = Instant::now() + minutes(2);
        loop {
            reqwest::get(format!("{suite}/InRelease")).await?.error_for_status()?;
            let list = reqwest::get(format!("{suite}/main/binary-amd64/Packages")).await?.text().await?;
            if list.contains(text) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the package cache does not come to know of {text:?}");
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// The version of a package that dpkg has on a system, with its state.
pub fn has(system: &Copy, package: &str) -> Option<String> {
    let status = system.own_file("var/lib/dpkg/status");
    let block = status.split("\n\n").find(|block| block.starts_with(&format!("Package: {package}\n")))?;
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some(format!("{} {}", field("Version: ")?, field("Status: ")?))
}
