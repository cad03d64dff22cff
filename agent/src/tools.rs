//! The installer's second stage: fetches the tool set by hash, mounts it below a writable layer, and moves the agent into it.
//!
//! Kernel file systems are bound, not moved: when the agent dies and starts anew in the first stage, it finds them there
//! and only enters again. Nothing here runs on an installed system.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use aws_lc_rs::digest::{Context as Hash, SHA256};
use futures_util::StreamExt;
use wire::enrol::BlobRef;

use crate::{
    backoff::{self, Backoff},
    config::INSTALLER_STATE_DIR,
    host::{Command, Host},
    steps::{StepContext, StepError},
};

/// Outside `/run`, so that binding `/run` into the new root does not bind the root into itself.
const LOWER: &str = "/tools/lower";
const LAYER: &str = "/tools/layer";
const ROOT: &str = "/tools/root";
const ENTERED: &str = "/tools/ready";
const TRIES: u32 = 8;
/// Read and written at once.
const PIECE: usize = 1024 * 1024;

/// Brings the agent into the tool set. Call once per process.
pub async fn enter(ctx: &StepContext<'_>, tools: &BlobRef) -> Result<(), StepError> {
    if !ctx.host.exists(Path::new(ENTERED)) {
        let image = Path::new(INSTALLER_STATE_DIR).join("tools.squashfs");
        fetch(ctx, tools, &image).await?;
        mount(ctx, &image).await.map_err(StepError::Permanent)?;
    }
    ctx.host.enter(Path::new(ROOT))?;
    ctx.say("the tool set is ready");
    Ok(())
}

async fn mount(ctx: &StepContext<'_>, image: &Path) -> anyhow::Result<()> {
    let host = ctx.host;
    let modules = Command::new(["modprobe", "-a", "loop", "squashfs", "overlay"]);
    if let Err(error) = ctx.run(&modules).await {
        // They may be built into the kernel; if not, mounting says so.
        tracing::debug!(error = &error as &dyn std::error::Error, "modprobe did not end well");
    }
    for dir in [LOWER, LAYER, ROOT] {
        host.create_dir(Path::new(dir))?;
    }
    let image = image.to_string_lossy().into_owned();
    ctx.run(&Command::new(["mount", "-t", "squashfs", "-o", "loop,ro", &image, LOWER]))
        .await
        .context("mounting the tool set")?;
    host.mount("tmpfs", Path::new(LAYER), "tmpfs", "mode=0755")?;
    for dir in ["upper", "work"] {
        host.create_dir(&Path::new(LAYER).join(dir))?;
    }
    let options = format!("lowerdir={LOWER},upperdir={LAYER}/upper,workdir={LAYER}/work");
    host.mount("overlay", Path::new(ROOT), "overlay", &options)?;
    for dir in ["dev", "proc", "sys", "run"] {
        let inside = Path::new(ROOT).join(dir);
        host.create_dir(&inside)?;
        host.mount(&format!("/{dir}"), &inside, "", "rbind")?;
    }
    host.create_dir(&Path::new(ROOT).join("target"))?;
    if let Ok(resolv) = host.read(Path::new("/etc/resolv.conf")) {
        host.write(&Path::new(ROOT).join("etc/resolv.conf"), &resolv, 0o644)?;
    }
    host.write(Path::new(ENTERED), b"", 0o600)?;
    Ok(())
}

/// Downloads the image, going on where an earlier try broke off, and checks its hash.
async fn fetch(ctx: &StepContext<'_>, tools: &BlobRef, image: &Path) -> Result<(), StepError> {
    let mut backoff = Backoff::default();
    loop {
        match fetch_rest(ctx, tools, image).await {
            Err(StepError::Transient(error)) if backoff.failures() < TRIES => {
                ctx.say(&format!("fetching the tool set broke off ({error:#}); trying again"));
                tokio::select! {
                    () = tokio::time::sleep(backoff.fail(backoff::random())) => {}
                    () = ctx.stop.cancelled() => return Err(StepError::Stopped),
                }
            }
            result => return result,
        }
    }
}

async fn fetch_rest(ctx: &StepContext<'_>, tools: &BlobRef, image: &Path) -> Result<(), StepError> {
    let (mut hash, mut length) = hash_of(ctx.host, image)?;
    if length < tools.size_bytes {
        ctx.say(&format!("fetching the tool set ({} MB)", tools.size_bytes / 1_000_000));
        let mut chunks = ctx.server.blob(&tools.sha256, length).await?;
        let mut piece = Vec::new();
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = ctx.stop.cancelled() => return Err(StepError::Stopped),
            };
            let chunk = chunk.transpose();
            if let Ok(Some(bytes)) = &chunk {
                piece.extend_from_slice(bytes);
            }
            let goes_on = matches!(chunk, Ok(Some(_)));
            if piece.len() >= PIECE || (!goes_on && !piece.is_empty()) {
                ctx.host.append(image, &piece)?;
                hash.update(&piece);
                length += piece.len() as u64;
                piece.clear();
                let percent = length.saturating_mul(100) / tools.size_bytes.max(1);
                ctx.voice.progress(u8::try_from(percent.min(100)).unwrap_or(100), "fetching the tool set");
            }
            if chunk?.is_none() {
                break;
            }
        }
    }
    if length < tools.size_bytes {
        return Err(StepError::Transient(anyhow!("only {length} of {} bytes came", tools.size_bytes)));
    }
    let got = hex::encode(hash.finish());
    if got == tools.sha256.as_str() {
        return Ok(());
    }
    ctx.host.remove(image)?;
    // Perhaps damaged on the way: from the beginning once more, a few times.
    Err(StepError::Transient(anyhow!(
        "the tool set should have the hash {}, but what came has {got}",
        tools.sha256
    )))
}

fn hash_of(host: &dyn Host, path: &Path) -> Result<(Hash, u64), StepError> {
    let (mut hash, mut length) = (Hash::new(&SHA256), 0);
    if host.exists(path) {
        loop {
            let piece = host.read_at(path, length, PIECE)?;
            if piece.is_empty() {
                break;
            }
            hash.update(&piece);
            length += piece.len() as u64;
        }
    }
    Ok((hash, length))
}
