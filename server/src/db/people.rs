//! Users, one-time login links and API tokens. Only hashes of links and tokens are stored.

use wire::Sha256;

use super::{Error, Row, Tx, args};
use crate::domain::people::{ApiToken, Role};

/// Makes a user.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create_user(tx: &mut Tx, name: &str, role: Role, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO users (name, role, created_at) VALUES ($1, $2, $3) RETURNING id";
    tx.insert(sql, args![name, role.as_str(), now]).await
}

/// Whether any user exists; without one the server is in its first run.
pub async fn any_user(tx: &mut Tx) -> Result<bool, Error> {
    Ok(tx.optional("SELECT id FROM users LIMIT 1", []).await?.is_some())
}

/// Keeps a one-time login link.
pub async fn create_link(
    tx: &mut Tx,
    hash: &Sha256,
    user: i64,
    expires_at: i64,
    now: i64,
) -> Result<(), Error> {
    let sql = "INSERT INTO login_links (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, args![hash, user, now, expires_at]).await?;
    Ok(())
}

/// Uses a link up; gives its user's number, name and role when it was there, unused and in time.
pub async fn use_link(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<(i64, String, Role)>, Error> {
    let sql = "UPDATE login_links SET used_at = $1 WHERE hash = $2 AND used_at IS NULL AND expires_at > $1";
    if tx.execute(sql, args![now, hash]).await? == 0 {
        return Ok(None);
    }
    let sql =
        "SELECT u.id, u.name, u.role FROM login_links l JOIN users u ON u.id = l.user_id WHERE l.hash = $1";
    tx.optional(sql, args![hash])
        .await?
        .map(|row| Ok((row.int("id")?, row.text("name")?, row.parsed("role")?)))
        .transpose()
}

/// Keeps a new API token.
pub async fn create_token(tx: &mut Tx, hash: &Sha256, token: &ApiToken) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO api_tokens (hash, name, role, created_at, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        args![hash, &token.name, token.role.as_str(), token.created_at, &token.created_by, token.expires_at],
    )
    .await
}

fn token(row: &Row) -> Result<ApiToken, Error> {
    Ok(ApiToken {
        id: row.int("id")?,
        name: row.text("name")?,
        role: row.parsed("role")?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
        expires_at: row.opt_int("expires_at")?,
        last_used_at: row.opt_int("last_used_at")?,
        revoked_at: row.opt_int("revoked_at")?,
    })
}

/// A token that is neither revoked nor expired, by its hash.
pub async fn find_token(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<ApiToken>, Error> {
    let sql = "SELECT * FROM api_tokens WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    tx.optional(sql, args![hash, now]).await?.as_ref().map(token).transpose()
}

/// Whether a token is valid, by its number: for whoever showed it a while ago.
pub async fn is_valid(tx: &mut Tx, id: i64, now: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM api_tokens WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    Ok(tx.optional(sql, args![id, now]).await?.is_some())
}

/// All tokens, newest first.
pub async fn list_tokens(tx: &mut Tx) -> Result<Vec<ApiToken>, Error> {
    tx.all("SELECT * FROM api_tokens ORDER BY id DESC", []).await?.iter().map(token).collect()
}

/// Notes that a token was used.
pub async fn touch_token(tx: &mut Tx, id: i64, now: i64) -> Result<(), Error> {
    tx.execute("UPDATE api_tokens SET last_used_at = $1 WHERE id = $2", args![now, id]).await?;
    Ok(())
}

/// Revokes a token; tells whether it was valid until now.
pub async fn revoke_token(tx: &mut Tx, id: i64, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE api_tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    Ok(tx.execute(sql, args![now, id]).await? == 1)
}
