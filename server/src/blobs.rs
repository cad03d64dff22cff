//! Stored files, named by the hash of their content. A file is there as a whole or not at all.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use wire::{Sha256, enrol::BlobRef};

/// The directory of stored files.
#[derive(Clone, Debug)]
pub struct Blobs {
    directory: PathBuf,
}

/// Why a file was not stored or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("{attempt} {path}", path = path.display())]
    Io {
        /// What was attempted, as a gerund.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what was announced.
    #[error("the content has the hash {got}, announced was {wanted}; nothing was stored")]
    Mismatch {
        /// Announced.
        wanted: Sha256,
        /// Found.
        got: Sha256,
    },
    /// The sender broke off.
    #[error("receiving the content")]
    Receive(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Blobs {
    /// Opens the directory, making it when it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: PathBuf) -> Result<Self, Error> {
        fs_err::create_dir_all(&directory).map_err(io("making", &directory))?;
        Ok(Self { directory })
    }

    /// Where the files are, for what belongs on the same disk.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file is, when it is there.
    pub fn find(&self, sha256: &Sha256) -> Option<PathBuf> {
        let path = self.directory.join(sha256.as_str());
        path.is_file().then_some(path)
    }

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn delete(&self, sha256: &Sha256) -> Result<(), Error> {
        let path = self.directory.join(sha256.as_str());
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("removing", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes whole files that `needed` does not hold and that are older than `age`; tells how many.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn retain(
        &self,
        needed: &std::collections::HashSet<Sha256>,
        age: std::time::Duration,
    ) -> Result<usize, Error> {
        let mut removed = 0;
        for entry in fs_err::read_dir(&self.directory).map_err(io("reading", &self.directory))? {
            let entry = entry.map_err(io("reading", &self.directory))?;
            let Ok(sha256) = entry.file_name().to_string_lossy().parse::<Sha256>() else { continue };
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age));
            if is_old && !needed.contains(&sha256) {
                self.delete(&sha256)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Stores what a stream brings; with `wanted` only when it has that hash.
    ///
    /// # Errors
    /// The disk is full or refuses, the stream breaks off, or the hash differs; in each case nothing is left behind.
    pub async fn store<E>(
        &self,
        mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
        wanted: Option<&Sha256>,
    ) -> Result<BlobRef, Error>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let partial = tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(&self.directory)
            .map_err(io("making a temporary file in", &self.directory))?;
        let file = partial.reopen().map_err(io("opening", partial.path()))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut size_bytes = 0;
        while let Some(chunk) = content.next().await {
            let chunk = chunk.map_err(|error| Error::Receive(error.into()))?;
            hash.update(&chunk);
            size_bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(io("writing", partial.path()))?;
        }
        file.flush().await.map_err(io("writing", partial.path()))?;
        file.sync_all().await.map_err(io("writing", partial.path()))?;
        let sha256 = sha256_of(hash);
        if let Some(wanted) = wanted.filter(|wanted| **wanted != sha256) {
            return Err(Error::Mismatch { wanted: wanted.clone(), got: sha256 });
        }
        let path = self.directory.join(sha256.as_str());
        partial.persist(&path).map_err(|error| io("renaming to", &path)(error.error))?;
        sync_directory(&self.directory)?;
        Ok(BlobRef { sha256, size_bytes })
    }
}

fn io(attempt: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { attempt, path, source }
}

fn sync_directory(directory: &Path) -> Result<(), Error> {
    std::fs::File::open(directory).and_then(|file| file.sync_all()).map_err(io("writing", directory))
}

fn sha256_of(hash: digest::Context) -> Sha256 {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    Sha256::from_bytes(bytes)
}

/// The hash of some bytes.
pub fn hash(bytes: &[u8]) -> Sha256 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(bytes);
    sha256_of(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + use<> {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
        futures_util::stream::iter(parts)
    }

    #[tokio::test]
    async fn a_file_is_found_by_the_hash_of_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().to_owned()).unwrap();
        let blob = blobs.store(stream(&["ab", "c"]), None).await.unwrap();
        assert_eq!(blob.sha256, hash(b"abc"));
        assert_eq!(fs_err::read(blobs.find(&blob.sha256).unwrap()).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn wrong_or_broken_content_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().to_owned()).unwrap();
        blobs.store(stream(&["abc"]), Some(&hash(b"abd"))).await.unwrap_err();
        let broken =
            futures_util::stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("cut"))]);
        blobs.store(broken, None).await.unwrap_err();
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    }
}
