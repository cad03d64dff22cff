//! Installed systems without machines: copies of one base system on overlays, each with a network namespace, processes and an agent of
//! its own. dpkg and apt are real; there is no systemd.
//!
//! Invariant: what a copy mounts, it mounts in a namespace of its own, so nothing is left when its processes end.

use std::{
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

/// Mounts the copy `$2` of the base `$1`, starts its services with the command `$5`, makes it known with `$4`, and starts its agent.
const START: &str = r#"set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
for name in proc dev sys; do mount --rbind "/$name" "$2/root/$name"; done
mount -t proc proc "$2/root/proc"
hostname "$3"
exec chroot "$2/root" /bin/sh -c "$5; [ -e /etc/lotse-agent/config.toml ] || $4; exec lotse-agent run"
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
        let copies = Self { directory: directory.to_owned() };
        let base = copies.base();
        fs_err::create_dir_all(&base)?;
        run(&["tar", "--zstd", "-xpf", path(archive)?, "-C", path(&base)?])?;
        run(&["install", "-m", "755", path(agent)?, path(&base.join("usr/bin/lotse-agent"))?])?;
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
            &["sh", "-c", START, "sh", path(&base)?, path(&own)?, name, enrol, services],
        ]
        .concat();
        let agent = Process::start(&argv, &directory.join("agent.log"), LIMIT)?;
        Ok(Copy { name: name.to_owned(), directory, _agent: agent })
    }
}

impl Copy {
    /// A file of its own, as it is now; nothing when it is still that of the base system.
    pub fn own_file(&self, path: &str) -> String {
        fs_err::read_to_string(self.directory.join("upper").join(path)).unwrap_or_default()
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
