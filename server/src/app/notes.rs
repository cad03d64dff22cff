//! What people note about a client, and what has happened to it.

use serde_json::json;

use super::{Error, clients};
use crate::{
    context::Ctx,
    db::{Tx, audit, events, notes},
};

pub use crate::db::{events::ServerEvent, notes::Note};

/// Letters of a note.
const LONGEST: usize = 10_000;

/// Notes of a client, newest first.
///
/// # Errors
/// There is no such client.
pub async fn list(tx: &mut Tx, name: &str) -> Result<Vec<Note>, Error> {
    let client = clients::get(tx, name).await?;
    Ok(notes::list(tx, client.id).await?)
}

/// Adds a note.
///
/// # Errors
/// It is empty or too long, or there is no such client.
pub async fn add(ctx: &Ctx, name: &str, text: &str, actor: &str) -> Result<i64, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(Error::invalid(
            format!("the note about {name} was not kept"),
            format!("a note has 1 to {LONGEST} letters"),
        ));
    }
    let mut tx = ctx.db.write().await?;
    let client = clients::get(&mut tx, name).await?;
    let id = notes::add(&mut tx, client.id, text, actor, ctx.now()).await?;
    let object = format!("client {name}");
    audit::note(&mut tx, "client.note", &object, &(), &json!({ "note": id, "text": text })).await?;
    let first = text.lines().next().unwrap_or_default();
    events::add(&mut tx, "client.noted", Some(client.id), None, actor, first, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(id)
}

/// Removes a note.
///
/// # Errors
/// There is no such client or note.
pub async fn delete(ctx: &Ctx, name: &str, id: i64, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let client = clients::get(&mut tx, name).await?;
    if !notes::delete(&mut tx, client.id, id).await? {
        return Err(Error::not_found(format!("note {id} about client {name}")));
    }
    let object = format!("client {name}");
    audit::note(&mut tx, "client.delete-note", &object, &json!({ "note": id }), &()).await?;
    let number = id.to_string();
    events::add(&mut tx, "client.note-deleted", Some(client.id), None, actor, &number, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// What has happened to a client, newest first.
///
/// # Errors
/// There is no such client.
pub async fn history(tx: &mut Tx, name: &str, before: i64, limit: i64) -> Result<Vec<ServerEvent>, Error> {
    let client = clients::get(tx, name).await?;
    Ok(events::of_client(tx, client.id, before, limit).await?)
}
