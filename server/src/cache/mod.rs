//! The package cache: what clients and installers get of the mirrors, verified, fetched once, and kept.
//!
//! Invariant: nobody gets a whole file that is not what a signed index says it is (`flight.rs` holds back the end, `suites.rs` verifies what
//! everything hangs on). One transfer serves everybody who wants the same content. Only configured mirrors are asked, and only for what
//! their signed indices name.
//!
//! It keeps no record in the database: what lies on this node's disk is this node's business.

mod eviction;
mod failure;
mod flight;
mod index;
mod listing;
mod naming;
pub mod path;
mod reading;
mod refresh;
mod release;
mod sharing;
mod signature;
mod store;
mod suites;
mod tables;
mod trial;
mod upstream;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use anyhow::Context;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use wire::Sha256;

pub use self::{
    failure::Failure,
    listing::{IndexNow, Listed},
    reading::{Source, pieces},
    store::Stored,
    trial::Announced,
    upstream::{Counts, Mirror, Report, State},
};
use self::{
    flight::Progress, path::Asked, release::Wanted, store::Store, suites::Suites, tables::Tables,
    upstream::Reports,
};
use crate::{
    boot::mirror::Mirrors,
    clock::{Clock, SECOND},
};

/// That a mirror does not have a file is believed for so long.
const NOT_THERE_FOR: i64 = 30 * SECOND;
/// Indices of a mirror are looked through for a file that none names not more often than this.
const LEARN_EVERY: i64 = 60 * SECOND;
/// Most files that are known not to be there.
const MOST_NOT_THERE: usize = 10_000;

/// The package cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache(Arc<Doors>);

/// What is behind a [`Cache`].
pub struct Doors {
    mirrors: BTreeMap<String, Arc<Mirror>>,
    keyrings: BTreeMap<String, Vec<PathBuf>>,
    added: RwLock<BTreeMap<String, (Added, Arc<Mirror>)>>,
    client: reqwest::Client,
    declared: Vec<Declared>,
    store: Arc<Store>,
    suites: Suites,
    tables: Arc<Tables>,
    flights: Mutex<HashMap<Sha256, watch::Receiver<Progress>>>,
    not_there: Mutex<HashMap<String, i64>>,
    learning: tokio::sync::Mutex<HashMap<String, i64>>,
    reading: AtomicUsize,
    read: Notify,
    offline: AtomicBool,
    set: Mutex<Option<(bool, u64)>>,
    reports: Arc<Reports>,
    clock: Clock,
}

/// A suite that a distribution names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Of which mirror.
    pub mirror: String,
    /// Such as `bookworm`.
    pub suite: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// With what it is signed.
    pub keyring: PathBuf,
}

/// An archive that a source list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its name in the cache.
    pub name: String,
    /// Its base URL, without a slash at the end.
    pub url: String,
    /// With what it is signed.
    pub keyring: PathBuf,
}

/// What somebody gets.
#[derive(Debug)]
pub struct Found {
    /// From which mirror.
    pub mirror: Arc<Mirror>,
    /// Its bytes.
    pub content: Content,
    /// Its length in bytes.
    pub size: u64,
    /// Names its content.
    pub sha256: Sha256,
    /// What the mirror said of its last change.
    pub modified: Option<SystemTime>,
    /// How it came.
    pub how: How,
}

/// Where the bytes are.
#[derive(Debug)]
pub enum Content {
    /// In memory: a document of a suite.
    Document(Bytes),
    /// In a file.
    File(Source),
}

/// How an answer came about.
#[derive(Clone, Debug)]
pub enum How {
    /// It was there.
    Hit,
    /// It is fetched.
    Miss,
    /// It is being fetched for somebody else already.
    Joined,
    /// It was there, and whether it is the newest is not known.
    Stale(Failure),
}

impl std::ops::Deref for Cache {
    type Target = Doors;

    fn deref(&self) -> &Doors {
        &self.0
    }
}

/// How a cache is set up.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Its directory.
    pub directory: &'a Path,
    /// Which mirrors there are.
    pub mirrors: &'a Mirrors,
    /// What distributions name.
    pub declared: Vec<Declared>,
    /// Keyrings that the configuration names, by mirror; they count in place of those of the distributions.
    pub keyrings: &'a [(String, PathBuf)],
    /// Most bytes that are kept.
    pub limit: u64,
    /// The clock.
    pub clock: Clock,
}

impl Cache {
    /// Opens the cache in a directory, making it when it is missing.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(setup: Setup<'_>) -> anyhow::Result<Self> {
        let Setup { directory, mirrors: known, declared, keyrings: configured, limit, clock } = setup;
        let attempt = || format!("opening the package cache in {}", directory.display());
        let store = Store::open(directory.to_owned(), limit, clock.now()).with_context(attempt)?;
        let suites = Suites::open(directory.join("suites")).with_context(attempt)?;
        let tables = Tables::open(directory.join("tables")).with_context(attempt)?;
        let reports = Arc::<Reports>::default();
        let mut keyrings: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let mut mirrors = BTreeMap::new();
        for (name, base) in known.list() {
            let mirror = Mirror::new(name, base, known.client().clone(), clock.clone(), Arc::clone(&reports));
            mirrors.insert(name.clone(), Arc::new(mirror));
            let mut own: Vec<_> =
                configured.iter().filter(|(of, _)| of == name).map(|(_, path)| path.clone()).collect();
            if own.is_empty() {
                let named = declared.iter().filter(|declared| declared.mirror == *name);
                own = named.map(|declared| declared.keyring.clone()).collect();
                own.sort();
                own.dedup();
            }
            keyrings.insert(name.clone(), own);
        }
        Ok(Self(Arc::new(Doors {
            mirrors,
            keyrings,
            added: RwLock::default(),
            client: known.client().clone(),
            declared,
            store: Arc::new(store),
            suites,
            tables: Arc::new(tables),
            flights: Mutex::default(),
            not_there: Mutex::default(),
            learning: tokio::sync::Mutex::default(),
            reading: AtomicUsize::new(0),
            read: Notify::new(),
            offline: AtomicBool::new(false),
            set: Mutex::default(),
            reports,
            clock,
        })))
    }

    /// Whether no mirror is asked for anything.
    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Relaxed)
    }

    /// What can be set while the server runs.
    pub fn set(&self, offline: bool, limit: u64) {
        if self.set.lock().unwrap_or_else(PoisonError::into_inner).replace((offline, limit))
            == Some((offline, limit))
        {
            return;
        }
        self.offline.store(offline, Ordering::Relaxed);
        self.store.set_limit(limit);
    }

    /// The mirrors: those of the configuration by name, then those that source lists name.
    pub fn mirrors(&self) -> Vec<Arc<Mirror>> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        self.mirrors.values().chain(added.values().map(|(_, mirror)| mirror)).map(Arc::clone).collect()
    }

    /// Archives that source lists name beside the configured mirrors: these and no others from now on. One that stays keeps its counts.
    pub fn set_added(&self, wanted: Vec<Added>) {
        let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
        added.retain(|_, (known, _)| wanted.contains(known));
        for new in wanted {
            if self.mirrors.contains_key(&new.name) || added.contains_key(&new.name) {
                continue;
            }
            let (client, reports) = (self.client.clone(), Arc::clone(&self.reports));
            let mirror = Mirror::new(&new.name, &new.url, client, self.clock.clone(), reports);
            added.insert(new.name.clone(), (new, Arc::new(mirror)));
        }
    }

    /// The stored files.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What was not yet told.
    pub fn take_reports(&self) -> Vec<Report> {
        self.reports.take()
    }

    /// The suites of a mirror that are known: root, date of the signed text, when the mirror was last asked.
    pub fn known_suites(&self, mirror: &str) -> Vec<(String, i64, i64)> {
        let suites = self.suites.of_mirror(mirror);
        let known = suites.iter().filter_map(|suite| {
            let current = suite.current()?;
            Some((suite.root.clone(), current.release.dated_at, suite.asked_at.load(Ordering::Relaxed)))
        });
        known.collect()
    }

    /// Why nothing of a mirror can be verified, if so.
    pub fn lacks_keyring(&self, mirror: &Mirror) -> bool {
        self.keyrings(mirror).is_err()
    }

    /// Forgets what is old.
    pub fn prune(&self) {
        let now = self.clock.now();
        self.store.prune_partial(now);
        self.suites.forget_empty(now);
        if let Err(error) = self.tables.prune(|mirror, index| self.suites.lists(mirror, index), now) {
            tracing::warn!(%error, "old tables of the package cache cannot be removed");
        }
        self.not_there.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, until| *until > now);
    }

    /// A file of a mirror.
    ///
    /// # Errors
    /// Why it is not there; of the mirror's faults each has been noted.
    pub async fn get(&self, mirror: &str, path: &str) -> Result<Found, Failure> {
        let mirror = self.mirror(mirror)?;
        if !path::is_plain(path) {
            return Err(Failure::NotPlain);
        }
        if let Asked::Document { root, name } = path::asked(path) {
            return self.document(mirror, root, name).await;
        }
        let named = self.named(&mirror, path).await?;
        self.file(mirror, named).await
    }

    fn mirror(&self, name: &str) -> Result<Arc<Mirror>, Failure> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.mirrors.get(name).or_else(|| added.get(name).map(|(_, mirror)| mirror));
        known.cloned().ok_or_else(|| Failure::NoMirror(name.into()))
    }

    fn keyrings(&self, mirror: &Mirror) -> Result<Vec<PathBuf>, Failure> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        let of_added = || added.get(&*mirror.name).map(|(added, _)| vec![added.keyring.clone()]);
        let named = self.keyrings.get(&*mirror.name).cloned().or_else(of_added).unwrap_or_default();
        if named.is_empty() || !named.iter().all(|path| path.is_file()) {
            return Err(Failure::NoKeyring(Arc::clone(&mirror.name)));
        }
        Ok(named)
    }

    async fn document(&self, mirror: Arc<Mirror>, root: &str, name: &str) -> Result<Found, Failure> {
        let known_as = format!("{}/{root}", mirror.name);
        self.is_not_there(&known_as, &mirror, root)?;
        let suite = self.suites.suite(&mirror.name, root);
        let before = suite.current();
        let (mut generation, stale) = self.generation(&suite).await.inspect_err(|failure| {
            self.note_not_there(&known_as, failure);
        })?;
        if !generation.documents.contains_key(name) {
            generation = self.attach(&suite, name).await?;
        }
        let content = generation.documents.get(name).cloned().ok_or_else(|| Failure::NotThere {
            mirror: Arc::clone(&mirror.name),
            path: format!("{root}/{name}").into(),
        })?;
        let same = before.is_some_and(|before| before.text == generation.text);
        let count = if same { &mirror.counts.hits } else { &mirror.counts.misses };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Found {
            size: content.len() as u64,
            sha256: crate::blobs::hash(&content),
            modified: Some(generation.modified()),
            content: Content::Document(content),
            how: match stale {
                Some(failure) => How::Stale(failure),
                None if same => How::Hit,
                None => How::Miss,
            },
            mirror,
        })
    }

    fn is_not_there(&self, known_as: &str, mirror: &Mirror, path: &str) -> Result<(), Failure> {
        let known = self.not_there.lock().unwrap_or_else(PoisonError::into_inner).get(known_as).copied();
        if known.is_some_and(|until| self.clock.now() < until) {
            return Err(Failure::NotThere { mirror: Arc::clone(&mirror.name), path: path.into() });
        }
        Ok(())
    }

    fn note_not_there(&self, known_as: &str, failure: &Failure) {
        if !matches!(failure, Failure::NotThere { .. }) {
            return;
        }
        let mut known = self.not_there.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_NOT_THERE {
            known.clear();
        }
        known.insert(known_as.to_owned(), self.clock.now() + NOT_THERE_FOR);
    }

    async fn file(&self, mirror: Arc<Mirror>, named: Named) -> Result<Found, Failure> {
        let known_as = format!("{}/{}", mirror.name, named.path);
        let wanted = named.wanted.clone();
        let found = |mirror, source, size, modified, how| Found {
            mirror,
            content: Content::File(source),
            size,
            sha256: wanted.sha256.clone(),
            modified,
            how,
        };
        if let Some(opened) = self.store.get(&wanted.sha256, wanted.size, &known_as, self.clock.now()) {
            mirror.counts.hits.fetch_add(1, Ordering::Relaxed);
            let (size, modified) = (opened.size, opened.modified);
            return Ok(found(mirror, Source::Stored(opened), size, Some(modified), How::Hit));
        }
        self.is_not_there(&known_as, &mirror, &named.path)?;
        let (mut progress, began) = self.fly(&mirror, named)?;
        let how = if began { How::Miss } else { How::Joined };
        let count = if began { &mirror.counts.misses } else { &mirror.counts.joined };
        count.fetch_add(1, Ordering::Relaxed);
        let ready =
            |progress: &Progress| progress.ended.is_some() || (progress.safe > 0 && progress.size.is_some());
        let reached = progress.wait_for(ready).await;
        let reached = reached.map_err(|error| Failure::broken("waiting for a transfer", &error))?.clone();
        let (size, modified) = match (reached.ended, reached.size) {
            (Some(Err(failure)), _) => return Err(failure),
            (Some(Ok(opened)), _) => (opened.size, Some(opened.modified)),
            (None, size) => (size.unwrap_or(0), reached.modified),
        };
        Ok(found(mirror, Source::Growing(progress), size, modified, how))
    }
}

/// A file that a signed index names.
#[derive(Clone, Debug)]
struct Named {
    path: String,
    places: Vec<String>,
    wanted: Wanted,
}
