//! What happened on the server: the stream of events that people and programs follow.

use super::Error;
use crate::{
    db::{Tx, events},
    domain::reach::Sees,
};

pub use crate::db::events::ServerEvent;

/// What happened after a number, oldest first, as far as somebody sees it.
///
/// # Errors
/// The database refuses.
pub async fn after(tx: &mut Tx, sees: &Sees, id: i64, limit: i64) -> Result<Vec<ServerEvent>, Error> {
    Ok(events::after(tx, sees, id, limit).await?)
}

/// Number of the newest event.
///
/// # Errors
/// The database refuses.
pub async fn newest(tx: &mut Tx) -> Result<i64, Error> {
    Ok(events::newest(tx).await?)
}
