//! Desktops: clients whose machine is made and removed at a provider. Asked for, looked at, switched, made anew, deleted.
//!
//! What is asked for here is only written down; carrying it out is [`work()`], which any server can go on with after any interruption:
//! - what is about to be asked for at a provider is in the journal before (`domain::desktop::DesktopPart`), with what it is found by there;
//! - whoever finds such a line and knows no answer looks first, and asks anew only under a new line;
//! - a provider that fails is cleared before the next one is tried, and nothing of a desktop is forgotten before the provider says it is gone.

mod build;
mod clear;
mod compare;
mod finding;
mod plan;
mod run;
mod trial;
mod view;
mod work;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use wire::ClientId;

pub use self::{
    compare::compare,
    plan::{DesktopPlan, PlannedPlace, plan},
    view::{Connection, DesktopView, view},
    work::work,
};
use super::{
    Error,
    approvals::{self, Wish},
    clients::{self, NewClient},
    installation,
    jobs::{self, JobOrder},
    passwords::Hashes,
    providers, selections,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx, audit,
        desktops::{self, parts, trials},
        events,
        providers::{self as provider_records, ProviderRecord},
    },
    domain::{
        approval::Risk,
        client::Stage,
        desktop::{
            self, DesktopPart, DesktopState, DesktopWish, FaultClass, PartKind, PartState, PowerOrder,
            ProviderTrial, TrialState, standard,
        },
        reach::Sees,
    },
    planner,
};

pub use crate::domain::desktop::Desktop;

/// The port of SSH, by which every desktop is reached.
const SSH: u16 = 22;

/// Journals of desktops that are deleted are kept for so long.
const KEPT: i64 = 90 * 86_400 * SECOND;

/// A desktop to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDesktop {
    /// The client: name, users, distribution, groups.
    pub client: NewClient,
    /// At this provider; either this or a pool.
    #[serde(default)]
    pub provider: Option<String>,
    /// At any provider of this pool.
    #[serde(default)]
    pub pool: Option<String>,
    /// A size that the provider knows.
    #[serde(default = "standard")]
    pub size: String,
    /// In this network of the provider instead of the one that it names for desktops.
    #[serde(default)]
    pub network: Option<String>,
    /// A selection of packages that it gets, beside those of its groups.
    #[serde(default)]
    pub selection: Option<String>,
}

impl NewDesktop {
    fn wish(&self) -> DesktopWish {
        DesktopWish {
            provider: self.provider.clone(),
            pool: self.pool.clone(),
            size: self.size.clone(),
            network: self.network.clone(),
            selection: self.selection.clone(),
        }
    }
}

/// A desktop with everything that was done for it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DesktopRecord {
    /// The desktop.
    #[serde(flatten)]
    pub desktop: Desktop,
    /// How it is reached, such as `203.0.113.7:20000` for port 22: by what is forwarded, else at the address that its agent has told; empty
    /// while that is not known.
    pub reached: Vec<ReachedPort>,
    /// Providers that were tried, in order.
    pub trials: Vec<ProviderTrial>,
    /// What was made for it, and what is left of that.
    pub journal: Vec<DesktopPart>,
}

/// A port of a desktop that is reached from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedPort {
    /// The desktop's own port.
    pub port: i64,
    /// Address and port from outside.
    pub at: String,
}

/// Desktops that somebody sees, by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx, sees: &Sees) -> Result<Vec<Desktop>, Error> {
    Ok(desktops::list(tx, sees).await?)
}

/// A desktop by name, with its journal; one that was deleted is shown as long as no other has its name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<DesktopRecord, Error> {
    let desktop = find(tx, name).await?;
    let trials = trials::of(tx, desktop.id).await?;
    let journal = parts::of(tx, desktop.id).await?;
    let forwardings: Vec<_> = journal.iter().filter(|part| part.kind == PartKind::Forwarding).collect();
    let reached = if forwardings.is_empty() && desktop.state == DesktopState::Ready {
        at_own_address(tx, &desktop).await?
    } else {
        let made = forwardings.into_iter().filter(|part| part.state == PartState::Made);
        made.filter_map(|part| {
            Some(ReachedPort { port: part.guest_port?, at: format!("{}:{}", part.address_text, part.port?) })
        })
        .collect()
    };
    Ok(DesktopRecord { desktop, reached, trials, journal })
}

/// The machine of a client that is a desktop: its provider, and its id there. None while there is no machine.
///
/// # Errors
/// The database refuses.
pub(super) async fn machine(
    tx: &mut Tx,
    client: ClientId,
) -> Result<Option<(ProviderRecord, String)>, Error> {
    let Some(desktop) = desktops::of_client(tx, client).await? else { return Ok(None) };
    let journal = parts::of(tx, desktop.id).await?;
    let is_there = |part: &&DesktopPart| part.kind == PartKind::Vm && part.state == PartState::Made;
    let Some(part) = journal.iter().rev().find(is_there) else { return Ok(None) };
    let Some(provider) = provider_records::by_id(tx, part.provider_id).await? else { return Ok(None) };
    Ok(Some((provider, part.remote.clone().unwrap_or_else(|| part.tag.clone()))))
}

/// Ports of a machine for which nothing is forwarded, at the first IPv4 address that its agent has told.
async fn at_own_address(tx: &mut Tx, desktop: &Desktop) -> Result<Vec<ReachedPort>, Error> {
    let client = match desktop.client {
        Some(client) => db::clients::find(tx, client).await?,
        None => None,
    };
    let Some(client) = client else { return Ok(Vec::new()) };
    let mut told = client.facts.iter().flat_map(|facts| &facts.nics).flat_map(|nic| &nic.addresses);
    let address = told.find_map(|address| {
        let address: Ipv4Addr = address.split('/').next()?.parse().ok()?;
        (!address.is_loopback()).then_some(address)
    });
    let remote = client.config.desktop.unwrap_or_default().remote;
    let at = |address: Ipv4Addr| {
        let ports = desktop::ports(&[SSH], remote).into_iter();
        ports.map(|port| ReachedPort { port: port.into(), at: format!("{address}:{port}") }).collect()
    };
    Ok(address.map(at).unwrap_or_default())
}

async fn find(tx: &mut Tx, name: &str) -> Result<Desktop, Error> {
    desktops::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("desktop {name}")))
}

/// Makes a desktop: its client and the jobs of its installation at once, its machine in the background.
///
/// # Errors
/// As registering a client; neither or both of provider and pool are named, or what is named does not exist.
pub async fn create(ctx: &Ctx, new: &NewDesktop, actor: &str) -> Result<DesktopRecord, Error> {
    if !new.client.macs.is_empty() {
        return Err(Error::invalid(
            "a desktop's addresses are given by its provider",
            "leave the hardware addresses out",
        ));
    }
    let hashes = new.client.passwords.hash().await?;
    let mut tx = ctx.db.write().await?;
    create_in(ctx, &mut tx, new, &hashes, actor).await?;
    let record = get(&mut tx, &new.client.name).await?;
    tx.commit().await?;
    tracing::info!(desktop = record.desktop.name, id = record.desktop.id, "a desktop is to be made");
    ctx.presence.desktop_came();
    ctx.presence.events_came();
    Ok(record)
}

/// Writes down everything of a new desktop, in a transaction that is the caller's to commit.
async fn create_in(
    ctx: &Ctx,
    tx: &mut Tx,
    new: &NewDesktop,
    hashes: &Hashes,
    actor: &str,
) -> Result<ClientId, Error> {
    let now = ctx.now();
    let (wish, name) = (new.wish(), &new.client.name);
    match (&wish.provider, &wish.pool) {
        (Some(provider), None) => drop(providers::get(tx, provider).await?),
        (None, Some(pool)) => drop(providers::pool(tx, pool).await?),
        _ => {
            return Err(Error::invalid(
                "a desktop is made at a provider or at one of a pool",
                "name either a provider or a pool",
            ));
        }
    }
    let client = clients::create_in(ctx, tx, &new.client, hashes, actor).await?;
    queue_installation(ctx, tx, client, &wish, actor).await?;
    desktops::create(tx, name, client, &wish, actor, now).await?;
    audit::note(tx, "desktop.create", &format!("desktop {name}"), &(), &json!(wish)).await?;
    events::add(tx, "desktop.creating", Some(client), None, actor, name, now).await?;
    Ok(client)
}

/// Queues the installation of a desktop's client, and its selection after that.
async fn queue_installation(
    ctx: &Ctx,
    tx: &mut Tx,
    client: ClientId,
    wish: &DesktopWish,
    actor: &str,
) -> Result<(), Error> {
    let queued = installation::queue_chain(ctx, tx, client, actor).await?;
    let Some(selection) = &wish.selection else { return Ok(()) };
    let client =
        db::clients::find(tx, client).await?.ok_or_else(|| Error::not_found(format!("client {client}")))?;
    let order =
        JobOrder { needs: queued.jobs.last().copied().into_iter().collect(), ..selections::order(selection) };
    jobs::add(ctx, tx, &client, &order, actor).await.map(drop)
}

/// Orders a desktop to be started, stopped or restarted; done in the background.
///
/// # Errors
/// It does not exist, or its machine is not there.
pub async fn power(ctx: &Ctx, name: &str, order: PowerOrder, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let desktop = find(&mut tx, name).await?;
    if desktop.state != DesktopState::Ready {
        return Err(Error::conflict(
            format!("desktop {name} is {}: its machine cannot be switched", desktop.state.as_str()),
            "look at its journal: `lotse desktop show`",
        ));
    }
    desktops::set_order(&mut tx, desktop.id, Some(order)).await?;
    desktops::call(&mut tx, desktop.id, ctx.now()).await?;
    let (before, after) = (json!({ "order": desktop.order }), json!({ "order": order, "by": actor }));
    audit::note(&mut tx, "desktop.power", &format!("desktop {name}"), &before, &after).await?;
    tx.commit().await?;
    ctx.presence.desktop_came();
    Ok(())
}

/// Replaces a desktop's machine by a new one, empty, and installs it; also one that failed or was lost. What was on its disk is gone.
///
/// # Errors
/// It is being made or deleted, or a second person has to approve it.
pub async fn rebuild(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let desktop = find(&mut tx, name).await?;
    check_rebuild(&desktop)?;
    let client = desktop.client.ok_or_else(|| Error::not_found(format!("client of desktop {name}")))?;
    let risk = (desktop.state == DesktopState::Ready).then_some(Risk::InstallOver);
    let wish = Wish::RebuildDesktop { client: name.to_owned() };
    let mut tx = approvals::gate(ctx, tx, &wish, risk, 1, actor).await?;
    // What waits for the old machine is not for the new one.
    installation::reset_in(&mut tx, client, actor, now).await?;
    db::clients::set_stage(&mut tx, client, Stage::Registered).await?;
    queue_installation(ctx, &mut tx, client, &desktop.wish, actor).await?;
    let tried = trials::of(&mut tx, desktop.id).await?;
    for trial in tried.iter().filter(|trial| trial.state == TrialState::Succeeded) {
        let reason = format!("{actor} wants it anew");
        trials::give_up(&mut tx, trial.id, FaultClass::Caller, &reason).await?;
    }
    let newest = tried.iter().map(|trial| trial.round).max().unwrap_or(0);
    desktops::want_anew(&mut tx, desktop.id, newest + 1, now).await?;
    desktops::set_order(&mut tx, desktop.id, None).await?;
    desktops::set_doing(&mut tx, desktop.id, None, None).await?;
    desktops::set_state(&mut tx, desktop.id, DesktopState::Creating, "", now).await?;
    desktops::set_power(&mut tx, desktop.id, "", true).await?;
    desktops::call(&mut tx, desktop.id, now).await?;
    let (before, after) = (json!({ "state": desktop.state }), json!({ "state": DesktopState::Creating }));
    audit::note(&mut tx, "desktop.rebuild", &format!("desktop {name}"), &before, &after).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(client);
    ctx.presence.desktop_came();
    Ok(())
}

fn check_rebuild(desktop: &Desktop) -> Result<(), Error> {
    if matches!(desktop.state, DesktopState::Ready | DesktopState::Failed | DesktopState::Lost) {
        return Ok(());
    }
    Err(Error::conflict(
        format!("desktop {} is {}", desktop.name, desktop.state.as_str()),
        "wait until that has ended: `lotse desktop show`",
    ))
}

/// Deletes a desktop: everything at its provider in the background, then its client with all records. The journal stays for a while.
///
/// # Errors
/// It does not exist, or a second person has to approve it.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let desktop = find(&mut tx, name).await?;
    if matches!(desktop.state, DesktopState::Deleting | DesktopState::Deleted) {
        return Err(Error::conflict(
            format!("desktop {name} is {} already", desktop.state.as_str()),
            "what is left of it is in its journal: `lotse desktop show`",
        ));
    }
    let wish = Wish::DeleteDesktop { client: name.to_owned() };
    let mut tx = approvals::gate(ctx, tx, &wish, Some(Risk::DeleteClient), 1, actor).await?;
    desktops::set_order(&mut tx, desktop.id, None).await?;
    let reason = format!("{actor} has deleted it");
    desktops::set_state(&mut tx, desktop.id, DesktopState::Deleting, &reason, ctx.now()).await?;
    desktops::call(&mut tx, desktop.id, ctx.now()).await?;
    let before = json!({ "state": desktop.state, "wish": desktop.wish });
    audit::note(&mut tx, "desktop.delete", &format!("desktop {name}"), &before, &()).await?;
    events::add(&mut tx, "desktop.deleting", desktop.client, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.desktop_came();
    ctx.presence.events_came();
    Ok(())
}

/// The desktop that a client is, if it is one.
///
/// # Errors
/// The database refuses.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Option<Desktop>, Error> {
    Ok(desktops::of_client(tx, client).await?)
}

/// Desktops that somebody sees and that have something at a provider, by name.
///
/// # Errors
/// There is no such provider.
pub async fn at(tx: &mut Tx, provider: &str, sees: &Sees) -> Result<Vec<Desktop>, Error> {
    let provider = providers::get(tx, provider).await?.id;
    Ok(desktops::at(tx, provider, sees).await?)
}

/// Types of the jobs that set up a desktop's machine, in order.
///
/// # Errors
/// The database refuses.
pub async fn setup(tx: &mut Tx, desktop: &Desktop) -> Result<Vec<String>, Error> {
    let client = match desktop.client {
        Some(client) => db::clients::find(tx, client).await?,
        None => None,
    };
    let chain = client.map(|client| planner::installation(&client)).unwrap_or_default();
    let selection = desktop.wish.selection.iter().map(|name| selections::order(name).job_type);
    Ok(chain.into_iter().map(|entry| entry.job_type).chain(selection).collect())
}

/// Refuses to remove a client while something of its desktop may be at a provider: nobody would know of it any more.
pub(super) async fn check_needed(tx: &mut Tx, client: wire::ClientId, name: &str) -> Result<(), Error> {
    match desktops::that_needs(tx, client).await? {
        Some(_) => Err(Error::conflict(
            format!("client {name} is a desktop, whose machine is at a provider"),
            format!("delete both: `lotse desktop delete {name}`"),
        )),
        None => Ok(()),
    }
}

/// Forgets journals of desktops that were deleted long ago.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    desktops::prune(&mut tx, ctx.now() - KEPT).await?;
    Ok(tx.commit().await?)
}
