//! How somebody gets in: by password (checked here or in the directory), by one-time link, then by the second factor if they have one.
//! So many attempts of one name or one address are let through.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    Error, directory,
    people::{self, NewToken, ShownToken},
    sessions::{self, Origin},
};
use crate::{
    auth::{password, totp},
    clock::SECOND,
    context::Ctx,
    db::{accounts, audit, events, people as rows},
    domain::people::{Account, Credentials, Source},
    identity::token::{self, Token},
};

/// So many failed logins of one name or one address are let through in [`TRIES_WITHIN`].
const TRIES: u32 = 10;
const TRIES_WITHIN: i64 = 15 * 60 * SECOND;
/// Names and addresses that are remembered at most.
const REMEMBERED: usize = 10_000;
/// The code of the second factor is waited for this long, and may be mistyped so often.
const STEP_FOR: i64 = 5 * 60 * SECOND;
const STEP_TRIES: i64 = 5;
const SECOND_FACTOR: &str = "second-factor";

/// Failed logins of the last minutes, in memory.
#[derive(Default)]
pub struct Tries(Mutex<HashMap<String, (u32, i64)>>);

impl Tries {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<String, (u32, i64)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn may(&self, keys: &[String], now: i64) -> bool {
        self.with(|tries| {
            tries.retain(|_, (_, until)| *until > now);
            keys.iter().all(|key| tries.get(key).is_none_or(|(count, _)| *count < TRIES))
        })
    }

    pub(super) fn failed(&self, keys: &[String], now: i64) {
        self.with(|tries| {
            for key in keys {
                if tries.len() < REMEMBERED || tries.contains_key(key) {
                    tries.entry(key.clone()).or_insert((0, now + TRIES_WITHIN)).0 += 1;
                }
            }
        });
    }

    /// Refuses when one key had too many failures.
    pub(super) fn let_through(&self, key: &str, now: i64) -> Result<(), Error> {
        if self.may(&[key.to_owned()], now) { Ok(()) } else { Err(Refusal::Locked.into()) }
    }

    /// Counts a failure of one key.
    pub(super) fn count(&self, key: &str, now: i64) {
        self.failed(&[key.to_owned()], now);
    }

    pub(super) fn succeeded(&self, keys: &[String]) {
        self.with(|tries| tries.retain(|key, _| !keys.contains(key)));
    }
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Name and password do not belong together.
    #[error("name and password do not belong together")]
    Wrong,
    /// The link is not good.
    #[error(
        "this login link is unknown, was used already or has expired; ask an admin for a new one, or make a token on the server's host: `sudo -u lotse lotse token create --data /var/lib/lotse --role admin`"
    )]
    Link,
    /// The code of the second factor is wrong, or was used before.
    #[error("the code is wrong, or was used before; wait for the next one")]
    Code,
    /// The password was right, but too long ago, or too many codes were wrong.
    #[error("this login took too long or had too many wrong codes; begin again")]
    Over,
    /// The password was right, and a code is needed as well.
    #[error("this account has a second factor: send its `code` as well")]
    CodeMissing,
    /// The account is disabled.
    #[error("this account is disabled; ask an admin")]
    Disabled,
    /// The directory gives them no role.
    #[error("the directory gives you no role here; ask an admin to put you into a group that has one")]
    NoRole,
    /// Somebody here has the same name.
    #[error("a local account has the same name; log in with its password, or ask an admin to delete it")]
    NameTaken,
    /// Too many attempts.
    #[error("too many failed logins")]
    Locked,
    /// The directory does not answer.
    #[error("the directory cannot be reached, so its accounts cannot log in; local accounts can")]
    Directory,
    /// The login service does not answer, or not as it should.
    #[error("the login service cannot be reached, so its accounts cannot log in; local accounts can")]
    LoginService,
    /// What came back from the login service is not believed.
    #[error(
        "the answer of the login service does not belong to this browser, or cannot be believed; begin again"
    )]
    Answer,
    /// It let nobody in.
    #[error("the login service has let nobody in")]
    Denied,
    /// It gives them no role.
    #[error("the login service gives you no role here; ask an admin to put you into a group that has one")]
    ServiceNoRole,
    /// Somebody here has the same name.
    #[error("another account has the same name already; ask an admin to delete it")]
    ServiceNameTaken,
    /// It gives them no name that an account can have.
    #[error("the login service gives you no name that an account can have; ask an admin to set `name-claim`")]
    ServiceNoName,
    /// Something else went wrong.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<crate::db::Error> for Refusal {
    fn from(error: crate::db::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let title = refusal.to_string();
        let later = |remedy: &str| Self::Unavailable { title: title.clone(), remedy: remedy.to_owned() };
        match refusal {
            Refusal::Locked => {
                later("wait a quarter of an hour, or make a token on the server: `lotse token create`")
            }
            Refusal::Directory | Refusal::LoginService => {
                later("log in with a local account, or try again later")
            }
            Refusal::Failed(error) => error,
            Refusal::Disabled
            | Refusal::NoRole
            | Refusal::NameTaken
            | Refusal::ServiceNoRole
            | Refusal::ServiceNameTaken
            | Refusal::ServiceNoName => Self::Forbidden(title),
            Refusal::Wrong
            | Refusal::Link
            | Refusal::Code
            | Refusal::Over
            | Refusal::CodeMissing
            | Refusal::Answer
            | Refusal::Denied => Self::Unauthenticated(title),
        }
    }
}

/// How far a login has come.
#[derive(Debug)]
pub enum Begun {
    /// The secret for the cookie.
    Session(Token),
    /// The code of the second factor is missing; this secret goes on with it.
    SecondFactor(Token),
}

/// Begins a session by name and password.
///
/// # Errors
/// [`Refusal`]
pub async fn by_password(ctx: &Ctx, name: &str, password: &str, origin: &Origin) -> Result<Begun, Refusal> {
    let (account, credentials) = check_password(ctx, name, password, &origin.address.to_string()).await?;
    go_on(ctx, &account, &credentials, origin).await
}

/// Begins a session by a one-time link. Links to accounts of a directory are not made.
///
/// # Errors
/// [`Refusal`]
pub async fn by_link(ctx: &Ctx, secret: &str, origin: &Origin) -> Result<Begun, Refusal> {
    let (account, credentials) = use_link(ctx, secret).await?;
    go_on(ctx, &account, &credentials, origin).await
}

/// Begins the session of a login that waited for the code of the second factor, or for a recovery code in its place.
///
/// # Errors
/// [`Refusal`]
pub async fn by_code(ctx: &Ctx, step: &str, code: &str, origin: &Origin) -> Result<Token, Refusal> {
    let hash = token::hash(step);
    let mut tx = ctx.db.write().await?;
    let found = accounts::try_step(&mut tx, &hash, STEP_TRIES, ctx.now()).await?;
    tx.commit().await?;
    let user = found
        .filter(|(_, detail)| detail == SECOND_FACTOR)
        .and_then(|(user, _)| user)
        .ok_or(Refusal::Over)?;
    let mut tx = ctx.db.read().await?;
    let (account, credentials) = accounts::by_id(&mut tx, user).await?.ok_or(Refusal::Over)?;
    drop(tx);
    let keys = [format!("code {}", account.name)];
    if !ctx.tries.may(&keys, ctx.now()) {
        return Err(Refusal::Locked);
    }
    if !code_fits(ctx, &account, &credentials, code).await? {
        ctx.tries.failed(&keys, ctx.now());
        return Err(Refusal::Code);
    }
    ctx.tries.succeeded(&keys);
    let mut tx = ctx.db.write().await?;
    if !accounts::end_step(&mut tx, &hash).await? {
        return Err(Refusal::Over);
    }
    tx.commit().await?;
    Ok(sessions::begin(ctx, &account, origin).await?)
}

/// What the command line shows to get a token.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoginOrder {
    /// The part of a login link after the hash sign.
    pub link: Option<String>,
    /// Or the name of an account,
    pub name: Option<String>,
    /// and its password.
    pub password: Option<String>,
    /// The code of the second factor, for accounts that have one.
    pub code: Option<String>,
    /// Keep the token as long as a session would last at most, instead of half a day.
    pub keep: bool,
}

/// Exchanges a one-time link, or name and password, for a token.
///
/// # Errors
/// [`Refusal`]
pub async fn for_token(ctx: &Ctx, order: &LoginOrder, origin: &Origin) -> Result<ShownToken, Refusal> {
    let address = origin.address.to_string();
    let (account, credentials) = match (&order.link, &order.name, &order.password) {
        (Some(link), None, None) => {
            // A link that lacks its code is not used up.
            if order.code.is_none() && has_second_factor(ctx, link).await? {
                return Err(Refusal::CodeMissing);
            }
            use_link(ctx, link).await?
        }
        (None, Some(name), Some(password)) => check_password(ctx, name, password, &address).await?,
        _ => {
            return Err(Refusal::Failed(Error::invalid(
                "a login needs either a link, or name and password",
                "send `link`, or `name` and `password`",
            )));
        }
    };
    if credentials.totp_secret.is_some() {
        let code = order.code.as_deref().ok_or(Refusal::CodeMissing)?;
        let keys = [format!("code {}", account.name)];
        if !ctx.tries.may(&keys, ctx.now()) {
            return Err(Refusal::Locked);
        }
        if !code_fits(ctx, &account, &credentials, code).await? {
            ctx.tries.failed(&keys, ctx.now());
            return Err(Refusal::Code);
        }
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let limit = sessions::limits(&mut tx).await?.whole;
    let valid_for = if order.keep { limit } else { people::LOGIN_FOR.min(limit) };
    let new = NewToken {
        name: format!("login of {}", account.name),
        role: account.rights.role,
        groups: account.rights.groups.clone(),
        read_only: false,
        expires_at: Some(now + valid_for),
    };
    let whose = Some((account.id, account.name.as_str()));
    let shown = people::make_token(&mut tx, new, whose, &account.name, now).await?;
    accounts::set_logged_in(&mut tx, account.id, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(shown)
}

pub(super) async fn go_on(
    ctx: &Ctx,
    account: &Account,
    credentials: &Credentials,
    origin: &Origin,
) -> Result<Begun, Refusal> {
    if credentials.totp_secret.is_none() {
        return Ok(Begun::Session(sessions::begin(ctx, account, origin).await?));
    }
    let step = Token::new();
    let mut tx = ctx.db.write().await?;
    let until = ctx.now() + STEP_FOR;
    accounts::begin_step(&mut tx, &step.hash(), Some(account.id), SECOND_FACTOR, until).await?;
    tx.commit().await?;
    Ok(Begun::SecondFactor(step))
}

async fn has_second_factor(ctx: &Ctx, link: &str) -> Result<bool, Refusal> {
    let mut tx = ctx.db.read().await?;
    let Some(user) = rows::find_link(&mut tx, &token::hash(link), ctx.now()).await? else { return Ok(false) };
    Ok(accounts::by_id(&mut tx, user).await?.is_some_and(|(account, _)| account.has_second_factor))
}

async fn use_link(ctx: &Ctx, secret: &str) -> Result<(Account, Credentials), Refusal> {
    let mut tx = ctx.db.write().await?;
    let Some(user) = rows::use_link(&mut tx, &token::hash(secret), ctx.now()).await? else {
        drop(tx);
        people::link_refused(ctx).await?;
        return Err(Refusal::Link);
    };
    // The link stands for a forgotten password, so a new one is set without knowing it.
    accounts::clear_password(&mut tx, user).await?;
    let found = accounts::by_id(&mut tx, user).await?.ok_or(Refusal::Link)?;
    let name = &found.0.name;
    audit::note_by(&mut tx, name, "link.use", &format!("account {name}"), &()).await?;
    tx.commit().await?;
    Ok(found)
}

/// The account, when name and password belong together.
async fn check_password(
    ctx: &Ctx,
    name: &str,
    password: &str,
    address: &str,
) -> Result<(Account, Credentials), Refusal> {
    let (now, name) = (ctx.now(), name.trim().to_lowercase());
    let keys = [format!("name {name}"), format!("address {address}")];
    if !ctx.tries.may(&keys, now) {
        return Err(Refusal::Locked);
    }
    let checked = find_and_check(ctx, &name, password).await;
    match &checked {
        Ok(_) => ctx.tries.succeeded(&keys),
        Err(Refusal::Wrong) => {
            ctx.tries.failed(&keys, now);
            let who: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let why = "name and password do not belong together";
            super::audit::login_failed(ctx, &format!("account {who}"), why).await?;
        }
        Err(_) => {}
    }
    checked
}

async fn find_and_check(ctx: &Ctx, name: &str, password: &str) -> Result<(Account, Credentials), Refusal> {
    let found = {
        let mut tx = ctx.db.read().await?;
        accounts::find(&mut tx, name).await?
    };
    let is_local = found.as_ref().is_some_and(|(account, _)| account.source != Source::Ldap);
    if !is_local && let Some(directory) = &ctx.directory {
        return directory::check_password(ctx, directory, name, password).await;
    }
    let hash = found.as_ref().and_then(|(_, credentials)| credentials.password_hash.clone());
    let password = password.to_owned();
    let fits = tokio::task::spawn_blocking(move || password::verify(hash.as_deref(), &password))
        .await
        .map_err(|error| Error::Internal(error.into()))?;
    match found {
        Some((account, _)) if fits && account.disabled_at.is_some() => Err(Refusal::Disabled),
        Some(found) if fits => Ok(found),
        _ => Err(Refusal::Wrong),
    }
}

/// Whether a code is the present one of the second factor, or a recovery code; either is used up by it.
pub(super) async fn code_fits(
    ctx: &Ctx,
    account: &Account,
    credentials: &Credentials,
    code: &str,
) -> Result<bool, Error> {
    let Some(secret) = &credentials.totp_secret else { return Ok(false) };
    let secret = super::second_factors::open(ctx, account.id, secret)?;
    let step = totp::step_of(&secret, code, ctx.now()).map_err(|error| Error::Internal(error.into()))?;
    let mut tx = ctx.db.write().await?;
    #[expect(clippy::single_match_else, reason = "two cases of one question")]
    let fits = match step {
        Some(step) => accounts::use_totp_step(&mut tx, account.id, step).await?,
        None => {
            let used = accounts::use_recovery_code(&mut tx, account.id, &totp::recovery_hash(code)).await?;
            if used {
                let name = &account.name;
                events::add(&mut tx, "account.recovery-code", None, None, name, name, ctx.now()).await?;
            }
            used
        }
    };
    tx.commit().await?;
    Ok(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failed_logins_lock_a_name_out_for_a_while_only() {
        let tries = Tries::default();
        let keys = ["name ann".to_owned()];
        for _ in 0..TRIES {
            assert!(tries.may(&keys, 0));
            tries.failed(&keys, 0);
        }
        assert!(!tries.may(&keys, 1));
        assert!(tries.may(&["name bob".to_owned()], 1));
        assert!(tries.may(&keys, TRIES_WITHIN + 1));
    }
}
