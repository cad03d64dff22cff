//! Second factors of accounts (TOTP, RFC 6238): offered, confirmed, ended, and the recovery codes that stand in for them.
//!
//! Invariant: the secret of a second factor is only sealed in the database.

use serde_json::json;

use super::{Error, accounts::credentials, people, people::Actor};
use crate::{
    auth::totp,
    context::Ctx,
    db::{accounts, audit, events},
    domain::people::Account,
};

/// An account's second factor, offered and not asked for yet.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SecondFactor {
    /// The secret to be typed into an app, base32.
    pub secret: String,
    /// The same as an address, `otpauth://totp/…`.
    pub address: String,
}

/// Codes that stand in for the second factor, once each.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RecoveryCodes {
    /// The codes; they are shown once.
    pub codes: Vec<String>,
}

/// For which account a second factor was sealed: in another's place it does not open.
fn purpose(account: i64) -> String {
    format!("second factor of account {account}")
}

fn seal(ctx: &Ctx, account: i64, secret: &str) -> Result<String, Error> {
    ctx.authority.seal(&purpose(account), secret).map_err(|error| Error::Internal(error.into()))
}

pub(super) fn open(ctx: &Ctx, account: i64, sealed: &str) -> Result<String, Error> {
    ctx.authority.open_sealed(&purpose(account), sealed).map_err(|error| Error::Internal(error.into()))
}

/// Seals the second factors that an older server has kept open; what is sealed already stays as it is.
///
/// # Errors
/// The database refuses.
pub async fn seal_all(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    for open in accounts::open_totp(&mut tx).await? {
        let sealed = |secret: Option<String>| secret.map(|text| seal(ctx, open.account, &text)).transpose();
        let (secret, offered) = (sealed(open.secret)?, sealed(open.offered)?);
        accounts::seal_totp(&mut tx, open.account, secret.as_deref(), offered.as_deref()).await?;
        tracing::info!(account = open.account, "the second factor of an account is sealed now");
    }
    Ok(tx.commit().await?)
}

/// Offers whoever asks a second factor; it is asked for once they have shown a code of it.
///
/// # Errors
/// They have one already.
pub async fn offer(ctx: &Ctx, asking: &Actor) -> Result<SecondFactor, Error> {
    let id = people::account_of(asking)?;
    let (account, known) = credentials(ctx, id).await?;
    if account.has_second_factor {
        return Err(Error::conflict("you have a second factor already", "end it first, then set up another"));
    }
    // What was offered stays the same until it is confirmed: a page that is opened twice shows one picture.
    #[expect(clippy::single_match_else, reason = "two cases of one question")]
    let secret = match known.totp_offered {
        Some(sealed) => open(ctx, id, &sealed)?,
        None => {
            let secret = totp::new_secret();
            let sealed = seal(ctx, id, &secret)?;
            let mut tx = ctx.db.write().await?;
            accounts::offer_totp(&mut tx, id, &sealed).await?;
            let object = format!("account {}", account.name);
            let after = json!({ "offered": true });
            audit::note(&mut tx, "account.offer-second-factor", &object, &(), &after).await?;
            tx.commit().await?;
            secret
        }
    };
    let address = totp::address(&secret, &account.name).map_err(|error| Error::Internal(error.into()))?;
    Ok(SecondFactor { secret, address })
}

/// From now on the offered second factor is asked for; gives the recovery codes.
///
/// # Errors
/// None was offered, or the code is none of it.
pub async fn confirm(ctx: &Ctx, asking: &Actor, code: &str) -> Result<RecoveryCodes, Error> {
    let id = people::account_of(asking)?;
    let (account, known) = credentials(ctx, id).await?;
    let offered = known.totp_offered.ok_or_else(|| {
        Error::conflict("no second factor was offered", "begin with POST /api/v1/account/second-factor")
    })?;
    let offered = open(ctx, id, &offered)?;
    let step = totp::step_of(&offered, code, ctx.now()).map_err(|error| Error::Internal(error.into()))?;
    let step = step.ok_or_else(wrong_code)?;
    let codes = totp::recovery_codes();
    let hashes: Vec<_> = codes.iter().map(|code| totp::recovery_hash(code)).collect();
    let mut tx = ctx.db.write().await?;
    accounts::begin_totp(&mut tx, id, step, &hashes).await?;
    let object = format!("account {}", account.name);
    audit::note(&mut tx, "account.second-factor", &object, &json!(false), &json!(true)).await?;
    events::add(&mut tx, "account.second-factor", None, None, &asking.name, "on", ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(RecoveryCodes { codes })
}

fn wrong_code() -> Error {
    Error::invalid(
        "the code is wrong, or was used before",
        "wait for the next code; when it is wrong again, compare the clocks of server and telephone",
    )
}

/// Ends the second factor of whoever asks; it takes a code of it, or a recovery code.
///
/// # Errors
/// The code is wrong, or they have no second factor.
pub async fn end(ctx: &Ctx, asking: &Actor, code: &str) -> Result<(), Error> {
    let id = people::account_of(asking)?;
    let (account, known) = credentials(ctx, id).await?;
    let keys = format!("code {}", account.name);
    ctx.tries.let_through(&keys, ctx.now())?;
    if !super::login::code_fits(ctx, &account, &known, code).await? {
        ctx.tries.count(&keys, ctx.now());
        return Err(wrong_code());
    }
    remove(ctx, &account, &asking.name).await
}

/// Ends the second factor of somebody who has lost it.
///
/// # Errors
/// There is no such account, or it has none.
pub async fn reset(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let account = {
        let mut tx = ctx.db.read().await?;
        super::accounts::get(&mut tx, name).await?
    };
    if !account.has_second_factor {
        return Err(Error::not_found(format!("second factor of account {name}")));
    }
    remove(ctx, &account, actor).await
}

async fn remove(ctx: &Ctx, account: &Account, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    accounts::end_totp(&mut tx, account.id).await?;
    let object = format!("account {}", account.name);
    audit::note(&mut tx, "account.second-factor", &object, &json!(true), &json!(false)).await?;
    let detail = format!("off for {}", account.name);
    events::add(&mut tx, "account.second-factor", None, None, actor, &detail, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// How many recovery codes somebody has left.
///
/// # Errors
/// The database refuses.
pub async fn recovery_codes_left(ctx: &Ctx, account: i64) -> Result<i64, Error> {
    let mut tx = ctx.db.read().await?;
    Ok(accounts::recovery_codes_left(&mut tx, account).await?)
}
