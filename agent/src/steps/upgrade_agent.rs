//! Replaces the running agent: fetches the package, hands over to the supervisor, and follows what comes of it.
//!
//! The same step runs in the old agent, in the new one, and in the old one that is back: what each does follows from the state on disk
//! (`crate::upgrade`). The plan, and with it the package's hash, is signed; nothing is written before both are right.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, sleep};
use wire::enrol::BlobRef;

use super::{StepContext, StepError, download};
use crate::upgrade::{self, Phase, State, Upgrade};

const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two looks whether the supervisor runs.
const ROUSE_INTERVAL: Duration = Duration::from_secs(5);

/// What the plan wants.
pub(super) struct Wanted<'a> {
    pub(super) package: &'a BlobRef,
    pub(super) version: &'a str,
    pub(super) limit_s: u32,
    pub(super) reinstall: bool,
}

impl From<upgrade::Error> for StepError {
    fn from(error: upgrade::Error) -> Self {
        match error {
            upgrade::Error::Host(error) => error.into(),
            upgrade::Error::Json(_) => Self::Permanent(error.into()),
        }
    }
}

/// Replaces the agent.
pub(super) async fn execute(ctx: &StepContext<'_>, wanted: &Wanted<'_>) -> Result<(), StepError> {
    let upgrade = Upgrade::new(ctx.host, ctx.state_dir);
    let found = upgrade.state()?.filter(|state| state.attempt == ctx.attempt);
    let phase = match found {
        Some(state) => state.phase,
        None if wanted.version == env!("CARGO_PKG_VERSION") && !wanted.reinstall => {
            ctx.say(&format!("the agent has version {} already", wanted.version));
            return Ok(());
        }
        None => {
            prepare(ctx, &upgrade, wanted).await?;
            Phase::Prepared
        }
    };
    if phase == Phase::Watching {
        ctx.say(&format!("agent {} has been started and goes on with its job", env!("CARGO_PKG_VERSION")));
        upgrade.prove()?;
    }
    follow(ctx, &upgrade).await
}

async fn prepare(ctx: &StepContext<'_>, upgrade: &Upgrade<'_>, wanted: &Wanted<'_>) -> Result<(), StepError> {
    if upgrade.state()?.is_some_and(|state| !state.phase.is_last()) {
        // Its job was cancelled, or is forgotten by the server; it ends by itself within its limit.
        return Err(StepError::Transient(anyhow!("an earlier upgrade of the agent is not over yet")));
    }
    let package =
        download::whole(ctx, wanted.package).await.map_err(download::fetching("the new agent's package"))?;
    let state = State {
        attempt: ctx.attempt,
        phase: Phase::Prepared,
        from: env!("CARGO_PKG_VERSION").to_owned(),
        to: wanted.version.to_owned(),
        limit_s: wanted.limit_s,
        trials: 0,
        reason: String::new(),
    };
    if let Err(error) = upgrade.prepare(&package, &state).await {
        // A full disk stays no fuller than it was.
        upgrade.clear()?;
        return Err(error.into());
    }
    ctx.say(&format!(
        "the new agent's package is here and is what the plan says; version {} is kept to go back to",
        state.from
    ));
    Ok(())
}

/// Waits for the end, and sees to it that somebody works towards it.
async fn follow(ctx: &StepContext<'_>, upgrade: &Upgrade<'_>) -> Result<(), StepError> {
    let mut rouse_at = Instant::now();
    loop {
        let state = upgrade.state()?.filter(|state| state.attempt == ctx.attempt);
        let Some(state) = state else {
            return Err(StepError::Permanent(anyhow!("the state of the upgrade is gone")));
        };
        match state.phase {
            Phase::Done => {
                ctx.say(&format!("agent {} has proved itself", env!("CARGO_PKG_VERSION")));
                return Ok(());
            }
            Phase::Reverted => {
                return Err(StepError::Permanent(anyhow!(
                    "{}; agent {} is at work",
                    state.reason,
                    env!("CARGO_PKG_VERSION")
                )));
            }
            _ => {}
        }
        if Instant::now() >= rouse_at {
            upgrade.rouse().await?;
            rouse_at = Instant::now() + ROUSE_INTERVAL;
        }
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            () = ctx.stop.cancelled() => {
                if state.phase == Phase::Prepared {
                    upgrade.ask_to_stop()?;
                }
                return Err(StepError::Stopped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        host::{
            Host,
            fake::{Answer, FakeHost},
        },
        steps::testing::Stage,
    };

    const STATE: &str = "/run/lotse-agent/upgrade/state.json";

    /// A machine whose supervisor ends each upgrade with this phase.
    fn stage(phase: &'static str) -> Stage {
        let host = FakeHost::new(0).with_file("/run/systemd/system", "");
        host.run_by(Arc::new(move |host, command| {
            if command.to_string().ends_with("start lotse-agent-upgrade.service") {
                let text = host.text(STATE).replace("\"prepared\"", &format!("\"{phase}\""));
                let text = text.replace("\"reason\":\"\"", "\"reason\":\"it did not start\"");
                host.write(Path::new(STATE), text.as_bytes(), 0o600).unwrap();
            }
            Answer::default()
        }));
        let mut stage = Stage::new(host);
        stage.server.blob = b"!<arch>".to_vec();
        stage
    }

    async fn run(stage: &Stage, version: &str) -> Result<(), StepError> {
        let package = stage.server.reference();
        let wanted = Wanted { package: &package, version, limit_s: 60, reinstall: false };
        execute(&stage.ctx(), &wanted).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_supervisor_gets_the_verified_package_and_its_word_is_the_end() {
        let good = stage("done");
        run(&good, "9.0.0").await.unwrap();
        assert_eq!(good.host.file("/run/lotse-agent/upgrade/new.deb").unwrap().content, b"!<arch>");
        assert!(good.host.text("/etc/systemd/system/lotse-agent.service.d/upgrade.conf").contains("Wants="));
        let bad = stage("reverted");
        let error = run(&bad, "9.0.0").await.unwrap_err();
        assert!(
            matches!(&error, StepError::Permanent(_)) && error.to_string().contains("it did not start"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_was_reached_is_told_again_and_nothing_is_done_twice() {
        let stage = stage("done");
        run(&stage, "9.0.0").await.unwrap();
        let before = stage.host.commands().len();
        run(&stage, "9.0.0").await.unwrap();
        assert_eq!(stage.host.commands().len(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_that_is_there_is_not_installed_again() {
        let stage = stage("reverted");
        run(&stage, env!("CARGO_PKG_VERSION")).await.unwrap();
        assert!(stage.host.commands().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_package_that_is_not_what_the_plan_says_is_never_written() {
        let mut stage = stage("done");
        let package = stage.server.reference();
        stage.server.blob = b"!<evil>".to_vec();
        let wanted = Wanted { package: &package, version: "9.0.0", limit_s: 60, reinstall: false };
        let error = execute(&stage.ctx(), &wanted).await.unwrap_err();
        assert!(error.to_string().contains("hash"), "{error}");
        assert!(
            !stage.host.exists(Path::new("/run/lotse-agent/upgrade")) && stage.host.commands().is_empty()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_fails_the_step_and_leaves_nothing_behind() {
        let stage = stage("done");
        stage.host.break_writes(Some("/run/lotse-agent/upgrade"));
        assert!(run(&stage, "9.0.0").await.is_err());
        let full = self::stage("done");
        full.host.answer("/bin/sh", Answer::fails(1, "dpkg-deb: error: No space left on device"));
        let error = run(&full, "9.0.0").await.unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        for stage in [&stage, &full] {
            assert!(!stage.host.exists(Path::new("/run/lotse-agent/upgrade/new.deb")));
            assert!(!stage.host.command_lines().iter().any(|line| line.starts_with("systemctl")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_on_trial_proves_itself_by_going_on_with_its_step() {
        let stage = stage("done");
        let text = r#"{"attempt":3,"phase":"watching","from":"0.0.9","to":"0.1.0","limit_s":60,"trials":1,"reason":""}"#;
        stage.host.write(Path::new(STATE), text.as_bytes(), 0o600).unwrap();
        tokio::time::timeout(Duration::from_secs(3), run(&stage, "9.0.0")).await.unwrap_err();
        let proof = stage.host.text("/run/lotse-agent/upgrade/proof.json");
        assert!(proof.contains(env!("CARGO_PKG_VERSION")), "{proof}");
    }
}
