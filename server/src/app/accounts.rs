//! Accounts: made, given roles, disabled, removed; each change is an event.
//!
//! Invariant: at least one local account that may do everything stays able to log in.

use serde_json::json;

use super::{Error, people, people::Actor, sessions, tag};
use crate::{
    auth::password,
    clock::SECOND,
    context::Ctx,
    db::{Tx, accounts, audit, events, people as links},
    domain::people::{Account, Rights, Role, Source},
    identity::token::Token,
    pages::LANGUAGES,
};

pub use crate::domain::people::Login;

/// A link for a new person or a forgotten password is valid this long.
const LINK_FOR: i64 = 72 * 3600 * SECOND;
/// And one that somebody makes for their own command line.
const OWN_LINK_FOR: i64 = 10 * 60 * SECOND;
const LONGEST_NAME: usize = 64;
const LONGEST_FULL_NAME: usize = 200;

/// A new account.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// What they log in with.
    pub name: String,
    /// How people call them.
    #[serde(default)]
    pub full_name: String,
    /// What they may do.
    pub rights: Rights,
}

/// What changes of an account; what is absent stays.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    /// How people call them.
    pub full_name: Option<String>,
    /// What they may do, whole.
    pub rights: Option<Rights>,
    /// Whether they cannot log in.
    pub disabled: Option<bool>,
}

/// A link that lets somebody log in once, to set a password.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct LoginLink {
    /// Whose.
    pub account: String,
    /// The link; it is shown once.
    pub link: String,
    /// Not good after this time.
    pub expires_at: i64,
}

/// What can be a name: what people type when they log in, in any directory.
pub(super) fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fine)
}

fn check_full_name(name: &str) -> Result<(), Error> {
    if name.len() > LONGEST_FULL_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "the full name is too long or has control characters",
            "use up to 200 letters",
        ));
    }
    Ok(())
}

/// All accounts by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Account>, Error> {
    Ok(accounts::list(tx).await?)
}

/// An account that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Account, Error> {
    let found = accounts::find(tx, name).await?;
    found.map(|(account, _)| account).ok_or_else(|| Error::not_found(format!("account {name}")))
}

/// The account of whoever asks.
///
/// # Errors
/// It is a token without an account.
pub async fn own(ctx: &Ctx, actor: &Actor) -> Result<Account, Error> {
    let id = people::account_of(actor)?;
    let mut tx = ctx.db.read().await?;
    let found = accounts::by_id(&mut tx, id).await?;
    found.map(|(account, _)| account).ok_or_else(|| Error::not_found("your account"))
}

/// Makes a local account, and the link with which its owner logs in for the first time.
///
/// # Errors
/// The name cannot be used or is taken, or the roles are wrong.
pub async fn create(ctx: &Ctx, new: &NewAccount, actor: &str) -> Result<LoginLink, Error> {
    if !is_name(&new.name) {
        return Err(Error::invalid(
            format!("`{}` cannot be the name of an account", new.name),
            "use small letters, digits and . _ @ -, at most 64",
        ));
    }
    check_full_name(&new.full_name)?;
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    people::check_rights(&mut tx, &new.rights).await?;
    if accounts::find(&mut tx, &new.name).await?.is_some() {
        return Err(Error::conflict(
            format!("account {} exists already", new.name),
            "choose another name, or change the one that exists",
        ));
    }
    let id =
        accounts::create(&mut tx, &new.name, &new.full_name, Source::Local, None, &new.rights, now).await?;
    let detail = format!("{} ({})", new.name, people::in_words(&new.rights));
    audit::note(&mut tx, "account.create", &format!("account {}", new.name), &(), new).await?;
    events::add(&mut tx, "account.created", None, None, actor, &detail, now).await?;
    let link = make_link(ctx, &mut tx, id, &new.name, LINK_FOR).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(link)
}

/// Makes a link for a forgotten password. Links that were made before are worthless then.
///
/// # Errors
/// There is no such account, it is disabled, or its password is not checked here.
pub async fn link(ctx: &Ctx, name: &str, actor: &str) -> Result<LoginLink, Error> {
    let mut tx = ctx.db.write().await?;
    let account = get(&mut tx, name).await?;
    refuse_foreign(&account, "a login link")?;
    if account.disabled_at.is_some() {
        return Err(Error::conflict(format!("account {name} is disabled"), "enable it first"));
    }
    let link = make_link(ctx, &mut tx, account.id, name, LINK_FOR).await?;
    let after = json!({ "expires_at": link.expires_at });
    audit::note(&mut tx, "account.link", &format!("account {name}"), &(), &after).await?;
    events::add(&mut tx, "account.link", None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(link)
}

fn refuse_foreign(account: &Account, what: &str) -> Result<(), Error> {
    if account.source == Source::Local {
        return Ok(());
    }
    Err(Error::conflict(
        format!("account {} is not a local one, so it has no {what} here", account.name),
        "change it where the account comes from",
    ))
}

async fn make_link(ctx: &Ctx, tx: &mut Tx, id: i64, name: &str, valid_for: i64) -> Result<LoginLink, Error> {
    let (now, secret) = (ctx.now(), Token::new());
    accounts::revoke_links(tx, id).await?;
    links::create_link(tx, &secret.hash(), id, now + valid_for, now).await?;
    // Behind the hash sign, so that no browser sends it and no log keeps it.
    Ok(LoginLink {
        account: name.to_owned(),
        link: format!("{}/login#{}", ctx.addresses.https, secret.reveal()),
        expires_at: now + valid_for,
    })
}

/// Makes a link by which somebody of the login service logs in on the command line, where no page of the service can be shown.
///
/// # Errors
/// Their account is of another kind; name and password are enough for it.
pub async fn own_link(ctx: &Ctx, asking: &Actor) -> Result<LoginLink, Error> {
    let account = own(ctx, asking).await?;
    if account.source != Source::Oidc {
        return Err(Error::conflict(
            "only people of the login service need a link for the command line",
            "log in with name and password: `lotse login SERVER --name NAME`",
        ));
    }
    let mut tx = ctx.db.write().await?;
    let link = make_link(ctx, &mut tx, account.id, &account.name, OWN_LINK_FOR).await?;
    let after = json!({ "expires_at": link.expires_at });
    audit::note(&mut tx, "account.link", &format!("account {}", account.name), &(), &after).await?;
    events::add(&mut tx, "account.link", None, None, &asking.name, &account.name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(link)
}

/// What can be changed of an account: its tag changes with it.
pub fn changeable(account: &Account) -> impl serde::Serialize + '_ {
    (&account.full_name, &account.rights, account.disabled_at)
}

/// Changes an account, with `expected` only when what can be changed is still what it was. Whoever is disabled is logged out at once.
///
/// # Errors
/// There is no such account, the roles are wrong or come from a directory, or nobody could administer any more.
pub async fn change(
    ctx: &Ctx,
    name: &str,
    change: &AccountChange,
    expected: Option<&str>,
    actor: &str,
) -> Result<Account, Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let admins = accounts::admins(&mut tx).await?;
    let account = get(&mut tx, name).await?;
    tag::check(&format!("account {name}"), &changeable(&account), expected)?;
    let mut words = Vec::new();
    if let Some(full_name) = change.full_name.as_ref().filter(|name| **name != account.full_name) {
        check_full_name(full_name)?;
        refuse_foreign(&account, "full name")?;
        accounts::set_full_name(&mut tx, account.id, full_name).await?;
        words.push(format!("is called {full_name}"));
    }
    if let Some(rights) = change.rights.as_ref().filter(|rights| **rights != account.rights) {
        people::check_rights(&mut tx, rights).await?;
        refuse_foreign(&account, "roles")?;
        if rights.role != Some(Role::Admin) {
            refuse_last(&admins, &account, "take the role admin from it")?;
        }
        accounts::set_rights(&mut tx, account.id, rights).await?;
        words.push(format!("{} instead of {}", people::in_words(rights), people::in_words(&account.rights)));
    }
    if let Some(disabled) = change.disabled.filter(|disabled| *disabled != account.disabled_at.is_some()) {
        if disabled {
            refuse_last(&admins, &account, "disable it")?;
            sessions::end_all(&mut tx, account.id, now).await?;
            accounts::revoke_links(&mut tx, account.id).await?;
        }
        accounts::set_disabled(&mut tx, account.id, disabled.then_some(now)).await?;
        words.push(if disabled { "disabled" } else { "enabled" }.to_owned());
    }
    if !words.is_empty() {
        let detail = format!("{name}: {}", words.join(", "));
        events::add(&mut tx, "account.changed", None, None, actor, &detail, now).await?;
    }
    let changed = get(&mut tx, name).await?;
    if !words.is_empty() {
        audit::note(&mut tx, "account.change", &format!("account {name}"), &account, &changed).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(changed)
}

fn refuse_last(admins: &[i64], account: &Account, what: &str) -> Result<(), Error> {
    if admins == [account.id] {
        return Err(Error::conflict(
            format!("account {} is the last local admin that can log in; one cannot {what}", account.name),
            "make another local account an admin first",
        ));
    }
    Ok(())
}

/// Removes an account with all its logins. What it did keeps its name.
///
/// # Errors
/// There is no such account, or nobody could administer any more.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let admins = accounts::admins(&mut tx).await?;
    let account = get(&mut tx, name).await?;
    refuse_last(&admins, &account, "delete it")?;
    sessions::end_all(&mut tx, account.id, now).await?;
    accounts::delete(&mut tx, account.id).await?;
    audit::note(&mut tx, "account.delete", &format!("account {name}"), &account, &()).await?;
    events::add(&mut tx, "account.deleted", None, None, actor, name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Sets the password of whoever asks, and ends their other logins. Who has one must know it; who came by a link has said so by that.
///
/// # Errors
/// The old one is wrong, the new one is too short or too long, or the password is not kept here.
pub async fn set_password(ctx: &Ctx, asking: &Actor, old: &str, new: &str) -> Result<(), Error> {
    let id = people::account_of(asking)?;
    let length = new.chars().count();
    if !(password::SHORTEST..=password::LONGEST).contains(&length) {
        let (shortest, longest) = (password::SHORTEST, password::LONGEST);
        return Err(Error::invalid(
            format!("a password has {shortest} to {longest} characters, this one has {length}"),
            "take a sentence or some words that only you know",
        ));
    }
    let (account, credentials) = credentials(ctx, id).await?;
    refuse_foreign(&account, "password")?;
    let keys = format!("password {}", account.name);
    let (old, new) = (old.to_owned(), new.to_owned());
    let known = credentials.password_hash;
    ctx.tries.let_through(&keys, ctx.now())?;
    let hash = tokio::task::spawn_blocking(move || match known {
        Some(hash) if !password::verify(Some(&hash), &old) => None,
        _ => Some(password::hash(&new)),
    })
    .await
    .map_err(|error| Error::Internal(error.into()))?;
    let Some(hash) = hash else {
        ctx.tries.count(&keys, ctx.now());
        return Err(Error::invalid("the present password is wrong", "type the one that you log in with"));
    };
    let hash = hash.map_err(|error| Error::Internal(error.into()))?;
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    accounts::set_password(&mut tx, id, &hash).await?;
    accounts::revoke_links(&mut tx, id).await?;
    sessions::end_others(&mut tx, id, &asking.pass, now).await?;
    let after = json!({ "other_sessions": "ended" });
    audit::note(&mut tx, "password.change", &format!("account {}", account.name), &(), &after).await?;
    events::add(&mut tx, "password.changed", None, None, &asking.name, "", now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

pub(super) async fn credentials(
    ctx: &Ctx,
    id: i64,
) -> Result<(Account, crate::domain::people::Credentials), Error> {
    let mut tx = ctx.db.read().await?;
    accounts::by_id(&mut tx, id).await?.ok_or_else(|| Error::not_found("your account"))
}

/// Keeps the language that somebody has chosen for their pages.
///
/// # Errors
/// There is no such language.
pub async fn set_language(ctx: &Ctx, asking: &Actor, language: &str) -> Result<(), Error> {
    let id = people::account_of(asking)?;
    if !LANGUAGES.contains(&language) {
        return Err(Error::invalid(
            format!("there is no language `{language}`"),
            format!("choose one of {}", LANGUAGES.join(", ")),
        ));
    }
    let mut tx = ctx.db.write().await?;
    let (account, _) = accounts::by_id(&mut tx, id).await?.ok_or_else(|| Error::not_found("your account"))?;
    accounts::set_language(&mut tx, id, language).await?;
    let object = format!("account {}", account.name);
    audit::note(&mut tx, "account.language", &object, &account.language, &language).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_people_can_type_at_a_login() {
        for name in ["ann", "ann.lee@school.example", "a-1_b"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Ann", "a b", "a/b", "ä", &"a".repeat(65), "a\n"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
