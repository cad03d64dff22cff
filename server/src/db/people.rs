//! Users, one-time login links and API tokens. Only hashes of links and tokens are stored.

use wire::Sha256;

use super::{
    Error, Row, Tx,
    accounts::{self, Granted},
    args,
    reach::{self, Holder},
};
use crate::domain::{
    people::{ApiToken, Rights, Role},
    reach::Reach,
};

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

/// Uses a link up; gives its account's number when it was there, unused and in time, and the account is not disabled.
pub async fn use_link(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<i64>, Error> {
    let sql = "UPDATE login_links SET used_at = $1 WHERE hash = $2 AND used_at IS NULL AND expires_at > $1 \
               AND user_id IN (SELECT id FROM users WHERE disabled_at IS NULL)";
    if tx.execute(sql, args![now, hash]).await? == 0 {
        return Ok(None);
    }
    let sql = "SELECT user_id FROM login_links WHERE hash = $1";
    tx.optional(sql, args![hash]).await?.map(|row| row.int("user_id")).transpose()
}

/// The account of a link that could be used now.
pub async fn find_link(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<i64>, Error> {
    let sql = "SELECT user_id FROM login_links WHERE hash = $1 AND used_at IS NULL AND expires_at > $2";
    tx.optional(sql, args![hash, now]).await?.map(|row| row.int("user_id")).transpose()
}

/// Keeps a new API token; `user` when it is the login of an account.
pub async fn create_token(
    tx: &mut Tx,
    hash: &Sha256,
    token: &ApiToken,
    user: Option<i64>,
) -> Result<i64, Error> {
    let id = tx
        .insert(
            "INSERT INTO api_tokens (hash, name, role, everywhere, read_only, user_id, created_at, created_by, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
            args![
                hash,
                &token.name,
                token.role.unwrap_or(Role::Viewer).as_str(),
                token.role.is_some(),
                token.read_only,
                user,
                token.created_at,
                &token.created_by,
                token.expires_at
            ],
        )
        .await?;
    let rights = Rights { role: token.role, groups: token.groups.clone() };
    reach::set_groups(tx, Holder::Token(id), &rights).await?;
    Ok(id)
}

async fn token(tx: &mut Tx, row: &Row) -> Result<ApiToken, Error> {
    let id = row.int("id")?;
    Ok(ApiToken {
        id,
        name: row.text("name")?,
        role: reach::everywhere(row)?,
        groups: reach::groups(tx, Holder::Token(id)).await?,
        read_only: row.bool("read_only")?,
        account: row.opt_text("account")?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
        expires_at: row.opt_int("expires_at")?,
        last_used_at: row.opt_int("last_used_at")?,
        revoked_at: row.opt_int("revoked_at")?,
    })
}

const TOKENS: &str =
    "SELECT t.*, u.name AS account, u.disabled_at FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id";

/// What a token that is shown stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub id: i64,
    /// Its own name, or that of the account whose login it is.
    pub name: String,
    /// The account whose login it is, with what that may do now.
    pub account: Option<(i64, Granted)>,
    /// How far it goes: as far as its account, if it is the login of one.
    pub reach: Reach,
    /// When it was made.
    pub created_at: i64,
    /// Not accepted after this time.
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

/// A token that is neither revoked nor expired, by its hash; none when its account is disabled.
pub async fn find_token(tx: &mut Tx, hash: &Sha256, now: i64) -> Result<Option<Shown>, Error> {
    let sql = format!(
        "{TOKENS} WHERE t.hash = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)"
    );
    let Some(row) = tx.optional(&sql, args![hash, now]).await? else { return Ok(None) };
    let id = row.int("id")?;
    let (account, reach) = match row.opt_int("user_id")? {
        Some(user) => match accounts::granted(tx, user).await? {
            Some(granted) => (Some((user, granted.clone())), granted.reach),
            None => return Ok(None),
        },
        None => (None, reach::of_row(tx, Holder::Token(id), &row).await?),
    };
    Ok(Some(Shown {
        id,
        name: row.opt_text("account")?.map_or_else(|| row.text("name"), Ok)?,
        account,
        reach: Reach { read_only: row.bool("read_only")?, ..reach },
        created_at: row.int("created_at")?,
        expires_at: row.opt_int("expires_at")?,
        last_used_at: row.opt_int("last_used_at")?,
    }))
}

/// Whether a token is valid, by its number: for whoever showed it a while ago.
pub async fn is_valid(tx: &mut Tx, id: i64, now: i64) -> Result<bool, Error> {
    let sql = format!(
        "{TOKENS} WHERE t.id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) \
         AND u.disabled_at IS NULL"
    );
    Ok(tx.optional(&sql, args![id, now]).await?.is_some())
}

/// A token by number.
pub async fn get_token(tx: &mut Tx, id: i64) -> Result<Option<ApiToken>, Error> {
    match tx.optional(&format!("{TOKENS} WHERE t.id = $1"), args![id]).await? {
        Some(row) => token(tx, &row).await.map(Some),
        None => Ok(None),
    }
}

/// How far a token's own roles go; nothing when it is the login of an account.
pub async fn reach_of(tx: &mut Tx, id: i64) -> Result<Option<Reach>, Error> {
    let sql = "SELECT role, everywhere FROM api_tokens WHERE id = $1 AND user_id IS NULL";
    match tx.optional(sql, args![id]).await? {
        Some(row) => reach::of_row(tx, Holder::Token(id), &row).await.map(Some),
        None => Ok(None),
    }
}

/// All tokens, newest first.
pub async fn list_tokens(tx: &mut Tx) -> Result<Vec<ApiToken>, Error> {
    let rows = tx.all(&format!("{TOKENS} ORDER BY t.id DESC"), []).await?;
    let mut tokens = Vec::with_capacity(rows.len());
    for row in &rows {
        tokens.push(token(tx, row).await?);
    }
    Ok(tokens)
}

/// Tokens by which an account is logged in, that are neither revoked nor expired; newest first.
pub async fn logins(tx: &mut Tx, account: i64, now: i64) -> Result<Vec<ApiToken>, Error> {
    let sql = format!(
        "{TOKENS} WHERE t.user_id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) \
         ORDER BY t.id DESC"
    );
    let rows = tx.all(&sql, args![account, now]).await?;
    let mut tokens = Vec::with_capacity(rows.len());
    for row in &rows {
        tokens.push(token(tx, row).await?);
    }
    Ok(tokens)
}

/// Revokes the logins of an account, all but one.
pub async fn revoke_logins(tx: &mut Tx, account: i64, but: Option<i64>, now: i64) -> Result<u64, Error> {
    let sql = "UPDATE api_tokens SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL AND id <> $3";
    tx.execute(sql, args![now, account, but.unwrap_or(0)]).await
}

/// Lets a token be valid until another time.
pub async fn prolong_token(tx: &mut Tx, id: i64, expires_at: i64) -> Result<(), Error> {
    tx.execute("UPDATE api_tokens SET expires_at = $1 WHERE id = $2", args![expires_at, id]).await.map(drop)
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
