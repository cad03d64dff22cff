//! The one place of the lab that starts processes: commands that run to their end, and long-lived ones that die on drop.
//!
//! Long-lived processes get a process group of their own and a time limit by timeout(1), which outlives a killed test.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::io::AsyncWriteExt;

/// A killed process is gone after this long, however much memory it gives back.
const LEAVING: Duration = Duration::from_secs(30);

/// Runs a command to its end and gives its standard output.
///
/// # Errors
/// It cannot be started, or ends with another status than 0; the error carries its standard error.
#[expect(clippy::disallowed_methods, reason = "the lab's own door to processes")]
pub(crate) fn run<S: AsRef<OsStr>>(argv: &[S]) -> Result<String> {
    let (program, arguments) = argv.split_first().context("running an empty command")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    said(argv, output)
}

/// The same with additional environment, which no error and no process list shows; it ends when nobody waits for it any more.
pub(crate) async fn run_with<S: AsRef<OsStr>>(argv: &[S], environment: &[(&str, &str)]) -> Result<String> {
    run_given(argv, environment, "").await
}

/// The same with a text on standard input.
#[expect(clippy::disallowed_methods, reason = "the lab's own door to processes")]
pub(crate) async fn run_given<S: AsRef<OsStr>>(
    argv: &[S],
    environment: &[(&str, &str)],
    input: &str,
) -> Result<String> {
    let (program, arguments) = argv.split_first().context("running an empty command")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {}", shown(argv)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read it says why.
        stdin.write_all(input.as_bytes()).await.ok();
    }
    said(argv, child.wait_with_output().await)
}

fn said<S: AsRef<OsStr>>(argv: &[S], output: std::io::Result<Output>) -> Result<String> {
    let shown = shown(argv);
    let output = output.with_context(|| format!("starting {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The accelerator for QEMU: `LOTSE_QEMU_ACCEL`, else `tcg,thread=multi`.
///
/// A device file does not prove that KVM can run a kernel, so it is never chosen by itself.
#[expect(clippy::disallowed_methods, reason = "tests have no argument parser of their own")]
pub(crate) fn accelerator() -> String {
    std::env::var("LOTSE_QEMU_ACCEL").unwrap_or_else(|_| "tcg,thread=multi".to_owned())
}

/// A process that runs until it is dropped, ends by itself or reaches its time limit.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    shown: String,
}

impl Process {
    /// Starts a command; both its output streams go to the file `log`.
    #[expect(clippy::disallowed_methods, reason = "the lab's own door to processes")]
    pub(crate) fn start<S: AsRef<OsStr>>(argv: &[S], log: &Path, limit: Duration) -> Result<Self> {
        let shown = shown(argv);
        let output = fs_err::File::create(log)?.into_file();
        let errors = output.try_clone().with_context(|| format!("sharing {}", log.display()))?;
        let child = Command::new("timeout")
            .arg("--kill-after=5")
            .arg(limit.as_secs().to_string())
            .args(argv)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {shown}"))?;
        Ok(Self { child, log: log.to_owned(), shown })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        let status = self.child.try_wait().with_context(|| format!("looking after {}", self.shown))?;
        Ok(status.is_none())
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs_err::read(&self.log)?).into_owned())
    }

    /// Ends the process and its children at once, without giving them time to save anything, and waits until they are gone: whoever
    /// comes next may need their ports, files and network cards.
    pub(crate) fn kill(&mut self) {
        let Ok(group) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        // It may have ended by itself: then there is nobody to kill, and `wait` only collects it.
        killpg(group, Signal::SIGKILL).ok();
        self.child.wait().ok();
        let deadline = Instant::now() + LEAVING;
        while killpg(group, None).is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn shown<S: AsRef<OsStr>>(argv: &[S]) -> String {
    argv.iter().map(|word| OsString::from(word).to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
