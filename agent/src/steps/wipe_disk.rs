//! Makes a disk unreadable.

use std::io::{Seek, SeekFrom, Write};

use anyhow::Context as _;
use wire::{step::WipeMethod, storage::DiskExpectation};

use super::{StepContext, StepError};
use crate::{
    disk::{self, identify, usage},
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
    if method == WipeMethod::Unknown {
        return Err(StepError::Refused("this agent does not know the way of wiping".to_owned()));
    }
    usage::let_go(ctx, &path).await?;
    // Whoever else holds it is found out by asking to be alone with it.
    let held =
        |error| StepError::Refused(format!("{} is in use ({error}); nothing was written", path.display()));
    drop(ctx.host.open_disk(&path).map_err(held)?);
    match method {
        WipeMethod::Unknown => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::tests::loop_host::LoopHost,
        host::fake::FakeHost,
        steps::testing::{DISK, Stage, disk_in_memory, expectation_of_disk_in_memory},
    };

    #[tokio::test]
    async fn what_was_in_use_and_what_it_carried_is_gone_after_every_way_of_wiping() {
        for method in [WipeMethod::Signatures, WipeMethod::Zero, WipeMethod::Discard] {
            let host = LoopHost::new(64 << 20, 512);
            host.look(&["mkfs.ext4", "-q", "-F", "/dev/vdz"]);
            host.look(&["mount", "/dev/vdz", &host.target().display().to_string()]);
            std::fs::write(host.target().join("letter"), "dear").unwrap();
            let stage = Stage::new(FakeHost::new(0));
            let ctx = StepContext { host: &host, target: host.target(), ..stage.ctx() };
            for _ in 0..2 {
                execute(&ctx, &host.expectation(), method).await.unwrap();
            }
            assert!(!host.target().join("letter").exists(), "{method:?}: still mounted");
            let bytes = host.bytes();
            let edges = [&bytes[..1 << 20], &bytes[bytes.len() - (1 << 20)..]].concat();
            assert!(edges.iter().all(|byte| *byte == 0), "{method:?}");
            assert!(method == WipeMethod::Signatures || bytes.iter().all(|byte| *byte == 0), "{method:?}");
        }
    }

    #[tokio::test]
    async fn the_disk_of_the_running_system_is_never_wiped() {
        let host = disk_in_memory(64 << 20)
            .with_file("/sys/block/vda/vda1/partition", "1")
            .with_file("/proc/self/mountinfo", "1 0 254:1 / / rw - ext4 /dev/vda1 rw\n")
            .with_disk(DISK, 64 << 20);
        let stage = Stage::new(host);
        let expected = expectation_of_disk_in_memory(64 << 20);
        for method in [WipeMethod::Signatures, WipeMethod::Zero, WipeMethod::Discard] {
            let error = execute(&stage.ctx(), &expected, method).await.unwrap_err();
            assert!(matches!(&error, StepError::Refused(why) if why.contains("running system")), "{error}");
        }
        assert_eq!(stage.host.command_lines(), Vec::<String>::new());
    }
}
