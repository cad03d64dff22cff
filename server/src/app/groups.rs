//! Groups of clients: made, filled, given work.

use serde_json::json;
use wire::JobId;

use super::{
    Error,
    approvals::{self, Wish},
    clients as client_cases,
    jobs::{self, JobOrder},
};
use crate::{
    context::Ctx,
    db::{Tx, audit, clients, events, groups},
    domain::{approval::Risk, client::is_name},
};

pub use crate::db::groups::Group;

/// Refuses what cannot be a group's name.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!("`{name}` cannot be a group's name"), "use small letters, digits and hyphens"))
}

/// All groups by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Group>, Error> {
    Ok(groups::list(tx).await?)
}

/// A group that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Group, Error> {
    let found = groups::list(tx).await?.into_iter().find(|group| group.name == name);
    found.ok_or_else(|| Error::not_found(format!("group {name}")))
}

/// Makes a group.
///
/// # Errors
/// The name cannot be used or is taken.
pub async fn create(ctx: &Ctx, name: &str, description: &str, actor: &str) -> Result<(), Error> {
    check_name(name)?;
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if groups::find(&mut tx, name).await?.is_some() {
        return Err(Error::conflict(
            format!("group {name} exists already"),
            "use it, or choose another name",
        ));
    }
    groups::create(&mut tx, name, description, now).await?;
    let after = json!({ "name": name, "description": description });
    audit::note(&mut tx, "group.create", &format!("group {name}"), &(), &after).await?;
    noted(ctx, tx, "group.created", name, actor).await
}

/// Removes a group; its clients stay.
///
/// # Errors
/// There is no such group.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let group = get(&mut tx, name).await?;
    let members = clients::list(&mut tx, "", None, Some(name), i64::MAX).await?;
    let members: Vec<_> = members.into_iter().map(|client| client.name).collect();
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
    let group = get(&mut tx, name).await?;
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
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
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
    get(&mut tx, name).await?;
    let members = clients::list(&mut tx, "", None, Some(name), i64::MAX).await?;
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
