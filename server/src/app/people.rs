//! Who asks: tokens are made, shown once, checked at every request, revoked.

use serde_json::json;

use super::Error;
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx,
        audit::{self, Origin},
        events, people, sessions,
    },
    domain::people::{ApiToken, Role},
    identity::token::{self, Token},
};

/// A token from a login link is valid this long.
const LOGIN_FOR: i64 = 12 * 3600 * SECOND;

/// Somebody whom the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What let them in.
    pub pass: Pass,
    /// For history and events.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// What lets somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The token with this number.
    Token(i64),
    /// The session of a browser, by the hash of its secret.
    Session(wire::Sha256),
}

/// A new token: the only time that the secret itself is shown.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ShownToken {
    /// Its record.
    pub token: ApiToken,
    /// The secret.
    pub secret: String,
}

/// The owner of a token.
///
/// # Errors
/// [`Error::Unauthenticated`] when it is unknown, expired or revoked.
pub async fn authenticate(ctx: &Ctx, secret: &str) -> Result<Actor, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.read().await?;
    let known = people::find_token(&mut tx, &token::hash(secret), now).await?.ok_or_else(|| {
        Error::Unauthenticated(
            "this token is unknown, expired or revoked; make a new one on the server's host: `sudo -u lotse lotse token create --data /var/lib/lotse --role ROLE`".to_owned(),
        )
    })?;
    drop(tx);
    // To the minute: a busy token must not cost a write at every request.
    if known.last_used_at.is_none_or(|at| now - at > 60 * SECOND) {
        // A full disk must not lock out those who come to free it.
        if let Err(error) = touch(ctx, known.id, now).await {
            let error = anyhow::Error::from(error);
            tracing::warn!(error = format!("{error:#}"), "noting that a token was used");
        }
    }
    Ok(Actor { pass: Pass::Token(known.id), name: known.name, role: known.role })
}

/// Whether somebody who was let in may still be here.
///
/// # Errors
/// The database refuses.
pub async fn is_still_let_in(ctx: &Ctx, actor: &Actor) -> Result<bool, Error> {
    let mut tx = ctx.db.read().await?;
    match &actor.pass {
        Pass::Token(id) => Ok(people::is_valid(&mut tx, *id, ctx.now()).await?),
        Pass::Session(hash) => Ok(sessions::find(&mut tx, hash, ctx.now()).await?.is_some()),
    }
}

async fn touch(ctx: &Ctx, id: i64, now: i64) -> Result<(), db::Error> {
    let mut tx = ctx.db.write().await?;
    people::touch_token(&mut tx, id, now).await?;
    tx.commit().await
}

/// Makes a token.
///
/// # Errors
/// The name is empty or cannot be shown, or it would have expired already.
pub async fn create_token(
    tx: &mut Tx,
    name: &str,
    role: Role,
    expires_at: Option<i64>,
    actor: &str,
    now: i64,
) -> Result<ShownToken, Error> {
    if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "a token needs a name that tells what it is for",
            "use up to 100 letters, without control characters",
        ));
    }
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Error::invalid(
            "the token would have expired already",
            "give a later expires_at, or none",
        ));
    }
    let secret = Token::new();
    let mut token = ApiToken {
        id: 0,
        name: name.to_owned(),
        role,
        created_at: now,
        created_by: actor.to_owned(),
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    token.id = people::create_token(tx, &secret.hash(), &token).await?;
    let detail = format!("{} ({}, {})", token.id, token.name, role.as_str());
    audit::note(tx, "token.create", &format!("token {}", token.id), &(), &token).await?;
    events::add(tx, "token.created", None, None, actor, &detail, now).await?;
    Ok(ShownToken { token, secret: secret.reveal().to_owned() })
}

/// All tokens, newest first; never the secrets.
///
/// # Errors
/// The database refuses.
pub async fn list_tokens(tx: &mut Tx) -> Result<Vec<ApiToken>, Error> {
    Ok(people::list_tokens(tx).await?)
}

/// Revokes a token: from now on nobody can use it.
///
/// # Errors
/// It does not exist or was revoked before.
pub async fn revoke_token(ctx: &Ctx, id: i64, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if !people::revoke_token(&mut tx, id, now).await? {
        return Err(Error::not_found(format!("token {id} that is not revoked")));
    }
    let state = |revoked: bool| json!({ "revoked": revoked });
    audit::note(&mut tx, "token.revoke", &format!("token {id}"), &state(false), &state(true)).await?;
    events::add(&mut tx, "token.revoked", None, None, actor, &id.to_string(), now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Exchanges a one-time login link for a token.
///
/// # Errors
/// [`Error::Unauthenticated`] when the link is unknown, used or expired.
pub async fn login(ctx: &Ctx, secret: &str) -> Result<ShownToken, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let Some((_, name, role)) = people::use_link(&mut tx, &token::hash(secret), now).await? else {
        drop(tx);
        link_refused(ctx).await?;
        return Err(Error::Unauthenticated(
            "this login link is unknown, was used already or has expired; make a token on the server's host: `sudo -u lotse lotse token create --data /var/lib/lotse --role admin`".to_owned(),
        ));
    };
    let shown = create_token(&mut tx, &name, role, Some(now + LOGIN_FOR), "login", now);
    let shown = match Origin::current() {
        Some(origin) => origin.by(&name).scope(shown).await?,
        None => shown.await?,
    };
    tx.commit().await?;
    Ok(shown)
}

/// Links that do not exist leave a trace, but not more of them from one address than a person would try.
pub(super) async fn link_refused(ctx: &Ctx) -> Result<(), Error> {
    let Some(origin) = Origin::current() else { return Ok(()) };
    let keys = [format!("link {}", origin.address)];
    if ctx.tries.may(&keys, ctx.now()) {
        ctx.tries.failed(&keys, ctx.now());
        super::audit::login_failed(ctx, "login link", "it is unknown, was used or has expired").await?;
    }
    Ok(())
}

/// What lets somebody in, as the audit and approvals keep it.
pub fn pass_word(pass: &Pass) -> String {
    match pass {
        Pass::Token(id) => format!("token {id}"),
        Pass::Session(_) => "session".to_owned(),
    }
}

fn token_of(pass: &str) -> Option<i64> {
    pass.strip_prefix("token ")?.parse().ok()
}

/// The person behind a session or token: the account, or whoever made the token.
///
/// # Errors
/// The database refuses.
pub async fn person(tx: &mut Tx, pass: &str, name: &str) -> Result<String, Error> {
    let Some(id) = token_of(pass) else { return Ok(name.to_owned()) };
    let made = people::list_tokens(tx).await?.into_iter().find(|token| token.id == id);
    Ok(match made {
        Some(token) if token.created_by == "login" => token.name,
        Some(token) => token.created_by,
        None => name.to_owned(),
    })
}

/// What the session's account or the token may do now; nothing when it is gone.
///
/// # Errors
/// The database refuses.
pub async fn role_now(tx: &mut Tx, pass: &str, person: &str, now: i64) -> Result<Option<Role>, Error> {
    match token_of(pass) {
        Some(id) if people::is_valid(tx, id, now).await? => {
            let made = people::list_tokens(tx).await?.into_iter().find(|token| token.id == id);
            Ok(made.map(|token| token.role))
        }
        Some(_) => Ok(None),
        None => Ok(sessions::find_user(tx, person).await?.map(|user| user.role)),
    }
}
