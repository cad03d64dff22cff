//! Desktops, which providers were tried for them, and the journal of what was made ([`parts`]).
//!
//! Invariant: whoever works on a desktop has taken a turn of it ([`take`]), and writes only while that turn is the last one ([`holds`]).

pub mod parts;
pub mod trials;

use wire::ClientId;

use super::{Error, Row, Tx, args, reach, to_json};
use crate::domain::{
    desktop::{Desktop, DesktopState, DesktopWish, MachineChange, PowerOrder},
    reach::Sees,
};

fn from_row(row: &Row) -> Result<Desktop, Error> {
    Ok(Desktop {
        id: row.int("id")?,
        name: row.text("name")?,
        client: row.opt_int("client_id")?.map(ClientId),
        wish: row.json("wish")?,
        state: row.parsed("state")?,
        reason: row.text("reason")?,
        order: row.opt_text("power_order")?.map(|_| row.parsed("power_order")).transpose()?,
        power: row.text("power")?,
        iso_attached: row.bool("iso_attached")?,
        doing: row.opt_text("doing")?.map(|_| row.parsed("doing")).transpose()?,
        doing_job: row.opt_text("doing_job")?,
        created_by: row.text("created_by")?,
        created_at: row.int("created_at")?,
        changed_at: row.int("changed_at")?,
        wanted_at: row.int("wanted_at")?,
        first_round: row.int("first_round")?,
    })
}

/// A client may have been renamed since.
const SELECT: &str = "SELECT d.id, coalesce(c.name, d.name) AS name, d.client_id, d.wish, d.state, d.reason, d.power_order, d.power, \
     d.iso_attached, d.doing, d.doing_job, d.created_by, d.created_at, d.changed_at, d.wanted_at, d.first_round FROM desktops d LEFT JOIN clients c ON c.id = d.client_id";

/// Keeps a new desktop, to be worked on at once.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    client: ClientId,
    wish: &DesktopWish,
    actor: &str,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO desktops (name, client_id, wish, state, created_by, created_at, changed_at, wanted_at, next_at) \
               VALUES ($1, $2, $3, 'creating', $4, $5, $5, $5, $5) RETURNING id";
    tx.insert(sql, args![name, client, to_json(wish)?, actor, now]).await
}

/// Desktops that somebody sees and that are not deleted, by name.
pub async fn list(tx: &mut Tx, sees: &Sees) -> Result<Vec<Desktop>, Error> {
    let seen = reach::seen(sees, "d.client_id");
    let sql = format!("{SELECT} WHERE d.state <> 'deleted' AND {seen} ORDER BY d.name, d.id");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// The desktop that has a name now, or else the last one that had it.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Desktop>, Error> {
    let sql = format!(
        "{SELECT} WHERE coalesce(c.name, d.name) = $1 \
         ORDER BY CASE WHEN d.state = 'deleted' THEN 1 ELSE 0 END, d.id DESC LIMIT 1"
    );
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// A desktop by number.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<Desktop>, Error> {
    let sql = format!("{SELECT} WHERE d.id = $1");
    tx.optional(&sql, args![id]).await?.as_ref().map(from_row).transpose()
}

/// The desktop that a client is now.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Option<Desktop>, Error> {
    let sql = format!("{SELECT} WHERE d.client_id = $1 AND d.state <> 'deleted' ORDER BY d.id DESC LIMIT 1");
    tx.optional(&sql, args![client]).await?.as_ref().map(from_row).transpose()
}

/// How many desktops have something at each provider: its number and how many.
pub async fn at_providers(tx: &mut Tx) -> Result<Vec<(i64, i64)>, Error> {
    let sql = "SELECT provider_id, count(DISTINCT desktop_id) AS desktops FROM desktop_parts WHERE state <> 'gone' GROUP BY provider_id";
    let rows = tx.all(sql, []).await?;
    rows.iter().map(|row| Ok((row.int("provider_id")?, row.int("desktops")?))).collect()
}

/// Desktops that somebody sees and that have something at a provider, by name.
pub async fn at(tx: &mut Tx, provider: i64, sees: &Sees) -> Result<Vec<Desktop>, Error> {
    let seen = reach::seen(sees, "d.client_id");
    let sql = format!(
        "{SELECT} WHERE {seen} AND EXISTS (SELECT 1 FROM desktop_parts p WHERE p.desktop_id = d.id AND p.provider_id = $1 \
         AND p.state <> 'gone') ORDER BY d.name, d.id"
    );
    tx.all(&sql, args![provider]).await?.iter().map(from_row).collect()
}

/// The desktop of a client, as long as there may be something of it at a provider.
pub async fn that_needs(tx: &mut Tx, client: ClientId) -> Result<Option<String>, Error> {
    let sql = "SELECT d.name FROM desktops d WHERE d.client_id = $1 AND (d.state <> 'deleting' OR EXISTS \
               (SELECT 1 FROM desktop_parts p WHERE p.desktop_id = d.id AND p.state <> 'gone'))";
    let row = tx.optional(sql, args![client]).await?;
    row.map(|row| row.text("name")).transpose()
}

/// Numbers of desktops that are due, those that wait longest first.
pub async fn due(tx: &mut Tx, now: i64, limit: i64) -> Result<Vec<i64>, Error> {
    let sql = "SELECT id FROM desktops WHERE state <> 'deleted' AND next_at <= $1 AND taken_until <= $1 ORDER BY next_at, id LIMIT $2";
    tx.all(sql, args![now, limit]).await?.iter().map(|row| row.int("id")).collect()
}

/// Takes a desktop that is due, so that no other server works on it before `until`; gives the turn.
pub async fn take(tx: &mut Tx, id: i64, now: i64, until: i64) -> Result<Option<i64>, Error> {
    let sql = "UPDATE desktops SET next_at = $1, taken_until = $1, turn = turn + 1 \
               WHERE id = $2 AND next_at <= $3 AND taken_until <= $3 RETURNING turn";
    let row = tx.optional(sql, args![until, id, now]).await?;
    row.map(|row| row.int("turn")).transpose()
}

/// Whether a turn is still the last one; if so it lasts until then. A call that came meanwhile is not forgotten.
pub async fn holds(tx: &mut Tx, id: i64, turn: i64, until: i64) -> Result<bool, Error> {
    let sql = "UPDATE desktops SET next_at = CASE WHEN next_at < taken_until THEN next_at ELSE $1 END, taken_until = $1 \
               WHERE id = $2 AND turn = $3";
    Ok(tx.execute(sql, args![until, id, turn]).await? == 1)
}

/// Ends a turn; the desktop is looked after again then, or at once when somebody has called meanwhile.
pub async fn put_off(tx: &mut Tx, id: i64, turn: i64, until: i64) -> Result<(), Error> {
    let sql = "UPDATE desktops SET next_at = CASE WHEN next_at < taken_until THEN next_at ELSE $1 END, taken_until = 0 \
               WHERE id = $2 AND turn = $3";
    tx.execute(sql, args![until, id, turn]).await?;
    Ok(())
}

/// Lets a desktop be worked on as soon as nobody works on it.
pub async fn call(tx: &mut Tx, id: i64, now: i64) -> Result<(), Error> {
    tx.execute("UPDATE desktops SET next_at = $1 WHERE id = $2", args![now, id]).await?;
    Ok(())
}

/// Lets desktops that are being made be worked on at once: what they waited for may have changed.
pub async fn call_waiting(tx: &mut Tx, now: i64) -> Result<(), Error> {
    tx.execute("UPDATE desktops SET next_at = $1 WHERE state = 'creating' AND next_at > $1", args![now])
        .await?;
    Ok(())
}

/// Another machine is wanted from now on: from this round on trials are for that one.
pub async fn want_anew(tx: &mut Tx, id: i64, round: i64, now: i64) -> Result<(), Error> {
    let sql = "UPDATE desktops SET first_round = $1, wanted_at = $2 WHERE id = $3";
    tx.execute(sql, args![round, now, id]).await?;
    Ok(())
}

/// Moves a desktop to a state, with what there is to say about it.
pub async fn set_state(
    tx: &mut Tx,
    id: i64,
    state: DesktopState,
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE desktops SET changed_at = CASE WHEN state = $1 THEN changed_at ELSE $3 END, state = $1, reason = $2 WHERE id = $4";
    tx.execute(sql, args![state.as_str(), reason, now, id]).await?;
    Ok(())
}

/// Notes what somebody has ordered; none when it is done.
pub async fn set_order(tx: &mut Tx, id: i64, order: Option<PowerOrder>) -> Result<(), Error> {
    let sql = "UPDATE desktops SET power_order = $1 WHERE id = $2";
    tx.execute(sql, args![order.map(PowerOrder::as_str), id]).await?;
    Ok(())
}

/// Notes how the provider calls the machine's state, and whether the boot image is in its drive.
pub async fn set_power(tx: &mut Tx, id: i64, power: &str, iso_attached: bool) -> Result<(), Error> {
    let sql = "UPDATE desktops SET power = $1, iso_attached = $2 WHERE id = $3";
    tx.execute(sql, args![power, iso_attached, id]).await?;
    Ok(())
}

/// Notes what the provider is asked to do with the machine, and its job for that; none when it is over.
pub async fn set_doing(
    tx: &mut Tx,
    id: i64,
    doing: Option<MachineChange>,
    job: Option<&str>,
) -> Result<(), Error> {
    let sql = "UPDATE desktops SET doing = $1, doing_job = $2 WHERE id = $3";
    tx.execute(sql, args![doing.map(MachineChange::as_str), job, id]).await?;
    Ok(())
}

/// Forgets desktops that were deleted before a time, with their journal.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM desktops WHERE state = 'deleted' AND changed_at < $1", args![before]).await?;
    Ok(())
}
