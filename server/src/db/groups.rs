//! Groups of clients.

use wire::{ClientId, GroupId};

use super::{Error, Tx, args};

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How many clients belong to it.
    pub members: i64,
}

/// Makes a group.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(tx: &mut Tx, name: &str, description: &str, now: i64) -> Result<GroupId, Error> {
    let sql = "INSERT INTO client_groups (name, description, created_at) VALUES ($1, $2, $3) RETURNING id";
    tx.insert(sql, args![name, description, now]).await.map(GroupId)
}

/// All groups by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Group>, Error> {
    let sql = "SELECT id, name, description, (SELECT count(*) FROM group_members m WHERE m.group_id = g.id) AS members \
               FROM client_groups g ORDER BY name";
    tx.all(sql, [])
        .await?
        .iter()
        .map(|row| {
            Ok(Group {
                id: GroupId(row.int("id")?),
                name: row.text("name")?,
                description: row.text("description")?,
                members: row.int("members")?,
            })
        })
        .collect()
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

/// Puts a client into a group; being there already is fine.
pub async fn add_member(tx: &mut Tx, group: GroupId, client: ClientId) -> Result<(), Error> {
    let sql = "INSERT INTO group_members (group_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, args![group, client]).await?;
    Ok(())
}

/// Takes a client out of a group; not being there is fine.
pub async fn remove_member(tx: &mut Tx, group: GroupId, client: ClientId) -> Result<(), Error> {
    tx.execute("DELETE FROM group_members WHERE group_id = $1 AND client_id = $2", args![group, client])
        .await?;
    Ok(())
}

/// Removes a group; its clients stay.
pub async fn delete(tx: &mut Tx, group: GroupId) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM client_groups WHERE id = $1", args![group]).await? == 1)
}
