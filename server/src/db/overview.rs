//! What the first page shows: few rows by indexes, however many clients there are; of the clients that somebody sees and of no other.

use super::{Arg, Error, Row, Tx, args, attempts, events, reach::seen};
use crate::{
    db::events::ServerEvent,
    domain::{
        client::Stage,
        job::{Attempt, JobState},
        reach::Sees,
        search::version,
    },
};

/// Events that are looked at for whoever sees only some clients.
const LOOKED_AT: i64 = 20_000;

/// A client's name, a reason, a time.
pub type Line = (String, String, Option<i64>);

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
pub async fn alarms(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Few, Error> {
    let of = format!("clients WHERE alarmed AND {}", seen(sees, "id"));
    let shown = format!("name, alarm AS reason, last_seen_at AS at FROM {of} ORDER BY name");
    few(tx, &of, &shown, Vec::new(), limit).await
}

/// Clients whose installation has failed, newest first.
pub async fn broken(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Few, Error> {
    let which = format!(
        "c.stage = 'installing' AND c.failed_job IS NOT NULL AND NOT c.alarmed AND {}",
        seen(sees, "c.id")
    );
    let shown = format!(
        "c.name, j.job_type || ': ' || j.reason AS reason, j.finished_at AS at FROM clients c \
         JOIN jobs j ON j.id = c.failed_job WHERE {which} ORDER BY c.failed_job DESC"
    );
    few(tx, &format!("clients c WHERE {which}"), &shown, Vec::new(), limit).await
}

/// Clients whose installation is under way, and whose agent was not heard since a time; those longest silent first.
pub async fn stuck(tx: &mut Tx, sees: &Sees, since: i64, limit: i64) -> Result<Few, Error> {
    let of = format!(
        "clients WHERE stage = 'installing' AND last_seen_at <= $1 AND failed_job IS NULL AND NOT alarmed AND {}",
        seen(sees, "id")
    );
    let shown = format!("name, '' AS reason, last_seen_at AS at FROM {of} ORDER BY last_seen_at");
    few(tx, &of, &shown, args![since].to_vec(), limit).await
}

/// Installed clients that were not heard since a time, those last that are silent longest.
pub async fn offline(tx: &mut Tx, sees: &Sees, since: i64, limit: i64) -> Result<Few, Error> {
    let seen = seen(sees, "id");
    let of = format!(
        "clients WHERE stage = 'installed' AND coalesce(last_seen_at, 0) <= $1 AND failed_job IS NULL AND NOT alarmed \
         AND {seen}"
    );
    let shown = format!(
        "name, '' AS reason, last_seen_at AS at FROM clients WHERE stage = 'installed' AND last_seen_at <= $1 \
         AND failed_job IS NULL AND NOT alarmed AND {seen} ORDER BY last_seen_at DESC"
    );
    few(tx, &of, &shown, args![since].to_vec(), limit).await
}

/// Installed clients whose agent is older than a version, by name; none when nobody knows the version.
pub async fn old_agents(tx: &mut Tx, sees: &Sees, version: &str, limit: i64) -> Result<Few, Error> {
    if version.is_empty() {
        return Ok(Few::default());
    }
    let of = format!("clients WHERE stage = 'installed' AND agent_key < $1 AND {}", seen(sees, "id"));
    let shown = format!("name, agent_version AS reason, last_seen_at AS at FROM {of} ORDER BY name");
    few(tx, &of, &shown, args![version::key(version)].to_vec(), limit).await
}

/// Machines that wait for adoption, newest first.
pub async fn discovered(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Few, Error> {
    let of = format!("clients WHERE stage = 'discovered' AND adopted_key IS NULL AND {}", seen(sees, "id"));
    let shown = format!("name, '' AS reason, facts_at AS at FROM {of} ORDER BY id DESC");
    few(tx, &of, &shown, Vec::new(), limit).await
}

/// Jobs that wait for acceptance, oldest first.
pub async fn held(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Few, Error> {
    let which = format!("j.state = 'held' AND {}", seen(sees, "j.client_id"));
    let shown = format!(
        "c.name, j.job_type AS reason, j.created_at AS at FROM jobs j JOIN clients c ON c.id = j.client_id \
         WHERE {which} ORDER BY j.id"
    );
    few(tx, &format!("jobs j WHERE {which}"), &shown, Vec::new(), limit).await
}

/// Jobs that have failed since a time, newest first.
pub async fn failed(tx: &mut Tx, sees: &Sees, since: i64, limit: i64) -> Result<Few, Error> {
    let which = format!("j.state = 'failed' AND j.finished_at > $1 AND {}", seen(sees, "j.client_id"));
    let shown = format!(
        "c.name, j.job_type || ': ' || j.reason AS reason, j.finished_at AS at \
         FROM jobs j JOIN clients c ON c.id = j.client_id WHERE {which} ORDER BY j.finished_at DESC"
    );
    few(tx, &format!("jobs j WHERE {which}"), &shown, args![since].to_vec(), limit).await
}

/// How many jobs ended in each hour of a span: the hour's number since the Unix epoch, how they ended, how many.
pub async fn ended(tx: &mut Tx, sees: &Sees, from: i64, to: i64) -> Result<Vec<(i64, JobState, i64)>, Error> {
    let sql = format!(
        "SELECT finished_at / 3600000000 AS hour, state, count(*) AS count FROM jobs \
         WHERE finished_at >= $1 AND finished_at < $2 AND {} GROUP BY finished_at / 3600000000, state",
        seen(sees, "client_id")
    );
    let rows = tx.all(&sql, args![from, to]).await?;
    rows.iter().map(|row| Ok((row.int("hour")?, row.parsed("state")?, row.int("count")?))).collect()
}

/// How many attempts run.
pub async fn running_count(tx: &mut Tx, sees: &Sees) -> Result<i64, Error> {
    let sql = format!(
        "SELECT count(*) AS count FROM attempts WHERE state = 'running' AND {}",
        seen(sees, "client_id")
    );
    let row = tx.optional(&sql, []).await?;
    row.map_or(Ok(0), |row| row.int("count"))
}

/// Running attempts with client and job type, newest first.
pub async fn running(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<(String, String, Attempt)>, Error> {
    let columns: Vec<_> =
        attempts::COLUMNS.split(", ").map(|column| format!("a.{}", column.trim())).collect();
    // The sign keeps SQLite from going through all attempts by number; those that run have an index of their own.
    let sql = format!(
        "SELECT {}, c.name AS client_name, j.job_type FROM attempts a JOIN clients c ON c.id = a.client_id \
         JOIN jobs j ON j.id = a.job_id WHERE a.state = 'running' AND {} ORDER BY +a.id DESC LIMIT $1",
        columns.join(", "),
        seen(sees, "a.client_id")
    );
    let rows = tx.all(&sql, args![limit]).await?;
    rows.iter()
        .map(|row| Ok((row.text("client_name")?, row.text("job_type")?, attempts::from_row(row)?)))
        .collect()
}

/// What has happened last, newest first, with the client's name. For whoever sees only some clients, among the newest [`LOOKED_AT`]
/// events, so that a quiet group does not make the database look through all of them.
pub async fn happened(tx: &mut Tx, sees: &Sees, limit: i64) -> Result<Vec<Happened>, Error> {
    let which = match sees {
        Sees::Everything => "TRUE".to_owned(),
        Sees::Groups(_) => format!(
            "e.id > (SELECT coalesce(max(id), 0) FROM events) - {LOOKED_AT} AND {}",
            seen(sees, "e.client_id")
        ),
    };
    let sql = format!(
        "SELECT e.id, e.at, e.kind, e.client_id, e.job_id, e.actor, e.detail, c.name, j.job_type FROM events e \
         LEFT JOIN clients c ON c.id = e.client_id LEFT JOIN jobs j ON j.id = e.job_id WHERE {which} ORDER BY e.id DESC LIMIT $1"
    );
    let rows = tx.all(&sql, args![limit]).await?;
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
