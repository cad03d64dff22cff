//! `lotse client`

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use wire::{Mac, Sha256, facts::Facts};

use super::{
    Exit, Failure,
    api::Api,
    output::{note, say, table, time},
};
use crate::{
    app::{boot_timeline::Timeline, installation::Installation},
    domain::{
        client::{BaseMethod, ClientConfig, Stage, User},
        client_status::{Activity, Health},
        layout::size::human,
    },
    http::api::view::{ClientView, Page},
    planner::storage::DiskPreview,
};

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// List clients
    List {
        /// Only in this stage: registered, discovered, installing, installed, retired.
        #[arg(long)]
        stage: Option<Stage>,
        /// Only members of this group.
        #[arg(long)]
        group: Option<String>,
    },
    /// Show a client
    Show {
        /// Its name.
        name: String,
        /// Show what its agent measured instead.
        #[arg(long)]
        facts: bool,
    },
    /// Register a client by its hardware address before it boots
    Add {
        /// Its host name.
        name: String,
        /// Its hardware address; repeat it for several.
        #[arg(long = "mac", required = true)]
        macs: Vec<Mac>,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Let a discovered machine become a client
    #[command(
        after_help = "Example:\n  lotse client adopt new-525400123456 --name lab-01 --group lab --distribution debian-12 \\\n    --user ann --locale de_DE.UTF-8 --timezone Europe/Berlin --install"
    )]
    Adopt {
        /// Its present name.
        machine: String,
        /// Its host name from now on.
        #[arg(long)]
        name: Option<String>,
        /// The fingerprint that the machine shows on its screen; adopting another one is refused.
        #[arg(long)]
        fingerprint: Option<Sha256>,
        /// Install it right away.
        #[arg(long)]
        install: bool,
        /// Do not ask before the disks are wiped.
        #[arg(long, short = 'y')]
        yes: bool,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Change what is wanted of a client
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Install a client; shows what will be destroyed and asks first
    #[command(visible_alias = "redo")]
    Install {
        /// Its name.
        name: String,
        /// Only show what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before the disks are wiped.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Boot the rescue system with SSH for a key
    Rescue {
        /// Its name.
        name: String,
        /// File with public keys, as `~/.ssh/id_ed25519.pub`.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
    /// Drop everything that waits for a client
    Reset {
        /// Its name.
        name: String,
    },
    /// Show every contact of the machine on its way into the system
    Timeline {
        /// Its name.
        name: String,
    },
    /// Let a client work again after an alarm
    ClearAlarm {
        /// Its name.
        name: String,
    },
    /// Remove a client with everything that belongs to it
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// What is wanted of a client. What is not given stays, or takes its default.
#[derive(clap::Args)]
pub(super) struct Wishes {
    /// YAML or JSON file with a whole configuration; the flags below change it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Group to belong to; repeat it for several.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// Distribution, such as debian-12.
    #[arg(long)]
    distribution: Option<String>,
    /// image or debootstrap.
    #[arg(long, value_parser = base_method)]
    base: Option<BaseMethod>,
    /// Storage layout, such as whole-disk.
    #[arg(long)]
    layout: Option<String>,
    /// Locale, such as `de_DE.UTF-8`.
    #[arg(long)]
    locale: Option<String>,
    /// Keyboard layout, such as de.
    #[arg(long)]
    keyboard: Option<String>,
    /// Time zone, such as Europe/Berlin.
    #[arg(long)]
    timezone: Option<String>,
    /// DNS domain.
    #[arg(long)]
    domain: Option<String>,
    /// Serial console, such as ttyS0,115200.
    #[arg(long)]
    serial_console: Option<String>,
    /// Make this user, with sudo.
    #[arg(long)]
    user: Option<String>,
    /// File with the user's password in its first line; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// File with public keys for the user and root.
    #[arg(long, value_name = "FILE")]
    ssh_keys: Option<PathBuf>,
}

fn base_method(text: &str) -> Result<BaseMethod, String> {
    match text {
        "image" => Ok(BaseMethod::Image),
        "debootstrap" => Ok(BaseMethod::Debootstrap),
        _ => Err("must be image or debootstrap".to_owned()),
    }
}

impl Wishes {
    fn any(&self) -> bool {
        let words = [
            &self.distribution,
            &self.layout,
            &self.locale,
            &self.keyboard,
            &self.timezone,
            &self.domain,
            &self.serial_console,
            &self.user,
        ];
        self.config.is_some()
            || self.base.is_some()
            || self.ssh_keys.is_some()
            || words.iter().any(|word| word.is_some())
    }

    /// The configuration that is wanted, from the present one.
    fn apply(&self, present: ClientConfig) -> anyhow::Result<ClientConfig> {
        let mut config = match &self.config {
            Some(path) => {
                let text = fs_err::read_to_string(path)?;
                serde_yaml::from_str(&text).with_context(|| format!("understanding {}", path.display()))?
            }
            None => present,
        };
        for (field, wish) in [
            (&mut config.distribution, &self.distribution),
            (&mut config.layout, &self.layout),
            (&mut config.locale, &self.locale),
            (&mut config.keyboard, &self.keyboard),
            (&mut config.timezone, &self.timezone),
            (&mut config.domain, &self.domain),
            (&mut config.serial_console, &self.serial_console),
        ] {
            if let Some(wish) = wish {
                field.clone_from(wish);
            }
        }
        config.base = self.base.unwrap_or(config.base);
        let keys = self.ssh_keys.as_deref().map(read_keys).transpose()?;
        if let Some(name) = &self.user {
            let ssh_keys = keys.clone().unwrap_or_default();
            config.users.retain(|user| user.name != *name);
            config.users.push(User { name: name.clone(), sudo: true, ssh_keys, ..User::default() });
        }
        if let Some(keys) = keys {
            config.root_ssh_keys = keys;
        }
        Ok(config)
    }

    fn passwords(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let (Some(user), Some(path)) = (&self.user, &self.password_file) else { return Ok(BTreeMap::new()) };
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())?
        } else {
            fs_err::read_to_string(path)?
        };
        let password = text.lines().next().unwrap_or_default().to_owned();
        Ok([(user.clone(), password)].into())
    }

    fn change(&self, present: ClientConfig) -> anyhow::Result<Value> {
        let mut change = json!({ "passwords": self.passwords()? });
        if self.any() {
            change["config"] = serde_json::to_value(self.apply(present)?)?;
        }
        if !self.groups.is_empty() {
            change["groups"] = json!(self.groups);
        }
        Ok(change)
    }
}

/// Public keys from a file, one a line.
pub(super) fn read_keys(path: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let text = fs_err::read_to_string(path)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

pub(super) async fn run(api: &Api, command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::List { stage, group } => list(api, stage, group).await,
        ClientCommand::Show { name, facts: false } => show(api, &name).await,
        ClientCommand::Show { name, facts: true } => {
            let facts: Facts = api.get(&format!("/clients/{name}/facts")).await?;
            say(&serde_json::to_string_pretty(&facts)?);
            Ok(())
        }
        ClientCommand::Add { name, macs, wishes } => {
            let config = wishes.apply(ClientConfig::default())?;
            let body = json!({ "name": name, "macs": macs, "config": config, "groups": wishes.groups, "passwords": wishes.passwords()? });
            let client: ClientView = api.send_json(Method::POST, "/clients", &body).await?;
            done(api, &client, "registered")
        }
        ClientCommand::Adopt { machine, name, fingerprint, install: then, yes, wishes } => {
            let present: ClientView = api.get(&format!("/clients/{machine}")).await?;
            let mut change = wishes.change(present.config)?;
            change["name"] = json!(name);
            change["fingerprint"] = json!(fingerprint);
            let client: ClientView =
                api.send_json(Method::POST, &format!("/clients/{machine}/adopt"), &change).await?;
            done(api, &client, "adopted")?;
            if then { install(api, &client.name, false, yes).await } else { Ok(()) }
        }
        ClientCommand::Edit { name, wishes } => {
            let present: ClientView = api.get(&format!("/clients/{name}")).await?;
            let change = wishes.change(present.config)?;
            let client: ClientView =
                api.send_json(Method::PATCH, &format!("/clients/{name}"), &change).await?;
            done(api, &client, "changed")
        }
        ClientCommand::Install { name, dry_run, yes } => install(api, &name, dry_run, yes).await,
        ClientCommand::Rescue { name, keys } => {
            let order = json!({ "job_type": "rescue", "params": { "authorized_keys": read_keys(&keys)? } });
            let id: i64 = api.send_json(Method::POST, &format!("/clients/{name}/jobs"), &order).await?;
            if !api.wrote_json(&id)? {
                say(&format!(
                    "Job {id} is queued. Restart {name}; when it has booted over the network, `lotse job watch {id}` shows its address.\nEnd the rescue with `lotse job release {id}`."
                ));
            }
            Ok(())
        }
        ClientCommand::Reset { name } => api.order(Method::POST, &format!("/clients/{name}/reset")).await,
        ClientCommand::Timeline { name } => timeline(api, &name).await,
        ClientCommand::ClearAlarm { name } => {
            api.order(Method::DELETE, &format!("/clients/{name}/alarm")).await
        }
        ClientCommand::Delete { name, yes } => {
            if !yes {
                confirm(&name, &format!("The client {name} is removed with its jobs and history."))?;
            }
            api.order(Method::DELETE, &format!("/clients/{name}")).await
        }
    }
}

fn done(api: &Api, client: &ClientView, what: &str) -> anyhow::Result<()> {
    if !api.wrote_json(client)? {
        say(&format!("{} is {what}.", client.name));
    }
    Ok(())
}

async fn list(api: &Api, stage: Option<Stage>, group: Option<String>) -> anyhow::Result<()> {
    let mut clients: Vec<ClientView> = Vec::new();
    let mut after = String::new();
    loop {
        let mut path = format!("/clients?limit=500&after={after}");
        if let Some(stage) = stage {
            path.push_str(&format!("&stage={}", stage.as_str()));
        }
        if let Some(group) = &group {
            path.push_str(&format!("&group={group}"));
        }
        let page: Page<ClientView> = api.get(&path).await?;
        clients.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    if api.wrote_json(&clients)? {
        return Ok(());
    }
    if clients.is_empty() {
        note(
            "There are no clients. Boot a machine over the network, or register one: `lotse client add NAME --mac ADDRESS`.",
        );
        return Ok(());
    }
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let mac = client.macs.first().map(ToString::to_string).unwrap_or_default();
            vec![
                client.name.clone(),
                client.stage.as_str().to_owned(),
                health(&client.health),
                mac,
                client.groups.join(","),
                activity(&client.activity),
            ]
        })
        .collect();
    table(&["NAME", "STAGE", "HEALTH", "MAC", "GROUPS", "ACTIVITY"], &rows);
    Ok(())
}

fn activity(activity: &Activity) -> String {
    match activity {
        Activity::Idle => "idle".to_owned(),
        Activity::Waiting { job, job_type, reason } => format!("job {job} ({job_type}) {reason}"),
        Activity::Working { job, job_type, step, percent, message } => {
            format!("job {job} ({job_type}), {step} {percent}% {message}").trim_end().to_owned()
        }
    }
}

fn health(health: &Health) -> String {
    match health {
        Health::Ok => "ok".to_owned(),
        Health::Warning { .. } => "warning".to_owned(),
        Health::Critical { .. } => "critical".to_owned(),
        Health::Offline { since_at: Some(at) } => format!("offline since {}", time(*at)),
        Health::Offline { since_at: None } => "offline".to_owned(),
    }
}

async fn show(api: &Api, name: &str) -> anyhow::Result<()> {
    let client: ClientView = api.get(&format!("/clients/{name}")).await?;
    if api.wrote_json(&client)? {
        return Ok(());
    }
    let reason = match &client.health {
        Health::Warning { reason } | Health::Critical { reason } => format!(": {reason}"),
        Health::Ok | Health::Offline { .. } => String::new(),
    };
    let macs = client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let seen = client.last_seen_at.map_or("never".to_owned(), time);
    let fingerprint = client.announced_fingerprint.map(|key| grouped(key.as_str())).unwrap_or_default();
    for (name, value) in [
        ("name", client.name.as_str()),
        ("stage", client.stage.as_str()),
        ("activity", &activity(&client.activity)),
        ("health", &format!("{}{reason}", health(&client.health))),
        ("addresses", &macs),
        ("groups", &client.groups.join(", ")),
        ("hardware", &client.hardware),
        ("fingerprint", &fingerprint),
        ("last heard", &seen),
        ("distribution", &client.config.distribution),
        ("layout", &client.config.layout),
    ] {
        if !value.is_empty() {
            say(&format!("{name:<13} {value}"));
        }
    }
    Ok(())
}

/// In groups of four, as the machine's screen shows it.
fn grouped(text: &str) -> String {
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

async fn install(api: &Api, name: &str, dry_run: bool, yes: bool) -> anyhow::Result<()> {
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
                    "  written:   {:<8} {:>10}  {:<10} {}",
                    part.id,
                    human(part.size_bytes),
                    part.content,
                    part.mount
                ));
            }
        }
    }
    if dry_run {
        let planned: Installation =
            api.send_json(Method::POST, &format!("/clients/{name}/install?dry_run=true"), &json!({})).await?;
        for plan in &planned.plans {
            let steps: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
            note(&format!("Job {}: {}", plan.job_type, steps.join(", ")));
        }
        return Ok(());
    }
    if !yes {
        confirm(
            name,
            &format!("{name} is installed with {}; the disks above are wiped.", client.config.distribution),
        )?;
    }
    let installation: Installation =
        api.send_json(Method::POST, &format!("/clients/{name}/install"), &json!({})).await?;
    if !api.wrote_json(&installation)? {
        let ids: Vec<_> = installation.jobs.iter().map(ToString::to_string).collect();
        say(&format!("The installation of {name} is queued: jobs {}.", ids.join(", ")));
    }
    Ok(())
}

/// Somebody who destroys something writes its name.
fn confirm(name: &str, what: &str) -> anyhow::Result<()> {
    note(&format!("{what}\nWrite the client's name to go on:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == name { Ok(()) } else { Err(Failure::error(Exit::Failed, "nothing was done")) }
}

async fn timeline(api: &Api, name: &str) -> anyhow::Result<()> {
    let timeline: Timeline = api.get(&format!("/clients/{name}/timeline")).await?;
    if api.wrote_json(&timeline)? {
        return Ok(());
    }
    let first = timeline.lines.first().map_or(0, |line| line.at);
    let rows: Vec<_> = timeline
        .lines
        .iter()
        .map(|line| {
            let since = (line.at - first) / crate::clock::SECOND;
            vec![
                time(line.at),
                format!("+{since} s"),
                line.mac.to_string(),
                line.kind.as_str().to_owned(),
                line.detail.clone(),
            ]
        })
        .collect();
    table(&["TIME (UTC)", "SINCE", "MAC", "EVENT", "DETAIL"], &rows);
    if let Some(expected) = timeline.expected {
        say(&format!("\nNext: {}{}", expected.next, if expected.late { " (late)" } else { "" }));
        say(&format!("If it does not come: {}.\n  → {}", expected.likely_cause, expected.remedy));
    }
    Ok(())
}
