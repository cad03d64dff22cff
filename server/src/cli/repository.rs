//! `lotse repository`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::{
    api::{Api, Name},
    output::{note, say, table, time},
};
use crate::{
    app::repositories::{OwnRepository, RepositoryKey, RepositoryPackage, RollBack, SuiteState},
    domain::{layout::size::human, repository::Suite},
};

#[derive(Subcommand)]
pub(super) enum RepositoryCommand {
    /// List own repositories
    List,
    /// Make a repository, with the suites testing and production
    Create {
        /// Its name.
        name: Name,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// So many versions of a package stay in testing.
        #[arg(long, default_value_t = 3)]
        keep: i64,
    },
    /// Remove a repository with its packages
    Delete {
        /// Its name.
        name: Name,
        /// Do not ask.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Show the packages of a repository
    Show {
        /// Its name.
        name: Name,
    },
    /// Take packages into testing
    Upload {
        /// The repository's name.
        name: Name,
        /// The .deb files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Take a package out of testing
    Remove {
        /// The repository's name.
        name: Name,
        /// The package's number, as `lotse repository show` has it.
        package: i64,
    },
    /// Let production have what testing has
    Promote {
        /// The repository's name.
        name: Name,
    },
    /// Show what the suites were before
    States {
        /// The repository's name.
        name: Name,
    },
    /// Let a suite have the packages of an earlier state again
    RollBack {
        /// The repository's name.
        name: Name,
        /// The suite: testing or production.
        suite: Suite,
        /// The number of the state.
        number: i64,
    },
    /// Show the key that repositories are signed with
    Key,
}

pub(super) async fn run(api: &Api, command: RepositoryCommand) -> anyhow::Result<()> {
    match command {
        RepositoryCommand::List => list(api).await,
        RepositoryCommand::Create { name, description, keep } => {
            let wish = json!({ "name": name, "description": description, "keep": keep });
            let made: OwnRepository = api.send_json(Method::POST, "/repositories", &wish).await?;
            if !api.wrote_json(&made)? {
                say(&format!(
                    "The repository {name} is made; the source lists {name} and {name}-testing lead to it."
                ));
            }
            Ok(())
        }
        RepositoryCommand::Delete { name, yes: _ } => {
            let done = format!("The repository {name} is removed.");
            api.order(Method::DELETE, &format!("/repositories/{name}"), &done).await
        }
        RepositoryCommand::Show { name } => show(api, &name).await,
        RepositoryCommand::Upload { name, files } => {
            for file in files {
                let path = format!("/repositories/{name}/packages");
                let package: RepositoryPackage = api.send_file(&path, &file, |_| {}).await?;
                if !api.wrote_json(&package)? {
                    let RepositoryPackage { name: package, version, .. } = package;
                    say(&format!("{package} {version} is in testing of {name}."));
                }
            }
            Ok(())
        }
        RepositoryCommand::Remove { name, package } => {
            let done = format!("Package {package} is out of testing of {name}.");
            api.order(Method::DELETE, &format!("/repositories/{name}/packages/{package}"), &done).await
        }
        RepositoryCommand::Promote { name } => {
            let done = format!("Production of {name} has what testing has.");
            api.order(Method::POST, &format!("/repositories/{name}/promote"), &done).await
        }
        RepositoryCommand::States { name } => states(api, &name).await,
        RepositoryCommand::RollBack { name, suite, number } => {
            let wish = RollBack { suite, number };
            api.send_json::<()>(Method::POST, &format!("/repositories/{name}/roll-back"), &wish).await?;
            api.told(&format!("{} of {name} has the packages of its state {number} again.", suite.as_str()));
            Ok(())
        }
        RepositoryCommand::Key => {
            let key: RepositoryKey = api.get("/repository-key").await?;
            if !api.wrote_json(&key)? {
                note(&format!("fingerprint {}", key.fingerprint));
                say(key.key.trim_end());
            }
            Ok(())
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let all: Vec<OwnRepository> = api.get("/repositories").await?;
    if api.wrote_json(&all)? {
        return Ok(());
    }
    if all.is_empty() {
        note("There are no repositories yet: `lotse repository create NAME`.");
        return Ok(());
    }
    let row = |one: OwnRepository| {
        let promoted = if one.promoted { "same as testing" } else { "differs" };
        vec![one.name, one.testing.to_string(), format!("{} ({promoted})", one.production), one.description]
    };
    table(&["NAME", "TESTING", "PRODUCTION", "DESCRIPTION"], &all.into_iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let packages: Vec<RepositoryPackage> = api.get(&format!("/repositories/{name}/packages")).await?;
    if api.wrote_json(&packages)? {
        return Ok(());
    }
    let row = |package: RepositoryPackage| {
        let suites: Vec<_> = package.suites.iter().map(|suite| suite.as_str()).collect();
        vec![
            package.id.to_string(),
            package.name,
            package.version,
            package.architecture,
            human(u64::try_from(package.size_bytes).unwrap_or(0)),
            suites.join(", "),
            time(package.uploaded_at),
        ]
    };
    let rows: Vec<_> = packages.into_iter().map(row).collect();
    table(&["ID", "PACKAGE", "VERSION", "ARCHITECTURE", "SIZE", "SUITES", "UPLOADED"], &rows);
    Ok(())
}

async fn states(api: &Api, name: &Name) -> anyhow::Result<()> {
    let states: Vec<SuiteState> = api.get(&format!("/repositories/{name}/states")).await?;
    if api.wrote_json(&states)? {
        return Ok(());
    }
    let row = |state: SuiteState| {
        let changes = state.added.iter().map(|name| format!("+{name}"));
        let changes: Vec<_> = changes.chain(state.removed.iter().map(|name| format!("-{name}"))).collect();
        vec![
            state.suite.as_str().to_owned(),
            state.number.to_string(),
            time(state.made_at),
            state.made_by,
            state.why,
            state.packages.to_string(),
            changes.join(", "),
        ]
    };
    let rows: Vec<_> = states.into_iter().map(row).collect();
    table(&["SUITE", "STATE", "MADE", "BY", "WHY", "PACKAGES", "CHANGES"], &rows);
    Ok(())
}
