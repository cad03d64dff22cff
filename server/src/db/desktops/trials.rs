//! Providers that were tried for desktops.

use super::super::{Error, Row, Tx, args};
use crate::domain::desktop::{FaultClass, ProviderTrial, TrialState};

fn from_row(row: &Row) -> Result<ProviderTrial, Error> {
    Ok(ProviderTrial {
        id: row.int("id")?,
        desktop: row.int("desktop_id")?,
        provider_id: row.int("provider_id")?,
        provider: row.text("provider")?,
        round: row.int("round")?,
        state: row.parsed("state")?,
        class: row.opt_text("class")?.map(|_| row.parsed("class")).transpose()?,
        reason: row.text("reason")?,
        retries: row.int("retries")?,
        place: row.opt_text("place")?,
        started_at: row.int("started_at")?,
        ended_at: row.opt_int("ended_at")?,
    })
}

/// Begins to try a provider.
pub async fn begin(
    tx: &mut Tx,
    desktop: i64,
    (provider_id, provider): (i64, &str),
    round: i64,
    now: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO desktop_trials (desktop_id, provider_id, provider, round, state, started_at) \
               VALUES ($1, $2, $3, $4, 'building', $5) RETURNING id";
    tx.insert(sql, args![desktop, provider_id, provider, round, now]).await
}

/// Everything that was tried for a desktop, in order.
pub async fn of(tx: &mut Tx, desktop: i64) -> Result<Vec<ProviderTrial>, Error> {
    let sql = "SELECT * FROM desktop_trials WHERE desktop_id = $1 ORDER BY id";
    tx.all(sql, args![desktop]).await?.iter().map(from_row).collect()
}

/// Keeps where exactly things are made.
pub async fn set_place(tx: &mut Tx, id: i64, place: &str) -> Result<(), Error> {
    tx.execute("UPDATE desktop_trials SET place = $1 WHERE id = $2", args![place, id]).await?;
    Ok(())
}

/// Notes what went wrong; it is tried again.
pub async fn note(tx: &mut Tx, id: i64, class: FaultClass, reason: &str) -> Result<(), Error> {
    let sql = "UPDATE desktop_trials SET class = $1, reason = $2, retries = retries + 1 WHERE id = $3";
    tx.execute(sql, args![class.as_str(), reason, id]).await?;
    Ok(())
}

/// Gives a trial up: from now on what was made is removed.
pub async fn give_up(tx: &mut Tx, id: i64, class: FaultClass, reason: &str) -> Result<(), Error> {
    let sql = "UPDATE desktop_trials SET state = 'clearing', class = $1, reason = $2 WHERE id = $3";
    tx.execute(sql, args![class.as_str(), reason, id]).await?;
    Ok(())
}

/// Notes why nothing was begun there.
pub async fn refuse(tx: &mut Tx, id: i64, reason: &str) -> Result<(), Error> {
    tx.execute("UPDATE desktop_trials SET class = NULL, reason = $1 WHERE id = $2", args![reason, id])
        .await?;
    Ok(())
}

/// Ends a trial.
pub async fn end(tx: &mut Tx, id: i64, state: TrialState, now: i64) -> Result<(), Error> {
    let sql = "UPDATE desktop_trials SET state = $1, ended_at = $2 WHERE id = $3";
    tx.execute(sql, args![state.as_str(), now, id]).await?;
    Ok(())
}
