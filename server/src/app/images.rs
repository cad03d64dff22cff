//! Images: what was built, and files that come in.

use wire::enrol::BlobRef;

use super::Error;
use crate::{
    context::Ctx,
    db::{Tx, audit, events, images},
    domain::image::Image,
};

/// Keeps an image whose files are stored already.
///
/// # Errors
/// A file is not stored.
pub async fn create(ctx: &Ctx, mut image: Image, actor: &str) -> Result<Image, Error> {
    for (part, blob) in &image.parts {
        if ctx.blobs.find(&blob.sha256).is_none() {
            return Err(Error::conflict(
                format!("part `{part}` of image {} is not stored: {}", image.name, blob.sha256),
                "send the file first: POST /api/v1/blobs",
            ));
        }
    }
    let now = ctx.now();
    image.built_at = now;
    let mut tx = ctx.db.write().await?;
    image.id = images::create(&mut tx, &image).await?;
    audit::note(&mut tx, "image.create", &format!("image {}", image.name), &(), &image).await?;
    events::add(&mut tx, "image.built", None, None, actor, &image.name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(image)
}

/// Notes that somebody has stored a file.
///
/// # Errors
/// The database refuses.
pub async fn stored(ctx: &Ctx, blob: &BlobRef) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    audit::note(&mut tx, "file.store", &format!("file {}", blob.sha256), &(), blob).await?;
    Ok(tx.commit().await?)
}

/// The newest image of each name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Image>, Error> {
    Ok(images::list(tx).await?)
}
