//! mount(2) with the words of fstab(5).

use std::path::{Path, PathBuf};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, umount2},
};

/// What an option text means to mount(2): flags of the kernel, and words for the file system.
fn parse(options: &str) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut rest = Vec::new();
    for word in options.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let flag = match word {
            "ro" => MsFlags::MS_RDONLY,
            "nosuid" => MsFlags::MS_NOSUID,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "sync" => MsFlags::MS_SYNCHRONOUS,
            "dirsync" => MsFlags::MS_DIRSYNC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            "strictatime" => MsFlags::MS_STRICTATIME,
            "bind" => MsFlags::MS_BIND,
            "rbind" => MsFlags::MS_BIND | MsFlags::MS_REC,
            "move" => MsFlags::MS_MOVE,
            "remount" => MsFlags::MS_REMOUNT,
            "private" => MsFlags::MS_PRIVATE,
            "rprivate" => MsFlags::MS_PRIVATE | MsFlags::MS_REC,
            "slave" => MsFlags::MS_SLAVE,
            "rslave" => MsFlags::MS_SLAVE | MsFlags::MS_REC,
            // The kernel's defaults, and words that only mount(8) and systemd understand.
            "defaults" | "rw" | "suid" | "dev" | "exec" | "async" | "auto" | "noauto" | "user" | "nouser"
            | "nofail" | "_netdev" => MsFlags::empty(),
            word if word.starts_with("x-") || word.starts_with("comment=") => MsFlags::empty(),
            word => {
                rest.push(word);
                MsFlags::empty()
            }
        };
        flags |= flag;
    }
    (flags, rest.join(","))
}

pub(super) fn mount(source: &str, target: &Path, file_system: &str, options: &str) -> Result<(), Errno> {
    let (flags, rest) = parse(options);
    let file_system = (!file_system.is_empty()).then_some(file_system);
    let rest = (!rest.is_empty()).then_some(rest.as_str());
    nix::mount::mount(Some(source), target, file_system, flags, rest)?;
    // The kernel ignores all other flags of a bind mount until it is mounted again (mount(2), "Creating a bind mount").
    let with_bind = flags & !(MsFlags::MS_BIND | MsFlags::MS_REC);
    if flags.contains(MsFlags::MS_BIND) && !flags.contains(MsFlags::MS_REMOUNT) && !with_bind.is_empty() {
        let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | with_bind;
        nix::mount::mount(None::<&str>, target, None::<&str>, again, None::<&str>)?;
    }
    Ok(())
}

pub(super) fn unmount(target: &Path) -> Result<(), Errno> {
    let unmounted = match umount2(target, MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EBUSY) => umount2(target, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH),
        result => result,
    };
    match unmounted {
        // Not a mount point, or nothing there at all.
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// Unmounts everything below a directory and the directory itself, the newest mount first.
pub(super) fn unmount_below(directory: &Path) -> std::io::Result<()> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    for place in below(&text, directory) {
        unmount(&place)?;
    }
    Ok(())
}

/// The mount points of mountinfo (`proc_pid_mountinfo(5)`) in the order in which they can go.
fn below(mountinfo: &str, directory: &Path) -> Vec<PathBuf> {
    let places = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut places: Vec<_> = places.filter(|place| place.starts_with(directory)).collect();
    places.reverse();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_a_directory_goes_in_reverse() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /target rw - xfs b rw\n3 2 8:3 / /target/boot rw - ext4 c rw\n4 1 0:5 / /targets rw - tmpfs d rw\n";
        assert_eq!(below(text, Path::new("/target")), [Path::new("/target/boot"), Path::new("/target")]);
    }

    #[test]
    fn option_words_become_flags_and_the_rest_goes_to_the_file_system() {
        let (flags, rest) = parse("defaults,ro,noatime,subvol=@home,x-systemd.automount,nofail,umask=0077");
        assert_eq!(flags, MsFlags::MS_RDONLY | MsFlags::MS_NOATIME);
        assert_eq!(rest, "subvol=@home,umask=0077");
        assert_eq!(parse("rbind").0, MsFlags::MS_BIND | MsFlags::MS_REC);
        assert_eq!(parse("move").0, MsFlags::MS_MOVE);
    }
}
