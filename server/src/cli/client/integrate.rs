//! `lotse client integrate` and `integration`: machines that somebody else has installed.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::Context;
use reqwest::Method;
use serde_json::json;

use super::ssh::{Account, Seen, Target, look};
use crate::{
    app::integration::{IntegrationView, SshPlace, TakeOver},
    cli::{
        Exit, Failure,
        api::{Api, Name},
        output::{note, say, table, time},
    },
    domain::integration::SurveyPart,
};

/// How a machine is taken over.
#[derive(clap::Args)]
pub(in crate::cli) struct Integrate {
    /// The client that the machine becomes; registered when there is none.
    name: Name,
    /// Group of a new client; repeat it for several.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Do it over SSH, from this machine with your own ssh.
    #[arg(long, value_name = "USER@HOST[:PORT]")]
    ssh: Option<Target>,
    /// The host key that the machine has to show, as SHA256:…; without it you are asked.
    #[arg(long, value_name = "SHA256:…", requires = "ssh")]
    host_key: Option<String>,
    /// File with the private key for SSH; without it, your agent and ssh's usual files.
    #[arg(long, value_name = "FILE", requires = "ssh")]
    identity: Option<PathBuf>,
    /// Ask for the account's password, for SSH (unless --identity is given) and sudo; without a terminal it is the first line of standard input. It is not kept.
    #[arg(long, requires = "ssh")]
    password: bool,
}

pub(super) async fn integrate(api: &Api, words: Integrate) -> anyhow::Result<()> {
    let Integrate { name, groups, ssh, host_key, identity, password } = words;
    let Some(target) = ssh else {
        let made = order(api, &name, &groups, None).await?;
        if !api.wrote_json(&made)? {
            note(&format!(
                "Paste all of this as root on the machine, before {} UTC. It installs the agent and changes nothing else;\nwhat it then finds is shown by `lotse client integration {name}`.",
                time(made.expires_at)
            ));
            say(made.command.trim_end());
        }
        return Ok(());
    };
    let seen = look(target).await?;
    accept(&seen, host_key.as_deref(), &pinned(api, &name).await?)?;
    let password = password.then(read_password).transpose()?;
    let place =
        SshPlace { address: seen.address(), host_key: seen.host_key.clone(), replaces: host_key.is_some() };
    let made = order(api, &name, &groups, Some(place)).await?;
    let account = Account { identity: identity.as_deref(), password: password.as_deref() };
    seen.run(&account, &made.script, note).await?;
    if !api.wrote_json(&json!({ "name": made.name, "survey": made.survey }))? {
        say(&format!(
            "{name} is taken over; job {} looks at how it is set up, and `lotse client integration {name}` shows it.",
            made.survey
        ));
    }
    Ok(())
}

async fn order(api: &Api, name: &Name, groups: &[String], ssh: Option<SshPlace>) -> anyhow::Result<TakeOver> {
    let body = json!({ "name": name, "groups": groups, "ssh": ssh });
    api.send_json(Method::POST, "/integrations", &body).await
}

/// The host key that was accepted before; empty when none was.
async fn pinned(api: &Api, name: &Name) -> anyhow::Result<String> {
    let known = api.get::<IntegrationView>(&format!("/clients/{name}/integration")).await;
    match known {
        Ok(known) => Ok(known.ssh_host_key),
        // There is no such client yet, or nobody has taken it over.
        Err(error) => match error.downcast_ref::<Failure>() {
            Some(Failure { exit: Exit::NotFound, .. }) => Ok(String::new()),
            _ => Err(error),
        },
    }
}

/// Nobody speaks to a machine whose key nobody has accepted.
fn accept(seen: &Seen, given: Option<&str>, pinned: &str) -> anyhow::Result<()> {
    let (address, key) = (seen.address(), &seen.host_key);
    let refuse = |what: String| Err(Failure::error(Exit::Failed, what));
    if let Some(given) = given {
        return if given == key {
            Ok(())
        } else {
            refuse(format!(
                "{address} shows the host key {key} ({}), not {given}\n  → nothing was sent to it",
                seen.kind
            ))
        };
    }
    if pinned == key {
        return Ok(());
    }
    if !pinned.is_empty() {
        return refuse(format!(
            "{address} shows the host key {key} ({}), and {pinned} is pinned: it is another machine, was installed anew, or somebody is between\n  → nothing was sent to it; when you know why it has changed: --host-key {key}",
            seen.kind
        ));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::error(
            Exit::Usage,
            format!(
                "{address} shows the host key {key} ({})\n  → nobody can be asked here; when it is right: --host-key {key}",
                seen.kind
            ),
        ));
    }
    note(&format!(
        "{address} shows the host key\n  {key} ({})\nCompare it with what `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` says on the machine. Is it the same? Write yes to go on:",
        seen.kind
    ));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::error(Exit::Failed, "nothing was sent to the machine"))
    }
}

fn read_password() -> anyhow::Result<String> {
    let term = console::Term::stderr();
    let line = if std::io::stdin().is_terminal() {
        note("Password of the account on the machine:");
        term.read_secure_line().context("reading the password")?
    } else {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("reading the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if line.is_empty() {
        return Err(Failure::error(Exit::Usage, "the password is empty"));
    }
    Ok(line)
}

/// How a client was taken over, and where it differs from its record.
pub(super) async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let view: IntegrationView = api.get(&format!("/clients/{name}/integration")).await?;
    if api.wrote_json(&view)? {
        return Ok(());
    }
    note(&format!("Ordered by {} at {} UTC.", view.ordered_by, time(view.ordered_at)));
    if !view.ssh_address.is_empty() {
        note(&format!("Over SSH: {}, host key {}", view.ssh_address, view.ssh_host_key));
    }
    let Some(survey) = &view.survey else {
        note("Its agent has not told yet how it is set up.");
        return Ok(());
    };
    note(&format!("{}, looked at {} UTC.", survey.os.name, time(view.surveyed_at.unwrap_or_default())));
    for unread in &survey.unread {
        note(&format!("Not read: {unread}"));
    }
    let sources: Vec<Vec<String>> = view
        .sources
        .iter()
        .map(|source| {
            let found = &source.found;
            let list = source.list.clone().unwrap_or_else(|| "-".to_owned());
            vec![found.uris.join(" "), found.suites.join(" "), list, found.file.clone()]
        })
        .collect();
    table(&["SOURCE", "SUITES", "LIST", "FILE"], &sources);
    if view.differences.is_empty() {
        note("It is set up as its record says.");
        return Ok(());
    }
    note("Where it differs from its record; nothing of this is written to it:");
    let rows: Vec<Vec<String>> = view
        .differences
        .into_iter()
        .map(|difference| vec![word(difference.part).to_owned(), difference.there, difference.recorded])
        .collect();
    table(&["WHAT", "ON THE MACHINE", "IN THE RECORD"], &rows);
    Ok(())
}

fn word(part: SurveyPart) -> &'static str {
    match part {
        SurveyPart::Name => "name",
        SurveyPart::Domain => "domain",
        SurveyPart::Distribution => "distribution",
        SurveyPart::Locale => "locale",
        SurveyPart::Keyboard => "keyboard",
        SurveyPart::Timezone => "time zone",
        SurveyPart::Ntp => "time servers",
        SurveyPart::Proxy => "proxy",
        SurveyPart::Network => "network",
        SurveyPart::Users => "users",
        SurveyPart::Keys => "SSH keys",
        SurveyPart::Sources => "sources",
    }
}
