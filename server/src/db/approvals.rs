//! Requests that need a second person.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::approval::{Approval, ApprovalState};

fn from_row(row: &Row) -> Result<Approval, Error> {
    Ok(Approval {
        id: row.int("id")?,
        wish: row.json("wish")?,
        summary: row.text("summary")?,
        risk: row.parsed("risk")?,
        role: row.parsed("role")?,
        asked_by: row.text("asked_by")?,
        person: row.text("person")?,
        pass: row.text("pass")?,
        asked_at: row.int("asked_at")?,
        expires_at: row.int("expires_at")?,
        state: row.parsed("state")?,
        decided_by: row.opt_text("decided_by")?,
        decided_at: row.opt_int("decided_at")?,
        reason: row.text("reason")?,
    })
}

/// Keeps a new request; its number is given here.
pub async fn create(tx: &mut Tx, approval: &Approval) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO approvals (wish, summary, risk, role, asked_by, person, pass, asked_at, expires_at, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending') RETURNING id",
        args![
            to_json(&approval.wish)?,
            &approval.summary,
            approval.risk.as_str(),
            approval.role.as_str(),
            &approval.asked_by,
            &approval.person,
            &approval.pass,
            approval.asked_at,
            approval.expires_at
        ],
    )
    .await
}

/// A request by its number.
pub async fn find(tx: &mut Tx, id: i64) -> Result<Option<Approval>, Error> {
    tx.optional("SELECT * FROM approvals WHERE id = $1", args![id]).await?.as_ref().map(from_row).transpose()
}

/// The same wish of the same person that nobody has decided about.
pub async fn pending_same(
    tx: &mut Tx,
    person: &str,
    wish: &serde_json::Value,
    now: i64,
) -> Result<Option<Approval>, Error> {
    let sql = "SELECT * FROM approvals WHERE state = 'pending' AND person = $1 AND wish = $2 AND expires_at > $3 LIMIT 1";
    tx.optional(sql, args![person, to_json(wish)?, now]).await?.as_ref().map(from_row).transpose()
}

/// Requests before a number, newest first, optionally in one state.
pub async fn list(
    tx: &mut Tx,
    state: Option<ApprovalState>,
    before: i64,
    limit: i64,
) -> Result<Vec<Approval>, Error> {
    let sql =
        "SELECT * FROM approvals WHERE id < $1 AND ($2 IS NULL OR state = $2) ORDER BY id DESC LIMIT $3";
    let state = state.map(ApprovalState::as_str);
    tx.all(sql, args![before, state, limit]).await?.iter().map(from_row).collect()
}

/// How many wait for a decision.
pub async fn count_pending(tx: &mut Tx, now: i64) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM approvals WHERE state = 'pending' AND expires_at > $1";
    tx.optional(sql, args![now]).await?.map_or(Ok(0), |row| row.int("count"))
}

/// Decides about a request that is pending and in time; tells whether this was the decision. Whoever decides at the same time waits
/// here, and then finds it decided.
pub async fn decide(
    tx: &mut Tx,
    id: i64,
    state: ApprovalState,
    by: &str,
    reason: &str,
    now: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE approvals SET state = $1, decided_by = $2, decided_at = $3, reason = $4 \
               WHERE id = $5 AND state = 'pending' AND expires_at > $3";
    Ok(tx.execute(sql, args![state.as_str(), by, now, reason, id]).await? == 1)
}

/// Whether there is something that nobody has decided about in time.
pub async fn any_overdue(tx: &mut Tx, now: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM approvals WHERE state = 'pending' AND expires_at <= $1 LIMIT 1";
    Ok(tx.optional(sql, args![now]).await?.is_some())
}

/// Ends what nobody has decided about in time.
pub async fn expire(tx: &mut Tx, now: i64) -> Result<u64, Error> {
    let sql = "UPDATE approvals SET state = 'expired', decided_at = $1 WHERE state = 'pending' AND expires_at <= $1";
    tx.execute(sql, args![now]).await
}
