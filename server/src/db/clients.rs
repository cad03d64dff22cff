//! Clients and their hardware addresses.

use wire::{ClientId, Mac, Sha256, facts::Facts};

use super::{Error, Row, Tx, args, dialect, reach, to_json};
use crate::domain::{
    client::{Client, ClientConfig, Stage},
    reach::Sees,
};

const COLUMNS: &str = "id, name, stage, config, facts, facts_at, announced_key, adopted_key, boot_id, realm, \
                       agent_version, last_seen_at, alarm, created_at, version";

/// Makes a client.
///
/// # Errors
/// [`Error::Exists`] when the name or an address is taken.
pub async fn create(
    tx: &mut Tx,
    name: &str,
    stage: Stage,
    config: &ClientConfig,
    macs: &[Mac],
    now: i64,
) -> Result<ClientId, Error> {
    let id = tx
        .insert(
            "INSERT INTO clients (name, stage, config, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
            args![name, stage.as_str(), to_json(config)?, now],
        )
        .await?;
    for mac in macs {
        add_mac(tx, ClientId(id), *mac).await?;
    }
    Ok(ClientId(id))
}

/// Gives a client one more hardware address.
///
/// # Errors
/// [`Error::Exists`] when another client has it.
pub async fn add_mac(tx: &mut Tx, client: ClientId, mac: Mac) -> Result<(), Error> {
    tx.execute("INSERT INTO client_macs (mac, client_id) VALUES ($1, $2)", args![mac, client]).await?;
    Ok(())
}

/// Lets nobody else change the client's jobs and attempts until the transaction ends. Take it before reading what is decided on.
/// Whoever takes several takes them in the order of their numbers.
pub async fn lock(tx: &mut Tx, id: ClientId) -> Result<(), Error> {
    match dialect::lock_client(tx) {
        Some(sql) => tx.optional(sql, args![id]).await.map(drop),
        None => Ok(()),
    }
}

/// A client by number.
pub async fn find(tx: &mut Tx, id: ClientId) -> Result<Option<Client>, Error> {
    one(tx, &format!("SELECT {COLUMNS} FROM clients WHERE id = $1"), args![id]).await
}

/// A client by name.
pub async fn find_by_name(tx: &mut Tx, name: &str) -> Result<Option<Client>, Error> {
    one(tx, &format!("SELECT {COLUMNS} FROM clients WHERE name = $1"), args![name]).await
}

/// The client that has a hardware address.
pub async fn find_by_mac(tx: &mut Tx, mac: Mac) -> Result<Option<Client>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM clients WHERE id = (SELECT client_id FROM client_macs WHERE mac = $1)"
    );
    one(tx, &sql, args![mac]).await
}

/// Clients that somebody sees, in the order of their names, after a name, optionally of one stage or one group.
pub async fn list(
    tx: &mut Tx,
    sees: &Sees,
    after: &str,
    stage: Option<Stage>,
    group: Option<&str>,
    limit: i64,
) -> Result<Vec<Client>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM clients WHERE name > $1 AND ($2 IS NULL OR stage = $2) AND ($3 IS NULL OR id IN \
         (SELECT m.client_id FROM group_members m JOIN client_groups g ON g.id = m.group_id WHERE g.name = $3)) \
         AND {} ORDER BY name LIMIT $4",
        reach::seen(sees, "id")
    );
    let rows = tx.all(&sql, args![after, stage.map(Stage::as_str), group, limit]).await?;
    let mut clients = Vec::with_capacity(rows.len());
    for row in &rows {
        clients.push(complete(tx, row).await?);
    }
    Ok(clients)
}

/// How many clients are in a stage.
pub async fn count(tx: &mut Tx, stage: Stage) -> Result<i64, Error> {
    let sql = "SELECT count(*) AS count FROM clients WHERE stage = $1";
    let row = tx.optional(sql, args![stage.as_str()]).await?;
    row.map_or(Ok(0), |row| row.int("count"))
}

async fn one(
    tx: &mut Tx,
    sql: &str,
    args: impl IntoIterator<Item = super::Arg>,
) -> Result<Option<Client>, Error> {
    match tx.optional(sql, args).await? {
        Some(row) => complete(tx, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn complete(tx: &mut Tx, row: &Row) -> Result<Client, Error> {
    let id = ClientId(row.int("id")?);
    let macs = tx.all("SELECT mac FROM client_macs WHERE client_id = $1 ORDER BY mac", args![id]).await?;
    let groups = super::groups::of_client(tx, id).await?;
    let key = |column| row.opt_text(column)?.map(|_| row.parsed::<Sha256>(column)).transpose();
    Ok(Client {
        id,
        name: row.text("name")?,
        stage: row.parsed("stage")?,
        config: row.json("config")?,
        macs: macs.iter().map(|row| row.parsed("mac")).collect::<Result<_, _>>()?,
        facts: row.opt_text("facts")?.map(|_| row.json::<Facts>("facts")).transpose()?,
        facts_at: row.opt_int("facts_at")?,
        announced_key: key("announced_key")?,
        adopted_key: key("adopted_key")?,
        boot_id: row.opt_text("boot_id")?,
        realm: row.opt_text("realm")?.and_then(|word| super::jobs::realm_from(&word)),
        agent_version: row.opt_text("agent_version")?,
        last_seen_at: row.opt_int("last_seen_at")?,
        alarm: row.opt_text("alarm")?,
        created_at: row.int("created_at")?,
        version: row.int("version")?,
        groups,
    })
}

/// Changes name, stage and configuration; tells whether the expected version was still there.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn update(tx: &mut Tx, client: &Client) -> Result<bool, Error> {
    let changed = tx
        .execute(
            "UPDATE clients SET name = $1, stage = $2, config = $3, version = version + 1 WHERE id = $4 AND version = $5",
            args![&client.name, client.stage.as_str(), to_json(&client.config)?, client.id, client.version],
        )
        .await?;
    Ok(changed == 1)
}

/// Where a client is in its life.
pub async fn stage(tx: &mut Tx, id: ClientId) -> Result<Option<Stage>, Error> {
    let row = tx.optional("SELECT stage FROM clients WHERE id = $1", args![id]).await?;
    row.map(|row| row.parsed("stage")).transpose()
}

/// Moves a client to a stage.
pub async fn set_stage(tx: &mut Tx, id: ClientId, stage: Stage) -> Result<(), Error> {
    let sql = "UPDATE clients SET stage = $1, version = version + 1 WHERE id = $2 AND stage <> $1";
    tx.execute(sql, args![stage.as_str(), id]).await?;
    Ok(())
}

/// Keeps what the agent measured.
pub async fn set_facts(tx: &mut Tx, id: ClientId, facts: &Facts, now: i64) -> Result<(), Error> {
    let sql = "UPDATE clients SET facts = $1, facts_at = $2, version = version + 1 WHERE id = $3";
    tx.execute(sql, args![to_json(facts)?, now, id]).await?;
    Ok(())
}

/// Keeps the fingerprint that a machine without a token showed.
pub async fn set_announced_key(tx: &mut Tx, id: ClientId, key: &Sha256) -> Result<(), Error> {
    tx.execute("UPDATE clients SET announced_key = $1 WHERE id = $2", args![key, id]).await?;
    Ok(())
}

/// The key that may have an identity without a token from now on; none takes the permission back.
pub async fn set_adopted_key(tx: &mut Tx, id: ClientId, key: Option<&Sha256>) -> Result<(), Error> {
    let sql = "UPDATE clients SET adopted_key = $1, version = version + 1 WHERE id = $2";
    tx.execute(sql, args![key.map(Sha256::as_str), id]).await?;
    Ok(())
}

/// Raises or clears an alarm.
pub async fn set_alarm(tx: &mut Tx, id: ClientId, alarm: Option<&str>) -> Result<(), Error> {
    tx.execute("UPDATE clients SET alarm = $1, version = version + 1 WHERE id = $2", args![alarm, id])
        .await?;
    Ok(())
}

/// Where and when the agent was heard.
pub async fn set_seen(
    tx: &mut Tx,
    id: ClientId,
    boot_id: &str,
    realm: wire::enrol::Realm,
    agent_version: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE clients SET boot_id = $1, realm = $2, agent_version = $3, last_seen_at = $4 WHERE id = $5",
        args![boot_id, super::jobs::realm_word(Some(realm)), agent_version, now, id],
    )
    .await?;
    Ok(())
}

/// Removes a client with everything that belongs to it.
pub async fn delete(tx: &mut Tx, id: ClientId) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM clients WHERE id = $1", args![id]).await? == 1)
}

/// Keeps a secret of a client, replacing an older one.
pub async fn set_secret(
    tx: &mut Tx,
    id: ClientId,
    reference: &str,
    value: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO secrets (client_id, reference, value, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (client_id, reference) DO UPDATE SET value = excluded.value, created_at = excluded.created_at",
        args![id, reference, value, now],
    )
    .await?;
    Ok(())
}

/// A secret of a client.
pub async fn find_secret(tx: &mut Tx, id: ClientId, reference: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT value FROM secrets WHERE client_id = $1 AND reference = $2";
    tx.optional(sql, args![id, reference]).await?.map(|row| row.text("value")).transpose()
}
