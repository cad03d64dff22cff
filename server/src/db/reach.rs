//! Whose roles go how far: the rows behind [`Rights`] and [`Reach`], and what lists leave out.

use wire::{ClientId, GroupId, Mac};

use super::{Error, Row, Tx, args};
use crate::domain::{
    people::{GroupRole, Rights},
    reach::{Reach, Sees},
};

/// Who has the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An account, by its number.
    Account(i64),
    /// A token, by its number.
    Token(i64),
}

impl Holder {
    fn id(self) -> i64 {
        match self {
            Self::Account(id) | Self::Token(id) => id,
        }
    }

    fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Account(_) => ("account_groups", "user_id"),
            Self::Token(_) => ("token_groups", "token_id"),
        }
    }
}

/// The role for everything, of a row with `role` and `everywhere`.
pub(super) fn everywhere(row: &Row) -> Result<Option<crate::domain::people::Role>, Error> {
    Ok(if row.bool("everywhere")? { Some(row.parsed("role")?) } else { None })
}

/// Roles for groups, by the groups' names.
pub(super) async fn groups(tx: &mut Tx, holder: Holder) -> Result<Vec<GroupRole>, Error> {
    let (table, column) = holder.table();
    let sql = format!(
        "SELECT g.name, r.role FROM {table} r JOIN client_groups g ON g.id = r.group_id WHERE r.{column} = $1 ORDER BY g.name"
    );
    let rows = tx.all(&sql, args![holder.id()]).await?;
    rows.iter().map(|row| Ok(GroupRole { group: row.text("name")?, role: row.parsed("role")? })).collect()
}

/// How far the roles go; `row` has `role` and `everywhere`.
pub(super) async fn of_row(tx: &mut Tx, holder: Holder, row: &Row) -> Result<Reach, Error> {
    let (table, column) = holder.table();
    let sql = format!("SELECT group_id, role FROM {table} WHERE {column} = $1");
    let rows = tx.all(&sql, args![holder.id()]).await?;
    let groups = rows
        .iter()
        .map(|row| Ok((GroupId(row.int("group_id")?), row.parsed("role")?)))
        .collect::<Result<_, Error>>()?;
    Ok(Reach { everywhere: everywhere(row)?, groups, read_only: false })
}

/// Gives roles for groups in place of those that were there.
///
/// Groups that do not exist are left out; whoever asks has looked for them.
pub async fn set_groups(tx: &mut Tx, holder: Holder, rights: &Rights) -> Result<(), Error> {
    let (table, column) = holder.table();
    tx.execute(&format!("DELETE FROM {table} WHERE {column} = $1"), args![holder.id()]).await?;
    let sql = format!(
        "INSERT INTO {table} ({column}, group_id, role) SELECT $1, id, $3 FROM client_groups WHERE name = $2"
    );
    for wanted in &rights.groups {
        tx.execute(&sql, args![holder.id(), &wanted.group, wanted.role.as_str()]).await?;
    }
    Ok(())
}

/// A condition for `WHERE`: that the client in `column` is seen. It holds numbers of groups only, nothing that anybody typed.
pub(super) fn seen(sees: &Sees, column: &str) -> String {
    match sees {
        Sees::Everything => "TRUE".to_owned(),
        Sees::Groups(groups) if groups.is_empty() => "FALSE".to_owned(),
        Sees::Groups(groups) => {
            let numbers: Vec<_> = groups.iter().map(ToString::to_string).collect();
            format!(
                "{column} IN (SELECT client_id FROM group_members WHERE group_id IN ({}))",
                numbers.join(", ")
            )
        }
    }
}

/// Number and groups of a client, by name.
pub async fn client_by_name(tx: &mut Tx, name: &str) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    with_groups(tx, "SELECT id FROM clients WHERE name = $1", args![name]).await
}

/// Number and groups of a client, by number.
pub async fn client(tx: &mut Tx, id: ClientId) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    with_groups(tx, "SELECT id FROM clients WHERE id = $1", args![id]).await
}

/// Number and groups of the client of a job.
pub async fn client_of_job(tx: &mut Tx, job: i64) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    with_groups(tx, "SELECT client_id AS id FROM jobs WHERE id = $1", args![job]).await
}

/// Number and groups of the client of an attempt.
pub async fn client_of_attempt(tx: &mut Tx, attempt: i64) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    with_groups(tx, "SELECT client_id AS id FROM attempts WHERE id = $1", args![attempt]).await
}

/// Number and groups of the client that has a hardware address.
pub async fn client_by_mac(tx: &mut Tx, mac: Mac) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    with_groups(tx, "SELECT client_id AS id FROM client_macs WHERE mac = $1", args![mac]).await
}

async fn with_groups(
    tx: &mut Tx,
    sql: &str,
    args: impl IntoIterator<Item = super::Arg>,
) -> Result<Option<(ClientId, Vec<GroupId>)>, Error> {
    let Some(row) = tx.optional(sql, args).await? else { return Ok(None) };
    let id = ClientId(row.int("id")?);
    Ok(Some((id, super::groups::of_client(tx, id).await?)))
}
