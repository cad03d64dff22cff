//! Browsers that are logged in: by password or by the one-time link, for so long, from so many attempts.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

use serde_json::json;

use super::{
    Error,
    people::{Actor, Pass},
    settings,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{audit, events, people, sessions},
    domain::{
        people::{Session, User},
        settings::{SESSION_DAYS, SESSION_IDLE_HOURS},
    },
    identity::token::{self, Token},
};

/// So many failed logins of one name or one address are let through in [`TRIES_WITHIN`].
const TRIES: u32 = 10;
const TRIES_WITHIN: i64 = 15 * 60 * SECOND;
/// Names and addresses that are remembered at most.
const REMEMBERED: usize = 10_000;
/// A password has at least so many characters (NIST SP 800-63B, 5.1.1.2 asks for 8).
const SHORTEST_PASSWORD: usize = 10;
const LONGEST_PASSWORD: usize = 200;

/// Where a login comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Address of the browser.
    pub address: IpAddr,
    /// What the browser says it is.
    pub browser: String,
}

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

    fn succeeded(&self, keys: &[String]) {
        self.with(|tries| tries.retain(|key, _| !keys.contains(key)));
    }
}

/// Begins a session by name and password; gives the secret for the cookie.
///
/// # Errors
/// Name and password do not belong together, or there were too many attempts.
pub async fn by_password(ctx: &Ctx, name: &str, password: &str, origin: &Origin) -> Result<Token, Error> {
    let now = ctx.now();
    let keys = [format!("name {name}"), format!("address {}", origin.address)];
    if !ctx.tries.may(&keys, now) {
        return Err(Error::Unavailable {
            title: "too many failed logins".to_owned(),
            remedy: "wait a quarter of an hour, or make a token on the server: `lotse token create`"
                .to_owned(),
        });
    }
    let user = {
        let mut tx = ctx.db.read().await?;
        sessions::find_user(&mut tx, name).await?
    };
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let password = password.to_owned();
    let fits = tokio::task::spawn_blocking(move || verify(hash.as_deref(), &password))
        .await
        .map_err(|error| Error::Internal(error.into()))?;
    match user {
        Some(user) if fits => {
            ctx.tries.succeeded(&keys);
            begin(ctx, &user, origin).await
        }
        _ => {
            ctx.tries.failed(&keys, now);
            super::audit::login_failed(
                ctx,
                &format!("account {name}"),
                "name and password do not belong together",
            )
            .await?;
            Err(Error::Unauthenticated("name and password do not belong together".to_owned()))
        }
    }
}

/// Takes as long for a name that does not exist, so that names cannot be guessed by the time.
fn verify(hash: Option<&str>, password: &str) -> bool {
    let argon = Argon2::default();
    if let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) {
        argon.verify_password(password.as_bytes(), &hash).is_ok()
    } else {
        std::hint::black_box(argon.hash_password(password.as_bytes()).is_ok());
        false
    }
}

/// Begins a session by a one-time link; gives the secret for the cookie.
///
/// # Errors
/// [`Error::Unauthenticated`] when the link is unknown, used or expired.
pub async fn by_link(ctx: &Ctx, secret: &str, origin: &Origin) -> Result<Token, Error> {
    let mut tx = ctx.db.write().await?;
    let found = people::use_link(&mut tx, &token::hash(secret), ctx.now()).await?;
    let Some((id, name, role)) = found else {
        drop(tx);
        super::people::link_refused(ctx).await?;
        return Err(Error::Unauthenticated(
            "this login link is unknown, was used already or has expired".to_owned(),
        ));
    };
    audit::note_by(&mut tx, &name, "link.use", &format!("account {name}"), &()).await?;
    tx.commit().await?;
    begin(ctx, &User { id, name, role, password_hash: None }, origin).await
}

async fn begin(ctx: &Ctx, user: &User, origin: &Origin) -> Result<Token, Error> {
    let now = ctx.now();
    let secret = Token::new();
    let mut tx = ctx.db.write().await?;
    let limits = settings::current(&mut tx).await?;
    let session = Session {
        user: user.id,
        created_at: now,
        last_used_at: now,
        expires_at: now + limits.number(&SESSION_DAYS) * 24 * 3600 * SECOND,
        address: origin.address.to_string(),
        browser: origin.browser.chars().filter(|letter| !letter.is_control()).take(200).collect(),
    };
    sessions::create(&mut tx, &secret.hash(), &session).await?;
    let after = json!({ "browser": session.browser, "expires_at": session.expires_at });
    audit::note_by(&mut tx, &user.name, "session.begin", &format!("account {}", user.name), &after).await?;
    events::add(&mut tx, "session.begun", None, None, &user.name, &session.address, now).await?;
    tx.commit().await?;
    Ok(secret)
}

/// Somebody whose browser is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub actor: Actor,
    /// Number of the account.
    pub user: i64,
}

/// Who shows this cookie; nobody when the session is unknown, idle for long or over.
///
/// # Errors
/// The database refuses.
pub async fn authenticate(ctx: &Ctx, secret: &str) -> Result<Option<LoggedIn>, Error> {
    let (now, hash) = (ctx.now(), token::hash(secret));
    let mut tx = ctx.db.read().await?;
    let Some((session, name, role)) = sessions::find(&mut tx, &hash, now).await? else { return Ok(None) };
    let idle_for = settings::current(&mut tx).await?.number(&SESSION_IDLE_HOURS) * 3600 * SECOND;
    drop(tx);
    if now - session.last_used_at > idle_for {
        return Ok(None);
    }
    // To the minute: a busy session must not cost a write at every request.
    if now - session.last_used_at > 60 * SECOND {
        let mut tx = ctx.db.write().await?;
        sessions::touch(&mut tx, &hash, now).await?;
        tx.commit().await?;
    }
    Ok(Some(LoggedIn { actor: Actor { pass: Pass::Session(hash), name, role }, user: session.user }))
}

/// Ends a session.
///
/// # Errors
/// The database refuses.
pub async fn end(ctx: &Ctx, secret: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let hash = token::hash(secret);
    if let Some((_, name, _)) = sessions::find(&mut tx, &hash, ctx.now()).await? {
        audit::note_by(&mut tx, &name, "session.end", &format!("account {name}"), &()).await?;
    }
    sessions::end(&mut tx, &hash).await?;
    Ok(tx.commit().await?)
}

/// Whether the account has a password.
///
/// # Errors
/// The database refuses.
pub async fn has_password(ctx: &Ctx, name: &str) -> Result<bool, Error> {
    let mut tx = ctx.db.read().await?;
    Ok(sessions::find_user(&mut tx, name).await?.is_some_and(|user| user.password_hash.is_some()))
}

/// Sets the password of whoever asks, and ends their other sessions.
///
/// # Errors
/// It is too short or too long.
pub async fn set_password(ctx: &Ctx, who: &LoggedIn, password: &str, secret: &str) -> Result<(), Error> {
    let length = password.chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Err(Error::invalid(
            format!(
                "a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, this one has {length}"
            ),
            "take a sentence or some words that only you know",
        ));
    }
    let password = password.to_owned();
    let hash = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
    })
    .await
    .map_err(|error| Error::Internal(error.into()))?
    .map_err(|error| Error::Internal(anyhow::anyhow!("hashing a password: {error}")))?;
    let mut tx = ctx.db.write().await?;
    sessions::set_password(&mut tx, who.user, &hash).await?;
    sessions::end_others(&mut tx, who.user, &token::hash(secret)).await?;
    let after = json!({ "other_sessions": "ended" });
    audit::note(&mut tx, "password.change", &format!("account {}", who.actor.name), &(), &after).await?;
    events::add(&mut tx, "password.changed", None, None, &who.actor.name, "", ctx.now()).await?;
    Ok(tx.commit().await?)
}

/// Forgets sessions that are over.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let idle_for = settings::current(&mut tx).await?.number(&SESSION_IDLE_HOURS) * 3600 * SECOND;
    sessions::prune(&mut tx, now - idle_for, now).await?;
    Ok(tx.commit().await?)
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

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify(Some(&hash), "correct horse"));
        assert!(!verify(Some(&hash), "correct house"));
        assert!(!verify(None, "correct horse"));
        assert!(!verify(Some("not a hash"), ""));
    }
}
