//! What people have noted about a client.

use wire::ClientId;

use super::{Error, Tx, args};

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Note {
    /// Its number.
    pub id: i64,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub created_at: i64,
    /// By whom.
    pub created_by: String,
}

/// Adds a note.
pub async fn add(tx: &mut Tx, client: ClientId, text: &str, actor: &str, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO client_notes (client_id, text, created_at, created_by) VALUES ($1, $2, $3, $4) RETURNING id";
    tx.insert(sql, args![client, text, now, actor]).await
}

/// The notes of a client, newest first.
pub async fn list(tx: &mut Tx, client: ClientId) -> Result<Vec<Note>, Error> {
    let sql =
        "SELECT id, text, created_at, created_by FROM client_notes WHERE client_id = $1 ORDER BY id DESC";
    tx.all(sql, args![client])
        .await?
        .iter()
        .map(|row| {
            Ok(Note {
                id: row.int("id")?,
                text: row.text("text")?,
                created_at: row.int("created_at")?,
                created_by: row.text("created_by")?,
            })
        })
        .collect()
}

/// Removes a note of a client.
pub async fn delete(tx: &mut Tx, client: ClientId, id: i64) -> Result<bool, Error> {
    let sql = "DELETE FROM client_notes WHERE id = $1 AND client_id = $2";
    Ok(tx.execute(sql, args![id, client]).await? == 1)
}
