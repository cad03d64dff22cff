//! The form of a new rollout: shown first, with its waves drawn, then made.

mod words;

use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use self::words::{REINSTALL, Words};
use super::super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words::job_title,
};
use crate::{
    app::{
        Error, groups, repositories,
        rollouts::{self, RolloutOrder, RolloutPreview, ScheduleOrder},
    },
    catalog::params::Param,
    context::Ctx,
    domain::reach::Sees,
};

/// A type of job that can be chosen.
#[derive(Serialize)]
struct Choice {
    name: String,
    title: String,
    params: Vec<ParamOffer>,
}

/// A parameter that it takes.
#[derive(Serialize)]
struct ParamOffer {
    name: String,
    required: bool,
    help: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    form: Words,
    choices: Vec<Choice>,
    reinstall: &'static str,
    groups: Vec<String>,
    problem: Option<Problem>,
    preview: Option<RolloutPreview>,
    /// Its waves, drawn.
    waves: Vec<Drawn>,
    opens: String,
}

/// A wave as it would be.
#[derive(Serialize)]
struct Drawn {
    number: usize,
    size: String,
    clients: i64,
    names: String,
    /// In per cent of all clients.
    width: f64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    group: String,
    q: String,
    packages: String,
}

pub(super) async fn new(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(from): Query<From>,
) -> Result<Page, Rejection> {
    let form = Words::begun(from.group, from.q, from.packages);
    show(&ctx, &visitor, form, None, None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    form: Words,
    problem: Option<Problem>,
    preview: Option<RolloutPreview>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let groups = groups::list(ctx, &mut tx, &Sees::Everything).await?;
    drop(tx);
    let offer = |(name, param): (&str, &Param)| ParamOffer {
        name: name.to_owned(),
        required: param.required,
        help: param.help.get(visitor.language).or(param.help.get("en")).cloned().unwrap_or_default(),
    };
    let mut choices: Vec<_> = ctx
        .catalog
        .job_types()
        // Those are ordered at a repository.
        .filter(|found| found.name != repositories::JOB_TYPE)
        .map(|found| Choice {
            title: job_title(ctx, visitor.language, &found.name),
            params: found.params.iter().map(offer).collect(),
            name: found.name.clone(),
        })
        .collect();
    choices.sort_by(|one, other| one.title.cmp(&other.title));
    #[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than an f64 has digits")]
    let width = |clients: i64, all: i64| (clients as f64 / all.max(1) as f64 * 1000.0).round() / 10.0;
    let drawn = |preview: &RolloutPreview| {
        let waves = (1..).zip(&preview.waves).map(|(number, wave)| {
            let more = wave.clients > i64::try_from(wave.names.len()).unwrap_or(0) && !wave.names.is_empty();
            let (size, clients) = (wave.size.clone(), wave.clients);
            let names = wave.names.join(", ") + if more { " …" } else { "" };
            Drawn { number, size, clients, names, width: width(clients, preview.clients) }
        });
        waves.collect()
    };
    let opens = preview.as_ref().and_then(|preview| preview.window.until.filter(|_| !preview.window.open));
    let view = View {
        page: visitor.frame("/rollouts"),
        form,
        choices,
        reinstall: REINSTALL,
        groups: groups.into_iter().map(|group| group.name).collect(),
        problem,
        waves: preview.as_ref().map(drawn).unwrap_or_default(),
        opens: opens
            .map(|at| Moment::new(at, ctx.now(), visitor.language).full().to_owned())
            .unwrap_or_default(),
        preview,
    };
    page(ctx, visitor, "pages/new-rollout.html", &view)
}

/// Changes its rows, or shows what it would do; with `then` made, scheduled or made and started.
pub(super) async fn make(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let mut form = Words::read(pairs);
    if form.rearrange() {
        return Ok(show(&ctx, &visitor, form, None, None).await?.into_response());
    }
    match made(&ctx, &form, visitor.name()).await {
        Ok(Made::At(address)) => Ok(Redirect::to(&address).into_response()),
        Ok(Made::Shown(preview)) => {
            Ok(show(&ctx, &visitor, form, None, Some(*preview)).await?.into_response())
        }
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(show(&ctx, &visitor, form, problem, None).await?.into_response())
        }
    }
}

enum Made {
    Shown(Box<RolloutPreview>),
    At(String),
}

async fn made(ctx: &Ctx, form: &Words, actor: &str) -> Result<Made, Error> {
    let order = RolloutOrder { title: form.title.clone(), spec: form.spec(ctx)?, dry_run: false };
    match form.then.as_str() {
        "make" | "start" if form.recurring.is_empty() => {
            let id = rollouts::create(ctx, &order, actor).await?;
            if form.then == "start" {
                rollouts::start(ctx, id, actor).await?;
            }
            Ok(Made::At(format!("/rollouts/{id}")))
        }
        "make" | "start" => {
            let order = ScheduleOrder { name: form.title.clone(), spec: order.spec };
            rollouts::schedule(ctx, &order, actor).await?;
            Ok(Made::At("/rollouts".to_owned()))
        }
        _ => Ok(Made::Shown(Box::new(rollouts::preview(ctx, &order).await?))),
    }
}
