//! Selections of packages, their revisions, the groups that have them, and the clients that have them by these groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{ClientId, GroupId, JobId};

use super::{Error, Row, Tx, args, to_json};
use crate::domain::selection::{Contents, Wanted};

/// A selection as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Selection {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Grows with every change.
    pub revision: i64,
    /// What it holds.
    pub contents: Contents,
    /// Names of the groups whose members have it.
    pub groups: Vec<String>,
}

/// One state of a selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SelectionRevision)]
pub struct Revision {
    /// Its number.
    pub revision: i64,
    /// What the selection held.
    pub contents: Contents,
    /// Since when.
    pub at: i64,
    /// Who made it so.
    pub by: String,
}

const SELECT: &str = "SELECT s.id, s.name, s.revision, r.contents FROM selections s \
                      JOIN selection_revisions r ON r.selection_id = s.id AND r.revision = s.revision";

async fn with_groups(tx: &mut Tx, row: &Row) -> Result<Selection, Error> {
    let id = row.int("id")?;
    let sql = "SELECT g.name FROM selection_groups s JOIN client_groups g ON g.id = s.group_id \
               WHERE s.selection_id = $1 ORDER BY g.name";
    let groups = tx.all(sql, args![id]).await?;
    Ok(Selection {
        id,
        name: row.text("name")?,
        revision: row.int("revision")?,
        contents: row.json("contents")?,
        groups: groups.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?,
    })
}

/// All selections, in the order in which a client gets them.
pub async fn list(tx: &mut Tx) -> Result<Vec<Selection>, Error> {
    let rows = tx.all(&format!("{SELECT} ORDER BY s.place, s.name"), []).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        all.push(with_groups(tx, row).await?);
    }
    Ok(all)
}

/// A selection by its name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Selection>, Error> {
    match tx.optional(&format!("{SELECT} WHERE s.name = $1"), args![name]).await? {
        Some(row) => with_groups(tx, &row).await.map(Some),
        None => Ok(None),
    }
}

/// Names that begin so, for completion.
pub async fn names(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let rows = tx.all("SELECT name FROM selections ORDER BY name", []).await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// What a selection was after each change, the newest first.
pub async fn revisions(tx: &mut Tx, id: i64) -> Result<Vec<Revision>, Error> {
    let sql = "SELECT revision, contents, at, by_whom FROM selection_revisions WHERE selection_id = $1 ORDER BY revision DESC";
    let rows = tx.all(sql, args![id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Revision {
                revision: row.int("revision")?,
                contents: row.json("contents")?,
                at: row.int("at")?,
                by: row.text("by_whom")?,
            })
        })
        .collect()
}

/// What a selection was in a revision.
pub async fn contents(tx: &mut Tx, id: i64, revision: i64) -> Result<Option<Contents>, Error> {
    let sql = "SELECT contents FROM selection_revisions WHERE selection_id = $1 AND revision = $2";
    tx.optional(sql, args![id, revision]).await?.map(|row| row.json("contents")).transpose()
}

/// Makes a selection in its first revision.
pub async fn create(tx: &mut Tx, name: &str, contents: &Contents, by: &str, now: i64) -> Result<i64, Error> {
    let sql =
        "INSERT INTO selections (name, revision, place, created_at) VALUES ($1, 0, $2, $3) RETURNING id";
    let id = tx.insert(sql, args![name, contents.order, now]).await?;
    revise(tx, id, contents, by, now).await?;
    Ok(id)
}

/// Gives a selection its next revision.
pub async fn revise(tx: &mut Tx, id: i64, contents: &Contents, by: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE selections SET revision = revision + 1, place = $2 WHERE id = $1";
    tx.execute(sql, args![id, contents.order]).await?;
    tx.execute(
        "INSERT INTO selection_revisions (selection_id, revision, contents, at, by_whom) \
         SELECT id, revision, $2, $3, $4 FROM selections WHERE id = $1",
        args![id, to_json(contents)?, now, by],
    )
    .await?;
    tx.execute("DELETE FROM selection_packages WHERE selection_id = $1", args![id]).await?;
    for (removal, names) in [(false, &contents.install), (true, &contents.remove)] {
        for name in names {
            let wanted = Wanted::parse(name);
            tx.execute(
                "INSERT INTO selection_packages (selection_id, removal, name, architecture, version) \
                 VALUES ($1, $2, $3, $4, $5)",
                args![id, removal, &wanted.name, &wanted.architecture, &wanted.version],
            )
            .await?;
        }
    }
    Ok(())
}

/// Removes a selection; what is installed stays.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM selections WHERE id = $1", args![id]).await.map(drop)
}

/// Gives a selection to a group, or takes it away; being so already is fine.
pub async fn set_group(tx: &mut Tx, id: i64, group: GroupId, has: bool) -> Result<(), Error> {
    let sql = if has {
        "INSERT INTO selection_groups (selection_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM selection_groups WHERE selection_id = $1 AND group_id = $2"
    };
    tx.execute(sql, args![id, group]).await.map(drop)
}

/// Whether a group has any selection.
pub async fn has_any(tx: &mut Tx, group: GroupId) -> Result<bool, Error> {
    let sql = "SELECT group_id FROM selection_groups WHERE group_id = $1 LIMIT 1";
    Ok(tx.optional(sql, args![group]).await?.is_some())
}

/// A client that has a selection by its groups, and the job that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The client.
    pub client: ClientId,
    /// The job; absent: none was queued yet.
    pub job: Option<JobId>,
}

/// The clients that have a selection.
pub async fn holders(tx: &mut Tx, id: i64) -> Result<Vec<Holder>, Error> {
    let sql = "SELECT client_id, job_id FROM selection_clients WHERE selection_id = $1 ORDER BY client_id";
    let rows = tx.all(sql, args![id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Holder { client: ClientId(row.int("client_id")?), job: row.opt_int("job_id")?.map(JobId) })
        })
        .collect()
}

/// Notes that a client has a selection; having it already changes nothing.
pub async fn add_holder(tx: &mut Tx, id: i64, client: ClientId) -> Result<(), Error> {
    let sql =
        "INSERT INTO selection_clients (selection_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, args![id, client]).await.map(drop)
}

/// Notes that a client no longer has a selection; gives the job that brought it, if one was queued.
pub async fn remove_holder(tx: &mut Tx, id: i64, client: ClientId) -> Result<Option<JobId>, Error> {
    let sql = "DELETE FROM selection_clients WHERE selection_id = $1 AND client_id = $2 RETURNING job_id";
    match tx.optional(sql, args![id, client]).await? {
        Some(row) => Ok(row.opt_int("job_id")?.map(JobId)),
        None => Ok(None),
    }
}

/// The jobs that would bring a selection and that nobody has begun, by client.
pub async fn waiting(tx: &mut Tx, id: i64) -> Result<Vec<(ClientId, JobId)>, Error> {
    let sql = "SELECT h.client_id, h.job_id FROM selection_clients h JOIN jobs j ON j.id = h.job_id \
               WHERE h.selection_id = $1 AND j.state IN ('held', 'queued') ORDER BY h.client_id";
    let rows = tx.all(sql, args![id]).await?;
    rows.iter().map(|row| Ok((ClientId(row.int("client_id")?), JobId(row.int("job_id")?)))).collect()
}

/// Notes the job that brings a selection to a client.
pub async fn set_job(tx: &mut Tx, id: i64, client: ClientId, job: JobId) -> Result<(), Error> {
    let sql = "UPDATE selection_clients SET job_id = $3 WHERE selection_id = $1 AND client_id = $2";
    tx.execute(sql, args![id, client, job]).await.map(drop)
}

/// Installed clients that have a selection which no job has brought yet.
pub async fn due(tx: &mut Tx) -> Result<Vec<ClientId>, Error> {
    let sql = "SELECT DISTINCT s.client_id FROM selection_clients s JOIN clients c ON c.id = s.client_id \
               WHERE s.job_id IS NULL AND c.stage = 'installed' ORDER BY s.client_id";
    tx.all(sql, []).await?.iter().map(|row| row.int("client_id").map(ClientId)).collect()
}

/// The selections of a client in the order in which it gets them, each with the job that brought it.
pub async fn of_client(tx: &mut Tx, client: ClientId) -> Result<Vec<(Selection, Option<JobId>)>, Error> {
    let sql = format!(
        "SELECT x.*, h.job_id FROM ({SELECT}) AS x JOIN selection_clients h ON h.selection_id = x.id \
         JOIN selections o ON o.id = x.id WHERE h.client_id = $1 ORDER BY o.place, o.name"
    );
    let rows = tx.all(&sql, args![client]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        all.push((with_groups(tx, row).await?, row.opt_int("job_id")?.map(JobId)));
    }
    Ok(all)
}

/// How the clients of a selection stand to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SelectionCounts)]
pub struct Counts {
    /// How many have it.
    pub clients: i64,
    /// Of how many the packages are known.
    pub known: i64,
    /// How many differ from it.
    pub drifting: i64,
}

/// The packages of a row `w` of `selection_packages` that are on the client of a row `h` of `selection_clients`.
const THERE: &str = "SELECT 1 FROM client_packages i JOIN packages p ON p.id = i.package_id \
                     WHERE i.client_id = h.client_id AND p.name = w.name AND (w.architecture = '' OR p.architecture = w.architecture)";

/// Pairs of client and selection that differ, by [`crate::domain::selection::drift`]'s rules.
pub(super) fn drifting() -> String {
    format!(
        "SELECT h.client_id, h.selection_id FROM selection_clients h \
         JOIN inventories k ON k.client_id = h.client_id \
         JOIN selection_packages w ON w.selection_id = h.selection_id WHERE \
         (w.removal AND EXISTS ({THERE})) OR \
         (NOT w.removal AND NOT EXISTS ({THERE} AND (w.version = '' OR p.version = w.version))) OR \
         (NOT w.removal AND w.version = '' AND EXISTS ({THERE} AND i.held AND EXISTS \
          (SELECT 1 FROM client_updates u WHERE u.client_id = i.client_id AND u.package_id = i.package_id)))"
    )
}

/// How the clients of each selection stand to it, by the selection's number.
pub async fn counts(tx: &mut Tx) -> Result<BTreeMap<i64, Counts>, Error> {
    let mut counts: BTreeMap<i64, Counts> = BTreeMap::new();
    let sql = "SELECT h.selection_id, count(*) AS clients, count(k.client_id) AS known FROM selection_clients h \
               LEFT JOIN inventories k ON k.client_id = h.client_id GROUP BY h.selection_id";
    for row in tx.all(sql, []).await? {
        let found = counts.entry(row.int("selection_id")?).or_default();
        (found.clients, found.known) = (row.int("clients")?, row.int("known")?);
    }
    let sql = format!(
        "SELECT selection_id, count(DISTINCT client_id) AS drifting FROM ({}) AS d GROUP BY selection_id",
        drifting()
    );
    for row in tx.all(&sql, []).await? {
        counts.entry(row.int("selection_id")?).or_default().drifting = row.int("drifting")?;
    }
    Ok(counts)
}

/// The clients that differ from a selection, by name, at most so many.
pub async fn drifting_of(tx: &mut Tx, id: i64, limit: i64) -> Result<Vec<ClientId>, Error> {
    let sql = format!(
        "SELECT c.id FROM clients c WHERE c.id IN (SELECT d.client_id FROM ({}) AS d WHERE d.selection_id = $1) \
         ORDER BY c.name LIMIT $2",
        drifting()
    );
    tx.all(&sql, args![id, limit]).await?.iter().map(|row| row.int("id").map(ClientId)).collect()
}
