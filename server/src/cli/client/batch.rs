//! Orders for all clients that a search means.

use std::{io::IsTerminal, path::PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use super::wishes::read_keys;
use crate::{
    app::batches::{BatchView, Ordered, Preview},
    cli::{
        Exit, Failure,
        api::Api,
        output::{note, say, table},
    },
};

/// Shows an order, asks, and gives it.
pub(super) async fn order(
    api: &Api,
    action: &str,
    words: &[String],
    query: &str,
    dry_run: bool,
    yes: bool,
    expect: Option<i64>,
) -> anyhow::Result<()> {
    let mut body = json!({ "order": wanted(action, words)?, "where": query, "dry_run": true });
    let shown: Ordered = api.send_json(Method::POST, "/batches", &body).await?;
    if dry_run {
        if !api.wrote_json(&shown)? {
            show(&shown.preview);
        }
        return Ok(());
    }
    show(&shown.preview);
    if !yes {
        confirm(action, &shown.preview)?;
    } else if shown.preview.destructive && expect.is_none() {
        return Err(Failure::error(
            Exit::Usage,
            format!(
                "{action} destroys\n  → say for how many clients it is: --expect {}",
                shown.preview.fitting
            ),
        ));
    }
    body["dry_run"] = json!(false);
    body["expected"] = json!(expect.unwrap_or(shown.preview.fitting));
    let ordered: Ordered = api.send_json(Method::POST, "/batches", &body).await?;
    if !api.wrote_json(&ordered)? {
        let id = ordered.batch.unwrap_or_default();
        say(&format!(
            "{action} is ordered for {} clients; `lotse client batch-status {id}` tells how far it is.",
            ordered.preview.fitting
        ));
    }
    Ok(())
}

/// The order as the API reads it.
fn wanted(action: &str, words: &[String]) -> anyhow::Result<Value> {
    Ok(match action {
        "package-install" | "package-remove" => json!({ "action": action, "packages": words }),
        "join-group" | "leave-group" => json!({ "action": action, "group": words.join(" ") }),
        "apply-selection" => json!({ "action": action, "selection": words.join(" ") }),
        "rescue" => {
            let mut keys = Vec::new();
            for file in words {
                keys.extend(read_keys(&PathBuf::from(file))?);
            }
            json!({ "action": action, "authorized_keys": keys })
        }
        _ if words.is_empty() => json!({ "action": action }),
        _ => {
            return Err(Failure::error(Exit::Usage, format!("{action} takes no words behind it")));
        }
    })
}

fn show(preview: &Preview) {
    note(&format!("For {} clients: {}", preview.fitting, examples(&preview.names, preview.fitting)));
    for skipped in &preview.skipped {
        let names = examples(&skipped.names, skipped.count);
        note(&format!("Not for {} that are {}: {names}", skipped.count, skipped.reason.as_str()));
    }
}

fn examples(names: &[String], count: i64) -> String {
    let more = count - i64::try_from(names.len()).unwrap_or(count);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

/// Whoever orders something for many writes for how many.
fn confirm(action: &str, preview: &Preview) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::error(
            Exit::Usage,
            format!("{action} is not ordered\n  → nobody can be asked here; give --yes"),
        ));
    }
    note(&format!("Write the number of clients to go on ({}):", preview.fitting));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == preview.fitting.to_string() {
        Ok(())
    } else {
        Err(Failure::error(Exit::Failed, "nothing was done"))
    }
}

/// How far an order is.
pub(super) async fn status(api: &Api, id: i64) -> anyhow::Result<()> {
    let view: BatchView = api.get(&format!("/batches/{id}")).await?;
    if api.wrote_json(&view)? {
        return Ok(());
    }
    let batch = &view.batch;
    let state = if batch.finished_at.is_some() { "finished" } else { "under way" };
    say(&format!(
        "batch {id}: {}, {state}: {} ordered, {} failed, {} left out, {} to come",
        batch.action.as_str(),
        batch.done,
        batch.failed,
        batch.skipped,
        batch.waiting + batch.working
    ));
    if !view.lines.is_empty() {
        let rows: Vec<_> =
            view.lines.into_iter().map(|line| vec![line.client, line.state, line.reason]).collect();
        table(&["CLIENT", "STATE", "REASON"], &rows);
    }
    Ok(())
}
