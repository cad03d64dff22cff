//! `lotse rule`, `lotse preset`, and `lotse client mass-install`: what brings machines in.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Exit, Failure,
    api::{Api, Name},
    output::{note, say, table},
};
use crate::{
    app::{
        installation::Installation,
        mass_installation::{MassOrder, MassPlan},
        notes::Note,
        presets::Preset,
        rules::RuleHit,
    },
    domain::{client::ClientConfig, rule::Rule},
};

#[derive(Subcommand)]
pub(super) enum RuleCommand {
    /// List rules, in the order in which they count
    List,
    /// Show a rule as YAML, as `rule set` takes it
    Show {
        /// Its name.
        name: Name,
    },
    /// Keep a rule from a YAML or JSON file. A rule adopts without anybody having compared fingerprints
    #[command(
        after_help = "Example file:\n  model: '*OptiPlex*'\n  subnet: 10.0.3.0/24\n  names: pc-{001..}\n  groups: [room-3]\n  install: true\n  wipe: false   # disks that hold something are left alone"
    )]
    Set {
        /// Its name.
        name: Name,
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Remove a rule; what it has done stays done
    Delete {
        /// Its name.
        name: Name,
    },
    /// Follow the rules for all machines that wait for adoption
    Run {
        /// Only show what would happen.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum PresetCommand {
    /// List presets
    List,
    /// Show a preset as YAML, as `preset set` takes it
    Show {
        /// Its name.
        name: Name,
    },
    /// Keep a preset from a YAML or JSON file with `config` and `groups`
    Set {
        /// Its name.
        name: Name,
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Remove a preset; clients that were made with it stay as they are
    Delete {
        /// Its name.
        name: Name,
    },
}

/// Installs many machines by a table.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct MassInstall {
    /// The table: CSV with a head such as `name;mac;groups`; `-` reads standard input.
    file: PathBuf,
    /// Only show what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Values from this preset where the table says nothing.
    #[arg(long)]
    preset: Option<Name>,
    /// Machines that are known keep what they have where the table says nothing.
    #[arg(long, conflicts_with = "preset")]
    keep: bool,
    /// Group for all of them; repeat it for several.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Pattern for missing names, such as `pc-{001..}`.
    #[arg(long, default_value = "")]
    names: String,
    /// Range for missing addresses, such as `10.0.0.10-10.0.0.99/24`.
    #[arg(long, default_value = "")]
    addresses: String,
    /// Default gateway where the table has none.
    #[arg(long, default_value = "")]
    gateway: String,
    /// Make a password for each user who has none; they are shown once.
    #[arg(long)]
    passwords: bool,
    /// Only register or adopt them.
    #[arg(long)]
    no_install: bool,
    /// Install those, too, whose disks hold something, which is then destroyed.
    #[arg(long)]
    wipe: bool,
    /// Do not ask before disks are wiped.
    #[arg(long, short = 'y')]
    yes: bool,
}

fn text_of(path: &PathBuf) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    Ok(fs_err::read_to_string(path)?)
}

fn yaml_of(path: &PathBuf) -> anyhow::Result<Value> {
    serde_yaml::from_str(&text_of(path)?).with_context(|| format!("understanding {}", path.display()))
}

pub(super) async fn rule(api: &Api, command: RuleCommand) -> anyhow::Result<()> {
    match command {
        RuleCommand::List => {
            let rules: Vec<Rule> = api.get("/rules").await?;
            if api.wrote_json(&rules)? {
                return Ok(());
            }
            if rules.is_empty() {
                note("There are no rules yet: `lotse rule set NAME FILE`.");
                return Ok(());
            }
            let rows: Vec<_> = rules.into_iter().map(rule_row).collect();
            table(&["ORDER", "NAME", "FITS", "NAMES", "DOES"], &rows);
            Ok(())
        }
        RuleCommand::Show { name } => {
            let rule: Rule = api.get(&format!("/rules/{name}")).await?;
            if !api.wrote_json(&rule)? {
                say(serde_yaml::to_string(&rule)?.trim_end());
            }
            Ok(())
        }
        RuleCommand::Set { name, file } => {
            let mut body = yaml_of(&file)?;
            body["name"] = json!(name);
            api.send_json::<Value>(Method::PUT, &format!("/rules/{name}"), &body).await?;
            api.told(&format!(
                "The rule {name} is kept; `lotse rule run --dry-run` shows what it would do now."
            ));
            Ok(())
        }
        RuleCommand::Delete { name } => {
            let done = format!("The rule {name} is removed; what it has done stays done.");
            api.order(Method::DELETE, &format!("/rules/{name}"), &done).await
        }
        RuleCommand::Run { dry_run } => {
            let path = format!("/rule-runs?dry_run={dry_run}");
            let hits: Vec<RuleHit> = api.send_json(Method::POST, &path, &json!({})).await?;
            if api.wrote_json(&hits)? {
                return Ok(());
            }
            if hits.is_empty() {
                note("No rule fits a machine that waits.");
            }
            for hit in hits {
                say(&format!(
                    "{} -> {} by rule {}{}",
                    hit.machine,
                    hit.name,
                    hit.rule,
                    if hit.install { ", installed" } else { "" }
                ));
                for disk in hit.disks.iter().filter(|disk| !disk.destroyed.is_empty()) {
                    say(&format!("  {}: destroyed: {}", disk.disk, disk.destroyed));
                }
                if !hit.held_back.is_empty() {
                    say(&format!("  {}", hit.held_back));
                }
            }
            Ok(())
        }
    }
}

fn rule_row(rule: Rule) -> Vec<String> {
    let fits =
        [("serial", &rule.serial), ("mac", &rule.mac), ("subnet", &rule.subnet), ("model", &rule.model)];
    let fits: Vec<_> = fits
        .into_iter()
        .filter(|(_, wanted)| !wanted.is_empty())
        .map(|(what, wanted)| format!("{what} {wanted}"))
        .collect();
    let does = match (rule.install, rule.wipe) {
        (true, true) => "adopt, install, WIPE what is there",
        (true, false) => "adopt, install on blank disks",
        (false, _) => "adopt",
    };
    vec![rule.position.to_string(), rule.name, fits.join(", "), rule.names, does.to_owned()]
}

pub(super) async fn preset(api: &Api, command: PresetCommand) -> anyhow::Result<()> {
    match command {
        PresetCommand::List => {
            let presets: Vec<Preset> = api.get("/presets").await?;
            if api.wrote_json(&presets)? {
                return Ok(());
            }
            if presets.is_empty() {
                note("There are no presets yet: `lotse preset set NAME FILE`.");
                return Ok(());
            }
            let rows: Vec<_> = presets
                .into_iter()
                .map(|preset| {
                    vec![
                        preset.name,
                        preset.config.distribution,
                        preset.config.layout,
                        preset.groups.join(","),
                    ]
                })
                .collect();
            table(&["NAME", "DISTRIBUTION", "LAYOUT", "GROUPS"], &rows);
            Ok(())
        }
        PresetCommand::Show { name } => {
            let preset: Preset = api.get(&format!("/presets/{name}")).await?;
            if !api.wrote_json(&preset)? {
                let shown = json!({ "config": preset.config, "groups": preset.groups });
                say(serde_yaml::to_string(&shown)?.trim_end());
            }
            Ok(())
        }
        PresetCommand::Set { name, file } => {
            let body = yaml_of(&file)?;
            api.send_json::<Value>(Method::PUT, &format!("/presets/{name}"), &body).await?;
            api.told(&format!("The preset {name} is kept."));
            Ok(())
        }
        PresetCommand::Delete { name } => {
            let done = format!("The preset {name} is removed; clients made with it stay as they are.");
            api.order(Method::DELETE, &format!("/presets/{name}"), &done).await
        }
    }
}

pub(super) async fn mass_install(api: &Api, words: MassInstall) -> anyhow::Result<()> {
    let mut groups = words.groups.clone();
    let config = match &words.preset {
        Some(name) => {
            let preset: Preset = api.get(&format!("/presets/{name}")).await?;
            groups.extend(preset.groups);
            Some(preset.config)
        }
        None if words.keep => None,
        None => Some(ClientConfig::default()),
    };
    let mut order = MassOrder {
        sheet: text_of(&words.file)?,
        config,
        groups,
        names: words.names.clone(),
        addresses: words.addresses.clone(),
        gateway: words.gateway.clone(),
        passwords: words.passwords,
        install: !words.no_install,
        wipe: words.wipe,
        key: uuid::Uuid::new_v4().to_string(),
    };
    let plan: MassPlan = api.send_json(Method::POST, "/mass-installations?dry_run=true", &order).await?;
    if !plan.is_ready() || words.dry_run {
        if !api.wrote_json(&plan)? {
            show(&plan);
        }
        return if plan.is_ready() {
            Ok(())
        } else {
            Err(Failure::error(Exit::Usage, "nothing was begun: mend the table and try again"))
        };
    }
    show(&plan);
    let destroyed = plan.rows.iter().flat_map(|row| &row.disks).any(|disk| !disk.destroyed.is_empty());
    if destroyed && !words.yes {
        return Err(Failure::error(
            Exit::Usage,
            "disks would be wiped: look at the plan above, then give --yes",
        ));
    }
    // Exactly what was shown, generated passwords too.
    order.sheet.clone_from(&plan.sheet);
    let done: MassPlan = api.send_json(Method::POST, "/mass-installations", &order).await?;
    if !api.wrote_json(&done)? {
        say(&format!(
            "{} machines are begun; `lotse client list --stage installing` shows them.",
            done.rows.len()
        ));
        for row in done.rows.iter().filter(|row| row.cells.contains_key("password")) {
            let cell = |name: &str| row.cells.get(name).map(String::as_str).unwrap_or_default();
            say(&format!("{}  {}  {}", cell("name"), cell("user"), cell("password")));
        }
    }
    Ok(())
}

fn show(plan: &MassPlan) {
    for problem in &plan.problems {
        note(&format!("{}: {}", problem.field, problem.message));
    }
    for row in &plan.rows {
        let cell = |name: &str| row.cells.get(name).map(String::as_str).unwrap_or_default();
        let known = if row.machine.is_empty() { "not seen yet" } else { &row.machine };
        note(&format!(
            "line {}: {} {} ({known}, {})",
            row.line,
            cell("name"),
            cell("address"),
            row.what.as_str()
        ));
        for problem in &row.problems {
            note(&format!("  ✗ {} {}", problem.field, problem.message));
        }
        for disk in &row.disks {
            let destroyed = if disk.destroyed.is_empty() { "nothing, it is blank" } else { &disk.destroyed };
            note(&format!("  {}: destroyed: {destroyed}", disk.disk));
        }
    }
}

/// Installs a client anew and does again what had succeeded on it.
pub(super) async fn recover(api: &Api, name: &Name, dry_run: bool) -> anyhow::Result<()> {
    let path = format!("/clients/{name}/recover?dry_run={dry_run}");
    let done: Installation = api.send_json(Method::POST, &path, &json!({})).await?;
    if api.wrote_json(&done)? {
        return Ok(());
    }
    for plan in &done.plans {
        note(&format!("Job {}", plan.job_type));
    }
    if dry_run {
        say(&format!("{} jobs would be queued.", done.jobs.len()));
    } else {
        say(&format!(
            "{} jobs are queued; {name} is installed anew and then gets back what it had.",
            done.jobs.len()
        ));
    }
    Ok(())
}

/// Adds a note about a client, or lists them.
pub(super) async fn notes(api: &Api, name: &Name, text: Option<String>) -> anyhow::Result<()> {
    let path = format!("/clients/{name}/notes");
    if let Some(text) = text {
        api.send_json::<i64>(Method::POST, &path, &json!({ "text": text })).await?;
        api.told("The note is kept.");
        return Ok(());
    }
    let notes: Vec<Note> = api.get(&path).await?;
    if api.wrote_json(&notes)? {
        return Ok(());
    }
    if notes.is_empty() {
        note(&format!("There is no note about {name}."));
    }
    for kept in notes {
        say(&format!("{} {}: {}", super::output::time(kept.created_at), kept.created_by, kept.text));
    }
    Ok(())
}
