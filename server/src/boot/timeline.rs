//! The boot timeline: one line for every contact of a hardware address.

use std::borrow::Cow;

use wire::Mac;

use crate::{context::Ctx, db::boot, domain::boot::BootEventKind};

/// Letters of a line: strangers say what some of them hold, and only lines are counted when old ones are forgotten.
const LONGEST: usize = 1000;

fn bounded(detail: &str) -> Cow<'_, str> {
    match detail.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &detail[..end])),
        None => Cow::Borrowed(detail),
    }
}

/// Adds a line unless it says what the last one says: for those who ask again and again.
pub async fn note_once(ctx: &Ctx, mac: Mac, kind: BootEventKind, detail: &str) {
    let detail = &*bounded(detail);
    let last = async {
        let mut tx = ctx.db.read().await?;
        boot::of_mac(&mut tx, mac, 1).await
    };
    match last.await {
        Ok(lines) if lines.last().is_some_and(|line| line.kind == kind && line.detail == detail) => {}
        Ok(_) => write(ctx, mac, kind, detail).await,
        Err(error) => {
            tracing::error!(%mac, error = format!("{:#}", anyhow::Error::from(error)), "reading the boot timeline");
        }
    }
}

/// Adds a line. A timeline that cannot be written is logged, and never stops a machine from booting.
pub async fn note(ctx: &Ctx, mac: Mac, kind: BootEventKind, detail: &str) {
    write(ctx, mac, kind, &bounded(detail)).await;
}

async fn write(ctx: &Ctx, mac: Mac, kind: BootEventKind, detail: &str) {
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
