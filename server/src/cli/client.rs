//! `lotse client`

mod batch;
mod console;
mod filters;
mod install;
mod integrate;
mod packages;
mod shown;
mod ssh;
mod wishes;

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use wire::{JobId, Mac, Sha256, facts::Facts};

pub(super) use self::{install::confirm, wishes::Wishes};
use self::{
    install::{Order, install},
    integrate::Integrate,
    packages::{CompareWords, PackagesWords},
    shown::{Whose, list, show, timeline},
    wishes::read_keys,
};
use super::{
    api::{Api, Name, fingerprint},
    machines::{MassInstall, mass_install, notes, recover},
    output::{note, say, say_json, time},
};
use crate::{
    app::{helpdesk::EnrolCommand, search::SortBy, user_data::ClientUserData},
    domain::client::{ClientConfig, Stage},
    http::api::view::ClientView,
};

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// List clients: all, or those that a search means
    #[command(
        after_help = "Examples:\n  lotse client list 'stage:installed health:offline seen>7d' --sort=-seen\n  lotse client list 'package:openssl<3.0.15' --columns name,os,ip\n  lotse client list 'memory<4G or not disk>100G'\ndocs/search.md describes the language."
    )]
    List {
        /// Which clients: words in names, addresses and serial numbers, and tests such as stage:installed.
        query: Vec<String>,
        /// By which column; with `-` before it the largest first, as --sort=-seen.
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        sort: String,
        /// Which columns, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "name,stage,health,mac,group,activity")]
        columns: Vec<SortBy>,
        /// Those of a saved search, by its name; what else is asked must hold, too.
        #[arg(long, value_name = "NAME")]
        filter: Option<String>,
        /// Save this search under a name, instead of listing.
        #[arg(long, value_name = "NAME", conflicts_with = "filter")]
        save: Option<String>,
        /// With --save: everybody sees it.
        #[arg(long, requires = "save")]
        share: bool,
        /// Only in this stage: registered, discovered, installing, installed, retired.
        #[arg(long)]
        stage: Option<Stage>,
        /// Only members of this group.
        #[arg(long)]
        group: Option<Name>,
    },
    /// Show a client
    Show {
        /// Its name.
        name: Name,
        /// Show what its agent measured instead.
        #[arg(long)]
        facts: bool,
    },
    /// Show which packages a client has, which could be newer, and what has changed
    #[command(
        after_help = "Examples:\n  lotse client packages lab-01 --only security\n  lotse client packages lab-01 openssl --history"
    )]
    Packages(PackagesWords),
    /// Compare the packages of two clients, or of one with what it had on a day
    #[command(
        after_help = "Examples:\n  lotse client compare lab-01 lab-02\n  lotse client compare lab-01 --at 2026-01-31 --csv > changes.csv"
    )]
    Compare(CompareWords),
    /// Register a client before it boots: by its hardware address, or without one to enrol an installed system
    #[command(
        after_help = "Examples:\n  lotse client add lab-01 --mac 52:54:00:12:34:56 --group lab --layout whole-disk\n  lotse client add web-01 --group servers"
    )]
    Add {
        /// Its host name.
        name: Name,
        /// Its hardware address, as 52:54:00:12:34:56; repeat it for several.
        #[arg(long = "mac", value_name = "ADDRESS")]
        macs: Vec<Mac>,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Take over a machine that is installed already: it becomes a client, and nothing on it changes but for the agent
    #[command(
        after_help = "Examples:\n  lotse client integrate web-01 --group servers\n  lotse client integrate web-01 --ssh admin@web-01.example --password\n  lotse client integrate web-01 --ssh root@192.0.2.7:2222 --host-key SHA256:uNiVztksCsDhcc0u9e8BrUjHs1pWfDPO3HyaGWfLQtg\ndocs/taking-over.md describes both ways."
    )]
    Integrate(Box<Integrate>),
    /// Show how a machine was found that was taken over, and where it differs from its record
    Integration {
        /// Its name.
        name: Name,
    },
    /// Let a discovered machine become a client
    #[command(
        after_help = "Example:\n  lotse client adopt new-525400123456 --name lab-01 --group lab --distribution debian-12 \\\n    --user ann --locale de_DE.UTF-8 --timezone Europe/Berlin --install"
    )]
    Adopt {
        /// Its present name.
        machine: Name,
        /// Its host name from now on.
        #[arg(long)]
        name: Option<Name>,
        /// The fingerprint that the machine shows on its screen; adopting another one is refused.
        #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
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
        name: Name,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Install a client; shows what will be destroyed and asks first
    Install {
        /// Its name.
        name: Name,
        /// Only show what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before the disks are wiped.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Install a client anew that was installed before, and restart it
    Redo {
        /// Its name.
        name: Name,
        /// Do not ask before the disks are wiped.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Install many machines by a table; every row is checked before anything begins
    #[command(
        after_help = "Example:\n  lotse client mass-install room-3.csv --names 'pc-{001..}' --group room-3 --passwords --dry-run"
    )]
    MassInstall(Box<MassInstall>),
    /// Install a client anew, and then do again what had succeeded on it, such as installed packages
    Recover {
        /// Its name.
        name: Name,
        /// Only show what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before the disks are wiped.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Note something about a client, or show what is noted
    Note {
        /// Its name.
        name: Name,
        /// What to note; without it, all notes are shown.
        text: Option<String>,
    },
    /// Forget a machine that waits for adoption; `client retire` keeps it away for good
    Forget {
        /// Its name.
        name: Name,
    },
    /// Restart a machine through its agent
    Restart {
        /// Its name.
        name: Name,
    },
    /// Wake a machine over the network
    Wake {
        /// Its name.
        name: Name,
    },
    /// Order something for all clients that a search means; shows for how many and which not, and asks first
    #[command(
        after_help = "Examples:\n  lotse client batch package-install vim htop --where 'group:room-101'\n  lotse client batch reboot --where 'stage:installed package:linux-image-amd64' --dry-run\n  lotse client batch join-group old --where 'memory<4G'\ndocs/search.md describes the language."
    )]
    Batch {
        /// install, redo, reboot, wake, retire, rescue, package-install, package-remove, package-upgrade, apply-selection, join-group or leave-group.
        action: String,
        /// Packages, the group, or files with public keys.
        words: Vec<String>,
        /// For which clients.
        #[arg(long = "where", value_name = "QUERY")]
        query: String,
        /// Only show what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask; orders that destroy need --expect.
        #[arg(long, short = 'y')]
        yes: bool,
        /// Only when it is for exactly so many clients.
        #[arg(long, value_name = "NUMBER")]
        expect: Option<i64>,
    },
    /// Show how far an order for many clients is
    BatchStatus {
        /// Its number.
        batch: i64,
    },
    /// Boot the rescue system with SSH for a key
    #[command(after_help = "Example:\n  lotse client rescue lab-01 --keys ~/.ssh/id_ed25519.pub")]
    Rescue {
        /// Its name.
        name: Name,
        /// File with public keys, as `~/.ssh/id_ed25519.pub`.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
    /// End the rescue of a client
    Release {
        /// Its name.
        name: Name,
    },
    /// Show the command with which a system that is installed already becomes this client
    EnrolCommand {
        /// Its name.
        name: Name,
    },
    /// Show the user-data with which a machine in a cloud becomes this client
    #[command(
        after_help = "Example:\n  lotse client user-data desktop-01 > user-data && cloud-localds seed.iso user-data"
    )]
    UserData {
        /// Its name.
        name: Name,
    },
    /// Drop everything that waits for a client
    Reset {
        /// Its name.
        name: Name,
    },
    /// Show every contact of a machine on its way into the system, what comes next, and why it may not
    Timeline {
        /// A client's name or a hardware address; without either, machines on their way that nobody knows.
        whose: Option<Whose>,
    },
    /// Show what a virtual machine prints on its serial line, from its installation on; its screen is on the client's page
    Console {
        /// Its name.
        name: Name,
        /// Go on with what comes.
        #[arg(long)]
        follow: bool,
        /// Only lines with this text, whatever its case.
        #[arg(long, value_name = "TEXT", default_value = "")]
        search: String,
    },
    /// Let a client work again after an alarm
    ClearAlarm {
        /// Its name.
        name: Name,
    },
    /// Take a client out of service: its agent is let in no more, its jobs are cancelled, its history stays
    Retire {
        /// Its name.
        name: Name,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Take a retired client back into service; it gets a new identity at its next boot
    Reinstate {
        /// Its name.
        name: Name,
    },
    /// Remove a client with everything that belongs to it
    Delete {
        /// Its name.
        name: Name,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

#[expect(clippy::too_many_lines, reason = "one short arm for each command")]
pub(super) async fn run(api: &Api, command: ClientCommand) -> anyhow::Result<()> {
    let order = async |method: Method, name: &Name, verb: &str, done: &str| {
        api.order(method, &format!("/clients/{name}{verb}"), &format!("{name} {done}.")).await
    };
    match command {
        ClientCommand::List { query, sort, columns, filter, save, share, stage, group } => {
            let asked = filters::Asked { query: query.join(" "), sort, filter, save, share };
            match filters::resolved(api, asked).await? {
                Some((query, sort)) => list(api, &query, &sort, &columns, stage, group.as_ref()).await,
                None => Ok(()),
            }
        }
        ClientCommand::Packages(words) => packages::packages(api, words).await,
        ClientCommand::Compare(words) => packages::compare(api, words).await,
        ClientCommand::Show { name, facts: false } => show(api, &name).await,
        ClientCommand::Show { name, facts: true } => {
            let facts: Facts = api.get(&format!("/clients/{name}/facts")).await?;
            say_json(&serde_json::to_string_pretty(&facts)?);
            Ok(())
        }
        ClientCommand::Add { name, macs, wishes } => {
            let config = wishes.apply(ClientConfig::default())?;
            let body = json!({
                "name": name, "macs": macs, "config": config, "groups": wishes.groups,
                "passwords": wishes.passwords()?
            });
            let client: ClientView = api.send_json(Method::POST, "/clients", &body).await?;
            done(api, &client, "registered")
        }
        ClientCommand::Integrate(words) => integrate::integrate(api, *words).await,
        ClientCommand::Integration { name } => integrate::show(api, &name).await,
        ClientCommand::Adopt { machine, name, fingerprint, install: then, yes, wishes } => {
            let name = adopt(api, machine, name, fingerprint, &wishes).await?;
            if then { install(api, &name, Order::Install, false, yes).await } else { Ok(()) }
        }
        ClientCommand::Edit { name, wishes } => edit(api, &name, &wishes).await,
        ClientCommand::Install { name, dry_run, yes } => {
            install(api, &name, Order::Install, dry_run, yes).await
        }
        ClientCommand::Redo { name, yes } => install(api, &name, Order::Redo, false, yes).await,
        ClientCommand::MassInstall(words) => mass_install(api, *words).await,
        ClientCommand::Recover { name, dry_run, yes } => {
            if !dry_run && !yes {
                confirm(&name, &format!("{name} will be installed anew, and its disks wiped."))?;
            }
            recover(api, &name, dry_run).await
        }
        ClientCommand::Note { name, text } => notes(api, &name, text).await,
        ClientCommand::Forget { name } => order(Method::POST, &name, "/forget", "is forgotten").await,
        ClientCommand::Restart { name } => queued(api, &name, "restart", &json!({})).await,
        ClientCommand::Wake { name } => order(Method::POST, &name, "/wake", "was called").await,
        ClientCommand::Batch { action, words, query, dry_run, yes, expect } => {
            batch::order(api, &action, &words, &query, dry_run, yes, expect).await
        }
        ClientCommand::BatchStatus { batch } => batch::status(api, batch).await,
        ClientCommand::Rescue { name, keys } => {
            let body = json!({ "authorized_keys": read_keys(&keys)? });
            queued(api, &name, "rescue", &body).await?;
            note(&format!(
                "Restart {name}; when it has booted over the network, the job's output shows its address.\nEnd the rescue with `lotse client release {name}`."
            ));
            Ok(())
        }
        ClientCommand::Release { name } => {
            order(Method::POST, &name, "/release", "is told to end its rescue").await
        }
        ClientCommand::EnrolCommand { name } => enrol_command(api, &name).await,
        ClientCommand::UserData { name } => user_data(api, &name).await,
        ClientCommand::Reset { name } => {
            order(Method::POST, &name, "/reset", "has nothing to do any more").await
        }
        ClientCommand::Timeline { whose } => timeline(api, whose.as_ref()).await,
        ClientCommand::Console { name, follow, search } => {
            console::console(api, &name, follow, &search).await
        }
        ClientCommand::ClearAlarm { name } => {
            order(Method::DELETE, &name, "/alarm", "may work again; restart it").await
        }
        ClientCommand::Retire { name, yes } => retire(api, &name, yes).await,
        ClientCommand::Reinstate { name } => {
            order(Method::POST, &name, "/reinstate", "is in service again; restart it").await
        }
        ClientCommand::Delete { name, yes } => {
            if !yes {
                confirm(&name, &format!("The client {name} is removed with its jobs and history."))?;
            }
            order(Method::DELETE, &name, "", "is removed").await
        }
    }
}

/// Gives the name that the client has from now on.
async fn adopt(
    api: &Api,
    machine: Name,
    name: Option<Name>,
    fingerprint: Option<Sha256>,
    wishes: &Wishes,
) -> anyhow::Result<Name> {
    let present: ClientView = api.get(&format!("/clients/{machine}")).await?;
    let mut change = wishes.change(present.config)?;
    change["name"] = json!(name);
    change["fingerprint"] = json!(fingerprint);
    let client: ClientView =
        api.send_json(Method::POST, &format!("/clients/{machine}/adopt"), &change).await?;
    done(api, &client, "adopted")?;
    Ok(name.unwrap_or(machine))
}

async fn edit(api: &Api, name: &Name, wishes: &Wishes) -> anyhow::Result<()> {
    let present: ClientView = api.get(&format!("/clients/{name}")).await?;
    let version = present.version;
    let change = wishes.change(present.config)?;
    let client: ClientView = api.patch(&format!("/clients/{name}"), version, &change).await?;
    done(api, &client, "changed")
}

async fn retire(api: &Api, name: &Name, yes: bool) -> anyhow::Result<()> {
    if !yes {
        confirm(name, &format!("The agent of {name} is let in no more, and its jobs are cancelled."))?;
    }
    let done = format!("{name} is retired; `lotse client reinstate {name}` takes it back.");
    api.order(Method::POST, &format!("/clients/{name}/retire"), &done).await
}

async fn enrol_command(api: &Api, name: &Name) -> anyhow::Result<()> {
    let path = format!("/clients/{name}/enrol-command");
    let made: EnrolCommand = api.send_json(Method::POST, &path, &json!({})).await?;
    if !api.wrote_json(&made)? {
        note(&format!(
            "Run this as root on the machine, once, before {} UTC.\nThe package of the agent must be installed there; the server has it as /usr/lib/lotse/lotse-agent.deb.",
            time(made.expires_at)
        ));
        say(&made.command);
    }
    Ok(())
}

async fn user_data(api: &Api, name: &Name) -> anyhow::Result<()> {
    let path = format!("/clients/{name}/user-data");
    let made: ClientUserData = api.send_json(Method::POST, &path, &json!({})).await?;
    if !api.wrote_json(&made)? {
        note(&format!("The machine has to be let in before {} UTC.", time(made.expires_at)));
        say(made.text.trim_end());
    }
    Ok(())
}

async fn queued(api: &Api, name: &Name, verb: &str, body: &serde_json::Value) -> anyhow::Result<()> {
    let id: JobId = api.send_json(Method::POST, &format!("/clients/{name}/{verb}"), body).await?;
    if !api.wrote_json(&id)? {
        say(&format!("Job {id} is queued; `lotse job watch {id}` shows it live."));
    }
    Ok(())
}

fn done(api: &Api, client: &ClientView, what: &str) -> anyhow::Result<()> {
    if !api.wrote_json(client)? {
        say(&format!("{} is {what}.", client.name));
    }
    Ok(())
}
