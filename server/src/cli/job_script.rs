//! `lotse job-script`

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::plan::Plan;

use super::{
    Exit, Failure,
    api::{Api, Name, Query},
    output::{note, say, table, time},
};
use crate::{
    app::job_scripts::{JobScriptRow, Origin, StepRow, Version},
    planner::sample,
};

#[derive(Subcommand)]
pub(super) enum JobScriptCommand {
    /// List job scripts
    List,
    /// Show what a job script does, its versions and files
    Show {
        /// Its name.
        name: Name,
        /// Another version than the one that is used; 0 is the one that is brought.
        #[arg(long)]
        version: Option<i64>,
        /// Write its files into this new directory.
        #[arg(long, value_name = "DIR")]
        files: Option<PathBuf>,
    },
    /// Check a directory and keep it as the newest version, which is used from then on
    #[command(
        after_help = "Example:\n  lotse job-script show reboot --files reboot && $EDITOR reboot/job.yaml && lotse job-script upload reboot reboot --comment 'longer timeout'"
    )]
    Upload {
        /// The job script's name.
        name: Name,
        /// Directory with job.yaml and what it names.
        directory: PathBuf,
        /// What is different.
        #[arg(long, default_value = "")]
        comment: String,
        /// Only check, keep nothing.
        #[arg(long)]
        check: bool,
    },
    /// Show what is different between two versions
    Diff {
        /// The job script's name.
        name: Name,
        /// The older version; 0 is the one that is brought.
        #[arg(long, default_value_t = 0)]
        from: i64,
        /// The newer version; without it the one that is used.
        #[arg(long)]
        to: Option<i64>,
    },
    /// Show the plan that would come out for a client; nothing is carried out
    Render {
        /// The job script's name.
        name: Name,
        /// The client.
        #[arg(long)]
        client: Name,
        /// Parameters as JSON.
        #[arg(long, default_value = "{}", value_parser = json_object)]
        params: Value,
        /// Another version than the one that is used.
        #[arg(long, conflicts_with = "directory")]
        version: Option<i64>,
        /// Or a directory that was not uploaded.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Let another version count from now on; without a number the one that is brought
    Revert {
        /// The job script's name.
        name: Name,
        /// Its number.
        #[arg(default_value_t = 0)]
        version: i64,
    },
}

fn json_object(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("must be JSON such as {{\"packages\": [\"hello\"]}}: {error}"))
}

/// What is shown of a job script.
#[derive(Deserialize, serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    row: JobScriptRow,
    steps: Vec<StepRow>,
    versions: Vec<Version>,
    samples: Vec<String>,
    files: BTreeMap<String, String>,
}

pub(super) async fn run(api: &Api, command: JobScriptCommand) -> anyhow::Result<()> {
    match command {
        JobScriptCommand::List => list(api).await,
        JobScriptCommand::Show { name, version, files } => show(api, &name, version, files.as_deref()).await,
        JobScriptCommand::Upload { name, directory, comment, check } => {
            let shown: Option<Shown> = known(api, &name).await?;
            let base =
                shown.and_then(|shown| shown.versions.first().map(|version| version.number)).unwrap_or(0);
            let body =
                json!({ "files": read(&directory)?, "comment": comment, "base": base, "check": check });
            let answer: Value =
                api.send_json(Method::POST, &format!("/job-scripts/{name}/versions"), &body).await?;
            if !api.wrote_json(&answer)? {
                match answer["version"].as_i64() {
                    Some(number) => say(&format!(
                        "Version {number} of {name} is used from now on; `lotse job-script diff {name} --from {base}` shows what is different."
                    )),
                    None => say(&format!("{name} can be used; nothing was kept.")),
                }
            }
            Ok(())
        }
        JobScriptCommand::Diff { name, from, to } => {
            let to = match to {
                Some(to) => to,
                None => api.get::<Shown>(&format!("/job-scripts/{name}")).await?.row.version,
            };
            let path = Query::new(&format!("/job-scripts/{name}/difference"))
                .with("from", Some(from))
                .with("to", Some(to));
            let text = api.get_text(&path.0).await?;
            if text.is_empty() {
                note(&format!("Versions {from} and {to} are the same."));
            } else {
                say(text.trim_end());
            }
            Ok(())
        }
        JobScriptCommand::Render { name, client, params, version, directory } => {
            let files = directory.as_deref().map(read).transpose()?;
            let body = json!({ "client": client, "params": params, "version": version, "files": files });
            let plan: Plan =
                api.send_json(Method::POST, &format!("/job-scripts/{name}/render"), &body).await?;
            if !api.wrote_json(&plan)? {
                for (file, text) in sample::as_files(&plan)? {
                    say(&format!("── {file}\n{}", text.trim_end()));
                }
            }
            Ok(())
        }
        JobScriptCommand::Revert { name, version } => {
            let body = json!({ "version": version });
            api.send_json::<Value>(Method::PUT, &format!("/job-scripts/{name}/version"), &body).await?;
            let which = if version == 0 {
                "the version that is brought".to_owned()
            } else {
                format!("version {version}")
            };
            api.told(&format!("{name}: {which} is used from now on; plans that are made stay."));
            Ok(())
        }
    }
}

/// A job script that may not be there yet.
async fn known(api: &Api, name: &Name) -> anyhow::Result<Option<Shown>> {
    match api.get(&format!("/job-scripts/{name}")).await {
        Ok(shown) => Ok(Some(shown)),
        Err(error)
            if error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::NotFound) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let all: Vec<JobScriptRow> = api.get("/job-scripts").await?;
    if api.wrote_json(&all)? {
        return Ok(());
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|mut row| {
            let origin = match row.origin {
                Origin::Lotse => "Lotse".to_owned(),
                Origin::Site => "site".to_owned(),
                Origin::Own => format!("own, version {}", row.version),
            };
            let fault = row.fault.map(|fault| format!("; NOT USED: {fault}")).unwrap_or_default();
            vec![row.name, format!("{origin}{fault}"), row.title.remove("en").unwrap_or_default()]
        })
        .collect();
    table(&["NAME", "FROM", "TITLE"], &rows);
    Ok(())
}

async fn show(api: &Api, name: &Name, version: Option<i64>, into: Option<&Path>) -> anyhow::Result<()> {
    let path = Query::new(&format!("/job-scripts/{name}")).with("version", version);
    let shown: Shown = api.get(&path.0).await?;
    if let Some(directory) = into {
        fs_err::create_dir(directory)?;
        for (path, text) in &shown.files {
            let path = directory.join(path);
            fs_err::create_dir_all(path.parent().unwrap_or(directory))?;
            fs_err::write(path, text)?;
        }
        api.told(&format!("{} files are in {}.", shown.files.len(), directory.display()));
        return Ok(());
    }
    if api.wrote_json(&shown)? {
        return Ok(());
    }
    say(shown.files.get("job.yaml").map_or("", |text| text.trim_end()));
    say("");
    let rows = shown
        .steps
        .into_iter()
        .map(|step| vec![step.id, step.kind, step.source, step.when.unwrap_or_default()]);
    table(&["STEP", "KIND", "FROM", "WHEN"], &rows.collect::<Vec<_>>());
    let rows = shown.versions.into_iter().map(|version| {
        let used = if version.number == shown.row.version { "used" } else { "" };
        vec![
            version.number.to_string(),
            used.to_owned(),
            time(version.created_at),
            version.created_by,
            version.comment,
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        say("");
        table(&["VERSION", "", "MADE (UTC)", "BY", "COMMENT"], &rows);
    }
    Ok(())
}

/// The text files of a directory.
fn read(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    fn walk(root: &Path, directory: &Path, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, files)?;
            } else {
                let text = fs_err::read_to_string(&path)
                    .with_context(|| format!("{} must be a text file", path.display()))?;
                files.insert(path.strip_prefix(root)?.display().to_string(), text);
            }
        }
        Ok(())
    }
    let mut files = BTreeMap::new();
    walk(directory, directory, &mut files)?;
    Ok(files)
}
