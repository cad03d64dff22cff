//! The boot timeline.

use wire::{ClientId, Mac};

use super::{Error, Tx, args};
use crate::domain::boot::{BootEvent, BootEventKind};

/// Adds a line; it belongs to the client that has the address, when there is one.
pub async fn add(tx: &mut Tx, mac: Mac, kind: BootEventKind, detail: &str, now: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO boot_events (mac, client_id, at, kind, detail) \
         VALUES ($1, (SELECT client_id FROM client_macs WHERE mac = $1), $2, $3, $4)",
        args![mac, now, kind.as_str(), detail],
    )
    .await?;
    Ok(())
}

/// The newest lines of a client's addresses, oldest first.
pub async fn of_client(tx: &mut Tx, client: ClientId, limit: i64) -> Result<Vec<BootEvent>, Error> {
    let sql = "SELECT id, mac, at, kind, detail FROM boot_events \
               WHERE mac IN (SELECT mac FROM client_macs WHERE client_id = $1) ORDER BY id DESC LIMIT $2";
    let mut lines = tx
        .all(sql, args![client, limit])
        .await?
        .iter()
        .map(|row| {
            Ok(BootEvent {
                id: row.int("id")?,
                mac: row.parsed("mac")?,
                at: row.int("at")?,
                kind: row.parsed("kind")?,
                detail: row.text("detail")?,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    lines.reverse();
    Ok(lines)
}
