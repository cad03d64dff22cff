//! Blobs on their way in: taken up again where a connection broke, hashed as they come.

use anyhow::anyhow;
use aws_lc_rs::digest::{Context as Hash, SHA256};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;
use wire::enrol::BlobRef;

use super::{StepContext, StepError};
use crate::backoff::{self, Backoff};

/// So often in a row may a connection break without a byte having come.
const TRIES: u32 = 8;

/// Sends the blob's bytes to `sink` in order. The receiver has been given everything, and every byte is the right one, when this is `Ok`.
///
/// # Errors
/// The blob cannot be fetched, or has another hash; a receiver that goes away ends it with [`StepError::Stopped`].
pub(super) async fn stream(
    ctx: &StepContext<'_>,
    blob: &BlobRef,
    sink: &Sender<Bytes>,
) -> Result<(), StepError> {
    let mut hash = Hash::new(&SHA256);
    let mut offset = 0;
    let mut backoff = Backoff::default();
    while offset < blob.size_bytes {
        let before = offset;
        match rest(ctx, blob, &mut offset, &mut hash, sink).await {
            Err(StepError::Transient(error)) => {
                if offset > before {
                    backoff = Backoff::default();
                }
                if backoff.failures() >= TRIES {
                    return Err(StepError::Transient(error));
                }
                ctx.say(&format!(
                    "the transfer broke off at {offset} of {} bytes ({error:#}); going on there",
                    blob.size_bytes
                ));
                tokio::select! {
                    () = tokio::time::sleep(backoff.fail(backoff::random())) => {}
                    () = ctx.stop.cancelled() => return Err(StepError::Stopped),
                }
            }
            other => other?,
        }
    }
    let got = hex::encode(hash.finish());
    if got == blob.sha256.as_str() {
        Ok(())
    } else {
        Err(StepError::Permanent(anyhow!(
            "the file should have the hash {}, but what came has {got}",
            blob.sha256
        )))
    }
}

async fn rest(
    ctx: &StepContext<'_>,
    blob: &BlobRef,
    offset: &mut u64,
    hash: &mut Hash,
    sink: &Sender<Bytes>,
) -> Result<(), StepError> {
    let mut chunks = ctx.server.blob(&blob.sha256, *offset).await?;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk,
            () = ctx.stop.cancelled() => return Err(StepError::Stopped),
        };
        let Some(chunk) = chunk.transpose()? else { break };
        let room = usize::try_from(blob.size_bytes - *offset).unwrap_or(usize::MAX);
        if chunk.len() > room {
            return Err(StepError::Permanent(anyhow!(
                "the server sends more than the {} bytes that the plan names",
                blob.size_bytes
            )));
        }
        hash.update(&chunk);
        *offset += chunk.len() as u64;
        let percent = offset.saturating_mul(100) / blob.size_bytes.max(1);
        ctx.voice.progress(u8::try_from(percent).unwrap_or(100), "");
        sink.send(chunk).await.map_err(|_| StepError::Stopped)?;
    }
    if *offset < blob.size_bytes {
        return Err(StepError::Transient(anyhow!("only {offset} of {} bytes came", blob.size_bytes)));
    }
    Ok(())
}

/// The whole blob in memory; for small ones such as a package.
///
/// # Errors
/// As [`stream`].
pub(super) async fn whole(ctx: &StepContext<'_>, blob: &BlobRef) -> Result<Vec<u8>, StepError> {
    let (sink, mut source) = tokio::sync::mpsc::channel::<Bytes>(8);
    let collect = async {
        let mut content = Vec::with_capacity(usize::try_from(blob.size_bytes).unwrap_or(0));
        while let Some(chunk) = source.recv().await {
            content.extend_from_slice(&chunk);
        }
        content
    };
    let send = async {
        let result = stream(ctx, blob, &sink).await;
        drop(sink);
        result
    };
    let (sent, content) = tokio::join!(send, collect);
    sent?;
    Ok(content)
}

/// Says in one place that an error came while fetching.
pub(super) fn fetching(what: &str) -> impl FnOnce(StepError) -> StepError + use<'_> {
    move |error| match error {
        StepError::Transient(error) => StepError::Transient(error.context(format!("fetching {what}"))),
        StepError::Permanent(error) => StepError::Permanent(error.context(format!("fetching {what}"))),
        other @ (StepError::Refused(_) | StepError::Stopped) => other,
    }
}
