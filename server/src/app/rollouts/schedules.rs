//! Rollouts that come again and again: in each open window of a schedule one is made and started.
//!
//! Invariant: one rollout for each period, by a unique key, so each client has the work at most once in a period, however many servers look,
//! however often they restart, and wherever their clocks jump.

use serde_json::json;
use wire::problem::FieldProblem;

use super::{Error, RolloutWindow, check, control, risk, target, window};
use crate::{
    app::approvals::{self, Wish},
    context::Ctx,
    db::{
        self, Tx, audit, events,
        rollouts::{
            self, NewRollout,
            schedules::{self, RolloutSchedule},
        },
    },
    domain::{
        client::is_name,
        rollout::{RolloutSpec, Window},
    },
};

/// A rollout that somebody wants to come again and again.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleOrder {
    /// Its name, of small letters, digits and hyphens.
    pub name: String,
    /// What is rolled out in each open window.
    pub spec: RolloutSpec,
}

/// What can be changed of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    /// Nothing begins while it is off.
    pub enabled: bool,
}

/// A schedule with what it has made and when it comes next.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ScheduleView {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: RolloutSchedule,
    /// Whether its window is open, and until when that is so.
    pub window: RolloutWindow,
    /// The newest rollout that it has made.
    pub newest: Option<i64>,
}

async fn get(tx: &mut Tx, name: &str) -> Result<RolloutSchedule, Error> {
    schedules::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("rollout schedule {name}")))
}

/// All schedules, by name.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx) -> Result<Vec<ScheduleView>, Error> {
    let newest = schedules::newest(tx).await?;
    let found = schedules::list(tx).await?;
    Ok(found
        .into_iter()
        .map(|schedule| ScheduleView {
            window: window(&schedule.spec, ctx.now()).into(),
            newest: newest.iter().find(|(id, _)| *id == schedule.id).map(|(_, rollout)| *rollout),
            schedule,
        })
        .collect())
}

/// Makes a schedule.
///
/// # Errors
/// It cannot be carried out, has no open window, or its name is taken; it may need an approval.
pub async fn schedule(ctx: &Ctx, order: &ScheduleOrder, actor: &str) -> Result<(), Error> {
    let mut spec = order.spec.clone();
    check(ctx, &mut spec)?;
    let name = order.name.as_str();
    let mut wrong = Vec::new();
    let mut say = |field: &str, message: &str| {
        wrong.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
    };
    if !is_name(name) {
        say("name", "use small letters, digits and hyphens");
    }
    if spec.windows.open.is_empty() && spec.windows.open_calendar.is_none() {
        say("windows.open", "name when it comes, such as `sun 02:00-05:00`");
    }
    if !wrong.is_empty() {
        return Err(Error::fields("the schedule cannot be carried out so", wrong));
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    if schedules::find(&mut tx, name).await?.is_some() {
        return Err(Error::conflict(
            format!("rollout schedule {name} exists already"),
            "remove it first, or choose another name",
        ));
    }
    let clients = target::choose(ctx, &mut tx, &spec).await?.len();
    let wish = Wish::ScheduleRollout { order: Box::new(order.clone()) };
    let mut tx =
        approvals::gate_when(ctx, tx, &wish, risk(&spec), spec.approve_start, clients, actor).await?;
    schedules::create(&mut tx, name, &spec, actor, now).await?;
    let after = json!({ "name": name, "spec": spec });
    audit::note(&mut tx, "rollout.schedule", &format!("rollout schedule {name}"), &(), &after).await?;
    events::add(&mut tx, "rollout.scheduled", None, None, actor, name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    ctx.presence.rollout_came();
    Ok(())
}

/// Switches a schedule on or off.
///
/// # Errors
/// There is none.
pub async fn change(ctx: &Ctx, name: &str, wanted: &ScheduleChange, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let found = get(&mut tx, name).await?;
    schedules::set_enabled(&mut tx, found.id, wanted.enabled).await?;
    let state = |enabled: bool| json!({ "enabled": enabled });
    let (before, after) = (state(found.enabled), state(wanted.enabled));
    audit::note(&mut tx, "rollout.schedule-change", &format!("rollout schedule {name}"), &before, &after)
        .await?;
    let kind = if wanted.enabled { "rollout.schedule-on" } else { "rollout.schedule-off" };
    events::add(&mut tx, kind, None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    ctx.presence.rollout_came();
    Ok(())
}

/// Removes a schedule; what it has made stays.
///
/// # Errors
/// There is none.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let found = get(&mut tx, name).await?;
    schedules::delete(&mut tx, found.id).await?;
    let before = json!({ "name": name, "spec": found.spec });
    audit::note(&mut tx, "rollout.unschedule", &format!("rollout schedule {name}"), &before, &()).await?;
    events::add(&mut tx, "rollout.unscheduled", None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Makes and starts what is due: one rollout for each schedule whose window is open and that has none for this period.
///
/// # Errors
/// The database refuses.
pub(super) async fn begin_due(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let due = {
        let mut tx = ctx.db.read().await?;
        let mut due = Vec::new();
        for schedule in schedules::list(&mut tx).await?.into_iter().filter(|schedule| schedule.enabled) {
            let Ok(hours) = schedule.spec.windows.read() else { continue };
            let Some((from, to)) = hours.period(now) else { continue };
            let is_open = matches!(hours.at(now), Window::Open { .. });
            if is_open && !schedules::has_period(&mut tx, schedule.id, from).await? {
                due.push((schedule, from, to));
            }
        }
        due
    };
    for (schedule, from, to) in due {
        let mut tx = ctx.db.write().await?;
        let new = NewRollout {
            title: &schedule.name,
            spec: &schedule.spec,
            actor: &schedule.created_by,
            period: Some((schedule.id, from, Some(to))),
        };
        match rollouts::create(&mut tx, &new, now).await {
            Ok(id) => match control::start_scheduled(ctx, tx, id, &schedule.created_by).await {
                // Its group was removed: said once in each round, and mended by whoever removed it.
                Err(error @ (Error::NotFound { .. } | Error::Invalid { .. })) => {
                    tracing::warn!(schedule = schedule.name, error = %error, "beginning a recurring rollout");
                }
                other => other?,
            },
            // Another server was faster.
            Err(db::Error::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
