//! Who sees the screen of a client that is a virtual machine: where it is, a ticket for it, and who is let in by one.
//!
//! Invariant: who opened which console is in the audit before anybody sees anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use wire::ClientId;

use super::{
    Error, clients, desktops,
    people::{self, Actor, Pass},
    providers,
    reach::{self, About},
};
use crate::{
    consoles::{Full, Seat, Shown},
    context::Ctx,
    db::{self, Tx, audit, events, hosted},
    domain::{
        console::{TICKET_FOR, Ticket},
        people::Role,
        provider::ProviderKind,
    },
    presence::ONLINE_FOR,
};

/// The least role that sees a screen, which is as good as sitting before it.
pub const LEAST_ROLE: Role = Role::Helpdesk;
/// A host's agent answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Where the screen of a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a client that hosts it.
    OnHost {
        /// That client.
        host: ClientId,
        /// Its name.
        host_name: String,
        /// The machine's name there.
        machine: String,
    },
    /// At a provider.
    AtProvider {
        /// The provider's name.
        provider: String,
        /// The machine's id there.
        machine: String,
    },
}

/// A console that somebody may see now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum OpenedConsole {
    /// Here: a WebSocket at `path` speaks RFB (RFC 6143) with whoever offers the subprotocols `binary` and the ticket.
    Server {
        /// The ticket; it counts once, for whoever has asked for it.
        ticket: String,
        /// Not after this time.
        expires_at: i64,
    },
    /// At the provider: an address for one person, which is soon worth nothing.
    Provider {
        /// The address.
        url: String,
    },
}

/// Somebody who was let in.
pub struct Entered {
    /// The host of the machine.
    pub host: ClientId,
    /// The machine's name there.
    pub machine: String,
    /// Their place.
    pub seat: Seat,
}

/// Why somebody is not let in, or sees nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The ticket does not count.
    #[error("{0}")]
    Ticket(String),
    /// There are too many consoles.
    #[error("there are as many consoles open as there may be")]
    Full,
    /// The host's agent has not answered.
    #[error("the agent of the machine's host does not answer")]
    Silent,
    /// The host's agent cannot show it.
    #[error("{0}")]
    Refused(String),
}

/// Where the screen of a client is; nowhere when it is no virtual machine that this server knows.
///
/// # Errors
/// There is no such client.
pub async fn place(tx: &mut Tx, name: &str) -> Result<Option<Place>, Error> {
    let client = clients::get(tx, name).await?;
    if let Some((provider, machine)) = desktops::machine(tx, client.id).await? {
        if provider.wish.kind != ProviderKind::Kvm {
            return Ok(Some(Place::AtProvider { provider: provider.name, machine }));
        }
        let host = clients::get(tx, &provider.wish.host).await?;
        return Ok(Some(Place::OnHost { host: host.id, host_name: host.name, machine }));
    }
    let found = hosted::of_client(tx, client.id).await?;
    Ok(found.map(|found| Place::OnHost {
        host: found.host,
        host_name: found.host_name,
        machine: found.machine,
    }))
}

/// Whether the agent of a host was heard a moment ago.
pub fn is_heard(ctx: &Ctx, host: ClientId) -> bool {
    ctx.presence.seen(host).is_some_and(|seen| ctx.now() - seen.at < ONLINE_FOR)
}

/// Opens the console of a client for somebody.
///
/// # Errors
/// It is no virtual machine that this server knows, its host is not heard, or its provider gives no console.
pub async fn open(ctx: &Ctx, name: &str, actor: &Actor) -> Result<OpenedConsole, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let client = clients::get(&mut tx, name).await?.id;
    let place = place(&mut tx, name).await?.ok_or_else(|| {
        Error::conflict(
            format!("{name} has no console here: it is no virtual machine that this server has made"),
            "go to the machine, or use the console of its own management",
        )
    })?;
    let (at, machine) = match &place {
        Place::OnHost { host_name, machine, .. } => (host_name, machine),
        Place::AtProvider { provider, machine } => (provider, machine),
    };
    if let Place::OnHost { host, host_name, .. } = &place
        && !is_heard(ctx, *host)
    {
        return Err(Error::conflict(
            format!("the console of {name} cannot be opened: its host {host_name} is not heard"),
            format!("see why {host_name} is offline"),
        ));
    }
    let after = json!({ "at": at, "machine": machine });
    audit::note(&mut tx, "console.open", &format!("client {name}"), &(), &after).await?;
    events::add(&mut tx, "console.opened", Some(client), None, &actor.name, at, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    match place {
        Place::OnHost { host, machine, .. } => {
            let until = now + TICKET_FOR;
            let ticket = Ticket { holder: holder(&actor.pass), client, host, machine, until };
            let secret = ctx.consoles.issue(ticket, now);
            Ok(OpenedConsole::Server { ticket: secret.reveal().to_owned(), expires_at: until })
        }
        Place::AtProvider { provider, machine } => {
            Ok(OpenedConsole::Provider { url: providers::console(ctx, &provider, &machine).await? })
        }
    }
}

/// Lets somebody in who shows a ticket.
///
/// # Errors
/// There is no such client. Inside: the ticket does not count, or there are too many consoles.
pub async fn enter(
    ctx: &Ctx,
    name: &str,
    actor: &Actor,
    secret: &str,
) -> Result<Result<Entered, Closed>, Error> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, name).await?.id;
    drop(tx);
    let holder = holder(&actor.pass);
    let ticket = match ctx.consoles.take(secret, &holder, client, ctx.now()) {
        Ok(ticket) => ticket,
        Err(why) => return Ok(Err(Closed::Ticket(why.to_string()))),
    };
    Ok(match ctx.consoles.seat(&holder) {
        Ok(seat) => Ok(Entered { host: ticket.host, machine: ticket.machine, seat }),
        Err(Full) => Err(Closed::Full),
    })
}

/// The screen, as soon as the host's agent shows it.
///
/// # Errors
/// It does not, or cannot.
pub async fn shown(ctx: &Ctx, entered: &Entered) -> Result<Shown, Closed> {
    let wait = ctx.consoles.want(entered.host, &entered.machine);
    match tokio::time::timeout(ANSWERS_WITHIN, wait.answer()).await {
        Ok(Some(answer)) => answer.map_err(Closed::Refused),
        Ok(None) | Err(_) => Err(Closed::Silent),
    }
}

/// Whether somebody who sees a screen may go on: their session, their roles and the client are still there.
///
/// # Errors
/// The database refuses.
pub async fn may_stay(ctx: &Ctx, name: &str, actor: &Actor) -> Result<bool, Error> {
    if !people::is_still_let_in(ctx, actor).await? {
        return Ok(false);
    }
    let mut tx = ctx.db.read().await?;
    if db::clients::find_by_name(&mut tx, name).await?.is_none() {
        return Ok(false);
    }
    match reach::require(&mut tx, &actor.reach, About::Client(name), LEAST_ROLE).await {
        Ok(()) => Ok(true),
        Err(Error::Forbidden(_) | Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whoever has asked for a ticket, apart from all others.
fn holder(pass: &Pass) -> String {
    match pass {
        Pass::Token(id) => format!("token {id}"),
        Pass::Session(hash) => format!("session {hash}"),
    }
}
