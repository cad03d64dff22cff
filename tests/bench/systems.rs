//! A small package to twenty real systems, as a rollout and as Ansible does it over SSH: the same copies of one base system, the same
//! archive, apt on both sides, one after the other in the same run.
//!
//! Ansible is given what makes it quick: as many forks as there are systems, pipelining, and connections that are open already, as ours are.
//! The floor is apt-get(8) itself, started on all of them at once over the same connections: nobody who uses apt can be faster.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use harness::{
    archive::Archive,
    room::{GROUP, Room, has},
    server::repository,
    site::{Programs, Site},
};
use server::{blobs, catalog::Catalog};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    program::{command, tools},
    say,
    table::{Line, median},
};

const SYSTEMS: u8 = 20;
const ROUNDS: usize = 3;
const PACKAGE: &str = "school-tool";
/// Bytes of the package.
const SIZE: usize = 20_000;
const DISTRIBUTION: &str = "debian-12";
/// What Ansible needs on a system.
const FOR_ANSIBLE: [&str; 2] = ["python3", "python3-apt"];
const SERVICES: &str = "mkdir -p /run/sshd && /usr/sbin/sshd";
/// Seldom: it is a program that starts.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// How much of Ansible's time a rollout shall need.
const AIM: f64 = 0.2;

/// Measures both.
pub(crate) async fn measure() -> Result<Vec<Line>> {
    let archive = Archive::new()?;
    archive.package(PACKAGE, "1", SIZE)?;
    archive.release("bookworm")?;
    let scratch = tempfile::Builder::new().prefix("lotse-bench-").tempdir()?;
    let base = base(&Programs::built()?).context("building a base system with Python")?;
    say(&format!("{SYSTEMS} systems: starting"));
    let mut room = Room::open(Programs::built()?, &scratch.path().join("site"), archive).await?;
    let ansible = Ansible::new(scratch.path(), &room)?;
    room.fill(&base, |base| ansible.let_in(base), SERVICES, SYSTEMS).await?;
    ansible.know(&room.site.directory.join("copies/base"))?;
    let (mut ours, mut theirs, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let rolled = roll(&room.site, "package-install").await.context("rolling out")?;
        all_have(&room, true)?;
        roll(&room.site, "package-remove").await.context("removing")?;
        // Opens its connections.
        ansible.run(&["-m", "ansible.builtin.ping"]).await?;
        let played = ansible.apt("present").await?;
        all_have(&room, true)?;
        ansible.apt("absent").await?;
        all_have(&room, false)?;
        let apt = ansible.apt_alone().await?;
        all_have(&room, true)?;
        ansible.apt("absent").await?;
        say(&format!(
            "{SYSTEMS} systems, round {round}: rollout {:.1} s, Ansible {:.1} s, apt-get alone {:.1} s",
            rolled.as_secs_f64(),
            played.as_secs_f64(),
            apt.as_secs_f64()
        ));
        floor.push(apt.as_secs_f64());
        ours.push(rolled.as_secs_f64());
        theirs.push(played.as_secs_f64());
    }
    let (ours, theirs, floor) = (median(&ours), median(&theirs), median(&floor));
    let line =
        || Line::new(format!("rollout of a package to {SYSTEMS} real systems"), format!("{ours:.1} s"));
    Ok(vec![
        line()
            .beside(format!("ansible: {theirs:.1} s"), ours / theirs)
            .aim("a fifth of ansible", ours / theirs <= AIM),
        line().beside(format!("apt-get alone: {floor:.1} s"), ours / floor),
    ])
}

/// A base system that Ansible can work on, kept between runs for as long as its recipe stays the same.
fn base(programs: &Programs) -> Result<PathBuf> {
    let catalog = Catalog::load(&repository(), None)?;
    let mut known = catalog.distributions();
    let (_, distribution) =
        known.find(|(name, _)| *name == DISTRIBUTION).with_context(|| format!("no {DISTRIBUTION}"))?;
    let packages: Vec<_> = distribution.packages.iter().map(String::as_str).chain(FOR_ANSIBLE).collect();
    let packages = packages.join(" ");
    let hash = blobs::hash(packages.as_bytes()).to_string();
    let file = programs.images.with_file_name("bench").join(format!("{DISTRIBUTION}-{hash:.12}.tar.zst"));
    if !file.is_file() {
        say("building a base system with Python");
        let recipe = repository().join("pxe/base/build.sh").display().to_string();
        let out = file.display().to_string();
        Site::run(&[&recipe, "--suite", &distribution.suite, "--packages", &packages, "--out", &out])?;
    }
    Ok(file)
}

/// Does the job on all of them at once, and gives how long it took from the order to the last system, by the server's own record.
async fn roll(site: &Site, job_type: &str) -> Result<Duration> {
    let (packages, at_once) = (format!("packages={PACKAGE}"), SYSTEMS.to_string());
    let what = ["--job", job_type, "--param", &packages, "--group", GROUP];
    let how = ["--wave", "rest", "--at-once", &at_once];
    let begun = Instant::now();
    let made = site.json(&[&["rollout", "create", "bench", "--start"], &what[..], &how[..]].concat()).await?;
    let id = made["id"].as_i64().with_context(|| format!("no number in {made}"))?.to_string();
    while begun.elapsed() < LONGEST {
        let rollout = site.json(&["rollout", "show", &id]).await?;
        match rollout["state"].as_str() {
            Some("finished") => {
                ensure!(rollout["counts"]["succeeded"] == SYSTEMS, "somebody is missing: {rollout}");
                let wave = &rollout["waves"][0];
                let at = |name: &str| wave[name].as_u64().with_context(|| format!("no {name} in {wave}"));
                return Ok(Duration::from_micros(at("settled_at")? - at("started_at")?));
            }
            Some("halted") => bail!("it was halted: {rollout}"),
            _ => sleep(LOOK_EVERY).await,
        }
    }
    bail!("it did not finish within {LONGEST:?}")
}

fn all_have(room: &Room, installed: bool) -> Result<()> {
    for system in &room.systems {
        let has = has(system, PACKAGE);
        let is = has.as_deref() == Some("1 install ok installed");
        ensure!(is == installed, "{} has {has:?} of the package", system.name);
    }
    Ok(())
}

/// Ansible with an inventory of the room.
struct Ansible {
    directory: PathBuf,
    program: PathBuf,
    /// Names and addresses.
    hosts: Vec<(String, String)>,
}

impl Ansible {
    fn new(scratch: &Path, room: &Room) -> Result<Self> {
        let program = tools()?.join("ansible/bin/ansible");
        ensure!(
            program.is_file(),
            "{} is missing: `packaging/setup.sh bench` installs it",
            program.display()
        );
        let directory = scratch.join("ansible");
        fs_err::create_dir(&directory)?;
        let key = directory.join("key").display().to_string();
        Site::run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key])?;
        let hosts: Vec<_> = (0..SYSTEMS).map(|number| Room::place(&room.site.network, number)).collect();
        let mut inventory = String::new();
        for (name, address) in &hosts {
            writeln!(
                inventory,
                "{name} ansible_host={address} ansible_user=root ansible_python_interpreter=/usr/bin/python3"
            )?;
        }
        fs_err::write(directory.join("inventory"), inventory)?;
        Ok(Self { directory, program, hosts })
    }

    /// Gives a base system keys of its host, and lets Ansible in.
    fn let_in(&self, base: &Path) -> Result<()> {
        Site::run(&["ssh-keygen", "-A", "-f", &base.display().to_string()])?;
        let ssh = base.join("root/.ssh");
        fs_err::create_dir_all(&ssh)?;
        Site::run(&["chmod", "700", &ssh.display().to_string()])?;
        fs_err::copy(self.directory.join("key.pub"), ssh.join("authorized_keys")).map(drop)?;
        Ok(())
    }

    /// Knows the systems by the keys of their base system.
    fn know(&self, base: &Path) -> Result<()> {
        let key = fs_err::read_to_string(base.join("etc/ssh/ssh_host_ed25519_key.pub"))?;
        let mut known = String::new();
        for (_, address) in &self.hosts {
            write!(known, "{address} {key}")?;
        }
        fs_err::write(self.directory.join("known_hosts"), known).map_err(Into::into)
    }

    async fn apt(&self, state: &str) -> Result<Duration> {
        let begun = Instant::now();
        let words = format!("name={PACKAGE} state={state} update_cache=true");
        self.run(&["-m", "ansible.builtin.apt", "-a", &words]).await?;
        Ok(begun.elapsed())
    }

    /// What any way to install the package has to do, at the same time on all of them, through connections that are open.
    async fn apt_alone(&self) -> Result<Duration> {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for (_, address) in &self.hosts {
            let mut command = command(Path::new("ssh"));
            command.args(self.options().split(' ')).arg(format!("root@{address}"));
            command.arg(format!(
                "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install {PACKAGE}"
            ));
            running.spawn_blocking(move || finish(command));
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(begun.elapsed())
    }

    /// Of ssh(1): connections stay open between commands.
    fn options(&self) -> String {
        let at = self.directory.display();
        format!(
            "-o ControlMaster=auto -o ControlPersist=120s -o ControlPath={at}/%C -o UserKnownHostsFile={at}/known_hosts \
             -o IdentityFile={at}/key"
        )
    }

    async fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = command(&self.program);
        command
            .args(["all", "--forks", &SYSTEMS.to_string(), "--inventory"])
            .arg(self.directory.join("inventory"))
            .args(words)
            .env("ANSIBLE_HOME", &self.directory)
            .env("ANSIBLE_PIPELINING", "True")
            .env("ANSIBLE_SSH_ARGS", self.options());
        tokio::task::spawn_blocking(move || finish(command)).await?
    }
}

/// Runs a command to its end.
fn finish(mut command: Command) -> Result<()> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}: {}{}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
