//! Own repositories: their packages, and every state that their suites are and were in.

use std::collections::BTreeMap;

use wire::JobId;

use super::{Error, Row, Tx, args, id_list, to_json};
use crate::domain::repository::{Control, Suite};

/// A repository as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// So many versions of a package stay in testing.
    pub keep: i64,
    /// When it was made.
    pub created_at: i64,
}

/// A package that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its number.
    pub id: i64,
    /// What it says of itself.
    pub control: Control,
    /// Its content.
    pub sha256: wire::Sha256,
    /// Its length.
    pub size_bytes: i64,
    /// When it came.
    pub uploaded_at: i64,
    /// Who sent it.
    pub uploaded_by: String,
}

/// A state of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// From 1; the highest is what clients get.
    pub number: i64,
    /// Numbers of its packages.
    pub packages: Vec<i64>,
    /// `upload`, `remove`, `promote` or `roll-back`.
    pub why: String,
    /// When it was made.
    pub made_at: i64,
    /// By whom.
    pub made_by: String,
}

/// What clients get of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// When it was signed.
    pub made_at: i64,
    /// `Release`.
    pub release: String,
    /// `InRelease`.
    pub in_release: String,
    /// `Release.gpg`.
    pub signature: String,
    /// The hashes of its indices, by path.
    pub files: BTreeMap<String, wire::Sha256>,
}

fn repository(row: &Row) -> Result<Repository, Error> {
    Ok(Repository {
        id: row.int("id")?,
        name: row.text("name")?,
        description: row.text("description")?,
        keep: row.int("keep")?,
        created_at: row.int("created_at")?,
    })
}

const REPOSITORY: &str = "SELECT id, name, description, keep, created_at FROM repositories";

/// All repositories by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Repository>, Error> {
    tx.all(&format!("{REPOSITORY} ORDER BY name"), []).await?.iter().map(repository).collect()
}

/// A repository by its name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Repository>, Error> {
    tx.optional(&format!("{REPOSITORY} WHERE name = $1"), args![name])
        .await?
        .as_ref()
        .map(repository)
        .transpose()
}

/// Makes a repository.
pub async fn create(tx: &mut Tx, name: &str, description: &str, keep: i64, now: i64) -> Result<i64, Error> {
    let sql =
        "INSERT INTO repositories (name, description, keep, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    tx.insert(sql, args![name, description, keep, now]).await
}

/// Removes a repository with everything in it.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM repositories WHERE id = $1", args![id]).await.map(drop)
}

const PACKAGE: &str =
    "SELECT id, control, sha256, size_bytes, uploaded_at, uploaded_by FROM repository_packages";

fn package(row: &Row) -> Result<Package, Error> {
    let control = Control::parse(&row.text("control")?)
        .map_err(|error| Error::Value { column: "control".to_owned(), source: error.into() })?;
    Ok(Package {
        id: row.int("id")?,
        control,
        sha256: row.parsed("sha256")?,
        size_bytes: row.int("size_bytes")?,
        uploaded_at: row.int("uploaded_at")?,
        uploaded_by: row.text("uploaded_by")?,
    })
}

/// All packages of a repository, by name, the newest upload first.
pub async fn packages(tx: &mut Tx, repository: i64) -> Result<Vec<Package>, Error> {
    let sql = format!("{PACKAGE} WHERE repository_id = $1 ORDER BY name, id DESC");
    tx.all(&sql, args![repository]).await?.iter().map(package).collect()
}

/// A package by what it says of itself.
pub async fn find_package(tx: &mut Tx, repository: i64, control: &Control) -> Result<Option<Package>, Error> {
    let sql =
        format!("{PACKAGE} WHERE repository_id = $1 AND name = $2 AND version = $3 AND architecture = $4");
    let args = args![repository, &control.name, &control.version, &control.architecture];
    tx.optional(&sql, args).await?.as_ref().map(package).transpose()
}

/// Whether a repository has a file.
pub async fn has_content(tx: &mut Tx, repository: i64, sha256: &wire::Sha256) -> Result<bool, Error> {
    let sql = "SELECT id FROM repository_packages WHERE sha256 = $1 AND repository_id = $2";
    Ok(tx.optional(sql, args![sha256, repository]).await?.is_some())
}

/// Keeps a package.
pub async fn add_package(
    tx: &mut Tx,
    repository: i64,
    control: &Control,
    (sha256, size_bytes): (&wire::Sha256, i64),
    actor: &str,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO repository_packages (repository_id, name, version, architecture, sha256, size_bytes, control, uploaded_at, uploaded_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";
    let args = args![
        repository,
        &control.name,
        &control.version,
        &control.architecture,
        sha256,
        size_bytes,
        &control.text,
        now,
        actor
    ];
    tx.insert(sql, args).await
}

/// Removes packages.
pub async fn remove_packages(tx: &mut Tx, ids: &[i64]) -> Result<(), Error> {
    for some in ids.chunks(super::MOST_IN_LIST) {
        let (list, args) = id_list(some.iter().copied());
        tx.execute(&format!("DELETE FROM repository_packages WHERE id IN {list}"), args).await?;
    }
    Ok(())
}

fn snapshot(row: &Row) -> Result<Snapshot, Error> {
    Ok(Snapshot {
        number: row.int("number")?,
        packages: row.json("packages")?,
        why: row.text("why")?,
        made_at: row.int("made_at")?,
        made_by: row.text("made_by")?,
    })
}

/// The newest `limit` states of a suite, the newest first.
pub async fn snapshots(
    tx: &mut Tx,
    repository: i64,
    suite: Suite,
    limit: i64,
) -> Result<Vec<Snapshot>, Error> {
    let sql = "SELECT number, packages, why, made_at, made_by FROM repository_snapshots \
               WHERE repository_id = $1 AND suite = $2 ORDER BY number DESC LIMIT $3";
    tx.all(sql, args![repository, suite.as_str(), limit]).await?.iter().map(snapshot).collect()
}

/// Keeps a new state of a suite: from now on clients get it.
///
/// # Errors
/// [`Error::Exists`] when somebody else was first.
pub async fn add_snapshot(
    tx: &mut Tx,
    repository: i64,
    suite: Suite,
    snapshot: &Snapshot,
    documents: &Documents,
) -> Result<(), Error> {
    let sql = "INSERT INTO repository_snapshots (repository_id, suite, number, packages, why, made_at, made_by, release, in_release, signature, files) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let args = args![
        repository,
        suite.as_str(),
        snapshot.number,
        to_json(&snapshot.packages)?,
        &snapshot.why,
        snapshot.made_at,
        &snapshot.made_by,
        &documents.release,
        &documents.in_release,
        &documents.signature,
        to_json(&documents.files)?
    ];
    tx.execute(sql, args).await.map(drop)
}

/// What clients get of a suite.
pub async fn documents(tx: &mut Tx, repository: i64, suite: Suite) -> Result<Option<Documents>, Error> {
    let sql = "SELECT made_at, release, in_release, signature, files FROM repository_snapshots \
               WHERE repository_id = $1 AND suite = $2 ORDER BY number DESC LIMIT 1";
    let row = tx.optional(sql, args![repository, suite.as_str()]).await?;
    row.map(|row| {
        Ok(Documents {
            made_at: row.int("made_at")?,
            release: row.text("release")?,
            in_release: row.text("in_release")?,
            signature: row.text("signature")?,
            files: row.json("files")?,
        })
    })
    .transpose()
}

/// Whether any state of a suite that is kept names an index of this content.
pub async fn names_index(
    tx: &mut Tx,
    repository: i64,
    suite: Suite,
    sha256: &wire::Sha256,
) -> Result<bool, Error> {
    let sql = "SELECT id FROM repository_snapshots WHERE repository_id = $1 AND suite = $2 AND files LIKE $3 LIMIT 1";
    let args = args![repository, suite.as_str(), format!("%\"{sha256}\"%")];
    Ok(tx.optional(sql, args).await?.is_some())
}

/// Whether anything was ever signed.
pub async fn anything_signed(tx: &mut Tx) -> Result<bool, Error> {
    Ok(tx.optional("SELECT id FROM repository_snapshots LIMIT 1", []).await?.is_some())
}

/// Removes all but the newest `keep` states of every suite.
pub async fn prune(tx: &mut Tx, keep: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM repository_snapshots WHERE number <= (SELECT max(s.number) FROM repository_snapshots s \
               WHERE s.repository_id = repository_snapshots.repository_id AND s.suite = repository_snapshots.suite) - $1";
    tx.execute(sql, args![keep]).await
}

/// The content of every file that is still needed.
pub async fn needed(tx: &mut Tx) -> Result<Vec<wire::Sha256>, Error> {
    let mut all = Vec::new();
    for row in tx.all("SELECT sha256 FROM repository_packages", []).await? {
        all.push(row.parsed("sha256")?);
    }
    for row in tx.all("SELECT files FROM repository_snapshots", []).await? {
        all.extend(row.json::<BTreeMap<String, wire::Sha256>>("files")?.into_values());
    }
    Ok(all)
}

/// Notes that a job takes packages into a repository.
pub async fn add_taking(tx: &mut Tx, job: JobId, repository: i64) -> Result<(), Error> {
    let sql = "INSERT INTO repository_takings (job_id, repository_id) VALUES ($1, $2)";
    tx.execute(sql, args![job, repository]).await.map(drop)
}

/// The repository into which a job takes packages, by name.
pub async fn taking(tx: &mut Tx, job: JobId) -> Result<Option<String>, Error> {
    let sql = "SELECT r.name FROM repository_takings t JOIN repositories r ON r.id = t.repository_id WHERE t.job_id = $1";
    tx.optional(sql, args![job]).await?.map(|row| row.text("name")).transpose()
}

/// A job that is tried again takes packages into the same repository; one that takes none still does not.
pub async fn take_again(tx: &mut Tx, old: JobId, new: JobId) -> Result<(), Error> {
    let sql = "INSERT INTO repository_takings (job_id, repository_id) \
               SELECT $2, repository_id FROM repository_takings WHERE job_id = $1";
    tx.execute(sql, args![old, new]).await.map(drop)
}
