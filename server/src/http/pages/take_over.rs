//! Taking over machines that somebody else has installed: the command for one, and what was found on it.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use wire::{problem::Problem, survey::Survey};

use super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words,
};
use crate::{
    app::integration::{self, IntegrationOrder, TakeOver},
    context::Ctx,
    domain::{
        integration::{SeenSource, SurveyDifference},
        people::Role,
    },
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/take-over", get(form).post(begin)).route("/clients/{name}/integration", get(found))
}

/// What somebody types.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wish {
    name: String,
    group: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    form: Wish,
    faults: BTreeMap<String, String>,
    problem: Option<Problem>,
    /// What takes the machine over, once it was ordered.
    made: Option<TakeOver>,
    until: Option<Moment>,
}

impl View {
    fn new(visitor: &Visitor, form: Wish) -> Self {
        Self {
            page: visitor.frame("/clients"),
            form,
            faults: BTreeMap::new(),
            problem: None,
            made: None,
            until: None,
        }
    }
}

async fn form(State(ctx): State<Ctx>, visitor: Visitor, Query(wish): Query<Wish>) -> Result<Page, Rejection> {
    page(&ctx, &visitor, "pages/take-over.html", &View::new(&visitor, wish))
}

async fn begin(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(wish): Form<Wish>,
) -> Result<Response, Rejection> {
    let groups = wish.group.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let order = IntegrationOrder { name: wish.name.trim().to_owned(), groups, ssh: None };
    let mut view = View::new(&visitor, wish);
    match integration::begin(&ctx, &order, visitor.name()).await {
        Ok(made) => {
            view.until = Some(Moment::new(made.expires_at, ctx.now(), visitor.language));
            view.made = Some(made);
        }
        Err(error) => {
            let (faults, problem) = problem::of_typed(error)?;
            view.faults = words::faults(&ctx, visitor.language, str::to_owned, &faults);
            view.problem = problem;
        }
    }
    Ok(page(&ctx, &visitor, "pages/take-over.html", &view)?.into_response())
}

#[derive(Serialize)]
struct FoundView {
    page: Frame,
    name: String,
    ordered: Moment,
    ordered_by: String,
    ssh_address: String,
    ssh_host_key: String,
    surveyed: Option<Moment>,
    survey: Option<Survey>,
    sources: Vec<SeenSource>,
    differences: Vec<SurveyDifference>,
    may_order: bool,
}

async fn found(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let moment = |at| Moment::new(at, ctx.now(), visitor.language);
    let mut tx = ctx.db.read().await?;
    let known = integration::of_client(&ctx, &mut tx, &name).await?;
    drop(tx);
    let view = FoundView {
        page: visitor.frame("/clients"),
        ordered: moment(known.ordered_at),
        ordered_by: known.ordered_by,
        ssh_address: known.ssh_address,
        ssh_host_key: known.ssh_host_key,
        surveyed: known.surveyed_at.map(moment),
        survey: known.survey,
        sources: known.sources,
        differences: known.differences,
        may_order: visitor.may(Role::Operator),
        name,
    };
    page(&ctx, &visitor, "pages/integration.html", &view)
}
