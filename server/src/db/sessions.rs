//! Sessions of browsers. Only hashes of their secrets are stored.

use wire::Sha256;

use super::{
    Error, Row, Tx,
    accounts::{self, Granted},
    args,
};
use crate::domain::people::Session;

/// A session whose browser has shown its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The session.
    pub session: Session,
    /// Name of the account.
    pub name: String,
    /// The language of its pages, once chosen.
    pub language: Option<String>,
    /// What it may do.
    pub granted: Granted,
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

/// A session that has not expired, of an account that is not disabled.
pub async fn find(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<Shown>, Error> {
    let sql = "SELECT s.*, u.name, u.language FROM sessions s JOIN users u ON u.id = s.user_id \
               WHERE s.hash = $1 AND s.expires_at > $2";
    let Some(row) = tx.optional(sql, args![hash, now]).await? else { return Ok(None) };
    let session = session(&row)?;
    let Some(granted) = accounts::granted(tx, session.user).await? else { return Ok(None) };
    Ok(Some(Shown { session, name: row.text("name")?, language: row.opt_text("language")?, granted }))
}

fn session(row: &Row) -> Result<Session, Error> {
    Ok(Session {
        user: row.int("user_id")?,
        created_at: row.int("created_at")?,
        last_used_at: row.int("last_used_at")?,
        expires_at: row.int("expires_at")?,
        address: row.text("address")?,
        browser: row.text("browser")?,
    })
}

/// Sessions of an account that have not expired, with their hashes; newest first.
pub async fn list(tx: &mut Tx, user: i64, now: i64) -> Result<Vec<(Sha256, Session)>, Error> {
    let sql = "SELECT * FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, hash";
    let rows = tx.all(sql, args![user, now]).await?;
    rows.iter().map(|row| Ok((row.parsed("hash")?, session(row)?))).collect()
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

/// Ends all sessions of a user.
pub async fn end_all(tx: &mut Tx, user: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1", args![user]).await
}

/// Forgets sessions that have expired or were idle since before `idle_since`.
pub async fn prune(tx: &mut Tx, idle_since: i64, now: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at < $2", args![now, idle_since])
        .await
}
