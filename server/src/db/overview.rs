//! What the first page shows: few rows by indexes, however many clients there are.

use super::{Arg, Error, Row, Tx, args, attempts, events};
use crate::{
    db::events::ServerEvent,
    domain::{
        client::Stage,
        job::{Attempt, JobState},
    },
};

/// A client's name, a reason, a time.
pub type Line = (String, String, Option<i64>);

fn line(row: &Row) -> Result<Line, Error> {
    Ok((row.text("name")?, row.text("reason")?, row.opt_int("at")?))
}

/// How many clients are in each stage.
pub async fn stages(tx: &mut Tx) -> Result<Vec<(Stage, i64)>, Error> {
    let rows =
        tx.all("SELECT stage, count(*) AS count FROM clients GROUP BY stage ORDER BY stage", []).await?;
    rows.iter().map(|row| Ok((row.parsed("stage")?, row.int("count")?))).collect()
}

/// The clients or jobs of one kind that need somebody: how many, and the first of them.
#[derive(Clone, Debug, Default)]
pub struct Few {
    /// How many there are.
    pub count: i64,
    /// The first of them: a client's name, a reason, a time.
    pub first: Vec<Line>,
}

async fn few(tx: &mut Tx, from: &str, shown: &str, args: Vec<Arg>, limit: i64) -> Result<Few, Error> {
    let row = tx.optional(&format!("SELECT count(*) AS count FROM {from}"), args.clone()).await?;
    let count = row.map_or(Ok(0), |row| row.int("count"))?;
    if count == 0 {
        return Ok(Few::default());
    }
    let rows = tx.all(&format!("SELECT {shown} LIMIT {limit}"), args).await?;
    Ok(Few { count, first: rows.iter().map(line).collect::<Result<_, _>>()? })
}

/// Clients that an alarm stops, by name.
pub async fn alarms(tx: &mut Tx, limit: i64) -> Result<Few, Error> {
    let shown = "name, alarm AS reason, last_seen_at AS at FROM clients WHERE alarmed ORDER BY name";
    few(tx, "clients WHERE alarmed", shown, Vec::new(), limit).await
}

/// Clients whose installation has failed, newest first.
pub async fn broken(tx: &mut Tx, limit: i64) -> Result<Few, Error> {
    let of = "clients c WHERE c.stage = 'installing' AND c.failed_job IS NOT NULL AND NOT c.alarmed";
    let shown = "c.name, j.job_type || ': ' || j.reason AS reason, j.finished_at AS at FROM clients c \
                 JOIN jobs j ON j.id = c.failed_job \
                 WHERE c.stage = 'installing' AND c.failed_job IS NOT NULL AND NOT c.alarmed ORDER BY c.failed_job DESC";
    few(tx, of, shown, Vec::new(), limit).await
}

/// Clients whose installation is under way, and whose agent was not heard since a time; those longest silent first.
pub async fn stuck(tx: &mut Tx, since: i64, limit: i64) -> Result<Few, Error> {
    let of =
        "clients WHERE stage = 'installing' AND last_seen_at <= $1 AND failed_job IS NULL AND NOT alarmed";
    let shown = format!("name, '' AS reason, last_seen_at AS at FROM {of} ORDER BY last_seen_at");
    few(tx, of, &shown, args![since].to_vec(), limit).await
}

/// Installed clients that were not heard since a time, those last that are silent longest.
pub async fn offline(tx: &mut Tx, since: i64, limit: i64) -> Result<Few, Error> {
    let of = "clients WHERE stage = 'installed' AND coalesce(last_seen_at, 0) <= $1 AND failed_job IS NULL AND NOT alarmed";
    let shown = "name, '' AS reason, last_seen_at AS at FROM clients WHERE stage = 'installed' AND last_seen_at <= $1 \
                 AND failed_job IS NULL AND NOT alarmed ORDER BY last_seen_at DESC";
    few(tx, of, shown, args![since].to_vec(), limit).await
}

/// Machines that wait for adoption, newest first.
pub async fn discovered(tx: &mut Tx, limit: i64) -> Result<Few, Error> {
    let of = "clients WHERE stage = 'discovered' AND adopted_key IS NULL";
    let shown = format!("name, '' AS reason, facts_at AS at FROM {of} ORDER BY id DESC");
    few(tx, of, &shown, Vec::new(), limit).await
}

/// Jobs that wait for acceptance, oldest first.
pub async fn held(tx: &mut Tx, limit: i64) -> Result<Few, Error> {
    let shown = "c.name, j.job_type AS reason, j.created_at AS at FROM jobs j JOIN clients c ON c.id = j.client_id \
                 WHERE j.state = 'held' ORDER BY j.id";
    few(tx, "jobs WHERE state = 'held'", shown, Vec::new(), limit).await
}

/// Jobs that have failed since a time, newest first.
pub async fn failed(tx: &mut Tx, since: i64, limit: i64) -> Result<Few, Error> {
    let shown = "c.name, j.job_type || ': ' || j.reason AS reason, j.finished_at AS at \
                 FROM jobs j JOIN clients c ON c.id = j.client_id \
                 WHERE j.state = 'failed' AND j.finished_at > $1 ORDER BY j.finished_at DESC";
    few(tx, "jobs WHERE state = 'failed' AND finished_at > $1", shown, args![since].to_vec(), limit).await
}

/// How many jobs ended in each hour of a span: the hour's number since the Unix epoch, how they ended, how many.
pub async fn ended(tx: &mut Tx, from: i64, to: i64) -> Result<Vec<(i64, JobState, i64)>, Error> {
    let sql = "SELECT finished_at / 3600000000 AS hour, state, count(*) AS count FROM jobs \
               WHERE finished_at >= $1 AND finished_at < $2 GROUP BY finished_at / 3600000000, state";
    let rows = tx.all(sql, args![from, to]).await?;
    rows.iter().map(|row| Ok((row.int("hour")?, row.parsed("state")?, row.int("count")?))).collect()
}

/// How many attempts run.
pub async fn running_count(tx: &mut Tx) -> Result<i64, Error> {
    let row = tx.optional("SELECT count(*) AS count FROM attempts WHERE state = 'running'", []).await?;
    row.map_or(Ok(0), |row| row.int("count"))
}

/// Running attempts with client and job type, newest first.
pub async fn running(tx: &mut Tx, limit: i64) -> Result<Vec<(String, String, Attempt)>, Error> {
    let columns: Vec<_> =
        attempts::COLUMNS.split(", ").map(|column| format!("a.{}", column.trim())).collect();
    let sql = format!(
        "SELECT {}, c.name AS client_name, j.job_type FROM attempts a JOIN clients c ON c.id = a.client_id \
         JOIN jobs j ON j.id = a.job_id WHERE a.state = 'running' ORDER BY a.id DESC LIMIT $1",
        columns.join(", ")
    );
    let rows = tx.all(&sql, args![limit]).await?;
    rows.iter()
        .map(|row| Ok((row.text("client_name")?, row.text("job_type")?, attempts::from_row(row)?)))
        .collect()
}

/// What has happened last, newest first, with the client's name.
pub async fn happened(tx: &mut Tx, limit: i64) -> Result<Vec<Happened>, Error> {
    let sql = "SELECT e.id, e.at, e.kind, e.client_id, e.job_id, e.actor, e.detail, c.name, j.job_type FROM events e \
               LEFT JOIN clients c ON c.id = e.client_id LEFT JOIN jobs j ON j.id = e.job_id ORDER BY e.id DESC LIMIT $1";
    let rows = tx.all(sql, args![limit]).await?;
    let happened = |row: &Row| {
        let (client, job_type) = (row.opt_text("name")?, row.opt_text("job_type")?);
        Ok(Happened { event: events::from_row(row)?, client, job_type })
    };
    rows.iter().map(happened).collect()
}

/// An event with the names that people know.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What happened.
    pub event: ServerEvent,
    /// Name of the client that it is about.
    pub client: Option<String>,
    /// Type of the job that it is about.
    pub job_type: Option<String>,
}
