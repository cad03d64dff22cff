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
        super::Tx::Sqlite(_) => "",
        super::Tx::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    }
}

/// `SQLite` has one writer at a time; on `PostgreSQL` whoever decides by what he reads about a client keeps others from changing it
/// meanwhile. Not `FOR UPDATE`, which would also stop everybody who merely adds a row that refers to the client.
pub(super) fn lock_client(tx: &super::Tx) -> Option<&'static str> {
    match tx {
        super::Tx::Sqlite(_) => None,
        super::Tx::Postgres(_) => Some("SELECT id FROM clients WHERE id = $1 FOR NO KEY UPDATE"),
    }
}
