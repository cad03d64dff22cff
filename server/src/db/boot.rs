//! The boot timeline.

use wire::{ClientId, Mac};

use super::{Error, Row, Tx, args};
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
    let rows = tx.all(sql, args![client, limit]).await?;
    rows.iter().rev().map(from_row).collect()
}

/// The newest lines of one address, oldest first.
pub async fn of_mac(tx: &mut Tx, mac: Mac, limit: i64) -> Result<Vec<BootEvent>, Error> {
    let sql = "SELECT id, mac, at, kind, detail FROM boot_events WHERE mac = $1 ORDER BY id DESC LIMIT $2";
    let rows = tx.all(sql, args![mac, limit]).await?;
    rows.iter().rev().map(from_row).collect()
}

/// The last line of each address that no client has, newest first.
pub async fn strangers(tx: &mut Tx, limit: i64) -> Result<Vec<BootEvent>, Error> {
    let sql = "SELECT id, mac, at, kind, detail FROM boot_events \
               WHERE id IN (SELECT max(id) FROM boot_events GROUP BY mac) \
               AND mac NOT IN (SELECT mac FROM client_macs) ORDER BY id DESC LIMIT $1";
    tx.all(sql, args![limit]).await?.iter().map(from_row).collect()
}

/// Forgets old lines: of addresses that no client has all but the newest `strangers`, of anybody all but the newest `all`.
///
/// Whoever reaches the plain listener can write lines; this is what keeps them from filling the disk.
pub async fn prune(tx: &mut Tx, strangers: i64, all: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM boot_events WHERE id <= (SELECT max(id) FROM boot_events) - $2 \
               OR (id <= (SELECT max(id) FROM boot_events) - $1 AND mac NOT IN (SELECT mac FROM client_macs))";
    tx.execute(sql, args![strangers, all]).await
}

fn from_row(row: &Row) -> Result<BootEvent, Error> {
    Ok(BootEvent {
        id: row.int("id")?,
        mac: row.parsed("mac")?,
        at: row.int("at")?,
        kind: row.parsed("kind")?,
        detail: row.text("detail")?,
    })
}
