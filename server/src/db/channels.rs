//! Channels, the notices that are on their way to them, and how clients were when somebody last looked.

use wire::ClientId;

use super::{Error, Row, Tx, args, events, to_json};
use crate::domain::{
    notice::{Channel, ChannelWish, Notice, NoticeEvent, Posted},
    reach::Sees,
};

fn from_row(row: &Row) -> Result<Channel, Error> {
    Ok(Channel {
        id: row.int("id")?,
        name: row.text("name")?,
        wish: row.json("wanted")?,
        created_at: row.int("created_at")?,
        version: row.int("version")?,
    })
}

const COLUMNS: &str = "id, name, wanted, created_at, version";

/// Makes a channel, which is told of what happens from now on.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    wish: &ChannelWish,
    secret: &str,
    now: i64,
) -> Result<i64, Error> {
    let newest = events::newest(tx).await?;
    let sql = "INSERT INTO channels (name, wanted, secret, after_event, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id";
    tx.insert(sql, args![name, to_json(wish)?, secret, newest, now]).await
}

/// All channels by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Channel>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM channels ORDER BY name");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// A channel by name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Channel>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE name = $1");
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// A channel by number.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<Channel>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE id = $1");
    tx.optional(&sql, args![id]).await?.as_ref().map(from_row).transpose()
}

/// Changes what is wanted of a channel.
pub async fn update(tx: &mut Tx, id: i64, wish: &ChannelWish) -> Result<(), Error> {
    let sql = "UPDATE channels SET wanted = $1, version = version + 1 WHERE id = $2";
    tx.execute(sql, args![to_json(wish)?, id]).await?;
    Ok(())
}

/// Gives a channel another secret.
pub async fn set_secret(tx: &mut Tx, id: i64, secret: &str) -> Result<(), Error> {
    tx.execute("UPDATE channels SET secret = $1 WHERE id = $2", args![secret, id]).await?;
    Ok(())
}

/// What signs the notices of a channel.
pub async fn secret(tx: &mut Tx, id: i64) -> Result<Option<String>, Error> {
    let row = tx.optional("SELECT secret FROM channels WHERE id = $1", args![id]).await?;
    row.map(|row| row.text("secret")).transpose()
}

/// Removes a channel with everything that is on its way to it.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM channels WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Up to which event a channel has looked.
pub async fn place(tx: &mut Tx, id: i64) -> Result<i64, Error> {
    let row = tx.optional("SELECT after_event FROM channels WHERE id = $1", args![id]).await?;
    row.map_or(Ok(i64::MAX), |row| row.int("after_event"))
}

/// Notes up to which event a channel has looked; tells whether it was still where it is thought to be, so that of several servers one
/// goes on.
pub async fn move_place(tx: &mut Tx, id: i64, from: i64, to: i64) -> Result<bool, Error> {
    let sql = "UPDATE channels SET after_event = $1 WHERE id = $2 AND after_event = $3";
    Ok(tx.execute(sql, args![to, id, from]).await? == 1)
}

/// Events after a number, as notices tell them, with the groups of their clients.
pub async fn events_after(
    tx: &mut Tx,
    id: i64,
    limit: i64,
) -> Result<Vec<(NoticeEvent, Vec<String>)>, Error> {
    let mut found = Vec::new();
    for event in events::after(tx, &Sees::Everything, id, limit).await? {
        let (mut name, mut groups) = (None, Vec::new());
        if let Some(client) = event.client {
            let sql = "SELECT c.name, g.name AS group_name FROM clients c LEFT JOIN group_members m ON m.client_id = c.id \
                       LEFT JOIN client_groups g ON g.id = m.group_id WHERE c.id = $1";
            for row in tx.all(sql, args![client]).await? {
                name = Some(row.text("name")?);
                groups.extend(row.opt_text("group_name")?);
            }
        }
        let told = NoticeEvent {
            id: event.id,
            at: event.at,
            kind: event.kind,
            client: name,
            job: event.job.map(|job| job.0),
            actor: event.actor,
            detail: event.detail,
        };
        found.push((told, groups));
    }
    Ok(found)
}

/// Puts a notice on its way.
pub async fn post(tx: &mut Tx, channel: i64, notice: &Notice, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO outbox (channel_id, notice, state, next_at, created_at) VALUES ($1, $2, 'waiting', $3, $3) RETURNING id";
    tx.insert(sql, args![channel, to_json(notice)?, now]).await
}

fn posted(row: &Row) -> Result<Posted, Error> {
    Ok(Posted {
        id: row.int("id")?,
        channel: row.int("channel_id")?,
        notice: row.json("notice")?,
        state: row.text("state")?,
        attempts: row.int("attempts")?,
        next_at: row.int("next_at")?,
        error: row.text("error")?,
        created_at: row.int("created_at")?,
        finished_at: row.opt_int("finished_at")?,
    })
}

/// Takes one notice that is due, so that no other server sends it before `until`; with its attempts counted up.
pub async fn take_due(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Posted>, Error> {
    let due = "SELECT * FROM outbox WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT 1";
    let Some(row) = tx.optional(due, args![now]).await? else { return Ok(None) };
    let found = posted(&row)?;
    let sql = "UPDATE outbox SET attempts = attempts + 1, next_at = $1 WHERE id = $2 AND state = 'waiting' AND next_at = $3";
    let taken = tx.execute(sql, args![until, found.id, found.next_at]).await? == 1;
    Ok(taken.then_some(Posted { attempts: found.attempts + 1, next_at: until, ..found }))
}

/// Whether any notice is due.
pub async fn any_due(tx: &mut Tx, now: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM outbox WHERE state = 'waiting' AND next_at <= $1 LIMIT 1";
    Ok(tx.optional(sql, args![now]).await?.is_some())
}

/// Notes how sending has ended.
pub async fn finish(tx: &mut Tx, id: i64, state: &str, error: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE outbox SET state = $1, error = $2, finished_at = $3 WHERE id = $4";
    tx.execute(sql, args![state, error, now, id]).await?;
    Ok(())
}

/// Notes that sending has failed, and when it is tried again.
pub async fn again(tx: &mut Tx, id: i64, error: &str, next_at: i64) -> Result<(), Error> {
    let sql = "UPDATE outbox SET error = $1, next_at = $2 WHERE id = $3 AND state = 'waiting'";
    tx.execute(sql, args![error, next_at, id]).await?;
    Ok(())
}

/// The newest notices, of one channel or of all.
pub async fn outbox(tx: &mut Tx, channel: Option<i64>, limit: i64) -> Result<Vec<Posted>, Error> {
    let sql = "SELECT * FROM outbox WHERE ($1 IS NULL OR channel_id = $1) ORDER BY id DESC LIMIT $2";
    tx.all(sql, args![channel, limit]).await?.iter().map(posted).collect()
}

/// A notice by number.
pub async fn find_posted(tx: &mut Tx, id: i64) -> Result<Option<Posted>, Error> {
    tx.optional("SELECT * FROM outbox WHERE id = $1", args![id]).await?.as_ref().map(posted).transpose()
}

/// Sends a notice again from the beginning.
pub async fn restart(tx: &mut Tx, id: i64, now: i64) -> Result<(), Error> {
    let sql =
        "UPDATE outbox SET state = 'waiting', attempts = 0, next_at = $1, finished_at = NULL WHERE id = $2";
    tx.execute(sql, args![now, id]).await?;
    Ok(())
}

/// Forgets notices that ended before a time.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM outbox WHERE state <> 'waiting' AND finished_at < $1", args![before]).await
}

/// Notes how a client is.
pub async fn set_health(tx: &mut Tx, client: ClientId, health: &str, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO client_health (client_id, health, since_at) VALUES ($1, $2, $3) \
               ON CONFLICT (client_id) DO UPDATE SET health = excluded.health, since_at = excluded.since_at";
    tx.execute(sql, args![client, health, now]).await?;
    Ok(())
}

/// Clients whose health is not what was noted: number, what it is, what was noted. By the same rules as
/// [`crate::domain::client_status::health`], for all clients in one statement. `silent_since`: who was not heard since then is offline.
pub async fn changed_health(
    tx: &mut Tx,
    silent_since: i64,
    limit: i64,
) -> Result<Vec<(ClientId, String, Option<String>)>, Error> {
    let failed = "EXISTS (SELECT 1 FROM jobs f WHERE f.client_id = c.id AND f.state = 'failed' AND NOT EXISTS \
                  (SELECT 1 FROM jobs s WHERE s.client_id = c.id AND s.id > f.id AND s.state = 'succeeded'))";
    let sql = format!(
        "SELECT id, health, noted FROM (SELECT c.id, h.health AS noted, \
         CASE WHEN c.alarm IS NOT NULL THEN 'critical' \
              WHEN {failed} THEN CASE WHEN c.stage = 'installing' THEN 'critical' ELSE 'warning' END \
              WHEN c.stage = 'installed' AND (c.last_seen_at IS NULL OR c.last_seen_at < $1) THEN 'offline' \
              ELSE 'ok' END AS health \
         FROM clients c LEFT JOIN client_health h ON h.client_id = c.id) AS looked \
         WHERE noted IS NULL OR noted <> health LIMIT $2"
    );
    tx.all(&sql, args![silent_since, limit])
        .await?
        .iter()
        .map(|row| Ok((ClientId(row.int("id")?), row.text("health")?, row.opt_text("noted")?)))
        .collect()
}
