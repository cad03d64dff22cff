//! `lotse group`

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use wire::JobId;

use super::{
    api::{Api, Name, Query},
    output::{note, say, table},
};
use crate::{
    app::groups::Group,
    http::api::view::{ClientView, Page},
};

#[derive(Subcommand)]
pub(super) enum GroupCommand {
    /// List groups
    List,
    /// Make a group
    Create {
        /// Its name.
        name: Name,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// A search that finds its members, such as 'os:debian-12 memory<4G'; without it they are named.
        #[arg(long)]
        query: Option<String>,
    },
    /// Change what a group is for, or the search that finds its members
    Edit {
        /// Its name.
        name: Name,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// The search that finds its members.
        #[arg(long)]
        query: Option<String>,
    },
    /// Show a group and its clients
    Show {
        /// Its name.
        name: Name,
    },
    /// Put clients into a group
    Add {
        /// The group's name.
        name: Name,
        /// The clients' names.
        #[arg(required = true)]
        clients: Vec<Name>,
    },
    /// Take clients out of a group
    Remove {
        /// The group's name.
        name: Name,
        /// The clients' names.
        #[arg(required = true)]
        clients: Vec<Name>,
    },
    /// Remove a group; its clients stay
    Delete {
        /// Its name.
        name: Name,
    },
    /// Queue a job for every member
    Run {
        /// The group's name.
        name: Name,
        /// The job type.
        job_type: String,
        /// Parameters, NAME=VALUE.
        #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
        params: Vec<String>,
    },
}

pub(super) async fn group(api: &Api, command: GroupCommand) -> anyhow::Result<()> {
    match command {
        GroupCommand::List => {
            let groups: Vec<Group> = api.get("/groups").await?;
            if api.wrote_json(&groups)? {
                return Ok(());
            }
            if groups.is_empty() {
                note("There are no groups yet: `lotse group create NAME`.");
                return Ok(());
            }
            let rows: Vec<_> = groups
                .into_iter()
                .map(|group| {
                    vec![
                        group.name,
                        group.members.to_string(),
                        group.query.unwrap_or_default(),
                        group.description,
                    ]
                })
                .collect();
            table(&["NAME", "CLIENTS", "QUERY", "DESCRIPTION"], &rows);
            Ok(())
        }
        GroupCommand::Edit { name, description, query } => {
            let body = json!({ "description": description, "query": query });
            let group: Group = api.send_json(Method::PATCH, &format!("/groups/{name}"), &body).await?;
            if !api.wrote_json(&group)? {
                say(&format!("The group {name} is changed; it has {} clients.", group.members));
            }
            Ok(())
        }
        GroupCommand::Create { name, description, query } => {
            let body = json!({ "name": name, "description": description, "query": query });
            let group: Group = api.send_json(Method::POST, "/groups", &body).await?;
            if !api.wrote_json(&group)? {
                say(&format!("The group {name} is made."));
            }
            Ok(())
        }
        GroupCommand::Show { name } => show(api, &name).await,
        GroupCommand::Add { name, clients } => members(api, Method::PUT, &name, &clients).await,
        GroupCommand::Remove { name, clients } => members(api, Method::DELETE, &name, &clients).await,
        GroupCommand::Delete { name } => {
            let done = format!("The group {name} is removed; its clients stay.");
            api.order(Method::DELETE, &format!("/groups/{name}"), &done).await
        }
        GroupCommand::Run { name, job_type, params } => {
            let order = super::job::order(api, &job_type, &params, false).await?;
            let ids: Vec<JobId> =
                api.send_json(Method::POST, &format!("/groups/{name}/jobs"), &order).await?;
            if !api.wrote_json(&ids)? {
                match ids.as_slice() {
                    [] => note(&format!("Nothing is queued: the group {name} has no clients.")),
                    [id] => say(&format!("Job {id} is queued; `lotse job watch {id}` shows it live.")),
                    [first, .., last] => say(&format!(
                        "{} jobs are queued, {first} to {last}; `lotse job list` shows them.",
                        ids.len()
                    )),
                }
            }
            Ok(())
        }
    }
}

async fn members(api: &Api, method: Method, name: &Name, clients: &[Name]) -> anyhow::Result<()> {
    for client in clients {
        let done = match method {
            Method::DELETE => format!("{client} is out of the group {name}."),
            _ => format!("{client} is in the group {name}."),
        };
        api.order(method.clone(), &format!("/groups/{name}/members/{client}"), &done).await?;
    }
    Ok(())
}

async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let group: Group = api.get(&format!("/groups/{name}")).await?;
    if api.wrote_json(&group)? {
        return Ok(());
    }
    say(&format!("{} {}\nclients: {}", group.name, group.description, group.members));
    if let Some(query) = &group.query {
        say(&format!("found by: {query}"));
    }
    let mut after = String::new();
    loop {
        let path = Query::new("/clients?limit=500").with("group", Some(name)).with("after", Some(&after));
        let page: Page<ClientView> = api.get(&path.0).await?;
        for client in &page.items {
            say(&format!("  {}", client.name));
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}
