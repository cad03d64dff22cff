//! Accounts of people whom a directory knows: made at their first login, their roles kept as fresh as the cache time says.
//!
//! Invariant: nothing that the directory said is used for longer than the cache time. A slow directory delays nobody while what it said is
//! younger than that: from half the time on it is asked beside the requests.

use std::sync::PoisonError;

use super::{Error, accounts as cases, login::Refusal, people, sessions};
use crate::{
    auth::ldap::{Directory, Person},
    clock::SECOND,
    context::Ctx,
    db::{
        Tx,
        accounts::{self, Granted},
        events,
    },
    domain::people::{Account, Credentials, Rights, Source},
};

/// A directory that gave no answer is not asked again by a request for so long.
const REST: i64 = 15 * SECOND;

/// The account of somebody whose name and password the directory knows.
pub(super) async fn check_password(
    ctx: &Ctx,
    directory: &Directory,
    name: &str,
    password: &str,
) -> Result<(Account, Credentials), Refusal> {
    let person = match directory.authenticate(name, password).await {
        Ok(person) => person.ok_or(Refusal::Wrong)?,
        Err(error) => {
            failed(directory, ctx.now(), error);
            return Err(Refusal::Directory);
        }
    };
    came_back(directory);
    if !cases::is_name(&person.name) {
        tracing::warn!(
            dn = person.dn,
            name = person.name,
            "the directory has a name that no account can have"
        );
        return Err(Refusal::Wrong);
    }
    let mut tx = ctx.db.write().await?;
    let found = keep(ctx, &mut tx, &person).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(found)
}

/// Makes the account of a person, or brings it up to date. Without any role they are not let in.
async fn keep(ctx: &Ctx, tx: &mut Tx, person: &Person) -> Result<(Account, Credentials), Refusal> {
    let now = ctx.now();
    let rights = existing(tx, &person.rights).await?;
    if rights == Rights::default() {
        return Err(Refusal::NoRole);
    }
    let known = accounts::find(tx, &person.name).await?;
    let id = match known {
        Some((account, _)) if account.source != Source::Ldap => return Err(Refusal::NameTaken),
        Some((account, _)) if account.disabled_at.is_some() => return Err(Refusal::Disabled),
        Some((account, credentials)) => {
            if credentials.source_id.as_deref() != Some(&person.dn) {
                accounts::set_source_id(tx, account.id, &person.dn).await?;
            }
            accounts::set_full_name(tx, account.id, &person.full_name).await?;
            set_rights(tx, &account, &rights, now).await?;
            account.id
        }
        None => {
            let dn = Some(person.dn.as_str());
            let id =
                accounts::create(tx, &person.name, &person.full_name, Source::Ldap, dn, &rights, now).await?;
            let detail = format!("{} ({})", person.name, people::in_words(&rights));
            events::add(tx, "account.created", None, None, "directory", &detail, now).await?;
            id
        }
    };
    accounts::set_checked(tx, id, now).await?;
    Ok(accounts::by_id(tx, id).await?.ok_or_else(|| Error::not_found(format!("account {}", person.name)))?)
}

/// Roles for groups of clients that exist.
pub(super) async fn existing(tx: &mut Tx, rights: &Rights) -> Result<Rights, Error> {
    let mut there = Rights { role: rights.role, groups: Vec::new() };
    for wanted in &rights.groups {
        if crate::db::groups::find(tx, &wanted.group).await?.is_some() {
            there.groups.push(wanted.clone());
        } else {
            tracing::warn!(
                group = wanted.group,
                "a role is given for a group of clients that does not exist"
            );
        }
    }
    Ok(there)
}

/// What its source says that an account may do from now on.
pub(super) async fn set_rights(
    tx: &mut Tx,
    account: &Account,
    rights: &Rights,
    now: i64,
) -> Result<(), Error> {
    if account.rights == *rights {
        return Ok(());
    }
    accounts::set_rights(tx, account.id, rights).await?;
    let (new, old) = (people::in_words(rights), people::in_words(&account.rights));
    let detail = format!("{}: {new} instead of {old}", account.name);
    let by = if account.source == Source::Oidc { "login service" } else { "directory" };
    events::add(tx, "account.changed", None, None, by, &detail, now).await?;
    Ok(())
}

/// Asks the directory again when what it said about an account is old; tells whether that may have changed something.
///
/// # Errors
/// What it said may not be used any more, and it gives no answer.
pub(super) async fn refresh_if_old(ctx: &Ctx, account: i64, granted: &Granted) -> Result<bool, Error> {
    if granted.source != Source::Ldap {
        return Ok(false);
    }
    let Some(directory) = &ctx.directory else {
        return Err(Error::Unauthenticated(
            "this account is of a directory that is not configured any more; log in with a local one"
                .to_owned(),
        ));
    };
    let age = ctx.now() - granted.checked_at.unwrap_or(0);
    let limit = directory.cache_s() * SECOND;
    if age < limit / 2 {
        return Ok(false);
    }
    if age < limit {
        refresh_beside(ctx, account);
        return Ok(false);
    }
    let failed_at = *directory.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
    if failed_at.is_some_and(|at| ctx.now() - at < REST) {
        return Err(unreachable());
    }
    refresh(ctx, directory, account).await?;
    Ok(true)
}

fn unreachable() -> Error {
    Refusal::Directory.into()
}

fn failed(directory: &Directory, now: i64, error: crate::auth::ldap::Error) {
    *directory.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    let error = anyhow::Error::from(error);
    tracing::warn!(error = format!("{error:#}"), "asking the directory");
}

fn came_back(directory: &Directory) {
    *directory.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Asks the directory while the request goes on; for one account only once at a time.
fn refresh_beside(ctx: &Ctx, account: i64) {
    let Some(directory) = &ctx.directory else { return };
    if !directory.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(account) {
        return;
    }
    let ctx = ctx.clone();
    tokio::spawn(async move {
        let Some(directory) = &ctx.directory else { return };
        if let Err(error) = refresh(&ctx, directory, account).await {
            let error = anyhow::Error::from(error);
            tracing::warn!(
                error = format!("{error:#}"),
                account,
                "keeping an account of the directory fresh"
            );
        }
        directory.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    });
}

/// Takes over what the directory says now. Whom it does not know any more, or gives no role, is logged out.
async fn refresh(ctx: &Ctx, directory: &Directory, id: i64) -> Result<(), Error> {
    let Some((account, _)) = ({
        let mut tx = ctx.db.read().await?;
        accounts::by_id(&mut tx, id).await?
    }) else {
        return Ok(());
    };
    let person = match directory.look_up(&account.name).await {
        Ok(person) => person,
        Err(error) => {
            failed(directory, ctx.now(), error);
            return Err(unreachable());
        }
    };
    came_back(directory);
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let rights = match &person {
        Some(person) => existing(&mut tx, &person.rights).await?,
        None => Rights::default(),
    };
    set_rights(&mut tx, &account, &rights, now).await?;
    accounts::set_checked(&mut tx, id, now).await?;
    if rights == Rights::default() {
        sessions::end_all(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}
