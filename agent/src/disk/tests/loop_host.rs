//! A real disk for tests: an image file behind a loop device, shown to the agent as the disk `/dev/vdz`.
//!
//! Everything else is the real machine and its real programs. Needs root; whoever is not, fails with words that say so. The kernel is told
//! of partitions by partx(8), so tables are read by somebody who did not write them, also on kernels without partition support.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wire::{event::Stream, storage::DiskExpectation};

use crate::host::{
    Command, DiskFile, Error, Extent, Host, LocalSocket, Power, Room, Talk, Unpacker, real::RealHost,
};

const NAME: &str = "vdz";
/// The serial number of the disk.
pub(crate) const SERIAL: &str = "LOOP-1";

static HOSTS: AtomicU16 = AtomicU16::new(0);

/// The machine with one disk. Takes mounts and loop device with it when it goes.
pub(crate) struct LoopHost {
    device: String,
    image: tempfile::NamedTempFile,
    target: tempfile::TempDir,
    size_bytes: u64,
    sector_bytes: u32,
    token: String,
    /// Commands whose words begin like this fail.
    pub(crate) broken: Mutex<Option<String>>,
    lives: Lives,
}

/// How many more changes are made before nothing is any more, as when the agent is killed.
#[derive(Clone, Debug, Default)]
struct Lives(Arc<Mutex<Option<usize>>>);

impl Lives {
    fn spend(&self) -> std::io::Result<()> {
        match self.0.lock().unwrap().as_mut() {
            None => Ok(()),
            Some(0) => Err(std::io::Error::other("the agent was killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// A disk on which nothing is written after the agent was killed.
#[derive(Debug)]
struct MortalFile(Box<dyn DiskFile>, Lives);

impl Read for MortalFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for MortalFile {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.1.spend()?;
        self.0.write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for MortalFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl DiskFile for MortalFile {
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests arrange and look with programs of their own")]
fn program(argv: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(argv[0])
        .args(&argv[1..])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{} is needed (make setup): {error}", argv[0]));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Tries again while a device is busy for moments. Tests that start programs at the same time inherit to them, until they begin, the disks
/// that others have open for themselves alone; an agent does one thing at a time.
fn patiently<T>(mut attempt: impl FnMut() -> T, is_busy: impl Fn(&T) -> bool) -> T {
    let mut result = attempt();
    for _ in 0..100 {
        if !is_busy(&result) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        result = attempt();
    }
    result
}

/// What programs and the kernel say then.
const BUSY: &str = "resource busy";

impl LoopHost {
    /// A blank disk.
    pub(crate) fn new(size_bytes: u64, sector_bytes: u32) -> Self {
        let is_root = nix::unistd::geteuid().is_root() && Path::new("/dev/loop-control").exists();
        assert!(is_root, "this test makes loop devices: run the tests as root, with /dev/loop-control");
        // In memory where there is enough of it: every sync would reach a real disk else.
        let memory = Path::new("/dev/shm");
        let room = nix::sys::statvfs::statvfs(memory)
            .map_or(0, |stat| stat.blocks_available() * stat.fragment_size());
        let place = if room > 4 << 30 { memory.to_owned() } else { std::env::temp_dir() };
        let image = tempfile::NamedTempFile::new_in(place).unwrap();
        image.as_file().set_len(size_bytes).unwrap();
        let (sector, path) = (sector_bytes.to_string(), image.path().display().to_string());
        let (made, said) = program(&["losetup", "--find", "--show", "--sector-size", &sector, &path]);
        assert!(made, "{said}");
        let device = said.trim().trim_start_matches("/dev/").to_owned();
        let target = tempfile::tempdir().unwrap();
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let token = format!("{:04x}-{number:04x}", std::process::id() & 0xffff);
        Self {
            device,
            image,
            target,
            size_bytes,
            sector_bytes,
            token,
            broken: Mutex::new(None),
            lives: Lives::default(),
        }
    }

    /// Where the step shall mount.
    pub(crate) fn target(&self) -> &Path {
        self.target.path()
    }

    /// Every byte of the disk.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        assert!(program(&["blockdev", "--flushbufs", &self.real("/dev/vdz")]).0);
        std::fs::read(self.image.path()).unwrap()
    }

    /// Two groups of a UUID, of this disk alone: the kernel takes two btrfs of one UUID for one, on whatever disks they are.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Kills the agent after so many changes; `None` starts it again.
    pub(crate) fn kill_after(&self, changes: Option<usize>) {
        *self.lives.0.lock().unwrap() = changes;
    }

    /// Whether the agent was killed.
    pub(crate) fn was_killed(&self) -> bool {
        *self.lives.0.lock().unwrap() == Some(0)
    }

    fn spend(&self, path: &Path) -> Result<(), Error> {
        self.lives.spend().map_err(|source| Error::System {
            attempt: "changing",
            path: path.to_owned(),
            source,
        })
    }

    /// Makes the disk what it was.
    pub(crate) fn become_again(&self, bytes: &[u8]) {
        self.open_disk(Path::new("/dev/vdz")).unwrap().write_all(bytes).unwrap();
        self.reread_partitions(Path::new("/dev/vdz")).unwrap();
    }

    /// How a plan names this disk.
    pub(crate) fn expectation(&self) -> DiskExpectation {
        DiskExpectation {
            disk: "system".into(),
            path: "/dev/vdz".into(),
            serial: SERIAL.into(),
            wwn: String::new(),
            size_bytes: self.size_bytes,
            sector_bytes: self.sector_bytes,
            model: String::new(),
        }
    }

    /// Runs a program on the disk; its output.
    pub(crate) fn look(&self, argv: &[&str]) -> String {
        let argv: Vec<String> = argv.iter().map(|word| self.real(word)).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let (well, said) = patiently(|| program(&argv), |(well, said)| !well && said.contains(BUSY));
        assert!(well, "{argv:?}: {said}");
        said
    }

    /// `vdz1` becomes `loop7p1`.
    fn real(&self, text: &str) -> String {
        let mut pieces = text.split(NAME);
        let mut real = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let between = if piece.starts_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
            real += &format!("{}{between}{piece}", self.device);
        }
        real
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        PathBuf::from(self.real(&path.display().to_string()))
    }

    /// `loop7p1` becomes `vdz1`; `loop70` is another disk.
    fn shown(&self, text: &str) -> String {
        let mut pieces = text.split(&self.device);
        let mut shown = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let other = piece.starts_with(|c: char| c.is_ascii_digit());
            shown += if other { &self.device } else { NAME };
            shown += if other { piece } else { piece.strip_prefix('p').unwrap_or(piece) };
        }
        shown
    }
}

impl Drop for LoopHost {
    fn drop(&mut self) {
        let (disk, target) = (self.real("/dev/vdz"), self.target.path().display().to_string());
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        let swaps = swaps.lines().filter_map(|line| line.split(' ').next());
        for swap in swaps.filter(|swap| self.shown(swap).contains(NAME)) {
            assert!(program(&["swapoff", swap]).0, "{swap} stays in use");
        }
        for argv in [&["umount", "-R", &target][..], &["partx", "-d", &disk], &["losetup", "-d", &disk]] {
            // Nothing mounted and no partition are no fault.
            let (well, said) = program(argv);
            if !well {
                eprintln!("{argv:?}: {said}");
            }
        }
    }
}

impl Host for LoopHost {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            self.spend(Path::new("a program"))?;
            let words = command.to_string();
            if self.broken.lock().unwrap().as_ref().is_some_and(|start| words.starts_with(start)) {
                let (status, last_lines) = ("status 1".to_owned(), "broken by the test".to_owned());
                return Err(Error::Status { command: words, status, last_lines });
            }
            let argv = command.argv.iter().map(|word| self.real(word)).collect();
            let command = Command { argv, ..command.clone() };
            for _ in 0..100 {
                match RealHost.run(&command, on_line, stop).await {
                    Err(Error::Status { last_lines, .. }) if last_lines.contains(BUSY) => {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                    result => return result,
                }
            }
            RealHost.run(&command, on_line, stop).await
        })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        if path == Path::new("/sys/block/vdz/serial") {
            return Ok(SERIAL.into());
        }
        let content = RealHost.read(&self.real_path(path))?;
        if path.starts_with("/proc") {
            return Ok(self.shown(&String::from_utf8_lossy(&content)).into_bytes());
        }
        Ok(content)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        RealHost.read_at(&self.real_path(path), offset, length)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, Error> {
        if path == Path::new("/sys/block") {
            return Ok(vec![NAME.into()]);
        }
        let names = RealHost.list(&self.real_path(path))?;
        Ok(names.iter().map(|name| self.shown(name)).collect())
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        RealHost.read_link(&self.real_path(path))
    }

    fn exists(&self, path: &Path) -> bool {
        RealHost.exists(&self.real_path(path))
    }

    fn stamp(&self, path: &Path) -> u64 {
        RealHost.stamp(path)
    }

    fn extent(&self, path: &Path) -> Option<Extent> {
        RealHost.extent(path)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
        RealHost.write(path, content, mode)
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        RealHost.append(path, content)
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        RealHost.sync(path)
    }

    fn set_owner(&self, path: &Path, user: u32, group: u32) -> Result<(), Error> {
        RealHost.set_owner(path, user, group)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        RealHost.remove(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), Error> {
        self.spend(path)?;
        RealHost.create_dir(path)
    }

    fn mount(&self, source: &str, target: &Path, file_system: &str, options: &str) -> Result<(), Error> {
        self.spend(target)?;
        let is_busy = |result: &Result<(), Error>| match result {
            Err(Error::System { source, .. }) => source.kind() == std::io::ErrorKind::ResourceBusy,
            _ => false,
        };
        patiently(|| RealHost.mount(&self.real(source), target, file_system, options), is_busy)
    }

    fn unmount(&self, target: &Path) -> Result<(), Error> {
        self.spend(target)?;
        RealHost.unmount(target)
    }

    fn room(&self, path: &Path) -> Result<Room, Error> {
        RealHost.room(&self.real_path(path))
    }

    fn open_disk(&self, path: &Path) -> Result<Box<dyn DiskFile>, Error> {
        let file = RealHost.open_disk(&self.real_path(path))?;
        Ok(Box::new(MortalFile(file, self.lives.clone())))
    }

    fn reread_partitions(&self, disk: &Path) -> Result<(), Error> {
        self.spend(disk)?;
        let device = self.real_path(disk).display().to_string();
        let busy = |said: String| Error::System {
            attempt: "reading the partition table again of",
            path: disk.to_owned(),
            source: std::io::Error::other(said),
        };
        if !crate::disk::identify::partitions(self, disk).is_empty() {
            let (gone, said) = patiently(|| program(&["partx", "-d", &device]), |(gone, _)| !gone);
            if !gone {
                return Err(busy(said));
            }
        }
        // A disk without a table is no fault here: whoever wants partitions looks for them.
        let (_, said) = patiently(|| program(&["partx", "-a", &device]), |(_, said)| said.contains(BUSY));
        tracing::debug!(said, "partx");
        Ok(())
    }

    fn unpacker(&self) -> Unpacker {
        RealHost.unpacker()
    }

    fn enter(&self, _: &Path) -> Result<(), Error> {
        Ok(())
    }

    fn dial<'a>(&'a self, socket: &'a LocalSocket) -> BoxFuture<'a, Result<Box<dyn Talk>, Error>> {
        RealHost.dial(socket)
    }

    fn now(&self) -> i64 {
        RealHost.now()
    }

    fn set_clock(&self, _: i64) -> Result<(), Error> {
        Ok(())
    }

    fn power(&self, _: Power) -> Result<(), Error> {
        Ok(())
    }
}
