//! The boot timeline: of a client, of one address, and of machines that are on their way and nobody knows yet.

use wire::Mac;

use super::{Error, clients};
use crate::{
    context::Ctx,
    db::{boot, clients as rows},
    domain::boot::{BootEvent, BootEventKind, Expectation, expect_identity, expect_next},
};

/// Most lines that are shown.
const LINES: i64 = 200;

/// A timeline, and what is expected next.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Timeline {
    /// Every contact, oldest first.
    pub lines: Vec<BootEvent>,
    /// What should come next, and what to do when it does not come.
    pub expected: Option<Expectation>,
}

/// The timeline of a client.
///
/// # Errors
/// There is no such client.
pub async fn of_client(ctx: &Ctx, name: &str) -> Result<Timeline, Error> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, name).await?;
    let lines = boot::of_client(&mut tx, client.id, LINES).await?;
    let adopted = client.adopted_key.is_some() && client.adopted_key == client.announced_key;
    let expected = match lines.last() {
        Some(last) if adopted && last.kind == BootEventKind::Announced => {
            Some(expect_identity(last, ctx.now()))
        }
        last => expect_next(last, client.realm, ctx.now()),
    };
    Ok(Timeline { lines, expected })
}

/// The timeline of one address, whether a client has it or not.
///
/// # Errors
/// Nothing was ever heard of the address.
pub async fn of_mac(ctx: &Ctx, mac: Mac) -> Result<Timeline, Error> {
    let mut tx = ctx.db.read().await?;
    let lines = boot::of_mac(&mut tx, mac, LINES).await?;
    let client = rows::find_by_mac(&mut tx, mac).await?;
    if lines.is_empty() && client.is_none() {
        return Err(Error::not_found(format!("a machine with the address {mac}")));
    }
    let expected = expect_next(lines.last(), client.and_then(|client| client.realm), ctx.now());
    Ok(Timeline { lines, expected })
}

/// The last line of each address that no client has, newest first: machines that got stuck before they could announce themselves.
///
/// # Errors
/// The database refuses.
pub async fn strangers(ctx: &Ctx) -> Result<Vec<BootEvent>, Error> {
    let mut tx = ctx.db.read().await?;
    Ok(boot::strangers(&mut tx, LINES).await?)
}
