//! `lotse job` and `lotse package`

use std::time::Duration;

use clap::Subcommand;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use wire::{
    AttemptId, JobId,
    event::{Event, EventKind, Outcome, Stream},
    plan::Plan,
};

use super::{
    Exit, Failure, Output,
    api::Api,
    misc::sse,
    output::{is_watched, note, say, table, time},
};
use crate::{
    catalog::params::Params,
    domain::job::JobState,
    http::api::view::{JobView, Page},
};

#[derive(Subcommand)]
pub(super) enum JobCommand {
    /// List jobs, newest first
    List {
        /// Only of this client.
        #[arg(long)]
        client: Option<String>,
        /// Only in this state: held, queued, running, succeeded, failed, cancelled, expired.
        #[arg(long)]
        state: Option<JobState>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Show a job, why it waits, and its history
    Show {
        /// Its number.
        id: JobId,
    },
    /// Show exactly what a job does
    Plan {
        /// Its number.
        id: JobId,
    },
    /// Watch a job live until it ends; ends with 0 when it succeeded and 1 when it did not
    Watch {
        /// Its number.
        id: JobId,
    },
    /// Queue a job of any type
    #[command(after_help = "Example:\n  lotse job run lab-01 script --param text='uptime' --watch")]
    Run {
        /// The client's name.
        client: String,
        /// The job type.
        job_type: String,
        /// Parameters; a list is written with commas.
        #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
        params: Vec<String>,
        /// Keep it held until somebody accepts it.
        #[arg(long)]
        hold: bool,
        /// Watch it until it ends.
        #[arg(long)]
        watch: bool,
    },
    /// List job types and their parameters
    Types,
    /// Let a held job run
    Accept {
        /// Its number.
        id: JobId,
    },
    /// Hold a queued job back
    Hold {
        /// Its number.
        id: JobId,
    },
    /// Cancel a job, also while it runs
    Cancel {
        /// Its number.
        id: JobId,
    },
    /// Let a running rescue end
    Release {
        /// Its number.
        id: JobId,
    },
    /// Queue a failed job again
    Retry {
        /// Its number.
        id: JobId,
    },
}

#[derive(Subcommand)]
pub(super) enum PackageCommand {
    /// Install packages
    #[command(after_help = "Example:\n  lotse package install lab-01 hello tree --watch")]
    Install(PackageWords),
    /// Remove packages
    Remove {
        #[command(flatten)]
        words: PackageWords,
        /// Remove their configuration files too.
        #[arg(long)]
        purge: bool,
    },
    /// Refresh package lists
    Update(OnClient),
    /// Upgrade all packages
    Upgrade {
        #[command(flatten)]
        on: OnClient,
        /// Allow that packages are added and removed.
        #[arg(long)]
        full: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct PackageWords {
    #[command(flatten)]
    on: OnClient,
    /// Names of the packages.
    #[arg(required = true)]
    packages: Vec<String>,
}

#[derive(clap::Args)]
pub(super) struct OnClient {
    /// The client's name.
    client: String,
    /// Watch it until it ends.
    #[arg(long)]
    watch: bool,
    /// Keep it held until somebody accepts it.
    #[arg(long)]
    hold: bool,
}

pub(super) async fn package(api: &Api, command: PackageCommand) -> anyhow::Result<()> {
    let (on, job_type, params) = match command {
        PackageCommand::Install(words) => {
            (words.on, "package-install", json!({ "packages": words.packages }))
        }
        PackageCommand::Remove { words, purge } => {
            (words.on, "package-remove", json!({ "packages": words.packages, "purge": purge }))
        }
        PackageCommand::Update(on) => (on, "package-update", json!({})),
        PackageCommand::Upgrade { on, full } => (on, "package-upgrade", json!({ "full": full })),
    };
    queue(api, &on.client, &json!({ "job_type": job_type, "params": params, "hold": on.hold }), on.watch)
        .await
}

async fn queue(api: &Api, client: &str, order: &Value, and_watch: bool) -> anyhow::Result<()> {
    let id: JobId = api.send_json(Method::POST, &format!("/clients/{client}/jobs"), order).await?;
    if and_watch {
        return watch(api, id).await;
    }
    if !api.wrote_json(&id)? {
        say(&format!("Job {id} is queued; `lotse job watch {id}` shows it live."));
    }
    Ok(())
}

/// An order for the API; values get their types from the job type's declaration.
pub(super) async fn order(api: &Api, job_type: &str, words: &[String], hold: bool) -> anyhow::Result<Value> {
    let types: Vec<Value> = api.get("/job-types").await?;
    let found = types.iter().find(|declared| declared["name"] == job_type);
    let Some(found) = found else {
        return Err(Failure::error(
            Exit::NotFound,
            format!("there is no job type `{job_type}`; `lotse job types` shows those that are known"),
        ));
    };
    let params: Params = serde_json::from_value(found["params"].clone())?;
    let params = params.parse_words(words).map_err(|problems| {
        let lines: Vec<_> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
        Failure::error(Exit::Usage, lines.join("\n"))
    })?;
    Ok(json!({ "job_type": job_type, "params": params, "hold": hold }))
}

pub(super) async fn run(api: &Api, command: JobCommand) -> anyhow::Result<()> {
    let change = async |id: JobId, verb: &str| api.order(Method::POST, &format!("/jobs/{id}/{verb}")).await;
    match command {
        JobCommand::List { client, state, limit } => list(api, client, state, limit).await,
        JobCommand::Show { id } => show(api, id).await,
        JobCommand::Plan { id } => {
            let plan: Plan = api.get(&format!("/jobs/{id}/plan")).await?;
            say(&serde_json::to_string_pretty(&plan)?);
            Ok(())
        }
        JobCommand::Watch { id } => watch(api, id).await,
        JobCommand::Run { client, job_type, params, hold, watch } => {
            let order = order(api, &job_type, &params, hold).await?;
            queue(api, &client, &order, watch).await
        }
        JobCommand::Types => types(api).await,
        JobCommand::Accept { id } => change(id, "accept").await,
        JobCommand::Hold { id } => change(id, "hold").await,
        JobCommand::Cancel { id } => change(id, "cancel").await,
        JobCommand::Release { id } => change(id, "release").await,
        JobCommand::Retry { id } => {
            let id: JobId = api.send_json(Method::POST, &format!("/jobs/{id}/retry"), &json!({})).await?;
            if !api.wrote_json(&id)? {
                say(&format!("Queued again as job {id}."));
            }
            Ok(())
        }
    }
}

async fn list(api: &Api, client: Option<String>, state: Option<JobState>, limit: i64) -> anyhow::Result<()> {
    let mut path = format!("/jobs?limit={limit}");
    if let Some(client) = client {
        path.push_str(&format!("&client={client}"));
    }
    if let Some(state) = state {
        path.push_str(&format!("&state={state}"));
    }
    let page: Page<JobView> = api.get(&path).await?;
    if api.wrote_json(&page.items)? {
        return Ok(());
    }
    if page.items.is_empty() {
        note("There are no such jobs.");
        return Ok(());
    }
    let rows: Vec<_> = page
        .items
        .into_iter()
        .map(|view| {
            let why = view.waits_for.unwrap_or(view.job.reason);
            vec![
                view.job.id.to_string(),
                view.client_name,
                view.job.job_type,
                view.job.state.to_string(),
                why,
            ]
        })
        .collect();
    table(&["ID", "CLIENT", "TYPE", "STATE", "WHY"], &rows);
    Ok(())
}

async fn show(api: &Api, id: JobId) -> anyhow::Result<()> {
    let view: JobView = api.get(&format!("/jobs/{id}")).await?;
    if api.wrote_json(&view)? {
        return Ok(());
    }
    say(&format!("Job {id}: {} on {}, {}", view.job.job_type, view.client_name, view.job.state));
    if let Some(why) = &view.waits_for {
        say(&format!("  {why}"));
    }
    if !view.job.reason.is_empty() {
        say(&format!("  {}", view.job.reason));
    }
    let rows: Vec<_> = view
        .history
        .into_iter()
        .map(|line| vec![time(line.at), line.to.to_string(), line.actor, line.reason])
        .collect();
    table(&["TIME (UTC)", "STATE", "BY", "WHY"], &rows);
    Ok(())
}

async fn types(api: &Api) -> anyhow::Result<()> {
    let types: Vec<Value> = api.get("/job-types").await?;
    if api.wrote_json(&types)? {
        return Ok(());
    }
    let rows: Vec<_> = types
        .iter()
        .map(|declared| {
            let params: Vec<_> = declared["params"]
                .as_object()
                .into_iter()
                .flatten()
                .map(
                    |(name, param)| if param["required"] == true { format!("{name}*") } else { name.clone() },
                )
                .collect();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            vec![text(&declared["name"]), params.join(", "), text(&declared["title"]["en"])]
        })
        .collect();
    table(&["NAME", "PARAMETERS (* required)", "TITLE"], &rows);
    Ok(())
}

/// Follows a job through all its attempts until it ends. Lines are neither lost nor repeated when the connection breaks.
async fn watch(api: &Api, id: JobId) -> anyhow::Result<()> {
    let bar = (is_watched() && api.output == Output::Table).then(bar);
    let mut shown = Shown { api, bar: bar.as_ref() };
    let mut told = String::new();
    let mut attempt = None;
    let mut after = 0;
    let ended = loop {
        let view: JobView = api.get(&format!("/jobs/{id}")).await?;
        if let Some(why) = view.waits_for.as_ref().filter(|why| **why != told) {
            told.clone_from(why);
            shown.line(why);
        }
        if let Some(latest) = view.attempts_made.last() {
            if attempt != Some(latest.id) {
                (attempt, after) = (Some(latest.id), 0);
                if latest.number > 1 {
                    shown.line(&format!("attempt {}", latest.number));
                }
            }
            follow(api, latest.id, &mut after, &mut shown).await?;
        }
        let view: JobView = api.get(&format!("/jobs/{id}")).await?;
        if view.job.state.is_final() && view.attempts_made.last().map(|latest| latest.id) == attempt {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if ended.job.state == JobState::Succeeded {
        note(&format!("Job {id} has succeeded."));
        return Ok(());
    }
    Err(Failure::error(Exit::Failed, format!("job {id} is {}: {}", ended.job.state, ended.job.reason)))
}

async fn follow(api: &Api, attempt: AttemptId, after: &mut i64, shown: &mut Shown<'_>) -> anyhow::Result<()> {
    let mut events = sse(api.follow(&format!("/attempts/{attempt}/output/stream"), *after).await?);
    while let Some(data) = events.next().await {
        if let Ok(event) = serde_json::from_str::<Event>(&data) {
            *after = i64::try_from(event.seq).unwrap_or(*after);
            shown.event(&event)?;
        }
    }
    Ok(())
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

impl Shown<'_> {
    fn line(&self, text: &str) {
        match self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.api.output == Output::Json => note(text),
            None => say(text),
        }
    }

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.api.output == Output::Json {
            say(&serde_json::to_string(event)?);
            return Ok(());
        }
        match &event.kind {
            EventKind::StepStarted { step } => self.line(&format!("── {step}")),
            EventKind::Output { stream: Stream::Agent, line, .. } => self.line(&format!("· {line}")),
            EventKind::Output { line, .. } => self.line(line),
            EventKind::Progress { percent, message, .. } => {
                if let Some(bar) = self.bar {
                    bar.set_position(u64::from(*percent));
                    bar.set_message(message.clone());
                }
            }
            EventKind::Finished { outcome: Outcome::Failed { step, reason, .. } } => {
                self.line(&format!("failed in {step}: {reason}"));
            }
            EventKind::Finished { .. } | EventKind::StepFinished { .. } | EventKind::Unknown => {}
        }
        Ok(())
    }
}
