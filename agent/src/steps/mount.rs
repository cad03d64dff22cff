//! Mounts what the storage step made below the target; what is mounted already stays, if it is just that.

use std::path::{Path, PathBuf};

use wire::storage::{FileSystem, MountEntry, Volume};

use super::{StepContext, StepError};
use crate::disk::{filesystem, identify, usage};

/// Mounts the entries in order. Swap is left alone: an installer does not need it. So is what is kept: it is the installed system's.
pub(super) async fn execute(ctx: &StepContext<'_>, mounts: &[MountEntry]) -> Result<(), StepError> {
    for entry in mounts.iter().filter(|entry| entry.format != FileSystem::Swap && !entry.keep) {
        one(ctx, entry).await?;
    }
    Ok(())
}

async fn one(ctx: &StepContext<'_>, entry: &MountEntry) -> Result<(), StepError> {
    let refused = |why: String| StepError::Refused(format!("mounting {}: {why}", entry.mount));
    let Volume::Partition { number, .. } = &entry.volume else {
        return Err(refused("this agent does not know such a volume".to_owned()));
    };
    let disk = identify::find(ctx.host, &entry.disk).map_err(|error| refused(error.to_string()))?;
    let device = identify::partition(&disk, *number);
    let found = filesystem::uuid_of(ctx, &device).await?;
    if !found.eq_ignore_ascii_case(&entry.uuid) {
        return Err(refused(format!(
            "{} carries the file system `{found}`, the plan expects {}; run the storage job again",
            device.display(),
            entry.uuid
        )));
    }
    // Without a slash at the end, as the kernel writes it.
    let place: PathBuf = ctx.target.join(entry.mount.trim_start_matches('/')).components().collect();
    match source(ctx, &place)? {
        Some(there) if there == device => return Ok(()),
        Some(there) => {
            return Err(refused(format!(
                "{} is mounted there, the plan expects {}; unmount it or restart the machine, and run the job again",
                there.display(),
                device.display()
            )));
        }
        None => {}
    }
    ctx.host.create_dir(&place)?;
    let options = if entry.options == "defaults" { "" } else { &entry.options };
    ctx.host.mount(&device.display().to_string(), &place, filesystem::kernel_name(entry.format), options)?;
    ctx.say(&format!("mounted {} at {}", device.display(), entry.mount));
    Ok(())
}

/// What is mounted at a place, on top of all else.
fn source(ctx: &StepContext<'_>, place: &Path) -> Result<Option<PathBuf>, StepError> {
    let mounted = usage::mounted(ctx.host)?;
    Ok(mounted.into_iter().rev().find(|mounted| mounted.place == place).map(|mounted| mounted.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::fake::Answer,
        steps::testing::{Stage, disk_in_memory, expectation_of_disk_in_memory},
    };

    fn stage() -> Stage {
        let host = disk_in_memory(64 << 20);
        host.answer("blkid", Answer::prints("u-1\n"));
        Stage::new(host)
    }

    fn root() -> MountEntry {
        MountEntry {
            volume: Volume::Partition { disk: "system".into(), number: 1 },
            disk: expectation_of_disk_in_memory(64 << 20),
            format: FileSystem::Ext4,
            uuid: "U-1".into(),
            mount: "/".into(),
            options: "defaults".into(),
            keep: false,
        }
    }

    #[tokio::test]
    async fn what_is_mounted_already_is_mounted_once() {
        let stage = stage();
        for _ in 0..2 {
            execute(&stage.ctx(), &[root()]).await.unwrap();
        }
        assert_eq!(stage.host.mounts().len(), 1);
        assert_eq!(stage.host.mounts()[0].target, Path::new("/target"));
    }

    #[tokio::test]
    async fn what_is_kept_is_not_even_looked_at() {
        let stage = stage();
        execute(&stage.ctx(), &[MountEntry { keep: true, ..root() }]).await.unwrap();
        assert!(stage.host.mounts().is_empty() && stage.host.commands().is_empty());
    }

    #[tokio::test]
    async fn a_stranger_in_its_place_is_not_taken_for_it() {
        for stranger in ["/dev/vda2", "tmpfs", "/dev/vdaa1"] {
            let stage = stage();
            crate::host::Host::mount(&stage.host, stranger, Path::new("/target"), "ext4", "").unwrap();
            let error = execute(&stage.ctx(), &[root()]).await.unwrap_err();
            assert!(matches!(&error, StepError::Refused(why) if why.contains(stranger)), "{error}");
            assert_eq!(stage.host.mounts().len(), 1);
        }
    }

    #[tokio::test]
    async fn another_file_system_than_planned_is_not_mounted() {
        let stage = stage();
        stage.host.answer("blkid", Answer::fails(2, ""));
        let error = execute(&stage.ctx(), &[root()]).await.unwrap_err();
        assert!(matches!(&error, StepError::Refused(why) if why.contains("storage job")), "{error}");
        assert!(stage.host.mounts().is_empty());
    }
}
