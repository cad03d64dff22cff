//! The machine itself.
//!
//! Invariant: nothing here decides; each method is one system call or one small idiom (atomic write, retry while busy),
//! and every failure carries what was attempted on which path. Needs root for most of it.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::{fd::AsRawFd, unix::fs::FileTypeExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use nix::{
    errno::Errno,
    sys::{reboot::RebootMode, time::TimeSpec},
    time::ClockId,
};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use wire::event::Stream;

use super::{Command, DiskFile, Error, Extent, Host, LocalSocket, Power, Room, Talk, files, mounts, process};

/// How long a busy disk or a missing device node is waited for.
const DEVICE_PATIENCE: Duration = Duration::from_secs(10);
/// Where an installed system is mounted in the installer realm, in which nobody else unmounts it.
const TARGET: &str = "/target";
const DEVICE_INTERVAL: Duration = Duration::from_millis(100);

/// The machine on which the agent runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealHost;

impl Host for RealHost {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(process::run(command, on_line, stop))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        std::fs::read(path).map_err(|source| system("reading", path, source))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        files::read_at(path, offset, length).map_err(|source| system("reading", path, source))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, Error> {
        files::list(path).map_err(|source| system("listing", path, source))
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        std::fs::read_link(path).map_err(|source| system("reading the symbolic link", path, source))
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn stamp(&self, path: &Path) -> u64 {
        files::stamp(path)
    }

    fn extent(&self, path: &Path) -> Option<Extent> {
        files::extent(path)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
        files::write(path, content, mode).map_err(|source| system("writing", path, source))
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        files::append(path, content).map_err(|source| system("appending to", path, source))
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        files::sync(path).map_err(|source| system("syncing", path, source))
    }

    fn set_owner(&self, path: &Path, user: u32, group: u32) -> Result<(), Error> {
        std::os::unix::fs::lchown(path, Some(user), Some(group))
            .map_err(|source| system("setting the owner of", path, source))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        files::remove(path).map_err(|source| system("removing", path, source))
    }

    fn create_dir(&self, path: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(path).map_err(|source| system("making the directory", path, source))
    }

    fn mount(&self, source: &str, target: &Path, file_system: &str, options: &str) -> Result<(), Error> {
        mounts::mount(source, target, file_system, options)
            .map_err(|errno| system("mounting", target, errno.into()))
    }

    fn unmount(&self, target: &Path) -> Result<(), Error> {
        mounts::unmount(target).map_err(|errno| system("unmounting", target, errno.into()))
    }

    fn room(&self, path: &Path) -> Result<Room, Error> {
        let found = nix::sys::statvfs::statvfs(path)
            .map_err(|errno| system("asking for the room of", path, errno.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        Ok(Room { size: bytes(found.blocks()), free: bytes(found.blocks_available()) })
    }

    fn open_disk(&self, path: &Path) -> Result<Box<dyn DiskFile>, Error> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = patiently(|| {
            std::fs::OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_EXCL).open(path)
        });
        file.map(|file| Box::new(file) as Box<dyn DiskFile>)
            .map_err(|source| system("opening for exclusive use", path, source))
    }

    fn reread_partitions(&self, disk: &Path) -> Result<(), Error> {
        let failed = |source| system("reading the partition table again of", disk, source);
        let file = File::open(disk).map_err(failed)?;
        // An image file has no nodes that could change.
        if !file.metadata().map_err(failed)?.file_type().is_block_device() {
            return Ok(());
        }
        patiently(|| reread(&file)).map_err(failed)?;
        drop(file);
        settle();
        wait_for_partition_nodes(disk).map_err(failed)
    }

    fn unpacker(&self) -> super::Unpacker {
        Box::new(crate::steps::unpack::unpack_archive)
    }

    fn enter(&self, root: &Path) -> Result<(), Error> {
        nix::unistd::chroot(root)
            .and_then(|()| nix::unistd::chdir("/"))
            .map_err(|errno| system("entering", root, errno.into()))
    }

    fn dial<'a>(&'a self, socket: &'a LocalSocket) -> BoxFuture<'a, Result<Box<dyn Talk>, Error>> {
        Box::pin(async move {
            let connected = match socket {
                LocalSocket::Unix(path) => {
                    UnixStream::connect(path).await.map(|stream| Box::new(stream) as _)
                }
                LocalSocket::Loopback(port) => {
                    TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.map(|stream| Box::new(stream) as _)
                }
            };
            connected.map_err(|source| system("connecting to", Path::new(&socket.to_string()), source))
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock's door")]
    fn now(&self) -> i64 {
        // A clock before 1970 counts as 1970; the trust check sets it right.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn set_clock(&self, at: i64) -> Result<(), Error> {
        let time = TimeSpec::new(at.div_euclid(1_000_000), at.rem_euclid(1_000_000) * 1000);
        nix::time::clock_settime(ClockId::CLOCK_REALTIME, time)
            .map_err(|errno| system("setting", Path::new("the clock"), errno.into()))
    }

    fn power(&self, power: Power) -> Result<(), Error> {
        nix::unistd::sync();
        // Where systemd is PID 1, services (databases!) have to be stopped in order.
        if Path::new("/run/systemd/system").is_dir() {
            let verb = match power {
                Power::Reboot => "reboot",
                Power::Off => "poweroff",
            };
            if process::succeeds(&["systemctl", "--no-block", verb]) {
                return Ok(());
            }
        }
        // GRUB reads XFS without its log, so what sync(2) leaves in the log only is not there for it.
        if let Err(error) = mounts::unmount_below(Path::new(TARGET)) {
            tracing::warn!(error = &error as &dyn std::error::Error, "unmounting the installed system");
        }
        let mode = match power {
            Power::Reboot => RebootMode::RB_AUTOBOOT,
            Power::Off => RebootMode::RB_POWER_OFF,
        };
        match nix::sys::reboot::reboot(mode) {
            Err(errno) => Err(system("calling", Path::new("reboot(2)"), errno.into())),
            Ok(never) => match never {},
        }
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

fn system(attempt: &'static str, path: &Path, source: io::Error) -> Error {
    Error::System { attempt, path: path.to_owned(), source }
}

/// Tries again while the device is busy: udev and the kernel hold fresh disks for moments.
fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) && waited < DEVICE_PATIENCE => {
                thread::sleep(DEVICE_INTERVAL);
                waited += DEVICE_INTERVAL;
            }
            result => return result,
        }
    }
}

#[expect(unsafe_code, reason = "ioctl(2) has no safe form for BLKRRPART")]
fn reread(disk: &File) -> io::Result<()> {
    mod request {
        // BLKRRPART of linux/fs.h.
        nix::ioctl_none!(block_reread_partitions, 0x12, 95);
    }
    // SAFETY: BLKRRPART takes no argument, so the kernel touches no memory of ours; the descriptor is open.
    unsafe { request::block_reread_partitions(disk.as_raw_fd()) }.map(drop).map_err(Into::into)
}

fn settle() {
    let present =
        ["/usr/bin/udevadm", "/bin/udevadm", "/sbin/udevadm"].iter().any(|path| Path::new(path).exists());
    // In the installer realm devtmpfs makes the nodes and no udev runs: then settling is refused, which does not matter.
    if present && !process::succeeds(&["udevadm", "settle", "--timeout=10"]) {
        tracing::debug!("udevadm settle did not end well; waiting for the nodes themselves");
    }
}

fn wait_for_partition_nodes(disk: &Path) -> io::Result<()> {
    let disk = disk.canonicalize()?;
    let Some(name) = disk.file_name() else { return Ok(()) };
    let sys = Path::new("/sys/class/block").join(name);
    let mut waited = Duration::ZERO;
    loop {
        let missing = files::list(&sys)?.into_iter().find(|child| {
            sys.join(child).join("partition").exists() && !Path::new("/dev").join(child).exists()
        });
        match missing {
            None => return Ok(()),
            Some(child) if waited >= DEVICE_PATIENCE => {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("/dev/{child} did not appear")));
            }
            Some(_) => {
                thread::sleep(DEVICE_INTERVAL);
                waited += DEVICE_INTERVAL;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_name_that_cannot_be_given_back_is_an_error_and_not_another_name() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
        assert!(RealHost.list(dir.path()).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_its_directories_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        RealHost.write(&path, b"one", 0o600).unwrap();
        RealHost.write(&path, b"two", 0o640).unwrap();
        assert_eq!(RealHost.read(&path).unwrap(), b"two");
        assert_eq!(RealHost.list(path.parent().unwrap()).unwrap(), ["file"]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn appended_bytes_are_read_from_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        RealHost.append(&path, b"hello ").unwrap();
        RealHost.append(&path, b"world").unwrap();
        RealHost.sync(&path).unwrap();
        assert_eq!(RealHost.read_at(&path, 6, 100).unwrap(), b"world");
        assert_eq!(RealHost.read_at(&path, 0, 5).unwrap(), b"hello");
        assert!(RealHost.read_at(&path, 99, 5).unwrap().is_empty());
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        RealHost.write(&dir.path().join("d/file"), b"", 0o600).unwrap();
        RealHost.remove(&dir.path().join("d")).unwrap();
        RealHost.remove(&dir.path().join("d")).unwrap();
        assert!(RealHost.list(&dir.path().join("d")).unwrap().is_empty());
    }

    #[test]
    fn an_image_file_counts_as_a_disk_without_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        RealHost.write(&path, &[0; 4096], 0o600).unwrap();
        RealHost.open_disk(&path).unwrap().sync().unwrap();
        RealHost.reread_partitions(&path).unwrap();
    }
}
