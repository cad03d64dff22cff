//! `lotse layout` and `lotse distribution`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Exit, Failure,
    api::{Api, Name},
    output::{say, table},
};
use crate::{
    app::layouts::{LayoutCheck, NamedLayout},
    domain::layout::{Layout, size::human},
    planner::storage::DiskPreview,
};

#[derive(Subcommand)]
pub(super) enum LayoutCommand {
    /// List layouts
    List,
    /// Show the text of a layout
    Show {
        /// Its name.
        name: Name,
    },
    /// Keep a layout from a YAML file
    Set {
        /// Its name.
        name: Name,
        /// The file.
        file: PathBuf,
    },
    /// Remove an own layout
    Delete {
        /// Its name.
        name: Name,
    },
    /// Check the text of a layout before it is kept, and show what it would do
    Try {
        /// The file.
        file: PathBuf,
        /// The client whose disks are meant; without one it is an example.
        #[arg(long, value_name = "NAME")]
        client: Option<Name>,
    },
    /// Show what a layout would do to a client's disks
    Check {
        /// The layout's name.
        name: Name,
        /// The client's name.
        client: Name,
    },
}

#[derive(Subcommand)]
pub(super) enum DistributionCommand {
    /// List distributions
    List,
}

pub(super) async fn layout(api: &Api, command: LayoutCommand) -> anyhow::Result<()> {
    match command {
        LayoutCommand::List => {
            let layouts: Vec<NamedLayout> = api.get("/layouts").await?;
            if api.wrote_json(&layouts)? {
                return Ok(());
            }
            let rows: Vec<_> = layouts
                .into_iter()
                .map(|layout| {
                    let title =
                        Layout::parse(&layout.yaml).ok().and_then(|mut parsed| parsed.title.remove("en"));
                    vec![
                        layout.name,
                        if layout.own { "own" } else { "" }.to_owned(),
                        title.unwrap_or_default(),
                    ]
                })
                .collect();
            table(&["NAME", "", "TITLE"], &rows);
            Ok(())
        }
        LayoutCommand::Show { name } => {
            let layout: NamedLayout = api.get(&format!("/layouts/{name}")).await?;
            if !api.wrote_json(&layout)? {
                say(layout.yaml.trim_end());
            }
            Ok(())
        }
        LayoutCommand::Set { name, file } => {
            api.put_text(&format!("/layouts/{name}"), fs_err::read_to_string(file)?).await?;
            api.told(&format!(
                "The layout {name} is kept; `lotse layout check {name} CLIENT` shows what it would do."
            ));
            Ok(())
        }
        LayoutCommand::Delete { name } => {
            api.order(
                Method::DELETE,
                &format!("/layouts/{name}"),
                &format!("The own layout {name} is removed."),
            )
            .await
        }
        LayoutCommand::Check { name, client } => {
            let disks: Vec<DiskPreview> =
                api.get(&format!("/clients/{client}/storage?layout={name}")).await?;
            if !api.wrote_json(&disks)? {
                show(disks);
            }
            Ok(())
        }
        LayoutCommand::Try { file, client } => {
            let body = json!({ "yaml": fs_err::read_to_string(&file)?, "client": client });
            let check: LayoutCheck = api.send_json(Method::POST, "/layout-checks", &body).await?;
            if !check.problems.is_empty() {
                let lines: Vec<_> = check.problems.iter().map(ToString::to_string).collect();
                let message = format!("{} cannot be used:\n  {}", file.display(), lines.join("\n  "));
                return Err(Failure::error(Exit::Failed, message));
            }
            if !api.wrote_json(&check)? {
                show(check.disks);
            }
            Ok(())
        }
    }
}

fn show(disks: Vec<DiskPreview>) {
    for disk in disks {
        say(&format!(
            "Disk {}, destroyed: {}",
            disk.disk,
            if disk.destroyed.is_empty() { "nothing" } else { &disk.destroyed }
        ));
        let rows: Vec<_> = disk
            .written
            .into_iter()
            .map(|part| {
                vec![
                    part.id,
                    human(part.start_bytes),
                    human(part.size_bytes),
                    if part.kept { "kept".to_owned() } else { part.content },
                    part.mount,
                ]
            })
            .collect();
        table(&["ID", "START", "SIZE", "CONTENT", "MOUNT"], &rows);
    }
}

pub(super) async fn distributions(api: &Api) -> anyhow::Result<()> {
    let all: Vec<Value> = api.get("/distributions").await?;
    if api.wrote_json(&all)? {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows: Vec<_> = all
        .iter()
        .map(|one| vec![text(&one["name"]), text(&one["suite"]), text(&one["title"]["en"])])
        .collect();
    table(&["NAME", "SUITE", "TITLE"], &rows);
    Ok(())
}
