//! `lotse package …`: jobs that change packages of a client.

use serde_json::{Value, json};

use super::{
    api::{Api, Name},
    job::queue,
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
    };
    queue(api, &on.client, &json!({ "job_type": job_type, "params": params, "hold": on.hold }), on.watch)
        .await
}
