//! Sessions of browsers, and the passwords that begin them.

use wire::Sha256;

use super::{Error, Row, Tx, args};
use crate::domain::people::{Role, Session, User};

fn user(row: &Row) -> Result<User, Error> {
    Ok(User {
        id: row.int("id")?,
        name: row.text("name")?,
        role: row.parsed("role")?,
        password_hash: row.opt_text("password_hash")?,
    })
}

/// A user by name.
pub async fn find_user(tx: &mut Tx, name: &str) -> Result<Option<User>, Error> {
    let sql = "SELECT id, name, role, password_hash FROM users WHERE name = $1";
    tx.optional(sql, args![name]).await?.as_ref().map(user).transpose()
}

/// Sets a user's password.
pub async fn set_password(tx: &mut Tx, user: i64, hash: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET password_hash = $1 WHERE id = $2", args![hash, user]).await?;
    Ok(())
}

/// Keeps a new session.
pub async fn create(tx: &mut Tx, hash: &Sha256, session: &Session) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO sessions (hash, user_id, created_at, last_used_at, expires_at, address, browser) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            hash,
            session.user,
            session.created_at,
            session.last_used_at,
            session.expires_at,
            &session.address,
            &session.browser
        ],
    )
    .await?;
    Ok(())
}

/// A session that has not expired, with its user's name and role.
pub async fn find(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<(Session, String, Role)>, Error> {
    let sql = "SELECT s.*, u.name, u.role FROM sessions s JOIN users u ON u.id = s.user_id \
               WHERE s.hash = $1 AND s.expires_at > $2";
    let Some(row) = tx.optional(sql, args![hash, now]).await? else { return Ok(None) };
    let session = Session {
        user: row.int("user_id")?,
        created_at: row.int("created_at")?,
        last_used_at: row.int("last_used_at")?,
        expires_at: row.int("expires_at")?,
        address: row.text("address")?,
        browser: row.text("browser")?,
    };
    Ok(Some((session, row.text("name")?, row.parsed("role")?)))
}

/// Notes that a session was used.
pub async fn touch(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<(), Error> {
    tx.execute("UPDATE sessions SET last_used_at = $1 WHERE hash = $2", args![now, hash]).await?;
    Ok(())
}

/// Ends a session.
pub async fn end(tx: &mut Tx, hash: &Sha256) -> Result<(), Error> {
    tx.execute("DELETE FROM sessions WHERE hash = $1", args![hash]).await?;
    Ok(())
}

/// Ends all sessions of a user but one.
pub async fn end_others(tx: &mut Tx, user: i64, hash: &Sha256) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1 AND hash <> $2", args![user, hash]).await
}

/// Forgets sessions that have expired or were idle since before `idle_since`.
pub async fn prune(tx: &mut Tx, idle_since: i64, now: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at < $2", args![now, idle_since])
        .await
}
