//! What machines print on their serial line: taken from their hosts' agents, and read by people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    ClientId,
    console::{SerialPiece, SerialPlace, SerialResponse},
};

use super::{
    Error,
    consoles::{self, Place},
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, clients, hosted, serial},
    domain::serial::{Arrival, SerialLine, arrival, lines},
};

/// Bytes of text that are kept of each machine.
const KEPT: i64 = 1 << 20;
/// What a machine has printed is kept for so long after its last word, in microseconds.
const KEPT_FOR: i64 = 30 * 86_400 * SECOND;
/// Longest piece of an agent, in bytes of its file; as text it may be three times as long.
const LONGEST_PIECE: u64 = 256 << 10;
/// Lines of one answer.
const MOST_LINES: usize = 2000;
/// Longest text that is searched for, in letters.
const LONGEST_SEARCH: usize = 200;

/// What a machine has printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SerialOutput {
    /// The client that hosts the machine.
    pub host: String,
    /// The machine's name there.
    pub machine: String,
    /// When it printed something last; absent when it never did, or its host keeps nothing of it.
    pub heard_at: Option<i64>,
    /// Lines that are over, in order.
    pub lines: Vec<SerialLine>,
    /// The beginning of the next one; empty where something was searched for.
    pub unfinished: String,
    /// Where to go on.
    pub next: i64,
    /// There is more already.
    pub more: bool,
}

/// Takes what a machine has printed from the agent of its host.
///
/// # Errors
/// The host has told of no such machine of ours, or it says too much at once.
pub async fn receive(ctx: &Ctx, host: ClientId, piece: &SerialPiece) -> Result<SerialResponse, Error> {
    let longest = usize::try_from(3 * LONGEST_PIECE).unwrap_or(usize::MAX);
    if piece.length_bytes > LONGEST_PIECE || piece.text.len() > longest {
        return Err(Error::invalid(
            "what the machine has printed is too much at once",
            format!("send at most {LONGEST_PIECE} bytes"),
        ));
    }
    let now = ctx.now();
    if piece.length_bytes == 0 {
        let mut tx = ctx.db.read().await?;
        known_machine(&mut tx, host, &piece.machine).await?;
        let known = serial::find(&mut tx, host, &piece.machine).await?.map(|console| console.known);
        return Ok(SerialResponse { known });
    }
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, host).await?;
    known_machine(&mut tx, host, &piece.machine).await?;
    let console = serial::find(&mut tx, host, &piece.machine).await?;
    let missing = match arrival(console.map(|console| console.known), piece) {
        Arrival::Repeated => return Ok(SerialResponse { known: console.map(|console| console.known) }),
        Arrival::New(missing) => missing,
    };
    let console = match console {
        Some(console) => console,
        None => serial::begin(&mut tx, host, &piece.machine, now).await?,
    };
    let text = match missing {
        0 => piece.text.clone(),
        missing => format!("\n[{missing} bytes were left out]\n{}", piece.text),
    };
    let offset_bytes = piece.from.offset_bytes.saturating_add(piece.length_bytes);
    let known = SerialPlace { offset_bytes, ..piece.from };
    serial::add(&mut tx, &console, known, &text, (KEPT, now)).await?;
    tx.commit().await?;
    Ok(SerialResponse { known: Some(known) })
}

async fn known_machine(tx: &mut Tx, host: ClientId, machine: &str) -> Result<(), Error> {
    if hosted::is_there(tx, host, machine).await? {
        return Ok(());
    }
    Err(Error::not_found(format!("machine {machine} on this host")))
}

/// What the machine of a client has printed from a place on, or the lines of it that hold a text.
///
/// # Errors
/// There is no such client, it is no machine on a host, or the text to be searched for is too long.
pub async fn output(tx: &mut Tx, name: &str, after: i64, search: &str) -> Result<SerialOutput, Error> {
    if search.chars().count() > LONGEST_SEARCH {
        return Err(Error::invalid(
            "the text to be searched for is too long",
            format!("use at most {LONGEST_SEARCH} letters"),
        ));
    }
    let Some(Place::OnHost { host, host_name, machine }) = consoles::place(tx, name).await? else {
        return Err(Error::conflict(
            format!("nothing is kept of what {name} prints: it is no machine on a host of this server"),
            "see the output of its jobs",
        ));
    };
    let console = serial::find(tx, host, &machine).await?;
    let mut found = SerialOutput {
        host: host_name,
        machine,
        heard_at: console.map(|console| console.heard_at),
        lines: Vec::new(),
        unfinished: String::new(),
        next: after.max(0),
        more: false,
    };
    let Some(console) = console else { return Ok(found) };
    // A place of the future is one of a machine that bore the name before.
    let after = if after > console.end_byte { 0 } else { after.max(0) };
    let read = lines(&serial::pieces(tx, console.id, after).await?, after);
    (found.lines, found.next) = (read.lines, read.next);
    if search.is_empty() {
        found.unfinished = read.unfinished;
    } else {
        let wanted = search.to_lowercase();
        found.lines.retain(|line| line.text.to_lowercase().contains(&wanted));
    }
    if let Some(first) = found.lines.get(MOST_LINES) {
        found.next = first.place;
        found.more = true;
        found.lines.truncate(MOST_LINES);
        found.unfinished.clear();
    }
    Ok(found)
}

/// All that is kept of what the machine of a client has printed, as text.
///
/// # Errors
/// As [`output`].
pub async fn text(tx: &mut Tx, name: &str) -> Result<String, Error> {
    let mut text = String::new();
    let mut after = 0;
    loop {
        let part = output(tx, name, after, "").await?;
        for line in &part.lines {
            text += &line.text;
            text.push('\n');
        }
        if !part.more {
            return Ok(text + &part.unfinished);
        }
        after = part.next;
    }
}

/// Forgets machines that have printed nothing for long.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    serial::prune(&mut tx, ctx.now() - KEPT_FOR).await?;
    Ok(tx.commit().await?)
}
