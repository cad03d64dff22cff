//! `lotse job watch` and `lotse job output`: what a job writes, through all its attempts; live to its end, or as far as it is.

use std::time::Duration;

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};
use wire::{
    AttemptId, JobId,
    event::{Event, EventKind, Outcome, Stream},
    package_work::{ChangeKind, PackageChange},
};

use crate::{
    cli::{
        Exit, Failure, Output,
        api::{Api, Query},
        output::{is_watched, note, printable, say, say_json},
    },
    domain::job::JobState,
    http::api::view::JobView,
};

/// A server that restarts is waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// How far the watcher is.
#[derive(Default)]
struct Place {
    attempt: Option<AttemptId>,
    after: i64,
    waits_for: String,
}

/// Follows a job through all its attempts until it ends. Lines are neither lost nor repeated when the connection breaks.
///
/// # Errors
/// The job does not succeed, or the server is away for minutes.
pub(super) async fn watch(api: &Api, id: JobId) -> anyhow::Result<()> {
    let bar = (is_watched() && api.output == Output::Table).then(bar);
    let shown = Shown { api, bar: bar.as_ref() };
    let mut place = Place::default();
    let mut heard = None;
    let mut away = false;
    let ended = loop {
        match look(api, id, &mut place, &shown).await {
            Ok(Some(ended)) => break ended,
            Ok(None) => (heard, away) = (Some(Instant::now()), false),
            Err(error) if heard.is_some_and(|at| at.elapsed() < PATIENCE) && is_unreachable(&error) => {
                if !away {
                    shown.note("the server is away; trying again");
                }
                away = true;
                sleep(Duration::from_secs(2)).await;
            }
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(300)).await;
    };
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if ended.job.state == JobState::Succeeded {
        note(&format!("Job {id} has succeeded."));
        return Ok(());
    }
    Err(Failure::error(Exit::Failed, format!("job {id} is {}: {}", ended.job.state, ended.job.reason)))
}

/// Shows what is stored of all attempts of a job.
///
/// # Errors
/// There is no such job, or the server does not answer.
pub(super) async fn output(api: &Api, id: JobId) -> anyhow::Result<()> {
    let view: JobView = api.get(&format!("/jobs/{id}")).await?;
    let shown = Shown { api, bar: None };
    for attempt in &view.attempts_made {
        if attempt.number > 1 {
            shown.note(&format!("attempt {}", attempt.number));
        }
        let mut after = 0;
        loop {
            let path = Query::new(&format!("/attempts/{}/output", attempt.id)).with("after", Some(after));
            let events: Vec<Event> = api.get(&path.0).await?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            for event in &events {
                shown.event(event)?;
            }
        }
    }
    Ok(())
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::Unreachable)
}

/// Shows what is new; gives the job once it has ended and everything of it was shown.
async fn look(api: &Api, id: JobId, place: &mut Place, shown: &Shown<'_>) -> anyhow::Result<Option<JobView>> {
    let view: JobView = api.get(&format!("/jobs/{id}")).await?;
    let waits_for = view.waits_for.clone().unwrap_or_default();
    if waits_for != place.waits_for && !waits_for.is_empty() {
        shown.note(&waits_for);
    }
    place.waits_for = waits_for;
    for attempt in &view.attempts_made {
        if place.attempt.is_some_and(|at| attempt.id < at) {
            continue;
        }
        if place.attempt != Some(attempt.id) {
            (place.attempt, place.after) = (Some(attempt.id), 0);
            if attempt.number > 1 {
                shown.note(&format!("attempt {}", attempt.number));
            }
        }
        if !follow(api, attempt.id, &mut place.after, shown).await? {
            return Ok(None);
        }
    }
    let attempts = view.attempts_made.len();
    let view: JobView = api.get(&format!("/jobs/{id}")).await?;
    Ok((view.job.state.is_final() && view.attempts_made.len() == attempts).then_some(view))
}

/// Shows an attempt from a place on; tells whether it came to its end.
async fn follow(api: &Api, attempt: AttemptId, after: &mut i64, shown: &Shown<'_>) -> anyhow::Result<bool> {
    let mut messages = api.follow(&format!("/attempts/{attempt}/output/stream"), Some(*after)).await?;
    while let Some(message) = messages.next().await {
        if message.event == "end" {
            return Ok(true);
        }
        if let Ok(event) = serde_json::from_str::<Event>(&message.data) {
            *after = i64::try_from(event.seq).unwrap_or(*after);
            shown.event(&event)?;
        }
    }
    Ok(false)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}") {
        bar.set_style(style);
    }
    bar
}

struct Shown<'a> {
    api: &'a Api,
    bar: Option<&'a ProgressBar>,
}

/// One change of a package in a line.
fn changed(change: &PackageChange) -> String {
    let sign = match change.change {
        ChangeKind::Install => '+',
        ChangeKind::Upgrade => '↑',
        ChangeKind::Downgrade => '↓',
        ChangeKind::Reinstall => '=',
        ChangeKind::Remove | ChangeKind::Purge => '-',
        ChangeKind::Unknown => '?',
    };
    let versions = [&change.from, &change.to].into_iter().filter(|version| !version.is_empty());
    let versions = versions.map(String::as_str).collect::<Vec<_>>().join(" → ");
    let mark = if change.is_security { "  (security)" } else { "" };
    format!("  {sign} {} {versions}{mark}", change.package)
}

impl Shown<'_> {
    fn line(&self, text: &str) {
        match self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// What is not output of the job goes beside it.
    fn note(&self, text: &str) {
        match self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    /// Shows an event; as JSON one a line.
    fn event(&self, event: &Event) -> anyhow::Result<()> {
        if self.api.output == Output::Json {
            say_json(&serde_json::to_string(event)?);
            return Ok(());
        }
        match &event.kind {
            EventKind::StepStarted { step } => self.line(&format!("── {step}")),
            EventKind::Output { stream: Stream::Agent, line, .. } => self.line(&format!("· {line}")),
            EventKind::Output { line, .. } => self.line(line),
            EventKind::Progress { percent, message, .. } => {
                if let Some(bar) = self.bar {
                    bar.set_position(u64::from(*percent));
                    bar.set_message(printable(message).into_owned());
                }
            }
            EventKind::Finished { outcome: Outcome::Failed { step, reason, .. } } => {
                self.line(&format!("failed in {step}: {reason}"));
            }
            EventKind::Transaction { transaction, .. } => {
                for change in &transaction.changes {
                    self.line(&changed(change));
                }
            }
            EventKind::Finished { .. } | EventKind::StepFinished { .. } | EventKind::Unknown => {}
        }
        Ok(())
    }
}
