//! Machines that have announced themselves and wait for adoption.

use super::{Error, clients as cases};
use crate::{
    context::Ctx,
    db::{Tx, clients, mass},
    domain::{
        client::{Client, Stage},
        sheet::{self, Column, Row},
    },
};

/// Most machines that are shown.
const SHOWN: i64 = 500;

/// All of them, oldest first.
///
/// # Errors
/// The database refuses.
pub async fn waiting(tx: &mut Tx) -> Result<Vec<Client>, Error> {
    let mut found = Vec::new();
    for id in mass::waiting(tx, SHOWN).await? {
        found.extend(clients::find(tx, id).await?);
    }
    Ok(found)
}

/// A table of some of them, for a mass installation: what the machines are known by, and the keys as they are announced now.
///
/// # Errors
/// One of them does not exist.
pub async fn sheet(tx: &mut Tx, names: &[&str]) -> Result<String, Error> {
    let mut rows = Vec::new();
    for name in names {
        let client = cases::get(tx, name).await?;
        let mut row = Row::default();
        row.set(Column::Mac, client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        row.set(Column::Serial, client.facts.map(|facts| facts.dmi.serial).unwrap_or_default());
        row.set(Column::Fingerprint, client.announced_key.map(|key| key.to_string()).unwrap_or_default());
        rows.push(row);
    }
    Ok(sheet::write(&rows))
}

/// Forgets a machine that waits for adoption; when it is still running, it announces itself again. To keep it away, retire it.
///
/// # Errors
/// It is more than that: deleting clients is another matter.
pub async fn forget(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let client = {
        let mut tx = ctx.db.read().await?;
        cases::get(&mut tx, name).await?
    };
    if client.stage != Stage::Discovered || client.adopted_key.is_some() {
        return Err(Error::conflict(
            format!("client {name} does not wait for adoption"),
            "to remove a client with its history: `lotse client delete`",
        ));
    }
    cases::delete(ctx, name, actor).await
}
