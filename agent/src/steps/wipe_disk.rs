//! Makes a disk unreadable.

use std::io::{Seek, SeekFrom, Write};

use anyhow::Context as _;
use wire::{step::WipeMethod, storage::DiskExpectation};

use super::{StepContext, StepError};
use crate::{
    disk::{self, identify},
    host::Command,
};

const PIECE: usize = 4 << 20;

/// Wipes the disk, after it was asked once more whether it is the right one.
pub(super) async fn execute(
    ctx: &StepContext<'_>,
    expected: &DiskExpectation,
    method: WipeMethod,
) -> Result<(), StepError> {
    let path = identify::find(ctx.host, expected).map_err(|error| StepError::Refused(error.to_string()))?;
    ctx.say(&format!(
        "wiping {} (serial {}, {} bytes)",
        path.display(),
        expected.serial,
        expected.size_bytes
    ));
    match method {
        WipeMethod::Unknown => {
            return Err(StepError::Refused("this agent does not know the way of wiping".to_owned()));
        }
        WipeMethod::Signatures => disk::wipe_signatures(ctx, &path).await?,
        WipeMethod::Discard => {
            ctx.run(&Command::new(["blkdiscard", "-f", &path.display().to_string()])).await?;
        }
        WipeMethod::Zero => zero(ctx, &path, expected.size_bytes).await?,
    }
    ctx.host.reread_partitions(&path)?;
    Ok(())
}

async fn zero(ctx: &StepContext<'_>, path: &std::path::Path, size: u64) -> Result<(), StepError> {
    let failed = |error: std::io::Error| {
        StepError::Permanent(anyhow::Error::from(error).context(format!("overwriting {}", path.display())))
    };
    let mut file = ctx.host.open_disk(path)?;
    let zeros = vec![0; PIECE];
    let mut done = 0;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    while done < size {
        if ctx.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        let length = usize::try_from(size - done).unwrap_or(PIECE).min(PIECE);
        file.write_all(&zeros[..length]).map_err(failed)?;
        done += length as u64;
        ctx.voice.progress(u8::try_from(done * 100 / size).unwrap_or(100), "overwriting with zeros");
        // The agent's heartbeats share this thread.
        tokio::task::yield_now().await;
    }
    file.sync().context("writing to the disk").map_err(StepError::Permanent)
}
