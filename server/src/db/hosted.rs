//! Machines that clients host: which of them this server has ordered, and on which host a client's machine is.

use wire::{ClientId, Mac, vm::HostedMachine};

use super::{Error, Row, Tx, args};

/// A machine on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineOnHost {
    /// The client that hosts it.
    pub host: ClientId,
    /// Its name.
    pub host_name: String,
    /// The machine's name there.
    pub machine: String,
}

/// Keeps which machines a host has told of, as far as its jobs have made them.
pub async fn follow(tx: &mut Tx, host: ClientId, told: &[HostedMachine], now: i64) -> Result<(), Error> {
    let ours = |name: &str| told.iter().any(|machine| machine.ours && machine.name == name);
    let rows = tx.all("SELECT name FROM hosted_machines WHERE host_id = $1", args![host]).await?;
    let known = rows.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
    for gone in known.iter().filter(|name| !ours(name)) {
        tx.execute("DELETE FROM hosted_machines WHERE host_id = $1 AND name = $2", args![host, gone]).await?;
    }
    let new = |machine: &&HostedMachine| machine.ours && !known.contains(&machine.name);
    if !told.iter().any(|machine| new(&machine)) {
        return Ok(());
    }
    let ordered = ordered(tx, host).await?;
    for machine in told.iter().filter(new) {
        let Some((_, mac)) = ordered.iter().find(|(name, _)| *name == machine.name) else { continue };
        let sql = "INSERT INTO hosted_machines (host_id, name, mac, told_at) VALUES ($1, $2, $3, $4)";
        tx.execute(sql, args![host, &machine.name, mac.map(|mac| mac.to_string()), now]).await?;
    }
    Ok(())
}

/// Machines that jobs of a host have made or make, newest first.
async fn ordered(tx: &mut Tx, host: ClientId) -> Result<Vec<(String, Option<Mac>)>, Error> {
    let sql = "SELECT params FROM jobs WHERE client_id = $1 AND job_type = 'vm-create' AND state IN ('running', 'succeeded') \
               ORDER BY id DESC";
    let rows = tx.all(sql, args![host]).await?;
    let machine = |row: &Row| {
        let params: serde_json::Value = row.json("params")?;
        let mac = params["mac"].as_str().and_then(|mac| mac.parse().ok());
        Ok(params["name"].as_str().map(|name| (name.to_owned(), mac)))
    };
    rows.iter().filter_map(|row| machine(row).transpose()).collect()
}

/// Whether a host has told of a machine that this server has ordered.
pub async fn is_there(tx: &mut Tx, host: ClientId, machine: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 AS there FROM hosted_machines WHERE host_id = $1 AND name = $2";
    Ok(tx.optional(sql, args![host, machine]).await?.is_some())
}

/// The machine that has an address of a client; the one that was told of last.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Option<MachineOnHost>, Error> {
    let sql = "SELECT h.host_id, c.name AS host_name, h.name FROM client_macs m JOIN hosted_machines h ON h.mac = m.mac \
               JOIN clients c ON c.id = h.host_id WHERE m.client_id = $1 ORDER BY h.told_at DESC LIMIT 1";
    let found = tx.optional(sql, args![client]).await?;
    let machine = |row: Row| {
        Ok(MachineOnHost {
            host: ClientId(row.int("host_id")?),
            host_name: row.text("host_name")?,
            machine: row.text("name")?,
        })
    };
    found.map(machine).transpose()
}
