//! Groups of clients: made, filled, given work.

use serde_json::json;
use wire::{ClientId, JobId};

use super::{
    Error,
    approvals::{self, Wish},
    clients as client_cases,
    jobs::{self, JobOrder},
    search::{self, Search},
    selections, tag,
};
use crate::{
    context::Ctx,
    db::{Tx, audit, clients, events, groups},
    domain::{
        approval::Risk,
        client::{Client, is_name},
        reach::Sees,
        search::{check_expansion, parse},
    },
};

pub use crate::db::groups::Group;

/// Refuses what cannot be a group's name.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!("`{name}` cannot be a group's name"), "use small letters, digits and hyphens"))
}

/// Refuses a group whose members are found by a search where members are named.
pub(super) fn check_named(group: &Group) -> Result<&Group, Error> {
    match &group.query {
        None => Ok(group),
        Some(query) => Err(Error::conflict(
            format!("the members of group {} are found by the search `{query}`", group.name),
            "change its search, or name the clients in another group",
        )),
    }
}

/// The groups that somebody sees, by name.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx, sees: &Sees) -> Result<Vec<Group>, Error> {
    let mut all = groups::list(tx).await?;
    if let Sees::Groups(seen) = sees {
        all.retain(|group| seen.contains(&group.id));
    }
    for group in &mut all {
        count(ctx, tx, group).await?;
    }
    Ok(all)
}

/// A group that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<Group, Error> {
    let found = groups::get(tx, name).await?;
    let mut group = found.ok_or_else(|| Error::not_found(format!("group {name}")))?;
    count(ctx, tx, &mut group).await?;
    Ok(group)
}

/// Members that are found by a search are counted at the moment of asking. One that a newer program wrote has none here.
async fn count(ctx: &Ctx, tx: &mut Tx, group: &mut Group) -> Result<(), Error> {
    if let Some(query) = &group.query {
        group.members = match Search::new(ctx, tx, query).await {
            Ok(search) => search.count(tx).await?,
            Err(Error::Invalid { .. }) => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(())
}

/// The members of a group, by name.
///
/// # Errors
/// There is no such group.
pub async fn members(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<Vec<Client>, Error> {
    let found = groups::get(tx, name).await?;
    let group = found.ok_or_else(|| Error::not_found(format!("group {name}")))?;
    match &group.query {
        None => Ok(clients::members(tx, group.id).await?),
        Some(query) => {
            let ids = Search::new(ctx, tx, query).await?.all(tx).await?;
            Ok(clients::find_many(tx, &ids).await?)
        }
    }
}

/// Numbers of the members of a group, named or found at this moment.
///
/// # Errors
/// There is no such group.
pub async fn member_ids(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<Vec<ClientId>, Error> {
    let found = groups::get(tx, name).await?;
    let group = found.ok_or_else(|| Error::not_found(format!("group {name}")))?;
    match &group.query {
        None => Ok(groups::member_ids(tx, group.id).await?),
        Some(query) => Search::new(ctx, tx, query).await?.all(tx).await,
    }
}

/// Checks the search of a group: it can be read, and does not lead back to the group.
async fn check_query(tx: &mut Tx, name: &str, query: &str) -> Result<String, Error> {
    let expr = parse(query)?;
    if expr.is_everything() {
        return Err(Error::invalid(
            format!("the search of group {name} is empty"),
            "say which clients belong to it, such as `stage:installed`",
        ));
    }
    let mut all = search::found_groups(tx).await?;
    all.retain(|(other, _)| other != name);
    all.push((name.to_owned(), expr.clone()));
    // Whoever names this group must stay finite, too.
    for (other, expr) in &all {
        check_expansion(expr, &all).map_err(|error| {
            Error::invalid(
                format!("group {name} cannot have this search, because of group {other}: {error}"),
                "leave the groups out that lead back to it",
            )
        })?;
    }
    Ok(expr.to_string())
}

/// Makes a group.
///
/// # Errors
/// The name cannot be used or is taken.
pub async fn create(
    ctx: &Ctx,
    name: &str,
    description: &str,
    query: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    check_name(name)?;
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if groups::find(&mut tx, name).await?.is_some() {
        return Err(Error::conflict(
            format!("group {name} exists already"),
            "use it, or choose another name",
        ));
    }
    let id = groups::create(&mut tx, name, description, now).await?;
    let query = match query {
        Some(query) => {
            let query = check_query(&mut tx, name, query).await?;
            groups::update(&mut tx, id, description, Some(&query)).await?;
            Some(query)
        }
        None => None,
    };
    let after = json!({ "name": name, "description": description, "query": query });
    audit::note(&mut tx, "group.create", &format!("group {name}"), &(), &after).await?;
    noted(ctx, tx, "group.created", name, actor).await
}

/// What changes of a group; what is absent stays.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupChange {
    /// What it is for.
    pub description: Option<String>,
    /// The search that finds its members; only for a group that has one.
    pub query: Option<String>,
}

/// What can be changed of a group, as it is: its tag is made of this, since members come and go.
pub fn changeable(group: &Group) -> GroupChange {
    GroupChange { description: Some(group.description.clone()), query: group.query.clone() }
}

/// Changes what a group is for, or the search that finds its members; with `expected` only when both still have that tag.
///
/// # Errors
/// There is no such group, its members are named, the search cannot be read, or [`Error::Stale`].
pub async fn update(
    ctx: &Ctx,
    name: &str,
    change: &GroupChange,
    expected: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let found = groups::get(&mut tx, name).await?;
    let group = found.ok_or_else(|| Error::not_found(format!("group {name}")))?;
    tag::check(&format!("group {name}"), &changeable(&group), expected)?;
    let query = match (&change.query, &group.query) {
        (Some(_), None) => {
            return Err(Error::conflict(
                format!("the members of group {name} are named, not found by a search"),
                "make another group with this search",
            ));
        }
        (Some(query), Some(_)) => Some(check_query(&mut tx, name, query).await?),
        (None, present) => present.clone(),
    };
    let description = change.description.as_ref().unwrap_or(&group.description);
    groups::update(&mut tx, group.id, description, query.as_deref()).await?;
    let before = json!({ "description": group.description, "query": group.query });
    let after = json!({ "description": description, "query": query });
    audit::note(&mut tx, "group.change", &format!("group {name}"), &before, &after).await?;
    noted(ctx, tx, "group.changed", name, actor).await
}

/// Removes a group; its clients stay.
///
/// # Errors
/// There is no such group.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let group = get(ctx, &mut tx, name).await?;
    let members: Vec<_> = members(ctx, &mut tx, name).await?.into_iter().map(|client| client.name).collect();
    let before = json!({ "name": name, "description": group.description, "members": members });
    groups::delete(&mut tx, group.id).await?;
    audit::note(&mut tx, "group.delete", &format!("group {name}"), &before, &()).await?;
    noted(ctx, tx, "group.deleted", name, actor).await
}

async fn noted(ctx: &Ctx, mut tx: Tx, kind: &str, name: &str, actor: &str) -> Result<(), Error> {
    events::add(&mut tx, kind, None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Puts a client into a group or takes it out; being as wanted already is fine.
///
/// # Errors
/// There is no such group or client.
pub async fn set_member(ctx: &Ctx, name: &str, client: &str, member: bool, actor: &str) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let group = get(ctx, &mut tx, name).await?;
    check_named(&group)?;
    let client = client_cases::get(&mut tx, client).await?;
    let kind = if member {
        groups::add_member(&mut tx, group.id, client.id).await?;
        "group.joined"
    } else {
        groups::remove_member(&mut tx, group.id, client.id).await?;
        "group.left"
    };
    events::add(&mut tx, kind, Some(client.id), None, actor, name, now).await?;
    let state = |member: bool| json!({ "group": name, "member": member });
    let was = client.groups.contains(&group.id);
    let action = if member { "group.join" } else { "group.leave" };
    audit::note(&mut tx, action, &format!("client {}", client.name), &state(was), &state(member)).await?;
    let has_selections = selections::has_any(&mut tx, group.id).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    if has_selections { selections::follow(ctx).await } else { Ok(()) }
}

/// Queues a job for every member: for all of them, or for none when one of them cannot have it.
///
/// # Errors
/// There is no such group, or what stands against it, with the client's name.
pub async fn create_jobs(ctx: &Ctx, name: &str, order: &JobOrder, actor: &str) -> Result<Vec<JobId>, Error> {
    if !order.needs.is_empty() {
        return Err(Error::invalid(
            "jobs for a group cannot need another client's job",
            "leave `needs` out, or send the job to each client",
        ));
    }
    let mut tx = ctx.db.write().await?;
    jobs::check_expiry(order, ctx.now())?;
    jobs::check_type(ctx, order)?;
    get(ctx, &mut tx, name).await?;
    let members = members(ctx, &mut tx, name).await?;
    let wish = Wish::GroupJobs { group: name.to_owned(), order: order.clone() };
    let risk = Risk::of_job_type(&order.job_type);
    let mut tx = approvals::gate(ctx, tx, &wish, risk, members.len(), actor).await?;
    let mut ids = Vec::with_capacity(members.len());
    for client in &members {
        let of_client = |error| on_client(&client.name, error);
        let id = jobs::add(ctx, &mut tx, client, order, actor).await.map_err(of_client)?;
        jobs::plan_if_possible(ctx, &mut tx, id, client).await.map_err(of_client)?;
        ids.push(id);
    }
    tx.commit().await?;
    for client in &members {
        ctx.presence.work_waits_for(client.id);
    }
    ctx.presence.events_came();
    Ok(ids)
}

fn on_client(name: &str, error: Error) -> Error {
    match error {
        Error::Conflict { title, remedy } => {
            Error::Conflict { title: format!("client {name}: {title}"), remedy }
        }
        Error::Invalid { title, fields, remedy } => {
            Error::Invalid { title: format!("client {name}: {title}"), fields, remedy }
        }
        other @ (Error::Unauthenticated(_)
        | Error::Forbidden(_)
        | Error::NotFound { .. }
        | Error::Stale { .. }
        | Error::AwaitsApproval { .. }
        | Error::Unavailable { .. }
        | Error::Internal(_)) => other,
    }
}
