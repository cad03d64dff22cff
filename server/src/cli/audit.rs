//! `lotse audit`, `lotse setting`, `lotse approval`

use clap::{Subcommand, ValueEnum};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Exit, Failure,
    api::{Api, Query, encoded},
    output::{note, say, table, time},
};
use crate::{
    app::{
        audit::Verdict,
        settings::{AllSettings, SettingView},
    },
    domain::{
        approval::Approval,
        audit::{Entry, differences},
        settings::{Setting, find},
    },
    http::api::view::Page,
};

/// So many differences of an entry are shown; `--output json` has all.
const SHOWN: usize = 4;

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// What people have changed, newest first
    List {
        /// Only by this person or token.
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, such as client.change, or an area, such as client.
        #[arg(long)]
        action: Option<String>,
        /// Only with objects whose name has this in it.
        #[arg(long)]
        object: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Entries with a smaller number.
        #[arg(long)]
        before: Option<i64>,
    },
    /// Look through the whole chain, and name the first entry that is not as it was written
    Verify {
        /// An end that was noted down earlier, as verify has shown it: it must still be a part of the chain.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
    /// Write all entries to standard output, oldest first
    Export {
        /// The form.
        #[arg(long, value_enum, default_value_t = ExportForm::Jsonl)]
        format: ExportForm,
        /// Entries after this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportForm {
    /// One entry a line, as JSON.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

pub(super) async fn audit(api: &Api, command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { actor, action, object, limit, before } => {
            let path = Query::new("/audit")
                .with("limit", Some(limit))
                .with("before", before)
                .with("actor", actor.as_deref().map(encoded))
                .with("action", action.as_deref().map(encoded))
                .with("object", object.as_deref().map(encoded));
            let page: Page<Entry> = api.get(&path.0).await?;
            if api.wrote_json(&page)? {
                return Ok(());
            }
            if page.items.is_empty() {
                note("No entry matches.");
                return Ok(());
            }
            table(
                &["ENTRY", "TIME", "WHO", "FROM", "WHAT", "WITH", "CHANGE"],
                &page.items.iter().map(row).collect::<Vec<_>>(),
            );
            if let Some(next) = page.next {
                note(&format!("There are more: --before {next}"));
            }
            Ok(())
        }
        AuditCommand::Verify { head } => verify(api, head.as_deref()).await,
        AuditCommand::Export { format, after } => {
            let format = match format {
                ExportForm::Jsonl => "jsonl",
                ExportForm::Csv => "csv",
            };
            let mut content = api.stream(&format!("/audit/export?format={format}&after={after}")).await?;
            let mut stdout = std::io::stdout().lock();
            while let Some(chunk) = content.next().await {
                std::io::Write::write_all(&mut stdout, &chunk?)?;
            }
            Ok(std::io::Write::flush(&mut stdout)?)
        }
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let changes = differences(entry.before.as_deref(), entry.after.as_deref());
    let short = |text: &Option<String>| text.as_deref().unwrap_or("-").chars().take(60).collect::<String>();
    let more = changes.len().saturating_sub(SHOWN);
    let mut changes: Vec<_> = changes
        .iter()
        .take(SHOWN)
        .map(|change| format!("{}: {} → {}", change.path, short(&change.before), short(&change.after)))
        .collect();
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    vec![
        entry.seq.to_string(),
        time(entry.at),
        entry.actor.clone(),
        entry.address.clone(),
        entry.action.clone(),
        entry.object.clone(),
        changes.join("; "),
    ]
}

async fn verify(api: &Api, head: Option<&str>) -> anyhow::Result<()> {
    let expected = head
        .map(|head| {
            head.split_once(':')
                .and_then(|(seq, hash)| seq.parse::<i64>().ok().map(|seq| (seq, hash.to_owned())))
                .ok_or_else(|| {
                    Failure::error(Exit::Usage, "--head must be NUMBER:HASH, as verify has shown it")
                })
        })
        .transpose()?;
    let (seq, hash) = expected.map_or((None, None), |(seq, hash)| (Some(seq), Some(encoded(&hash))));
    let path = Query::new("/audit/verify").with("seq", seq).with("hash", hash);
    let verdict: Verdict = api.get(&path.0).await?;
    api.wrote_json(&verdict)?;
    if let Some(broken) = &verdict.broken {
        return Err(Failure::error(
            Exit::Failed,
            format!(
                "entry {} is not as it was written: {}\n  → everything before it holds; compare with an earlier export or backup",
                broken.seq, broken.reason
            ),
        ));
    }
    api.told(&format!(
        "All {} entries are as they were written.\nLast entry: {}:{}",
        verdict.entries, verdict.head.seq, verdict.head.hash
    ));
    Ok(())
}

#[derive(Subcommand)]
pub(super) enum SettingCommand {
    /// List settings, and what only the configuration decides
    List,
    /// Show the value of a setting
    Get {
        /// Its name.
        name: String,
    },
    /// Change a setting
    Set {
        /// Its name.
        name: String,
        /// The new value; several words are joined by commas, and an empty one clears.
        #[arg(required_unless_present = "default")]
        value: Option<String>,
        /// Back to the default.
        #[arg(long, conflicts_with = "value")]
        default: bool,
    },
}

pub(super) async fn setting(api: &Api, command: SettingCommand) -> anyhow::Result<()> {
    match command {
        SettingCommand::List => {
            let all: AllSettings = api.get("/settings").await?;
            if api.wrote_json(&all)? {
                return Ok(());
            }
            let rows: Vec<_> = all.settings.iter().map(setting_row).collect();
            table(&["SETTING", "VALUE", "DEFAULT", "POSSIBLE", "SET BY"], &rows);
            say("");
            let rows: Vec<_> = all
                .configuration
                .into_iter()
                .map(|decided| vec![decided.name, decided.value, decided.source.as_str().to_owned()])
                .collect();
            table(&["CONFIGURATION", "VALUE", "SOURCE"], &rows);
            Ok(())
        }
        SettingCommand::Get { name } => {
            let all: AllSettings = api.get("/settings").await?;
            let setting = all.settings.iter().find(|setting| setting.name == name);
            let setting = setting.ok_or_else(|| unknown(&name))?;
            if !api.wrote_json(setting)? {
                say(&Setting::shown(&setting.value));
            }
            Ok(())
        }
        SettingCommand::Set { name, value, default } => {
            let setting = find(&name).ok_or_else(|| unknown(&name))?;
            let value = match value {
                Some(typed) if !default => setting
                    .read(&typed)
                    .map_err(|why| Failure::error(Exit::Usage, format!("{name} {why}")))?,
                _ => Value::Null,
            };
            let all: AllSettings =
                api.send_json(Method::PATCH, "/settings", &json!({ &name: value })).await?;
            let setting = all.settings.iter().find(|setting| setting.name == name);
            let now = setting.map(|setting| Setting::shown(&setting.value)).unwrap_or_default();
            if !api.wrote_json(&setting)? {
                say(&format!("{name} = {now}"));
            }
            Ok(())
        }
    }
}

fn unknown(name: &str) -> anyhow::Error {
    Failure::error(
        Exit::NotFound,
        format!("setting {name} does not exist\n  → `lotse setting list` shows all"),
    )
}

fn setting_row(setting: &SettingView) -> Vec<String> {
    let possible = match (setting.least, setting.most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => setting.words.join(", "),
    };
    let by = match (&setting.changed_by, setting.changed_at) {
        (Some(by), Some(at)) => format!("{by}, {}", time(at)),
        _ => String::new(),
    };
    vec![setting.name.clone(), Setting::shown(&setting.value), Setting::shown(&setting.default), possible, by]
}

#[derive(Subcommand)]
pub(super) enum ApprovalCommand {
    /// Requests that need a second person
    List {
        /// Those that were decided, too.
        #[arg(long)]
        all: bool,
    },
    /// Approve a request, and carry it out
    Approve {
        /// Its number.
        id: i64,
    },
    /// Refuse a request, or withdraw one's own
    Refuse {
        /// Its number.
        id: i64,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub(super) async fn approval(api: &Api, command: ApprovalCommand) -> anyhow::Result<()> {
    match command {
        ApprovalCommand::List { all } => {
            let path = if all { "/approvals" } else { "/approvals?state=pending" };
            let page: Page<Approval> = api.get(path).await?;
            if api.wrote_json(&page)? {
                return Ok(());
            }
            if page.items.is_empty() {
                note("Nothing waits for a second person.");
                return Ok(());
            }
            let rows: Vec<_> = page
                .items
                .into_iter()
                .map(|approval| {
                    vec![
                        approval.id.to_string(),
                        approval.state.as_str().to_owned(),
                        approval.summary,
                        approval.risk.as_str().to_owned(),
                        approval.asked_by,
                        time(approval.expires_at),
                        approval.decided_by.unwrap_or_default(),
                    ]
                })
                .collect();
            table(&["REQUEST", "STATE", "WHAT", "BECAUSE", "ASKED BY", "EXPIRES", "DECIDED BY"], &rows);
            Ok(())
        }
        ApprovalCommand::Approve { id } => {
            let done: Approval =
                api.send_json(Method::POST, &format!("/approvals/{id}/approve"), &json!({})).await?;
            if !api.wrote_json(&done)? {
                say(&format!("Approved and carried out: {}.", done.summary));
            }
            Ok(())
        }
        ApprovalCommand::Refuse { id, reason } => {
            let body = json!({ "reason": reason });
            let done: Approval =
                api.send_json(Method::POST, &format!("/approvals/{id}/refuse"), &body).await?;
            if !api.wrote_json(&done)? {
                say(&format!("{}: {}.", done.summary, done.state.as_str()));
            }
            Ok(())
        }
    }
}
