//! One order for many clients: shown first, then carried out in the background, client by client.
//!
//! Invariant: a client of a batch is taken by one worker once. What the end of the server interrupts is shown as failed, never done twice.

use std::collections::BTreeMap;

use serde_json::json;
use wire::{ClientId, problem::FieldProblem};

use super::{
    Error,
    approvals::{self, Wish},
    clients, groups as group_cases, helpdesk, installation,
    jobs::{self, JobOrder},
    retirement,
    search::Search,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, audit, batches, events, groups},
    domain::{
        approval::Risk,
        batch::{Action, Skip, skip},
        people::Role,
    },
};

pub use crate::db::batches::{Batch, BatchLine};

/// Names that are shown of each kind.
const EXAMPLES: usize = 20;
/// Clients that are looked up at a time.
const CHUNK: i64 = 50;
/// Names that the audit keeps of an order; the batch has all of them.
const AUDITED: usize = 1000;
/// Nobody works longer on one client.
const LONGEST: i64 = 10 * 60 * SECOND;
/// Lines that are shown of a batch.
const LINES: i64 = 500;

/// An order for many clients.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchOrder {
    /// What is ordered.
    pub order: Action,
    /// For all clients that this search means, at the moment of ordering.
    #[serde(default, rename = "where")]
    pub query: Option<String>,
    /// For these clients.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Only show what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Carry it out only when it is for exactly so many clients. Orders that destroy need it.
    #[serde(default)]
    pub expected: Option<i64>,
}

/// What an order would do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Preview {
    /// For how many clients it makes sense.
    pub fitting: i64,
    /// The first of them.
    pub names: Vec<String>,
    /// Those for which it makes none, by reason.
    pub skipped: Vec<Skipped>,
    /// Whether it destroys something.
    pub destructive: bool,
}

/// Clients that are left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Skipped {
    /// Why.
    pub reason: Skip,
    /// How many.
    pub count: i64,
    /// The first of them.
    pub names: Vec<String>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Ordered {
    /// The number of the batch; absent when it was only shown.
    pub batch: Option<i64>,
    /// What it does.
    pub preview: Preview,
}

/// A batch with the clients for which nothing was ordered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct BatchView {
    /// The batch.
    #[serde(flatten)]
    pub batch: Batch,
    /// Those clients, failed ones first; at most 500.
    pub lines: Vec<BatchLine>,
}

type Chosen = Vec<(ClientId, Option<Skip>)>;

/// Who is meant, what would happen, and the names of all for whom it makes sense.
async fn look(ctx: &Ctx, tx: &mut Tx, order: &BatchOrder) -> Result<(Chosen, Preview, Vec<String>), Error> {
    let ids = match (&order.query, order.clients.as_slice()) {
        (Some(query), []) => Search::new(ctx, tx, query).await?.all(tx).await?,
        (None, [_, ..]) => {
            let mut ids = Vec::with_capacity(order.clients.len());
            for name in &order.clients {
                ids.push(clients::get(tx, name).await?.id);
            }
            ids.sort_unstable();
            ids.dedup();
            ids
        }
        _ => {
            return Err(Error::invalid(
                "the order does not say for which clients it is",
                "give either a search as `where`, or names as `clients`",
            ));
        }
    };
    let candidates = batches::candidates(tx, &ids, order.order.group()).await?;
    let (mut chosen, mut fitting) = (Vec::with_capacity(candidates.len()), Vec::new());
    let mut skipped: BTreeMap<Skip, Vec<String>> = BTreeMap::new();
    for mut candidate in candidates {
        candidate.last_seen_at =
            ctx.presence.seen(candidate.id).map(|seen| seen.at).max(candidate.last_seen_at);
        let reason = skip(&order.order, &candidate, ctx.now());
        chosen.push((candidate.id, reason));
        match reason {
            Some(reason) => skipped.entry(reason).or_default().push(candidate.name),
            None => fitting.push(candidate.name),
        }
    }
    let count = |names: &Vec<String>| i64::try_from(names.len()).unwrap_or(i64::MAX);
    let preview = Preview {
        fitting: count(&fitting),
        skipped: skipped
            .into_iter()
            .map(|(reason, mut names)| {
                let count = count(&names);
                names.truncate(EXAMPLES);
                Skipped { reason, count, names }
            })
            .collect(),
        names: fitting.iter().take(EXAMPLES).cloned().collect(),
        destructive: order.order.is_destructive(),
    };
    Ok((chosen, preview, fitting))
}

/// Checks what does not depend on the clients.
async fn check(ctx: &Ctx, tx: &mut Tx, action: &Action, role: Role) -> Result<(), Error> {
    if role < action.role() {
        let (have, needed) = (role.as_str(), action.role().as_str());
        return Err(Error::Forbidden(format!("this needs the role {needed}; you have {have}")));
    }
    let keys = match action {
        Action::Rescue { authorized_keys } => Some(("rescue", json!({ "authorized_keys": authorized_keys }))),
        other => other.job(),
    };
    if let Some((name, params)) = keys {
        let job_type =
            ctx.catalog.job_type(name).ok_or_else(|| Error::not_found(format!("job type {name}")))?;
        job_type.params.check(&params).map_err(|fields: Vec<FieldProblem>| {
            Error::fields(format!("the parameters of {name} are wrong"), fields)
        })?;
    }
    if let Some(name) = action.group() {
        group_cases::check_name(name)?;
        match (groups::get(tx, name).await?, action) {
            (Some(group), _) => drop(group_cases::check_named(&group)?.id),
            (None, Action::LeaveGroup { .. }) => return Err(Error::not_found(format!("group {name}"))),
            (None, _) => {}
        }
    }
    Ok(())
}

/// Shows what an order would do, or gives it.
///
/// # Errors
/// The order is wrong, is for nobody, or is for another number of clients than expected.
pub async fn order(ctx: &Ctx, order: &BatchOrder, actor: &str, role: Role) -> Result<Ordered, Error> {
    if order.dry_run {
        let mut tx = ctx.db.read().await?;
        check(ctx, &mut tx, &order.order, role).await?;
        let (_, preview, _) = look(ctx, &mut tx, order).await?;
        return Ok(Ordered { batch: None, preview });
    }
    let mut tx = ctx.db.write().await?;
    check(ctx, &mut tx, &order.order, role).await?;
    let (chosen, preview, names) = look(ctx, &mut tx, order).await?;
    if preview.fitting == 0 {
        return Err(Error::conflict(
            format!(
                "the order {} makes sense for none of these {} clients",
                order.order.as_str(),
                chosen.len()
            ),
            "look at the reasons with `dry_run`, or choose other clients",
        ));
    }
    match order.expected {
        Some(expected) if expected != preview.fitting => {
            return Err(Error::conflict(
                format!("the order is for {} clients now, not for {expected}", preview.fitting),
                "look at it again, and confirm the number that it shows",
            ));
        }
        None if preview.destructive => {
            return Err(Error::invalid(
                format!("the order {} destroys, and does not say for how many clients", order.order.as_str()),
                format!("look at it with `dry_run`, then send it with `expected`: {}", preview.fitting),
            ));
        }
        Some(_) | None => {}
    }
    let wish = Wish::Batch {
        order: Box::new(BatchOrder {
            // For these clients, whatever the search means when somebody approves it.
            query: None,
            clients: names.clone(),
            expected: Some(preview.fitting),
            ..order.clone()
        }),
    };
    let risk = match order.order {
        Action::Install | Action::Redo => Some(Risk::InstallOver),
        Action::Retire => Some(Risk::Retire),
        _ => None,
    };
    let mut tx = approvals::gate(ctx, tx, &wish, risk, names.len(), actor).await?;
    let now = ctx.now();
    if let Action::JoinGroup { group } = &order.order
        && groups::find(&mut tx, group).await?.is_none()
    {
        groups::create(&mut tx, group, "", now).await?;
    }
    let query = order.query.as_deref().unwrap_or_default();
    let id = batches::create(&mut tx, &order.order, query, actor, &chosen, now).await?;
    let after = json!({ "order": order.order, "where": order.query, "count": preview.fitting,
        "clients": names.iter().take(AUDITED).collect::<Vec<_>>() });
    audit::note(&mut tx, "batch.order", &format!("batch {id}"), &(), &after).await?;
    let detail = format!("{}: {}", order.order.as_str(), preview.fitting);
    events::add(&mut tx, "batch.ordered", None, None, actor, &detail, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    ctx.presence.batch_came();
    Ok(Ordered { batch: Some(id), preview })
}

/// Batches, newest first, before a number.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx, before: i64, limit: i64) -> Result<Vec<Batch>, Error> {
    Ok(batches::list(tx, before, limit).await?)
}

/// A batch.
///
/// # Errors
/// There is none.
pub async fn show(tx: &mut Tx, id: i64) -> Result<BatchView, Error> {
    let batch = batches::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("batch {id}")))?;
    Ok(BatchView { batch, lines: batches::lines(tx, id, LINES).await? })
}

/// Takes back what is not ordered yet.
///
/// # Errors
/// There is no such batch, or it is finished.
pub async fn stop(ctx: &Ctx, id: i64, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let batch = batches::find(&mut tx, id).await?.ok_or_else(|| Error::not_found(format!("batch {id}")))?;
    if batch.finished_at.is_some() {
        return Err(Error::conflict(format!("batch {id} is finished"), "nothing needs to be done"));
    }
    let stopped = batches::stop(&mut tx, id, &format!("stopped by {actor}"), now).await?;
    let state = |stopped: bool, waiting: u64| json!({ "stopped": stopped, "waiting": waiting });
    let (before, after) = (state(false, stopped), state(true, 0));
    audit::note(&mut tx, "batch.stop", &format!("batch {id}"), &before, &after).await?;
    batches::finish(&mut tx, id, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Carries out what waits, until nothing does.
///
/// # Errors
/// The database refuses; what went wrong for one client is noted there instead.
pub async fn work(ctx: &Ctx) -> Result<(), Error> {
    loop {
        let (found, waiting) = {
            let mut tx = ctx.db.read().await?;
            let Some(found) = batches::unfinished(&mut tx).await? else { return Ok(()) };
            let waiting = batches::waiting(&mut tx, found.0, CHUNK).await?;
            (found, waiting)
        };
        let (batch, action, actor) = found;
        for (id, name) in &waiting {
            if ctx.presence.closing().is_cancelled() {
                return Ok(());
            }
            one(ctx, batch, &action, &actor, *id, name).await?;
        }
        ctx.presence.events_came();
        if waiting.is_empty() {
            let now = ctx.now();
            let mut tx = ctx.db.write().await?;
            let reason = "the server ended while it was being ordered: look at the client";
            batches::give_up(&mut tx, batch, now - LONGEST, reason, now).await?;
            let finished = batches::finish(&mut tx, batch, now).await?;
            tx.commit().await?;
            if !finished {
                // Another node works on the last ones.
                return Ok(());
            }
            ctx.presence.events_came();
        }
    }
}

async fn one(
    ctx: &Ctx,
    batch: i64,
    action: &Action,
    actor: &str,
    id: ClientId,
    name: &str,
) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let taken = batches::take(&mut tx, batch, id, ctx.now()).await?;
    tx.commit().await?;
    if !taken {
        return Ok(());
    }
    let failure = carry_out(ctx, action, actor, id, name).await.err().map(|error| {
        let text = error.to_string();
        if let Error::Internal(error) = error {
            tracing::error!(batch, client = name, error = format!("{error:#}"), "carrying out a batch");
            return "the server could not do it; its log says why".to_owned();
        }
        text
    });
    let mut tx = ctx.db.write().await?;
    batches::settle(&mut tx, batch, id, failure.as_deref(), ctx.now()).await?;
    Ok(tx.commit().await?)
}

async fn carry_out(ctx: &Ctx, action: &Action, actor: &str, id: ClientId, name: &str) -> Result<(), Error> {
    match action {
        Action::Install => installation::install(ctx, id, false, actor).await.map(drop),
        Action::Redo => helpdesk::redo(ctx, name, actor).await.map(drop),
        Action::Reboot => helpdesk::restart(ctx, name, actor).await.map(drop),
        Action::Wake => helpdesk::wake(ctx, name, actor).await,
        Action::Retire => retirement::retire(ctx, name, actor).await,
        Action::Rescue { authorized_keys } => {
            helpdesk::rescue(ctx, name, authorized_keys, actor).await.map(drop)
        }
        Action::JoinGroup { group } => group_cases::set_member(ctx, group, name, true, actor).await,
        Action::LeaveGroup { group } => group_cases::set_member(ctx, group, name, false, actor).await,
        Action::PackageInstall { .. }
        | Action::PackageRemove { .. }
        | Action::PackageUpgrade
        | Action::ApplySelection { .. } => {
            let Some((job_type, params)) = action.job() else { return Ok(()) };
            let order = JobOrder { job_type: job_type.to_owned(), params, ..JobOrder::default() };
            jobs::create(ctx, id, &order, actor).await.map(drop)
        }
    }
}
