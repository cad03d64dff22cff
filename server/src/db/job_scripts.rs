//! Own versions of job scripts. A version is never changed; which one counts is a choice beside them.

use std::collections::BTreeMap;

use super::{Error, Row, Tx, args, to_json};

/// A version, without its files.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Version {
    /// Its number; 0 is the one that Lotse or the site's folder brings.
    pub number: i64,
    /// What is different, in the words of whoever made it.
    pub comment: String,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
}

fn version(row: &Row) -> Result<Version, Error> {
    Ok(Version {
        number: row.int("number")?,
        comment: row.text("comment")?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
    })
}

/// Own versions of a job script, newest first.
pub async fn versions(tx: &mut Tx, name: &str) -> Result<Vec<Version>, Error> {
    let sql = "SELECT number, comment, created_at, created_by FROM job_script_versions WHERE name = $1 ORDER BY number DESC";
    tx.all(sql, args![name]).await?.iter().map(version).collect()
}

/// Names of job scripts that have own versions, with how many.
pub async fn counts(tx: &mut Tx) -> Result<BTreeMap<String, i64>, Error> {
    let rows = tx.all("SELECT name, count(*) AS count FROM job_script_versions GROUP BY name", []).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.int("count")?))).collect()
}

/// The files of a version.
pub async fn files(tx: &mut Tx, name: &str, number: i64) -> Result<Option<BTreeMap<String, String>>, Error> {
    let sql = "SELECT files FROM job_script_versions WHERE name = $1 AND number = $2";
    tx.optional(sql, args![name, number]).await?.map(|row| row.json("files")).transpose()
}

/// Adds a version; its number is the next one.
///
/// # Errors
/// [`Error::Exists`] when another one took the number meanwhile.
pub async fn add(
    tx: &mut Tx,
    name: &str,
    files: &BTreeMap<String, String>,
    comment: &str,
    actor: &str,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO job_script_versions (name, number, files, comment, created_at, created_by) VALUES ($1, \
               (SELECT COALESCE(max(number), 0) + 1 FROM job_script_versions WHERE name = $1), $2, $3, $4, $5) RETURNING number AS id";
    tx.insert(sql, args![name, to_json(files)?, comment, now, actor]).await
}

/// Lets a version count from now on; 0 is the one that is brought.
pub async fn choose(tx: &mut Tx, name: &str, number: i64, actor: &str, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO job_script_choices (name, number, changed_at, changed_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET number = excluded.number, changed_at = excluded.changed_at, changed_by = excluded.changed_by";
    tx.execute(sql, args![name, number, now, actor]).await?;
    Ok(())
}

/// The number that counts of each job script about which somebody has chosen.
pub async fn choices(tx: &mut Tx) -> Result<BTreeMap<String, i64>, Error> {
    let rows = tx.all("SELECT name, number FROM job_script_choices", []).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.int("number")?))).collect()
}
