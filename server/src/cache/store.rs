//! The files of the cache on disk, each named by the hash of its content.
//!
//! Invariant: what is under `objects/` was whole and had its hash when it was put there, by one rename; whoever opens a file holds it, and
//! what is held is not given up. Access times say when a file was last asked for, modification times what the mirror said of it, so a
//! restart forgets neither. Symbolic links are not followed.

use std::{
    collections::HashMap,
    fs::{File, FileTimes, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use wire::Sha256;

use super::{
    eviction::{self, Candidate},
    failure::Failure,
};
use crate::clock::SECOND;

/// So much of the disk stays free for the rest of the server; of a small disk a twentieth.
const RESERVE: u64 = 256 << 20;
/// When a file was used is written to the disk at most this often.
const NOTE_USE_EVERY: i64 = 3600 * SECOND;
/// What was begun and not ended for so long is not taken up again.
const PARTIAL_FOR: Duration = Duration::from_hours(24);

/// The stored files.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    limit: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    objects: HashMap<Sha256, Object>,
    bytes: u64,
    reserved: u64,
}

#[derive(Debug)]
struct Object {
    size: u64,
    name: String,
    used_at: i64,
    noted_at: i64,
    hold: Arc<()>,
}

/// A stored file that is open: it is not given up as long as this is there.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The file.
    pub file: Arc<File>,
    /// Its length in bytes.
    pub size: u64,
    /// What the mirror said about its last change.
    pub modified: SystemTime,
    _hold: Arc<()>,
}

/// A stored file as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its content.
    pub sha256: Sha256,
    /// Mirror and path under which it was fetched last; empty when that is not known any more.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last asked for.
    pub used_at: i64,
}

/// Room that is kept for a file while it is fetched; given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    store: Arc<Store>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.known().reserved -= self.bytes;
    }
}

impl Store {
    /// Opens the directory, making it when it is missing, and finds what is there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(directory: PathBuf, limit: u64, now: i64) -> io::Result<Self> {
        for part in ["objects", "partial"] {
            fs_err::create_dir_all(directory.join(part))?;
        }
        let store = Self { directory, limit: AtomicU64::new(limit), known: Mutex::default() };
        store.find()?;
        store.prune_partial(now);
        Ok(store)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self) -> io::Result<()> {
        let names = self.read_names();
        let mut known = self.known();
        for folder in fs_err::read_dir(self.directory.join("objects"))? {
            for entry in fs_err::read_dir(folder?.path())? {
                let entry = entry?;
                let Ok(sha256) = entry.file_name().to_string_lossy().parse::<Sha256>() else { continue };
                let found = entry.path().symlink_metadata()?;
                if !found.is_file() {
                    continue;
                }
                let used_at = found.accessed().map_or(0, micros);
                let name = names.get(&sha256).cloned().unwrap_or_default();
                known.bytes += found.len();
                let object =
                    Object { size: found.len(), name, used_at, noted_at: used_at, hold: Arc::default() };
                known.objects.insert(sha256, object);
            }
        }
        let lines: Vec<String> =
            known.objects.iter().map(|(sha256, object)| format!("{sha256} {}\n", object.name)).collect();
        let partial = self.directory.join("names.partial");
        fs_err::write(&partial, lines.concat())?;
        fs_err::rename(partial, self.names())
    }

    fn names(&self) -> PathBuf {
        self.directory.join("names")
    }

    /// Names are for people only: one that was lost is known again when the file is asked for.
    fn read_names(&self) -> HashMap<Sha256, String> {
        let text = fs_err::read_to_string(self.names()).unwrap_or_default();
        let pair = |line: &str| {
            line.split_once(' ').and_then(|(hash, name)| Some((hash.parse().ok()?, name.to_owned())))
        };
        text.lines().filter_map(pair).collect()
    }

    fn note_name(&self, sha256: &Sha256, name: &str) {
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.names())
            .and_then(|mut file| writeln!(file, "{sha256} {name}"));
        if let Err(error) = written {
            tracing::warn!(%error, "a name of the package cache cannot be noted");
        }
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        let hash = sha256.as_str();
        self.directory.join("objects").join(&hash[..2]).join(hash)
    }

    /// Where a file grows that is not whole yet.
    pub fn partial(&self, sha256: &Sha256) -> PathBuf {
        self.directory.join("partial").join(sha256.as_str())
    }

    /// Opens a stored file. One that has not the length that it must have is no file of ours, and is removed.
    pub fn get(&self, sha256: &Sha256, size: Option<u64>, name: &str, now: i64) -> Option<Opened> {
        let hold = {
            let mut known = self.known();
            let object = known.objects.get_mut(sha256)?;
            object.used_at = now;
            if object.name.is_empty() {
                name.clone_into(&mut object.name);
            }
            Arc::clone(&object.hold)
        };
        match open_plain(&self.path(sha256)) {
            Ok((file, found)) if size.is_none_or(|size| size == found.len()) => {
                self.note_use(sha256, &file, now);
                let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                Some(Opened { file: Arc::new(file), size: found.len(), modified, _hold: hold })
            }
            Ok(_) => {
                tracing::warn!(%sha256, "a file of the package cache has not its length any more; it is fetched anew");
                self.remove(sha256);
                None
            }
            Err(error) => {
                tracing::warn!(%sha256, %error, "a file of the package cache cannot be opened; it is fetched anew");
                self.remove(sha256);
                None
            }
        }
    }

    fn note_use(&self, sha256: &Sha256, file: &File, now: i64) {
        {
            let mut known = self.known();
            let Some(object) = known.objects.get_mut(sha256) else { return };
            if now - object.noted_at < NOTE_USE_EVERY {
                return;
            }
            object.noted_at = now;
        }
        if let Err(error) = file.set_times(FileTimes::new().set_accessed(instant(now))) {
            tracing::debug!(%error, "when a file was used cannot be noted");
        }
    }

    /// Whether a file is there.
    pub fn has(&self, sha256: &Sha256) -> bool {
        self.known().objects.contains_key(sha256)
    }

    /// Takes a file over that is whole and right. It is on the disk before it can be found.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put(
        &self,
        partial: &Path,
        sha256: &Sha256,
        name: &str,
        modified: SystemTime,
        now: i64,
    ) -> io::Result<Opened> {
        let (file, found) = open_plain(partial)?;
        file.sync_data()?;
        let path = self.path(sha256);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        fs_err::rename(partial, &path)?;
        // Not before: a part with the age that the mirror tells would be pruned as one that was begun long ago.
        if let Err(error) = file.set_times(FileTimes::new().set_accessed(instant(now)).set_modified(modified))
        {
            tracing::warn!(%sha256, %error, "when a file of the package cache was changed cannot be noted");
        }
        self.note_name(sha256, name);
        let hold = Arc::new(());
        let object = Object {
            size: found.len(),
            name: name.to_owned(),
            used_at: now,
            noted_at: now,
            hold: Arc::clone(&hold),
        };
        let mut known = self.known();
        known.bytes += found.len();
        if let Some(before) = known.objects.insert(sha256.clone(), object) {
            known.bytes -= before.size;
        }
        Ok(Opened { file: Arc::new(file), size: found.len(), modified, _hold: hold })
    }

    /// Keeps room for a file, giving up what was not used for longest when there is none.
    ///
    /// # Errors
    /// [`Failure::NoRoom`].
    pub fn make_room(self: &Arc<Self>, bytes: u64) -> Result<Room, Failure> {
        let (free, reserve) = free(&self.directory);
        let mut known = self.known();
        let limit = self.limit.load(Ordering::Relaxed);
        let over = (known.bytes + known.reserved + bytes).saturating_sub(limit);
        let short = (known.reserved + bytes + reserve).saturating_sub(free);
        self.give_up(&mut known, over.max(short)).ok_or_else(|| {
            let why = if over >= short {
                "its size limit is smaller than what is being fetched and read"
            } else {
                "the disk of the server's data is full"
            };
            Failure::NoRoom(why)
        })?;
        known.reserved += bytes;
        Ok(Room { store: Arc::clone(self), bytes })
    }

    /// Gives up what was not used for longest; `None` when that cannot be reached.
    fn give_up(&self, known: &mut Known, bytes: u64) -> Option<()> {
        if bytes == 0 {
            return Some(());
        }
        let candidate = |(sha256, object): (&Sha256, &Object)| Candidate {
            sha256: sha256.clone(),
            size: object.size,
            used_at: object.used_at,
            held: Arc::strong_count(&object.hold) > 1,
        };
        let chosen = eviction::choose(known.objects.iter().map(candidate).collect(), bytes)?;
        for sha256 in chosen {
            self.drop_object(known, &sha256);
        }
        Some(())
    }

    fn drop_object(&self, known: &mut Known, sha256: &Sha256) {
        let Some(object) = known.objects.remove(sha256) else { return };
        known.bytes -= object.size;
        let path = self.path(sha256);
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a file of the package cache cannot be removed");
            }
            _ => {}
        }
    }

    /// Forgets a file.
    pub fn remove(&self, sha256: &Sha256) {
        self.drop_object(&mut self.known(), sha256);
    }

    /// Removes files that nobody reads: those that `gone` says. Gives how many, and their bytes.
    pub fn clean(&self, gone: impl Fn(&Stored) -> bool) -> (u64, u64) {
        let mut known = self.known();
        let free = |(sha256, object): (&Sha256, &Object)| {
            let stored = stored(sha256, object);
            (Arc::strong_count(&object.hold) == 1 && gone(&stored)).then_some(stored)
        };
        let chosen: Vec<_> = known.objects.iter().filter_map(free).collect();
        for file in &chosen {
            self.drop_object(&mut known, &file.sha256);
        }
        (chosen.len() as u64, chosen.iter().map(|file| file.size).sum())
    }

    /// Every stored file, the last used first.
    pub fn list(&self) -> Vec<Stored> {
        let mut list: Vec<_> =
            self.known().objects.iter().map(|(sha256, object)| stored(sha256, object)).collect();
        list.sort_by(|a, b| b.used_at.cmp(&a.used_at).then_with(|| a.name.cmp(&b.name)));
        list
    }

    /// How many files there are, and their bytes.
    pub fn size(&self) -> (u64, u64) {
        let known = self.known();
        (known.objects.len() as u64, known.bytes)
    }

    /// Most bytes that are kept.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets the limit, and gives up what is over it and not read now.
    pub fn set_limit(&self, bytes: u64) {
        if self.limit.swap(bytes, Ordering::Relaxed) == bytes {
            return;
        }
        let mut known = self.known();
        let over = (known.bytes + known.reserved).saturating_sub(bytes);
        if self.give_up(&mut known, over).is_none() {
            tracing::warn!("the package cache is over its limit, and all of it is being read");
        }
    }

    /// Bytes that are free on its disk.
    pub fn free(&self) -> u64 {
        free(&self.directory).0
    }

    /// Forgets what was begun long ago.
    pub fn prune_partial(&self, now: i64) {
        let Ok(entries) = fs_err::read_dir(self.directory.join("partial")) else { return };
        for entry in entries.filter_map(Result::ok) {
            let touched =
                entry.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            if instant(now).duration_since(touched).is_ok_and(|age| age > PARTIAL_FOR)
                && let Err(error) = fs_err::remove_file(entry.path())
            {
                tracing::warn!(%error, "a part of a file cannot be removed");
            }
        }
    }
}

fn stored(sha256: &Sha256, object: &Object) -> Stored {
    Stored { sha256: sha256.clone(), name: object.name.clone(), size: object.size, used_at: object.used_at }
}

fn open_plain(path: &Path) -> io::Result<(File, std::fs::Metadata)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    Ok((file, found))
}

/// Bytes that are free, and that have to stay so. A disk that does not say counts as one with room: writing will tell.
fn free(directory: &Path) -> (u64, u64) {
    nix::sys::statvfs::statvfs(directory).map_or((u64::MAX, 0), |found| {
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        (bytes(found.blocks_available()), RESERVE.min(bytes(found.blocks()) / 20))
    })
}

fn micros(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

/// Microseconds since the Unix epoch, as file systems and HTTP dates want it.
pub(super) fn instant(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs;

    fn put(store: &Store, content: &[u8], now: i64) -> Sha256 {
        let sha256 = blobs::hash(content);
        let partial = store.partial(&sha256);
        fs_err::write(&partial, content).unwrap();
        store.put(&partial, &sha256, "debian/pool/a", instant(now), now).unwrap();
        sha256
    }

    #[test]
    fn what_was_used_last_is_known_after_a_restart_and_stays_when_room_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().to_owned(), 25, 0).unwrap();
        let old = put(&store, b"0123456789", 10_000 * SECOND);
        let new = put(&store, b"abcdefghij", 5_000 * SECOND);
        store.get(&new, Some(10), "", 20_000 * SECOND).unwrap();
        drop(store);
        let store = Arc::new(Store::open(directory.path().to_owned(), 25, 0).unwrap());
        assert_eq!(
            store.list().iter().map(|file| file.used_at / SECOND).collect::<Vec<_>>(),
            [20_000, 10_000]
        );
        assert_eq!(store.list()[0].name, "debian/pool/a");
        let _room = store.make_room(10).unwrap();
        assert!(store.has(&new) && !store.has(&old));
        assert_eq!(store.size(), (1, 10));
    }

    #[test]
    fn a_part_that_is_whole_but_could_not_be_stored_is_not_taken_for_an_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().to_owned(), 25, 0).unwrap();
        let sha256 = blobs::hash(b"0123456789");
        let partial = store.partial(&sha256);
        fs_err::write(&partial, b"0123456789").unwrap();
        // Where its folder should be, something is in the way.
        fs_err::write(store.path(&sha256).parent().unwrap(), b"").unwrap();
        let now = crate::clock::Clock::system().now();
        assert!(store.put(&partial, &sha256, "debian/pool/a", instant(0), now).is_err());
        store.prune_partial(now);
        assert!(partial.exists(), "it would have to be fetched anew");
    }

    #[test]
    fn what_is_read_is_not_given_up_and_room_that_is_kept_counts() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path().to_owned(), 25, 0).unwrap());
        let sha256 = put(&store, b"0123456789", 1);
        let held = store.get(&sha256, None, "", 2).unwrap();
        let room = store.make_room(15).unwrap();
        assert!(matches!(store.make_room(1), Err(Failure::NoRoom(_))));
        assert_eq!(store.clean(|_| true), (0, 0));
        drop((held, room));
        assert!(store.make_room(25).is_ok() && !store.has(&sha256));
    }

    #[test]
    fn a_file_that_was_cut_or_replaced_by_a_link_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().to_owned(), 1000, 0).unwrap();
        let sha256 = put(&store, b"0123456789", 1);
        fs_err::write(store.path(&sha256), b"0123").unwrap();
        assert!(store.get(&sha256, Some(10), "", 2).is_none() && !store.has(&sha256));
        let sha256 = put(&store, b"abcdefghij", 1);
        fs_err::remove_file(store.path(&sha256)).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", store.path(&sha256)).unwrap();
        assert!(store.get(&sha256, None, "", 2).is_none());
        assert!(Path::new("/etc/hostname").exists());
    }
}
