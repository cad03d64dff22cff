//! Runs the agent as on an installed system, with `/etc` and `/var` of its own: in a mount namespace that ends with it.
//!
//! Invariant: nothing of the machine is changed, and the agent ends when the value is dropped.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agent::config::Addresses;
use anyhow::{Context, Result};
use tempfile::TempDir;

/// `$1`: the new root, `$2` server, `$3` boot, `$4` CA. The shell becomes the agent, so that the process that was started is the agent.
const SCRIPT: &str = r#"set -eu
for name in bin sbin lib lib64; do if [ -L "/$name" ]; then cp -P "/$name" "$1/"; else mkdir "$1/$name"; mount --rbind "/$name" "$1/$name"; fi; done
for name in usr proc sys dev; do mkdir "$1/$name"; mount --rbind "/$name" "$1/$name"; done
mkdir -p "$1/etc" "$1/var/lib" "$1/run" "$1/tmp"
cp -L /etc/os-release /etc/passwd /etc/group /etc/hosts "$1/etc/"
chroot "$1" /lotse-agent enrol --server "$2" --boot "$3" --ca "$4"
unset LOTSE_TOKEN
exec chroot "$1" /lotse-agent run
"#;

/// An agent that runs.
pub(super) struct Confined {
    child: Child,
    log: PathBuf,
    _directory: TempDir,
}

/// What the kernel knows of it.
pub(super) struct State {
    /// Bytes in memory.
    pub(super) resident: u64,
    /// Bytes in memory, shared ones in proportion.
    pub(super) private: u64,
    /// The most that it ever was.
    pub(super) highest: u64,
    pub(super) threads: usize,
    /// How often its threads went to sleep by themselves: as often they were woken.
    pub(super) slept: u64,
    pub(super) interrupted: u64,
}

impl Confined {
    #[expect(clippy::disallowed_methods, reason = "this module's door to processes")]
    pub(super) fn start(program: &Path, server: &Addresses, token: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("root");
        fs_err::create_dir(&root)?;
        fs_err::copy(program, root.join("lotse-agent"))?;
        let log = directory.path().join("log");
        let output = fs_err::File::create(&log)?.into_file();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "agent"])
            .arg(&root)
            .args([&server.server, &server.boot, server.ca.as_str()])
            .env("LOTSE_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("starting the agent")?;
        Ok(Self { child, log, _directory: directory })
    }

    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it wrote.
    pub(super) fn output(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs_err::read(&self.log)?).into_owned())
    }

    /// What the kernel says of it now.
    pub(super) fn state(&self) -> Result<State> {
        let directory = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs_err::read_to_string(directory.join("status"))?;
        let shares = fs_err::read_to_string(directory.join("smaps_rollup"))?;
        let mut state = State {
            resident: 1024 * number(&status, "VmRSS:")?,
            private: 1024 * number(&shares, "Pss:")?,
            highest: 1024 * number(&status, "VmHWM:")?,
            threads: 0,
            slept: 0,
            interrupted: 0,
        };
        for thread in fs_err::read_dir(directory.join("task"))? {
            let status = fs_err::read_to_string(thread?.path().join("status"))?;
            state.threads += 1;
            state.slept += number(&status, "voluntary_ctxt_switches:")?;
            state.interrupted += number(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(state)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nobody to kill, and `wait` only collects it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn number(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).with_context(|| format!("finding {name} of the agent"))
}
