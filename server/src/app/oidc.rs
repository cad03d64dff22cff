//! Logging in by a login service (`OpenID` Connect): where a browser is sent, and whom it comes back as.
//!
//! Invariant: an answer counts once, within [`AWAY_FOR`], and only in the browser that was sent away with its question: that is sealed in a
//! cookie, so the server keeps nothing about whoever only begins. An account belongs to one issuer and subject; whatever name comes with
//! them, they never get at an account of anybody else.

use serde::{Deserialize, Serialize};

use super::{
    Error, accounts as cases, directory,
    login::{self, Begun, Refusal},
    people,
    sessions::{self, Origin},
};
use crate::{
    auth::oidc::{self, LoginService, Person, Question},
    clock::SECOND,
    context::Ctx,
    db::{
        Tx,
        accounts::{self, Granted},
        events,
    },
    domain::people::{Account, Credentials, Rights, Source},
    identity::token,
};

/// So long may somebody take at the login service, in microseconds.
pub const AWAY_FOR: i64 = 15 * 60 * SECOND;
/// Where the login service sends people back to.
pub const ANSWER: &str = "/login/oidc/answer";
const PURPOSE: &str = "login at the login service";
const USED: &str = "answer";

/// What a browser keeps while it is away.
#[derive(Serialize, Deserialize)]
struct Away {
    question: Question,
    /// Where it wanted to go.
    next: String,
    expires_at: i64,
}

/// A browser is sent away.
pub struct SentAway {
    /// Where to.
    pub address: String,
    /// What it keeps; nobody else can read or change it.
    pub kept: String,
}

/// What comes back in the address (RFC 6749, 4.1.2; RFC 9207).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// As it was sent.
    pub state: String,
    /// What the service exchanges for a token.
    pub code: String,
    /// Why nobody was let in.
    pub error: String,
    /// Who answers.
    pub iss: Option<String>,
}

fn redirect(ctx: &Ctx) -> String {
    format!("{}{ANSWER}", ctx.addresses.https)
}

fn service(ctx: &Ctx) -> Result<&LoginService, Refusal> {
    ctx.login_service.as_ref().ok_or(Refusal::Failed(Error::NotFound { what: "login service".to_owned() }))
}

/// Sends a browser to the login service; afterwards it goes on to `next`.
///
/// # Errors
/// There is no login service, or it gives no answer.
pub async fn begin(ctx: &Ctx, next: &str) -> Result<SentAway, Refusal> {
    let question = Question::new();
    let address = service(ctx)?.address(&question, &redirect(ctx), ctx.now()).await.map_err(refusal)?;
    let away = Away { question, next: next.to_owned(), expires_at: ctx.now() + AWAY_FOR };
    let text = serde_json::to_string(&away).map_err(|error| Error::Internal(error.into()))?;
    let kept = ctx.authority.seal(PURPOSE, &text).map_err(|error| Error::Internal(error.into()))?;
    Ok(SentAway { address, kept })
}

/// Lets in whom the login service has sent back; gives where they wanted to go as well.
///
/// # Errors
/// [`Refusal`]
pub async fn finish(
    ctx: &Ctx,
    kept: &str,
    answer: &Answer,
    origin: &Origin,
) -> Result<(Begun, String), Refusal> {
    let keys = [format!("answer {}", origin.address)];
    if !ctx.tries.may(&keys, ctx.now()) {
        return Err(Refusal::Locked);
    }
    let done = let_in(ctx, kept, answer, origin).await;
    match &done {
        Ok(_) => ctx.tries.succeeded(&keys),
        Err(Refusal::Answer | Refusal::Over) => {
            ctx.tries.failed(&keys, ctx.now());
            let why = "the answer does not belong to the browser, or cannot be believed";
            super::audit::login_failed(ctx, "login service", why).await?;
        }
        Err(_) => {}
    }
    done
}

async fn let_in(ctx: &Ctx, kept: &str, answer: &Answer, origin: &Origin) -> Result<(Begun, String), Refusal> {
    let service = service(ctx)?;
    let now = ctx.now();
    let kept = ctx.authority.open_sealed(PURPOSE, kept).map_err(|_| Refusal::Answer)?;
    let away: Away = serde_json::from_str(&kept).map_err(|_| Refusal::Answer)?;
    if away.question.state != answer.state {
        return Err(Refusal::Answer);
    }
    if now >= away.expires_at {
        return Err(Refusal::Over);
    }
    let mut tx = ctx.db.write().await?;
    let is_first = accounts::use_up_step(&mut tx, &token::hash(&answer.state), USED, away.expires_at).await?;
    tx.commit().await?;
    if !is_first || !service.has_answered(answer.iss.as_deref(), now).await.map_err(refusal)? {
        return Err(Refusal::Answer);
    }
    if !answer.error.is_empty() {
        let error: String = answer.error.chars().filter(|letter| !letter.is_control()).take(60).collect();
        tracing::info!(error, "the login service has let nobody in");
        return Err(Refusal::Denied);
    }
    let person = service.person(&away.question, &answer.code, &redirect(ctx), now).await.map_err(refusal)?;
    let mut tx = ctx.db.write().await?;
    let found = keep(&mut tx, &person, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    let (account, credentials) = found.ok_or(Refusal::ServiceNoRole)?;
    Ok((login::go_on(ctx, &account, &credentials, origin).await?, away.next))
}

fn refusal(error: oidc::Error) -> Refusal {
    let untrusted = matches!(error, oidc::Error::Untrusted(_));
    let error = anyhow::Error::from(error);
    tracing::warn!(error = format!("{error:#}"), "asking the login service");
    if untrusted { Refusal::Answer } else { Refusal::LoginService }
}

/// Makes the account of a person, or brings it up to date. Without any role there is none, and one that was there is logged out.
async fn keep(tx: &mut Tx, person: &Person, now: i64) -> Result<Option<(Account, Credentials)>, Refusal> {
    let rights = directory::existing(tx, &person.rights).await?;
    let known = accounts::by_source(tx, Source::Oidc, &person.id).await?;
    if rights == Rights::default() {
        if let Some((account, _)) = known {
            directory::set_rights(tx, &account, &rights, now).await?;
            sessions::end_all(tx, account.id, now).await?;
        }
        return Ok(None);
    }
    let id = match known {
        Some((account, _)) if account.disabled_at.is_some() => return Err(Refusal::Disabled),
        Some((account, _)) => {
            accounts::set_full_name(tx, account.id, &person.full_name).await?;
            directory::set_rights(tx, &account, &rights, now).await?;
            account.id
        }
        None => {
            if !cases::is_name(&person.name) {
                tracing::warn!(name = person.name, "the login service has a name that no account can have");
                return Err(Refusal::ServiceNoName);
            }
            if accounts::find(tx, &person.name).await?.is_some() {
                return Err(Refusal::ServiceNameTaken);
            }
            let (name, full_name) = (&person.name, &person.full_name);
            let id =
                accounts::create(tx, name, full_name, Source::Oidc, Some(&person.id), &rights, now).await?;
            let detail = format!("{name} ({})", people::in_words(&rights));
            events::add(tx, "account.created", None, None, "login service", &detail, now).await?;
            id
        }
    };
    accounts::set_checked(tx, id, now).await?;
    Ok(accounts::by_id(tx, id).await?)
}

/// Whether what the login service said about an account is too old to count, so that they have to log in there again.
pub(super) fn is_over(ctx: &Ctx, granted: &Granted) -> bool {
    let valid_for = ctx.login_service.as_ref().map_or(0, LoginService::valid_for);
    granted.source == Source::Oidc && ctx.now() - granted.checked_at.unwrap_or(0) >= valid_for
}

/// Where somebody who has left ends their session at the login service as well.
pub fn end_address(ctx: &Ctx) -> Option<String> {
    ctx.login_service.as_ref()?.end_address(&format!("{}/login", ctx.addresses.https))
}
