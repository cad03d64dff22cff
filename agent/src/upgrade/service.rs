//! Starting and stopping agent and supervisor: by systemd where it runs, and else by processes of our own.
//!
//! With systemd the supervisor is a unit of its own, so that stopping the agent's does not kill it; the agent's unit wants it while an
//! upgrade goes on, so it comes back after a power cut even when the new agent does not start at all. Without systemd a shell starts it
//! again; only a power cut ends that, too.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Error, PROGRAM, Upgrade, process};
use crate::host::Command;

const UNIT: &str = "/etc/systemd/system/lotse-agent-upgrade.service";
const WANTS: &str = "/etc/systemd/system/lotse-agent.service.d/upgrade.conf";
/// From TERM to KILL.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// A session of its own, with its own `stat` on record. `$1`: file for it, `$2`: file for what it says, then the command.
const DETACHED: &str = r#"cat "/proc/$$/stat" > "$1.part"; mv "$1.part" "$1"; out=$2; shift 2; exec "$@" < /dev/null >> "$out" 2>&1"#;
/// Starts the supervisor again as long as it does not come to its end, which takes its program away: between two agents nobody else is there
/// to do it. `$1`: the program, with its words.
const GUARD: &str = r#"while [ -x "$1" ] && ! "$@"; do sleep 2; done"#;
/// Lines of an agent that did not prove itself.
const LAST_LINES: usize = 3;

/// Notes the process that starts the supervisor again, where there is no systemd.
pub(super) const GUARDIAN: &str = "guardian.pid";

pub(super) struct Service<'a> {
    pub(super) upgrade: &'a Upgrade<'a>,
}

impl Service<'_> {
    fn has_systemd(&self) -> bool {
        self.upgrade.host.exists(Path::new("/run/systemd/system"))
    }

    async fn run<const N: usize>(&self, argv: [&str; N]) -> Result<String, Error> {
        let command = Command::new(argv).with_environment("DEBIAN_FRONTEND", "noninteractive");
        Ok(self.upgrade.host.run(&command, &|_, _| {}, &CancellationToken::new()).await?)
    }

    /// The supervisor runs when this is over, or has ended already.
    pub(super) async fn start_supervisor(&self) -> Result<(), Error> {
        let program = self.upgrade.path("supervisor").display().to_string();
        if !self.has_systemd() {
            let guarded = ["/bin/sh", "-c", GUARD, "guard", &program, "supervise"];
            return self.detach(GUARDIAN, &guarded).await;
        }
        let unit = format!(
            "# Written by the agent for the time of its upgrade.\n[Unit]\nDescription=Lotse agent upgrade\nStartLimitIntervalSec=0\n\n\
             [Service]\nType=exec\nExecStart={program} supervise\nRestart=on-failure\nRestartSec=2s\nLimitCORE=0\n"
        );
        let wants = "# Written by the agent for the time of its upgrade.\n[Unit]\nWants=lotse-agent-upgrade.service\n";
        let host = self.upgrade.host;
        if !host.exists(Path::new(WANTS)) {
            host.write(Path::new(UNIT), unit.as_bytes(), 0o644)?;
            host.write(Path::new(WANTS), wants.as_bytes(), 0o644)?;
            self.run(["systemctl", "daemon-reload"]).await?;
        }
        self.run(["systemctl", "start", "lotse-agent-upgrade.service"]).await.map(drop)
    }

    /// The supervisor need not come back.
    pub(super) async fn forget_supervisor(&self) -> Result<(), Error> {
        let host = self.upgrade.host;
        if host.exists(Path::new(WANTS)) || host.exists(Path::new(UNIT)) {
            host.remove(Path::new(WANTS))?;
            host.remove(Path::new(UNIT))?;
        }
        if self.has_systemd() {
            self.run(["systemctl", "daemon-reload"]).await?;
        }
        Ok(())
    }

    /// Installs one of the two packages.
    pub(super) async fn install(&self, package: &str) -> Result<(), Error> {
        let package = self.upgrade.path(package).display().to_string();
        self.run(["dpkg", "--force-confold", "--install", &package]).await.map(drop)
    }

    /// The old program without its package, when nothing else helps.
    pub(super) async fn put_program_back(&self) -> Result<(), Error> {
        let program = self.upgrade.path("supervisor").display().to_string();
        let text = r#"cp "$1" "$2.lotse"; chmod 755 "$2.lotse"; sync "$2.lotse"; mv -f "$2.lotse" "$2""#;
        self.run(["/bin/sh", "-eu", "-c", text, "put-back", &program, PROGRAM]).await.map(drop)
    }

    /// Ends the agent that runs.
    pub(super) async fn stop_agent(&self) -> Result<(), Error> {
        if self.has_systemd() {
            return self.run(["systemctl", "stop", "lotse-agent.service"]).await.map(drop);
        }
        let noted = self.upgrade.path("agent.pid");
        if let Some(found) = process::alive(self.upgrade.host, &noted) {
            let id = found.id.to_string();
            // Not behind `--`, which dash's own kill does not know.
            let kill = r#"kill "-$1" "$2" 2> /dev/null || true"#;
            self.run(["/bin/sh", "-c", kill, "kill", "TERM", &id]).await?;
            let patience = Instant::now() + STOP_PATIENCE;
            while process::alive(self.upgrade.host, &noted).is_some() && Instant::now() < patience {
                sleep(Duration::from_millis(50)).await;
            }
            // With what it started, when it was the first of a session of ours.
            self.run(["/bin/sh", "-c", kill, "kill", "KILL", &format!("-{id}")]).await?;
            self.run(["/bin/sh", "-c", kill, "kill", "KILL", &id]).await?;
        }
        Ok(())
    }

    /// Starts the agent that is installed.
    pub(super) async fn start_agent(&self) -> Result<(), Error> {
        if self.has_systemd() {
            return self.run(["systemctl", "start", "lotse-agent.service"]).await.map(drop);
        }
        self.upgrade.host.remove(&self.upgrade.path("output"))?;
        self.detach("agent.pid", &[PROGRAM, "run"]).await
    }

    /// Whether the agent is known to run no more. systemd starts it again by itself.
    pub(super) fn agent_has_ended(&self) -> bool {
        !self.has_systemd() && process::alive(self.upgrade.host, &self.upgrade.path("agent.pid")).is_none()
    }

    /// What the agent has said last, in one line.
    pub(super) async fn last_words(&self) -> String {
        let said = if self.has_systemd() {
            let journal = [
                "journalctl",
                "--unit=lotse-agent.service",
                "--lines=20",
                "--output=cat",
                "--no-pager",
                "--quiet",
            ];
            self.run(journal).await.unwrap_or_default()
        } else {
            let output = self.upgrade.host.read(&self.upgrade.path("output")).unwrap_or_default();
            String::from_utf8_lossy(&output).into_owned()
        };
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ");
        last.chars().take(600).collect()
    }

    async fn detach(&self, process: &str, command: &[&str]) -> Result<(), Error> {
        let process = self.upgrade.path(process).display().to_string();
        let output = self.upgrade.path("output").display().to_string();
        let fixed = ["setsid", "--fork", "/bin/sh", "-eu", "-c", DETACHED, "detached", &process, &output];
        let argv = fixed.iter().chain(command).copied();
        self.upgrade.host.run(&Command::new(argv), &|_, _| {}, &CancellationToken::new()).await?;
        Ok(())
    }
}
