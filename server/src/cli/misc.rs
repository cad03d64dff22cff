//! Login, tokens, events, the server's own values, completion.

use std::{
    io::IsTerminal,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::{CommandFactory, Subcommand};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use wire::Sha256;

use super::{
    Arguments, Exit, Failure, Output, ServerWords,
    api::{self, Api, Credentials},
    output::{note, say, say_json, table, time},
};
use crate::{
    app::{
        happenings::ServerEvent,
        health::Health,
        login::LoginOrder,
        people::{self, NewToken, ShownToken},
    },
    blobs,
    clock::Clock,
    config::{Config, Settings},
    db::{Db, Location, audit::Origin},
    domain::{
        health::Condition,
        people::{ApiToken, GroupRole, Rights, Role},
    },
    identity::Authority,
};

#[derive(clap::Args)]
pub(super) struct Login {
    /// The link that the server has shown; or, with --name, the server's address (https://HOST:PORT).
    link: String,
    /// Log in by name and password instead; the password is asked for, or read from standard input.
    #[arg(long)]
    name: Option<String>,
    /// The code of your second factor, if you have one.
    #[arg(long)]
    code: Option<String>,
    /// Keep the login as long as a session lasts at most, a week unless the server says otherwise, instead of half a day.
    #[arg(long)]
    keep: bool,
    /// Fingerprint of the CA that the server has shown beside it.
    #[arg(long, value_name = "SHA256", value_parser = api::fingerprint)]
    ca_fingerprint: Option<Sha256>,
}

/// Exchanges the link for a token and keeps it. The CA is taken from a file, or over the wire when its fingerprint is the one given.
pub(super) async fn login(login: &Login, words: &ServerWords, format: Output) -> anyhow::Result<()> {
    let (server, mut order) = match (&login.name, login.link.split_once('#')) {
        (Some(name), None) => {
            let order = LoginOrder { name: Some(name.clone()), ..LoginOrder::default() };
            (login.link.trim_end_matches('/').to_owned(), order)
        }
        (None, Some((page, secret))) => {
            let order = LoginOrder { link: Some(secret.to_owned()), ..LoginOrder::default() };
            (page.strip_suffix("/login").unwrap_or(page).to_owned(), order)
        }
        (Some(_), Some(_)) => {
            return Err(Failure::error(
                Exit::Usage,
                "a link needs no --name; give the server's address with it",
            ));
        }
        (None, None) => {
            return Err(Failure::error(
                Exit::Usage,
                "the link must be whole, with what follows its `#`; quote it",
            ));
        }
    };
    (order.code, order.keep) = (login.code.clone(), login.keep);
    let ca_pem = match (&words.ca, &login.ca_fingerprint) {
        (Some(path), _) => fs_err::read_to_string(path)?,
        (None, Some(fingerprint)) => fetch_ca(&server, fingerprint).await?,
        (None, None) => {
            return Err(Failure::error(
                Exit::Usage,
                "the server is not trusted yet; give --ca-fingerprint as the server has shown it, or --ca FILE",
            ));
        }
    };
    if order.name.is_some() {
        order.password = Some(password()?);
    }
    let request = api::client(&ca_pem)?.post(format!("{server}/api/v1/login")).json(&order);
    let shown: ShownToken = api::answer(request.send().await, &server).await?.json().await?;
    let path = api::credentials_path()?;
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    let text = toml::to_string(&Credentials { server: server.clone(), ca_pem, token: shown.secret })?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    // The mode above counts only for a file that was not there.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    if format == Output::Json {
        say(&serde_json::to_string_pretty(&shown.token)?);
    } else {
        let rights = super::account::in_words(&Rights { role: shown.token.role, groups: shown.token.groups });
        let who = shown.token.account.unwrap_or(shown.token.name);
        say(&format!("Logged in at {server} as {who} ({rights})."));
    }
    Ok(())
}

/// A password that nobody sees while it is typed; a program gives it on standard input.
fn password() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        note("Password:");
        return Ok(console::Term::stderr().read_secure_line()?);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The CA as the server sends it in its TLS handshake, taken only when it has the expected fingerprint.
async fn fetch_ca(server: &str, fingerprint: &Sha256) -> anyhow::Result<String> {
    let authority = server
        .strip_prefix("https://")
        .ok_or_else(|| Failure::error(Exit::Usage, "the link must begin with https://"))?;
    let der = crate::identity::tls::last_certificate(authority).await.map_err(|error| {
        Failure::error(Exit::Unreachable, format!("the server at {server} cannot be reached: {error:#}"))
    })?;
    let found = blobs::hash(&der);
    if found != *fingerprint {
        return Err(Failure::error(
            Exit::Failed,
            format!(
                "the server shows a CA with the fingerprint {found}, expected was {fingerprint}\n  → do not log in; somebody may answer in the server's place"
            ),
        ));
    }
    let body = BASE64.encode(&der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token; its secret is shown once
    #[command(
        after_help = "On the server's own host, with --data, no login is needed:\n  export LOTSE_TOKEN=$(sudo -u lotse lotse token create --data /var/lib/lotse --role admin --expires 1)"
    )]
    Create(CreateToken),
    /// List tokens
    List,
    /// Revoke a token at once
    Revoke {
        /// Its number.
        id: i64,
    },
}

#[derive(clap::Args)]
pub(super) struct CreateToken {
    /// The server's data directory, on the server's own host.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What its owner may do with everything: viewer, helpdesk, operator or admin.
    #[arg(long, required_unless_present = "group_roles")]
    role: Option<Role>,
    /// What its owner may do with the clients of one group; may be given several times.
    #[arg(long = "group-role", value_name = "GROUP=ROLE", value_parser = super::account::group_role)]
    group_roles: Vec<GroupRole>,
    /// It only reads, whatever its roles are.
    #[arg(long)]
    read_only: bool,
    /// What it is for.
    #[arg(long, default_value = "command line")]
    name: String,
    /// Days until it expires; without it never does.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires: Option<u32>,
}

impl CreateToken {
    pub(super) fn is_local(&self) -> bool {
        self.data.is_some()
    }

    fn wanted(&self, expires_at: Option<i64>) -> NewToken {
        NewToken {
            name: self.name.clone(),
            role: self.role,
            groups: self.group_roles.clone(),
            read_only: self.read_only,
            expires_at,
        }
    }

    fn expires_at(&self, now: i64) -> Option<i64> {
        self.expires.map(|days| now + i64::from(days) * 86_400 * crate::clock::SECOND)
    }
}

/// Whoever can read the server's data may make a token: no login is needed there.
pub(super) async fn create_local(create: &CreateToken, format: Output) -> anyhow::Result<()> {
    let config = Config::load(None, Settings { data: create.data.clone(), ..Settings::default() })?;
    if let Location::Sqlite(path) = &config.database
        && !path.is_file()
    {
        let message = format!(
            "there is no database {}\n  → give the data directory that `lotse serve` uses, after its first start",
            path.display()
        );
        return Err(Failure::error(Exit::NotFound, message));
    }
    let now = Clock::system().now();
    let db = Db::open(&config.database, now).await?;
    let authority = Authority::open(&config.data, now)?;
    let signer = Arc::new(move |text: &str| authority.sign_text(text));
    let made = async {
        let mut tx = db.write().await?;
        let wanted = create.wanted(create.expires_at(now));
        let shown = people::create_local_token(&mut tx, wanted, now).await?;
        tx.commit().await?;
        anyhow::Ok(shown)
    };
    let shown = Box::pin(Origin::new("server host", "server host", now, signer).scope(made)).await?;
    db.close().await;
    show_token(&shown, format)
}

fn show_token(shown: &ShownToken, format: Output) -> anyhow::Result<()> {
    match format {
        Output::Json => say(&serde_json::to_string_pretty(shown)?),
        Output::Table => say(&shown.secret),
    }
    Ok(())
}

pub(super) async fn token(api: &Api, command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(create) => {
            let expires_at = create.expires_at(Clock::system().now());
            let new = create.wanted(expires_at);
            let shown: ShownToken = api.send_json(Method::POST, "/tokens", &new).await?;
            show_token(&shown, api.output)
        }
        TokenCommand::List => {
            let tokens: Vec<ApiToken> = api.get("/tokens").await?;
            if api.wrote_json(&tokens)? {
                return Ok(());
            }
            let rows: Vec<_> = tokens
                .into_iter()
                .map(|token| {
                    let state = match (token.revoked_at, token.expires_at) {
                        (Some(at), _) => format!("revoked {}", time(at)),
                        (None, Some(at)) => format!("until {}", time(at)),
                        (None, None) => "valid".to_owned(),
                    };
                    let used = token.last_used_at.map(time).unwrap_or_default();
                    let mut rights =
                        super::account::in_words(&Rights { role: token.role, groups: token.groups });
                    if token.read_only {
                        rights.push_str(", only reads");
                    }
                    vec![token.id.to_string(), token.name, rights, state, used]
                })
                .collect();
            table(&["ID", "NAME", "ROLES", "STATE", "LAST USED"], &rows);
            Ok(())
        }
        TokenCommand::Revoke { id } => {
            api.order(Method::DELETE, &format!("/tokens/{id}"), &format!("Token {id} is revoked.")).await
        }
    }
}

#[derive(clap::Args)]
pub(super) struct Events {
    /// Begin after this event instead of with what is new.
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
}

/// Follows the event stream for ever; a connection that breaks is taken up where it was.
pub(super) async fn events(api: &Api, events: &Events) -> anyhow::Result<()> {
    let mut after = events.after;
    let mut stream = api.follow("/events/stream", after).await?;
    loop {
        while let Some(message) = stream.next().await {
            let Ok(event) = serde_json::from_str::<ServerEvent>(&message.data) else { continue };
            after = Some(event.id);
            match api.output {
                Output::Json => say_json(&serde_json::to_string(&event)?),
                Output::Table => {
                    say(&format!("{}  {:<22} {} {}", time(event.at), event.kind, event.actor, event.detail));
                }
            }
        }
        note("the connection broke; taking it up again");
        stream = loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            match api.follow("/events/stream", after).await {
                Ok(stream) => break stream,
                Err(error) => match error.downcast_ref::<Failure>() {
                    Some(Failure { exit: Exit::Unreachable, .. }) => {}
                    _ => return Err(error),
                },
            }
        };
    }
}

pub(super) async fn info(api: &Api) -> anyhow::Result<()> {
    let server: Value = api.get("/server").await?;
    if api.wrote_json(&server)? {
        return Ok(());
    }
    let text = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
    let mirrors: Vec<_> =
        server["mirrors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, value) in [
        ("version", text("version")),
        ("pages and API", text("https")),
        ("agents", text("agents")),
        ("boot files", text("boot")),
        ("CA fingerprint", text("ca")),
        ("mirrors", mirrors.join(", ")),
    ] {
        say(&format!("{name:<15} {value}"));
    }
    Ok(())
}

/// The fingerprint by which people compare the server's CA.
pub(super) async fn ca(api: &Api) -> anyhow::Result<()> {
    let server: Value = api.get("/server").await?;
    if !api.wrote_json(&server["ca"])? {
        say(server["ca"].as_str().unwrap_or_default());
    }
    Ok(())
}

#[derive(clap::Args)]
pub(super) struct Completion {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(super) fn completion(completion: &Completion) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(completion.shell, &mut Arguments::command(), "lotse", &mut text);
    say(std::str::from_utf8(&text)?);
    Ok(())
}

#[derive(clap::Args)]
pub(super) struct Man {
    /// Folder for the pages, one file a command; it is made when it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// One page for each command, such as `lotse-client-adopt.1`.
pub(super) fn man(man: &Man) -> anyhow::Result<()> {
    fs_err::create_dir_all(&man.folder)?;
    // Not of this build's day: the same program writes the same pages.
    clap_mangen::generate_to(Arguments::command(), &man.folder)
        .with_context(|| format!("writing manual pages into {}", man.folder.display()))
}

/// Ends badly when a part does not work, so that scripts need not read.
pub(super) async fn health(api: &Api) -> anyhow::Result<()> {
    let found: Health = api.get("/health").await?;
    if !api.wrote_json(&found)? {
        let rows: Vec<_> = found
            .parts
            .iter()
            .map(|part| {
                let condition = match part.condition {
                    Condition::Good => "good",
                    Condition::Unknown => "unknown",
                    Condition::Warning => "WARNING",
                    Condition::Bad => "BAD",
                };
                let remedy =
                    if part.remedy.is_empty() { String::new() } else { format!(" → {}", part.remedy) };
                vec![part.name.clone(), condition.to_owned(), format!("{}{remedy}", part.said)]
            })
            .collect();
        table(&["PART", "CONDITION", "FOUND"], &rows);
    }
    if found.condition == Condition::Bad {
        return Err(Failure::error(Exit::Failed, "a part of the server does not work"));
    }
    Ok(())
}
