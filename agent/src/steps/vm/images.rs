//! Boot images on this host: fetched once, kept by their hash while a machine has them in its drive.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use wire::enrol::BlobRef;

use super::{super::download, StepContext, StepError, libvirt};
use crate::{
    host::Command,
    vm::{DIRECTORY, domain::described},
};

/// What an image's name begins with.
const PREFIX: &str = "boot-";
const ENDING: &str = ".iso";

/// The file of an image, which is fetched when it is not there. Older ones that no machine has are removed.
pub(super) async fn fetched(ctx: &StepContext<'_>, blob: &BlobRef) -> Result<PathBuf, StepError> {
    let file = Path::new(DIRECTORY).join(format!("{PREFIX}{}{ENDING}", blob.sha256));
    if ctx.host.exists(&file) {
        return Ok(file);
    }
    tidy(ctx).await?;
    let part = file.with_extension("part");
    ctx.host.remove(&part)?;
    fetch(ctx, blob, &part).await.map_err(download::fetching("the boot image"))?;
    let words = [part.display().to_string(), file.display().to_string()];
    ctx.run(&Command::new(["mv", "--", &words[0], &words[1]])).await?;
    Ok(file)
}

async fn fetch(ctx: &StepContext<'_>, blob: &BlobRef, part: &Path) -> Result<(), StepError> {
    let (sink, mut source) = tokio::sync::mpsc::channel::<Bytes>(8);
    let write = async {
        while let Some(chunk) = source.recv().await {
            ctx.host.append(part, &chunk)?;
        }
        ctx.host.sync(part)
    };
    let send = async {
        let sent = download::stream(ctx, blob, &sink).await;
        drop(sink);
        sent
    };
    let (sent, written) = tokio::join!(send, write);
    // A full disk ends the writing first, and is the reason.
    written.context("writing the boot image").map_err(StepError::Permanent)?;
    sent
}

/// Removes images that are in nobody's drive.
async fn tidy(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let virsh = libvirt(ctx);
    let mut used = Vec::new();
    for name in virsh.machines().await? {
        for next in [false, true] {
            used.push(described(&virsh.definition(&name, next).await?).iso);
        }
    }
    for name in ctx.host.list(Path::new(DIRECTORY))? {
        let file = Path::new(DIRECTORY).join(&name);
        let is_image = name.starts_with(PREFIX) && name.ends_with(ENDING);
        if is_image && !used.iter().any(|used| Path::new(used) == file) {
            ctx.host.remove(&file)?;
        }
    }
    Ok(())
}
