//! What pages about orders share: which orders there are, who may give them, and which ask for the name of what they destroy.

use super::frame::Visitor;
use crate::{
    app::{
        Error,
        reach::{self, About},
    },
    context::Ctx,
    domain::people::Role,
};

/// An order: its word, the least role, and whether the name must be typed.
pub(super) type Known = (&'static str, Role, bool);

/// Whether the name must be typed for an order that somebody may give to a client, or to the desktop of its name.
pub(super) async fn must_be_typed(
    ctx: &Ctx,
    visitor: &Visitor,
    orders: &[Known],
    name: &str,
    order: &str,
) -> Result<bool, Error> {
    let found = orders.iter().find(|(word, ..)| *word == order);
    let (_, needed, typed) = found.ok_or_else(|| Error::not_found(format!("the order {order}")))?;
    let mut tx = ctx.db.read().await?;
    reach::require(&mut tx, &visitor.actor()?.reach, About::Client(name), *needed).await?;
    Ok(*typed)
}
