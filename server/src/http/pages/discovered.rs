//! Machines that have announced themselves and wait: adopted one by one or many at once, forgotten, or taken by rules. And machines that
//! are on their way and got stuck before they could say who they are.

use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    mass,
    moment::Moment,
    words,
};
use crate::{
    app::{boot_timeline, discovery, retirement, rules},
    context::Ctx,
    domain::{boot::Expectation, people::Role},
    planner::storage::hardware,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/discovered", get(show).post(choose))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    machines: Vec<Machine>,
    strangers: Vec<Stranger>,
    rules: usize,
    may_operate: bool,
    may_delete: bool,
}

#[derive(Serialize)]
struct Machine {
    name: String,
    hardware: String,
    serial: String,
    macs: Vec<String>,
    addresses: Vec<String>,
    fingerprint: String,
    since: Option<Moment>,
    rule: String,
}

#[derive(Serialize)]
struct Stranger {
    mac: String,
    kind: &'static str,
    detail: String,
    at: Moment,
    expected: Option<Expectation>,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let moment = |at| Moment::new(at, ctx.now(), visitor.language);
    let strangers = boot_timeline::strangers(&ctx).await?;
    let mut tx = ctx.db.read().await?;
    let rules = rules::list(&mut tx).await?;
    let machines = discovery::waiting(&mut tx).await?.into_iter().map(|client| {
        let facts = client.facts.as_ref();
        let fitting = facts.and_then(|facts| rules.iter().find(|rule| rule.fits(facts)));
        Machine {
            hardware: facts.map(hardware).unwrap_or_default(),
            serial: facts.map(|facts| facts.dmi.serial.clone()).unwrap_or_default(),
            macs: client.macs.iter().map(ToString::to_string).collect(),
            addresses: facts
                .map(|facts| facts.nics.iter().flat_map(|nic| nic.addresses.clone()).collect())
                .unwrap_or_default(),
            fingerprint: client.announced_key.as_ref().map(words::grouped).unwrap_or_default(),
            since: client.facts_at.map(moment),
            rule: fitting.map(|rule| rule.name.clone()).unwrap_or_default(),
            name: client.name,
        }
    });
    let role = visitor.actor()?.role;
    let view = View {
        page: visitor.frame("/discovered"),
        machines: machines.collect(),
        strangers: strangers
            .into_iter()
            .map(|line| Stranger {
                mac: line.mac.to_string(),
                kind: line.kind.as_str(),
                at: moment(line.at),
                expected: crate::domain::boot::expect_next(Some(&line), None, ctx.now()),
                detail: line.detail,
            })
            .collect(),
        rules: rules.len(),
        may_operate: role >= Role::Operator,
        may_delete: role >= Role::Admin,
    };
    page(&ctx, &visitor, "pages/discovered.html", &view)
}

/// What was chosen: `machine` for each, and `then`.
async fn choose(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(words): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let named: Vec<&str> =
        words.iter().filter(|(word, _)| word == "machine").map(|(_, name)| name.as_str()).collect();
    let then = words.iter().find(|(word, _)| word == "then").map_or("", |(_, then)| then.as_str());
    if named.is_empty() && then != "rules" {
        return Ok(Redirect::to("/discovered").into_response());
    }
    match then {
        "forget" => {
            for name in named {
                discovery::forget(&ctx, name, visitor.name()).await?;
            }
            Ok(Redirect::to("/discovered").into_response())
        }
        "refuse" => {
            for name in named {
                retirement::retire(&ctx, name, visitor.name()).await?;
            }
            Ok(Redirect::to("/discovered").into_response())
        }
        "rules" => {
            rules::follow_all(&ctx, false, visitor.name()).await?;
            Ok(Redirect::to("/discovered").into_response())
        }
        _ => {
            let sheet = {
                let mut tx = ctx.db.read().await?;
                discovery::sheet(&mut tx, &named).await?
            };
            Ok(mass::begin_with(&ctx, &visitor, sheet).await?.into_response())
        }
    }
}
