//! Images: what was built, and files that come in.

use super::Error;
use crate::{
    context::Ctx,
    db::{Tx, events, images},
    domain::{client::is_word, image::Image},
};

/// Keeps an image whose files are stored already.
///
/// # Errors
/// Its name cannot be one, it has no file, or a file is not stored.
pub async fn create(ctx: &Ctx, mut image: Image, actor: &str) -> Result<Image, Error> {
    if !image.name.split('/').all(is_word) || image.parts.is_empty() {
        return Err(Error::invalid(
            format!("`{}` with {} parts cannot be an image", image.name, image.parts.len()),
            "give a name of small letters, digits, hyphens and dots, such as debian-12/metal, and at least one part",
        ));
    }
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
    events::add(&mut tx, "image.built", None, None, actor, &image.name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(image)
}

/// The newest image of each name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Image>, Error> {
    Ok(images::list(tx).await?)
}
