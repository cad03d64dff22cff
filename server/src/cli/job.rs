//! `lotse job`

mod watch;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use wire::{JobId, plan::Plan};

use self::watch::{output, watch};
use super::{
    Exit, Failure,
    api::{Api, Name, Query, encoded},
    output::{note, say, say_json, table, time},
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
        client: Option<Name>,
        /// Only in this state: held, queued, running, succeeded, failed, cancelled, expired.
        #[arg(long)]
        state: Option<JobState>,
        /// Only of this type, such as package-install.
        #[arg(long = "type", value_name = "TYPE")]
        job_type: Option<String>,
        /// Only with this text in their reason.
        #[arg(long, value_name = "TEXT")]
        cause: Option<String>,
        /// At most so many, up to 500.
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
    /// Show what a job has written so far, without waiting for more
    Output {
        /// Its number.
        id: JobId,
    },
    /// Queue a job of any type
    #[command(after_help = "Example:\n  lotse job run lab-01 script --param text='uptime' --watch")]
    Run {
        /// The client's name.
        client: Name,
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
        /// Why, for its history.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Cancel a job, also while it runs
    Cancel {
        /// Its number.
        id: JobId,
        /// Why, for its history.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a running rescue end
    Release {
        /// Its number.
        id: JobId,
    },
    /// Queue a failed job again, with what was cancelled because of it
    Retry {
        /// Its number.
        id: JobId,
    },
}

pub(super) async fn queue(api: &Api, client: &Name, order: &Value, and_watch: bool) -> anyhow::Result<()> {
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
    let change = async |id: JobId, verb: &str, done: &str| {
        api.order(Method::POST, &format!("/jobs/{id}/{verb}"), &format!("Job {id} {done}.")).await
    };
    match command {
        JobCommand::List { client, state, job_type, cause, limit } => {
            let path = Query::new("/jobs")
                .with("limit", Some(limit))
                .with("client", client)
                .with("state", state)
                .with("type", job_type.as_deref().map(encoded))
                .with("cause", cause.as_deref().map(encoded));
            list(api, &path).await
        }
        JobCommand::Show { id } => show(api, id).await,
        JobCommand::Plan { id } => {
            let plan: Plan = api.get(&format!("/jobs/{id}/plan")).await?;
            say_json(&serde_json::to_string_pretty(&plan)?);
            Ok(())
        }
        JobCommand::Watch { id } => watch(api, id).await,
        JobCommand::Output { id } => output(api, id).await,
        JobCommand::Run { client, job_type, params, hold, watch } => {
            let order = order(api, &job_type, &params, hold).await?;
            queue(api, &client, &order, watch).await
        }
        JobCommand::Types => types(api).await,
        JobCommand::Accept { id } => change(id, "accept", "may run").await,
        JobCommand::Hold { id, reason } => because(api, id, "hold", &reason, "is held").await,
        JobCommand::Cancel { id, reason } => {
            because(api, id, "cancel", &reason, "is cancelled, or ends as soon as its agent hears of it")
                .await
        }
        JobCommand::Release { id } => change(id, "release", "is told to end").await,
        JobCommand::Retry { id } => {
            let id: JobId = api.send_json(Method::POST, &format!("/jobs/{id}/retry"), &json!({})).await?;
            if !api.wrote_json(&id)? {
                say(&format!("Queued again as job {id}."));
            }
            Ok(())
        }
    }
}

async fn because(api: &Api, id: JobId, verb: &str, reason: &str, done: &str) -> anyhow::Result<()> {
    let body = json!({ "reason": reason });
    api.send_json::<Value>(Method::POST, &format!("/jobs/{id}/{verb}"), &body).await?;
    api.told(&format!("Job {id} {done}."));
    Ok(())
}

async fn list(api: &Api, path: &Query) -> anyhow::Result<()> {
    let page: Page<JobView> = api.get(&path.0).await?;
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
    if let Some(leader) = view.job.joined_to {
        say(&format!("  carried out together with job {leader}, which has the output"));
    }
    if !view.joined.is_empty() {
        let joined: Vec<String> = view.joined.iter().map(ToString::to_string).collect();
        say(&format!("  carried out together with jobs {}", joined.join(", ")));
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
