//! `lotse channel`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    api::{Api, Name, Query},
    output::{note, say, table, time},
};
use crate::{
    app::channels::ShownChannel,
    domain::notice::{Channel, Posted},
};

#[derive(Subcommand)]
pub(super) enum ChannelCommand {
    /// List channels
    List,
    /// Tell somebody by mail what happens
    AddMail {
        /// The channel's name.
        name: Name,
        /// Addresses.
        #[arg(required = true)]
        to: Vec<String>,
        /// Language of the mails: en or de.
        #[arg(long, default_value = "en")]
        language: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Tell a program by a signed HTTPS request what happens; the secret that signs it is shown once
    AddWebhook {
        /// The channel's name.
        name: Name,
        /// Where to; https.
        url: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Send a notice at once that only shows that the way works
    Test {
        /// The channel's name.
        name: Name,
    },
    /// Switch a channel on
    Enable {
        /// The channel's name.
        name: Name,
    },
    /// Switch a channel off
    Disable {
        /// The channel's name.
        name: Name,
    },
    /// Give a webhook another secret, which is shown once
    Secret {
        /// The channel's name.
        name: Name,
    },
    /// Remove a channel
    Delete {
        /// The channel's name.
        name: Name,
    },
    /// Notices that were sent, wait or were given up, newest first
    Notices {
        /// Only of this channel.
        name: Option<Name>,
    },
    /// Send a notice again that was given up
    Retry {
        /// The notice's number.
        id: i64,
    },
}

/// What a channel is told.
#[derive(Args)]
pub(super) struct Wanted {
    /// A kind of events, such as job.failed, client.* or *; again for more.
    #[arg(long = "event", value_name = "KIND")]
    events: Vec<String>,
    /// Only clients of this group; again for more.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<Name>,
    /// So many seconds are gathered into one notice.
    #[arg(long, value_name = "SECONDS")]
    gather: Option<u32>,
}

impl Wanted {
    fn into_body(self, name: &Name, mut way: Value) -> Value {
        way["name"] = json!(name);
        way["groups"] = json!(self.groups);
        if !self.events.is_empty() {
            way["events"] = json!(self.events);
        }
        if let Some(seconds) = self.gather {
            way["gather_s"] = json!(seconds);
        }
        way
    }
}

pub(super) async fn run(api: &Api, command: ChannelCommand) -> anyhow::Result<()> {
    match command {
        ChannelCommand::List => list(api).await,
        ChannelCommand::AddMail { name, to, language, wanted } => {
            let body = wanted.into_body(&name, json!({ "kind": "mail", "to": to, "language": language }));
            add(api, &body).await
        }
        ChannelCommand::AddWebhook { name, url, wanted } => {
            let body = wanted.into_body(&name, json!({ "kind": "webhook", "url": url }));
            add(api, &body).await
        }
        ChannelCommand::Test { name } => {
            api.order(Method::POST, &format!("/channels/{name}/test"), "The test notice has arrived.").await
        }
        ChannelCommand::Enable { name } => switch(api, &name, true).await,
        ChannelCommand::Disable { name } => switch(api, &name, false).await,
        ChannelCommand::Secret { name } => {
            let path = format!("/channels/{name}/secret");
            let shown: ShownChannel = api.send_json(Method::POST, &path, &json!({})).await?;
            show_secret(api, &shown)
        }
        ChannelCommand::Delete { name } => {
            let done = format!("The channel {name} is removed.");
            api.order(Method::DELETE, &format!("/channels/{name}"), &done).await
        }
        ChannelCommand::Notices { name } => notices(api, name.as_ref()).await,
        ChannelCommand::Retry { id } => {
            let done = format!("Notice {id} is sent again.");
            api.order(Method::POST, &format!("/notices/{id}/retry"), &done).await
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let channels: Vec<Channel> = api.get("/channels").await?;
    if api.wrote_json(&channels)? {
        return Ok(());
    }
    if channels.is_empty() {
        note("Nobody is told of anything yet: `lotse channel add-mail NAME ADDRESS`.");
        return Ok(());
    }
    let rows: Vec<_> = channels
        .into_iter()
        .map(|channel| {
            vec![
                channel.name,
                channel.wish.way.as_str().to_owned(),
                channel.wish.way.target(),
                channel.wish.events.join(","),
                channel.wish.groups.join(","),
                format!("{} s", channel.wish.gather_s),
                if channel.wish.enabled { "on" } else { "off" }.to_owned(),
            ]
        })
        .collect();
    table(&["NAME", "KIND", "TO", "EVENTS", "GROUPS", "GATHERS", "STATE"], &rows);
    Ok(())
}

async fn add(api: &Api, body: &Value) -> anyhow::Result<()> {
    let shown: ShownChannel = api.send_json(Method::POST, "/channels", body).await?;
    show_secret(api, &shown)
}

fn show_secret(api: &Api, shown: &ShownChannel) -> anyhow::Result<()> {
    if api.wrote_json(shown)? {
        return Ok(());
    }
    if let Some(secret) = &shown.secret {
        say(secret);
        note("Requests are signed with this secret (Standard Webhooks); it is not shown again.");
    } else {
        let name = &shown.channel.name;
        say(&format!("The channel {name} is made; `lotse channel test {name}` shows whether it works."));
    }
    Ok(())
}

async fn switch(api: &Api, name: &Name, enabled: bool) -> anyhow::Result<()> {
    let path = format!("/channels/{name}");
    let channel: Channel = api.get(&path).await?;
    let mut wish = channel.wish;
    wish.enabled = enabled;
    let channel: Channel = api.send_json(Method::PUT, &path, &wish).await?;
    if !api.wrote_json(&channel)? {
        say(&format!("The channel {name} is {}.", if enabled { "on" } else { "off" }));
    }
    Ok(())
}

async fn notices(api: &Api, name: Option<&Name>) -> anyhow::Result<()> {
    let path = Query::new("/notices").with("channel", name);
    let notices: Vec<Posted> = api.get(&path.0).await?;
    if api.wrote_json(&notices)? {
        return Ok(());
    }
    if notices.is_empty() {
        note("There were no notices yet.");
        return Ok(());
    }
    let rows: Vec<_> = notices
        .into_iter()
        .map(|posted| {
            let counts = posted.notice.counts.iter();
            let told: Vec<_> = counts.map(|(kind, count)| format!("{count} {kind}")).collect();
            vec![
                posted.id.to_string(),
                time(posted.created_at),
                posted.notice.channel,
                posted.state,
                posted.attempts.to_string(),
                told.join(", "),
                posted.error,
            ]
        })
        .collect();
    table(&["NOTICE", "TIME", "CHANNEL", "STATE", "ATTEMPTS", "TELLS", "ERROR"], &rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Way;

    #[test]
    fn what_is_asked_for_is_what_the_server_reads() {
        let wanted = Wanted {
            events: vec!["client.*".to_owned()],
            groups: vec!["lab".parse().unwrap()],
            gather: Some(5),
        };
        let way = json!({ "kind": "mail", "to": ["a@b.example"], "language": "de" });
        let body = wanted.into_body(&"admins".parse().unwrap(), way);
        let read: crate::app::channels::NewChannel = serde_json::from_value(body).unwrap();
        assert_eq!((read.name.as_str(), read.wish.gather_s), ("admins", 5));
        assert!(matches!(&read.wish.way, Way::Mail { language, .. } if language == "de"));
        assert!(read.wish.check().is_empty());
    }
}
