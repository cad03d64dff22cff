//! A machine that exists only in memory: records what is done to it, replays what it was told to answer.
//!
//! Fleets in tests run hundreds of agents on it in one process. Not told otherwise, every command succeeds without output.
//! It does not follow symbolic links, check permissions or know what commands do.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wire::event::Stream;

use super::{Command, DiskFile, Error, Extent, Host, LocalSocket, Power, Room, Talk};

mod answer;
mod boot;
mod disk;
mod process;

pub use answer::Answer;
use disk::FakeDisk;
use process::Running;
pub use process::{FakeEnd, FakeProcess};

/// What commands do for which no answer was given.
pub type Program = Arc<dyn Fn(&FakeHost, &Command) -> Answer + Send + Sync>;

/// Where connections to local sockets lead.
pub type Dialled = Arc<dyn Fn(&LocalSocket) -> BoxFuture<'static, io::Result<Box<dyn Talk>>> + Send + Sync>;

/// A machine in memory. Clones are the same machine.
#[derive(Clone, Default)]
pub struct FakeHost(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, FakeFile>,
    directories: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    disks: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    answers: Vec<(String, Answer)>,
    program: Option<Program>,
    commands: Vec<Command>,
    processes: Vec<FakeProcess>,
    mounts: Vec<FakeMount>,
    rooms: BTreeMap<PathBuf, Room>,
    powers: Vec<Power>,
    entered: Option<PathBuf>,
    broken_writes: Option<PathBuf>,
    dialled: Option<Dialled>,
    files_made: u64,
    now_at: i64,
}

/// A file of a [`FakeHost`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeFile {
    /// The whole content.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner and group.
    pub owner: (u32, u32),
    synced: usize,
    number: u64,
}

/// A mount of a [`FakeHost`], as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeMount {
    /// Device or other source.
    pub source: String,
    /// Mount point.
    pub target: PathBuf,
    /// Type of the file system.
    pub file_system: String,
    /// Option text.
    pub options: String,
}

impl FakeHost {
    /// A machine that was just switched on, with an empty file tree.
    pub fn new(now_at: i64) -> Self {
        let host = Self::default();
        host.state().now_at = now_at;
        host.boot();
        host
    }

    /// Puts a file there, safe on disk.
    #[must_use]
    pub fn with_file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        {
            let mut state = self.state();
            let (synced, number) = (content.len(), state.next_file());
            let file = FakeFile { synced, content, mode: 0o644, owner: (0, 0), number };
            state.files.insert(path.into(), file);
        }
        self
    }

    /// Puts a symbolic link there.
    #[must_use]
    pub fn with_link(self, path: &str, target: &str) -> Self {
        self.state().links.insert(path.into(), target.into());
        self
    }

    /// Puts a disk of zeros there.
    #[must_use]
    pub fn with_disk(self, path: &str, size_bytes: usize) -> Self {
        self.state().disks.insert(path.into(), Arc::new(Mutex::new(vec![0; size_bytes])));
        self
    }

    /// Gives the file system that is mounted there a size and room.
    #[must_use]
    pub fn with_room(self, mount: &str, room: Room) -> Self {
        self.state().rooms.insert(mount.into(), room);
        self
    }

    /// What commands whose words (joined by blanks) begin with `prefix` do; the newest matching answer holds.
    pub fn answer(&self, prefix: &str, answer: Answer) {
        self.state().answers.push((prefix.to_owned(), answer));
    }

    /// What commands do for which no answer was given.
    pub fn run_by(&self, program: Program) {
        self.state().program = Some(program);
    }

    /// Every process so far, in the order in which they began.
    pub fn processes(&self) -> Vec<FakeProcess> {
        self.state().processes.clone()
    }

    /// Every command so far.
    pub fn commands(&self) -> Vec<Command> {
        self.state().commands.clone()
    }

    /// Every command so far in one line each.
    pub fn command_lines(&self) -> Vec<String> {
        self.state().commands.iter().map(ToString::to_string).collect()
    }

    /// A file as it is.
    pub fn file(&self, path: &str) -> Option<FakeFile> {
        self.state().files.get(Path::new(path)).cloned()
    }

    /// A file's content as text; empty when it does not exist.
    pub fn text(&self, path: &str) -> String {
        self.file(path).map(|file| String::from_utf8_lossy(&file.content).into_owned()).unwrap_or_default()
    }

    /// The bytes of a disk.
    pub fn disk(&self, path: &str) -> Option<Vec<u8>> {
        let disk = self.state().disks.get(Path::new(path)).cloned()?;
        Some(lock(&disk).clone())
    }

    /// What is mounted, in order.
    pub fn mounts(&self) -> Vec<FakeMount> {
        self.state().mounts.clone()
    }

    /// How often and how the machine was told to restart or switch off.
    pub fn powers(&self) -> Vec<Power> {
        self.state().powers.clone()
    }

    /// The root that the agent entered.
    pub fn entered(&self) -> Option<PathBuf> {
        self.state().entered.clone()
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &str, to: &str) {
        let mut state = self.state();
        if let Some(file) = state.files.remove(Path::new(from)) {
            state.files.insert(to.into(), file);
        }
    }

    /// Where connections to its sockets lead; not told, nobody listens.
    pub fn dialled(&self, dialled: Dialled) {
        self.state().dialled = Some(dialled);
    }

    /// Lets time pass on the machine's clock, microseconds.
    pub fn advance_clock(&self, by: i64) {
        self.state().now_at += by;
    }

    /// Lets every write and append below `path` fail as on a full disk; `None` repairs it.
    pub fn break_writes(&self, path: Option<&str>) {
        self.state().broken_writes = path.map(PathBuf::from);
    }

    fn answer_to(&self, command: &Command) -> Answer {
        let (answer, program) = {
            let mut state = self.state();
            state.commands.push(command.clone());
            (state.take_answer(command), state.program.clone())
        };
        answer.unwrap_or_else(|| program.map(|program| program(self, command)).unwrap_or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// Waits; `false`: told to stop meanwhile.
async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    if time.is_zero() {
        return true;
    }
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = stop.cancelled() => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn take_answer(&mut self, command: &Command) -> Option<Answer> {
        let words = command.to_string();
        let index = self.answers.iter().rposition(|(prefix, _)| words.starts_with(prefix.as_str()))?;
        let once = self.answers[index].1.once;
        Some(if once { self.answers.remove(index).1 } else { self.answers[index].1.clone() })
    }

    fn check_writable(&self, attempt: &'static str, path: &Path) -> Result<(), Error> {
        match &self.broken_writes {
            Some(broken) if path.starts_with(broken) => {
                Err(failed(attempt, path, io::ErrorKind::StorageFull))
            }
            _ => Ok(()),
        }
    }

    fn content(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let mounted = ["/proc/mounts", "/proc/self/mounts"].iter().any(|mounts| path == Path::new(mounts));
        if mounted && !self.files.contains_key(path) {
            return Ok(self.mounts.iter().map(FakeMount::fstab_line).collect::<String>().into_bytes());
        }
        if path == Path::new("/proc/self/mountinfo") && !self.files.contains_key(path) {
            return Ok(self.mounts.iter().map(FakeMount::mountinfo_line).collect::<String>().into_bytes());
        }
        if let Some(disk) = self.disks.get(path) {
            return Ok(lock(disk).clone());
        }
        let file = self.files.get(path).ok_or_else(|| failed("reading", path, io::ErrorKind::NotFound))?;
        Ok(file.content.clone())
    }

    /// Every path of the tree, with the directories that lead there left out.
    fn next_file(&mut self) -> u64 {
        self.files_made += 1;
        self.files_made
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys().chain(self.directories.iter()).chain(self.links.keys()).chain(self.disks.keys())
    }
}

impl FakeMount {
    fn mountinfo_line(&self) -> String {
        format!("1 0 0:1 / {} rw - {} {} rw\n", self.target.display(), self.file_system, self.source)
    }

    fn fstab_line(&self) -> String {
        format!("{} {} {} {} 0 0\n", self.source, self.target.display(), self.file_system, self.options)
    }
}

fn failed(attempt: &'static str, path: &Path, kind: io::ErrorKind) -> Error {
    Error::System { attempt, path: path.to_owned(), source: kind.into() }
}

impl Host for FakeHost {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            let answer = self.answer_to(command);
            if answer.missing {
                let program = command.argv.first().cloned().unwrap_or_default();
                return Err(Error::Start { program, source: io::ErrorKind::NotFound.into() });
            }
            let process = Running::begin(self, command);
            for (stream, line) in &answer.lines {
                process.print(*stream, line);
                on_line(*stream, line);
                // As with a real process, the reader of the lines has a say in the pace.
                tokio::task::yield_now().await;
                if !pause(answer.pace, stop).await {
                    break;
                }
            }
            pause(answer.delay, stop).await;
            if stop.is_cancelled() {
                process.end(FakeEnd::Stopped);
                return Err(Error::Stopped { command: command.to_string() });
            }
            process.end(FakeEnd::Status(answer.status));
            let text = |wanted: Stream| {
                let lines = answer.lines.iter().filter(|(stream, _)| *stream == wanted);
                lines.fold(String::new(), |text, (_, line)| text + line + "\n")
            };
            if answer.status == 0 {
                return Ok(text(Stream::Stdout));
            }
            Err(Error::Status {
                command: command.to_string(),
                status: format!("status {}", answer.status),
                last_lines: text(Stream::Stderr).trim_end().to_owned(),
            })
        })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        self.state().content(path)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let content = self.state().content(path)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        Ok(content[offset..].iter().take(length).copied().collect())
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, Error> {
        let state = self.state();
        let first = |entry: &PathBuf| {
            let below = entry.strip_prefix(path).ok()?.components().next()?;
            Some(below.as_os_str().to_string_lossy().into_owned())
        };
        let names: BTreeSet<String> = state.paths().filter_map(first).collect();
        Ok(names.into_iter().collect())
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, Error> {
        let missing = || failed("reading the symbolic link", path, io::ErrorKind::NotFound);
        self.state().links.get(path).cloned().ok_or_else(missing)
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().paths().any(|entry| entry.starts_with(path))
    }

    fn stamp(&self, path: &Path) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let state = self.state();
        let mut hash = DefaultHasher::new();
        let mut there = false;
        for (entry, file) in
            state.files.range(path.to_owned()..).take_while(|(entry, _)| entry.starts_with(path))
        {
            there = true;
            (entry, &file.content).hash(&mut hash);
        }
        if there { hash.finish().max(1) } else { 0 }
    }

    fn extent(&self, path: &Path) -> Option<Extent> {
        let state = self.state();
        let file = state.files.get(path)?;
        Some(Extent { number: file.number, length_bytes: file.content.len() as u64 })
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
        let mut state = self.state();
        state.check_writable("writing", path)?;
        let number = state.next_file();
        let file = FakeFile { content: content.to_vec(), mode, owner: (0, 0), synced: content.len(), number };
        state.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        state.check_writable("appending to", path)?;
        let number = state.next_file();
        let fresh = || FakeFile { mode: 0o600, number, ..FakeFile::default() };
        state.files.entry(path.to_owned()).or_insert_with(fresh).content.extend_from_slice(content);
        Ok(())
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        let mut state = self.state();
        let file =
            state.files.get_mut(path).ok_or_else(|| failed("syncing", path, io::ErrorKind::NotFound))?;
        file.synced = file.content.len();
        Ok(())
    }

    fn set_owner(&self, path: &Path, user: u32, group: u32) -> Result<(), Error> {
        if let Some(file) = self.state().files.get_mut(path) {
            file.owner = (user, group);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let mut state = self.state();
        state.files.retain(|entry, _| !entry.starts_with(path));
        state.directories.retain(|entry| !entry.starts_with(path));
        state.links.retain(|entry, _| !entry.starts_with(path));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<(), Error> {
        self.state().directories.insert(path.to_owned());
        Ok(())
    }

    fn mount(&self, source: &str, target: &Path, file_system: &str, options: &str) -> Result<(), Error> {
        let mut state = self.state();
        if ["private", "rprivate", "slave", "rslave"].contains(&options) {
            // Changes a mount that is there.
            return Ok(());
        }
        if options.split(',').any(|word| word == "move") {
            state.mounts.retain(|mount| mount.target != Path::new(source));
        }
        state.mounts.push(FakeMount {
            source: source.to_owned(),
            target: target.to_owned(),
            file_system: file_system.to_owned(),
            options: options.to_owned(),
        });
        Ok(())
    }

    fn unmount(&self, target: &Path) -> Result<(), Error> {
        let mut state = self.state();
        if let Some(index) = state.mounts.iter().rposition(|mount| mount.target == target) {
            state.mounts.remove(index);
        }
        Ok(())
    }

    fn room(&self, path: &Path) -> Result<Room, Error> {
        let room = self.state().rooms.get(path).copied();
        room.ok_or_else(|| failed("asking for the room of", path, io::ErrorKind::NotFound))
    }

    fn open_disk(&self, path: &Path) -> Result<Box<dyn DiskFile>, Error> {
        let missing = || failed("opening for exclusive use", path, io::ErrorKind::NotFound);
        let bytes = self.state().disks.get(path).cloned().ok_or_else(missing)?;
        Ok(Box::new(FakeDisk { bytes, position: 0 }))
    }

    fn reread_partitions(&self, _disk: &Path) -> Result<(), Error> {
        Ok(())
    }

    fn unpacker(&self) -> super::Unpacker {
        // What matters without a disk is that every byte was read.
        Box::new(|mut archive, _| std::io::copy(&mut archive, &mut std::io::sink()).map(|_| ()))
    }

    fn enter(&self, root: &Path) -> Result<(), Error> {
        self.state().entered = Some(root.to_owned());
        Ok(())
    }

    fn dial<'a>(&'a self, socket: &'a LocalSocket) -> BoxFuture<'a, Result<Box<dyn Talk>, Error>> {
        let dialled = self.state().dialled.clone();
        Box::pin(async move {
            let refused =
                |source| Error::System { attempt: "connecting to", path: socket.to_string().into(), source };
            let dialled = dialled.ok_or_else(|| refused(io::ErrorKind::ConnectionRefused.into()))?;
            dialled(socket).await.map_err(refused)
        })
    }

    fn now(&self) -> i64 {
        self.state().now_at
    }

    fn set_clock(&self, at: i64) -> Result<(), Error> {
        self.state().now_at = at;
        Ok(())
    }

    fn power(&self, power: Power) -> Result<(), Error> {
        self.state().powers.push(power);
        Ok(())
    }
}
