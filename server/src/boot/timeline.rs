//! The boot timeline: one line for every contact of a hardware address.

use wire::Mac;

use crate::{context::Ctx, db::boot, domain::boot::BootEventKind};

/// Adds a line. A timeline that cannot be written is logged, and never stops a machine from booting.
pub async fn note(ctx: &Ctx, mac: Mac, kind: BootEventKind, detail: &str) {
    let written = async {
        let mut tx = ctx.db.write().await?;
        boot::add(&mut tx, mac, kind, detail, ctx.now()).await?;
        tx.commit().await
    };
    match written.await {
        Ok(()) => ctx.presence.events_came(),
        Err(error) => {
            tracing::error!(%mac, error = format!("{:#}", anyhow::Error::from(error)), "writing the boot timeline");
        }
    }
}
