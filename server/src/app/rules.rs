//! Rules for discovered machines: kept, tried, and followed when a machine announces itself.
//!
//! A rule adopts without anybody having compared fingerprints: whoever can announce a machine with a serial number or an address that
//! fits becomes that client. Pages and documentation say so where rules are made.

use std::collections::BTreeSet;

use wire::{ClientId, facts::Facts};

use super::{
    Error,
    clients::{self as cases, ClientChange},
    groups, installation, layouts,
    passwords::{Hashes, Passwords},
    presets,
};
use crate::{
    context::Ctx,
    db::{Tx, audit, clients, events, mass, rules},
    domain::{
        client::{Client, ClientConfig},
        naming::NamePattern,
        rule::Rule,
    },
    planner::storage::DiskPreview,
};

/// Who follows rules, in history and events.
const ACTOR: &str = "rule";
/// Most machines for which rules are followed at once.
const AT_ONCE: i64 = 1000;

/// What a rule does with a machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RuleHit {
    /// The machine's name until now.
    pub machine: String,
    /// The rule.
    pub rule: String,
    /// The name it gets.
    pub name: String,
    /// It is installed at once.
    pub install: bool,
    /// What would be written and destroyed.
    pub disks: Vec<DiskPreview>,
    /// Why it is adopted but not installed, or not even adopted; empty when everything is done.
    pub held_back: String,
}

/// All rules, in the order in which they count.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Rule>, Error> {
    Ok(rules::list(tx).await?)
}

/// A rule that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Rule, Error> {
    let found = rules::list(tx).await?.into_iter().find(|rule| rule.name == name);
    found.ok_or_else(|| Error::not_found(format!("rule {name}")))
}

/// Keeps a rule; with `expected` only when nobody else changed it since that version.
///
/// # Errors
/// A field is wrong, or names something that does not exist.
pub async fn set(ctx: &Ctx, rule: &Rule, expected: Option<&str>, actor: &str) -> Result<(), Error> {
    let problems = rule.check();
    if !problems.is_empty() {
        return Err(Error::fields(format!("the rule `{}` was not kept", rule.name), problems));
    }
    for group in &rule.groups {
        groups::check_name(group)?;
    }
    let mut tx = ctx.db.write().await?;
    let config = config_of(&mut tx, rule).await?;
    cases::check_config(ctx, &mut tx, &config).await?;
    let before = rules::list(&mut tx).await?.into_iter().find(|other| other.name == rule.name);
    presets::unchanged("rule", &rule.name, before.as_ref(), expected)?;
    audit::note(&mut tx, "rule.set", &format!("rule {}", rule.name), &before, rule).await?;
    rules::set(&mut tx, rule, ctx.now()).await?;
    noted(ctx, tx, "rule.changed", &rule.name, actor).await
}

/// Removes a rule, with `expected` only when nobody else changed it since that version; what it has done stays done.
///
/// # Errors
/// There is no such rule, or it was changed.
pub async fn delete(ctx: &Ctx, name: &str, expected: Option<&str>, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let before = rules::list(&mut tx).await?.into_iter().find(|rule| rule.name == name);
    if before.is_some() {
        presets::unchanged("rule", name, before.as_ref(), expected)?;
    }
    if !rules::delete(&mut tx, name).await? {
        return Err(Error::not_found(format!("rule {name}")));
    }
    audit::note(&mut tx, "rule.delete", &format!("rule {name}"), &before, &()).await?;
    noted(ctx, tx, "rule.deleted", name, actor).await
}

async fn noted(ctx: &Ctx, mut tx: Tx, kind: &str, name: &str, actor: &str) -> Result<(), Error> {
    events::add(&mut tx, kind, None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

async fn config_of(tx: &mut Tx, rule: &Rule) -> Result<ClientConfig, Error> {
    let mut config = match rule.preset.as_str() {
        "" => ClientConfig::default(),
        name => presets::get(tx, name).await?.config,
    };
    if !rule.distribution.is_empty() {
        config.distribution.clone_from(&rule.distribution);
    }
    if !rule.layout.is_empty() {
        config.layout.clone_from(&rule.layout);
    }
    Ok(config)
}

/// Follows the rules for a machine that has announced itself. What stands against it is noted at the machine, which goes on waiting.
pub async fn meet(ctx: &Ctx, id: ClientId) {
    let followed = async {
        let mut tx = ctx.db.write().await?;
        let Some(client) = clients::find(&mut tx, id).await? else { return Ok(()) };
        match follow(ctx, &mut tx, &client, ACTOR).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                tx.commit().await?;
                ctx.presence.work_waits_for(id);
                ctx.presence.events_came();
                Ok(())
            }
            Err(error @ (Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. })) => {
                drop(tx);
                let mut tx = ctx.db.write().await?;
                let reason = error.to_string();
                events::add(&mut tx, "rule.failed", Some(id), None, ACTOR, &reason, ctx.now()).await?;
                tx.commit().await?;
                ctx.presence.events_came();
                Ok(())
            }
            Err(error) => Err(error),
        }
    };
    if let Err(error) = followed.await {
        let error: Error = error;
        tracing::error!(client = %id, error = format!("{:#}", anyhow::Error::from(error)), "following the rules for a machine");
    }
}

/// Follows the rules for all machines that wait; with `dry_run` only shows what would happen.
///
/// # Errors
/// The database refuses.
pub async fn follow_all(ctx: &Ctx, dry_run: bool, actor: &str) -> Result<Vec<RuleHit>, Error> {
    let mut tx = ctx.db.write().await?;
    let mut hits = Vec::new();
    for id in mass::waiting(&mut tx, AT_ONCE).await? {
        let Some(client) = clients::find(&mut tx, id).await? else { continue };
        match follow(ctx, &mut tx, &client, actor).await {
            Ok(None) => {}
            Ok(Some(hit)) => hits.push((id, hit)),
            Err(error @ (Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. })) => {
                hits.push((id, refused(&mut tx, &client, &error).await?));
            }
            Err(error) => return Err(error),
        }
    }
    // Half of what a machine was given must not stay: with one that was refused, nothing is done, and the others are done by themselves.
    if dry_run {
        return Ok(hits.into_iter().map(|(_, hit)| hit).collect());
    }
    drop(tx);
    for (id, hit) in &mut hits {
        let mut tx = ctx.db.write().await?;
        let Some(client) = clients::find(&mut tx, *id).await? else { continue };
        match follow(ctx, &mut tx, &client, actor).await {
            Ok(Some(done)) => {
                *hit = done;
                tx.commit().await?;
                ctx.presence.work_waits_for(*id);
            }
            Ok(None) => {}
            Err(error @ (Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. })) => {
                hit.held_back = error.to_string();
            }
            Err(error) => return Err(error),
        }
    }
    ctx.presence.events_came();
    Ok(hits.into_iter().map(|(_, hit)| hit).collect())
}

async fn refused(tx: &mut Tx, client: &Client, error: &Error) -> Result<RuleHit, Error> {
    let rules = rules::list(tx).await?;
    let rule = client.facts.as_ref().and_then(|facts| rules.iter().find(|rule| rule.fits(facts)));
    Ok(RuleHit {
        machine: client.name.clone(),
        rule: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
        name: String::new(),
        install: false,
        disks: Vec::new(),
        held_back: error.to_string(),
    })
}

/// Adopts, names, configures and, if the rule says so, installs a machine by the first rule that fits it; `None` when none does.
async fn follow(ctx: &Ctx, tx: &mut Tx, client: &Client, actor: &str) -> Result<Option<RuleHit>, Error> {
    let (Some(facts), Some(announced)) = (&client.facts, &client.announced_key) else { return Ok(None) };
    if client.adopted_key.as_ref() == Some(announced) {
        return Ok(None);
    }
    let Some(rule) = rules::list(tx).await?.into_iter().find(|rule| rule.fits(facts)) else {
        return Ok(None);
    };
    let config = config_of(tx, &rule).await?;
    let name = next_name(tx, &rule, facts).await?;
    let mut groups = match rule.preset.as_str() {
        "" => Vec::new(),
        preset => presets::get(tx, preset).await?.groups,
    };
    groups.extend(rule.groups.iter().cloned());
    let change = ClientChange {
        name: Some(name.clone()),
        config: Some(config.clone()),
        groups: Some(groups),
        passwords: Passwords::default(),
        fingerprint: Some(announced.clone()),
    };
    cases::adopt_in(ctx, tx, client, &change, &Hashes::none(), actor).await?;
    let mut hit = RuleHit {
        machine: client.name.clone(),
        rule: rule.name.clone(),
        name,
        install: rule.install,
        disks: Vec::new(),
        held_back: String::new(),
    };
    if rule.install {
        let wanted = Client { config, ..client.clone() };
        hit.disks = layouts::preview_of(ctx, tx, &wanted).await?;
        let lost: Vec<_> = hit.disks.iter().filter(|disk| !disk.destroyed.is_empty()).collect();
        if !rule.wipe && !lost.is_empty() {
            let what =
                lost.iter().map(|disk| format!("{}: {}", disk.disk, disk.destroyed)).collect::<Vec<_>>();
            hit.held_back = format!(
                "it is adopted but not installed, because this would be destroyed and the rule does not allow it: {}",
                what.join("; ")
            );
            hit.install = false;
            events::add(tx, "rule.held-back", Some(client.id), None, actor, &hit.held_back, ctx.now())
                .await?;
        } else {
            installation::queue_chain(ctx, tx, client.id, actor).await?;
        }
    }
    let detail = format!("{} -> {}", rule.name, hit.name);
    events::add(tx, "rule.followed", Some(client.id), None, actor, &detail, ctx.now()).await?;
    Ok(Some(hit))
}

async fn next_name(tx: &mut Tx, rule: &Rule, facts: &Facts) -> Result<String, Error> {
    let failed = |error: crate::domain::naming::Error| {
        Error::conflict(format!("rule {}: {error}", rule.name), "change the rule's pattern for names")
    };
    let pattern = NamePattern::parse(&rule.names).map_err(failed)?;
    let mut used: BTreeSet<String> = mass::names_with(tx, pattern.prefix()).await?.into_iter().collect();
    pattern.next(&mut used, Some(facts)).map_err(failed)
}
