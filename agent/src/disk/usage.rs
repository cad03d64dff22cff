//! Who uses a disk: mounts, swap, and devices that lie on it. A disk is only let go of where nobody but an installation is meant; what the
//! running system stands on is never taken from under it.
//!
//! Invariant: devices are told apart by what the kernel says they are made of, never by how their names begin.

use std::path::{Path, PathBuf};

use super::identify;
use crate::{
    facts,
    host::{Command, Host},
    steps::{StepContext, StepError},
};

const SWAPS: &str = "/proc/swaps";

/// Something that is mounted (`proc_pid_mountinfo(5)`), as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub place: PathBuf,
    /// What, as it was named when it was mounted.
    pub source: PathBuf,
    /// Major and minor number of the device; btrfs shows a number of its own.
    pub number: String,
    /// Type of the file system.
    pub format: String,
}

/// Everything that is mounted, what lies on top last.
///
/// # Errors
/// The kernel does not say.
pub fn mounted(host: &dyn Host) -> Result<Vec<Mounted>, crate::host::Error> {
    let text = host.read(Path::new("/proc/self/mountinfo"))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(mountinfo: &str) -> Vec<Mounted> {
    let one = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(2);
        let (number, place) = (fields.next()?, fields.nth(1)?);
        let (format, rest) = after.split_once(' ')?;
        let source = rest.split(' ').next()?;
        Some(Mounted {
            place: path(place),
            source: path(source),
            number: number.to_owned(),
            format: format.to_owned(),
        })
    };
    mountinfo.lines().filter_map(one).collect()
}

/// The kernel writes blank, tab, line end and backslash as an octal number.
fn path(word: &str) -> PathBuf {
    let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(plain.iter().fold(word.to_owned(), |word, (code, plain)| word.replace(code, plain)))
}

/// A device node with the number that the kernel knows it by, and what lies on it.
struct Node {
    path: PathBuf,
    number: String,
    holders: Vec<String>,
}

/// The disk and its partitions.
fn nodes(host: &dyn Host, disk: &Path) -> Result<Vec<Node>, crate::host::Error> {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let of_disk = Path::new("/sys/block").join(name(disk));
    let mut places = vec![(disk.to_owned(), of_disk.clone())];
    for partition in identify::partitions(host, disk) {
        let place = of_disk.join(name(&partition));
        places.push((partition, place));
    }
    let node = |(path, place): (PathBuf, PathBuf)| {
        let number = facts::text(host, &place.join("dev").display().to_string());
        Ok(Node { path, number, holders: host.list(&place.join("holders"))? })
    };
    places.into_iter().map(node).collect()
}

/// Who uses a disk.
#[derive(Debug, Default)]
struct Usage {
    mounts: Vec<Mounted>,
    swaps: Vec<PathBuf>,
    holders: Vec<String>,
}

fn usage(host: &dyn Host, disk: &Path) -> Result<Usage, crate::host::Error> {
    let nodes = nodes(host, disk)?;
    let is_here = |path: &Path| nodes.iter().any(|node| node.path == path);
    let is_known = |number: &str| nodes.iter().any(|node| !node.number.is_empty() && node.number == number);
    let mut mounts = mounted(host)?;
    mounts.retain(|mounted| is_here(&mounted.source) || is_known(&mounted.number));
    let swaps = if host.exists(Path::new(SWAPS)) { host.read(Path::new(SWAPS))? } else { Vec::new() };
    let swaps = String::from_utf8_lossy(&swaps)
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next().map(path))
        .filter(|source| is_here(source))
        .collect();
    let holders = nodes.iter().flat_map(|node| node.holders.clone()).collect();
    Ok(Usage { mounts, swaps, holders })
}

/// Refuses a disk that somebody else than an installation uses. Nothing is changed.
///
/// # Errors
/// [`StepError::Refused`] that says who uses it and what to do.
pub fn refuse_if_used(ctx: &StepContext<'_>, disk: &Path) -> Result<(), StepError> {
    let usage = usage(ctx.host, disk)?;
    let refused =
        |why: String| Err(StepError::Refused(format!("{}: {why}. Nothing was written", disk.display())));
    if let Some(mounted) = usage.mounts.iter().find(|mounted| !mounted.place.starts_with(ctx.target)) {
        return refused(format!(
            "the running system uses it: {} is mounted at {}; unmount it, or do this from another system",
            mounted.source.display(),
            mounted.place.display()
        ));
    }
    if !usage.holders.is_empty() {
        return refused(format!(
            "{} lies on it (LVM, RAID or encryption); stop that, or restart the machine, and run the job again",
            usage.holders.join(", ")
        ));
    }
    Ok(())
}

/// Unmounts everything at and below a place, whatever it is.
///
/// # Errors
/// The kernel does not say what is mounted, or does not let go.
pub fn unmount_below(ctx: &StepContext<'_>, place: &Path) -> Result<(), StepError> {
    let mut places: Vec<PathBuf> = mounted(ctx.host)?.into_iter().map(|mounted| mounted.place).collect();
    places.retain(|mounted| mounted.starts_with(place));
    // The last one mounted lies on top.
    for place in places.iter().rev() {
        ctx.say(&format!("letting go of {}", place.display()));
        ctx.host.unmount(place)?;
    }
    Ok(())
}

/// Lets go of what an earlier attempt has in use on a disk: mounts below the target, swap.
///
/// # Errors
/// [`StepError::Refused`] when it stays in use.
pub async fn let_go(ctx: &StepContext<'_>, disk: &Path) -> Result<(), StepError> {
    refuse_if_used(ctx, disk)?;
    let before = usage(ctx.host, disk)?;
    for mounted in before.mounts.iter().rev() {
        unmount_below(ctx, &mounted.place)?;
    }
    for swap in &before.swaps {
        ctx.say(&format!("letting go of swap space on {}", swap.display()));
        if let Err(error) = ctx.run(&Command::new(["swapoff".to_owned(), swap.display().to_string()])).await {
            let why = format!("{} is in use as swap space: {error}; nothing was written", swap.display());
            return Err(if ctx.stop.is_cancelled() { StepError::Stopped } else { StepError::Refused(why) });
        }
    }
    let after = usage(ctx.host, disk)?;
    if let Some(mounted) = after.mounts.first() {
        let why = format!("{} stays mounted; nothing was written", mounted.place.display());
        return Err(StepError::Refused(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::fake::FakeHost, steps::testing::Stage};

    fn host(mountinfo: &str) -> FakeHost {
        FakeHost::new(0)
            .with_file("/sys/block/sda/dev", "8:0\n")
            .with_file("/sys/block/sda/sda1/partition", "1\n")
            .with_file("/sys/block/sda/sda1/dev", "8:1\n")
            .with_file("/proc/self/mountinfo", mountinfo)
    }

    #[test]
    fn a_disk_whose_name_only_begins_alike_is_another_disk() {
        let text = "1 0 65:160 / / rw - ext4 /dev/sdaa rw\n2 1 65:161 / /target rw - ext4 /dev/sdaa1 rw\n";
        let stage = Stage::new(host(text));
        refuse_if_used(&stage.ctx(), Path::new("/dev/sda")).unwrap();
        assert!(usage(&stage.host, Path::new("/dev/sda")).unwrap().mounts.is_empty());
    }

    #[test]
    fn what_is_mounted_by_another_name_is_known_by_its_number() {
        let stage = Stage::new(host("1 0 8:1 / / rw - ext4 /dev/root rw\n"));
        let error = refuse_if_used(&stage.ctx(), Path::new("/dev/sda")).unwrap_err();
        assert!(error.to_string().contains("running system"), "{error}");
    }

    #[test]
    fn a_mirror_on_a_partition_is_named() {
        let stage = Stage::new(host("").with_file("/sys/block/sda/sda1/holders/md0", ""));
        let error = refuse_if_used(&stage.ctx(), Path::new("/dev/sda")).unwrap_err();
        assert!(matches!(&error, StepError::Refused(why) if why.contains("md0")), "{error}");
    }

    #[tokio::test]
    async fn swap_on_the_disk_and_no_other_is_switched_off() {
        let swaps =
            "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n/dev/sdaa1 partition 1 0 -3\n";
        let stage = Stage::new(host("").with_file(SWAPS, swaps));
        let_go(&stage.ctx(), Path::new("/dev/sda")).await.unwrap();
        assert_eq!(stage.host.command_lines(), ["swapoff /dev/sda1"]);
    }

    #[test]
    fn places_with_blanks_are_read_as_they_are() {
        let found = parse("1 0 8:1 / /mnt/my\\040stick rw,relatime shared:1 - vfat /dev/sdb1 rw\n");
        assert_eq!(found[0].place, Path::new("/mnt/my stick"));
        assert_eq!((found[0].number.as_str(), found[0].source.as_path()), ("8:1", Path::new("/dev/sdb1")));
    }
}
