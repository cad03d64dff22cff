//! Accounts: who may log in, by what, with which roles. Recovery codes and steps of a login are kept as hashes.

use wire::Sha256;

use super::{
    Error, Row, Tx, args, dialect,
    reach::{self, Holder},
};
use crate::domain::{
    people::{Account, Credentials, Rights, Role, Source},
    reach::Reach,
};

const COLUMNS: &str = "id, name, full_name, role, everywhere, source, source_id, password_hash, totp_secret, \
                       totp_offered, disabled_at, language, created_at, last_login_at, checked_at";

async fn account(tx: &mut Tx, row: &Row) -> Result<Account, Error> {
    let id = row.int("id")?;
    Ok(Account {
        id,
        name: row.text("name")?,
        full_name: row.text("full_name")?,
        source: row.parsed("source")?,
        rights: Rights {
            role: reach::everywhere(row)?,
            groups: reach::groups(tx, Holder::Account(id)).await?,
        },
        disabled_at: row.opt_int("disabled_at")?,
        has_password: row.opt_text("password_hash")?.is_some(),
        has_second_factor: row.opt_text("totp_secret")?.is_some(),
        language: row.opt_text("language")?,
        created_at: row.int("created_at")?,
        last_login_at: row.opt_int("last_login_at")?,
        checked_at: row.opt_int("checked_at")?,
    })
}

async fn one(
    tx: &mut Tx,
    sql: &str,
    args: impl IntoIterator<Item = super::Arg>,
) -> Result<Option<(Account, Credentials)>, Error> {
    let Some(row) = tx.optional(sql, args).await? else { return Ok(None) };
    let credentials = Credentials {
        password_hash: row.opt_text("password_hash")?,
        totp_secret: row.opt_text("totp_secret")?,
        totp_offered: row.opt_text("totp_offered")?,
        source_id: row.opt_text("source_id")?,
    };
    Ok(Some((account(tx, &row).await?, credentials)))
}

/// Makes an account.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    full_name: &str,
    source: Source,
    source_id: Option<&str>,
    rights: &Rights,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO users (name, full_name, source, source_id, role, everywhere, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    let role = rights.role.unwrap_or(Role::Viewer).as_str();
    let everywhere = rights.role.is_some();
    let id =
        tx.insert(sql, args![name, full_name, source.as_str(), source_id, role, everywhere, now]).await?;
    reach::set_groups(tx, Holder::Account(id), rights).await?;
    Ok(id)
}

/// An account by name, with what checks its login.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<(Account, Credentials)>, Error> {
    one(tx, &format!("SELECT {COLUMNS} FROM users WHERE name = $1"), args![name]).await
}

/// An account by number, with what checks its login.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<(Account, Credentials)>, Error> {
    one(tx, &format!("SELECT {COLUMNS} FROM users WHERE id = $1"), args![id]).await
}

/// All accounts by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Account>, Error> {
    let rows = tx.all(&format!("SELECT {COLUMNS} FROM users ORDER BY name"), []).await?;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        accounts.push(account(tx, row).await?);
    }
    Ok(accounts)
}

/// What an account may do now, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How far its roles go.
    pub reach: Reach,
    /// Where the roles come from.
    pub source: Source,
    /// When the source was last asked.
    pub checked_at: Option<i64>,
}

/// What an account may do; none when it is disabled.
pub async fn granted(tx: &mut Tx, id: i64) -> Result<Option<Granted>, Error> {
    let sql = "SELECT role, everywhere, source, checked_at FROM users WHERE id = $1 AND disabled_at IS NULL";
    let Some(row) = tx.optional(sql, args![id]).await? else { return Ok(None) };
    let (source, checked_at) = (row.parsed("source")?, row.opt_int("checked_at")?);
    let reach = reach::of_row(tx, Holder::Account(id), &row).await?;
    Ok(Some(Granted { reach, source, checked_at }))
}

/// Local accounts that may do everything and are not disabled. On `PostgreSQL` nobody else changes them until the transaction ends.
pub async fn admins(tx: &mut Tx) -> Result<Vec<i64>, Error> {
    let sql = format!(
        "SELECT id FROM users WHERE role = 'admin' AND everywhere AND source = 'local' AND disabled_at IS NULL \
         ORDER BY id{}",
        dialect::for_update(tx)
    );
    tx.all(&sql, []).await?.iter().map(|row| row.int("id")).collect()
}

/// An account by what it is called where it comes from.
pub async fn by_source(
    tx: &mut Tx,
    source: Source,
    id: &str,
) -> Result<Option<(Account, Credentials)>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE source = $1 AND source_id = $2");
    one(tx, &sql, args![source.as_str(), id]).await
}

/// Gives an account other roles.
pub async fn set_rights(tx: &mut Tx, id: i64, rights: &Rights) -> Result<(), Error> {
    let role = rights.role.unwrap_or(Role::Viewer).as_str();
    let sql = "UPDATE users SET role = $1, everywhere = $2 WHERE id = $3";
    tx.execute(sql, args![role, rights.role.is_some(), id]).await?;
    reach::set_groups(tx, Holder::Account(id), rights).await
}

/// Notes what an account is called where it comes from.
pub async fn set_source_id(tx: &mut Tx, id: i64, source_id: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET source_id = $1 WHERE id = $2", args![source_id, id]).await.map(drop)
}

/// Says how people call somebody.
pub async fn set_full_name(tx: &mut Tx, id: i64, full_name: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET full_name = $1 WHERE id = $2", args![full_name, id]).await.map(drop)
}

/// Disables an account from a time on, or enables it again.
pub async fn set_disabled(tx: &mut Tx, id: i64, at: Option<i64>) -> Result<(), Error> {
    tx.execute("UPDATE users SET disabled_at = $1 WHERE id = $2", args![at, id]).await.map(drop)
}

/// Keeps the chosen language.
pub async fn set_language(tx: &mut Tx, id: i64, language: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET language = $1 WHERE id = $2", args![language, id]).await.map(drop)
}

/// Sets a password.
pub async fn set_password(tx: &mut Tx, id: i64, hash: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET password_hash = $1 WHERE id = $2", args![hash, id]).await.map(drop)
}

/// Takes the password away.
pub async fn clear_password(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("UPDATE users SET password_hash = NULL WHERE id = $1", args![id]).await.map(drop)
}

/// Notes when the source was asked for the roles.
pub async fn set_checked(tx: &mut Tx, id: i64, at: i64) -> Result<(), Error> {
    tx.execute("UPDATE users SET checked_at = $1 WHERE id = $2", args![at, id]).await.map(drop)
}

/// Notes a login.
pub async fn set_logged_in(tx: &mut Tx, id: i64, at: i64) -> Result<(), Error> {
    tx.execute("UPDATE users SET last_login_at = $1 WHERE id = $2", args![at, id]).await.map(drop)
}

/// Removes an account with its sessions, links and logins.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM users WHERE id = $1", args![id]).await.map(drop)
}

/// Makes the unused login links of an account worthless.
pub async fn revoke_links(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM login_links WHERE user_id = $1 AND used_at IS NULL", args![id]).await.map(drop)
}

/// Secrets of a second factor that are not sealed, as servers kept them that did not seal yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTotp {
    /// Whose.
    pub account: i64,
    /// The one that is asked for.
    pub secret: Option<String>,
    /// The one that was shown.
    pub offered: Option<String>,
}

/// Every second factor that is not sealed yet: a base32 text has no dot, and a sealed one has.
pub async fn open_totp(tx: &mut Tx) -> Result<Vec<OpenTotp>, Error> {
    let sql = "SELECT id, totp_secret, totp_offered FROM users \
               WHERE totp_secret NOT LIKE 'sealed%.%' OR totp_offered NOT LIKE 'sealed%.%' ORDER BY id";
    let read = |row: &Row| {
        Ok(OpenTotp {
            account: row.int("id")?,
            secret: row.opt_text("totp_secret")?,
            offered: row.opt_text("totp_offered")?,
        })
    };
    tx.all(sql, []).await?.iter().map(read).collect()
}

/// Puts sealed secrets in the place of open ones.
pub async fn seal_totp(
    tx: &mut Tx,
    id: i64,
    secret: Option<&str>,
    offered: Option<&str>,
) -> Result<(), Error> {
    let sql = "UPDATE users SET totp_secret = $1, totp_offered = $2 WHERE id = $3";
    tx.execute(sql, args![secret, offered, id]).await.map(drop)
}

/// Keeps a second factor that was shown, sealed, until a code confirms it.
pub async fn offer_totp(tx: &mut Tx, id: i64, secret: &str) -> Result<(), Error> {
    tx.execute("UPDATE users SET totp_offered = $1 WHERE id = $2", args![secret, id]).await.map(drop)
}

/// From now on the offered second factor is asked for; these codes stand in for it once each.
pub async fn begin_totp(tx: &mut Tx, id: i64, step: i64, codes: &[Sha256]) -> Result<(), Error> {
    let sql =
        "UPDATE users SET totp_secret = totp_offered, totp_offered = NULL, totp_step = $1 WHERE id = $2";
    tx.execute(sql, args![step, id]).await?;
    set_recovery_codes(tx, id, codes).await
}

/// No second factor is asked for any more.
pub async fn end_totp(tx: &mut Tx, id: i64) -> Result<(), Error> {
    let sql = "UPDATE users SET totp_secret = NULL, totp_offered = NULL, totp_step = NULL WHERE id = $1";
    tx.execute(sql, args![id]).await?;
    set_recovery_codes(tx, id, &[]).await
}

/// Uses a time step up; false when a code of it or of a later one was used before.
pub async fn use_totp_step(tx: &mut Tx, id: i64, step: i64) -> Result<bool, Error> {
    let sql = "UPDATE users SET totp_step = $1 WHERE id = $2 AND (totp_step IS NULL OR totp_step < $1)";
    Ok(tx.execute(sql, args![step, id]).await? == 1)
}

/// Recovery codes in place of those that were there.
pub async fn set_recovery_codes(tx: &mut Tx, id: i64, codes: &[Sha256]) -> Result<(), Error> {
    tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", args![id]).await?;
    for code in codes {
        tx.execute("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)", args![id, code]).await?;
    }
    Ok(())
}

/// Uses a recovery code up; false when it is none.
pub async fn use_recovery_code(tx: &mut Tx, id: i64, code: &Sha256) -> Result<bool, Error> {
    let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2";
    Ok(tx.execute(sql, args![id, code]).await? == 1)
}

/// How many recovery codes are left.
pub async fn recovery_codes_left(tx: &mut Tx, id: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM recovery_codes WHERE user_id = $1";
    tx.optional(sql, args![id]).await?.map_or(Ok(0), |row| row.int("count"))
}

/// Keeps a step of a login.
pub async fn begin_step(
    tx: &mut Tx,
    hash: &Sha256,
    user: Option<i64>,
    detail: &str,
    expires_at: i64,
) -> Result<(), Error> {
    let sql = "INSERT INTO login_steps (hash, user_id, detail, expires_at) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, args![hash, user, detail, expires_at]).await.map(drop)
}

/// A step of a login that has not expired, and whose tries are not used up; this is one of them.
pub async fn try_step(
    tx: &mut Tx,
    hash: &Sha256,
    tries: i64,
    now: i64,
) -> Result<Option<(Option<i64>, String)>, Error> {
    let sql = "UPDATE login_steps SET tries = tries + 1 WHERE hash = $1 AND tries < $2 AND expires_at > $3";
    if tx.execute(sql, args![hash, tries, now]).await? == 0 {
        return Ok(None);
    }
    let row = tx.optional("SELECT user_id, detail FROM login_steps WHERE hash = $1", args![hash]).await?;
    row.map(|row| Ok((row.opt_int("user_id")?, row.text("detail")?))).transpose()
}

/// Ends a step of a login; false when somebody else has ended it.
pub async fn end_step(tx: &mut Tx, hash: &Sha256) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM login_steps WHERE hash = $1", args![hash]).await? == 1)
}

/// Notes a step that happens once; false when it has happened already.
pub async fn use_up_step(tx: &mut Tx, hash: &Sha256, detail: &str, expires_at: i64) -> Result<bool, Error> {
    let sql = "INSERT INTO login_steps (hash, detail, expires_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
    Ok(tx.execute(sql, args![hash, detail, expires_at]).await? == 1)
}

/// Forgets steps of logins, and links, that have expired.
pub async fn prune(tx: &mut Tx, now: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM login_steps WHERE expires_at <= $1", args![now]).await.map(drop)
}
