//! The journal: what was made for desktops, or may have been.

use super::super::{Error, Row, Tx, args};
use crate::domain::desktop::{DesktopPart, PartKind, PartState};

fn from_row(row: &Row) -> Result<DesktopPart, Error> {
    Ok(DesktopPart {
        id: row.int("id")?,
        desktop: row.int("desktop_id")?,
        trial: row.int("trial_id")?,
        provider_id: row.int("provider_id")?,
        kind: row.parsed("kind")?,
        state: row.parsed("state")?,
        tag: row.text("tag")?,
        remote: row.opt_text("remote")?,
        job: row.opt_text("job")?,
        address: row.opt_text("address")?,
        address_text: row.text("address_text")?,
        port: row.opt_int("port")?,
        guest_port: row.opt_int("guest_port")?,
        looks: row.int("looks")?,
        problem: row.text("problem")?,
        intended_at: row.int("intended_at")?,
        changed_at: row.int("changed_at")?,
    })
}

/// What is about to be asked for.
#[derive(Clone, Debug)]
pub struct Intended<'a> {
    /// For which desktop.
    pub desktop: i64,
    /// For which trial.
    pub trial: i64,
    /// At which provider.
    pub provider: i64,
    /// What.
    pub kind: PartKind,
    /// By what it is found there.
    pub tag: &'a str,
    /// The public address: its id, and as people write it.
    pub address: Option<(&'a str, &'a str)>,
    /// The port on the public address, and the machine's.
    pub ports: Option<(u16, u16)>,
}

/// Writes down what is about to be asked for.
///
/// # Errors
/// [`Error::Exists`] when another desktop has the port.
pub async fn intend(tx: &mut Tx, part: &Intended<'_>, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO desktop_parts (desktop_id, trial_id, provider_id, kind, state, tag, address, address_text, port, \
               guest_port, intended_at, changed_at) VALUES ($1, $2, $3, $4, 'intended', $5, $6, $7, $8, $9, $10, $10) RETURNING id";
    tx.insert(
        sql,
        args![
            part.desktop,
            part.trial,
            part.provider,
            part.kind.as_str(),
            part.tag,
            part.address.map(|(id, _)| id),
            part.address.map_or("", |(_, text)| text),
            part.ports.map(|(port, _)| i64::from(port)),
            part.ports.map(|(_, guest)| i64::from(guest)),
            now
        ],
    )
    .await
}

/// The journal of a desktop, in order.
pub async fn of(tx: &mut Tx, desktop: i64) -> Result<Vec<DesktopPart>, Error> {
    let sql = "SELECT * FROM desktop_parts WHERE desktop_id = $1 ORDER BY id";
    tx.all(sql, args![desktop]).await?.iter().map(from_row).collect()
}

/// Machines that were ever asked for at a provider, by these names.
pub async fn vms_by_tag(tx: &mut Tx, provider: i64, tag: &str) -> Result<Option<DesktopPart>, Error> {
    let sql = "SELECT * FROM desktop_parts WHERE kind = 'vm' AND tag = $1 AND provider_id = $2";
    tx.optional(sql, args![tag, provider]).await?.as_ref().map(from_row).transpose()
}

/// A line of the journal with its desktop.
#[derive(Clone, Debug)]
pub struct KnownPart {
    /// The line.
    pub part: DesktopPart,
    /// The desktop's name.
    pub desktop: String,
    /// Its machine is there, and nobody changes anything about it.
    pub settled: bool,
}

/// Every line of the journal that is about a provider, also those that are gone.
pub async fn all_at(tx: &mut Tx, provider: i64) -> Result<Vec<KnownPart>, Error> {
    let sql = "SELECT p.*, d.name AS desktop, d.state AS desktop_state FROM desktop_parts p JOIN desktops d ON d.id = p.desktop_id \
               WHERE p.provider_id = $1 ORDER BY p.id";
    let rows = tx.all(sql, args![provider]).await?;
    let known = |row: &Row| {
        let settled = row.text("desktop_state")? == "ready";
        Ok(KnownPart { part: from_row(row)?, desktop: row.text("desktop")?, settled })
    };
    rows.iter().map(known).collect()
}

/// Machines of desktops that are ready, at a provider.
pub async fn vms_there(tx: &mut Tx, provider: i64) -> Result<Vec<DesktopPart>, Error> {
    let sql = "SELECT p.* FROM desktop_parts p JOIN desktops d ON d.id = p.desktop_id \
               WHERE p.provider_id = $1 AND p.kind = 'vm' AND p.state = 'made' AND d.state = 'ready' ORDER BY p.id";
    tx.all(sql, args![provider]).await?.iter().map(from_row).collect()
}

/// Ports of an address that desktops have.
pub async fn ports(tx: &mut Tx, provider: i64, address: &str) -> Result<Vec<i64>, Error> {
    let sql = "SELECT port FROM desktop_parts WHERE provider_id = $1 AND address = $2 AND kind = 'forwarding' AND state <> 'gone'";
    tx.all(sql, args![provider, address]).await?.iter().map(|row| row.int("port")).collect()
}

/// Addresses that were got for desktops and are not gone: their ids there, and where each is in its life.
pub async fn addresses(tx: &mut Tx, provider: i64) -> Result<Vec<(Option<String>, PartState)>, Error> {
    let sql = "SELECT remote, state FROM desktop_parts WHERE provider_id = $1 AND kind = 'address' AND state <> 'gone'";
    let rows = tx.all(sql, args![provider]).await?;
    rows.iter().map(|row| Ok((row.opt_text("remote")?, row.parsed("state")?))).collect()
}

/// Another desktop, and its trial, that has a port of an address.
pub async fn other_user(
    tx: &mut Tx,
    provider: i64,
    address: &str,
    desktop: i64,
) -> Result<Option<(i64, i64)>, Error> {
    let sql = "SELECT desktop_id, trial_id FROM desktop_parts WHERE provider_id = $1 AND address = $2 AND kind = 'forwarding' \
               AND state <> 'gone' AND desktop_id <> $3 ORDER BY id LIMIT 1";
    let row = tx.optional(sql, args![provider, address, desktop]).await?;
    row.map(|row| Ok((row.int("desktop_id")?, row.int("trial_id")?))).transpose()
}

/// Hands a part over to another desktop, which needs it.
pub async fn hand_over(tx: &mut Tx, id: i64, (desktop, trial): (i64, i64)) -> Result<(), Error> {
    let sql = "UPDATE desktop_parts SET desktop_id = $1, trial_id = $2 WHERE id = $3";
    tx.execute(sql, args![desktop, trial, id]).await?;
    Ok(())
}

/// Moves a part to a state, with what is known of it there.
pub async fn set_state(
    tx: &mut Tx,
    id: i64,
    state: PartState,
    remote: Option<&str>,
    job: Option<&str>,
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE desktop_parts SET changed_at = $4, state = $1, remote = coalesce($2, remote), job = $3, looks = 0, problem = '' \
               WHERE id = $5";
    tx.execute(sql, args![state.as_str(), remote, job, now, id]).await?;
    Ok(())
}

/// Notes that a part was looked for in vain.
pub async fn looked(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("UPDATE desktop_parts SET looks = looks + 1 WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Notes why a part is not made or not removed yet.
pub async fn set_problem(tx: &mut Tx, id: i64, problem: &str) -> Result<(), Error> {
    tx.execute("UPDATE desktop_parts SET problem = $1 WHERE id = $2", args![problem, id]).await?;
    Ok(())
}

/// Keeps under which id and text an address is known.
pub async fn set_address(tx: &mut Tx, id: i64, address: &str, text: &str) -> Result<(), Error> {
    let sql = "UPDATE desktop_parts SET address = $1, address_text = $2 WHERE id = $3";
    tx.execute(sql, args![address, text, id]).await?;
    Ok(())
}
