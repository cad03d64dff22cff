//! `lotse package …`: jobs that change packages of a client, and looking for packages.

use serde_json::{Value, json};

use super::{
    api::{Api, Name, Query},
    job::queue,
    output::{note, table, time},
};
use crate::{
    app::package_search::{FoundPackages, SearchedIndex},
    domain::layout::size::human,
};

/// Jobs that change packages of a client.
#[derive(clap::Subcommand)]
pub(super) enum PackageCommand {
    /// Install packages
    #[command(
        after_help = "Examples:\n  lotse package install lab-01 hello tree --watch\n  lotse package install lab-01 hello=2.10-3 --downgrades --preview --watch"
    )]
    Install {
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        allowed: Allowed,
        /// Allow older versions.
        #[arg(long)]
        downgrades: bool,
        /// Without the packages that they only recommend.
        #[arg(long)]
        no_recommends: bool,
        /// Replace changed configuration files by those of the packages.
        #[arg(long)]
        replace_conffiles: bool,
        /// An answer to a question of a package, as debconf-set-selections(1) reads it; `secret:NAME` is a secret of the client.
        #[arg(long = "answer", value_name = "PACKAGE QUESTION TYPE ANSWER")]
        answers: Vec<String>,
    },
    /// Remove packages
    Remove {
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        allowed: Allowed,
        /// Remove their configuration files too.
        #[arg(long)]
        purge: bool,
    },
    /// Refresh package lists
    Update(OnClient),
    /// Upgrade packages: all of them, or those that are named
    #[command(after_help = "Example:\n  lotse package upgrade lab-01 --security --watch")]
    Upgrade {
        #[command(flatten)]
        on: OnClient,
        /// Only these.
        packages: Vec<String>,
        #[command(flatten)]
        allowed: Allowed,
        /// Only security updates.
        #[arg(long)]
        security: bool,
        /// Replace changed configuration files by those of the packages.
        #[arg(long)]
        replace_conffiles: bool,
    },
    /// Install some, remove others and hold some, in one run
    #[command(
        after_help = "Example:\n  lotse package change lab-01 --install vlc --remove totem --keep firefox-esr --preview --watch"
    )]
    Change {
        #[command(flatten)]
        on: OnClient,
        /// Install it, or bring it to the newest version; NAME=VERSION brings that one.
        #[arg(long, value_name = "PACKAGE")]
        install: Vec<String>,
        /// Remove it.
        #[arg(long, value_name = "PACKAGE")]
        remove: Vec<String>,
        /// Keep it at its version afterwards.
        #[arg(long = "keep", value_name = "PACKAGE")]
        keep: Vec<String>,
        /// No longer keep it at its version.
        #[arg(long, value_name = "PACKAGE")]
        unhold: Vec<String>,
        #[command(flatten)]
        allowed: Allowed,
        /// Allow older versions.
        #[arg(long)]
        downgrades: bool,
        /// Remove configuration files too.
        #[arg(long)]
        purge: bool,
    },
    /// Keep packages at their version
    Hold(Words),
    /// No longer keep packages at their version
    Unhold(Words),
    /// Tell apt which version of packages it is to choose, or from where
    #[command(
        after_help = "Examples:\n  lotse package pin lab-01 firefox-esr --version '128.*'\n  lotse package pin lab-01 linux-image-amd64 --release n=bookworm-backports --priority 500"
    )]
    Pin {
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        by: PinBy,
        /// How much: from 1001 also an older version, from 990 before others, below 0 never.
        #[arg(long, default_value_t = 1001, allow_negative_numbers = true)]
        priority: i64,
    },
    /// Take pins of packages away
    Unpin(Words),
    /// Look for packages in what archives offer
    #[command(after_help = "Example:\n  lotse package search --list debian-12 web browser")]
    Search {
        /// In this source list; without it in everything that was searched before.
        #[arg(long)]
        list: Option<Name>,
        /// In the source lists of this client.
        #[arg(long, conflicts_with = "list")]
        client: Option<Name>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Words that name or description must have in them.
        #[arg(required = true)]
        words: Vec<String>,
    },
}

/// Packages of a client.
#[derive(clap::Args)]
pub(super) struct Words {
    #[command(flatten)]
    on: OnClient,
    /// Names of the packages.
    #[arg(required = true)]
    packages: Vec<String>,
}

/// What apt is to prefer.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct PinBy {
    /// This version; `*` stands for anything.
    #[arg(long)]
    version: Option<String>,
    /// What comes from this host.
    #[arg(long, value_name = "HOST")]
    origin: Option<String>,
    /// What comes from this release, such as n=bookworm-backports.
    #[arg(long)]
    release: Option<String>,
}

impl PinBy {
    /// As `apt_preferences(5)` has it.
    fn pin(&self) -> String {
        let words = [("version", &self.version), ("origin", &self.origin), ("release", &self.release)];
        let given = words.into_iter().find_map(|(name, word)| Some(format!("{name} {}", word.as_ref()?)));
        given.unwrap_or_default()
    }
}

/// A client, and what happens to the job.
#[derive(clap::Args)]
pub(super) struct OnClient {
    /// The client's name.
    client: Name,
    /// Watch it until it ends.
    #[arg(long)]
    watch: bool,
    /// Keep it held until somebody accepts it.
    #[arg(long)]
    hold: bool,
}

/// What a change of packages may do.
#[derive(clap::Args)]
pub(super) struct Allowed {
    /// Only show what would change.
    #[arg(long)]
    preview: bool,
    /// Allow that other packages are removed.
    #[arg(long)]
    removals: bool,
    /// Change packages that are held, too.
    #[arg(long)]
    held: bool,
}

impl Allowed {
    fn beside(&self, mut params: Value) -> Value {
        params["preview"] = json!(self.preview);
        params["removals"] = json!(self.removals);
        params["held"] = json!(self.held);
        params
    }
}

fn conffiles(replace: bool) -> &'static str {
    if replace { "replace" } else { "keep" }
}

pub(super) async fn package(api: &Api, command: PackageCommand) -> anyhow::Result<()> {
    let (on, job_type, params) = match command {
        PackageCommand::Install { words, allowed, downgrades, no_recommends, replace_conffiles, answers } => {
            let params = json!({ "packages": words.packages, "downgrades": downgrades, "recommends": !no_recommends,
                "conffiles": conffiles(replace_conffiles), "answers": answers });
            (words.on, "package-install", allowed.beside(params))
        }
        PackageCommand::Remove { words, allowed, purge } => (
            words.on,
            "package-remove",
            allowed.beside(json!({ "packages": words.packages, "purge": purge })),
        ),
        PackageCommand::Update(on) => (on, "package-update", json!({})),
        PackageCommand::Upgrade { on, packages, allowed, security, replace_conffiles } => {
            let params = json!({ "packages": packages, "security": security, "conffiles": conffiles(replace_conffiles) });
            (on, "package-upgrade", allowed.beside(params))
        }
        PackageCommand::Change { on, install, remove, keep, unhold, allowed, downgrades, purge } => {
            let params = json!({ "packages": install, "remove": remove, "hold": keep, "unhold": unhold,
                "downgrades": downgrades, "purge": purge });
            (on, "package-change", allowed.beside(params))
        }
        PackageCommand::Hold(words) => (words.on, "package-hold", json!({ "packages": words.packages })),
        PackageCommand::Unhold(words) => (words.on, "package-unhold", json!({ "packages": words.packages })),
        PackageCommand::Pin { words, by, priority } => (
            words.on,
            "package-pin",
            json!({ "packages": words.packages, "pin": by.pin(), "priority": priority }),
        ),
        PackageCommand::Unpin(words) => (words.on, "package-unpin", json!({ "packages": words.packages })),
        PackageCommand::Search { list, client, limit, words } => {
            let query = Query::new("/package-search").with("q", Some(words.join(" "))).with("list", list);
            return search(api, query.with("client", client).with("limit", Some(limit))).await;
        }
    };
    queue(api, &on.client, &json!({ "job_type": job_type, "params": params, "hold": on.hold }), on.watch)
        .await
}

async fn search(api: &Api, query: Query) -> anyhow::Result<()> {
    let found: FoundPackages = api.get(&query.0).await?;
    if api.wrote_json(&found)? {
        return Ok(());
    }
    let rows: Vec<_> = found
        .packages
        .into_iter()
        .map(|package| {
            let size = |bytes: i64| human(u64::try_from(bytes).unwrap_or(0));
            let (size, installed) = (size(package.size_bytes), size(package.installed_bytes));
            vec![
                package.name,
                package.version,
                package.section,
                size,
                installed,
                package.suite,
                package.description,
            ]
        })
        .collect();
    table(&["PACKAGE", "VERSION", "SECTION", "SIZE", "INSTALLED", "SUITE", "DESCRIPTION"], &rows);
    if found.more {
        note("There are more: say more words, or a greater --limit.");
    }
    if found.indices.is_empty() {
        note("Nothing was searched in yet: say --list NAME once (`lotse source-list list`).");
    }
    for index in &found.indices {
        note(&age(index));
    }
    Ok(())
}

fn age(index: &SearchedIndex) -> String {
    let place = format!("{} {} {} {}", index.archive, index.suite, index.component, index.architecture);
    match (index.packages, index.dated_at, &index.problem) {
        (Some(packages), Some(at), None) => format!("{place}: {packages} packages, signed {}", time(at)),
        (Some(packages), Some(at), Some(problem)) => {
            format!("{place}: {packages} packages, signed {}; could not be asked anew: {problem}", time(at))
        }
        (_, _, Some(problem)) => format!("{place}: {problem}"),
        (_, _, None) => format!("{place}: is being read; ask again in a moment"),
    }
}
