//! `lotse selection`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use wire::JobId;

use super::{
    api::{Api, Name},
    output::{note, say, table},
};
use crate::{
    app::selections::{Revision, Selection, SelectionRecord, Standing},
    clock::rfc3339,
    domain::selection::{Drift, DriftKind},
};

#[derive(Subcommand)]
pub(super) enum SelectionCommand {
    /// List selections of packages
    List,
    /// Show a selection, its groups, and the clients that differ from it
    Show {
        /// Its name.
        name: Name,
    },
    /// Show what a selection was after each change
    Revisions {
        /// Its name.
        name: Name,
    },
    /// Make or change a selection by a YAML file
    Import {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Write a selection as a YAML file to standard output
    Export {
        /// Its name.
        name: Name,
    },
    /// Give a selection to a group: each member gets it once, those who join later as well
    Attach {
        /// Its name.
        name: Name,
        /// The group's name.
        group: Name,
    },
    /// Take a selection away from a group; what is installed stays
    Detach {
        /// Its name.
        name: Name,
        /// The group's name.
        group: Name,
    },
    /// Show in what a client differs from a selection, or from all that it has
    Compare {
        /// The client's name.
        client: Name,
        /// The selection's name.
        name: Option<Name>,
    },
    /// Bring a client to a selection
    Apply {
        /// Its name.
        name: Name,
        /// The client's name.
        client: Name,
    },
    /// Remove a selection; what is installed stays
    Delete {
        /// Its name.
        name: Name,
    },
}

pub(super) async fn selection(api: &Api, command: SelectionCommand) -> anyhow::Result<()> {
    match command {
        SelectionCommand::List => list(api).await,
        SelectionCommand::Show { name } => show(api, &name).await,
        SelectionCommand::Revisions { name } => {
            let all: Vec<Revision> = api.get(&format!("/selections/{name}/revisions")).await?;
            if !api.wrote_json(&all)? {
                let row = |it: Revision| {
                    let (install, remove) = (it.contents.install.join(" "), it.contents.remove.join(" "));
                    vec![it.revision.to_string(), rfc3339(it.at), it.by, install, remove]
                };
                table(
                    &["REVISION", "SINCE", "BY", "INSTALL", "REMOVE"],
                    &all.into_iter().map(row).collect::<Vec<_>>(),
                );
            }
            Ok(())
        }
        SelectionCommand::Import { file } => {
            let body = json!({ "yaml": text(&file)? });
            let done: Selection = api.send_json(Method::POST, "/selection-imports", &body).await?;
            if !api.wrote_json(&done)? {
                say(&format!("The selection {} has revision {}.", done.name, done.revision));
            }
            Ok(())
        }
        SelectionCommand::Export { name } => {
            let text = api.get_text(&format!("/selections/{name}/file")).await?;
            say(text.trim_end());
            Ok(())
        }
        SelectionCommand::Attach { name, group } => {
            let done = format!("The members of {group} have the selection {name}.");
            api.order(Method::PUT, &format!("/selections/{name}/groups/{group}"), &done).await
        }
        SelectionCommand::Detach { name, group } => {
            let done =
                format!("The group {group} no longer has the selection {name}; what is installed stays.");
            api.order(Method::DELETE, &format!("/selections/{name}/groups/{group}"), &done).await
        }
        SelectionCommand::Compare { client, name } => {
            let all: Vec<Standing> = match &name {
                Some(name) => vec![api.get(&format!("/clients/{client}/selections/{name}")).await?],
                None => api.get(&format!("/clients/{client}/selections")).await?,
            };
            if !api.wrote_json(&all)? {
                if all.is_empty() {
                    note(&format!("{client} has no selection by its groups."));
                }
                for standing in &all {
                    tell(&standing.selection, standing);
                }
            }
            Ok(())
        }
        SelectionCommand::Apply { name, client } => {
            let id: JobId = api
                .send_json(Method::POST, &format!("/clients/{client}/selections/{name}"), &json!({}))
                .await?;
            if !api.wrote_json(&id)? {
                say(&format!("Job {id} is queued; `lotse job watch {id}` shows it live."));
            }
            Ok(())
        }
        SelectionCommand::Delete { name } => {
            let done = format!("The selection {name} is removed; what is installed stays.");
            api.order(Method::DELETE, &format!("/selections/{name}"), &done).await
        }
    }
}

fn text(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    Ok(fs_err::read_to_string(file)?)
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let all: Vec<SelectionRecord> = api.get("/selections").await?;
    if api.wrote_json(&all)? {
        return Ok(());
    }
    if all.is_empty() {
        note("There are no selections yet: `lotse selection import FILE`.");
        return Ok(());
    }
    let row = |it: SelectionRecord| {
        vec![
            it.selection.name,
            it.selection.revision.to_string(),
            it.counts.clients.to_string(),
            it.counts.drifting.to_string(),
            it.selection.groups.join(" "),
            it.selection.contents.description,
        ]
    };
    let rows: Vec<_> = all.into_iter().map(row).collect();
    table(&["NAME", "REVISION", "CLIENTS", "DIFFER", "GROUPS", "DESCRIPTION"], &rows);
    Ok(())
}

async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let record: SelectionRecord = api.get(&format!("/selections/{name}")).await?;
    if api.wrote_json(&record)? {
        return Ok(());
    }
    let SelectionRecord { selection, counts } = record;
    let contents = &selection.contents;
    say(&format!("{} {}, revision {}", selection.name, contents.description, selection.revision));
    say(&format!("install: {}\nremove:  {}", contents.install.join(" "), contents.remove.join(" ")));
    say(&format!("groups:  {}", selection.groups.join(" ")));
    say(&format!("{} clients have it, {} of them differ", counts.clients, counts.drifting));
    if counts.drifting > 0 {
        let drifting: Vec<Standing> = api.get(&format!("/selections/{name}/drift")).await?;
        for standing in &drifting {
            tell(&standing.client, standing);
        }
    }
    Ok(())
}

fn tell(head: &str, standing: &Standing) {
    match (standing.known, standing.drift.is_empty()) {
        (false, _) => say(&format!("{head}: its packages are not known")),
        (true, true) => say(&format!("{head}: as it is to be")),
        (true, false) => {
            say(&format!("{head}:"));
            for drift in &standing.drift {
                say(&format!("  {}", in_words(drift)));
            }
        }
    }
}

fn in_words(Drift { kind, package, present }: &Drift) -> String {
    match kind {
        DriftKind::Missing => format!("{package} is missing"),
        DriftKind::OtherVersion => format!("{package}: there is {present}"),
        DriftKind::HeldBack => format!("{package} is held at {present}"),
        DriftKind::Unwanted => format!("{package} {present} is not to be there"),
    }
}
