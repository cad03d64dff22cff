//! What can be done with a desktop: each order shows first what it does. What destroys asks for the desktop's name.

use axum::{
    Form,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use super::{Ctx, Frame, Page, PartView, Rejection, Visitor, desktops, page};
use crate::{
    app::Error,
    domain::{
        desktop::{PartState, PowerOrder},
        people::Role,
    },
    http::{
        pages::{
            orders::{Known, must_be_typed},
            words::job_title,
        },
        problem,
    },
};

/// Every order.
const ORDERS: [Known; 5] = [
    ("start", Role::Helpdesk, false),
    ("stop", Role::Helpdesk, false),
    ("reboot", Role::Helpdesk, false),
    ("rebuild", Role::Operator, true),
    ("delete", Role::Admin, true),
];

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    order: String,
    typed: bool,
    mistyped: bool,
    /// What is removed.
    parts: Vec<PartView>,
    /// The jobs that set up the new machine.
    jobs: Vec<String>,
    problem: Option<Problem>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    confirmed: String,
}

pub(super) async fn form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, order)): Path<(String, String)>,
) -> Result<Page, Rejection> {
    show(&ctx, &visitor, &name, &order, false, None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    order: &str,
    mistyped: bool,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let typed = must_be_typed(ctx, visitor, &ORDERS, name, order).await?;
    let language = visitor.language;
    let mut tx = ctx.db.read().await?;
    let record = desktops::get(&mut tx, name).await?;
    let jobs = if order == "rebuild" { desktops::setup(&mut tx, &record.desktop).await? } else { Vec::new() };
    drop(tx);
    let there = record.journal.into_iter().filter(|part| part.state != PartState::Gone);
    let parts =
        if typed { there.map(|part| PartView::new(ctx, part, language)).collect() } else { Vec::new() };
    let view = View {
        page: visitor.frame("/desktops"),
        name: name.to_owned(),
        order: order.to_owned(),
        typed,
        mistyped,
        parts,
        jobs: jobs.iter().map(|job_type| job_title(ctx, language, job_type)).collect(),
        problem,
    };
    page(ctx, visitor, "pages/desktop-order.html", &view)
}

pub(super) async fn carry_out(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, order)): Path<(String, String)>,
    Form(form): Form<Typed>,
) -> Result<Response, Rejection> {
    let typed = must_be_typed(&ctx, &visitor, &ORDERS, &name, &order).await?;
    if typed && form.confirmed.trim() != name {
        return Ok(show(&ctx, &visitor, &name, &order, true, None).await?.into_response());
    }
    let actor = visitor.name();
    let done = match order.as_str() {
        "rebuild" => desktops::rebuild(&ctx, &name, actor).await,
        "delete" => desktops::delete(&ctx, &name, actor).await,
        order => match order.parse::<PowerOrder>() {
            Ok(order) => desktops::power(&ctx, &name, order, actor).await,
            Err(_) => Err(Error::not_found(format!("the order {order}"))),
        },
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/desktops/{name}")).into_response()),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. })) => {
            let problem = Some(problem::shown(error));
            Ok(show(&ctx, &visitor, &name, &order, false, problem).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}
