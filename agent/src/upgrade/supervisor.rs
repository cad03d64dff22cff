//! The one who switches, watches and goes back. It runs outside the agent's process group, from a copy of the old program.
//!
//! Invariant: each phase may begin anew after a power cut, and ends in one of the last phases with one working agent.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Error, Phase, Proof, State, Upgrade, process, service::Service, state};
use crate::host::Host;

/// How often the proof is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// An agent that is just being started is not known as a process yet.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// So long may another program hold dpkg's lock; nothing is stopped meanwhile.
const LOCK_PATIENCE: Duration = Duration::from_mins(10);
/// The same while no agent works.
const SHORT_LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_INTERVAL: Duration = Duration::from_secs(3);
/// A new agent that took the machine down so often is no good.
const MOST_TRIALS: u32 = 3;

/// Goes on with the upgrade until it is over, or `stop` fires: then it goes on when it is started again.
///
/// # Errors
/// The machine refuses; whoever started it starts it again.
pub async fn supervise(host: &dyn Host, state_dir: &Path, stop: &CancellationToken) -> Result<(), Error> {
    let upgrade = Upgrade::new(host, state_dir);
    let service = Service { upgrade: &upgrade };
    let own = upgrade.path("supervisor.pid");
    let me = host.read(Path::new("/proc/self/stat")).unwrap_or_default();
    if let Some(other) = process::alive(host, &own)
        && other.id != std::process::id()
    {
        tracing::info!(other = other.id, "another supervisor is at work");
        return Ok(());
    }
    host.write(&own, &me, 0o600)?;
    while let Some(mut state) = upgrade.state()? {
        if state.phase.is_last() {
            break;
        }
        tokio::select! {
            went = advance(&upgrade, &service, &mut state) => went?,
            () = stop.cancelled() => return Ok(()),
        }
        upgrade.set(&state)?;
    }
    for name in ["new.deb", "old.deb", "proof.json", "stop", "supervisor"] {
        host.remove(&upgrade.path(name))?;
    }
    service.forget_supervisor().await
}

/// Does what the phase says, and sets the next one.
async fn advance(upgrade: &Upgrade<'_>, service: &Service<'_>, state: &mut State) -> Result<(), Error> {
    match state.phase {
        Phase::Prepared if upgrade.host.exists(&upgrade.path("stop")) => {
            state.reason = "the agent was stopped before anything was changed".to_owned();
            state.phase = Phase::Reverted;
        }
        Phase::Prepared => state.phase = Phase::Switching,
        Phase::Switching => match install(service, "new.deb", LOCK_PATIENCE).await {
            Ok(()) => state.phase = Phase::Watching,
            Err(error) => {
                state.reason = format!("the new agent's package cannot be installed: {}", in_words(&error));
                state.phase = Phase::Reverting;
            }
        },
        Phase::Watching => match trial(upgrade, service, state).await? {
            Ok(()) => state.phase = Phase::Done,
            Err(reason) => {
                state.reason = reason;
                state.phase = Phase::Reverting;
            }
        },
        Phase::Reverting | Phase::Unknown => {
            if let Err(error) = install(service, "old.deb", SHORT_LOCK_PATIENCE).await {
                service.put_program_back().await?;
                let why = in_words(&error);
                let note = format!("; only the old program is back, not its package: {why}");
                if !state.reason.ends_with(&note) {
                    state.reason.push_str(&note);
                }
            }
            service.stop_agent().await?;
            service.start_agent().await?;
            state.phase = Phase::Reverted;
        }
        Phase::Done | Phase::Reverted => {}
    }
    Ok(())
}

/// Starts the new agent and waits for its proof; else why there is none.
async fn trial(
    upgrade: &Upgrade<'_>,
    service: &Service<'_>,
    state: &mut State,
) -> Result<Result<(), String>, Error> {
    let named = if state.to.is_empty() {
        "the new agent".to_owned()
    } else {
        format!("the new agent ({})", state.to)
    };
    if state.trials >= MOST_TRIALS {
        return Ok(Err(format!("{named} was started {MOST_TRIALS} times, and each time this was cut off")));
    }
    state.trials += 1;
    upgrade.set(state)?;
    let proof = upgrade.path("proof.json");
    // After a power cut the old agent may be at work still: until it has ended, a proof may be its own.
    service.stop_agent().await?;
    upgrade.host.remove(&proof)?;
    service.start_agent().await?;
    let begun = Instant::now();
    let limit = Duration::from_secs(state.limit_s.into());
    let what = loop {
        sleep(LOOK_INTERVAL).await;
        if let Some(proof) = state::read::<Proof>(upgrade.host, &proof)? {
            tracing::info!(version = proof.version, "the new agent has proved itself");
            return Ok(Ok(()));
        }
        if begun.elapsed() >= limit {
            break format!("{named} did not take up its work within {} s", state.limit_s);
        }
        if begun.elapsed() >= START_PATIENCE && service.agent_has_ended() {
            break format!("{named} has ended");
        }
    };
    let said = service.last_words().await;
    let said = if said.is_empty() { "it said nothing".to_owned() } else { format!("it said last: {said}") };
    Ok(Err(format!("{what}; {said}")))
}

/// Installs a package; while another program holds the lock, tries again.
async fn install(service: &Service<'_>, package: &str, patience: Duration) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        match service.install(package).await {
            Err(error) if in_words(&error).contains("lock") && begun.elapsed() < patience => {
                sleep(LOCK_INTERVAL).await;
            }
            other => return other,
        }
    }
}

fn in_words(error: &Error) -> String {
    crate::report::chain(error).replace('\n', " | ")
}
