//! Mounts what the storage step made below the target; what is mounted already stays.

use std::path::{Path, PathBuf};

use wire::storage::{FileSystem, MountEntry, Volume};

use super::{StepContext, StepError};
use crate::{
    disk::{filesystem, identify},
    host::Host,
};

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Mounts the entries in order. Swap is left alone: an installer does not need it.
pub(super) async fn execute(ctx: &StepContext<'_>, mounts: &[MountEntry]) -> Result<(), StepError> {
    for entry in mounts.iter().filter(|entry| entry.format != FileSystem::Swap) {
        one(ctx, entry).await?;
    }
    Ok(())
}

pub(super) async fn one(ctx: &StepContext<'_>, entry: &MountEntry) -> Result<(), StepError> {
    let refused = |why: String| StepError::Refused(format!("mounting {}: {why}", entry.mount));
    let Volume::Partition { number, .. } = &entry.volume else {
        return Err(refused("this agent does not know such a volume".to_owned()));
    };
    let disk = identify::find(ctx.host, &entry.disk).map_err(|error| refused(error.to_string()))?;
    let device = identify::partition(&disk, *number);
    let place = ctx.target.join(entry.mount.trim_start_matches('/'));
    if is_mounted(ctx, &place)? {
        return Ok(());
    }
    let found = filesystem::uuid_of(ctx, &device).await?;
    if !found.eq_ignore_ascii_case(&entry.uuid) {
        return Err(refused(format!(
            "{} carries the file system `{found}`, the plan expects {}; run the storage job again",
            device.display(),
            entry.uuid
        )));
    }
    ctx.host.create_dir(&place)?;
    let options = if entry.options == "defaults" { "" } else { &entry.options };
    ctx.host.mount(&device.display().to_string(), &place, filesystem::kernel_name(entry.format), options)?;
    ctx.say(&format!("mounted {} at {}", device.display(), entry.mount));
    Ok(())
}

/// Whether something is mounted at a place.
fn is_mounted(ctx: &StepContext<'_>, place: &Path) -> Result<bool, StepError> {
    let text = ctx.host.read(Path::new(MOUNTINFO))?;
    // Without a slash at the end, as the kernel writes it.
    let place: PathBuf = place.components().collect();
    Ok(parse(&text).contains(&place))
}

/// Where something is mounted, as far as the kernel says.
pub(super) fn places(host: &dyn Host) -> Vec<PathBuf> {
    parse(&host.read(Path::new(MOUNTINFO)).unwrap_or_default())
}

/// The mount points of mountinfo (`proc_pid_mountinfo(5)`), whose paths are those that this process sees.
fn parse(mountinfo: &[u8]) -> Vec<PathBuf> {
    let text = String::from_utf8_lossy(mountinfo);
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}
