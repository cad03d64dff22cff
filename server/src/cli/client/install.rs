//! `lotse client install` and `redo`: what will be destroyed is shown before it is.

use std::io::IsTerminal;

use reqwest::Method;
use serde_json::json;

use crate::{
    app::installation::Installation,
    cli::{
        Exit, Failure,
        api::{Api, Name},
        output::{note, say},
    },
    domain::layout::size::human,
    http::api::view::ClientView,
    planner::storage::DiskPreview,
};

/// What is queued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The installation of a client.
    Install,
    /// The same again, for a client that was installed before; the helpdesk may do it.
    Redo,
}

pub(super) async fn install(
    api: &Api,
    name: &Name,
    order: Order,
    dry_run: bool,
    yes: bool,
) -> anyhow::Result<()> {
    let client: ClientView = api.get(&format!("/clients/{name}")).await?;
    if client.hardware.is_empty() {
        note("The machine has not booted yet: its disks are planned when it appears.");
    } else {
        let disks: Vec<DiskPreview> = api.get(&format!("/clients/{name}/storage")).await?;
        if dry_run && api.wrote_json(&disks)? {
            return Ok(());
        }
        for disk in &disks {
            note(&format!("Disk {}", disk.disk));
            let destroyed = if disk.destroyed.is_empty() { "nothing, it is blank" } else { &disk.destroyed };
            note(&format!("  destroyed: {destroyed}"));
            for part in &disk.written {
                note(&format!(
                    "  {:<10} {:<8} {:>10}  {:<10} {}",
                    if part.kept { "kept:" } else { "written:" },
                    part.id,
                    human(part.size_bytes),
                    part.content,
                    part.mount
                ));
            }
        }
    }
    // The helpdesk may not ask for a plan; it sees the warnings on the page.
    if dry_run || (order == Order::Install && !yes) {
        let planned: Installation =
            api.send_json(Method::POST, &format!("/clients/{name}/install?dry_run=true"), &json!({})).await?;
        for warning in &planned.warnings {
            note(&format!("Warning: {warning}"));
        }
        if dry_run {
            for plan in &planned.plans {
                let steps: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
                note(&format!("Job {}: {}", plan.job_type, steps.join(", ")));
            }
            return Ok(());
        }
    }
    if !yes {
        confirm(
            name,
            &format!("{name} will be installed with {}, and its disks wiped.", client.config.distribution),
        )?;
    }
    let verb = match order {
        Order::Install => "install",
        Order::Redo => "redo",
    };
    let installation: Installation =
        api.send_json(Method::POST, &format!("/clients/{name}/{verb}"), &json!({})).await?;
    if !api.wrote_json(&installation)? {
        let ids: Vec<_> = installation.jobs.iter().map(ToString::to_string).collect();
        say(&format!("The installation of {name} is queued: jobs {}.", ids.join(", ")));
    }
    Ok(())
}

/// Somebody who destroys something writes its name.
pub(in crate::cli) fn confirm(name: &Name, what: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::error(Exit::Usage, format!("{what}\n  → nobody can be asked here; give --yes")));
    }
    note(&format!("{what}\nWrite the client's name to go on:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == name.as_str() { Ok(()) } else { Err(Failure::error(Exit::Failed, "nothing was done")) }
}
