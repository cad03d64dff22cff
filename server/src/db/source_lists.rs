//! Source lists that admins made, and who gets which list.

use wire::{ClientId, GroupId};

use super::{Error, Row, Tx, args, to_json};
use crate::domain::source_list::ListWish;

/// A list as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// What is wanted.
    pub wish: ListWish,
    /// When it was last changed.
    pub changed_at: i64,
    /// By whom.
    pub changed_by: String,
}

fn from_row(row: &Row) -> Result<Kept, Error> {
    Ok(Kept {
        name: row.text("name")?,
        wish: row.json("wish")?,
        changed_at: row.int("changed_at")?,
        changed_by: row.text("changed_by")?,
    })
}

const COLUMNS: &str = "name, wish, changed_at, changed_by";

/// All lists by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Kept>, Error> {
    let rows = tx.all(&format!("SELECT {COLUMNS} FROM source_lists ORDER BY name"), []).await?;
    rows.iter().map(from_row).collect()
}

/// A list by its name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Kept>, Error> {
    let row =
        tx.optional(&format!("SELECT {COLUMNS} FROM source_lists WHERE name = $1"), args![name]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Keeps a list, replacing one of the name.
pub async fn set(tx: &mut Tx, name: &str, wish: &ListWish, actor: &str, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO source_lists (name, wish, changed_at, changed_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET wish = excluded.wish, changed_at = excluded.changed_at, \
               changed_by = excluded.changed_by";
    tx.execute(sql, args![name, to_json(wish)?, now, actor]).await.map(drop)
}

/// Removes a list.
pub async fn delete(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM source_lists WHERE name = $1", args![name]).await? == 1)
}

/// Takes a list from everybody who has it.
pub async fn release(tx: &mut Tx, name: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM source_list_groups WHERE list = $1", args![name]).await?;
    tx.execute("DELETE FROM source_list_clients WHERE list = $1", args![name]).await.map(drop)
}

/// Names of the groups and clients that have a list.
pub async fn users(tx: &mut Tx, name: &str) -> Result<(Vec<String>, Vec<String>), Error> {
    let sql = "SELECT g.name FROM source_list_groups s JOIN client_groups g ON g.id = s.group_id WHERE s.list = $1 ORDER BY g.name";
    let groups =
        tx.all(sql, args![name]).await?.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?;
    let sql = "SELECT c.name FROM source_list_clients s JOIN clients c ON c.id = s.client_id WHERE s.list = $1 ORDER BY c.name";
    let clients =
        tx.all(sql, args![name]).await?.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?;
    Ok((groups, clients))
}

/// Gives a list to a group or takes it away.
pub async fn set_group(tx: &mut Tx, name: &str, group: GroupId, given: bool) -> Result<(), Error> {
    let sql = if given {
        "INSERT INTO source_list_groups (list, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM source_list_groups WHERE list = $1 AND group_id = $2"
    };
    tx.execute(sql, args![name, group]).await.map(drop)
}

/// Gives a list to a client or takes it away.
pub async fn set_client(tx: &mut Tx, name: &str, client: ClientId, given: bool) -> Result<(), Error> {
    let sql = if given {
        "INSERT INTO source_list_clients (list, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM source_list_clients WHERE list = $1 AND client_id = $2"
    };
    tx.execute(sql, args![name, client]).await.map(drop)
}

/// Every list that is given to groups, with the group.
pub async fn given_to_groups(tx: &mut Tx) -> Result<Vec<(String, GroupId)>, Error> {
    let rows = tx.all("SELECT list, group_id FROM source_list_groups ORDER BY list", []).await?;
    rows.iter().map(|row| Ok((row.text("list")?, GroupId(row.int("group_id")?)))).collect()
}

/// The lists that are given to a client itself.
pub async fn given_to_client(tx: &mut Tx, client: ClientId) -> Result<Vec<String>, Error> {
    let sql = "SELECT list FROM source_list_clients WHERE client_id = $1 ORDER BY list";
    tx.all(sql, args![client]).await?.iter().map(|row| row.text("list")).collect()
}
