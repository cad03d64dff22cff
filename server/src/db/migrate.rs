//! Schema versions. Each migration runs in one transaction: it is there as a whole or not at all.
//!
//! A migration that was released is never edited; a change is a new file.

use super::{Db, Error, Tx, args};

const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../../migrations/0001_initial.sql")),
    (2, include_str!("../../migrations/0002_answers.sql")),
    (3, include_str!("../../migrations/0003_console.sql")),
    (4, include_str!("../../migrations/0004_accounts.sql")),
    (5, include_str!("../../migrations/0005_search.sql")),
    (6, include_str!("../../migrations/0006_audit.sql")),
    (7, include_str!("../../migrations/0007_machines.sql")),
    (8, include_str!("../../migrations/0008_studio.sql")),
    (9, include_str!("../../migrations/0009_metrics.sql")),
    (10, include_str!("../../migrations/0010_people.sql")),
    (11, include_str!("../../migrations/0011_inventory.sql")),
    (13, include_str!("../../migrations/0013_rollouts.sql")),
    (14, include_str!("../../migrations/0014_upgrade.sql")),
    (15, include_str!("../../migrations/0015_sources.sql")),
    (16, include_str!("../../migrations/0016_output.sql")),
    (17, include_str!("../../migrations/0017_selections.sql")),
    (18, include_str!("../../migrations/0018_failed_jobs.sql")),
    (19, include_str!("../../migrations/0019_desktops.sql")),
    (20, include_str!("../../migrations/0020_user_data.sql")),
    (21, include_str!("../../migrations/0021_software.sql")),
    (22, include_str!("../../migrations/0022_desktop_pages.sql")),
    (23, include_str!("../../migrations/0023_console.sql")),
    (24, include_str!("../../migrations/0024_integration.sql")),
];

/// The newest schema that this program knows.
pub fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// Brings the schema up to date.
///
/// # Errors
/// [`Error::Migrate`] with the state before untouched, [`Error::Newer`].
pub(super) async fn run(db: &Db, now: i64) -> Result<(), Error> {
    let mut tx = db.write().await?;
    tx.execute(
        "CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)",
        [],
    )
    .await?;
    if let Tx::Postgres(_) = tx {
        // Several nodes may start at once; SQLite's single writer needs no lock.
        tx.execute("LOCK TABLE schema_versions IN EXCLUSIVE MODE", []).await?;
    }
    let rows = tx.all("SELECT version FROM schema_versions", []).await?;
    let there: Vec<i64> = rows.iter().map(|row| row.int("version")).collect::<Result<_, _>>()?;
    let known = newest();
    if let Some(found) = there.iter().copied().max().filter(|found| *found > known) {
        return Err(Error::Newer { found, known });
    }
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| !there.contains(version)) {
        let failed = |source| Error::Migrate { version: *version, source };
        match &mut tx {
            Tx::Sqlite(tx, _) => {
                let text = text
                    .replace("{ID}", "INTEGER PRIMARY KEY AUTOINCREMENT")
                    .replace("{WRITER}", "")
                    .replace("{POSTGRES}", "--")
                    // SQLite compares texts byte by byte unless told otherwise.
                    .replace("{BYTEWISE}", "");
                sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut **tx).await.map_err(failed)?;
            }
            Tx::Postgres(tx) => {
                let text = text
                    .replace("{ID}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
                    .replace("{WRITER}", ", writer xid8 NOT NULL DEFAULT pg_current_xact_id()")
                    .replace("{POSTGRES}", "")
                    .replace("{BYTEWISE}", " COLLATE \"C\"");
                sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut **tx).await.map_err(failed)?;
            }
        }
        tx.execute("INSERT INTO schema_versions (version, applied_at) VALUES ($1, $2)", args![*version, now])
            .await?;
    }
    tx.commit().await
}
