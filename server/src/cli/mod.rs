//! The command line. `serve` and what first has to make a token work on this machine; everything else talks to the API like everybody.

mod account;
mod agent;
mod api;
mod audit;
mod backup;
mod cache;
mod channel;
mod client;
mod desktop;
mod file;
mod group;
mod image;
mod job;
mod job_script;
mod machines;
mod misc;
mod output;
mod package;
mod provider;
mod pxe;
mod report;
mod report_mail;
mod repository;
mod rollout;
mod selection;
mod serve;
mod source_list;
mod sse;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Settings;

/// In every help, the words that all commands know stand under this title, apart from the command's own.
const EVERYWHERE: &str = "Server and output (for every command)";

/// Manages machines from unboxing to retirement: network boot, installation, packages.
#[derive(Parser)]
#[command(
    name = "lotse",
    version,
    after_help = "Exit status: 0 well, 1 failed or refused, 2 wrong words, 3 the server cannot be reached, 4 it does not exist, 5 a second person has to approve it first."
)]
pub struct Arguments {
    #[command(flatten)]
    server: ServerWords,
    /// How answers are written.
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Output::Table, env = "LOTSE_OUTPUT", help_heading = EVERYWHERE)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// Which server, and as whom.
#[derive(clap::Args, Clone, Default)]
pub struct ServerWords {
    /// URL of the server; default is what `lotse login` has kept, or the server on this machine.
    #[arg(long, global = true, env = "LOTSE_SERVER", value_name = "URL", help_heading = EVERYWHERE)]
    server: Option<String>,
    /// File with the server's CA certificate.
    #[arg(long, global = true, env = "LOTSE_CA", value_name = "FILE", help_heading = EVERYWHERE)]
    ca: Option<PathBuf>,
    /// API token; better in the environment than on the command line, where others may see it.
    #[arg(
        long,
        global = true,
        env = "LOTSE_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = EVERYWHERE
    )]
    token: Option<String>,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    Table,
    /// JSON for programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Log in with a one-time link or by name, and keep the token for further commands
    Login(misc::Login),
    /// Accounts: who may log in, with which roles
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// API tokens
    #[command(subcommand)]
    Token(misc::TokenCommand),
    /// Clients: look, adopt, install
    #[command(subcommand)]
    Client(Box<client::ClientCommand>),
    /// Desktops: clients whose machine is made and removed at a provider
    #[command(subcommand)]
    Desktop(desktop::DesktopCommand),
    /// Providers of machines: accounts at clouds, and pools of them
    #[command(subcommand)]
    Provider(Box<provider::ProviderCommand>),
    /// Presets: values kept under a name for new clients
    #[command(subcommand)]
    Preset(machines::PresetCommand),
    /// Rules for machines that announce themselves
    #[command(subcommand)]
    Rule(machines::RuleCommand),
    /// Groups of clients
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Selections of packages: what is to be on clients and what is not
    #[command(subcommand)]
    Selection(selection::SelectionCommand),
    /// Jobs: look, watch, accept, cancel
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Job scripts: what jobs do; own versions, differences, trials
    #[command(subcommand)]
    JobScript(job_script::JobScriptCommand),
    /// Agents of clients: versions, upgrades
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Packages of clients, and looking for packages
    #[command(subcommand)]
    Package(package::PackageCommand),
    /// Rollouts: the same work for many clients, in waves that stop by themselves
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Source lists: where clients take their packages from
    #[command(subcommand)]
    SourceList(source_list::SourceListCommand),
    /// Own repositories of packages
    #[command(subcommand)]
    Repository(repository::RepositoryCommand),
    /// Storage layouts
    #[command(subcommand)]
    Layout(file::LayoutCommand),
    /// Distributions that can be installed
    #[command(subcommand)]
    Distribution(file::DistributionCommand),
    /// Images: installer, agent, base systems, boot ISO
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Network boot: the configuration of dnsmasq
    #[command(subcommand)]
    Pxe(pxe::PxeCommand),
    /// What people have changed, as a chain that can be verified
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// What can be set while the server runs
    #[command(subcommand)]
    Setting(audit::SettingCommand),
    /// What needs a second person
    #[command(subcommand)]
    Approval(audit::ApprovalCommand),
    /// Who is told of what happens: by mail and by webhook
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// The package cache: mirrors, stored files
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Reports: updates, reboots, silent clients, failures, hardware, software, packages, disks, space, age, changes
    Report(report::ReportWords),
    /// Reports that are mailed by the calendar
    #[command(subcommand)]
    ReportMail(report_mail::ReportMailCommand),
    /// Backups of the server itself, on its own host
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Follow what happens
    Events(misc::Events),
    /// Show how every part of the server is, and what to do about it
    Health,
    /// Show the server's addresses and the fingerprint of its CA
    Info,
    /// Show the fingerprint of the server's CA, to compare it with a machine's screen
    Ca,
    /// Write completion for a shell
    Completion(misc::Completion),
    /// Write the manual pages of all commands
    Man(misc::Man),
}

/// Why a command did not do what was asked, as exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Failed or refused.
    Failed = 1,
    /// Wrong words.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// It does not exist.
    NotFound = 4,
    /// It is kept until a second person approves it.
    AwaitsApproval = 5,
}

/// An error with its exit status.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn error(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        Self { exit, message: message.into() }.into()
    }
}

/// Runs a command to its end.
#[expect(clippy::print_stderr, reason = "the one place where a command's error is shown")]
pub fn main(arguments: Arguments) -> ExitCode {
    // Fails only when another provider was installed before, which nothing does.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lotse: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lotse: {error:#}");
            let exit = error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit);
            ExitCode::from(exit as u8)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { server, output, command } = arguments;
    let connect = || api::Api::connect(&server, output);
    match command {
        Command::Serve(serve) => serve::run(*serve).await,
        Command::Backup(command) => backup::run(command, output).await,
        Command::Login(login) => misc::login(&login, &server, output).await,
        Command::Token(misc::TokenCommand::Create(create)) if create.is_local() => {
            Box::pin(misc::create_local(&create, output)).await
        }
        Command::Account(command) => account::account(&connect()?, command).await,
        Command::Token(command) => misc::token(&connect()?, command).await,
        Command::Client(command) => client::run(&connect()?, *command).await,
        Command::Desktop(command) => desktop::run(&connect()?, command).await,
        Command::Provider(command) => provider::run(&connect()?, *command).await,
        Command::Preset(command) => machines::preset(&connect()?, command).await,
        Command::Rule(command) => machines::rule(&connect()?, command).await,
        Command::Group(command) => group::group(&connect()?, command).await,
        Command::Selection(command) => selection::selection(&connect()?, command).await,
        Command::Job(command) => job::run(&connect()?, command).await,
        Command::JobScript(command) => job_script::run(&connect()?, command).await,
        Command::Agent(command) => agent::run(&connect()?, command).await,
        Command::Package(command) => package::package(&connect()?, command).await,
        Command::Rollout(command) => rollout::run(&connect()?, command).await,
        Command::SourceList(command) => source_list::run(&connect()?, command).await,
        Command::Repository(command) => repository::run(&connect()?, command).await,
        Command::Layout(command) => file::layout(&connect()?, command).await,
        Command::Distribution(file::DistributionCommand::List) => file::distributions(&connect()?).await,
        Command::Image(command) => image::run(&connect()?, command).await,
        Command::Pxe(command) => pxe::run(command, connect).await,
        Command::Audit(command) => audit::audit(&connect()?, command).await,
        Command::Setting(command) => audit::setting(&connect()?, command).await,
        Command::Approval(command) => audit::approval(&connect()?, command).await,
        Command::Cache(command) => cache::run(&connect()?, command).await,
        Command::Channel(command) => channel::run(&connect()?, command).await,
        Command::ReportMail(command) => report_mail::run(&connect()?, command).await,
        Command::Report(words) => report::run(&connect()?, words).await,
        Command::Events(events) => misc::events(&connect()?, &events).await,
        Command::Health => misc::health(&connect()?).await,
        Command::Info => misc::info(&connect()?).await,
        Command::Ca => misc::ca(&connect()?).await,
        Command::Completion(completion) => misc::completion(&completion),
        Command::Man(man) => misc::man(&man),
    }
}

/// The words of `serve`, for the test that keeps the example configuration complete.
pub fn settings_names() -> Vec<String> {
    use clap::Args;
    let command = Settings::augment_args(clap::Command::new("settings"));
    command.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_name_that_would_change_the_address_is_refused_before_anything_is_sent() {
        for name in ["../tokens/1", "a?b=c", "a/b", "", "A", "%2e"] {
            assert!(
                Arguments::try_parse_from(["lotse", "client", "delete", "--yes", name]).is_err(),
                "{name}"
            );
        }
        assert!(Arguments::try_parse_from(["lotse", "client", "delete", "--yes", "lab-01"]).is_ok());
    }

    #[test]
    fn a_token_is_valid_for_at_least_a_day_and_at_most_a_hundred_years() {
        for (days, fine) in [("0", false), ("1", true), ("36500", true), ("4294967295", false)] {
            let words = ["lotse", "token", "create", "--role", "viewer", "--expires", days];
            assert_eq!(Arguments::try_parse_from(words).is_ok(), fine, "{days}");
        }
    }

    #[test]
    fn a_fingerprint_may_be_copied_from_a_screen() {
        let copied = "0D7B:4001 ".repeat(8);
        let words = ["lotse", "client", "adopt", "new-1", "--fingerprint", &copied];
        assert!(Arguments::try_parse_from(words).is_ok());
        assert!(Arguments::try_parse_from([&words[..4], &["--fingerprint", "0d7b"]].concat()).is_err());
    }

    #[test]
    fn a_timeline_is_asked_by_name_or_by_address() {
        for whose in ["lab-01", "52:54:00:12:34:56", "52-54-00-12-34-56", "abcdefabcdef"] {
            assert!(Arguments::try_parse_from(["lotse", "client", "timeline", whose]).is_ok(), "{whose}");
        }
    }
}
