//! `lotse client packages` and `lotse client compare`

use wire::packages::Package;

use super::super::{
    Exit, Failure,
    api::{Api, Name, Query},
    output::{note, say, table, time},
};
use crate::{
    app::inventory::{self, ClientPackages, Comparison, Only},
    clock::SECOND,
    domain::{inventory::PackageChange, layout::size::human, report::iso_day},
    http::api::view::Page,
};

#[derive(clap::Args)]
pub(in crate::cli) struct PackagesWords {
    /// Its name.
    name: Name,
    /// Only packages whose name holds this.
    part: Option<String>,
    /// Only some: updates, security, held, manual or automatic.
    #[arg(long, default_value = "all")]
    only: Only,
    /// What was installed, upgraded and removed instead, the newest first.
    #[arg(long, conflicts_with_all = ["only", "csv"])]
    history: bool,
    /// As a file for spreadsheets.
    #[arg(long)]
    csv: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct CompareWords {
    /// Its name.
    name: Name,
    /// The client that it is compared with.
    #[arg(required_unless_present = "at", conflicts_with = "at")]
    with: Option<Name>,
    /// Compare it with itself at the end of this day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = end_of_day)]
    at: Option<i64>,
    /// As a file for spreadsheets.
    #[arg(long)]
    csv: bool,
}

fn end_of_day(text: &str) -> Result<i64, String> {
    iso_day(text)
        .map(|day| (day + 1) * 86_400 * SECOND)
        .ok_or_else(|| format!("`{text}` must be a date such as 2026-01-31"))
}

pub(super) async fn packages(api: &Api, words: PackagesWords) -> anyhow::Result<()> {
    let name = &words.name;
    if words.history {
        return history(api, name, words.part).await;
    }
    let path = Query::new(&format!("/clients/{name}/packages"))
        .with("name", words.part)
        .with("only", Some(words.only.as_str()));
    let found: ClientPackages = api.get(&path.0).await?;
    if words.csv {
        say(inventory::table(name.as_str(), &found, 0).to_csv().trim_end());
        return Ok(());
    }
    if api.wrote_json(&found)? {
        return Ok(());
    }
    let Some(inventory) = &found.inventory else {
        return Err(Failure::error(
            Exit::NotFound,
            format!("the packages of {name} are not known: its agent has not told of any yet"),
        ));
    };
    let row = |package: &Package| {
        let marks = [(package.held, "held"), (package.automatic, "automatic")];
        let marks: Vec<&str> = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect();
        let update = package
            .update
            .as_ref()
            .map(|update| format!("{}{}", update.version, if update.security { " (security)" } else { "" }));
        vec![
            package.key.name.clone(),
            package.key.architecture.clone(),
            package.key.version.clone(),
            human(package.size_bytes),
            marks.join(","),
            update.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = found.packages.iter().map(row).collect();
    table(&["PACKAGE", "ARCH", "VERSION", "SIZE", "MARKS", "UPDATE"], &rows);
    match (inventory.updates, inventory.security_updates) {
        (Some(updates), Some(security)) => {
            note(&format!(
                "{} packages, {updates} updates, {security} of them security updates",
                inventory.packages
            ));
        }
        _ => note(&format!("which updates there are is not known: {}", inventory.condition.updates_unknown)),
    }
    for pin in &inventory.condition.pins {
        note(&format!("pinned: {} to {}, priority {}", pin.packages, pin.pin, pin.priority));
    }
    if !inventory.condition.reboot_why.is_empty() {
        note(&format!("a restart is needed: {}", inventory.condition.reboot_why));
    }
    if !inventory.condition.services.is_empty() {
        note(&format!("services to restart: {}", inventory.condition.services.join(" ")));
    }
    Ok(())
}

async fn history(api: &Api, name: &Name, part: Option<String>) -> anyhow::Result<()> {
    let path = Query::new(&format!("/clients/{name}/packages/history")).with("package", part);
    let found: Page<PackageChange> = api.get(&path.0).await?;
    if api.wrote_json(&found)? {
        return Ok(());
    }
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let rows: Vec<_> = found
        .items
        .into_iter()
        .map(|change| {
            vec![
                time(change.at),
                change.name,
                or(change.was, "-"),
                or(change.became, "removed"),
                change.job.map(|job| job.to_string()).unwrap_or_default(),
                change.by.unwrap_or_default(),
            ]
        })
        .collect();
    table(&["TIME", "PACKAGE", "WAS", "BECAME", "JOB", "BY"], &rows);
    Ok(())
}

pub(super) async fn compare(api: &Api, words: CompareWords) -> anyhow::Result<()> {
    let path = Query::new(&format!("/clients/{}/packages/comparison", words.name))
        .with("with", words.with.as_ref())
        .with("at", words.at);
    let found: Comparison = api.get(&path.0).await?;
    if words.csv {
        say(inventory::comparison_table(&found, 0).to_csv().trim_end());
        return Ok(());
    }
    if api.wrote_json(&found)? {
        return Ok(());
    }
    let right = match found.right_at {
        Some(at) => time(at),
        None => found.right.to_uppercase(),
    };
    let rows: Vec<_> = found
        .differences
        .into_iter()
        .map(|one| vec![one.name, one.architecture, one.left, one.right, one.kind])
        .collect();
    table(&["PACKAGE", "ARCH", &found.left.to_uppercase(), &right, "DIFFERENCE"], &rows);
    note(&format!("{} packages differ, {} are alike", rows.len(), found.alike));
    Ok(())
}
