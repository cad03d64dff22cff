//! Clients: registered, looked at, changed, adopted, removed.

use serde_json::{Value, json};
use wire::{ClientId, Mac, Sha256};

use super::{
    Error,
    approvals::{self, Wish},
    desktops, groups as group_cases, installation, layouts,
    passwords::{Hashes, Passwords},
    providers, search,
};
use crate::{
    context::Ctx,
    db::{
        self, Tx, audit, clients, events, groups, integrations,
        standing::{Deeds, deeds},
    },
    domain::{
        approval::Risk,
        client::{Client, ClientConfig, Stage, is_name},
        client_status::{Activity, Health, Signs, activity, health},
        integration::SystemOrigin,
        job::{Surroundings, waits_for},
    },
    presence::ONLINE_FOR,
};

/// A client to be registered.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// Its host name.
    pub name: String,
    /// Its hardware addresses; a system that is installed already and enrols by a token needs none.
    #[serde(default)]
    pub macs: Vec<Mac>,
    /// What is wanted of it.
    #[serde(default)]
    pub config: ClientConfig,
    /// Names of groups; missing ones are made.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Passwords for the users of the configuration; only their hashes are kept.
    #[serde(default)]
    pub passwords: Passwords,
}

/// What changes when a client is edited or adopted; what is absent stays.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientChange {
    /// A new host name.
    pub name: Option<String>,
    /// A new configuration, whole.
    pub config: Option<ClientConfig>,
    /// The groups it shall belong to, all of them.
    pub groups: Option<Vec<String>>,
    /// Passwords for users; only their hashes are kept.
    pub passwords: Passwords,
    /// The key fingerprint that the machine shows; adopting another one is refused.
    pub fingerprint: Option<Sha256>,
}

/// A client with its three answers.
pub struct Standing {
    /// The record.
    pub client: Client,
    /// What it does.
    pub activity: Activity,
    /// How it is.
    pub health: Health,
    /// Names of the groups in which it is named.
    pub groups: Vec<String>,
    /// Names of the groups whose search finds it.
    pub found_in: Vec<String>,
    /// How many of its packages could be newer; `None`: nobody knows.
    pub updates: Option<i64>,
    /// Who has installed its system.
    pub origin: SystemOrigin,
}

/// A client that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Client, Error> {
    clients::find_by_name(tx, name).await?.ok_or_else(|| Error::not_found(format!("client {name}")))
}

/// Names of clients whose disks are known, the first `limit` of them.
///
/// # Errors
/// The database refuses.
pub async fn with_disks(tx: &mut Tx, limit: i64) -> Result<Vec<String>, Error> {
    Ok(clients::with_facts(tx, limit).await?)
}

/// Registers a client.
///
/// # Errors
/// Fields are wrong, or the name or an address is taken.
pub async fn create(ctx: &Ctx, new: &NewClient, actor: &str) -> Result<ClientId, Error> {
    let hashes = new.passwords.hash().await?;
    let mut tx = ctx.db.write().await?;
    let id = create_in(ctx, &mut tx, new, &hashes, actor).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(id)
}

/// Registers a client as part of something larger.
pub(super) async fn create_in(
    ctx: &Ctx,
    tx: &mut Tx,
    new: &NewClient,
    hashes: &Hashes,
    actor: &str,
) -> Result<ClientId, Error> {
    let now = ctx.now();
    check_name(&new.name)?;
    let mut config = new.config.clone();
    new.passwords.mark(&mut config, &[])?;
    check_config(ctx, tx, &config).await?;
    check_free(tx, &new.name).await?;
    for mac in &new.macs {
        if let Some(owner) = clients::find_by_mac(tx, *mac).await? {
            return Err(Error::conflict(
                format!("the address {mac} belongs to client {}", owner.name),
                "two clients cannot share an address: leave it out here, or delete the other client",
            ));
        }
    }
    // Said twice is meant once; the first one stays the first.
    let mut macs = Vec::new();
    for mac in &new.macs {
        if !macs.contains(mac) {
            macs.push(*mac);
        }
    }
    let id = clients::create(tx, &new.name, Stage::Registered, &config, &macs, now).await?;
    set_groups(tx, id, &new.groups, now).await?;
    hashes.keep(tx, id, &config, now).await?;
    let after = recorded(tx, id).await?;
    audit::note(tx, "client.register", &format!("client {}", new.name), &(), &after).await?;
    events::add(tx, "client.registered", Some(id), None, actor, &new.name, now).await?;
    Ok(id)
}

/// A client as the audit keeps it.
async fn recorded(tx: &mut Tx, id: ClientId) -> Result<Value, Error> {
    let Some(client) = clients::find(tx, id).await? else { return Ok(Value::Null) };
    let all = groups::list(tx).await?;
    let groups: Vec<_> =
        all.iter().filter(|group| client.groups.contains(&group.id)).map(|group| &group.name).collect();
    Ok(json!({
        "name": client.name,
        "stage": client.stage,
        "macs": client.macs,
        "groups": groups,
        "config": client.config,
    }))
}

async fn check_free(tx: &mut Tx, name: &str) -> Result<(), Error> {
    match clients::find_by_name(tx, name).await? {
        None => Ok(()),
        Some(_) => Err(Error::conflict(
            format!("there is a client {name} already"),
            "choose another name, or delete the client that has it",
        )),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    let message = "must be a host name: small letters, digits and hyphens, at most 63, no dot".to_owned();
    let field = wire::problem::FieldProblem { field: "name".to_owned(), message };
    Err(Error::fields(format!("`{name}` cannot be a client's name"), vec![field]))
}

pub(super) async fn check_config(ctx: &Ctx, tx: &mut Tx, config: &ClientConfig) -> Result<(), Error> {
    let mut fields = config.check();
    if ctx.catalog.distribution(&config.distribution).is_none() {
        let message = "is not known; `lotse distribution list` shows what is".to_owned();
        fields.push(wire::problem::FieldProblem { field: "distribution".to_owned(), message });
    }
    match layouts::get(ctx, tx, &config.layout).await {
        Ok(_) => {}
        Err(Error::NotFound { .. }) => {
            let message = "is not known; `lotse layout list` shows what is".to_owned();
            fields.push(wire::problem::FieldProblem { field: "layout".to_owned(), message });
        }
        Err(error) => return Err(error),
    }
    if fields.is_empty() {
        Ok(())
    } else {
        Err(Error::fields("the configuration of the client is wrong", fields))
    }
}

async fn set_groups(tx: &mut Tx, id: ClientId, names: &[String], now: i64) -> Result<(), Error> {
    let mut wanted = Vec::new();
    for name in names {
        group_cases::check_name(name)?;
        wanted.push(match groups::get(tx, name).await? {
            Some(group) => group_cases::check_named(&group)?.id,
            None => groups::create(tx, name, "", now).await?,
        });
    }
    for group in groups::of_client(tx, id).await? {
        if !wanted.contains(&group) {
            groups::remove_member(tx, group, id).await?;
        }
    }
    for group in wanted {
        groups::add_member(tx, group, id).await?;
    }
    Ok(())
}

/// Changes a client. With `expected` only when nobody else changed it since that version.
///
/// # Errors
/// Fields are wrong, or the record is of another version.
pub async fn update(
    ctx: &Ctx,
    name: &str,
    change: &ClientChange,
    expected: Option<i64>,
    actor: &str,
) -> Result<(), Error> {
    let hashes = change.passwords.hash().await?;
    let mut tx = ctx.db.write().await?;
    let client = get(&mut tx, name).await?;
    apply(ctx, &mut tx, client, change, &hashes, expected, actor).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Changes a client as part of something larger.
pub(super) async fn apply(
    ctx: &Ctx,
    tx: &mut Tx,
    mut client: Client,
    change: &ClientChange,
    hashes: &Hashes,
    expected: Option<i64>,
    actor: &str,
) -> Result<(), Error> {
    let now = ctx.now();
    let before = recorded(tx, client.id).await?;
    let stale = |name: &str| Error::Stale { what: format!("client {name}") };
    if expected.is_some_and(|expected| expected != client.version) {
        return Err(stale(&client.name));
    }
    if let Some(name) = change.name.as_ref().filter(|name| **name != client.name) {
        check_name(name)?;
        check_free(tx, name).await?;
        providers::check_no_host(tx, &client.name, "renamed").await?;
        client.name.clone_from(name);
    }
    let known: Vec<_> =
        client.config.users.iter().filter(|user| user.has_password).map(|user| user.name.clone()).collect();
    if let Some(config) = &change.config {
        client.config = config.clone();
    }
    change.passwords.mark(&mut client.config, &known)?;
    check_config(ctx, tx, &client.config).await?;
    if !clients::update(tx, &client).await? {
        return Err(stale(&client.name));
    }
    if let Some(groups) = &change.groups {
        set_groups(tx, client.id, groups, now).await?;
    }
    hashes.keep(tx, client.id, &client.config, now).await?;
    let mut after = recorded(tx, client.id).await?;
    if !change.passwords.0.is_empty() {
        after["new_password_of"] = change.passwords.0.keys().cloned().collect();
    }
    let object = format!("client {}", before["name"].as_str().unwrap_or_default());
    audit::note(tx, "client.change", &object, &before, &after).await?;
    events::add(tx, "client.changed", Some(client.id), None, actor, &client.name, now).await?;
    Ok(())
}

/// Lets a machine that announced itself become a client, with the name and configuration that an admin gives it.
///
/// # Errors
/// It has announced no key or another one, or fields are wrong.
pub async fn adopt(ctx: &Ctx, name: &str, change: &ClientChange, actor: &str) -> Result<String, Error> {
    let hashes = change.passwords.hash().await?;
    let mut tx = ctx.db.write().await?;
    let client = get(&mut tx, name).await?;
    adopt_in(ctx, &mut tx, &client, change, &hashes, actor).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(change.name.clone().unwrap_or_else(|| name.to_owned()))
}

/// Adopts a machine as part of something larger.
pub(super) async fn adopt_in(
    ctx: &Ctx,
    tx: &mut Tx,
    client: &Client,
    change: &ClientChange,
    hashes: &Hashes,
    actor: &str,
) -> Result<(), Error> {
    installation::adopt(tx, client, change.fingerprint.as_ref(), actor, ctx.now()).await?;
    // Adopting has changed the record's version.
    let missing = || Error::not_found(format!("client {}", client.name));
    let client = clients::find(tx, client.id).await?.ok_or_else(missing)?;
    apply(ctx, tx, client, change, hashes, None, actor).await
}

/// Removes a client with its jobs and history; its agent's certificate is worth nothing any more.
///
/// # Errors
/// There is no such client.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    delete_if(ctx, name, None, actor).await
}

/// Removes a client, with `expected` only when nobody else changed it since that version.
///
/// # Errors
/// As [`delete`], and [`Error::Stale`] when the record is of another version.
pub async fn delete_if(ctx: &Ctx, name: &str, expected: Option<i64>, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let client = get(&mut tx, name).await?;
    if expected.is_some_and(|expected| expected != client.version) {
        return Err(Error::Stale { what: format!("client {name}") });
    }
    desktops::check_needed(&mut tx, client.id, name).await?;
    providers::check_no_host(&mut tx, name, "removed").await?;
    let wish = Wish::DeleteClient { client: name.to_owned() };
    let mut tx = approvals::gate(ctx, tx, &wish, Some(Risk::DeleteClient), 1, actor).await?;
    let before = recorded(&mut tx, client.id).await?;
    clients::delete(&mut tx, client.id).await?;
    audit::note(&mut tx, "client.delete", &format!("client {name}"), &before, &()).await?;
    events::add(&mut tx, "client.deleted", Some(client.id), None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.forget_certificates(client.id);
    ctx.presence.forget(client.id);
    ctx.presence.events_came();
    Ok(())
}

/// An admin has looked at an alarm: the client may work again. Its identity was revoked and is given anew at the next boot.
///
/// # Errors
/// There is no alarm.
pub async fn clear_alarm(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let client = get(&mut tx, name).await?;
    if client.alarm.is_none() {
        return Err(Error::conflict(format!("client {name} has no alarm"), "nothing needs to be done"));
    }
    clients::set_alarm(&mut tx, client.id, None).await?;
    let (before, after) = (json!({ "alarm": client.alarm }), json!({ "alarm": null }));
    audit::note(&mut tx, "client.clear-alarm", &format!("client {name}"), &before, &after).await?;
    events::add(&mut tx, "client.alarm-cleared", Some(client.id), None, actor, "", ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    Ok(())
}

/// A client with its three answers.
///
/// # Errors
/// The database refuses.
pub async fn standing(ctx: &Ctx, tx: &mut Tx, client: Client) -> Result<Standing, Error> {
    let name = client.name.clone();
    standings(ctx, tx, vec![client]).await?.pop().ok_or_else(|| Error::not_found(format!("client {name}")))
}

/// Clients with their three answers, in the same order: a few statements, however many clients.
///
/// # Errors
/// The database refuses.
pub async fn standings(ctx: &Ctx, tx: &mut Tx, clients: Vec<Client>) -> Result<Vec<Standing>, Error> {
    let names = groups::names(tx).await?;
    let mut standings = Vec::with_capacity(clients.len());
    let mut clients = clients.into_iter();
    loop {
        let chunk: Vec<Client> = clients.by_ref().take(db::MOST_IN_LIST).collect();
        if chunk.is_empty() {
            return Ok(standings);
        }
        let ids: Vec<ClientId> = chunk.iter().map(|client| client.id).collect();
        let mut deeds = deeds(tx, &ids).await?;
        let found_in = search::groups_of(ctx, tx, &ids).await?;
        let integrated = integrations::among(tx, &ids).await?;
        for client in chunk {
            let deeds = deeds.remove(&client.id).unwrap_or_default();
            let found_in = found_in.get(&client.id).cloned().unwrap_or_default();
            let named = client.groups.iter().filter_map(|id| names.get(id).cloned());
            let mut groups: Vec<String> = named.collect();
            groups.sort_unstable();
            let mut standing = one_standing(ctx, client, deeds, groups, found_in);
            if integrated.contains(&standing.client.id) {
                standing.origin = SystemOrigin::Integrated;
            }
            standings.push(standing);
        }
    }
}

fn one_standing(
    ctx: &Ctx,
    client: Client,
    deeds: Deeds,
    groups: Vec<String>,
    found_in: Vec<String>,
) -> Standing {
    let now = ctx.now();
    let seen = ctx.presence.seen(client.id);
    let last_seen_at = seen.as_ref().map(|seen| seen.at).max(client.last_seen_at);
    let online = last_seen_at.is_some_and(|at| now - at < ONLINE_FOR);
    let waits = deeds.next.as_ref().and_then(|job| {
        let around = Surroundings {
            running: deeds.running.clone(),
            needs: deeds.needs.clone(),
            // It is the first one.
            before: None,
            alarm: client.alarm.clone(),
            realm: seen.as_ref().map(|seen| seen.realm).or(client.realm),
            last_seen_at,
            online: seen.as_ref().is_some_and(|seen| now - seen.at < ONLINE_FOR),
        };
        waits_for(job, &around, now)
    });
    let signs = Signs {
        stage: client.stage,
        alarm: client.alarm.clone(),
        online,
        last_seen_at,
        failed: deeds.failed,
    };
    Standing {
        activity: activity(deeds.next.as_ref(), deeds.attempt.as_ref(), waits),
        health: health(&signs),
        client,
        groups,
        found_in,
        updates: deeds.updates,
        origin: SystemOrigin::default(),
    }
}
