//! Backups of the server itself, as snapshots of a restic repository: encrypted, and only what is new takes room.
//!
//! Invariant: what a snapshot holds fits together, though the server works meanwhile. The database is copied first, as of one moment; keys
//! do not change, and files that it names (images, packages of repositories) are added under the hash of their content and never changed.
//! What an image's deletion takes away in between can be built again.
//!
//! restic does the rest: directories, S3, SFTP and restic's own server are places that it knows, and `restic forget` ages snapshots out.

mod database;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use wire::Sha256;

use crate::{
    clock::Clock,
    config::Config,
    db::{self, Location},
    identity::Authority,
    process,
};

/// Where the copy of the database and the description lie while they are saved, below the data directory.
const STAGING: &str = "backup";
/// Where a snapshot is unpacked, below an empty data directory.
const RESTORING: &str = "restoring";
const DESCRIPTION: &str = "description.json";
/// Parts of the data directory that are saved; the first two make it this server.
const PARTS: [&str; 4] = ["keys", "ca.pem", "repositories", "blobs"];
/// By which snapshots of servers are known in a repository that may hold others.
const TAG: &str = "lotse-server";
const FORMAT: u32 = 1;

/// A repository of restic.
#[derive(Clone, Debug, clap::Args)]
pub struct Repository {
    /// Where it is, in restic's words: a directory, `s3:https://HOST/BUCKET`, `sftp:USER@HOST:DIR`, `rest:https://HOST/`.
    #[arg(long, value_name = "PLACE", env = "RESTIC_REPOSITORY")]
    pub repository: String,
    /// File with the password that encrypts it. Without it the backup is lost: keep it elsewhere, too.
    #[arg(long, value_name = "FILE", env = "RESTIC_PASSWORD_FILE")]
    pub password_file: PathBuf,
}

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Of this file.
    format: u32,
    /// Version of the server that wrote it.
    pub version: String,
    /// The newest schema of the database that it knew.
    pub schema: i64,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// When the database was copied, in microseconds since the Unix epoch.
    pub made_at: i64,
}

/// A snapshot of a repository, as restic lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its short name.
    pub short_id: String,
    /// When it was made (RFC 3339).
    pub time: String,
    /// Host name of the server.
    pub hostname: String,
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// What the snapshot said of itself.
    pub description: Description,
    /// SHA-256 of the server's CA: the one that its agents know.
    pub ca_fingerprint: Sha256,
}

impl Repository {
    async fn restic(&self, directory: &Path, words: &[&str]) -> anyhow::Result<Vec<String>> {
        // restic keeps paths as they are given: relative ones can be restored anywhere.
        let place =
            ["env", "--chdir"].map(str::to_owned).into_iter().chain([directory.display().to_string()]);
        let restic = ["restic", "--quiet", "--repo", &self.repository, "--password-file"].map(str::to_owned);
        let password =
            fs_err::canonicalize(&self.password_file).context("looking for the password of the backup")?;
        let argv: Vec<String> = place
            .chain(restic)
            .chain([password.display().to_string()])
            .chain(words.iter().map(|word| (*word).to_owned()))
            .collect();
        let mut lines = Vec::new();
        let ended = process::given(&argv, &[], "", |line| lines.push(line.to_owned()))
            .await
            .context("running restic (Debian's package restic)")?;
        if !ended.is_fine {
            bail!("restic, at {}: {}", self.repository, ended.stderr.trim());
        }
        Ok(lines)
    }

    /// Makes the repository; one that is there is an error.
    ///
    /// # Errors
    /// The place cannot be used, or has one already.
    pub async fn init(&self) -> anyhow::Result<()> {
        self.restic(Path::new("/"), &["init"]).await.map(drop).context("making the repository")
    }

    /// The snapshots of servers, the oldest first.
    ///
    /// # Errors
    /// There is no repository, or the password is another one.
    pub async fn list(&self) -> anyhow::Result<Vec<Snapshot>> {
        let lines = self.restic(Path::new("/"), &["snapshots", "--json", "--tag", TAG]).await?;
        serde_json::from_str(&lines.concat()).context("reading restic's list of snapshots")
    }

    /// Reads everything that the repository holds, and compares it with its hashes.
    ///
    /// # Errors
    /// Something is missing or damaged.
    pub async fn check(&self) -> anyhow::Result<()> {
        self.restic(Path::new("/"), &["check", "--read-data"]).await.map(drop).context("checking the backup")
    }
}

/// Saves a server, which may work meanwhile.
///
/// # Errors
/// There is no server's data, the database cannot be copied, or restic fails; the copy is removed in any case.
pub async fn create(config: &Config, repository: &Repository, clock: &Clock) -> anyhow::Result<Description> {
    let data = fs_err::canonicalize(&config.data).context("looking for the server's data")?;
    for part in &PARTS[..2] {
        ensure!(
            data.join(part).exists(),
            "{} has no {part}\n  → give the data directory that `lotse serve` uses, after its first start",
            data.display()
        );
    }
    let staging = data.join(STAGING);
    remove(&staging)?;
    let made = async {
        make_private(&staging)?;
        let description = Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: db::newest_schema(),
            database: database::kind(&config.database).to_owned(),
            made_at: clock.now(),
        };
        database::copy(&config.database, &staging).await?;
        fs_err::write(staging.join(DESCRIPTION), serde_json::to_vec_pretty(&description)?)?;
        let there = PARTS.into_iter().filter(|part| data.join(part).exists());
        let words: Vec<&str> = ["backup", "--tag", TAG, STAGING].into_iter().chain(there).collect();
        repository.restic(&data, &words).await?;
        anyhow::Ok(description)
    }
    .await;
    let removed = remove(&staging);
    // Why it failed says more than what could not be cleared away.
    made.and_then(|made| removed.map(|()| made))
}

/// Puts a server back where none is: into an empty data directory and an empty database.
///
/// # Errors
/// Something is there already, the snapshot is of a newer version or of the other kind of database, or restic fails: then nothing is
/// put back. When the disk fails at the very end, parts may be there; a second try says that the directory is not empty.
pub async fn restore(config: &Config, repository: &Repository, snapshot: &str) -> anyhow::Result<Restored> {
    let data = std::path::absolute(&config.data)?;
    let is_empty = !data.exists() || fs_err::read_dir(&data)?.next().is_none();
    ensure!(
        is_empty,
        "{} is not empty\n  → stop the server and move the directory away; nothing of it is overwritten",
        data.display()
    );
    // On the same file system, so that all of it is there at once in the end.
    let beside = data.join(RESTORING);
    let restored = async {
        make_private(&beside)?;
        let target = beside.display().to_string();
        repository.restic(Path::new("/"), &["restore", snapshot, "--tag", TAG, "--target", &target]).await?;
        let staging = beside.join(STAGING);
        let description = fs_err::read(staging.join(DESCRIPTION)).context("this is no snapshot of a Lotse server")?;
        let description: Description = serde_json::from_slice(&description)
            .context("reading the snapshot's description")?;
        ensure!(
            description.format <= FORMAT && description.schema <= db::newest_schema(),
            "the snapshot was made by Lotse {}, which is newer than this one\n  → install that version first",
            description.version
        );
        let wanted = database::kind(&config.database);
        ensure!(
            description.database == wanted,
            "the snapshot has a {} database, and {wanted} is configured\n  → configure the same kind as before",
            description.database
        );
        let authority = Authority::open(&beside, description.made_at)?;
        let ca_fingerprint = authority.fingerprint().clone();
        database::put_back(&config.database, &staging).await?;
        for part in PARTS.into_iter().filter(|part| beside.join(part).exists()) {
            fs_err::rename(beside.join(part), data.join(part))?;
        }
        belongs_like(&data, &data.join("keys"))?;
        if let Location::Sqlite(path) = &config.database {
            belongs_like(path, &data.join("keys"))?;
        }
        anyhow::Ok(Restored { description, ca_fingerprint })
    }
    .await;
    let removed = remove(&beside);
    restored.and_then(|restored| removed.map(|()| restored))
}

/// root restores for the account that the server runs as.
fn belongs_like(path: &Path, other: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let owner = fs_err::metadata(other)?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
        .with_context(|| format!("giving {} to the server's account", path.display()))
}

fn make_private(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("making the directory {}", directory.display()))
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match fs_err::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
