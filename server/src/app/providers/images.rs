//! The boot ISO at providers that have none of their own choice: registered there by Lotse, awaited until it can be used, renewed when this
//! server's is another one, removed when no machine needs it.
//!
//! Invariant: what is asked for stands in the table before, under a name that no other request has; an answer that nobody heard is looked
//! for, and asked for anew only under another name.

use super::{
    super::{Error, images},
    ProviderRecord, open,
    opened::Opened,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{self, Tx, desktops, events, provider_images as rows, providers},
    domain::{
        desktop::FaultClass,
        provider_image::{ImageState, ProviderImage, image_name},
    },
    identity::token::random_bytes,
    vm::{self, Iso, NewIso},
};

/// What is under way is looked after so often, ...
const SOON: i64 = 5 * SECOND;
/// ... everything else so often.
const EVERY: i64 = 60 * SECOND;
/// What the provider did not get is asked for anew after so long.
const AGAIN: i64 = 600 * SECOND;
/// What was asked for and is not found after so many looks has not come.
const LOOKS: i64 = 3;

/// How it stands with the boot image at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BootImage {
    /// Machines can boot the one with this id.
    Ready(String),
    /// It is on its way; how far, in words.
    Coming(String),
    /// It does not come by itself; why.
    Missing(String),
}

/// The images at a provider, the newest first.
///
/// # Errors
/// The database refuses.
pub async fn images_of(tx: &mut Tx, provider: &ProviderRecord) -> Result<Vec<ProviderImage>, Error> {
    Ok(rows::of(tx, provider.id).await?)
}

/// How it stands with the boot image at a provider that has none of its own choice, as was found out lately. Until the newest one is there,
/// an older one does.
///
/// # Errors
/// The database refuses.
pub(crate) async fn boot_image(ctx: &Ctx, tx: &mut Tx, provider: i64) -> Result<BootImage, Error> {
    let all = rows::of(tx, provider).await?;
    let ready = |image: &&ProviderImage| image.state == ImageState::Ready && image.remote.is_some();
    let newest = match images::boot_iso(ctx, tx).await {
        Ok(iso) => all.iter().find(|image| image.sha256 == iso.sha256),
        Err(Error::Conflict { .. }) => {
            return Ok(match all.iter().find(ready) {
                Some(image) => BootImage::Ready(image.remote.clone().unwrap_or_default()),
                None => BootImage::Missing(
                    "there is no boot image for the provider to fetch: build it on this server, \
                     `lotse image build installer iso`"
                        .to_owned(),
                ),
            });
        }
        Err(error) => return Err(error),
    };
    if let Some(image) = newest.filter(ready).or_else(|| all.iter().find(ready)) {
        return Ok(BootImage::Ready(image.remote.clone().unwrap_or_default()));
    }
    Ok(match newest {
        Some(image) if image.state == ImageState::Failed => {
            BootImage::Missing(format!("the provider could not fetch the boot image: {}", image.said))
        }
        Some(image) if !image.said.is_empty() => {
            BootImage::Coming(format!("the boot image is on its way to the provider: {}", image.said))
        }
        _ => BootImage::Coming("the boot image is on its way to the provider".to_owned()),
    })
}

/// Looks after the boot images of every provider that is due and does not rest.
///
/// # Errors
/// The database refuses.
pub async fn keep_images(ctx: &Ctx) -> Result<(), Error> {
    let records = {
        let mut tx = ctx.db.read().await?;
        providers::list(&mut tx).await?
    };
    let now = ctx.now();
    for record in records {
        let kept = record.wish.enabled && record.wish.iso.is_empty();
        if kept && record.standing.rests_until <= now {
            keep(ctx, &record).await?;
        }
    }
    Ok(())
}

/// Looks after the boot image of one provider when that is due.
pub(crate) async fn keep(ctx: &Ctx, record: &ProviderRecord) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let all = rows::of(&mut tx, record.id).await?;
    let settled = |image: &ProviderImage| matches!(image.state, ImageState::Ready | ImageState::Failed);
    let pause = if !all.is_empty() && all.iter().all(settled) { EVERY } else { SOON };
    let due = rows::take_look(&mut tx, record.id, now - pause, now).await?;
    tx.commit().await?;
    if !due {
        return Ok(());
    }
    let opened = open(ctx, record).await?;
    if !opened.provider.keeps_images() {
        return Ok(());
    }
    if let Err(fault) = look_after(ctx, record, &opened).await? {
        let mut tx = ctx.db.write().await?;
        super::note(&mut tx, record.id, Some((fault.class, &fault.to_string())), now).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What the provider answers, apart from what goes wrong here.
type Answered<T> = Result<Result<T, vm::Error>, Error>;

async fn look_after(ctx: &Ctx, record: &ProviderRecord, opened: &Opened) -> Answered<()> {
    let (newest, all) = {
        let mut tx = ctx.db.read().await?;
        let newest = match images::boot_iso(ctx, &mut tx).await {
            Ok(iso) => Some(iso),
            Err(Error::Conflict { .. }) => None,
            Err(error) => return Err(error),
        };
        (newest, rows::of(&mut tx, record.id).await?)
    };
    for image in &all {
        let outdated = newest.as_ref().is_some_and(|iso| iso.sha256 != image.sha256);
        let goes = image.state == ImageState::Leaving || (outdated && replaced(&all, image));
        let looked = if goes && image.state != ImageState::Intended {
            retire(ctx, opened, image).await?
        } else {
            follow(ctx, record, opened, image, outdated).await?
        };
        if let Err(fault) = looked {
            return Ok(Err(fault));
        }
    }
    match newest {
        Some(iso) if !all.iter().any(|image| image.sha256 == iso.sha256) => {
            let name = image_name(&iso.sha256, random_bytes());
            let mut tx = ctx.db.write().await?;
            let id = match rows::intend(&mut tx, record.id, &iso.sha256, &name, ctx.now()).await {
                Ok(id) => id,
                // Another server is quicker.
                Err(db::Error::Exists(_)) => return Ok(Ok(())),
                Err(error) => return Err(error.into()),
            };
            tx.commit().await?;
            register(ctx, record, opened, id, &name).await
        }
        _ => Ok(Ok(())),
    }
}

/// Whether a newer image can be used in the place of one, or that one is of no use.
fn replaced(all: &[ProviderImage], image: &ProviderImage) -> bool {
    image.state != ImageState::Ready
        || all.iter().any(|other| other.id > image.id && other.state == ImageState::Ready)
}

/// Asks the provider to fetch it.
async fn register(ctx: &Ctx, record: &ProviderRecord, opened: &Opened, id: i64, name: &str) -> Answered<()> {
    let iso = {
        let mut tx = ctx.db.read().await?;
        images::boot_iso(ctx, &mut tx).await?
    };
    let offers = match opened.offers(ctx.now()).await {
        Ok(offers) => offers,
        Err(fault) => return Ok(Err(fault)),
    };
    let wanted = &record.wish.zone;
    let Some(zone) = offers.zones.iter().find(|zone| zone.name == *wanted || zone.id == *wanted) else {
        let said = format!("there is no zone `{wanted}`");
        return set(ctx, id, ImageState::Failed, None, (&said, None)).await.map(Ok);
    };
    let new = NewIso { name, url: &iso.url, sha256: Some(iso.sha256.as_str()), zone: &zone.id };
    match opened.provider.register_iso(&new).await {
        Ok(remote) => set(ctx, id, ImageState::Loading, Some(&remote), ("", Some(0))).await.map(Ok),
        // It may have been heard: it is looked for.
        Err(fault) if fault.class == FaultClass::Ambiguous => Ok(Err(fault)),
        Err(fault) => {
            let said = format!("{fault}; {}", fault.remedy());
            set(ctx, id, ImageState::Failed, None, (&said, None)).await?;
            Ok(Err(fault))
        }
    }
}

async fn set(
    ctx: &Ctx,
    id: i64,
    state: ImageState,
    remote: Option<&str>,
    said: (&str, Option<i64>),
) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    rows::set_state(&mut tx, id, state, remote, said, ctx.now()).await?;
    Ok(tx.commit().await?)
}

/// Finds out how far an image is.
async fn follow(
    ctx: &Ctx,
    record: &ProviderRecord,
    opened: &Opened,
    image: &ProviderImage,
    outdated: bool,
) -> Answered<()> {
    let now = ctx.now();
    if image.state == ImageState::Failed {
        return if now - image.changed_at < AGAIN { Ok(Ok(())) } else { retire(ctx, opened, image).await };
    }
    let found = match opened.provider.isos(&image.name).await {
        Ok(found) => found,
        Err(fault) => return Ok(Err(fault)),
    };
    let there = found.into_iter().find(|iso| image.remote.as_ref().is_none_or(|remote| *remote == iso.id));
    match there {
        Some(iso) => keep_state(ctx, record, image, &iso).await.map(Ok),
        None if image.state == ImageState::Intended && image.looks + 1 < LOOKS => {
            let mut tx = ctx.db.write().await?;
            rows::looked(&mut tx, image.id).await?;
            tx.commit().await?;
            Ok(Ok(()))
        }
        None if image.state == ImageState::Intended && !outdated => {
            let name = image_name(&image.sha256, random_bytes());
            let mut tx = ctx.db.write().await?;
            rows::rename(&mut tx, image.id, &name).await?;
            tx.commit().await?;
            register(ctx, record, opened, image.id, &name).await
        }
        // Gone as it was asked to, or taken away by somebody: then it is asked for anew.
        None => {
            let mut tx = ctx.db.write().await?;
            rows::forget(&mut tx, image.id).await?;
            tx.commit().await?;
            Ok(Ok(()))
        }
    }
}

async fn keep_state(
    ctx: &Ctx,
    record: &ProviderRecord,
    image: &ProviderImage,
    iso: &Iso,
) -> Result<(), Error> {
    let now = ctx.now();
    let state = match (image.state, iso.ready, iso.failed) {
        (ImageState::Leaving, ..) => return Ok(()),
        (_, true, _) => ImageState::Ready,
        (_, false, true) => ImageState::Failed,
        (_, false, false) => ImageState::Loading,
    };
    let said = if state == ImageState::Ready { "" } else { iso.said.as_str() };
    let percent = iso.percent.filter(|_| state == ImageState::Loading);
    let mut tx = ctx.db.write().await?;
    rows::set_state(&mut tx, image.id, state, Some(&iso.id), (said, percent), now).await?;
    if state != image.state {
        let detail = format!("{}: {}", record.name, if said.is_empty() { image.name.as_str() } else { said });
        match state {
            ImageState::Ready => {
                events::add(&mut tx, "provider.image-ready", None, None, "server", &detail, now).await?;
                desktops::call_waiting(&mut tx, now).await?;
            }
            ImageState::Failed => {
                events::add(&mut tx, "provider.image-failed", None, None, "server", &detail, now).await?;
                desktops::call_waiting(&mut tx, now).await?;
            }
            ImageState::Intended | ImageState::Loading | ImageState::Leaving => {}
        }
    }
    tx.commit().await?;
    if state != image.state {
        ctx.presence.events_came();
        ctx.presence.desktop_came();
    }
    Ok(())
}

/// Removes an image that nobody needs any more.
async fn retire(ctx: &Ctx, opened: &Opened, image: &ProviderImage) -> Answered<()> {
    let Some(remote) = &image.remote else {
        let mut tx = ctx.db.write().await?;
        rows::forget(&mut tx, image.id).await?;
        tx.commit().await?;
        return Ok(Ok(()));
    };
    let used = {
        let mut tx = ctx.db.read().await?;
        rows::is_used(&mut tx, image.provider_id, remote).await?
    };
    if used {
        return Ok(Ok(()));
    }
    match opened.provider.isos(&image.name).await {
        Ok(found) if !found.iter().any(|iso| iso.id == *remote) => {
            let mut tx = ctx.db.write().await?;
            rows::forget(&mut tx, image.id).await?;
            tx.commit().await?;
            return Ok(Ok(()));
        }
        Ok(_) => {}
        Err(fault) => return Ok(Err(fault)),
    }
    set(ctx, image.id, ImageState::Leaving, None, ("", None)).await?;
    match opened.provider.delete_iso(remote).await {
        Ok(_) => Ok(Ok(())),
        Err(fault) if fault.class == FaultClass::Gone => Ok(Ok(())),
        Err(fault) => {
            let said = format!("{fault}; {}", fault.remedy());
            set(ctx, image.id, ImageState::Leaving, None, (&said, None)).await?;
            Ok(Err(fault))
        }
    }
}

/// Removes what Lotse keeps at a provider that is forgotten; gives the names of what stays there.
pub(super) async fn clear(ctx: &Ctx, record: &ProviderRecord) -> Result<Vec<String>, Error> {
    let all = {
        let mut tx = ctx.db.read().await?;
        rows::of(&mut tx, record.id).await?
    };
    let mut left = Vec::new();
    for image in all {
        let Some(remote) = image.remote else { continue };
        let removed = match open(ctx, record).await {
            Ok(opened) => opened.provider.delete_iso(&remote).await.is_ok(),
            Err(_) => false,
        };
        if !removed {
            left.push(image.name);
        }
    }
    Ok(left)
}
