//! Comparing what is at a provider with the journal, both ways: a machine that is there although the journal says that it is gone is removed;
//! one that nobody here knows although it carries our mark is named; one that is gone without having been deleted here is lost.

use super::super::{Error, providers};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        desktops::{self, parts},
        events,
        providers::{self as rows, ProviderRecord},
    },
    domain::desktop::{DesktopPart, DesktopState, PartState, is_tagged},
    vm::{Provider, Vm},
};

/// Each provider is compared after so long.
const EVERY: i64 = 60 * SECOND;

/// Compares every provider that is due and does not rest.
///
/// # Errors
/// The database refuses.
pub async fn compare(ctx: &Ctx) -> Result<(), Error> {
    let records = {
        let mut tx = ctx.db.read().await?;
        rows::list(&mut tx).await?
    };
    for record in records {
        let now = ctx.now();
        if record.compared_at > now - EVERY || record.standing.rests_until > now {
            continue;
        }
        let mut tx = ctx.db.write().await?;
        let taken = rows::take_comparison(&mut tx, record.id, now - EVERY, now).await?;
        tx.commit().await?;
        if taken {
            one(ctx, &record).await?;
        }
    }
    Ok(())
}

async fn one(ctx: &Ctx, record: &ProviderRecord) -> Result<(), Error> {
    let opened = providers::open(ctx, record).await?;
    let provider = opened.provider.as_ref();
    // Read before the list is asked for: what is made meanwhile is in neither, what is removed meanwhile is looked at again.
    let known = {
        let mut tx = ctx.db.read().await?;
        parts::vms_there(&mut tx, record.id).await?
    };
    let now = ctx.now();
    let there = match provider.vms(None).await {
        Ok(there) => there,
        Err(error) => {
            let mut tx = ctx.db.write().await?;
            providers::note(&mut tx, record.id, Some((error.class, &error.to_string())), now).await?;
            return Ok(tx.commit().await?);
        }
    };
    let strangers = remove_forgotten(ctx, record, provider, &there).await?;
    for part in &known {
        match there.iter().find(|machine| part.remote.as_ref() == Some(&machine.id)) {
            Some(machine) => keep(ctx, part, machine).await?,
            None => confirm_loss(ctx, provider, part).await?,
        }
    }
    let mut tx = ctx.db.write().await?;
    rows::set_compared(&mut tx, record.id, &strangers, now).await?;
    // It answers: a provider that was left alone may be tried again.
    providers::note(&mut tx, record.id, None, now).await?;
    Ok(tx.commit().await?)
}

/// Removes machines that came although nobody waited for them any more; gives the names of those that nobody knows.
async fn remove_forgotten(
    ctx: &Ctx,
    record: &ProviderRecord,
    provider: &dyn Provider,
    there: &[Vm],
) -> Result<Vec<String>, Error> {
    let mut strangers = Vec::new();
    for machine in there.iter().filter(|machine| is_tagged(&machine.name)) {
        let part = {
            let mut tx = ctx.db.read().await?;
            parts::vms_by_tag(&mut tx, record.id, &machine.name).await?
        };
        match part {
            None => strangers.push(machine.name.clone()),
            Some(part) if part.state == PartState::Gone => {
                // Nothing needs to be kept of this: while it is there, every comparison finds it again.
                let removed = provider.destroy(&machine.id).await;
                let said =
                    removed.map_or_else(|error| error.to_string(), |_| "it is being removed".to_owned());
                tracing::warn!(
                    provider = record.name,
                    machine = machine.name,
                    said,
                    "a machine came too late"
                );
            }
            Some(_) => {}
        }
    }
    Ok(strangers)
}

async fn keep(ctx: &Ctx, part: &DesktopPart, machine: &Vm) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let Some(desktop) = desktops::by_id(&mut tx, part.desktop).await? else { return Ok(()) };
    let iso_attached = machine.iso.is_some();
    if desktop.state == DesktopState::Ready
        && (desktop.power != machine.state_text || desktop.iso_attached != iso_attached)
    {
        desktops::set_power(&mut tx, desktop.id, &machine.state_text, iso_attached).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn confirm_loss(ctx: &Ctx, provider: &dyn Provider, part: &DesktopPart) -> Result<(), Error> {
    // A list may be a moment old, and who cannot be asked has not said that it is gone.
    let Ok(None) = provider.vm(part.remote.as_deref().unwrap_or_default()).await else { return Ok(()) };
    let mut tx = ctx.db.write().await?;
    let Some(desktop) = desktops::by_id(&mut tx, part.desktop).await? else { return Ok(()) };
    if desktop.state != DesktopState::Ready {
        return Ok(());
    }
    let reason = "its machine is not at the provider any more, and nobody has deleted it here";
    desktops::set_state(&mut tx, desktop.id, DesktopState::Lost, reason, ctx.now()).await?;
    let detail = format!("{}: {reason}", desktop.name);
    events::add(&mut tx, "desktop.lost", desktop.client, None, "server", &detail, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}
