//! Logins that last: sessions of browsers, and tokens of the command line that belong to an account. For so long, listed, ended.
//!
//! Invariant: a session's secret is made when it begins and never taken from the browser, so nobody can choose it for somebody else.

use std::net::IpAddr;

use serde_json::json;
use wire::Sha256;

use super::{
    Error, directory, oidc,
    people::{Actor, Pass},
    settings,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{self, Tx, accounts, audit, events, people, sessions},
    domain::{
        people::{Account, Login, Session, Source},
        settings::{SESSION_DAYS, SESSION_IDLE_HOURS},
    },
    identity::token::{self, Token},
};

/// So much of a session's hash names it.
const NAMED_BY: usize = 16;

/// Where a login comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Address of the browser.
    pub address: IpAddr,
    /// What the browser says it is.
    pub browser: String,
}

/// How long logins last, in microseconds.
pub(super) struct Limits {
    /// Without use.
    pub(super) idle: i64,
    /// In any case.
    pub(super) whole: i64,
}

/// How long logins last now.
pub(super) async fn limits(tx: &mut Tx) -> Result<Limits, Error> {
    let settings = settings::current(tx).await?;
    Ok(Limits {
        idle: settings.number(&SESSION_IDLE_HOURS) * 3600 * SECOND,
        whole: settings.number(&SESSION_DAYS) * 24 * 3600 * SECOND,
    })
}

/// Begins the session of somebody who has proved who they are.
pub(super) async fn begin(ctx: &Ctx, account: &Account, origin: &Origin) -> Result<Token, Error> {
    let now = ctx.now();
    let secret = Token::new();
    let mut tx = ctx.db.write().await?;
    let limits = limits(&mut tx).await?;
    let session = Session {
        user: account.id,
        created_at: now,
        last_used_at: now,
        expires_at: now + limits.whole,
        address: origin.address.to_string(),
        browser: origin.browser.chars().filter(|letter| !letter.is_control()).take(200).collect(),
    };
    sessions::create(&mut tx, &secret.hash(), &session).await?;
    accounts::set_logged_in(&mut tx, account.id, now).await?;
    let after = json!({ "browser": session.browser, "expires_at": session.expires_at });
    let object = format!("account {}", account.name);
    audit::note_by(&mut tx, &account.name, "session.begin", &object, &after).await?;
    events::add(&mut tx, "session.begun", None, None, &account.name, &session.address, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(secret)
}

/// Somebody whose browser is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub actor: Actor,
    /// Number of the account.
    pub user: i64,
    /// The language of their pages, once they have chosen one.
    pub language: Option<String>,
}

/// Who shows this cookie; nobody when the session is unknown, idle for long or over.
///
/// # Errors
/// The database refuses, or the directory that knows their roles cannot be reached.
pub async fn authenticate(ctx: &Ctx, secret: &str) -> Result<Option<LoggedIn>, Error> {
    let (now, hash) = (ctx.now(), token::hash(secret));
    let find = async || -> Result<Option<(sessions::Shown, Limits)>, Error> {
        let mut tx = ctx.db.read().await?;
        let Some(shown) = sessions::find(&mut tx, &hash, now).await? else { return Ok(None) };
        Ok(Some((shown, limits(&mut tx).await?)))
    };
    let Some((mut shown, limits)) = find().await? else { return Ok(None) };
    if now - shown.session.last_used_at > limits.idle || oidc::is_over(ctx, &shown.granted) {
        return Ok(None);
    }
    if directory::refresh_if_old(ctx, shown.session.user, &shown.granted).await? {
        let Some((again, _)) = find().await? else { return Ok(None) };
        shown = again;
    }
    // To the minute: a busy session must not cost a write at every request.
    if now - shown.session.last_used_at > 60 * SECOND {
        let mut tx = ctx.db.write().await?;
        sessions::touch(&mut tx, &hash, now).await?;
        tx.commit().await?;
    }
    let user = shown.session.user;
    let actor = Actor::new(Pass::Session(hash), shown.name, Some(user), shown.granted.reach);
    Ok(Some(LoggedIn { actor, user, language: shown.language }))
}

/// Ends a session; tells where its account comes from.
///
/// # Errors
/// The database refuses.
pub async fn end(ctx: &Ctx, secret: &str) -> Result<Option<Source>, Error> {
    let mut tx = ctx.db.write().await?;
    let hash = token::hash(secret);
    let shown = sessions::find(&mut tx, &hash, ctx.now()).await?;
    if let Some(shown) = &shown {
        let object = format!("account {}", shown.name);
        audit::note_by(&mut tx, &shown.name, "session.end", &object, &()).await?;
    }
    sessions::end(&mut tx, &hash).await?;
    tx.commit().await?;
    Ok(shown.map(|shown| shown.granted.source))
}

fn name_of(hash: &Sha256) -> String {
    hash.as_str().chars().take(NAMED_BY).collect()
}

/// Logins of an account, browsers first, newest first.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, account: i64, asking: &Actor) -> Result<Vec<Login>, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.read().await?;
    let idle_since = now - limits(&mut tx).await?.idle;
    let browsers = sessions::list(&mut tx, account, now).await?;
    let mut logins: Vec<Login> = browsers
        .into_iter()
        .filter(|(_, session)| session.last_used_at >= idle_since)
        .map(|(hash, session)| Login {
            id: name_of(&hash),
            current: asking.pass == Pass::Session(hash),
            created_at: session.created_at,
            last_used_at: Some(session.last_used_at),
            expires_at: Some(session.expires_at),
            address: session.address,
            browser: session.browser,
        })
        .collect();
    for token in people::logins(&mut tx, account, now).await? {
        logins.push(Login {
            id: format!("token-{}", token.id),
            current: asking.pass == Pass::Token(token.id),
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
            address: String::new(),
            browser: token.name,
        });
    }
    Ok(logins)
}

/// Ends one login of an account.
///
/// # Errors
/// The account has no such login.
pub async fn revoke(ctx: &Ctx, account: i64, id: &str, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let ended = if let Some(token) = id.strip_prefix("token-") {
        let number: i64 = token.parse().unwrap_or(-1);
        let own = people::logins(&mut tx, account, now).await?.iter().any(|token| token.id == number);
        own && people::revoke_token(&mut tx, number, now).await?
    } else {
        let found =
            sessions::list(&mut tx, account, now).await?.into_iter().find(|(hash, _)| name_of(hash) == id);
        match found {
            Some((hash, _)) => {
                sessions::end(&mut tx, &hash).await?;
                true
            }
            None => false,
        }
    };
    if !ended {
        return Err(Error::not_found(format!("login {id} of this account")));
    }
    audit::note(&mut tx, "session.end", &format!("login {id}"), &json!({ "account": account }), &()).await?;
    events::add(&mut tx, "session.ended", None, None, actor, id, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Ends every login of an account, but the one that asks when it is its own.
///
/// # Errors
/// The database refuses.
pub async fn revoke_all(ctx: &Ctx, account: &Account, asking: &Actor) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    end_others(&mut tx, account.id, &asking.pass, ctx.now()).await?;
    let object = format!("account {}", account.name);
    audit::note(&mut tx, "session.end", &object, &json!({ "logins": "all others" }), &()).await?;
    events::add(&mut tx, "session.ended", None, None, &asking.name, &account.name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Ends every login of an account but one.
pub(super) async fn end_others(tx: &mut Tx, account: i64, but: &Pass, now: i64) -> Result<(), db::Error> {
    match but {
        Pass::Session(hash) => {
            sessions::end_others(tx, account, hash).await?;
            people::revoke_logins(tx, account, None, now).await?;
        }
        Pass::Token(id) => {
            sessions::end_all(tx, account).await?;
            people::revoke_logins(tx, account, Some(*id), now).await?;
        }
    }
    Ok(())
}

/// Ends every login of an account.
pub(super) async fn end_all(tx: &mut Tx, account: i64, now: i64) -> Result<(), db::Error> {
    sessions::end_all(tx, account).await?;
    people::revoke_logins(tx, account, None, now).await?;
    Ok(())
}

/// Forgets sessions and steps of logins that are over.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let idle = limits(&mut tx).await?.idle;
    sessions::prune(&mut tx, now - idle, now).await?;
    accounts::prune(&mut tx, now).await?;
    Ok(tx.commit().await?)
}
