//! Searches that people keep.

use super::{Error, Tx, args};

/// A search that somebody keeps.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SavedFilter {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// The search.
    pub query: String,
    /// By which column the list is sorted; empty for the usual one.
    pub sort: String,
    /// Which columns are shown, separated by commas; empty for the usual ones.
    pub columns: String,
    /// Others see it, too.
    pub shared: bool,
}

/// The filters that somebody sees: their own and shared ones, by name.
pub async fn list(tx: &mut Tx, owner: &str) -> Result<Vec<SavedFilter>, Error> {
    let sql = "SELECT id, owner, name, query, sort, columns, shared FROM saved_filters WHERE owner = $1 OR shared \
               ORDER BY name, id";
    let rows = tx.all(sql, args![owner]).await?;
    rows.iter()
        .map(|row| {
            Ok(SavedFilter {
                id: row.int("id")?,
                owner: row.text("owner")?,
                name: row.text("name")?,
                query: row.text("query")?,
                sort: row.text("sort")?,
                columns: row.text("columns")?,
                shared: row.bool("shared")?,
            })
        })
        .collect()
}

/// Keeps a filter; one of the same name and owner is replaced.
pub async fn save(tx: &mut Tx, filter: &SavedFilter, now: i64) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO saved_filters (owner, name, query, sort, columns, shared, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner, name) DO UPDATE SET query = excluded.query, \
         sort = excluded.sort, columns = excluded.columns, shared = excluded.shared RETURNING id",
        args![&filter.owner, &filter.name, &filter.query, &filter.sort, &filter.columns, filter.shared, now],
    )
    .await
}

/// Forgets a filter; tells whether it was there and theirs.
pub async fn delete(tx: &mut Tx, id: i64, owner: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM saved_filters WHERE id = $1 AND owner = $2";
    Ok(tx.execute(sql, args![id, owner]).await? == 1)
}
