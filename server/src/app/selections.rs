//! Selections of packages: made, changed, given to groups, compared with what clients have, and applied.
//!
//! Invariant: a client that has a selection by a group is given the job for it once. Who leaves a group keeps what is installed, and is not
//! given what nobody has begun.

mod following;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{ClientId, JobId};

use super::{
    Error, clients as client_cases,
    jobs::{self, JobOrder},
};
use crate::{
    context::Ctx,
    db::{self, Tx, audit, clients, events, groups, packages, selections as rows},
    domain::{
        client::{Client, is_name},
        selection::{self, Contents, Drift, File},
    },
};

pub use self::following::follow;
pub(super) use self::following::{after_installation, has_any};
pub use crate::db::selections::{Counts, Revision, Selection};

/// The job script that applies a selection.
pub const JOB_TYPE: &str = "package-selection";
/// Clients that differ, on one list.
const MOST_SHOWN: i64 = 200;

/// A selection with how its clients stand to it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SelectionRecord {
    /// The selection.
    #[serde(flatten)]
    pub selection: Selection,
    /// How its clients stand to it.
    pub counts: Counts,
}

/// How a client stands to a selection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SelectionStanding)]
pub struct Standing {
    /// The selection.
    pub selection: String,
    /// Its newest revision.
    pub revision: i64,
    /// The client.
    pub client: String,
    /// The packages of the client are known; otherwise nobody knows how it differs.
    pub known: bool,
    /// In what the client differs.
    pub drift: Vec<Drift>,
    /// The job that brought the selection by a group; absent: none was queued.
    pub job: Option<JobId>,
}

/// All selections, in the order in which a client gets them.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<SelectionRecord>, Error> {
    let counts = rows::counts(tx).await?;
    let record = |selection: Selection| SelectionRecord {
        counts: counts.get(&selection.id).copied().unwrap_or_default(),
        selection,
    };
    Ok(rows::list(tx).await?.into_iter().map(record).collect())
}

/// A selection that must exist.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Selection, Error> {
    rows::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("selection {name}")))
}

/// A selection that must exist, with how its clients stand to it.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn record(tx: &mut Tx, name: &str) -> Result<SelectionRecord, Error> {
    let selection = get(tx, name).await?;
    let counts = rows::counts(tx).await?.get(&selection.id).copied().unwrap_or_default();
    Ok(SelectionRecord { selection, counts })
}

/// What a selection was after each change, the newest first.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn revisions(tx: &mut Tx, name: &str) -> Result<Vec<Revision>, Error> {
    let id = get(tx, name).await?.id;
    Ok(rows::revisions(tx, id).await?)
}

/// A selection as text of a file.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn file(tx: &mut Tx, name: &str) -> Result<String, Error> {
    let Selection { name, contents, .. } = get(tx, name).await?;
    serde_yaml::to_string(&File { name, contents }).map_err(|error| Error::Internal(error.into()))
}

/// Reads the text of a file.
///
/// # Errors
/// [`Error::Invalid`] with the line.
pub fn read_file(text: &str) -> Result<File, Error> {
    let wrong = |why: String| {
        Error::invalid(
            format!("this is no selection: {why}"),
            "it needs `name`, and `install` or `remove` with lists of packages, as an exported one has",
        )
    };
    let file: File = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // What is flattened into the file lets words pass that nobody knows.
    let fields: BTreeMap<String, serde_yaml::Value> =
        serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    match fields.keys().find(|field| !File::FIELDS.contains(&field.as_str())) {
        Some(unknown) => Err(wrong(format!("nobody knows the field `{unknown}`"))),
        None => Ok(file),
    }
}

/// Makes a selection, or gives it its next revision; with `expected` only when it still has that revision, 0 for one that must be
/// new. Being as wanted already changes nothing.
///
/// # Errors
/// The name or a package cannot be used, or [`Error::Conflict`] when somebody else has changed it.
pub async fn set(
    ctx: &Ctx,
    name: &str,
    contents: &Contents,
    expected: Option<i64>,
    actor: &str,
) -> Result<Selection, Error> {
    if !is_name(name) {
        return Err(Error::invalid(
            format!("`{name}` cannot be a selection's name"),
            "use small letters, digits and hyphens",
        ));
    }
    let problems = contents.problems();
    if !problems.is_empty() {
        return Err(Error::fields(format!("the selection {name} cannot be kept"), problems));
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let before = rows::find(&mut tx, name).await?;
    let revision = before.as_ref().map_or(0, |selection| selection.revision);
    if expected.is_some_and(|expected| expected != revision) {
        return Err(match revision {
            0 => Error::not_found(format!("selection {name}")),
            _ => Error::conflict(
                format!("the selection {name} has revision {revision} already"),
                "look at it, and change that one",
            ),
        });
    }
    let kind = match &before {
        Some(before) if before.contents == *contents => return Ok(before.clone()),
        Some(before) => {
            rows::revise(&mut tx, before.id, contents, actor, now).await?;
            "selection.changed"
        }
        None => {
            rows::create(&mut tx, name, contents, actor, now).await?;
            "selection.created"
        }
    };
    let action = if before.is_some() { "selection.change" } else { "selection.create" };
    let object = format!("selection {name}");
    let before = before.map(|before| before.contents);
    audit::note(&mut tx, action, &object, &before, contents).await?;
    events::add(&mut tx, kind, None, None, actor, name, now).await?;
    let selection = get(&mut tx, name).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(selection)
}

/// Removes a selection; what is installed stays, and what waits is cancelled.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let selection = get(&mut tx, name).await?;
    following::cancel_all(&mut tx, &selection, ctx.now()).await?;
    rows::delete(&mut tx, selection.id).await?;
    let before = json!({ "contents": selection.contents, "groups": selection.groups });
    audit::note(&mut tx, "selection.delete", &format!("selection {name}"), &before, &()).await?;
    events::add(&mut tx, "selection.deleted", None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Gives a selection to a group, so that its members get it once, or takes it away, which removes nothing.
///
/// # Errors
/// There is no such selection or group.
pub async fn set_group(ctx: &Ctx, name: &str, group: &str, has: bool, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let selection = get(&mut tx, name).await?;
    let id = groups::find(&mut tx, group).await?;
    let id = id.ok_or_else(|| Error::not_found(format!("group {group}")))?;
    rows::set_group(&mut tx, selection.id, id, has).await?;
    let state = |has: bool| json!({ "group": group, "has": has });
    let had = selection.groups.iter().any(|other| other == group);
    let action = if has { "selection.attach" } else { "selection.detach" };
    audit::note(&mut tx, action, &format!("selection {name}"), &state(had), &state(has)).await?;
    let kind = if has { "selection.attached" } else { "selection.detached" };
    events::add(&mut tx, kind, None, None, actor, &format!("{name} {group}"), ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    follow(ctx).await
}

/// How a client stands to the selections that it has by its groups.
///
/// # Errors
/// There is no such client.
pub async fn of_client(tx: &mut Tx, name: &str) -> Result<Vec<Standing>, Error> {
    let client = client_cases::get(tx, name).await?;
    let mut all = Vec::new();
    for (selection, job) in rows::of_client(tx, client.id).await? {
        all.push(standing(tx, &selection, &client, job).await?);
    }
    Ok(all)
}

/// The clients of a selection that differ from it, by name; the first ones when there are many.
///
/// # Errors
/// There is no such selection.
pub async fn drifting(tx: &mut Tx, name: &str) -> Result<Vec<Standing>, Error> {
    let selection = get(tx, name).await?;
    let ids = rows::drifting_of(tx, selection.id, MOST_SHOWN).await?;
    let mut all = Vec::with_capacity(ids.len());
    for client in clients::find_many(tx, &ids).await? {
        all.push(standing(tx, &selection, &client, None).await?);
    }
    Ok(all)
}

/// How any client stands to any selection.
///
/// # Errors
/// There is no such client or selection.
pub async fn compare(tx: &mut Tx, client: &str, name: &str) -> Result<Standing, Error> {
    let client = client_cases::get(tx, client).await?;
    let selection = get(tx, name).await?;
    Ok(standing(tx, &selection, &client, None).await?)
}

async fn standing(
    tx: &mut Tx,
    selection: &Selection,
    client: &Client,
    job: Option<JobId>,
) -> Result<Standing, db::Error> {
    let known = packages::inventory(tx, client.id).await?.is_some();
    let installed = if known { packages::installed(tx, client.id).await? } else { Vec::new() };
    let drift = if known { selection::drift(&selection.contents, &installed) } else { Vec::new() };
    Ok(Standing {
        selection: selection.name.clone(),
        revision: selection.revision,
        client: client.name.clone(),
        known,
        drift,
        job,
    })
}

/// Queues the job that brings a client to a selection.
///
/// # Errors
/// There is no such selection, or what stands against the job.
pub async fn apply(
    ctx: &Ctx,
    client: ClientId,
    name: &str,
    preview: bool,
    actor: &str,
) -> Result<JobId, Error> {
    let order = JobOrder { params: json!({ "selection": name, "preview": preview }), ..order(name) };
    jobs::create(ctx, client, &order, actor).await
}

/// The order that applies a selection.
pub fn order(name: &str) -> JobOrder {
    JobOrder { job_type: JOB_TYPE.to_owned(), params: json!({ "selection": name }), ..JobOrder::default() }
}

/// The parameters of a job of [`JOB_TYPE`] with what the selection holds: of the revision that they name, or of the newest.
///
/// # Errors
/// There is no such selection or revision.
pub(super) async fn filled(tx: &mut Tx, params: &Value) -> Result<Value, Error> {
    let name = params["selection"].as_str().unwrap_or_default();
    let selection = get(tx, name).await?;
    let (revision, contents) = match params["revision"].as_i64().unwrap_or(0) {
        0 => (selection.revision, selection.contents),
        wanted => {
            let found = rows::contents(tx, selection.id, wanted).await?;
            let missing = || Error::not_found(format!("revision {wanted} of selection {name}"));
            (wanted, found.ok_or_else(missing)?)
        }
    };
    let mut filled = params.clone();
    filled["revision"] = revision.into();
    filled["packages"] = json!(contents.install);
    filled["remove"] = json!(contents.remove);
    filled["purge"] = contents.purge.into();
    filled["answers"] = json!(contents.answers);
    Ok(filled)
}
