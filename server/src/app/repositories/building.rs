//! Makes a package of files that somebody sends, and takes it into a repository.

use bytes::Bytes;
use futures_util::Stream;
use tokio_util::io::ReaderStream;

use super::{RepositoryPackage, get, not_stored, upload};
use crate::{
    app::Error,
    archive::{build, tree},
    context::Ctx,
    domain::package_build::PackageBuild,
};

/// Makes a package of an archive of files; it is in testing at once. The same files with the same words are the same package.
///
/// # Errors
/// There is no such repository, the words or files cannot be used, or there is another package of this name, version and architecture.
pub async fn build<E>(
    ctx: &Ctx,
    name: &str,
    wanted: &PackageBuild,
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    actor: &str,
) -> Result<RepositoryPackage, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    get(&mut ctx.db.read().await?, name).await?;
    let problems = wanted.problems();
    if !problems.is_empty() {
        return Err(Error::fields("the package cannot be built so", problems));
    }
    // What was sent is named by nothing: it goes when it is old enough to be no upload on its way.
    let blob = ctx.packages.store(content, None).await.map_err(not_stored)?;
    let (files, order) = (ctx.packages.clone(), wanted.clone());
    let made = move || -> Result<_, tree::Error> {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = files.find(&blob.sha256).ok_or_else(gone)?;
        build::build(&mut std::fs::File::open(path)?, &order, files.directory())
    };
    let made = tokio::task::spawn_blocking(made).await.map_err(|error| Error::Internal(error.into()))?;
    let package = made.map_err(|error| match error {
        tree::Error::Unfit(why) => Error::invalid(
            format!("the files are not made into the package {}: {why}", wanted.package),
            "send a .tar, .tar.gz, .tar.xz, .tar.zst or .zip archive of files as they shall be on the client",
        ),
        tree::Error::Io(error) => Error::Unavailable {
            title: format!("the package could not be made: {error}"),
            remedy: "look for free space in the server's data directory".to_owned(),
        },
    })?;
    let content = ReaderStream::with_capacity(tokio::fs::File::from_std(package), 1 << 17);
    upload(ctx, name, content, actor).await
}
