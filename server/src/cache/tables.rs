//! What packages have to be: one table on disk for each index that was read, so that knowing a whole archive takes no memory.
//!
//! Rows are sorted by the hash of the path and found by halving. A newer table counts more than an older one: a path names what the
//! newest index says.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use wire::Sha256;

use super::{
    index::{self, Kind},
    release::Wanted,
    store::instant,
};
use crate::blobs;

/// Hash of the path (16 bytes), hash of the content (32), length (8).
const ROW: usize = 56;
/// Most answers that are kept in memory.
const REMEMBERED: usize = 20_000;
/// A table that no client asked for in this time is forgotten; it is made again when its index comes again.
const KEPT_FOR: Duration = Duration::from_hours(24 * 30);

type Rows = [u8; ROW];

/// The tables of all mirrors.
#[derive(Debug)]
pub(super) struct Tables {
    directory: PathBuf,
    by_mirror: RwLock<HashMap<String, Vec<Arc<Table>>>>,
    remembered: Mutex<HashMap<String, Wanted>>,
}

#[derive(Debug)]
struct Table {
    index: Sha256,
    file: File,
    rows: u64,
}

impl Tables {
    /// Opens the directory, making it when it is missing.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs_err::create_dir_all(&directory)?;
        let mut tables = HashMap::new();
        for mirror in fs_err::read_dir(&directory)? {
            let mirror = mirror?;
            let mut found = Vec::new();
            for entry in fs_err::read_dir(mirror.path())? {
                let entry = entry?;
                let Ok(index) = entry.file_name().to_string_lossy().parse::<Sha256>() else { continue };
                found.push((entry.metadata()?.modified()?, Arc::new(Table::open(&entry.path(), index)?)));
            }
            found.sort_by_key(|(made, _)| std::cmp::Reverse(*made));
            let found: Vec<_> = found.into_iter().map(|(_, table)| table).collect();
            tables.insert(mirror.file_name().to_string_lossy().into_owned(), found);
        }
        Ok(Self { directory, by_mirror: RwLock::new(tables), remembered: Mutex::default() })
    }

    /// Whether an index was read already.
    pub(super) fn has(&self, mirror: &str, index: &Sha256) -> bool {
        let tables = self.by_mirror.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(mirror).is_some_and(|tables| tables.iter().any(|table| table.index == *index))
    }

    /// Reads an index whose hash was right: from now on its files are known.
    ///
    /// # Errors
    /// It cannot be read, or the disk refuses.
    pub(super) fn add(
        &self,
        mirror: &str,
        path: &str,
        kind: Kind,
        index: &Sha256,
        text: &mut dyn BufRead,
    ) -> io::Result<()> {
        let mut rows: Vec<Rows> = Vec::new();
        index::read(kind, path, text, |path, wanted| {
            let mut row = [0; ROW];
            row[..16].copy_from_slice(&key(path));
            // Both were parsed, so both fit.
            hex::decode_to_slice(wanted.sha256.as_str(), &mut row[16..48]).ok();
            row[48..].copy_from_slice(&wanted.size.unwrap_or(0).to_be_bytes());
            rows.push(row);
        })?;
        rows.sort_unstable();
        let folder = self.directory.join(mirror);
        fs_err::create_dir_all(&folder)?;
        let partial = tempfile::NamedTempFile::new_in(&folder)?;
        fs_err::write(partial.path(), rows.as_flattened())?;
        partial.as_file().sync_data()?;
        let place = folder.join(index.as_str());
        partial.persist(&place).map_err(|error| error.error)?;
        let table = Arc::new(Table::open(&place, index.clone())?);
        let mut tables = self.by_mirror.write().unwrap_or_else(PoisonError::into_inner);
        let of_mirror = tables.entry(mirror.to_owned()).or_default();
        of_mirror.retain(|known| known.index != *index);
        of_mirror.insert(0, table);
        drop(tables);
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// What a package has to be.
    ///
    /// # Errors
    /// A table cannot be read.
    pub(super) fn find(&self, mirror: &str, path: &str) -> io::Result<Option<Wanted>> {
        let name = format!("{mirror}/{path}");
        if let Some(found) = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Some(found.clone()));
        }
        let tables = {
            let tables = self.by_mirror.read().unwrap_or_else(PoisonError::into_inner);
            tables.get(mirror).cloned().unwrap_or_default()
        };
        let key = key(path);
        for table in tables {
            let Some(wanted) = table.find(&key)? else { continue };
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(name, wanted.clone());
            return Ok(Some(wanted));
        }
        Ok(None)
    }

    /// Forgets old tables but those that `needed` says.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn prune(&self, needed: impl Fn(&str, &Sha256) -> bool, now: i64) -> io::Result<()> {
        let mut tables = self.by_mirror.write().unwrap_or_else(PoisonError::into_inner);
        for (mirror, tables) in &mut *tables {
            let mut kept = Vec::new();
            for table in tables.drain(..) {
                let made = table.file.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let old = instant(now).duration_since(made).is_ok_and(|age| age > KEPT_FOR);
                if old && !needed(mirror, &table.index) {
                    fs_err::remove_file(self.directory.join(mirror).join(table.index.as_str()))?;
                } else {
                    kept.push(table);
                }
            }
            *tables = kept;
        }
        Ok(())
    }
}

impl Table {
    fn open(path: &Path, index: Sha256) -> io::Result<Self> {
        let file = File::open(path)?;
        let rows = file.metadata()?.len() / ROW as u64;
        Ok(Self { index, file, rows })
    }

    fn find(&self, key: &[u8; 16]) -> io::Result<Option<Wanted>> {
        let (mut low, mut high) = (0, self.rows);
        let mut row = [0; ROW];
        while low < high {
            let middle = low.midpoint(high);
            self.file.read_exact_at(&mut row, middle * ROW as u64)?;
            match row[..16].cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(wanted(&row))),
            }
        }
        Ok(None)
    }
}

fn wanted(row: &Rows) -> Wanted {
    let (mut hash, mut size) = ([0; 32], [0; 8]);
    hash.copy_from_slice(&row[16..48]);
    size.copy_from_slice(&row[48..]);
    Wanted { sha256: Sha256::from_bytes(hash), size: Some(u64::from_be_bytes(size)) }
}

fn key(path: &str) -> [u8; 16] {
    let mut key = [0; 16];
    hex::decode_to_slice(&blobs::hash(path.as_bytes()).as_str()[..32], &mut key).ok();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(hash: char, names: impl Iterator<Item = usize>) -> String {
        let hash = hash.to_string().repeat(64);
        let one = |name| format!("Filename: pool/{name}.deb\nSize: {name}\nSHA256: {hash}\n\n");
        names.map(one).collect::<Vec<_>>().concat()
    }

    #[test]
    fn every_package_is_found_the_newest_index_wins_and_a_restart_forgets_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::open(directory.path().to_owned()).unwrap();
        let add = |hash: char, names: std::ops::Range<usize>| {
            let text = packages(hash, names);
            let index = blobs::hash(text.as_bytes());
            tables.add("debian", "Packages", Kind::Packages, &index, &mut text.as_bytes()).unwrap();
            assert!(tables.has("debian", &index));
        };
        add('a', 0..1000);
        assert_eq!(tables.find("debian", "pool/5.deb").unwrap().unwrap().sha256.as_str(), "a".repeat(64));
        add('b', 0..10);
        for tables in [&tables, &Tables::open(directory.path().to_owned()).unwrap()] {
            for name in 0..1000_u64 {
                let found = tables.find("debian", &format!("pool/{name}.deb")).unwrap().unwrap();
                assert_eq!(found.size, Some(name));
                assert_eq!(&found.sha256.as_str()[..1], if name < 10 { "b" } else { "a" }, "{name}");
            }
            assert_eq!(tables.find("debian", "pool/1000.deb").unwrap(), None);
            assert_eq!(tables.find("other", "pool/1.deb").unwrap(), None);
        }
    }
}
