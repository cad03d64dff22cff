//! `lotse repository`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use wire::JobId;

use super::{
    api::{Api, Name, Query},
    output::{note, say, table, time},
};
use crate::{
    app::repositories::{OwnRepository, RepositoryKey, RepositoryPackage, RollBack, SuiteState, Taking},
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
    /// Make a package of files, and take it into testing
    Build(Build),
    /// Take packages that are installed on a client into testing
    Take {
        /// The repository's name.
        name: Name,
        /// The client's name.
        client: Name,
        /// Names of packages that are installed there.
        #[arg(required = true)]
        packages: Vec<String>,
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

/// A package that is made of files.
#[derive(clap::Args)]
pub(super) struct Build {
    /// The repository's name.
    name: Name,
    /// A folder whose content is as it shall be on the client, or an archive of one: .tar, .tar.gz, .tar.xz, .tar.zst, .zip.
    files: PathBuf,
    /// The package's name.
    #[arg(long)]
    package: String,
    /// Its version.
    #[arg(long)]
    version: String,
    /// Its architecture.
    #[arg(long, default_value = "all")]
    architecture: String,
    /// What it needs, such as 'python3, openssh-client (>= 1:9)'.
    #[arg(long, default_value = "")]
    depends: String,
    /// What it is: one line, and more below if wanted.
    #[arg(long)]
    description: String,
    /// Who answers for it, as `NAME <ADDRESS>`.
    #[arg(long, default_value = "")]
    maintainer: String,
    /// The folder of the client under which the files are put, such as /opt/tool.
    #[arg(long, value_name = "FOLDER", default_value = "")]
    below: String,
    /// Let files keep the right to run as another user or group (setuid, setgid).
    #[arg(long)]
    setuid: bool,
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
        RepositoryCommand::Build(wanted) => build(api, &wanted).await,
        RepositoryCommand::Take { name, client, packages } => {
            let wish = Taking { client: client.to_string(), packages };
            let job: JobId =
                api.send_json(Method::POST, &format!("/repositories/{name}/takings"), &wish).await?;
            if !api.wrote_json(&job)? {
                say(&format!("Job {job} sends them: `lotse job watch {job}`."));
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

async fn build(api: &Api, wanted: &Build) -> anyhow::Result<()> {
    let Build { name, files, .. } = wanted;
    let query = Query::new(&format!("/repositories/{name}/builds"))
        .with("package", Some(&wanted.package))
        .with("version", Some(&wanted.version))
        .with("architecture", Some(&wanted.architecture))
        .with("depends", Some(&wanted.depends))
        .with("description", Some(&wanted.description))
        .with("maintainer", Some(&wanted.maintainer))
        .with("below", Some(&wanted.below))
        .with("setuid", Some(wanted.setuid));
    let made: RepositoryPackage = if files.is_dir() {
        let packed = tempfile::NamedTempFile::new()?;
        let (folder, file) = (files.to_owned(), packed.reopen()?);
        tokio::task::spawn_blocking(move || pack(&folder, file)).await??;
        api.send_file(&query.0, packed.path(), |_| {}).await?
    } else {
        api.send_file(&query.0, files, |_| {}).await?
    };
    if !api.wrote_json(&made)? {
        say(&format!("{} {} is made, and is in testing of {name}.", made.name, made.version));
    }
    Ok(())
}

/// Writes a folder as an archive; links stay links.
fn pack(folder: &Path, file: std::fs::File) -> anyhow::Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::new(file));
    archive.follow_symlinks(false);
    archive.append_dir_all(".", folder).with_context(|| format!("reading {}", folder.display()))?;
    archive.into_inner()?.into_inner()?;
    Ok(())
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
