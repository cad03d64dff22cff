//! Clients that were taken over with their system, and how that is set up.

use std::collections::HashSet;

use wire::{ClientId, survey::Survey};

use super::{Error, Row, Tx, args, id_list, to_json};

/// A client that was taken over with its system, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// When that was last ordered.
    pub ordered_at: i64,
    /// By whom.
    pub ordered_by: String,
    /// `USER@HOST:PORT` when it was done over SSH, else empty.
    pub ssh_address: String,
    /// The host key that was accepted, `SHA256:…`, else empty.
    pub ssh_host_key: String,
    /// How its system is set up; absent until its agent has told.
    pub survey: Option<Survey>,
    /// When it told.
    pub surveyed_at: Option<i64>,
    /// When that went into the client's record.
    pub taken_over_at: Option<i64>,
}

/// That of a client.
pub async fn find(tx: &mut Tx, client: ClientId) -> Result<Option<Integration>, Error> {
    let sql = "SELECT ordered_at, ordered_by, ssh_address, ssh_host_key, survey, surveyed_at, taken_over_at \
               FROM integrations WHERE client_id = $1";
    tx.optional(sql, args![client]).await?.as_ref().map(from_row).transpose()
}

fn from_row(row: &Row) -> Result<Integration, Error> {
    Ok(Integration {
        ordered_at: row.int("ordered_at")?,
        ordered_by: row.text("ordered_by")?,
        ssh_address: row.text("ssh_address")?,
        ssh_host_key: row.text("ssh_host_key")?,
        survey: row.opt_text("survey")?.map(|_| row.json("survey")).transpose()?,
        surveyed_at: row.opt_int("surveyed_at")?,
        taken_over_at: row.opt_int("taken_over_at")?,
    })
}

/// Which of these clients were taken over, or are to be.
pub async fn among(tx: &mut Tx, clients: &[ClientId]) -> Result<HashSet<ClientId>, Error> {
    let (list, args) = id_list(clients.iter().map(|id| id.0));
    let rows = tx.all(&format!("SELECT client_id FROM integrations WHERE client_id IN {list}"), args).await?;
    rows.iter().map(|row| Ok(ClientId(row.int("client_id")?))).collect()
}

/// Notes that a client is to be taken over, again if it was; an address and host key that were known stay when there are no newer ones.
pub async fn order(
    tx: &mut Tx,
    client: ClientId,
    (address, host_key): (&str, &str),
    actor: &str,
    now: i64,
) -> Result<(), Error> {
    let known = if address.is_empty() { "integrations" } else { "excluded" };
    let sql = format!(
        "INSERT INTO integrations (client_id, ordered_at, ordered_by, ssh_address, ssh_host_key) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (client_id) DO UPDATE SET ordered_at = excluded.ordered_at, ordered_by = excluded.ordered_by, \
         ssh_address = {known}.ssh_address, ssh_host_key = {known}.ssh_host_key"
    );
    tx.execute(&sql, args![client, now, actor, address, host_key]).await?;
    Ok(())
}

/// Keeps how the system is set up.
pub async fn set_survey(tx: &mut Tx, client: ClientId, survey: &Survey, now: i64) -> Result<(), Error> {
    let sql = "UPDATE integrations SET survey = $1, surveyed_at = $2 WHERE client_id = $3";
    tx.execute(sql, args![to_json(survey)?, now, client]).await?;
    Ok(())
}

/// Notes that the record has what the first survey said.
pub async fn set_taken_over(tx: &mut Tx, client: ClientId, now: i64) -> Result<(), Error> {
    tx.execute("UPDATE integrations SET taken_over_at = $1 WHERE client_id = $2", args![now, client]).await?;
    Ok(())
}

/// Lotse has installed the client: its system is no longer the one that was taken over.
pub async fn forget(tx: &mut Tx, client: ClientId) -> Result<(), Error> {
    tx.execute("DELETE FROM integrations WHERE client_id = $1", args![client]).await?;
    Ok(())
}
