//! One transfer of one file from its mirror, whoever waits for it.
//!
//! Invariant: the last piece of a file is given to nobody before the hash of the whole is right; a file that is not what is signed is
//! removed, and whoever has read the rest of it gets an error in place of its end. A transfer that breaks off goes on where it was, also
//! after a restart of the server: the hash at the end covers all of it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{StatusCode, header};
use tokio::sync::watch;
use wire::Sha256;

use super::{
    failure::Failure,
    release::Wanted,
    store::{Opened, Room, Store},
    upstream::{self, Mirror},
};
use crate::clock::Clock;

/// So much at the end of a file is held back until all of it is known to be right.
pub(super) const HELD_BACK: u64 = 64 << 10;
/// Pauses before a transfer that broke off is taken up again.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(3)];
/// Nothing whose size no index says is larger.
const LARGEST_UNKNOWN: u64 = 1 << 30;
/// Pieces of the network that are written in one go.
const TOGETHER: usize = 64;

/// How far a transfer is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Length of the whole, once it is known.
    pub size: Option<u64>,
    /// So many bytes may be passed on.
    pub safe: u64,
    /// Where they are.
    pub file: Option<Arc<File>>,
    /// What the mirror says of its last change.
    pub modified: Option<SystemTime>,
    /// It is over, and how it ended.
    pub ended: Option<Result<Opened, Failure>>,
}

/// What is to be transferred, and with what.
#[derive(Debug)]
pub(super) struct Transfer {
    /// From where.
    pub mirror: Arc<Mirror>,
    /// What people call it: its path below the mirror.
    pub path: String,
    /// Where it may be, below the mirror; the first that is there counts.
    pub places: Vec<String>,
    /// What it must be.
    pub wanted: Wanted,
    /// Where it is kept.
    pub store: Arc<Store>,
    /// The clock.
    pub clock: Clock,
    /// Who waits hears of it here.
    pub progress: watch::Sender<Progress>,
}

/// A file that grows, and the hash of what is there.
struct Growing {
    file: Arc<File>,
    written: u64,
    hash: digest::Context,
}

enum Broken {
    Again(Failure),
    Final(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Transfer {
    /// Carries it out. What it ended with is still to be told to those who wait.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn run(&self) -> Result<Opened, Failure> {
        let _permit =
            self.mirror.permits.acquire().await.map_err(|error| Failure::broken("waiting", &error))?;
        let partial = self.store.partial(&self.wanted.sha256);
        let mut room = self.wanted.size.map(|size| self.store.make_room(size)).transpose()?;
        let most = self.wanted.size.unwrap_or(LARGEST_UNKNOWN);
        let mut growing = blocking("opening a part of a file", {
            let partial = partial.clone();
            move || Growing::open(&partial, most)
        })
        .await?;
        let taken_up = growing.written > 0;
        self.progress.send_modify(|progress| {
            progress.size = self.wanted.size;
            progress.file = Some(Arc::clone(&growing.file));
        });
        self.all(&mut growing, &mut room).await?;
        let found = sha256(&growing.hash);
        let size = growing.written;
        if found != self.wanted.sha256 || self.wanted.size.is_some_and(|wanted| wanted != size) {
            remove(&partial);
            if taken_up {
                // It may be our own part of it that was wrong: only a second failure is the mirror's.
                let why = "gave a file that does not fit what was begun before".into();
                return Err(Failure::Down { mirror: Arc::clone(&self.mirror.name), why });
            }
            return Err(self.mirror.is_unfit(&self.path, "has another hash than the signed index says"));
        }
        self.mirror.fits(&self.path);
        let modified =
            self.progress.borrow().modified.unwrap_or_else(|| super::store::instant(self.clock.now()));
        let (store, name, now) =
            (Arc::clone(&self.store), format!("{}/{}", self.mirror.name, self.path), self.clock.now());
        blocking("storing a file", move || store.put(&partial, &found, &name, modified, now)).await
    }

    /// Until all of it is there; places that do not have it are passed over.
    async fn all(&self, growing: &mut Growing, room: &mut Option<Room>) -> Result<(), Failure> {
        let mut validator = None;
        let (mut pauses, mut places) = (PAUSES.iter(), self.places.iter().peekable());
        while let Some(place) = places.peek() {
            if self.wanted.size == Some(growing.written) && growing.written > 0 {
                return Ok(());
            }
            match self.once(place, growing, room, &mut validator).await {
                Ok(()) => return Ok(()),
                Err(Broken::Final(Failure::NotThere { .. })) if self.places.len() > 1 => {
                    places.next();
                }
                Err(Broken::Final(failure)) => return Err(failure),
                Err(Broken::Again(failure)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(failure),
                },
            }
        }
        Err(self.not_there())
    }

    fn not_there(&self) -> Failure {
        Failure::NotThere { mirror: Arc::clone(&self.mirror.name), path: self.path.as_str().into() }
    }

    /// One request; what it brings is written.
    async fn once(
        &self,
        place: &str,
        growing: &mut Growing,
        room: &mut Option<Room>,
        validator: &mut Option<header::HeaderValue>,
    ) -> Result<(), Broken> {
        let from = growing.written;
        let answer = self.mirror.ask(place, upstream::range(from, validator.as_ref())).await?;
        let unfit = |why: &str| Broken::Final(self.mirror.is_unfit(&self.path, why));
        let again = |why: String| {
            Broken::Again(Failure::Down { mirror: Arc::clone(&self.mirror.name), why: why.into() })
        };
        let mut skip = match answer.status() {
            StatusCode::OK => from,
            StatusCode::PARTIAL_CONTENT if continues(answer.headers(), from) => 0,
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Broken::Final(self.not_there())),
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                growing.restart().map_err(|error| Failure::broken("beginning a file anew", &error))?;
                return Err(again("does not go on with what was begun".to_owned()));
            }
            status if status.is_server_error() => return Err(again(format!("answers {status}"))),
            status => {
                let why = format!("answers {status}").into();
                return Err(Broken::Final(Failure::Down { mirror: Arc::clone(&self.mirror.name), why }));
            }
        };
        let announced = answer.content_length().map(|length| length + from - skip);
        if let (Some(announced), Some(wanted)) = (announced, self.wanted.size)
            && announced != wanted
        {
            return Err(unfit(&format!("has {announced} bytes, and the signed index says {wanted}")));
        }
        if let (None, Some(announced)) = (&room, announced) {
            if announced > LARGEST_UNKNOWN {
                return Err(unfit("is larger than anything that is asked for by its hash"));
            }
            *room = Some(self.store.make_room(announced)?);
        }
        *validator = strong(answer.headers());
        self.progress.send_modify(|progress| progress.modified = modified(answer.headers()));
        let most = self.wanted.size.or(announced).unwrap_or(LARGEST_UNKNOWN);
        let mut pieces = answer.bytes_stream().ready_chunks(TOGETHER);
        while let Some(pieces) = pieces.next().await {
            let (mut come, mut broken) = (Vec::with_capacity(pieces.len()), None);
            for piece in pieces {
                match piece {
                    Ok(piece) => {
                        let skipped = skip.min(piece.len() as u64);
                        skip -= skipped;
                        come.push(piece.slice(usize::try_from(skipped).unwrap_or(usize::MAX)..));
                    }
                    Err(error) => broken = Some(error),
                }
            }
            let length: u64 = come.iter().map(|piece| piece.len() as u64).sum();
            if growing.written + length > most {
                remove(&self.store.partial(&self.wanted.sha256));
                return Err(unfit("is longer than the signed index says"));
            }
            self.mirror.counts.fetched.fetch_add(length, Ordering::Relaxed);
            growing.write(come).await.map_err(no_room)?;
            self.tell(growing.written);
            if let Some(error) = broken {
                let error = anyhow::Error::from(error.without_url());
                tracing::info!(
                    mirror = &*self.mirror.name,
                    path = self.path,
                    error = format!("{error:#}"),
                    "a transfer broke off"
                );
                return Err(again("breaks off in the middle of a file".to_owned()));
            }
        }
        match self.wanted.size {
            Some(wanted) if growing.written < wanted => {
                Err(again("breaks off in the middle of a file".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn tell(&self, written: u64) {
        let Some(size) = self.wanted.size else { return };
        let safe = written.min(size.saturating_sub(HELD_BACK));
        self.progress.send_if_modified(|progress| {
            let grows = safe > progress.safe;
            progress.safe = progress.safe.max(safe);
            grows
        });
    }
}

/// Whether a part begins where the last ended (RFC 9110, 14.4).
fn continues(headers: &header::HeaderMap, from: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    range.strip_prefix("bytes ").and_then(|range| range.split('-').next()) == Some(from.to_string().as_str())
}

/// What says that a file is still the same: a strong tag, or else its date.
fn strong(headers: &header::HeaderMap) -> Option<header::HeaderValue> {
    let tag = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    tag.or_else(|| headers.get(header::LAST_MODIFIED)).cloned()
}

/// What a mirror says of a file's last change.
pub(super) fn modified(headers: &header::HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(header::LAST_MODIFIED)?.to_str().ok()?).ok()
}

fn no_room(error: io::Error) -> Broken {
    Broken::Final(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::NoRoom("the disk of the server's data is full")
        }
        _ => Failure::broken("writing a file of the package cache", &error),
    })
}

fn remove(partial: &std::path::Path) {
    if let Err(error) = fs_err::remove_file(partial) {
        tracing::warn!(%error, "a part of a file cannot be removed");
    }
}

fn sha256(hash: &digest::Context) -> Sha256 {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.clone().finish().as_ref());
    Sha256::from_bytes(bytes)
}

/// Runs what waits for the disk beside everything else.
///
/// # Errors
/// What it ends with.
pub(super) async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| match no_room(error) {
            Broken::Final(Failure::Broken(why)) => Failure::broken(attempt, &why),
            Broken::Final(failure) | Broken::Again(failure) => failure,
        }),
        Err(error) => Err(Failure::broken(attempt, &error)),
    }
}

impl Growing {
    /// Takes up what is there, if it is no more than it may become.
    fn open(partial: &std::path::Path, most: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
            .open(partial)?;
        let mut growing =
            Self { file: Arc::new(file), written: 0, hash: digest::Context::new(&digest::SHA256) };
        if growing.file.metadata()?.len() > most {
            growing.restart()?;
        }
        let mut piece = vec![0; 1 << 18];
        loop {
            let read = growing.file.read_at(&mut piece, growing.written)?;
            if read == 0 {
                return Ok(growing);
            }
            growing.hash.update(&piece[..read]);
            growing.written += read as u64;
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.written = 0;
        self.hash = digest::Context::new(&digest::SHA256);
        Ok(())
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        let (file, mut hash, mut at) = (Arc::clone(&self.file), self.hash.clone(), self.written);
        let written = tokio::task::spawn_blocking(move || {
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                hash.update(&piece);
                at += piece.len() as u64;
            }
            io::Result::Ok((hash, at))
        });
        (self.hash, self.written) = written.await.map_err(io::Error::other)??;
        Ok(())
    }
}
