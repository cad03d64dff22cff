//! Blobs on their way in: taken up again where a connection broke, hashed as they come.

use anyhow::anyhow;
use aws_lc_rs::digest::{Context as Hash, SHA256};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;
use wire::enrol::BlobRef;

use super::{StepContext, StepError};
use crate::{
    backoff::{self, Backoff},
    server,
};

/// What helps against a damaged image.
const BUILD_AGAIN: &str = "build the image again there (`lotse image build --force`) and try the job again";

/// So often in a row may a connection break without a byte having come.
const TRIES: u32 = 8;

/// Sends the blob's bytes to `sink` in order. Every byte is the right one when this is `Ok`. A receiver that goes away does not end it:
/// the hash still says whose fault that was.
///
/// # Errors
/// The blob cannot be fetched, or has another hash; [`StepError::Stopped`] when the step shall stop.
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
            "the file should have the hash {}, but what came has {got}; the server's copy is damaged: {BUILD_AGAIN}",
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
    let mut chunks = tokio::select! {
        chunks = ctx.server.blob(&blob.sha256, *offset) => chunks.map_err(|error| refused(error, *offset))?,
        () = ctx.stop.cancelled() => return Err(StepError::Stopped),
    };
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
        sink.send(chunk).await.ok();
    }
    if *offset < blob.size_bytes {
        return Err(StepError::Transient(anyhow!("only {offset} of {} bytes came", blob.size_bytes)));
    }
    Ok(())
}

/// A server that has less of the file than the plan names, or nothing, has lost it: asking again does not help.
fn refused(error: server::Error, offset: u64) -> StepError {
    match &error {
        server::Error::Refused { status: 416, .. } => StepError::Permanent(anyhow!(
            "the server's copy ends at byte {offset}: it is damaged; {BUILD_AGAIN}"
        )),
        server::Error::Refused { status: 404, .. } => {
            StepError::Permanent(anyhow::Error::from(error).context(BUILD_AGAIN))
        }
        _ => error.into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::fake::FakeHost, steps::testing::Stage};

    #[tokio::test(start_paused = true)]
    async fn a_download_that_breaks_off_goes_on_where_it_was() {
        let mut stage = Stage::new(FakeHost::new(0));
        stage.server.blob = (0..9999_u32).flat_map(u32::to_le_bytes).collect();
        *stage.server.breaks.lock().unwrap() = [5000, 0, 12_000].into();
        let content = whole(&stage.ctx(), &stage.server.reference()).await.unwrap();
        assert_eq!(content, stage.server.blob);
        assert_eq!(*stage.server.offsets.lock().unwrap(), [0, 5000, 5000, 17_000]);
        assert_eq!(stage.voice.progress.lock().unwrap().last().unwrap().0, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_away_may_be_asked_again_later() {
        let mut stage = Stage::new(FakeHost::new(0));
        stage.server.blob = vec![1; 2000];
        *stage.server.breaks.lock().unwrap() = [0; 99].into();
        let error = whole(&stage.ctx(), &stage.server.reference()).await.unwrap_err();
        assert!(matches!(error, StepError::Transient(_)), "{error}");
    }

    #[tokio::test]
    async fn the_hash_is_checked_even_when_nobody_takes_the_bytes() {
        let mut stage = Stage::new(FakeHost::new(0));
        stage.server.blob = vec![1; 20_000];
        let (sink, source) = tokio::sync::mpsc::channel(1);
        drop(source);
        let reference = stage.server.reference();
        stream(&stage.ctx(), &reference, &sink).await.unwrap();
        stage.server.blob[7] = 2;
        let error = stream(&stage.ctx(), &reference, &sink).await.unwrap_err();
        assert!(matches!(error, StepError::Permanent(_)), "{error}");
    }
}
