//! What happened: the stream that pages and programs follow.

use wire::{ClientId, JobId};

use super::{Error, Tx, args, dialect};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ServerEvent {
    /// Its number: the offset from which a reader resumes.
    pub id: i64,
    /// When.
    pub at: i64,
    /// What, such as `client.discovered` or `job.running`.
    pub kind: String,
    /// About which client.
    pub client: Option<ClientId>,
    /// About which job.
    pub job: Option<JobId>,
    /// Who did it.
    pub actor: String,
    /// More about it.
    pub detail: String,
}

/// Notes that something happened.
pub async fn add(
    tx: &mut Tx,
    kind: &str,
    client: Option<ClientId>,
    job: Option<JobId>,
    actor: &str,
    detail: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO events (at, kind, client_id, job_id, actor, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        args![now, kind, client.map(|id| id.0), job.map(|id| id.0), actor, detail],
    )
    .await?;
    Ok(())
}

/// What happened after a number. What comes later has a greater number than everything that was given here.
pub async fn after(tx: &mut Tx, id: i64, limit: i64) -> Result<Vec<ServerEvent>, Error> {
    let sql = format!(
        "SELECT id, at, kind, client_id, job_id, actor, detail FROM events WHERE id > $1 {} ORDER BY id LIMIT $2",
        dialect::settled(tx)
    );
    tx.all(&sql, args![id, limit])
        .await?
        .iter()
        .map(|row| {
            Ok(ServerEvent {
                id: row.int("id")?,
                at: row.int("at")?,
                kind: row.text("kind")?,
                client: row.opt_int("client_id")?.map(ClientId),
                job: row.opt_int("job_id")?.map(JobId),
                actor: row.text("actor")?,
                detail: row.text("detail")?,
            })
        })
        .collect()
}

/// Number of the newest event.
pub async fn newest(tx: &mut Tx) -> Result<i64, Error> {
    let sql = format!("SELECT max(id) AS id FROM events WHERE id > 0 {}", dialect::settled(tx));
    let row = tx.optional(&sql, []).await?;
    Ok(row.map_or(Ok(None), |row| row.opt_int("id"))?.unwrap_or(0))
}
