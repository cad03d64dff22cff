//! Packages, by the system's own package manager.
//!
//! In this order: wait for the lock and say who holds it, repair what an interrupted run left, ask what would be done, refuse what was
//! not allowed, tell, and only then do it. Invariants: nothing that is not signed is ever installed; nothing is removed, downgraded
//! or taken from hold that the work does not allow; a preview changes nothing; a failure shows the lines that tell why.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::{Mutex, PoisonError},
};

use wire::{
    event::Stream,
    package_work::{ChangeKind, PackageAction, PackageWork, Transaction, TransactionChange},
};

use super::{StepContext, StepError};
use crate::host::{self, Command};

mod apt;
mod cause;
mod dnf;
mod dnf_table;
mod simulation;

/// So many of the last lines are looked through for a cause.
const KEPT_LINES: usize = 2_000;
/// This program would saw off the branch that it sits on.
const OURSELVES: &str = "lotse-agent";

/// Carries the work out.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &PackageWork) -> Result<(), StepError> {
    if ctx.host.exists(Path::new("/usr/bin/apt-get")) {
        apt::execute(ctx, work).await
    } else if ctx.host.exists(Path::new("/usr/bin/dnf")) {
        dnf::execute(ctx, work).await
    } else {
        Err(StepError::Refused("this system has neither apt-get nor dnf".to_owned()))
    }
}

/// Runs a package manager's command with its output in the report, and says why when it fails. `progress` takes what is no line for
/// people.
async fn run(
    ctx: &StepContext<'_>,
    command: &Command,
    progress: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<String, StepError> {
    let kept = Mutex::new(VecDeque::new());
    let on_line = |stream: Stream, line: &str| {
        if progress(line) {
            return;
        }
        ctx.voice.line(stream, line);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    };
    match ctx.host.run(command, &on_line, ctx.stop).await {
        Ok(output) => Ok(output),
        Err(host::Error::Status { status, .. }) => {
            let lines: Vec<String> = kept.into_inner().unwrap_or_else(PoisonError::into_inner).into();
            Err(failed(command, &status, &lines))
        }
        Err(error) => Err(error.into()),
    }
}

fn failed(command: &Command, status: &str, lines: &[String]) -> StepError {
    let cause = cause::of(lines);
    let words = command
        .argv
        .iter()
        .map(String::as_str)
        .skip_while(|word| ["/bin/sh", "-c", "apt"].contains(word) || word.starts_with("exec "));
    let words: Vec<&str> = words.filter(|word| *word != "-o" && !word.contains("::")).collect();
    let words = words.join(" ");
    let error = anyhow::anyhow!("{}\n(`{words}` ended with {status})", cause.text);
    if cause.kind.is_transient() { StepError::Transient(error) } else { StepError::Permanent(error) }
}

/// Runs a command that only asks; its output is nobody's business.
async fn ask(ctx: &StepContext<'_>, command: &Command) -> Result<String, StepError> {
    let kept = Mutex::new(Vec::new());
    let on_line = |_, line: &str| {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    };
    match ctx.host.run(command, &on_line, ctx.stop).await {
        Ok(output) => Ok(output),
        Err(host::Error::Status { status, .. }) => {
            let lines = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
            Err(failed(command, &status, &lines))
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses what the work does not allow.
fn check(work: &PackageWork, transaction: &Transaction) -> Result<(), StepError> {
    let goes = |it: &&TransactionChange| matches!(it.change, ChangeKind::Remove | ChangeKind::Purge);
    let is_removal =
        matches!(work.action, PackageAction::Remove | PackageAction::Purge | PackageAction::Apply);
    let gone: Vec<&TransactionChange> = transaction.changes.iter().filter(goes).collect();
    if gone.iter().any(|it| it.package == OURSELVES) {
        let text = "this would remove lotse-agent, by which the server reaches this machine; retire the client instead";
        return Err(StepError::Refused(text.to_owned()));
    }
    let unasked = gone.iter().copied().filter(|it| !is_removal || it.is_dependency);
    let unasked: Vec<&str> = unasked.map(|it| it.package.as_str()).collect();
    if !work.allow_removals && !unasked.is_empty() {
        let text = format!(
            "this would also remove {}, which was not allowed; look at the preview, then allow removals",
            unasked.join(", ")
        );
        return Err(StepError::Refused(text));
    }
    let back: Vec<String> = transaction
        .changes
        .iter()
        .filter(|it| it.change == ChangeKind::Downgrade)
        .map(|it| format!("{} from {} to {}", it.package, it.from, it.to))
        .collect();
    if !work.allow_downgrades && !back.is_empty() {
        let text = format!("this would downgrade {}, which was not allowed", back.join(", "));
        return Err(StepError::Refused(text));
    }
    let is_retracted = |it: &&TransactionChange| {
        work.retracted.get(&it.package).is_some_and(|versions| versions.contains(&it.to))
    };
    if let Some(it) = transaction.changes.iter().find(is_retracted) {
        let text = format!("version {} of {} is retracted: it may not be installed", it.to, it.package);
        return Err(StepError::Refused(text));
    }
    Ok(())
}

/// Refuses what is not what somebody has seen and accepted.
fn accepted(work: &PackageWork, transaction: &Transaction) -> Result<(), StepError> {
    let Some(accepted) = &work.accepted else { return Ok(()) };
    let accepted: BTreeSet<String> = accepted.iter().cloned().collect();
    let now: BTreeSet<String> = transaction.changes.iter().map(TransactionChange::in_words).collect();
    if now == accepted {
        return Ok(());
    }
    let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| {
        let some: Vec<&str> = some.difference(others).map(String::as_str).collect();
        if some.is_empty() { "nothing".to_owned() } else { some.join(", ") }
    };
    Err(StepError::Refused(format!(
        "what would change is not what was accepted any more; new is: {}; no longer: {}; look at a new preview",
        only(&now, &accepted),
        only(&accepted, &now)
    )))
}

/// What is about to happen in one line.
fn summary(transaction: &Transaction) -> String {
    let count =
        |kinds: &[ChangeKind]| transaction.changes.iter().filter(|it| kinds.contains(&it.change)).count();
    let security = transaction.changes.iter().filter(|it| it.is_security).count();
    format!(
        "{} to install, {} to upgrade ({security} for security), {} to downgrade, {} to remove; {} bytes to fetch",
        count(&[ChangeKind::Install, ChangeKind::Reinstall]),
        count(&[ChangeKind::Upgrade]),
        count(&[ChangeKind::Downgrade]),
        count(&[ChangeKind::Remove, ChangeKind::Purge]),
        transaction.download_bytes
    )
}

#[cfg(test)]
mod dnf_tests;
#[cfg(test)]
mod tests;
