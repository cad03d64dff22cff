//! What the first page shows: few rows by indexes, however many clients there are.

use super::{Error, Row, Tx, args, attempts, events, reach::seen};
use crate::{
    db::events::ServerEvent,
    domain::{client::Stage, job::Attempt, reach::Sees},
};

/// A client's name, a reason, a time.
type Line = (String, String, Option<i64>);

fn line(row: &Row) -> Result<Line, Error> {
    Ok((row.text("name")?, row.text("reason")?, row.opt_int("at")?))
}

/// How many clients are in each stage.
pub async fn stages(tx: &mut Tx, sees: &Sees) -> Result<Vec<(Stage, i64)>, Error> {
    let sql = format!(
        "SELECT stage, count(*) AS count FROM clients WHERE {} GROUP BY stage ORDER BY stage",
        seen(sees, "id")
    );
    let rows = tx.all(&sql, []).await?;
    rows.iter().map(|row| Ok((row.parsed("stage")?, row.int("count")?))).collect()
}

/// Clients that an alarm stops.
pub async fn alarms(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<Line>, Error> {
    let sql = format!(
        "SELECT name, alarm AS reason, last_seen_at AS at FROM clients WHERE alarm IS NOT NULL AND {} ORDER BY name LIMIT $1",
        seen(sees, "id")
    );
    tx.all(&sql, args![limit]).await?.iter().map(line).collect()
}

/// Machines that wait for adoption, newest first.
pub async fn discovered(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<Line>, Error> {
    let sql = format!(
        "SELECT name, '' AS reason, facts_at AS at FROM clients \
         WHERE stage = 'discovered' AND adopted_key IS NULL AND {} ORDER BY id DESC LIMIT $1",
        seen(sees, "id")
    );
    tx.all(&sql, args![limit]).await?.iter().map(line).collect()
}

/// Jobs that wait for acceptance, oldest first.
pub async fn held(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<Line>, Error> {
    let sql = format!(
        "SELECT c.name, j.job_type AS reason, j.created_at AS at FROM jobs j JOIN clients c ON c.id = j.client_id \
         WHERE j.state = 'held' AND {} ORDER BY j.id LIMIT $1",
        seen(sees, "c.id")
    );
    tx.all(&sql, args![limit]).await?.iter().map(line).collect()
}

/// Jobs that have failed since a time, newest first.
pub async fn failed(tx: &mut Tx, sees: &Sees, since: i64, limit: i64) -> Result<Vec<Line>, Error> {
    let sql = format!(
        "SELECT c.name, j.job_type || ': ' || j.reason AS reason, j.finished_at AS at \
         FROM jobs j JOIN clients c ON c.id = j.client_id \
         WHERE j.state = 'failed' AND j.finished_at > $1 AND {} ORDER BY j.id DESC LIMIT $2",
        seen(sees, "c.id")
    );
    tx.all(&sql, args![since, limit]).await?.iter().map(line).collect()
}

/// Running attempts with client and job type, newest first.
pub async fn running(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<(String, String, Attempt)>, Error> {
    let columns: Vec<_> =
        attempts::COLUMNS.split(", ").map(|column| format!("a.{}", column.trim())).collect();
    let sql = format!(
        "SELECT {}, c.name AS client_name, j.job_type FROM attempts a JOIN clients c ON c.id = a.client_id \
         JOIN jobs j ON j.id = a.job_id WHERE a.state = 'running' AND {} ORDER BY a.id DESC LIMIT $1",
        columns.join(", "),
        seen(sees, "c.id")
    );
    let rows = tx.all(&sql, args![limit]).await?;
    rows.iter()
        .map(|row| Ok((row.text("client_name")?, row.text("job_type")?, attempts::from_row(row)?)))
        .collect()
}

/// What has happened last, newest first, with the client's name.
pub async fn happened(
    tx: &mut Tx,
    sees: &Sees,
    limit: i64,
) -> Result<Vec<(ServerEvent, Option<String>)>, Error> {
    let sql = format!(
        "SELECT e.id, e.at, e.kind, e.client_id, e.job_id, e.actor, e.detail, c.name FROM events e \
         LEFT JOIN clients c ON c.id = e.client_id WHERE {} ORDER BY e.id DESC LIMIT $1",
        seen(sees, "e.client_id")
    );
    let rows = tx.all(&sql, args![limit]).await?;
    rows.iter().map(|row| Ok((events::from_row(row)?, row.opt_text("name")?))).collect()
}
