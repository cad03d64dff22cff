//! `lotse desktop`

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::{
    api::{Api, Name},
    client::{Wishes, confirm},
    output::{note, say, table, time},
};
use crate::{
    app::desktops::{Desktop, DesktopRecord},
    domain::{
        client::ClientConfig,
        desktop::{DesktopState, FaultClass, PowerOrder},
    },
};

/// How often a desktop that is watched is asked about.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub(super) enum DesktopCommand {
    /// List desktops
    List,
    /// Show a desktop: how it is reached, which providers were tried, what was made
    Show {
        /// Its name.
        name: Name,
    },
    /// Make a desktop: a client whose machine is made at a provider, and installed
    #[command(
        after_help = "Example:\n  lotse desktop create ann-desk --pool cloud --user ann --ssh-keys ann.pub --distribution debian-12 --group office --watch"
    )]
    Create(Box<Create>),
    /// Start a desktop's machine
    Start {
        /// Its name.
        name: Name,
    },
    /// Stop a desktop's machine
    Stop {
        /// Its name.
        name: Name,
    },
    /// Restart a desktop's machine
    Reboot {
        /// Its name.
        name: Name,
    },
    /// Replace a desktop's machine by a new one and install that; what is on its disk is gone
    Rebuild {
        /// Its name.
        name: Name,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Delete a desktop: its machine with disk, ports and addresses, and its client with all records
    Delete {
        /// Its name.
        name: Name,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
        /// Wait until nothing is left.
        #[arg(long)]
        watch: bool,
    },
}

/// A desktop to be made.
#[derive(Args)]
pub(super) struct Create {
    /// Its host name.
    name: Name,
    /// Make it at this provider.
    #[arg(long, required_unless_present = "pool", conflicts_with = "pool")]
    provider: Option<Name>,
    /// Make it at a provider of this pool.
    #[arg(long)]
    pool: Option<Name>,
    /// A size that the provider knows.
    #[arg(long, default_value = "standard")]
    size: Name,
    /// Wait until its machine runs.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    wishes: Wishes,
}

pub(super) async fn run(api: &Api, command: DesktopCommand) -> anyhow::Result<()> {
    match command {
        DesktopCommand::List => list(api).await,
        DesktopCommand::Show { name } => {
            let record: DesktopRecord = api.get(&format!("/desktops/{name}")).await?;
            if !api.wrote_json(&record)? {
                shown(&record);
            }
            Ok(())
        }
        DesktopCommand::Create(create) => make(api, *create).await,
        DesktopCommand::Start { name } => power(api, &name, PowerOrder::Start, "is started").await,
        DesktopCommand::Stop { name } => power(api, &name, PowerOrder::Stop, "is stopped").await,
        DesktopCommand::Reboot { name } => power(api, &name, PowerOrder::Reboot, "is restarted").await,
        DesktopCommand::Rebuild { name, yes } => {
            if !yes {
                confirm(
                    &name,
                    &format!("The machine of {name} will be replaced, and everything on it is gone."),
                )?;
            }
            let done = format!("{name} is made anew; `lotse desktop show {name}` shows how far it is.");
            api.order(Method::POST, &format!("/desktops/{name}/rebuild"), &done).await
        }
        DesktopCommand::Delete { name, yes, watch } => {
            if !yes {
                confirm(&name, &format!("{name} will be deleted: machine, disk, client and all records."))?;
            }
            let done = format!("{name} is being deleted.");
            api.order(Method::DELETE, &format!("/desktops/{name}"), &done).await?;
            if watch { watched(api, &name, DesktopState::Deleted).await } else { Ok(()) }
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let desktops: Vec<Desktop> = api.get("/desktops").await?;
    if api.wrote_json(&desktops)? {
        return Ok(());
    }
    if desktops.is_empty() {
        note("There are no desktops: `lotse desktop create --help`.");
        return Ok(());
    }
    let rows: Vec<_> = desktops
        .into_iter()
        .map(|desktop| {
            let at = desktop.wish.provider.or(desktop.wish.pool).unwrap_or_default();
            vec![
                desktop.name,
                desktop.state.as_str().to_owned(),
                desktop.power,
                at,
                desktop.wish.size,
                desktop.reason,
            ]
        })
        .collect();
    table(&["NAME", "STATE", "MACHINE", "AT", "SIZE", ""], &rows);
    Ok(())
}

async fn make(api: &Api, create: Create) -> anyhow::Result<()> {
    let Create { name, provider, pool, size, watch, wishes } = create;
    let body = json!({
        "client": {
            "name": name,
            "config": wishes.apply(ClientConfig::default())?,
            "groups": wishes.groups,
            "passwords": wishes.passwords()?,
        },
        "provider": provider,
        "pool": pool,
        "size": size,
    });
    let record: DesktopRecord = api.send_json(Method::POST, "/desktops", &body).await?;
    if watch {
        return watched(api, &name, DesktopState::Ready).await;
    }
    if !api.wrote_json(&record)? {
        say(&format!("{name} is being made; `lotse desktop show {name}` shows how far it is."));
    }
    Ok(())
}

async fn power(api: &Api, name: &Name, order: PowerOrder, done: &str) -> anyhow::Result<()> {
    let path = format!("/desktops/{name}/power");
    let _: Option<()> = api.send_json(Method::POST, &path, &json!({ "order": order })).await?;
    api.told(&format!("{name} {done}."));
    Ok(())
}

fn shown(record: &DesktopRecord) {
    let desktop = &record.desktop;
    let state = desktop.state.as_str();
    let machine = if desktop.power.is_empty() { "" } else { ", its machine is " };
    say(&format!("{}: {state}{machine}{}", desktop.name, desktop.power));
    if !desktop.reason.is_empty() {
        say(&desktop.reason);
    }
    for reached in &record.reached {
        say(&format!("port {} is reached at {}", reached.port, reached.at));
    }
    let trials: Vec<_> = record
        .trials
        .iter()
        .map(|trial| {
            let class = trial.class.map_or("", FaultClass::as_str);
            vec![
                trial.provider.clone(),
                trial.state.as_str().to_owned(),
                time(trial.started_at),
                class.to_owned(),
                trial.reason.clone(),
            ]
        })
        .collect();
    say("");
    table(&["TRIED", "STATE", "BEGUN", "FAULT", ""], &trials);
    let parts: Vec<_> = record
        .journal
        .iter()
        .map(|part| {
            vec![
                part.kind.as_str().to_owned(),
                part.state.as_str().to_owned(),
                part.tag.clone(),
                part.remote.clone().unwrap_or_default(),
                time(part.changed_at),
                part.problem.clone(),
            ]
        })
        .collect();
    say("");
    table(&["PART", "STATE", "NAME", "ID THERE", "SINCE", ""], &parts);
}

/// Waits until a desktop is where it shall be, and says what it waits for.
async fn watched(api: &Api, name: &Name, wanted: DesktopState) -> anyhow::Result<()> {
    let mut said = String::new();
    loop {
        let record: DesktopRecord = api.get(&format!("/desktops/{name}")).await?;
        let state = record.desktop.state;
        if state == wanted {
            if !api.wrote_json(&record)? {
                shown(&record);
            }
            return Ok(());
        }
        let reason = &record.desktop.reason;
        anyhow::ensure!(
            !matches!(state, DesktopState::Failed | DesktopState::Lost),
            "{name} is {}: {reason}",
            state.as_str()
        );
        if *reason != said {
            note(reason);
            said.clone_from(reason);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
