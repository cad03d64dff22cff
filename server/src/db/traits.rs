//! What people search clients by, taken out of facts and configuration whenever those are written.
//!
//! Invariant: the columns of a client are those of its facts; rows that an older program wrote are filled again at start.

use std::{collections::BTreeSet, net::IpAddr};

use wire::{ClientId, enrol::Realm, facts::Facts};

use super::{Db, Error, Tx, args};
use crate::domain::client::ClientConfig;

/// Grows when other columns are taken, or in another way.
pub(super) const VERSION: i64 = 2;
/// Longest text of a column, in characters: machines say what they want, and an index has little room.
const LONGEST: usize = 120;
/// Rows that are filled in one transaction.
const CHUNK: i64 = 500;
/// Most addresses that are kept of one machine.
const ADDRESSES: usize = 64;

fn short(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The running system as it is searched; the installer's own system is none.
fn system(facts: &Facts) -> String {
    match facts.realm {
        Realm::System if !facts.os.id.is_empty() => {
            let version = if facts.os.version.is_empty() { "" } else { "-" };
            short(&format!("{}{version}{}", facts.os.id, facts.os.version).to_lowercase())
        }
        Realm::System | Realm::Installer | Realm::Unknown => String::new(),
    }
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The key of an address: 32 hexadecimal digits in which networks are ranges; IPv4 as in RFC 4291, 2.5.5.2.
pub(super) fn address_key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Writes the columns of a client's facts.
pub(super) async fn set(tx: &mut Tx, id: ClientId, facts: &Facts) -> Result<(), Error> {
    let model = short(&format!("{} {}", facts.dmi.vendor.trim(), facts.dmi.product.trim()));
    let largest = facts.disks.iter().map(|disk| disk.size_bytes).max().unwrap_or(0);
    tx.execute(
        "UPDATE clients SET os = $1, model = $2, model_key = $3, serial = $4, memory_bytes = $5, disk_bytes = $6, \
         threads = $7, traits = $8, reboot_needed = CASE WHEN EXISTS (SELECT 1 FROM inventories i WHERE i.client_id = clients.id) \
         THEN reboot_needed ELSE $9 END WHERE id = $10",
        args![
            system(facts),
            &model,
            model.to_lowercase(),
            short(&facts.dmi.serial),
            stored(facts.memory_bytes),
            stored(largest),
            i64::from(facts.cpu.threads),
            VERSION,
            // What is told with the packages knows more, and is told when it changes.
            !facts.os.reboot_wanted.is_empty(),
            id
        ],
    )
    .await?;
    let texts = facts.nics.iter().flat_map(|nic| &nic.addresses);
    let addresses: BTreeSet<IpAddr> = texts
        .filter_map(|text| text.split('/').next()?.parse().ok())
        .filter(|address: &IpAddr| !address.is_loopback())
        .take(ADDRESSES)
        .collect();
    let known = tx.all("SELECT address FROM client_addresses WHERE client_id = $1", args![id]).await?;
    let known: BTreeSet<IpAddr> = known.iter().map(|row| row.parsed("address")).collect::<Result<_, _>>()?;
    for gone in known.difference(&addresses) {
        let sql = "DELETE FROM client_addresses WHERE client_id = $1 AND address = $2";
        tx.execute(sql, args![id, gone.to_string()]).await?;
    }
    for new in addresses.difference(&known) {
        let sql = "INSERT INTO client_addresses (client_id, address, address_key) VALUES ($1, $2, $3)";
        tx.execute(sql, args![id, new.to_string(), format!("{:032x}", address_key(*new))]).await?;
    }
    Ok(())
}

/// Fills the columns of clients that an older program wrote.
pub(super) async fn fill(db: &Db) -> Result<(), Error> {
    loop {
        let mut tx = db.write().await?;
        let sql = "SELECT id, config, facts FROM clients WHERE traits < $1 ORDER BY id LIMIT $2";
        let rows = tx.all(sql, args![VERSION, CHUNK]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let id = ClientId(row.int("id")?);
            let config: ClientConfig = row.json("config")?;
            let sql = "UPDATE clients SET distribution = $1, traits = $2 WHERE id = $3";
            tx.execute(sql, args![config.distribution, VERSION, id]).await?;
            if row.opt_text("facts")?.is_some() {
                set(&mut tx, id, &row.json("facts")?).await?;
            }
        }
        tx.commit().await?;
    }
}
