//! What archives offer: indices by their place, and the packages in them. A version of an index counts from one moment on.

use super::{Error, Row, Tx, args, dialect::within_like, id_list};

/// Rows that are written by one statement.
const ROWS: usize = 200;

/// Where an index is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// A mirror of the package cache, or `repository:NAME`.
    pub archive: String,
    /// The suite.
    pub suite: String,
    /// The component.
    pub component: String,
    /// The architecture.
    pub architecture: String,
}

/// An index as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its number.
    pub id: i64,
    /// Where it is.
    pub place: Place,
    /// Its content; empty when it was not read yet.
    pub sha256: String,
    /// When its archive signed it.
    pub dated_at: i64,
    /// When the archive was last asked.
    pub read_at: i64,
    /// When somebody last searched in it.
    pub wanted_at: i64,
    /// How many packages it has.
    pub packages: i64,
    /// Why it could not be read anew.
    pub problem: String,
    /// The version that counts.
    pub live: Option<i64>,
}

/// A package that an index lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its section.
    pub section: String,
    /// Bytes that are fetched.
    pub size_bytes: i64,
    /// Bytes on the disk.
    pub installed_bytes: i64,
    /// One line.
    pub description: String,
}

const COLUMNS: &str = "id, archive, suite, component, architecture, sha256, dated_at, read_at, wanted_at, packages, problem, live";

fn from_row(row: &Row) -> Result<Index, Error> {
    Ok(Index {
        id: row.int("id")?,
        place: Place {
            archive: row.text("archive")?,
            suite: row.text("suite")?,
            component: row.text("component")?,
            architecture: row.text("architecture")?,
        },
        sha256: row.text("sha256")?,
        dated_at: row.int("dated_at")?,
        read_at: row.int("read_at")?,
        wanted_at: row.int("wanted_at")?,
        packages: row.int("packages")?,
        problem: row.text("problem")?,
        live: row.opt_int("live")?,
    })
}

/// All indices.
pub async fn list(tx: &mut Tx) -> Result<Vec<Index>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM archive_indices ORDER BY archive, suite, component, architecture");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// Notes that somebody searches in an index, which is there from now on.
pub async fn want(tx: &mut Tx, place: &Place, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO archive_indices (archive, suite, component, architecture, sha256, dated_at, read_at, wanted_at, packages, problem) \
               VALUES ($1, $2, $3, $4, '', 0, 0, $5, 0, '') \
               ON CONFLICT (archive, suite, component, architecture) DO UPDATE SET wanted_at = excluded.wanted_at RETURNING id";
    tx.insert(sql, args![&place.archive, &place.suite, &place.component, &place.architecture, now]).await
}

/// Lets the archive of an index be asked as soon as possible.
pub async fn ask_again(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("UPDATE archive_indices SET read_at = 0 WHERE id = $1", args![id]).await.map(drop)
}

/// Notes that the archive was asked, and what came of it; an empty problem for nothing new.
pub async fn asked(tx: &mut Tx, id: i64, problem: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE archive_indices SET read_at = $2, problem = $3 WHERE id = $1";
    tx.execute(sql, args![id, now, problem]).await.map(drop)
}

/// Begins a new version of an index, which nobody sees yet.
pub async fn begin(tx: &mut Tx, index: i64, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO archive_versions (index_id, begun_at) VALUES ($1, $2) RETURNING id";
    tx.insert(sql, args![index, now]).await
}

/// Adds packages to a version; `first` is the number of the first of them.
pub async fn add(tx: &mut Tx, version: i64, first: usize, entries: &[Entry]) -> Result<(), Error> {
    for (at, rows) in entries.chunks(ROWS).enumerate() {
        let places: Vec<String> = (0..rows.len())
            .map(|row| {
                let words: Vec<String> = (1..=9).map(|word| format!("${}", row * 9 + word)).collect();
                format!("({})", words.join(", "))
            })
            .collect();
        let sql = format!(
            "INSERT INTO archive_packages (version_id, number, name, version, section, size_bytes, installed_bytes, description, words) VALUES {}",
            places.join(", ")
        );
        let begin = first + at * ROWS;
        let args = rows.iter().enumerate().flat_map(|(row, entry)| {
            let number = i64::try_from(begin + row).unwrap_or(i64::MAX);
            let words = format!("{} {}", entry.name, entry.description).to_lowercase();
            args![
                version,
                number,
                &entry.name,
                &entry.version,
                &entry.section,
                entry.size_bytes,
                entry.installed_bytes,
                &entry.description,
                words
            ]
        });
        tx.execute(&sql, args).await?;
    }
    Ok(())
}

/// Lets a version count in place of the one before.
pub async fn publish(
    tx: &mut Tx,
    index: i64,
    version: i64,
    (sha256, dated_at, packages): (&str, i64, i64),
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE archive_indices SET live = $2, sha256 = $3, dated_at = $4, packages = $5, read_at = $6, problem = '' WHERE id = $1";
    tx.execute(sql, args![index, version, sha256, dated_at, packages, now]).await.map(drop)
}

/// Forgets indices that nobody has searched in since a time, but for those of own repositories.
pub async fn forget(tx: &mut Tx, before: i64) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM archive_indices WHERE wanted_at < $1 AND archive NOT LIKE 'repository:%'",
        args![before],
    )
    .await
}

/// Forgets the indices of an archive.
pub async fn forget_archive(tx: &mut Tx, archive: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM archive_indices WHERE archive = $1", args![archive]).await.map(drop)
}

/// Removes some rows of versions that do not count any more and were not begun after `before`; 0 when there is nothing left to do.
pub async fn remove_some(tx: &mut Tx, before: i64, most: i64) -> Result<u64, Error> {
    let sql = "SELECT v.id AS id FROM archive_versions v LEFT JOIN archive_indices i ON i.live = v.id \
               WHERE i.id IS NULL AND v.begun_at <= $1 LIMIT 1";
    let Some(row) = tx.optional(sql, args![before]).await? else { return Ok(0) };
    let version = row.int("id")?;
    let sql = "DELETE FROM archive_packages WHERE version_id = $1 AND number < \
               (SELECT min(number) + $2 FROM archive_packages WHERE version_id = $1)";
    let removed = tx.execute(sql, args![version, most]).await?;
    if removed == 0 {
        tx.execute("DELETE FROM archive_versions WHERE id = $1", args![version]).await?;
    }
    Ok(removed.max(1))
}

/// Packages of some versions whose name or description has every word in it: those with the name first, then those whose name begins
/// with the first word, then those with it in the name. `words` are in small letters.
pub async fn search(
    tx: &mut Tx,
    versions: &[i64],
    words: &[String],
    limit: i64,
) -> Result<Vec<(i64, Entry)>, Error> {
    let (list, mut args) = id_list(versions.iter().copied());
    let mut sql = format!(
        "SELECT version_id, name, version, section, size_bytes, installed_bytes, description FROM archive_packages WHERE version_id IN {list}"
    );
    for word in words {
        args.push(format!("%{}%", within_like(word)).into());
        sql.push_str(&format!(" AND words LIKE ${} ESCAPE '!'", args.len()));
    }
    if let Some(first) = words.first() {
        args.push(words.join(" ").into());
        let name = args.len();
        args.push(format!("{}%", within_like(first)).into());
        let begins = args.len();
        args.push(format!("%{}%", within_like(first)).into());
        let within = args.len();
        sql.push_str(&format!(
            " ORDER BY CASE WHEN name = ${name} THEN 0 WHEN name LIKE ${begins} ESCAPE '!' THEN 1 \
             WHEN name LIKE ${within} ESCAPE '!' THEN 2 ELSE 3 END, name, version_id, number"
        ));
    } else {
        sql.push_str(" ORDER BY name, version_id, number");
    }
    args.push(limit.into());
    sql.push_str(&format!(" LIMIT ${}", args.len()));
    let rows = tx.all(&sql, args).await?;
    rows.iter()
        .map(|row| {
            let entry = Entry {
                name: row.text("name")?,
                version: row.text("version")?,
                section: row.text("section")?,
                size_bytes: row.int("size_bytes")?,
                installed_bytes: row.int("installed_bytes")?,
                description: row.text("description")?,
            };
            Ok((row.int("version_id")?, entry))
        })
        .collect()
}
