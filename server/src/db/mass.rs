//! Installations of many machines: what was begun under a key, and what known clients use already.

use wire::ClientId;

use super::{Error, Tx, args};

/// What was begun under a key, as JSON.
pub async fn find(tx: &mut Tx, key: &str) -> Result<Option<String>, Error> {
    let row = tx.optional("SELECT outcome FROM mass_installations WHERE key = $1", args![key]).await?;
    row.map(|row| row.text("outcome")).transpose()
}

/// Keeps what was begun under a key.
///
/// # Errors
/// [`Error::Exists`] when somebody was quicker.
pub async fn keep(tx: &mut Tx, key: &str, outcome: &str, actor: &str, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO mass_installations (key, outcome, created_at, created_by) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, args![key, outcome, now, actor]).await?;
    Ok(())
}

/// Name, configuration and facts of every client, as they are stored: to see which names and addresses are in use.
pub async fn in_use(tx: &mut Tx) -> Result<Vec<(ClientId, String, String, Option<String>)>, Error> {
    let rows = tx.all("SELECT id, name, config, facts FROM clients ORDER BY id", []).await?;
    rows.iter()
        .map(|row| {
            Ok((ClientId(row.int("id")?), row.text("name")?, row.text("config")?, row.opt_text("facts")?))
        })
        .collect()
}

/// Names that begin with a text.
pub async fn names_with(tx: &mut Tx, prefix: &str) -> Result<Vec<String>, Error> {
    // Names have no signs that mean something here.
    let sql = "SELECT name FROM clients WHERE name LIKE $1";
    tx.all(sql, args![format!("{prefix}%")]).await?.iter().map(|row| row.text("name")).collect()
}

/// Machines that wait for adoption, by number.
pub async fn waiting(tx: &mut Tx, limit: i64) -> Result<Vec<ClientId>, Error> {
    let sql = "SELECT id FROM clients WHERE stage = 'discovered' AND announced_key IS NOT NULL \
               AND (adopted_key IS NULL OR adopted_key <> announced_key) ORDER BY id LIMIT $1";
    tx.all(sql, args![limit]).await?.iter().map(|row| row.int("id").map(ClientId)).collect()
}
