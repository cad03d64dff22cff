//! `lotse agent …`: which agents there are, and newer ones for clients.

use serde_json::{Value, json};

use super::{
    api::{Api, Name},
    job::queue,
    output::{note, say, table},
    rollout,
};
use crate::{
    app::health::Health,
    domain::image::{self, Image},
};

/// Agents of clients.
#[derive(clap::Subcommand)]
pub(super) enum AgentCommand {
    /// List the versions of agents, and which one this server has
    List,
    /// Replace the agent of a client, or of many in a rollout, by the one that this server has
    #[command(
        after_help = "Examples:\n  lotse agent upgrade lab-01 --watch\n  lotse agent upgrade --group lab\n  lotse agent upgrade --where 'agent<0.2.0'"
    )]
    Upgrade(Upgrade),
}

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(super) struct Upgrade {
    /// The client's name.
    #[arg(required_unless_present_any = ["group", "query"], conflicts_with_all = ["group", "query"])]
    client: Option<Name>,
    /// The members of this group, in waves: one, a tenth, the rest.
    #[arg(long, conflicts_with = "query")]
    group: Option<Name>,
    /// The clients that this search means, in waves.
    #[arg(long = "where", value_name = "SEARCH")]
    query: Option<String>,
    /// Seconds that the new agent may take before the old one comes back, 10 to 900.
    #[arg(long, default_value_t = 120)]
    limit: u32,
    /// Also when this server's agent is the older one.
    #[arg(long)]
    downgrade: bool,
    /// Also when the client has this version already.
    #[arg(long)]
    reinstall: bool,
    /// Watch it until it ends.
    #[arg(long, conflicts_with_all = ["group", "query"])]
    watch: bool,
    /// Keep it held until somebody accepts it; a rollout is only made, and not started.
    #[arg(long)]
    hold: bool,
}

pub(super) async fn run(api: &Api, command: AgentCommand) -> anyhow::Result<()> {
    match command {
        AgentCommand::List => list(api).await,
        AgentCommand::Upgrade(upgrade) => self::upgrade(api, upgrade).await,
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let health: Health = api.get("/health").await?;
    if api.wrote_json(&health.agents)? {
        return Ok(());
    }
    let images: Vec<Image> = api.get("/images").await?;
    let newest = images.into_iter().find(|image| image.name == image::AGENT).map(|image| image.version);
    match newest.as_deref() {
        None => note("This server has no agent yet: `lotse image build agent`."),
        Some("") => {
            note("The version of this server's agent is not known: `lotse image build agent --force`.");
        }
        Some(version) => say(&format!("This server has agent {version}.")),
    }
    let rows: Vec<_> =
        health.agents.into_iter().map(|agent| vec![agent.version, agent.clients.to_string()]).collect();
    table(&["VERSION", "CLIENTS"], &rows);
    Ok(())
}

async fn upgrade(api: &Api, upgrade: Upgrade) -> anyhow::Result<()> {
    let params =
        json!({ "limit": upgrade.limit, "downgrade": upgrade.downgrade, "reinstall": upgrade.reinstall });
    if let Some(client) = &upgrade.client {
        let order = json!({ "job_type": "agent-upgrade", "params": params, "hold": upgrade.hold });
        return queue(api, client, &order, upgrade.watch).await;
    }
    let spec = json!({
        "work": { "kind": "jobs", "jobs": [{ "job_type": "agent-upgrade", "params": params }] },
        "target": { "group": upgrade.group, "where": upgrade.query },
    });
    let body: Value = json!({ "title": "agent-upgrade", "spec": spec, "dry_run": false });
    rollout::make(api, &body, !upgrade.hold).await
}
