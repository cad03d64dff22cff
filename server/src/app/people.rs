//! Who asks: tokens are made, shown once, checked at every request, revoked.

use serde_json::json;

use super::{Error, directory, groups as group_cases, oidc, reach, sessions as session_cases};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx, accounts,
        audit::{self, Origin},
        events, groups, people, sessions,
    },
    domain::{
        people::{ApiToken, Rights, Role},
        reach::{Reach, Sees},
    },
    identity::token::{self, Token},
};

/// The token of a login is valid this long; it can be prolonged until the session would end.
pub(super) const LOGIN_FOR: i64 = 12 * 3600 * SECOND;

/// Somebody whom the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What let them in.
    pub pass: Pass,
    /// For history and events.
    pub name: String,
    /// The account, unless it is a token of its own.
    pub account: Option<i64>,
    /// What they may do with what belongs to no client; for clients and groups, `reach` decides.
    pub role: Role,
    /// How far their roles go.
    pub reach: Reach,
}

impl Actor {
    pub(super) fn new(pass: Pass, name: String, account: Option<i64>, reach: Reach) -> Self {
        Self { pass, name, account, role: reach.everywhere.unwrap_or(Role::Viewer), reach }
    }

    /// Which clients they see in lists.
    pub fn sees(&self) -> Sees {
        self.reach.sees()
    }
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

/// What a new token shall be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What its owner may do with everything; absent when only groups count.
    #[serde(default)]
    pub role: Option<Role>,
    /// What its owner may do with the clients of single groups.
    #[serde(default)]
    pub groups: Vec<crate::domain::people::GroupRole>,
    /// Whether it only looks, whatever its roles are.
    #[serde(default)]
    pub read_only: bool,
    /// Not accepted after this time.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// The owner of a token.
///
/// # Errors
/// [`Error::Unauthenticated`] when it is unknown, expired or revoked, or was not used for as long as a session may idle.
pub async fn authenticate(ctx: &Ctx, secret: &str) -> Result<Actor, Error> {
    let now = ctx.now();
    let hash = token::hash(secret);
    let find = async || -> Result<people::Shown, Error> {
        let mut tx = ctx.db.read().await?;
        people::find_token(&mut tx, &hash, now).await?.ok_or_else(|| {
            Error::Unauthenticated(
                "this token is unknown, expired or revoked; log in again, or make a new one on the server's host: `sudo -u lotse lotse token create --data /var/lib/lotse --role ROLE`".to_owned(),
            )
        })
    };
    let mut known = find().await?;
    if let Some((account, granted)) = &known.account {
        let limits = {
            let mut tx = ctx.db.read().await?;
            session_cases::limits(&mut tx).await?
        };
        if now - known.last_used_at.unwrap_or(known.created_at) > limits.idle {
            return Err(Error::Unauthenticated(
                "this login was not used for too long; log in again".to_owned(),
            ));
        }
        if oidc::is_over(ctx, granted) {
            return Err(Error::Unauthenticated(
                "the login service has not been asked about this account for too long; log in there again"
                    .to_owned(),
            ));
        }
        if directory::refresh_if_old(ctx, *account, granted).await? {
            known = find().await?;
        }
    }
    // To the minute: a busy token must not cost a write at every request.
    if known.last_used_at.is_none_or(|at| now - at > 60 * SECOND) {
        // A full disk must not lock out those who come to free it.
        if let Err(error) = touch(ctx, known.id, now).await {
            let error = anyhow::Error::from(error);
            tracing::warn!(error = format!("{error:#}"), "noting that a token was used");
        }
    }
    let account = known.account.map(|(account, _)| account);
    Ok(Actor::new(Pass::Token(known.id), known.name, account, known.reach))
}

/// Whether somebody who was let in may still be here, with the same roles.
///
/// # Errors
/// The database refuses.
pub async fn is_still_let_in(ctx: &Ctx, actor: &Actor) -> Result<bool, Error> {
    let mut tx = ctx.db.read().await?;
    let there = match &actor.pass {
        Pass::Token(id) => people::is_valid(&mut tx, *id, ctx.now()).await?,
        Pass::Session(hash) => sessions::find(&mut tx, hash, ctx.now()).await?.is_some(),
    };
    let Some(account) = actor.account.filter(|_| there) else { return Ok(there) };
    let granted = accounts::granted(&mut tx, account).await?;
    Ok(granted.is_some_and(|now| {
        !oidc::is_over(ctx, &now) && Reach { read_only: actor.reach.read_only, ..now.reach } == actor.reach
    }))
}

async fn touch(ctx: &Ctx, id: i64, now: i64) -> Result<(), db::Error> {
    let mut tx = ctx.db.write().await?;
    people::touch_token(&mut tx, id, now).await?;
    tx.commit().await
}

/// Makes a token with a role for everything.
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
    let new = NewToken {
        name: name.to_owned(),
        role: Some(role),
        groups: Vec::new(),
        read_only: false,
        expires_at,
    };
    make_token(tx, new, None, actor, now).await
}

/// Makes a token for whoever can read the server's data.
///
/// # Errors
/// As [`add_token`].
pub async fn create_local_token(tx: &mut Tx, new: NewToken, now: i64) -> Result<ShownToken, Error> {
    check_rights(tx, &Rights { role: new.role, groups: new.groups.clone() }).await?;
    make_token(tx, new, None, "server host", now).await
}

/// Makes a token that is no login.
///
/// # Errors
/// The name is empty or cannot be shown, it would have expired already, it has no role, or a group does not exist.
pub async fn add_token(ctx: &Ctx, new: NewToken, actor: &str) -> Result<ShownToken, Error> {
    let mut tx = ctx.db.write().await?;
    check_rights(&mut tx, &Rights { role: new.role, groups: new.groups.clone() }).await?;
    let shown = make_token(&mut tx, new, None, actor, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(shown)
}

/// Makes a token; `account` when it is the login of one.
pub(super) async fn make_token(
    tx: &mut Tx,
    new: NewToken,
    account: Option<(i64, &str)>,
    actor: &str,
    now: i64,
) -> Result<ShownToken, Error> {
    let name = &new.name;
    if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "a token needs a name that tells what it is for",
            "use up to 100 letters, without control characters",
        ));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(Error::invalid(
            "the token would have expired already",
            "give a later expires_at, or none",
        ));
    }
    let secret = Token::new();
    let mut token = ApiToken {
        id: 0,
        name: new.name,
        role: new.role,
        groups: new.groups,
        read_only: new.read_only,
        account: account.map(|(_, name)| name.to_owned()),
        created_at: now,
        created_by: actor.to_owned(),
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    token.id = people::create_token(tx, &secret.hash(), &token, account.map(|(id, _)| id)).await?;
    let rights = Rights { role: token.role, groups: token.groups.clone() };
    let detail = format!("{} ({}, {})", token.id, token.name, in_words(&rights));
    let object = format!("token {}", token.id);
    match account {
        Some((_, name)) => audit::note_by(tx, name, "token.create", &object, &token).await?,
        None => audit::note(tx, "token.create", &object, &(), &token).await?,
    }
    events::add(tx, "token.created", None, None, actor, &detail, now).await?;
    Ok(ShownToken { token, secret: secret.reveal().to_owned() })
}

/// Roles in words, for events.
pub(super) fn in_words(rights: &Rights) -> String {
    let everything = rights.role.map(|role| role.as_str().to_owned());
    let groups = rights.groups.iter().map(|one| format!("{} of {}", one.role.as_str(), one.group));
    let words: Vec<_> = everything.into_iter().chain(groups).collect();
    if words.is_empty() { "no role".to_owned() } else { words.join(", ") }
}

/// Refuses roles for groups that do not exist or are named twice, and no role at all.
pub(super) async fn check_rights(tx: &mut Tx, rights: &Rights) -> Result<(), Error> {
    if rights.role.is_none() && rights.groups.is_empty() {
        return Err(Error::invalid(
            "there is no role in it, so nothing could be done with it",
            "give a role for everything, or one for a group",
        ));
    }
    for (index, wanted) in rights.groups.iter().enumerate() {
        let group = groups::get(tx, &wanted.group).await?;
        let group = group.ok_or_else(|| Error::not_found(format!("group {}", wanted.group)))?;
        // Whoever changes a search or a fact must not give rights by it.
        group_cases::check_named(&group)?;
        if rights.groups[..index].iter().any(|other| other.group == wanted.group) {
            return Err(Error::invalid(
                format!("the group {} is named twice", wanted.group),
                "give one role for each group",
            ));
        }
    }
    Ok(())
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

/// Lets the token of a login be valid for as long again as it was at first, but no longer than a session would be.
///
/// # Errors
/// Who asks has not come with the token of a login, or its time is used up.
pub async fn prolong(ctx: &Ctx, actor: &Actor) -> Result<ApiToken, Error> {
    let (Pass::Token(id), Some(account)) = (&actor.pass, actor.account) else {
        return Err(Error::invalid(
            "only the token of a login is prolonged",
            "make a token with a later expires_at instead: `lotse token create`",
        ));
    };
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let gone = || Error::not_found(format!("token {id}"));
    let token = people::get_token(&mut tx, *id).await?.ok_or_else(gone)?;
    let latest = token.created_at + session_cases::limits(&mut tx).await?.whole;
    let until = (now + LOGIN_FOR).min(latest);
    if token.expires_at.is_some_and(|at| at >= until) {
        if until == latest {
            return Err(Error::conflict(
                "this login is valid until its session ends; it cannot be prolonged any more",
                "log in again when it has expired",
            ));
        }
        return Ok(token);
    }
    people::prolong_token(&mut tx, *id, until).await?;
    let (old, new) = (json!({ "expires_at": token.expires_at }), json!({ "expires_at": until }));
    audit::note(&mut tx, "token.prolong", &format!("token {id}"), &old, &new).await?;
    let detail = format!("{id} of account {account}");
    events::add(&mut tx, "token.prolonged", None, None, &actor.name, &detail, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(ApiToken { expires_at: Some(until), ..token })
}

/// The account of whoever asks.
///
/// # Errors
/// It has no role any more, or they came with a token that is no login.
pub fn account_of(actor: &Actor) -> Result<i64, Error> {
    if actor.reach.greatest().is_none() {
        return Err(reach::nowhere(&actor.reach, Role::Viewer));
    }
    actor.account.ok_or_else(|| {
        Error::conflict("this token belongs to no account", "log in as somebody: `lotse login`")
    })
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
    let made = people::get_token(tx, id).await?;
    Ok(made.map_or_else(|| name.to_owned(), |token| token.account.unwrap_or(token.created_by)))
}

/// How far the roles of the session's account or the token go now; nothing when it is gone.
///
/// # Errors
/// The database refuses.
pub async fn reach_now(tx: &mut Tx, pass: &str, person: &str, now: i64) -> Result<Option<Reach>, Error> {
    if let Some(id) = token_of(pass) {
        if !people::is_valid(tx, id, now).await? {
            return Ok(None);
        }
        // Without roles of its own it is the login of an account.
        if let Some(own) = people::reach_of(tx, id).await? {
            return Ok(Some(own));
        }
    }
    let Some((account, _)) = accounts::find(tx, person).await? else { return Ok(None) };
    Ok(accounts::granted(tx, account.id).await?.map(|granted| granted.reach))
}
