//! One transfer for everybody who wants the same content, and the indices that are read when they have come.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use tokio::sync::watch;
use wire::Sha256;

use super::{
    Cache, Named,
    failure::Failure,
    flight::{Progress, Transfer, blocking},
    index,
    release::Wanted,
    store::Opened,
    upstream::Mirror,
};

impl Cache {
    /// Joins the transfer of a content, or begins it; true when it was begun.
    pub(super) fn fly(
        &self,
        mirror: &Arc<Mirror>,
        named: Named,
    ) -> Result<(watch::Receiver<Progress>, bool), Failure> {
        if self.is_offline() {
            return Err(Failure::Offline(named.path.into()));
        }
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = flights.get(&named.wanted.sha256) {
            return Ok((progress.clone(), false));
        }
        // It may have come since whoever asks has looked.
        let known_as = format!("{}/{}", mirror.name, named.path);
        let (sha256, size) = (&named.wanted.sha256, named.wanted.size);
        if let Some(opened) = self.store.get(sha256, size, &known_as, self.clock.now()) {
            let (size, modified) = (opened.size, Some(opened.modified));
            let come =
                Progress { size: Some(size), safe: size, file: None, modified, ended: Some(Ok(opened)) };
            return Ok((watch::channel(come).1, false));
        }
        let (tell, progress) = watch::channel(Progress::default());
        flights.insert(named.wanted.sha256.clone(), progress.clone());
        drop(flights);
        let transfer = Transfer {
            mirror: Arc::clone(mirror),
            path: named.path,
            places: named.places,
            wanted: named.wanted,
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            progress: tell,
        };
        let cache = self.clone();
        // It goes on when whoever asked goes away: what has come is kept.
        tokio::spawn(async move {
            let landing = Landing { cache: &cache, sha256: &transfer.wanted.sha256 };
            let ended = transfer.run().await;
            if ended.is_ok() {
                cache.read_index(&transfer.mirror, &transfer.path, &transfer.wanted);
            }
            if let Err(failure) = &ended {
                cache.note_not_there(&format!("{}/{}", transfer.mirror.name, transfer.path), failure);
            }
            drop(landing);
            transfer.progress.send_modify(|progress| {
                if let Ok(opened) = &ended {
                    (progress.safe, progress.size) = (opened.size, Some(opened.size));
                }
                progress.ended = Some(ended);
            });
        });
        Ok((progress, true))
    }

    /// Fetches a file, and waits for its end.
    pub(super) async fn fetch_whole(
        &self,
        mirror: &Arc<Mirror>,
        path: &str,
        places: Vec<String>,
        wanted: Wanted,
    ) -> Result<(), Failure> {
        let (mut progress, _) = self.fly(mirror, Named { path: path.to_owned(), places, wanted })?;
        let ended = progress.wait_for(|progress| progress.ended.is_some()).await;
        let ended = ended.map_err(|error| Failure::broken("waiting for a transfer", &error))?.ended.clone();
        ended.map_or(Ok(()), |ended| ended.map(drop))
    }

    /// Reads an index that has come, beside everything else; who looks for a file waits for it.
    pub(super) fn read_index(&self, mirror: &Mirror, path: &str, wanted: &Wanted) {
        let (mirror, path, wanted) = (mirror.name.to_string(), path.to_owned(), wanted.clone());
        let Some(kind) = index::kind(&path).filter(|_| !self.tables.has(&mirror, &wanted.sha256)) else {
            return;
        };
        let Some(opened) = self.store.get(&wanted.sha256, wanted.size, &path, self.clock.now()) else {
            return;
        };
        self.reading.fetch_add(1, Ordering::SeqCst);
        let (cache, tables) = (self.clone(), Arc::clone(&self.tables));
        tokio::spawn(async move {
            let named = path.clone();
            let read = blocking("reading an index", move || {
                // The file was only written through this handle's twin so far; it is read from its beginning.
                let packed = std::io::BufReader::with_capacity(1 << 17, Beginning { opened, at: 0 });
                let mut text = index::unpacked(&path, packed)?;
                tables.add(&mirror, &path, kind, &wanted.sha256, &mut text)
            });
            if let Err(failure) = read.await {
                tracing::error!(%failure, path = named, "an index of a mirror cannot be read");
            }
            cache.reading.fetch_sub(1, Ordering::SeqCst);
            cache.read.notify_waiters();
        });
    }

    /// Waits until every index that has come is read.
    pub(super) async fn all_read(&self) {
        loop {
            let read = self.read.notified();
            if self.reading.load(Ordering::SeqCst) == 0 {
                return;
            }
            read.await;
        }
    }
}

/// Ends the entry of a transfer, also when it panics: the next who asks begins anew.
struct Landing<'a> {
    cache: &'a Cache,
    sha256: &'a Sha256,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.cache.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(self.sha256);
    }
}

/// Reads a file that others read, too, from its beginning.
struct Beginning {
    opened: Opened,
    at: u64,
}

impl std::io::Read for Beginning {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(&*self.opened.file, piece, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
