//! `lotse source-list`

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;

use super::{
    api::{Api, Name},
    output::{note, say, table, time},
};
use crate::{
    app::source_lists::{SourceCheck, SourceList},
    domain::source_list::{ListWish, PackageSource},
    http::api::sources::SourceListView,
};

#[derive(Subcommand)]
pub(super) enum SourceListCommand {
    /// List source lists: own ones, those of distributions, those of own repositories
    List,
    /// Show a source list and who has it
    Show {
        /// Its name.
        name: Name,
    },
    /// Keep a source list, once its archives were asked and verified
    #[command(
        after_help = "Examples:\n  lotse source-list set vendor --uri https://packages.example/vendor --suite stable --component main --key vendor.asc --through-cache\n  lotse source-list set debian-12 --file debian-12.yaml"
    )]
    Set {
        /// Its name; that of a distribution replaces the distribution's own list.
        name: Name,
        #[command(flatten)]
        words: ListWords,
    },
    /// Ask the archives of what would become a source list; nothing is kept
    Check {
        #[command(flatten)]
        words: ListWords,
    },
    /// Remove an own source list
    Delete {
        /// Its name.
        name: Name,
    },
    /// Give a list to groups or clients; `lotse job run CLIENT package-sources` writes it
    Give(Receivers),
    /// Take a list from groups or clients
    Take(Receivers),
    /// Let the archives of a list be asked whether they offer something newer
    Refresh {
        /// Its name.
        name: Name,
    },
}

/// What is in a list: a file, or one source by words.
#[derive(clap::Args)]
pub(super) struct ListWords {
    /// YAML or JSON file with the whole list, as `lotse source-list show -o json` writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["uris", "suites", "components", "key", "through_cache"], required_unless_present = "uris")]
    file: Option<PathBuf>,
    /// Address of the archive; again for more.
    #[arg(long = "uri", value_name = "URI", requires = "suites", requires = "components")]
    uris: Vec<String>,
    /// Suite; again for more.
    #[arg(long = "suite", value_name = "SUITE")]
    suites: Vec<String>,
    /// Component; again for more.
    #[arg(long = "component", value_name = "COMPONENT")]
    components: Vec<String>,
    /// File with the public key of the archive in armour; without it the distribution's keyring counts.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Clients reach the archive through the server's package cache.
    #[arg(long)]
    through_cache: bool,
    /// For clients of this distribution only.
    #[arg(long)]
    distribution: Option<String>,
    /// Architecture; without it the distribution's.
    #[arg(long, default_value = "")]
    architecture: String,
    /// What it is for.
    #[arg(long, default_value = "")]
    description: String,
}

/// Who has a list.
#[derive(clap::Args)]
pub(super) struct Receivers {
    /// The list's name.
    name: Name,
    /// A group; again for more.
    #[arg(long = "group", required_unless_present = "clients")]
    groups: Vec<Name>,
    /// A client; again for more.
    #[arg(long = "client")]
    clients: Vec<Name>,
}

impl ListWords {
    fn wish(self) -> anyhow::Result<ListWish> {
        if let Some(path) = &self.file {
            let text = fs_err::read_to_string(path)?;
            let mut value: serde_yaml::Value =
                serde_yaml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
            // What is shown of a list beside what can be wanted of it.
            if let Some(fields) = value.as_mapping_mut() {
                for shown in ["name", "release", "origin", "changed_at", "changed_by", "users"] {
                    fields.remove(shown);
                }
            }
            return serde_yaml::from_value(value).with_context(|| format!("reading {}", path.display()));
        }
        let key = self.key.as_ref().map(fs_err::read_to_string).transpose()?.unwrap_or_default();
        let source = PackageSource {
            uris: self.uris,
            suites: self.suites,
            components: self.components,
            key,
            cached: self.through_cache,
            ..PackageSource::default()
        };
        Ok(ListWish {
            description: self.description,
            distribution: self.distribution,
            architecture: self.architecture,
            sources: vec![source],
        })
    }
}

pub(super) async fn run(api: &Api, command: SourceListCommand) -> anyhow::Result<()> {
    match command {
        SourceListCommand::List => list(api).await,
        SourceListCommand::Show { name } => {
            let view: SourceListView = api.get(&format!("/source-lists/{name}")).await?;
            if !api.wrote_json(&view)? {
                shown(&view);
            }
            Ok(())
        }
        SourceListCommand::Set { name, words } => {
            let view: SourceListView =
                api.send_json(Method::PUT, &format!("/source-lists/{name}"), &words.wish()?).await?;
            if !api.wrote_json(&view)? {
                say(&format!("The source list {name} is kept; its archives were asked and verified."));
            }
            Ok(())
        }
        SourceListCommand::Check { words } => check(api, &words.wish()?).await,
        SourceListCommand::Delete { name } => {
            let done = format!("The source list {name} is removed.");
            api.order(Method::DELETE, &format!("/source-lists/{name}"), &done).await
        }
        SourceListCommand::Give(receivers) => give(api, Method::PUT, receivers).await,
        SourceListCommand::Take(receivers) => give(api, Method::DELETE, receivers).await,
        SourceListCommand::Refresh { name } => {
            let done = format!("The archives of {name} are asked now.");
            api.order(Method::POST, &format!("/source-lists/{name}/refresh"), &done).await
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let lists: Vec<SourceList> = api.get("/source-lists").await?;
    if api.wrote_json(&lists)? {
        return Ok(());
    }
    let row = |list: SourceList| {
        let uris: Vec<String> = list.wish.sources.iter().flat_map(|source| source.uris.clone()).collect();
        vec![list.name, list.wish.distribution.unwrap_or_default(), uris.join(" "), list.wish.description]
    };
    table(
        &["NAME", "DISTRIBUTION", "ARCHIVES", "DESCRIPTION"],
        &lists.into_iter().map(row).collect::<Vec<_>>(),
    );
    Ok(())
}

fn shown(view: &SourceListView) {
    let SourceListView { list, users } = view;
    say(&format!("{} {}", list.name, list.wish.description));
    if let Some(distribution) = &list.wish.distribution {
        say(&format!("for clients of {distribution} ({})", list.release));
    }
    for source in &list.wish.sources {
        let how = match (source.enabled, source.cached) {
            (false, _) => " (not used)",
            (true, true) => " (through the package cache)",
            (true, false) => "",
        };
        let key = if source.key.is_empty() { "" } else { " with a key of its own" };
        say(&format!(
            "  {} {} {} {}{key}{how}",
            source.types.join(" "),
            source.uris.join(" "),
            source.suites.join(" "),
            source.components.join(" ")
        ));
    }
    for (kind, names) in [("groups", &users.groups), ("clients", &users.clients)] {
        if !names.is_empty() {
            say(&format!("{kind}: {}", names.join(", ")));
        }
    }
}

async fn check(api: &Api, wish: &ListWish) -> anyhow::Result<()> {
    let checks: Vec<SourceCheck> = api.send_json(Method::POST, "/source-list-checks", wish).await?;
    if api.wrote_json(&checks)? {
        return Ok(());
    }
    let row = |check: &SourceCheck| {
        let found = match (&check.problem, check.dated_at) {
            (Some(problem), _) => problem.clone(),
            (None, Some(at)) => format!("well, signed {}", time(at)),
            (None, None) => String::new(),
        };
        vec![check.uri.clone(), check.suite.clone(), found]
    };
    table(&["ARCHIVE", "SUITE", "FOUND"], &checks.iter().map(row).collect::<Vec<_>>());
    if checks.iter().any(|check| check.problem.is_some()) {
        note("A list with these sources would not be kept.");
    }
    Ok(())
}

async fn give(api: &Api, method: Method, receivers: Receivers) -> anyhow::Result<()> {
    let Receivers { name, groups, clients } = receivers;
    let all =
        groups.iter().map(|group| ("group", group)).chain(clients.iter().map(|client| ("client", client)));
    for (kind, receiver) in all {
        let done = match method {
            Method::DELETE => format!("The {kind} {receiver} has the source list {name} no more."),
            _ => format!("The {kind} {receiver} has the source list {name}."),
        };
        api.order(method.clone(), &format!("/source-lists/{name}/{kind}s/{receiver}"), &done).await?;
    }
    if api.output == super::Output::Table {
        note("Clients use it after their next job package-sources: `lotse job run CLIENT package-sources`.");
    }
    Ok(())
}
