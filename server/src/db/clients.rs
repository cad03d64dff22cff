//! Clients and their hardware addresses.

use std::collections::HashMap;

use wire::{ClientId, GroupId, Mac, Sha256, facts::Facts};

use super::{Error, Row, Tx, args, dialect, to_json, traits};
use crate::domain::{
    client::{Client, ClientConfig, Stage},
    search::version,
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
            "INSERT INTO clients (name, stage, config, created_at, distribution, traits) VALUES ($1, $2, $3, $4, $5, $6) \
             RETURNING id",
            args![name, stage.as_str(), to_json(config)?, now, &config.distribution, traits::VERSION],
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

/// All members that are named in a group, in the order of their names.
pub async fn members(tx: &mut Tx, group: GroupId) -> Result<Vec<Client>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM clients WHERE id IN (SELECT client_id FROM group_members WHERE group_id = $1) ORDER BY name"
    );
    let rows = tx.all(&sql, args![group]).await?;
    completed(tx, &rows).await
}

/// Clients by their numbers, in that order; those that are gone are left out. A few statements, however many clients.
pub async fn find_many(tx: &mut Tx, ids: &[ClientId]) -> Result<Vec<Client>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(super::MOST_IN_LIST) {
        let (list, args) = super::id_list(chunk.iter().map(|id| id.0));
        let rows = tx.all(&format!("SELECT {COLUMNS} FROM clients WHERE id IN {list}"), args).await?;
        found.extend(completed(tx, &rows).await?);
    }
    let place: HashMap<ClientId, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    found.sort_by_key(|client| place.get(&client.id).copied());
    Ok(found)
}

/// Makes clients of rows, with their addresses and groups.
async fn completed(tx: &mut Tx, rows: &[Row]) -> Result<Vec<Client>, Error> {
    let mut clients = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(super::MOST_IN_LIST) {
        let ids: Vec<i64> = chunk.iter().map(|row| row.int("id")).collect::<Result<_, _>>()?;
        let (list, args) = super::id_list(ids.iter().copied());
        let mut macs: HashMap<i64, Vec<Mac>> = HashMap::new();
        let sql = format!("SELECT client_id, mac FROM client_macs WHERE client_id IN {list} ORDER BY mac");
        for row in tx.all(&sql, args.clone()).await? {
            macs.entry(row.int("client_id")?).or_default().push(row.parsed("mac")?);
        }
        let mut groups: HashMap<i64, Vec<GroupId>> = HashMap::new();
        let sql = format!(
            "SELECT client_id, group_id FROM group_members WHERE client_id IN {list} ORDER BY group_id"
        );
        for row in tx.all(&sql, args).await? {
            groups.entry(row.int("client_id")?).or_default().push(GroupId(row.int("group_id")?));
        }
        for (row, id) in chunk.iter().zip(ids) {
            clients.push(from_row(
                row,
                macs.remove(&id).unwrap_or_default(),
                groups.remove(&id).unwrap_or_default(),
            )?);
        }
    }
    Ok(clients)
}

/// Names of clients that were measured, the first `limit` of them.
pub async fn with_facts(tx: &mut Tx, limit: i64) -> Result<Vec<String>, Error> {
    let sql =
        "SELECT name FROM clients WHERE facts IS NOT NULL AND stage <> 'retired' ORDER BY name LIMIT $1";
    tx.all(sql, args![limit]).await?.iter().map(|row| row.text("name")).collect()
}

/// Clients whose agent has told which machines they host, the first `limit` of them by name. Reads the facts of all.
pub async fn with_machines(tx: &mut Tx, limit: i64) -> Result<Vec<Client>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM clients WHERE facts LIKE '%\"vm_host\":{{%' AND stage <> 'retired' ORDER BY name LIMIT $1"
    );
    let rows = tx.all(&sql, args![limit]).await?;
    completed(tx, &rows).await
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
        Some(row) => Ok(completed(tx, std::slice::from_ref(&row)).await?.pop()),
        None => Ok(None),
    }
}

fn from_row(row: &Row, macs: Vec<Mac>, groups: Vec<GroupId>) -> Result<Client, Error> {
    let key = |column| row.opt_text(column)?.map(|_| row.parsed::<Sha256>(column)).transpose();
    Ok(Client {
        id: ClientId(row.int("id")?),
        name: row.text("name")?,
        stage: row.parsed("stage")?,
        config: row.json("config")?,
        macs,
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
            "UPDATE clients SET name = $1, stage = $2, config = $3, distribution = $4, version = version + 1 \
             WHERE id = $5 AND version = $6",
            args![
                &client.name,
                client.stage.as_str(),
                to_json(&client.config)?,
                &client.config.distribution,
                client.id,
                client.version
            ],
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
    super::reports::note_changes(tx, id, facts, now).await?;
    let sql = "UPDATE clients SET facts = $1, facts_at = $2, version = version + 1 WHERE id = $3";
    tx.execute(sql, args![to_json(facts)?, now, id]).await?;
    traits::set(tx, id, facts).await
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
    let sql = "UPDATE clients SET alarm = $1, alarmed = $2, version = version + 1 WHERE id = $3";
    tx.execute(sql, args![alarm, alarm.is_some(), id]).await?;
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
        "UPDATE clients SET boot_id = $1, realm = $2, agent_version = $3, agent_key = $4, last_seen_at = $5 WHERE id = $6",
        args![boot_id, super::jobs::realm_word(Some(realm)), agent_version, version::key(agent_version), now, id],
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

/// Forgets a secret of a client.
pub async fn forget_secret(tx: &mut Tx, id: ClientId, reference: &str) -> Result<(), Error> {
    let sql = "DELETE FROM secrets WHERE client_id = $1 AND reference = $2";
    tx.execute(sql, args![id, reference]).await?;
    Ok(())
}

/// A secret of a client.
pub async fn find_secret(tx: &mut Tx, id: ClientId, reference: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT value FROM secrets WHERE client_id = $1 AND reference = $2";
    tx.optional(sql, args![id, reference]).await?.map(|row| row.text("value")).transpose()
}
