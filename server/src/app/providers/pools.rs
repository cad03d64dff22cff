//! Pools of providers.

use serde_json::json;

use super::{
    super::{Error, tag},
    checked_name, get,
};
use crate::{
    context::Ctx,
    db::{Tx, audit, providers},
    domain::provider::{Pool, PoolMember},
};

/// Most providers of a pool.
const MOST: usize = 50;

/// All pools by name.
///
/// # Errors
/// The database refuses.
pub async fn pools(tx: &mut Tx) -> Result<Vec<Pool>, Error> {
    Ok(providers::pools(tx).await?)
}

/// A pool that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn pool(tx: &mut Tx, name: &str) -> Result<Pool, Error> {
    providers::pool(tx, name).await?.ok_or_else(|| Error::not_found(format!("pool {name}")))
}

/// Keeps a pool: makes it, or changes who belongs to it, with `expected` only when it is still what it was.
///
/// # Errors
/// A provider does not exist or is named twice, or there is none; [`Error::Stale`].
pub async fn set_pool(
    ctx: &Ctx,
    name: &str,
    members: &[PoolMember],
    expected: Option<&str>,
) -> Result<Pool, Error> {
    checked_name(name, "pool")?;
    let mut tx = ctx.db.write().await?;
    if members.is_empty() || members.len() > MOST {
        return Err(Error::invalid(
            format!("the pool {name} cannot have {} providers", members.len()),
            format!("name 1 to {MOST}"),
        ));
    }
    for (at, member) in members.iter().enumerate() {
        get(&mut tx, &member.provider).await?;
        if members[..at].iter().any(|other| other.provider == member.provider) {
            return Err(Error::invalid(
                format!("provider {} is named twice in the pool {name}", member.provider),
                "name it once; weights say how often it comes first",
            ));
        }
    }
    let before = providers::pool(&mut tx, name).await?;
    tag::check(&format!("pool {name}"), &before, expected)?;
    let before = before.map(|pool| pool.members);
    providers::set_pool(&mut tx, name, members).await?;
    audit::note(&mut tx, "pool.set", &format!("pool {name}"), &json!(before), &json!(members)).await?;
    tx.commit().await?;
    ctx.presence.desktop_came();
    Ok(Pool { name: name.to_owned(), members: members.to_vec() })
}

/// Removes a pool; desktops that wait for it say so.
///
/// # Errors
/// There is no such pool.
pub async fn delete_pool(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let pool = pool(&mut tx, name).await?;
    providers::delete_pool(&mut tx, name).await?;
    audit::note(&mut tx, "pool.delete", &format!("pool {name}"), &json!(pool.members), &()).await?;
    Ok(tx.commit().await?)
}
