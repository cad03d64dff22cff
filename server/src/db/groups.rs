//! Groups of clients.

use std::collections::HashMap;

use wire::{ClientId, GroupId};

use super::{Error, Row, Tx, args};

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its members are found by this search; absent when they are named.
    pub query: Option<String>,
    /// How many clients belong to it.
    pub members: i64,
}

/// Makes a group whose members are named.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(tx: &mut Tx, name: &str, description: &str, now: i64) -> Result<GroupId, Error> {
    let sql = "INSERT INTO client_groups (name, description, created_at) VALUES ($1, $2, $3) RETURNING id";
    tx.insert(sql, args![name, description, now]).await.map(GroupId)
}

/// Changes what a group is for and how its members are found.
pub async fn update(tx: &mut Tx, id: GroupId, description: &str, query: Option<&str>) -> Result<(), Error> {
    let sql = "UPDATE client_groups SET description = $1, query = $2 WHERE id = $3";
    tx.execute(sql, args![description, query, id]).await?;
    Ok(())
}

const COLUMNS: &str =
    "id, name, description, query, (SELECT count(*) FROM group_members m WHERE m.group_id = g.id) AS members";

fn from_row(row: &Row) -> Result<Group, Error> {
    Ok(Group {
        id: GroupId(row.int("id")?),
        name: row.text("name")?,
        description: row.text("description")?,
        query: row.opt_text("query")?,
        members: row.int("members")?,
    })
}

/// All groups by name; members that are found by a search are not counted.
pub async fn list(tx: &mut Tx) -> Result<Vec<Group>, Error> {
    let rows = tx.all(&format!("SELECT {COLUMNS} FROM client_groups g ORDER BY name"), []).await?;
    rows.iter().map(from_row).collect()
}

/// A group by its name; members that are found by a search are not counted.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<Group>, Error> {
    let row =
        tx.optional(&format!("SELECT {COLUMNS} FROM client_groups g WHERE name = $1"), args![name]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Names and searches of the groups whose members are found.
pub async fn found(tx: &mut Tx) -> Result<Vec<(String, String)>, Error> {
    let rows =
        tx.all("SELECT name, query FROM client_groups WHERE query IS NOT NULL ORDER BY name", []).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.text("query")?))).collect()
}

/// Names of all groups, by number.
pub async fn names(tx: &mut Tx) -> Result<HashMap<GroupId, String>, Error> {
    let rows = tx.all("SELECT id, name FROM client_groups", []).await?;
    rows.iter().map(|row| Ok((GroupId(row.int("id")?), row.text("name")?))).collect()
}

/// A group's number by its name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<GroupId>, Error> {
    let row = tx.optional("SELECT id FROM client_groups WHERE name = $1", args![name]).await?;
    row.map(|row| row.int("id").map(GroupId)).transpose()
}

/// Groups of a client.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Vec<GroupId>, Error> {
    let sql = "SELECT group_id FROM group_members WHERE client_id = $1 ORDER BY group_id";
    tx.all(sql, args![client]).await?.iter().map(|row| row.int("group_id").map(GroupId)).collect()
}

/// Numbers of a group's named members.
pub async fn member_ids(tx: &mut Tx, group: GroupId) -> Result<Vec<ClientId>, Error> {
    let sql = "SELECT client_id FROM group_members WHERE group_id = $1 ORDER BY client_id";
    tx.all(sql, args![group]).await?.iter().map(|row| row.int("client_id").map(ClientId)).collect()
}

/// Puts a client into a group; being there already is fine.
pub async fn add_member(tx: &mut Tx, group: GroupId, client: ClientId) -> Result<(), Error> {
    let sql = "INSERT INTO group_members (group_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, args![group, client]).await?;
    set_key(tx, client).await
}

/// Keeps by what a list of clients is sorted that is sorted by groups: the first of the groups that a client is named in.
async fn set_key(tx: &mut Tx, client: ClientId) -> Result<(), Error> {
    let sql = "UPDATE clients SET group_key = coalesce((SELECT min(g.name) FROM client_groups g \
               JOIN group_members m ON m.group_id = g.id WHERE m.client_id = clients.id), '') WHERE id = $1";
    tx.execute(sql, args![client]).await.map(drop)
}

/// Takes a client out of a group; not being there is fine.
pub async fn remove_member(tx: &mut Tx, group: GroupId, client: ClientId) -> Result<(), Error> {
    tx.execute("DELETE FROM group_members WHERE group_id = $1 AND client_id = $2", args![group, client])
        .await?;
    set_key(tx, client).await
}

/// Removes a group; its clients stay.
pub async fn delete(tx: &mut Tx, group: GroupId) -> Result<bool, Error> {
    let sql = "UPDATE clients SET group_key = coalesce((SELECT min(g.name) FROM client_groups g \
               JOIN group_members m ON m.group_id = g.id WHERE m.client_id = clients.id AND g.id <> $1), '') \
               WHERE id IN (SELECT client_id FROM group_members WHERE group_id = $1)";
    tx.execute(sql, args![group]).await?;
    Ok(tx.execute("DELETE FROM client_groups WHERE id = $1", args![group]).await? == 1)
}
