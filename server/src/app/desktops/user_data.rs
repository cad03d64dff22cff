//! What the machine of a desktop reads when it starts: where its server is, whom to trust, and its one-time token.

use crate::{context::Ctx, identity::token::Token};

/// The text, under 2 KiB; its first line says that it is ours.
pub(super) fn text(ctx: &Ctx, token: &Token) -> String {
    let addresses = &ctx.addresses;
    format!(
        "#lotse-v1\nserver={}\nboot={}\nca={}\ntoken={}\n",
        addresses.https,
        addresses.boot,
        addresses.ca,
        token.reveal()
    )
}
