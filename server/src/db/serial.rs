//! What machines print on their serial line, in pieces; the oldest are dropped.

use wire::{ClientId, console::SerialPlace};

use super::{Error, Row, Tx, args};
use crate::domain::serial::Piece;

/// What is kept of a machine's serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialConsole {
    /// Its number.
    pub id: i64,
    /// Up to where its host's agent has sent it.
    pub known: SerialPlace,
    /// Bytes of text that there ever were.
    pub end_byte: i64,
    /// When the last of them came.
    pub heard_at: i64,
}

fn from_row(row: &Row) -> Result<SerialConsole, Error> {
    Ok(SerialConsole {
        id: row.int("id")?,
        known: SerialPlace {
            file: row.parsed("file")?,
            offset_bytes: row.int("file_offset")?.cast_unsigned(),
        },
        end_byte: row.int("end_byte")?,
        heard_at: row.int("heard_at")?,
    })
}

/// What is kept of a machine; none when nothing ever came.
pub async fn find(tx: &mut Tx, host: ClientId, machine: &str) -> Result<Option<SerialConsole>, Error> {
    let sql = "SELECT id, file, file_offset, end_byte, heard_at FROM serial_consoles WHERE host_id = $1 AND machine = $2";
    tx.optional(sql, args![host, machine]).await?.as_ref().map(from_row).transpose()
}

/// Begins to keep what a machine prints.
pub async fn begin(tx: &mut Tx, host: ClientId, machine: &str, now: i64) -> Result<SerialConsole, Error> {
    let sql = "INSERT INTO serial_consoles (host_id, machine, file, file_offset, end_byte, heard_at) \
               VALUES ($1, $2, '0', 0, 0, $3) RETURNING id";
    let id = tx.insert(sql, args![host, machine, now]).await?;
    Ok(SerialConsole { id, known: SerialPlace::default(), end_byte: 0, heard_at: now })
}

/// Adds a text to the end, and drops what is older than so many bytes.
pub async fn add(
    tx: &mut Tx,
    console: &SerialConsole,
    known: SerialPlace,
    text: &str,
    (keep, now): (i64, i64),
) -> Result<(), Error> {
    // As it is stored, without what no database takes.
    let text = super::dialect::storable(text.to_owned());
    let end = console.end_byte + i64::try_from(text.len()).unwrap_or(0);
    if end > console.end_byte {
        let sql = "INSERT INTO serial_pieces (console_id, start_byte, end_byte, text, came_at) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, args![console.id, console.end_byte, end, text, now]).await?;
    }
    let sql =
        "UPDATE serial_consoles SET file = $2, file_offset = $3, end_byte = $4, heard_at = $5 WHERE id = $1";
    let (file, offset) = (known.file.to_string(), known.offset_bytes.cast_signed());
    tx.execute(sql, args![console.id, file, offset, end, now]).await?;
    let sql = "DELETE FROM serial_pieces WHERE console_id = $1 AND end_byte <= $2";
    tx.execute(sql, args![console.id, end - keep]).await?;
    Ok(())
}

/// What is kept from a byte on, whole pieces, in order.
pub async fn pieces(tx: &mut Tx, console: i64, after: i64) -> Result<Vec<Piece>, Error> {
    let sql = "SELECT start_byte, text, came_at FROM serial_pieces WHERE console_id = $1 AND end_byte > $2 ORDER BY start_byte";
    let rows = tx.all(sql, args![console, after]).await?;
    let piece = |row: &Row| {
        Ok(Piece { start: row.int("start_byte")?, text: row.text("text")?, came_at: row.int("came_at")? })
    };
    rows.iter().map(piece).collect()
}

/// Forgets machines that have printed nothing since a time.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM serial_consoles WHERE heard_at < $1", args![before]).await?;
    Ok(())
}
