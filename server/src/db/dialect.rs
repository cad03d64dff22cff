//! Where `SQLite` and `PostgreSQL` differ, each with its reason.

/// Which value was not unique, for people.
///
/// `SQLite` names `table.column`, `PostgreSQL` names the constraint and puts the value into its detail.
pub(super) fn unique_value(error: &dyn sqlx::error::DatabaseError) -> String {
    let text = error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned);
    match text.rsplit_once("constraint failed: ") {
        Some((_, columns)) => columns.to_owned(),
        None => text,
    }
}

/// `SQLite` has one writer at a time, so nothing else can have the row; `PostgreSQL` must skip what another node claims.
pub(super) fn skip_locked(tx: &super::Tx) -> &'static str {
    match tx {
        super::Tx::Sqlite(..) => "",
        super::Tx::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    }
}

/// Whether a statement failed because there is no room: `SQLITE_FULL` (13), or a write, a sync or a growing shared memory that the file
/// system refused (`SQLITE_IOERR_WRITE`, `_FSYNC`, `_SHMSIZE`: 778, 1034, 4874); `disk_full` (53100) of `PostgreSQL`.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| ["13", "778", "1034", "4874", "53100"].contains(&code.as_ref()))
}

/// A text that both engines keep: `PostgreSQL` has no place for the character NUL, which output of programs may well contain.
pub(super) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// `SQLite` has one writer at a time; on `PostgreSQL` whoever decides by what he reads about a client keeps others from changing it
/// meanwhile. Not `FOR UPDATE`, which would also stop everybody who merely adds a row that refers to the client.
pub(super) fn lock_client(tx: &super::Tx) -> Option<&'static str> {
    match tx {
        super::Tx::Sqlite(..) => None,
        super::Tx::Postgres(_) => Some("SELECT id FROM clients WHERE id = $1 FOR NO KEY UPDATE"),
    }
}

/// `SQLite` has one writer at a time; on `PostgreSQL` rows that are decided by are kept from changing meanwhile.
pub(super) fn for_update(tx: &super::Tx) -> &'static str {
    match tx {
        super::Tx::Sqlite(..) => "",
        super::Tx::Postgres(_) => " FOR UPDATE",
    }
}

/// A text within a pattern of LIKE that is escaped by `!`: both engines agree on nothing else.
pub(super) fn within_like(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// A search walks the index of everything that searches look at, in the order of the list, and stops when a page is full. `SQLite`, which
/// has no statistics, has to be led there: by another index it would fetch whole clients and sort them (50 ms instead of one at 50 000).
/// Conditions of searches are written so that it cannot; `PostgreSQL` has statistics, and is misled by the same.
pub(super) fn search(tx: &super::Tx, sql: String) -> String {
    match tx {
        super::Tx::Sqlite(..) => sql,
        super::Tx::Postgres(_) => sql.replace("c.stage || ''", "c.stage").replace("c.id + 0", "c.id"),
    }
}
