//! Presets: values kept under a name for new clients.

use super::{Error, clients, groups, tag};
use crate::{
    context::Ctx,
    db::{Tx, audit, events, presets},
    domain::client::{ClientConfig, is_name},
};

pub use crate::db::presets::Preset;

/// All presets by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Preset>, Error> {
    Ok(presets::list(tx).await?)
}

/// A preset that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Preset, Error> {
    presets::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("preset {name}")))
}

/// Keeps a preset; with `expected` only when nobody else changed it since that version. Passwords are in none: its users get theirs when a client is made.
///
/// # Errors
/// The name or a value cannot be used.
pub async fn set(ctx: &Ctx, preset: &Preset, expected: Option<&str>, actor: &str) -> Result<(), Error> {
    if !is_name(&preset.name) {
        return Err(Error::invalid(
            format!("`{}` cannot be a preset's name", preset.name),
            "use small letters, digits and hyphens",
        ));
    }
    for group in &preset.groups {
        groups::check_name(group)?;
    }
    let mut kept = preset.clone();
    for user in &mut kept.config.users {
        user.has_password = false;
    }
    // An address is one client's own.
    kept.config.network.interfaces = ClientConfig::default().network.interfaces;
    let mut tx = ctx.db.write().await?;
    clients::check_config(ctx, &mut tx, &kept.config).await?;
    let before = presets::find(&mut tx, &kept.name).await?;
    unchanged("preset", &kept.name, before.as_ref(), expected)?;
    let object = format!("preset {}", kept.name);
    audit::note(&mut tx, "preset.set", &object, &before, &kept).await?;
    presets::set(&mut tx, &kept, ctx.now()).await?;
    noted(ctx, tx, "preset.changed", &preset.name, actor).await
}

/// Removes a preset, with `expected` only when nobody else changed it since that version; clients that were made with it stay as they are.
///
/// # Errors
/// There is no such preset, or it was changed.
pub async fn delete(ctx: &Ctx, name: &str, expected: Option<&str>, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let before = presets::find(&mut tx, name).await?;
    if before.is_some() {
        unchanged("preset", name, before.as_ref(), expected)?;
    }
    if !presets::delete(&mut tx, name).await? {
        return Err(Error::not_found(format!("preset {name}")));
    }
    audit::note(&mut tx, "preset.delete", &format!("preset {name}"), &before, &()).await?;
    noted(ctx, tx, "preset.deleted", name, actor).await
}

/// Refuses to overwrite what somebody else has changed meanwhile.
pub(super) fn unchanged<T: serde::Serialize>(
    kind: &str,
    name: &str,
    now: Option<&T>,
    expected: Option<&str>,
) -> Result<(), Error> {
    match expected {
        Some(expected) if now.is_none_or(|now| tag::of(now) != expected) => {
            Err(Error::Stale { what: format!("{kind} {name}") })
        }
        _ => Ok(()),
    }
}

async fn noted(ctx: &Ctx, mut tx: Tx, kind: &str, name: &str, actor: &str) -> Result<(), Error> {
    events::add(&mut tx, kind, None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}
