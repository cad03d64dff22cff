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
    app::desktops::{Connection, Desktop, DesktopPlan, DesktopRecord, DesktopView, PlannedPlace},
    clock::SECOND,
    domain::{
        client::ClientConfig,
        desktop::{DesktopState, FaultClass, PowerOrder},
        desktop_stage::{DesktopStage, StageState},
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
    /// Make it in this network of the provider instead of the one for desktops.
    #[arg(long, value_name = "NETWORK")]
    provider_network: Option<String>,
    /// A selection of packages that it gets, beside those of its groups.
    #[arg(long)]
    selection: Option<Name>,
    /// Only show what would be made, and where.
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
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
            let view: DesktopView = api.get(&format!("/desktops/{name}")).await?;
            if !api.wrote_json(&view)? {
                shown(&view);
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
    let Create { name, provider, pool, size, provider_network, selection, dry_run, watch, wishes } = create;
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
        "network": provider_network,
        "selection": selection,
    });
    if dry_run {
        let plan: DesktopPlan = api.send_json(Method::POST, "/desktop-plans", &body).await?;
        if !api.wrote_json(&plan)? {
            planned(&plan);
        }
        return Ok(());
    }
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

fn planned(plan: &DesktopPlan) {
    let row = |place: &PlannedPlace| {
        let ports: Vec<_> = place.ports.iter().map(u16::to_string).collect();
        vec![
            place.provider.clone(),
            place.zone.clone(),
            place.offering.clone(),
            place.disk.clone(),
            place.network.clone(),
            place.image.clone(),
            ports.join(","),
            place.problems.join("; "),
        ]
    };
    let rows: Vec<_> = plan.places.iter().map(row).collect();
    table(&["AT", "ZONE", "OFFERING", "DISK", "NETWORK", "IMAGE", "PORTS", ""], &rows);
    say(&format!("Then it is set up: {}", plan.jobs.join(", ")));
}

/// A way to the desktop, in words.
fn connection(connection: &Connection) -> String {
    let Connection { by, host, port, session, user } = connection;
    let user = if user.is_empty() { String::new() } else { format!(", user {user}") };
    let session = if session.is_empty() { String::new() } else { format!(", session type {session}") };
    format!("{by}: host {host}, port {port}{user}{session}")
}

fn stage(stage: &DesktopStage) -> Vec<String> {
    let took = match (stage.began_at, stage.ended_at) {
        (Some(began), Some(ended)) => format!("{} s", (ended - began) / SECOND),
        _ => String::new(),
    };
    let job = stage.job.map(|job| format!("job {job}")).unwrap_or_default();
    let state = stage.state.as_str().to_owned();
    vec![stage.stage.as_str().to_owned(), state, took, job, stage.reason.clone()]
}

fn shown(view: &DesktopView) {
    let record = &view.record;
    let desktop = &record.desktop;
    let state = desktop.state.as_str();
    let machine = if desktop.power.is_empty() { "" } else { ", its machine is " };
    say(&format!("{}: {state}{machine}{}", desktop.name, desktop.power));
    if !desktop.reason.is_empty() {
        say(&desktop.reason);
    }
    for way in &view.connections {
        say(&connection(way));
    }
    for reached in &record.reached {
        say(&format!("port {} is reached at {}", reached.port, reached.at));
    }
    let stages: Vec<_> = view.stages.iter().map(stage).collect();
    if !stages.is_empty() {
        say("");
        table(&["STAGE", "STATE", "TOOK", "AT", ""], &stages);
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
        let view: DesktopView = api.get(&format!("/desktops/{name}")).await?;
        let desktop = &view.record.desktop;
        let state = desktop.state;
        if state == wanted {
            if !api.wrote_json(&view)? {
                shown(&view);
            }
            return Ok(());
        }
        let under_way = view.stages.iter().find(|stage| stage.state != StageState::Done);
        let reason = under_way.map_or(&desktop.reason, |stage| &stage.reason);
        anyhow::ensure!(
            !matches!(state, DesktopState::Failed | DesktopState::Lost),
            "{name} is {}: {reason}",
            state.as_str()
        );
        if *reason != said && !reason.is_empty() {
            note(reason);
            said.clone_from(reason);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
