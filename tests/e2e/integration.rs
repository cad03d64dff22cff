//! Machines that somebody else has installed: a Debian with a real sshd, a fixed address and people on it, taken over by the copied command
//! and over SSH. Nothing on them differs afterwards but the agent's own files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use harness::{
    lab::{Copies, Copy},
    site::{Dhcp, Programs, Site},
    story::minutes,
};
use serde_json::Value;

use super::ssh::{key_pair, ssh};

const PASSWORD: &str = "Shibboleth 7 'and' \"quotes\"";
const SERVE: &str = "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e";
/// What the agent may leave. Its package's own files are in dpkg's list.
const OURS: [&str; 5] =
    ["etc/lotse-agent/", "var/lib/lotse-agent/", "var/lib/dpkg/", "var/log/dpkg.log", "var/cache/apt/"];
/// What logging in leaves, whoever does it: login records, sudo's own, and what is gone with the next start.
const LOGIN: [&str; 6] =
    ["run/", "tmp/", "var/log/", "var/lib/sudo/", "var/lib/systemd/", "home/ann/.sudo_as_admin_successful"];

/// A machine in the network, and what was there before it was taken over.
struct Machine {
    copy: Copy,
    address: String,
    key: String,
    before: BTreeMap<String, String>,
}

impl Machine {
    async fn start(site: &Site, copies: &Copies, name: &str, last: u8, key: &str) -> Result<Self> {
        let copy = copies.run(&site.network, name, last, SERVE)?;
        let address = site.network.address(last).to_string();
        // It has answered once, so whatever that leaves is there.
        ssh(&address, key, "true").await?;
        let before = copy.changed()?;
        Ok(Self { copy, address, key: key.to_owned(), before })
    }

    async fn root(&self, command: &str) -> Result<String> {
        ssh(&self.address, &self.key, command).await
    }

    /// Nothing has changed but what is the agent's, or what a login leaves.
    async fn only_the_agent_is_new(&self) -> Result<()> {
        let listed = self.root("dpkg --listfiles lotse-agent 2> /dev/null || true").await?;
        let mut package: BTreeSet<String> =
            listed.lines().map(|line| line.trim().trim_start_matches('/').to_owned()).collect();
        // Where /lib is a link, dpkg's list has the other name.
        package.extend(package.clone().into_iter().map(|path| format!("usr/{path}")));
        let changed: Vec<String> = self
            .copy
            .changed()?
            .into_iter()
            .filter(|(path, hash)| self.before.get(path) != Some(hash))
            .map(|(path, _)| path)
            .filter(|path| !package.contains(path))
            .filter(|path| !OURS.iter().chain(&LOGIN).any(|known| path.starts_with(known)))
            .collect();
        ensure!(changed.is_empty(), "{} has changed: {changed:?}", self.copy.name);
        Ok(())
    }

    /// There is no systemd that would start the agent.
    async fn starts_agent(&self) -> Result<()> {
        self.root("setsid lotse-agent run > /run/lotse-agent.log 2>&1 < /dev/null &").await.map(drop)
    }
}

pub(crate) async fn integration_of_installed_systems(programs: Programs, directory: PathBuf) -> Result<()> {
    let site = Site::start(programs, &directory, Dhcp::None).await?;
    site.build_images(&["agent", "debian-12/virtual"]).await?;
    let (key, public) = key_pair(&directory)?;
    let copies = Copies::without_agent(&archive(&site).await?, &directory.join("copies"))?;
    prepare(&copies.base(), &public)?;

    let first = Machine::start(&site, &copies, "old-first", 11, &key).await?;
    copied_command(&site, &first, &directory).await.context("by the copied command")?;
    let second = Machine::start(&site, &copies, "old-second", 12, &key).await?;
    over_ssh(&site, &second).await.context("over SSH")?;
    Ok(())
}

/// The archive of the base system that was built.
async fn archive(site: &Site) -> Result<PathBuf> {
    let images = site.json(&["image", "list"]).await?;
    let found = images.as_array().into_iter().flatten().find(|image| image["name"] == "debian-12/virtual");
    let hash = found.and_then(|image| image["parts"]["archive"]["sha256"].as_str());
    Ok(site.data().join("blobs").join(hash.context("there is no base system")?))
}

/// A person with a password and sudo, a key for root, a fixed address and foreign sources.
fn prepare(base: &Path, public: &str) -> Result<()> {
    let base_text = base.display().to_string();
    let inside = |command: &str| Site::run(&["chroot", &base_text, "/bin/sh", "-euc", command]);
    inside(
        "useradd --create-home --shell /bin/bash --comment 'Ann Example' --groups sudo ann && rm -f /etc/resolv.conf",
    )?;
    fs_err::write(base.join("root/password"), format!("ann:{PASSWORD}\n"))?;
    inside("chpasswd < /root/password && rm /root/password && ssh-keygen -A")?;
    fs_err::create_dir_all(base.join("root/.ssh"))?;
    fs_err::copy(public, base.join("root/.ssh/authorized_keys"))?;
    fs_err::create_dir_all(base.join("etc/network"))?;
    let interfaces = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n\taddress 192.0.2.50/24\n\tgateway 192.0.2.1\n\tdns-nameservers 192.0.2.1\n";
    fs_err::write(base.join("etc/network/interfaces"), interfaces)?;
    let sources =
        "deb http://deb.example/debian bookworm main\ndeb https://ann:secret@other.example/apt stable main\n";
    fs_err::write(base.join("etc/apt/sources.list"), sources)?;
    let config =
        "PermitRootLogin prohibit-password\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n";
    fs_err::create_dir_all(base.join("etc/ssh/sshd_config.d"))?;
    fs_err::write(base.join("etc/ssh/sshd_config.d/10-school.conf"), config)?;
    Ok(())
}

async fn copied_command(site: &Site, machine: &Machine, directory: &Path) -> Result<()> {
    // One whose package was changed on the way changes nothing.
    let made = site.json(&["client", "integrate", "first", "--group", "office"]).await?;
    let command = made["command"].as_str().context("no command")?;
    let forged = command.replace("url=$boot/boot/blobs/$sha256", "url=$boot/boot/ca.pem");
    ensure!(forged != command, "the command has another form: {command}");
    ensure!(
        paste(machine, directory, &forged).await.is_err(),
        "something else than the package was installed"
    );
    machine.only_the_agent_is_new().await?;
    ensure!(machine.root("dpkg-query -W lotse-agent").await.is_err(), "a package was left behind");

    let said = paste(machine, directory, command).await?;
    ensure!(said.contains("this machine is the client first"), "{said}");
    let again = paste(machine, directory, command).await?;
    ensure!(again.contains("was done here already"), "{again}");
    machine.starts_agent().await?;
    is_taken_over(site, machine, "first", "old-first").await
}

/// Runs a command as somebody does who pastes it: a shell reads it line by line.
async fn paste(machine: &Machine, directory: &Path, command: &str) -> Result<String> {
    let file = directory.join("pasted");
    fs_err::write(&file, command)?;
    let there = format!("{}@{}", "root", machine.address);
    let words = format!(
        "ssh -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR {there} bash 2>&1 < {}",
        machine.key,
        file.display()
    );
    tokio::task::spawn_blocking(move || Site::run(&["sh", "-c", &words])).await?
}

async fn over_ssh(site: &Site, machine: &Machine) -> Result<()> {
    let target = format!("ann@{}", machine.address);
    let shown = machine.root("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").await?;
    let host_key = shown.split(' ').nth(1).context("no fingerprint")?.to_owned();
    let words = ["client", "integrate", "second", "--ssh", &target, "--password"];
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let refused = site.lotse_given(PASSWORD, &[&words[..], &["--host-key", &wrong]].concat()).await;
    let refused = refused.err().context("another host key was accepted")?.to_string();
    ensure!(refused.contains(&host_key), "{refused}");
    let unknown = site.lotse(&["client", "show", "second"]).await;
    ensure!(unknown.is_err(), "a client was made for a machine that is another one");
    let asked = site.lotse_given(PASSWORD, &words).await;
    ensure!(asked.is_err(), "a host key was accepted that nobody has seen");

    let bad = site.lotse_given("wrong", &[&words[..], &["--host-key", &host_key]].concat()).await;
    ensure!(
        bad.err().is_some_and(|error| error.to_string().contains("ermission denied")),
        "a wrong password let in"
    );
    machine.only_the_agent_is_new().await?;

    // The key is pinned now.
    let said = site.lotse_given(PASSWORD, &words).await?;
    ensure!(said.contains("second is taken over"), "{said}");
    for file in ["root/.bash_history", "home/ann/.bash_history"] {
        ensure!(!machine.copy.own_file(file).contains("Shibboleth"), "the password stands in {file}");
    }
    machine.starts_agent().await?;
    is_taken_over(site, machine, "second", "old-second").await?;
    let view = site.json(&["client", "integration", "second"]).await?;
    ensure!(view["ssh_host_key"] == host_key.as_str(), "the host key is not pinned: {view}");
    Ok(())
}

async fn is_taken_over(site: &Site, machine: &Machine, name: &str, hostname: &str) -> Result<()> {
    let has_looked =
        |client: &Value| client["stage"] == "installed" && client["config"]["users"][0]["name"] == "ann";
    let client = site.wait_for_client(name, "is taken over", minutes(2), has_looked).await?;
    ensure!(client["origin"] == "integrated", "{client}");
    let config = &client["config"];
    ensure!(config["distribution"] == "debian-12", "{config}");
    ensure!(config["network"]["interfaces"][0]["ipv4"]["address"] == "192.0.2.50", "{config}");
    ensure!(config["users"][0]["sudo"] == true, "{config}");
    let view = site.json(&["client", "integration", name]).await?;
    let differs = |part: &str, there: &str| {
        let all = view["differences"].as_array();
        all.into_iter()
            .flatten()
            .any(|it| it["part"] == part && it["there"].as_str().is_some_and(|it| it.contains(there)))
    };
    ensure!(differs("name", hostname), "{view}");
    ensure!(differs("sources", "other.example"), "{view}");
    ensure!(differs("keys", "SHA256:"), "{view}");
    ensure!(!view.to_string().contains("secret@"), "{view}");
    ensure!(view["sources"][0]["list"] == "debian-12", "{view}");
    machine.only_the_agent_is_new().await
}
