//! `lotse account`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::{
    api::Api,
    output::{note, say, table, time},
};
use crate::{
    app::accounts::{AccountChange, Login, LoginLink, NewAccount},
    domain::people::{Account, ApiToken, GroupRole, Rights, Role},
};

#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// List accounts
    List,
    /// Show an account
    Show {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Make an account; the link for its first login is shown once
    Create {
        /// What they log in with.
        #[arg(value_parser = name)]
        name: String,
        /// How people call them.
        #[arg(long, default_value = "")]
        full_name: String,
        #[command(flatten)]
        rights: RightsWords,
    },
    /// Change an account; what is not named stays
    Change {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
        /// How people call them.
        #[arg(long)]
        full_name: Option<String>,
        #[command(flatten)]
        rights: RightsWords,
    },
    /// Let nobody log in with an account, and end its logins
    Disable {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Let somebody log in again
    Enable {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Remove an account with all its logins
    Delete {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make a one-time login link for a forgotten password
    Link {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Show where an account is logged in; without a name, your own
    Logins {
        /// Its name.
        #[arg(value_parser = name)]
        name: Option<String>,
    },
    /// End logins: one by its id, or all of an account; without a name, your own others
    Logout {
        /// The account's name.
        #[arg(value_parser = name)]
        name: Option<String>,
        /// Which login, as `lotse account logins` shows it.
        #[arg(long, value_parser = name)]
        id: Option<String>,
    },
    /// End the second factor of somebody who has lost it
    ResetSecondFactor {
        /// Its name.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Show your own account
    Me,
    /// Let your present login be valid for half a day from now on
    Prolong,
}

/// Roles on the command line.
#[derive(Args)]
pub(super) struct RightsWords {
    /// The role for everything: viewer, helpdesk, operator or admin; `none` when only groups count.
    #[arg(long, value_parser = some_role)]
    pub(super) role: Option<SomeRole>,
    /// A role for the clients of one group; may be given several times, and stands for all roles for groups.
    #[arg(long = "group-role", value_name = "GROUP=ROLE", value_parser = group_role)]
    pub(super) group_roles: Vec<GroupRole>,
}

/// A role, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SomeRole(pub(super) Option<Role>);

fn some_role(word: &str) -> Result<SomeRole, String> {
    if word == "none" {
        return Ok(SomeRole(None));
    }
    word.parse()
        .map(|role| SomeRole(Some(role)))
        .map_err(|error: crate::domain::job::UnknownWord| error.to_string())
}

/// `room-101=operator`
pub(super) fn group_role(text: &str) -> Result<GroupRole, String> {
    let (group, role) = text.split_once('=').ok_or("must be GROUP=ROLE, such as room-101=operator")?;
    let role = role.parse().map_err(|error: crate::domain::job::UnknownWord| error.to_string())?;
    Ok(GroupRole { group: group.to_owned(), role })
}

/// The name of an account, which stands in an address as it is.
fn name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
    if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(fine) {
        return Err("small letters, digits and . _ @ -, at most 64".to_owned());
    }
    Ok(text.to_owned())
}

impl RightsWords {
    fn over(self, present: Rights) -> Option<Rights> {
        if self.role.is_none() && self.group_roles.is_empty() {
            return None;
        }
        let groups = if self.group_roles.is_empty() { present.groups } else { self.group_roles };
        Some(Rights { role: self.role.map_or(present.role, |role| role.0), groups })
    }
}

/// Roles in words.
pub(super) fn in_words(rights: &Rights) -> String {
    let everything = rights.role.map(|role| role.as_str().to_owned());
    let groups = rights.groups.iter().map(|one| format!("{} of {}", one.role.as_str(), one.group));
    everything.into_iter().chain(groups).collect::<Vec<_>>().join(", ")
}

pub(super) async fn account(api: &Api, command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::List => list(api).await,
        AccountCommand::Show { name } => {
            let account: Account = api.get(&format!("/accounts/{name}")).await?;
            show(api, &account)
        }
        AccountCommand::Me => {
            let account: Account = api.get("/account").await?;
            show(api, &account)
        }
        AccountCommand::Create { name, full_name, rights } => {
            let rights = rights.over(Rights::default()).unwrap_or_default();
            let new = NewAccount { name, full_name, rights };
            let link: LoginLink = api.send_json(Method::POST, "/accounts", &new).await?;
            show_link(api, &link)
        }
        AccountCommand::Change { name, full_name, rights } => {
            let present: Account = api.get(&format!("/accounts/{name}")).await?;
            let change = AccountChange { full_name, rights: rights.over(present.rights), disabled: None };
            set(api, &name, &change).await
        }
        AccountCommand::Disable { name } => {
            set(api, &name, &AccountChange { disabled: Some(true), ..AccountChange::default() }).await
        }
        AccountCommand::Enable { name } => {
            set(api, &name, &AccountChange { disabled: Some(false), ..AccountChange::default() }).await
        }
        AccountCommand::Delete { name, yes } => {
            if !yes {
                return Err(super::Failure::error(
                    super::Exit::Usage,
                    format!("deleting {name} cannot be undone; say --yes if that is meant"),
                ));
            }
            let done = format!("The account {name} is gone, with all its logins.");
            api.order(Method::DELETE, &format!("/accounts/{name}"), &done).await
        }
        AccountCommand::Link { name } => {
            let path = format!("/accounts/{name}/login-link");
            let link: LoginLink = api.send_json(Method::POST, &path, &json!({})).await?;
            show_link(api, &link)
        }
        AccountCommand::Logins { name } => logins(api, &path_of(name.as_deref())).await,
        AccountCommand::Logout { name, id } => {
            let path = path_of(name.as_deref());
            match id {
                Some(id) => {
                    api.order(Method::DELETE, &format!("{path}/{id}"), &format!("The login {id} is ended."))
                        .await
                }
                None => api.order(Method::DELETE, &path, "These logins are ended.").await,
            }
        }
        AccountCommand::ResetSecondFactor { name } => {
            let done = format!("{name} logs in without a second factor now.");
            api.order(Method::DELETE, &format!("/accounts/{name}/second-factor"), &done).await
        }
        AccountCommand::Prolong => {
            let token: ApiToken = api.send_json(Method::POST, "/account/prolong", &json!({})).await?;
            if !api.wrote_json(&token)? {
                say(&format!(
                    "Your login is valid until {}.",
                    token.expires_at.map(time).unwrap_or_default()
                ));
            }
            Ok(())
        }
    }
}

fn path_of(name: Option<&str>) -> String {
    name.map_or_else(|| "/account/logins".to_owned(), |name| format!("/accounts/{name}/logins"))
}

async fn set(api: &Api, name: &str, change: &AccountChange) -> anyhow::Result<()> {
    let account: Account = api.send_json(Method::PATCH, &format!("/accounts/{name}"), change).await?;
    show(api, &account)
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let accounts: Vec<Account> = api.get("/accounts").await?;
    if api.wrote_json(&accounts)? {
        return Ok(());
    }
    let rows: Vec<_> = accounts
        .into_iter()
        .map(|account| {
            let state = if account.disabled_at.is_some() { "disabled" } else { "" };
            vec![
                account.name,
                in_words(&account.rights),
                account.source.as_str().to_owned(),
                if account.has_second_factor { "yes" } else { "" }.to_owned(),
                account.last_login_at.map(time).unwrap_or_default(),
                state.to_owned(),
                account.full_name,
            ]
        })
        .collect();
    table(&["NAME", "ROLES", "FROM", "SECOND FACTOR", "LAST LOGIN", "STATE", "FULL NAME"], &rows);
    Ok(())
}

fn show(api: &Api, account: &Account) -> anyhow::Result<()> {
    if api.wrote_json(account)? {
        return Ok(());
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    for (name, value) in [
        ("name", account.name.clone()),
        ("full name", account.full_name.clone()),
        ("roles", in_words(&account.rights)),
        ("from", account.source.as_str().to_owned()),
        ("password set", yes(account.has_password)),
        ("second factor", yes(account.has_second_factor)),
        ("last login", account.last_login_at.map(time).unwrap_or_default()),
        ("disabled", account.disabled_at.map_or_else(|| "no".to_owned(), |at| format!("since {}", time(at)))),
    ] {
        say(format!("{name:<14} {value}").trim_end());
    }
    Ok(())
}

fn show_link(api: &Api, link: &LoginLink) -> anyhow::Result<()> {
    if !api.wrote_json(link)? {
        say(&link.link);
        note(&format!(
            "This link lets {} log in once and set a password, until {}. It is not shown again.",
            link.account,
            time(link.expires_at)
        ));
    }
    Ok(())
}

async fn logins(api: &Api, path: &str) -> anyhow::Result<()> {
    let logins: Vec<Login> = api.get(path).await?;
    if api.wrote_json(&logins)? {
        return Ok(());
    }
    let rows: Vec<_> = logins
        .into_iter()
        .map(|login| {
            vec![
                login.id,
                time(login.created_at),
                login.last_used_at.map(time).unwrap_or_default(),
                login.address,
                if login.current { format!("{} (this one)", login.browser) } else { login.browser },
            ]
        })
        .collect();
    table(&["ID", "SINCE", "LAST USED", "FROM", "BROWSER"], &rows);
    Ok(())
}
