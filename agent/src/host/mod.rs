//! The one door to the machine: processes, files, mounts, disks, clock, power.
//!
//! Everything else in the agent is given a `&dyn Host` and touches nothing itself, so whole installations run in tests
//! against a recording fake. Commands are argument vectors, never shell text.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use wire::event::Stream;

pub mod fake;
mod files;
mod mounts;
mod process;
pub mod real;

/// What an agent can do to its machine.
pub trait Host: Send + Sync {
    /// Runs a command to its end and gives its standard output (the first 4 MiB of it); each line of both streams goes
    /// to `on_line` as it comes, without its line end, cut with a mark after 16 KiB.
    ///
    /// The command runs in a process group of its own; `stop` ends the whole group (TERM, after 10 s KILL), and so does
    /// dropping the future. While the future is not polled, nothing is read: a full pipe slows the command down.
    ///
    /// # Errors
    /// The program cannot be started, ends with another status than 0, or was stopped.
    fn run<'a>(
        &'a self,
        command: &'a Command,
        on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, Error>>;

    /// The whole content of a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error>;

    /// At most `length` bytes of a file or device from `offset` on; fewer at its end.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Error>;

    /// Names in a directory, sorted; empty when the directory does not exist. A name that is no UTF-8 is an error.
    fn list(&self, path: &Path) -> Result<Vec<String>, Error>;

    /// Where a symbolic link points, without following it further.
    fn read_link(&self, path: &Path) -> Result<PathBuf, Error>;

    /// Whether something is at this path.
    fn exists(&self, path: &Path) -> bool;

    /// A number that changes when a file, or the names in a directory, are changed or replaced; 0 when nothing is there. Cheap: the
    /// content is not read.
    fn stamp(&self, path: &Path) -> u64;

    /// Which file this is and how long it is; none when nothing is there.
    fn extent(&self, path: &Path) -> Option<Extent>;

    /// Writes a file atomically (temporary file beside it, fsync, rename, fsync of the directory), making missing parent directories.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), Error>;

    /// Adds to the end of a file (made with mode 0600 when it is not there), all or nothing as far as the disk allows;
    /// safe from a power cut only after [`Host::sync`].
    fn append(&self, path: &Path, content: &[u8]) -> Result<(), Error>;

    /// fsync(2) of a file and of its directory.
    fn sync(&self, path: &Path) -> Result<(), Error>;

    /// Sets numeric owner and group.
    fn set_owner(&self, path: &Path, user: u32, group: u32) -> Result<(), Error>;

    /// Removes a file or a whole directory; nothing there is no error.
    fn remove(&self, path: &Path) -> Result<(), Error>;

    /// Makes a directory and its parents.
    fn create_dir(&self, path: &Path) -> Result<(), Error>;

    /// mount(2). `options` is the comma-separated text of fstab(5); `bind`, `move`, `ro` and `nosuid`-like words become flags.
    fn mount(&self, source: &str, target: &Path, file_system: &str, options: &str) -> Result<(), Error>;

    /// umount2(2); what is busy is detached lazily. Nothing mounted is no error.
    fn unmount(&self, target: &Path) -> Result<(), Error>;

    /// How much room the file system at a path has (statvfs(3)).
    fn room(&self, path: &Path) -> Result<Room, Error>;

    /// Opens a disk exclusively (`O_EXCL`) for reading and writing.
    fn open_disk(&self, path: &Path) -> Result<Box<dyn DiskFile>, Error>;

    /// Makes the kernel read the partition table again and waits until the nodes are there.
    fn reread_partitions(&self, disk: &Path) -> Result<(), Error>;

    /// Writes the members of an archive (tar, zstd) below a directory; called on a thread of its own.
    fn unpacker(&self) -> Unpacker;

    /// chroot(2) of this very process, and chdir to `/`: entering the tool set.
    fn enter(&self, root: &Path) -> Result<(), Error>;

    /// Connects to a socket of this very machine.
    fn dial<'a>(&'a self, socket: &'a LocalSocket) -> BoxFuture<'a, Result<Box<dyn Talk>, Error>>;

    /// The machine's clock, microseconds since the Unix epoch, UTC.
    fn now(&self) -> i64;

    /// Sets the machine's clock.
    fn set_clock(&self, at: i64) -> Result<(), Error>;

    /// sync(2), then reboot(2) with the given meaning.
    fn power(&self, power: Power) -> Result<(), Error>;
}

/// Which file something is, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Another file of the same name has another number.
    pub number: u64,
    /// Its length.
    pub length_bytes: u64,
}

/// A stream socket that listens on this machine. No other can be named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalSocket {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A TCP port of the IPv4 loopback address.
    Loopback(u16),
}

impl std::fmt::Display for LocalSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Loopback(port) => write!(f, "127.0.0.1:{port}"),
        }
    }
}

/// Both directions of a connection.
pub trait Talk: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Talk for T {}

/// Writes the members of an archive below a directory.
pub type Unpacker = Box<dyn FnOnce(Box<dyn Read + Send>, &Path) -> std::io::Result<()> + Send>;

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub size: u64,
    /// For users other than root.
    pub free: u64,
}

/// A disk opened for partitioning.
pub trait DiskFile: Read + Write + Seek + Send + std::fmt::Debug {
    /// fsync(2).
    fn sync(&mut self) -> std::io::Result<()>;
}

/// What happens to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Restart.
    Reboot,
    /// Switch off.
    Off,
}

/// A program and how it is started. The environment is empty but for `PATH`, `LANG=C.UTF-8`, `HOME=/root` and what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Additional environment.
    pub environment: BTreeMap<String, String>,
    /// chroot(2) for the child.
    pub root: Option<PathBuf>,
    /// Text for standard input; without it standard input is `/dev/null`.
    pub stdin: Option<String>,
}

impl Command {
    /// A program with its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// In another root.
    #[must_use]
    pub fn in_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a text on standard input.
    #[must_use]
    pub fn with_stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }
}

impl std::fmt::Display for Command {
    /// The words with blanks between them, for reading only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.argv.join(" "))
    }
}

/// Why the machine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is missing or cannot be executed.
    #[error("starting `{program}`")]
    Start {
        /// First word of the command.
        program: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The program ended badly.
    #[error("`{command}` ended with {status}: {last_lines}")]
    Status {
        /// The whole command, for reading only.
        command: String,
        /// Exit status or signal, in words.
        status: String,
        /// The last lines of its standard error (or output, when that is empty).
        last_lines: String,
    },
    /// The program was stopped on request.
    #[error("`{command}` was stopped")]
    Stopped {
        /// The whole command.
        command: String,
    },
    /// A system call failed.
    #[error("{attempt} {path}", path = path.display())]
    System {
        /// What was attempted, as a gerund: `reading`, `mounting`.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
