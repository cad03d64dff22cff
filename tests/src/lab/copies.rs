//! Installed systems without machines: copies of one base system on overlays, each with a network namespace, processes and an agent of
//! its own. dpkg and apt are real; there is no systemd.
//!
//! Invariant: what a copy mounts, it mounts in a namespace of its own, so nothing is left when its processes end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Network,
    process::{Process, run},
};

/// A copy lasts no longer than this.
const LIMIT: Duration = Duration::from_hours(1);

/// Mounts the copy `$2` of the base `$1`, names it `$3`, and runs the command `$4` in it.
const START: &str = r#"set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
for name in proc dev sys; do mount --rbind "/$name" "$2/root/$name"; done
mount -t proc proc "$2/root/proc"
hostname "$3"
exec chroot "$2/root" /bin/sh -c "$4"
"#;

/// A base system, and where its copies are kept.
pub struct Copies {
    directory: PathBuf,
}

/// One copy, whose agent runs until it is dropped.
pub struct Copy {
    /// The host name.
    pub name: String,
    directory: PathBuf,
    _agent: Process,
}

impl Copies {
    /// Unpacks a base system (`.tar.zst`) into a new directory, and puts the agent into it.
    ///
    /// # Errors
    /// It cannot be unpacked.
    pub fn of(archive: &Path, agent: &Path, directory: &Path) -> Result<Self> {
        let copies = Self::without_agent(archive, directory)?;
        run(&["install", "-m", "755", path(agent)?, path(&copies.base().join("usr/bin/lotse-agent"))?])?;
        Ok(copies)
    }

    /// The same as it is, without an agent.
    ///
    /// # Errors
    /// It cannot be unpacked.
    pub fn without_agent(archive: &Path, directory: &Path) -> Result<Self> {
        let copies = Self { directory: directory.to_owned() };
        let base = copies.base();
        fs_err::create_dir_all(&base)?;
        run(&["tar", "--zstd", "-xpf", path(archive)?, "-C", path(&base)?])?;
        Ok(copies)
    }

    /// Where the base system lies: what is written here before, all copies have.
    pub fn base(&self) -> PathBuf {
        self.directory.join("base")
    }

    /// Starts a copy in the network. `enrol` is the command that the server gave for it, `services` starts what runs beside the agent.
    ///
    /// # Errors
    /// A namespace cannot be made.
    pub fn start(
        &self,
        network: &Network,
        name: &str,
        last: u8,
        enrol: &str,
        services: &str,
    ) -> Result<Copy> {
        let command =
            format!("{services}; [ -e /etc/lotse-agent/config.toml ] || {enrol}; exec lotse-agent run");
        self.run(network, name, last, &command)
    }

    /// Starts a copy in the network that runs a command.
    ///
    /// # Errors
    /// A namespace cannot be made.
    pub fn run(&self, network: &Network, name: &str, last: u8, command: &str) -> Result<Copy> {
        let directory = self.directory.join(name);
        for part in ["upper/etc", "work", "root"] {
            fs_err::create_dir_all(directory.join(part))?;
        }
        // What belongs to one machine.
        fs_err::write(directory.join("upper/etc/machine-id"), format!("{last:032x}\n"))?;
        fs_err::write(directory.join("upper/etc/hostname"), format!("{name}\n"))?;
        fs_err::write(directory.join("upper/etc/hosts"), format!("127.0.0.1 localhost {name}\n"))?;
        let namespace = network.add_host(last)?;
        let (base, own) = (self.base(), directory.clone());
        // What the host unmounts later must not stay mounted here.
        let separate =
            ["unshare", "--mount", "--propagation", "slave", "--uts", "--pid", "--fork", "--kill-child"];
        let argv = [
            &["ip", "netns", "exec", &namespace],
            &separate[..],
            &["sh", "-c", START, "sh", path(&base)?, path(&own)?, name, command],
        ]
        .concat();
        let agent = Process::start(&argv, &directory.join("agent.log"), LIMIT)?;
        Ok(Copy { name: name.to_owned(), directory, _agent: agent })
    }
}

impl Copy {
    /// What it has changed of the base system: its files with their hashes, links with their targets; what was removed is there, too.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn changed(&self) -> Result<BTreeMap<String, String>> {
        let upper = self.directory.join("upper");
        let script = "find . \\( -type f -exec sha256sum {} + \\) -o \\( -type l -printf 'link:%l  %p\\n' \\) -o \\( -type c -printf 'removed  %p\\n' \\)";
        let text = run(&["sh", "-c", &format!("cd {} && {script}", path(&upper)?)])?;
        let line = |line: &str| {
            let (hash, name) = line.split_once("  ")?;
            Some((name.trim_start_matches("./").to_owned(), hash.to_owned()))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// A file of its own, as it is now; nothing when it is still that of the base system.
    pub fn own_file(&self, path: &str) -> String {
        fs_err::read_to_string(self.directory.join("upper").join(path)).unwrap_or_default()
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
