//! A copy of a SQLite database while others write to it.

use std::path::Path;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::Error;

/// Copies a SQLite database as it is at one moment (`VACUUM INTO`) into a file that only its owner reads.
///
/// # Errors
/// [`Error::Open`]: it cannot be opened, or the file cannot be written.
pub async fn copy_sqlite(from: &Path, into: &Path) -> Result<(), Error> {
    let failed = |source| Error::Open { location: from.display().to_string(), source };
    let options = SqliteConnectOptions::new().filename(from).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let file = into.display().to_string();
    sqlx::query("VACUUM INTO $1").bind(file).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}
