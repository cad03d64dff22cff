//! Comparing what is at a provider with the journal, both ways: a machine that is there although the journal says that it is gone is removed;
//! one that is gone without having been deleted here is lost. Whatever else differs is named, and left alone ([`mod@differences`]).

mod differences;
mod there;

use self::differences::differences;
use super::super::{
    Error,
    providers::{self, OpenProvider},
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        desktops::{self, parts},
        events,
        providers::{self as rows, ProviderRecord},
    },
    domain::{
        desktop::{DesktopPart, DesktopState, PartState, is_tagged},
        provider::ProviderDifference,
    },
    vm::{self, Provider, Vm},
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
    remove_forgotten(ctx, record, provider, &there).await?;
    for part in &known {
        match there.iter().find(|machine| part.remote.as_ref() == Some(&machine.id)) {
            Some(machine) => keep(ctx, part, machine).await?,
            None => confirm_loss(ctx, provider, part).await?,
        }
    }
    let found = differing(ctx, record, &opened, there).await?;
    let mut tx = ctx.db.write().await?;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            providers::note(&mut tx, record.id, Some((error.class, &error.to_string())), now).await?;
            return Ok(tx.commit().await?);
        }
    };
    rows::set_compared(&mut tx, record.id, &found, now).await?;
    // It answers: a provider that was left alone may be tried again.
    providers::note(&mut tx, record.id, None, now).await?;
    Ok(tx.commit().await?)
}

/// What differs. What is known is read before and after what is there, so that what changes meanwhile is no difference.
async fn differing(
    ctx: &Ctx,
    record: &ProviderRecord,
    opened: &OpenProvider,
    machines: Vec<Vm>,
) -> Result<Result<Vec<ProviderDifference>, vm::Error>, Error> {
    let before = {
        let mut tx = ctx.db.read().await?;
        parts::all_at(&mut tx, record.id).await?
    };
    let there = match there::look(ctx, record, opened, machines, &before).await {
        Ok(there) => there,
        Err(error) => return Ok(Err(error)),
    };
    let mut found = differences(&there, &before);
    if !found.is_empty() {
        let mut tx = ctx.db.read().await?;
        let after = parts::all_at(&mut tx, record.id).await?;
        let still = differences(&there, &after);
        found.retain(|difference| still.contains(difference));
    }
    Ok(Ok(found))
}

/// Removes machines that came although nobody waited for them any more.
async fn remove_forgotten(
    ctx: &Ctx,
    record: &ProviderRecord,
    provider: &dyn Provider,
    there: &[Vm],
) -> Result<(), Error> {
    for machine in there.iter().filter(|machine| is_tagged(&machine.name)) {
        let part = {
            let mut tx = ctx.db.read().await?;
            parts::vms_by_tag(&mut tx, record.id, &machine.name).await?
        };
        if part.is_some_and(|part| part.state == PartState::Gone) {
            // Nothing needs to be kept of this: while it is there, every comparison finds it again.
            let removed = provider.destroy(&machine.id).await;
            let said = removed.map_or_else(|error| error.to_string(), |_| "it is being removed".to_owned());
            tracing::warn!(provider = record.name, machine = machine.name, said, "a machine came too late");
        }
    }
    Ok(())
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
