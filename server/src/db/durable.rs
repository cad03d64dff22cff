//! Makes commits of `SQLite` last through a power cut, many at a time.
//!
//! In write-ahead mode with `synchronous = NORMAL` a commit is in the file but not yet on the disk: after a power cut the server would
//! not know of work that it had given out, nor of lines that agents had forgotten because they were told to be stored. With `FULL` every
//! commit would wait for the disk alone, one after the other. So everybody commits first, and one fdatasync(2) of the log serves all
//! that were committed before it began.
//!
//! Invariant: when [`Durable::wait`] is `Ok`, what was committed before it was called is on the disk.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

/// The write-ahead log of one database.
#[derive(Debug)]
pub struct Durable {
    /// `SQLite` keeps its locks on other files, so closing this one takes none away.
    log: PathBuf,
    committed: AtomicU64,
    /// How many commits are on the disk.
    synced: Mutex<u64>,
}

impl Durable {
    /// The log of the database in this file.
    pub(super) fn new(database: &std::path::Path) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        Self { log: log.into(), committed: AtomicU64::new(0), synced: Mutex::new(0) }
    }

    /// Waits until what is committed is on the disk.
    pub(super) async fn wait(&self) -> io::Result<()> {
        let mine = self.committed.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().await;
        if *synced >= mine {
            return Ok(());
        }
        let all = self.committed.load(Ordering::SeqCst);
        let log = self.log.clone();
        let done = tokio::task::spawn_blocking(move || match std::fs::File::open(log) {
            Ok(log) => log.sync_data(),
            // The last connection that closed has put its content into the database, and that on the disk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        done.await.map_err(io::Error::other)??;
        *synced = all;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Db, Location, layouts};

    #[tokio::test]
    async fn a_commit_that_is_over_is_on_the_disk_and_one_sync_serves_many() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&Location::Sqlite(directory.path().join("db")), 0).await.unwrap();
        let Db::Sqlite { durable, .. } = &db else { panic!("not SQLite") };
        let before = *durable.synced.lock().await;
        let commits = (0..20).map(|number| {
            let db = db.clone();
            async move {
                let mut tx = db.write().await.unwrap();
                layouts::set(&mut tx, &format!("l{number}"), "", 0).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        futures_util::future::join_all(commits).await;
        assert_eq!(*durable.synced.lock().await, before + 20);
    }
}
