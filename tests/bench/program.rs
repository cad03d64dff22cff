//! Programs that are measured from outside, through `/proc` (proc(5)).
//!
//! Invariant: each ends when its value is dropped.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness::server::repository;
use server::context::Addresses;

/// The kernel counts processor time in hundredths of a second (`USER_HZ`, time(7)).
const TICKS_IN_A_SECOND: f64 = 100.0;
/// A server that has not said by then where it listens does not start.
const STARTING: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program that runs.
pub(crate) struct Program {
    child: Child,
}

impl Drop for Program {
    #[expect(clippy::let_underscore_must_use, reason = "it may have ended by itself")]
    fn drop(&mut self) {
        // nginx ends its workers when it is asked to, and not when it is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// The command of a program, to be started by [`Program::start`].
#[expect(clippy::disallowed_methods, reason = "this module's door to processes")]
pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}

impl Program {
    /// Starts it; what it writes goes to the file `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = fs_err::File::create(log)?.into_file();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The processes of it.
    fn processes(&self) -> Result<Vec<u32>> {
        let own = self.child.id();
        let children = fs_err::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let children = children.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        Ok(children.into_iter().chain([own]).collect())
    }

    fn mib(&self, field: &str) -> Result<f64> {
        let mut sum = 0.0;
        for pid in self.processes()? {
            let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
            let value = status.lines().find_map(|line| line.strip_prefix(field));
            let kib: f64 = value.and_then(|value| value.split_whitespace().next()).unwrap_or("0").parse()?;
            sum += kib / 1024.0;
        }
        Ok(sum)
    }

    /// The memory that it uses, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.mib("VmRSS:")
    }

    /// The most of memory that it used since [`Program::forget_peak`], in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        self.mib("VmHWM:")
    }

    /// The peak is counted anew (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) -> Result<()> {
        for pid in self.processes()? {
            fs_err::write(format!("/proc/{pid}/clear_refs"), "5")?;
        }
        Ok(())
    }

    /// Processor time so far, of the process that was started.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&self.child.id().to_string())
    }
}

/// Where `packaging/setup.sh` puts what is not installed; the same as there.
pub(crate) fn tools() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("LOTSE_TOOLS")
        .or_else(|| {
            let data =
                variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
            data.map(|data| data.join("lotse-tools"))
        })
        .context("there is no home directory")
}

/// Processor time of a process so far, by its number or `self` (proc(5): fields 14 and 15 of `stat`).
pub(crate) fn processor_seconds(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs_err::read_to_string(&path)?;
    let (_, after) = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let fields: Vec<_> = after.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> {
        Ok(fields.get(at).with_context(|| format!("{path} is short"))?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_IN_A_SECOND)
}

/// `lotse serve` with a data directory below `directory`, on free ports of loopback.
pub(crate) async fn lotse(directory: &Path, words: &[String]) -> Result<(Program, Addresses)> {
    let data = directory.join("data");
    let mut command = command(&std::env::current_exe()?.with_file_name("lotse"));
    command.arg("serve").arg("--data").arg(&data).arg("--share").arg(repository());
    for name in ["--listen-https", "--listen-agents", "--listen-boot"] {
        command.args([name, "127.0.0.1:0"]);
    }
    command.args(["--host", "127.0.0.1"]).args(words).env("RUST_LOG", "warn");
    let addresses = data.join("run/addresses.json");
    // Of a server that has run there before.
    fs_err::remove_file(&addresses).ok();
    let log = directory.join("log");
    let mut program = Program::start(command, &log)?;
    let deadline = tokio::time::Instant::now() + STARTING;
    while tokio::time::Instant::now() < deadline && program.is_running()? {
        if let Ok(text) = fs_err::read(&addresses) {
            return Ok((program, serde_json::from_slice(&text)?));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("it does not listen: {}", fs_err::read_to_string(log)?)
}
