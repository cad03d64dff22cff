//! The suites of mirrors: their signed documents, and the generations of them that are kept.
//!
//! Invariant: a generation is whole. Its documents were verified before anybody got them, it is not older than the one before, and every
//! index that clients used before is there in its new version before the generation counts; until then the one before is given. Earlier
//! generations are kept for a while, so that a client that is in the middle of an update finds what it has begun with by its hash.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::Sha256;

use super::{
    failure::Failure,
    release::{Release, Wanted},
};
use crate::{blobs, clock::SECOND};

/// Generations that are kept, the newest included.
const GENERATIONS: usize = 4;
/// That a suite could not be had is remembered for at least so long.
const FAILED_FOR: i64 = 60 * SECOND;
/// Earlier ones are kept for so long.
const KEPT_FOR: i64 = 7 * 86_400 * SECOND;

/// All suites that were ever asked for.
#[derive(Debug)]
pub(super) struct Suites {
    directory: PathBuf,
    suites: RwLock<HashMap<(String, String), Arc<Suite>>>,
}

/// A suite of a mirror, such as `dists/bookworm` of `debian`.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its mirror.
    pub mirror: String,
    /// Where it is below the mirror.
    pub root: String,
    /// Held by whoever asks the mirror.
    pub asking: tokio::sync::Mutex<()>,
    /// When the mirror was last asked, and had an answer.
    pub asked_at: std::sync::atomic::AtomicI64,
    /// When it could not be brought up to date, and why.
    pub(super) failed: Mutex<Option<(i64, Failure)>>,
    directory: PathBuf,
    generations: Mutex<Arc<Vec<Arc<Generation>>>>,
}

/// The documents of a suite that belong together.
#[derive(Debug)]
pub(super) struct Generation {
    /// What the signed text says.
    pub release: Release,
    /// The signed text itself.
    pub text: String,
    /// Documents by name, as the mirror gave them.
    pub documents: BTreeMap<String, Bytes>,
    /// What else is known of it.
    pub kept: Kept,
}

/// What is written down of a generation beside its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Since when it counts here.
    pub accepted_at: i64,
    /// When it was replaced.
    pub replaced_at: Option<i64>,
    /// The mirror's tag for the first document.
    pub etag: Option<String>,
    /// The mirror's date for it, as it came.
    pub last_modified: Option<String>,
}

impl Generation {
    /// What a client is told of its last change: when it was made. apt asks only whether there is something later than what it has, so a
    /// date that somebody has not signed could hide an update from it.
    pub(super) fn modified(&self) -> SystemTime {
        super::store::instant(self.release.dated_at)
    }
}

impl Suites {
    /// Opens the directory, making it when it is missing, and reads what is there. A generation that cannot be read is left out.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs_err::create_dir_all(&directory)?;
        let mut suites = HashMap::new();
        for mirror in fs_err::read_dir(&directory)? {
            let mirror = mirror?;
            for root in fs_err::read_dir(mirror.path())? {
                let root = root?;
                let names = (
                    mirror.file_name().to_string_lossy().into_owned(),
                    root.file_name().to_string_lossy().replace('%', "/"),
                );
                let suite = Suite::open(names.clone(), root.path())?;
                suites.insert(names, Arc::new(suite));
            }
        }
        Ok(Self { directory, suites: RwLock::new(suites) })
    }

    /// A suite; whether the mirror has it is another question.
    pub(super) fn suite(&self, mirror: &str, root: &str) -> Arc<Suite> {
        let names = (mirror.to_owned(), root.to_owned());
        if let Some(known) = self.suites.read().unwrap_or_else(PoisonError::into_inner).get(&names) {
            return Arc::clone(known);
        }
        let directory = self.directory.join(mirror).join(root.replace('/', "%"));
        let new = Suite::new(names.clone(), directory);
        let mut suites = self.suites.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(suites.entry(names).or_insert_with(|| Arc::new(new)))
    }

    /// Suites of a mirror that have documents, the longest roots first.
    pub(super) fn of_mirror(&self, mirror: &str) -> Vec<Arc<Suite>> {
        let suites = self.suites.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = suites
            .values()
            .filter(|suite| suite.mirror == mirror && suite.current().is_some())
            .map(Arc::clone)
            .collect();
        found.sort_by(|a, b| b.root.len().cmp(&a.root.len()).then_with(|| a.root.cmp(&b.root)));
        found
    }

    /// Forgets suites that were asked for a while ago, and that the mirror does not have.
    pub(super) fn forget_empty(&self, now: i64) {
        let lately = |suite: &Suite| {
            let failed = suite.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.as_ref().is_some_and(|(at, _)| now - at < FAILED_FOR)
        };
        let mut suites = self.suites.write().unwrap_or_else(PoisonError::into_inner);
        suites.retain(|_, suite| suite.current().is_some() || lately(suite) || Arc::strong_count(suite) > 1);
    }

    /// Whether a generation that is kept lists this content.
    pub(super) fn lists(&self, mirror: &str, sha256: &Sha256) -> bool {
        self.of_mirror(mirror).iter().any(|suite| suite.by_sha256(sha256).is_some())
    }
}

impl Suite {
    fn new((mirror, root): (String, String), directory: PathBuf) -> Self {
        Self {
            mirror,
            root,
            asking: tokio::sync::Mutex::default(),
            asked_at: 0.into(),
            failed: Mutex::default(),
            directory,
            generations: Mutex::default(),
        }
    }

    fn open(names: (String, String), directory: PathBuf) -> io::Result<Self> {
        let suite = Self::new(names, directory);
        let mut generations = Vec::new();
        for entry in fs_err::read_dir(&suite.directory)? {
            let path = entry?.path();
            match read(&path) {
                Ok(generation) => generations.push(Arc::new(generation)),
                // It was being written when the server ended.
                Err(error) => {
                    tracing::info!(%error, "a generation of a suite is left out");
                    fs_err::remove_dir_all(path)?;
                }
            }
        }
        generations.sort_by_key(|generation| std::cmp::Reverse(generation.kept.accepted_at));
        *suite.generations.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(generations);
        Ok(suite)
    }

    fn generations(&self) -> Arc<Vec<Arc<Generation>>> {
        Arc::clone(&self.generations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The generation that counts.
    pub(super) fn current(&self) -> Option<Arc<Generation>> {
        self.generations().first().map(Arc::clone)
    }

    /// The index with this content in any generation: its path below the mirror, and what it has to be.
    pub(super) fn by_sha256(&self, sha256: &Sha256) -> Option<(String, Wanted)> {
        self.generations().iter().find_map(|generation| {
            let wanted = generation.release.by_sha256(sha256)?;
            let (name, _) = generation.release.files().find(|(_, file)| *file == wanted)?;
            Some((format!("{}/{name}", self.root), wanted.clone()))
        })
    }

    /// The same by its SHA-512 hash.
    pub(super) fn by_sha512(&self, hash: &str) -> Option<(String, Wanted)> {
        let found =
            self.generations().iter().find_map(|generation| generation.release.by_sha512(hash).cloned());
        self.by_sha256(&found?.sha256)
    }

    /// Lets a generation count from now on; written to the disk before anybody is given any of it.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn accept(&self, generation: Generation) -> io::Result<()> {
        let now = generation.kept.accepted_at;
        self.write(&generation)?;
        let mut all = vec![Arc::new(generation)];
        for (number, before) in self.generations().iter().enumerate() {
            if before.text == all[0].text {
                continue;
            }
            let replaced_at = before.kept.replaced_at.unwrap_or(now);
            if number + 1 >= GENERATIONS || now - replaced_at > KEPT_FOR {
                fs_err::remove_dir_all(self.place(&before.text))?;
                continue;
            }
            let kept = Kept { replaced_at: Some(replaced_at), ..before.kept.clone() };
            fs_err::write(self.place(&before.text).join("kept.json"), serde_json::to_vec(&kept)?)?;
            all.push(Arc::new(Generation {
                release: before.release.clone(),
                text: before.text.clone(),
                documents: before.documents.clone(),
                kept,
            }));
        }
        *self.generations.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        Ok(())
    }

    fn place(&self, text: &str) -> PathBuf {
        self.directory.join(blobs::hash(text.as_bytes()).as_str())
    }

    fn write(&self, generation: &Generation) -> io::Result<()> {
        let place = self.place(&generation.text);
        let partial = place.with_extension("partial");
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        fs_err::create_dir_all(&partial)?;
        let kept = serde_json::to_vec(&generation.kept)?;
        let documents = generation.documents.iter().map(|(name, content)| (name.as_str(), &content[..]));
        for (name, content) in documents.chain([("text", generation.text.as_bytes()), ("kept.json", &kept)]) {
            fs_err::write(partial.join(name), content)?;
            std::fs::File::open(partial.join(name))?.sync_data()?;
        }
        if place.exists() {
            fs_err::remove_dir_all(&place)?;
        }
        fs_err::rename(partial, place)
    }
}

fn read(place: &Path) -> io::Result<Generation> {
    let text = fs_err::read_to_string(place.join("text"))?;
    let release = Release::parse(&text).map_err(io::Error::other)?;
    let mut documents = BTreeMap::new();
    for name in super::path::DOCUMENTS {
        if place.join(name).exists() {
            documents.insert(name.to_owned(), Bytes::from(fs_err::read(place.join(name))?));
        }
    }
    let kept = serde_json::from_slice(&fs_err::read(place.join("kept.json"))?)?;
    if documents.is_empty() || blobs::hash(text.as_bytes()).as_str() != place.file_name().unwrap_or_default()
    {
        return Err(io::Error::other(format!("{} is not whole", place.display())));
    }
    Ok(Generation { release, text, documents, kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: i64) -> Generation {
        let text = format!(
            "Suite: x\nDate: Sat, 21 Nov 2026 08:12:01 UTC\nSHA256:\n {number:064x} {number} main/Packages.xz\n"
        );
        Generation {
            release: Release::parse(&text).unwrap(),
            text,
            documents: BTreeMap::from([("InRelease".to_owned(), Bytes::from(format!("signed {number}")))]),
            kept: Kept { accepted_at: number, ..Kept::default() },
        }
    }

    fn hash(number: i64) -> Sha256 {
        format!("{number:064x}").parse().unwrap()
    }

    #[test]
    fn earlier_generations_are_found_by_hash_also_after_a_restart_until_there_are_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let suites = Suites::open(directory.path().to_owned()).unwrap();
        for number in 1..=6 {
            suites.suite("debian", "dists/x").accept(generation(number)).unwrap();
        }
        for suites in [&suites, &Suites::open(directory.path().to_owned()).unwrap()] {
            let suite = Arc::clone(&suites.of_mirror("debian")[0]);
            assert_eq!(suite.root, "dists/x");
            assert_eq!(suite.current().unwrap().documents["InRelease"], "signed 6");
            let (path, wanted) = suite.by_sha256(&hash(3)).unwrap();
            assert_eq!((path.as_str(), wanted.size), ("dists/x/main/Packages.xz", Some(3)));
            assert!(suite.by_sha256(&hash(2)).is_none(), "too many were kept");
            assert!(suites.lists("debian", &hash(6)) && !suites.lists("other", &hash(6)));
        }
    }

    #[test]
    fn a_generation_that_is_not_whole_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let suites = Suites::open(directory.path().to_owned()).unwrap();
        let suite = suites.suite("debian", "dists/x");
        suite.accept(generation(1)).unwrap();
        suite.accept(generation(2)).unwrap();
        fs_err::write(suite.place(&generation(2).text).join("text"), "Suite: x").unwrap();
        let suites = Suites::open(directory.path().to_owned()).unwrap();
        assert_eq!(suites.suite("debian", "dists/x").current().unwrap().kept.accepted_at, 1);
    }
}
