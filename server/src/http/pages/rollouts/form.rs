//! The form of a new rollout: shown first, with its waves drawn, then made.

use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use wire::problem::FieldProblem;

use super::super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    words::job_title,
};
use crate::{
    app::{
        Error, groups,
        rollouts::{self, RolloutOrder, RolloutPreview, ScheduleOrder},
    },
    context::Ctx,
    domain::{
        reach::Sees,
        rollout::{
            Latecomers, RolloutJob, RolloutLimits, RolloutSpec, RolloutTarget, RolloutWave, RolloutWindows,
            RolloutWork, seconds, written,
        },
    },
};

/// What somebody types.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    title: String,
    job: String,
    params: String,
    group: String,
    query: String,
    clients: String,
    latecomers: String,
    waves: String,
    at_once: String,
    max_failed_percent: String,
    max_failed: String,
    min_succeeded_percent: String,
    windows: String,
    blackouts: String,
    zone: String,
    closed_calendar: String,
    expire_after: String,
    approve_start: String,
    approve_pauses: String,
    recurring: String,
    then: String,
}

impl Default for Words {
    fn default() -> Self {
        let spec = RolloutSpec::new(RolloutWork::Reinstall, RolloutTarget::default());
        let waves: Vec<_> = spec.waves.iter().map(ToString::to_string).collect();
        let none = String::new;
        Self {
            title: none(),
            job: "package-install".to_owned(),
            params: none(),
            group: none(),
            query: none(),
            clients: none(),
            latecomers: "ignore".to_owned(),
            waves: waves.join("\n"),
            at_once: spec.at_once.to_string(),
            max_failed_percent: "10".to_owned(),
            max_failed: none(),
            min_succeeded_percent: none(),
            windows: none(),
            blackouts: none(),
            zone: "Europe/Berlin".to_owned(),
            closed_calendar: none(),
            expire_after: written(spec.expire_after_s),
            approve_start: none(),
            approve_pauses: none(),
            recurring: none(),
            then: none(),
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter_map(some).collect()
}

impl Words {
    /// The specification; every word that cannot be read is named by its field.
    fn spec(&self, ctx: &Ctx) -> Result<RolloutSpec, Error> {
        let mut wrong: Vec<FieldProblem> = Vec::new();
        let mut say = |field: &str, message: String| {
            wrong.push(FieldProblem { field: field.to_owned(), message });
        };
        let mut number = |field: &str, text: &str| -> Option<i64> {
            let text = some(text)?;
            text.parse().map_err(|_| say(field, format!("`{text}` is no number"))).ok()
        };
        let at_once = number("at_once", &self.at_once);
        let max_failed_percent = number("limits", &self.max_failed_percent);
        let max_failed = number("wave_limits", &self.max_failed);
        let min_succeeded_percent = number("wave_limits", &self.min_succeeded_percent);
        let mut waves: Vec<RolloutWave> = Vec::new();
        for line in lines(&self.waves) {
            match line.parse() {
                Ok(wave) => waves.push(wave),
                Err(error) => say("waves", error.to_string()),
            }
        }
        let expire_after_s = seconds(&self.expire_after)
            .map_err(|error| say("expire_after_s", error.to_string()))
            .unwrap_or_default();
        let work = if self.job == "reinstall" {
            RolloutWork::Reinstall
        } else {
            let params = match ctx.catalog.job_type(&self.job) {
                Some(found) => found.params.parse_words(&lines(&self.params)).unwrap_or_else(|problems| {
                    for problem in problems {
                        say("params", format!("{}: {}", problem.field, problem.message));
                    }
                    serde_json::json!({})
                }),
                None => serde_json::json!({}),
            };
            RolloutWork::Jobs { jobs: vec![RolloutJob { job_type: self.job.clone(), params }] }
        };
        if !wrong.is_empty() {
            return Err(Error::fields("the rollout cannot be carried out so", wrong));
        }
        let target = RolloutTarget {
            group: some(&self.group),
            query: some(&self.query),
            clients: self.clients.split([' ', ',', '\n', '\r']).filter_map(some).collect(),
            latecomers: match self.latecomers.as_str() {
                "last-wave" => Latecomers::LastWave,
                "new-wave" => Latecomers::NewWave,
                _ => Latecomers::Ignore,
            },
        };
        let mut spec = RolloutSpec::new(work, target);
        spec.waves = waves;
        spec.at_once = at_once.unwrap_or(spec.at_once);
        spec.limits = RolloutLimits { max_failed_percent, ..RolloutLimits::default() };
        spec.wave_limits =
            RolloutLimits { max_failed, max_failed_percent, min_succeeded: None, min_succeeded_percent };
        spec.windows = RolloutWindows {
            time_zone: some(&self.zone),
            open: lines(&self.windows),
            closed: lines(&self.blackouts),
            open_calendar: None,
            closed_calendar: some(&self.closed_calendar),
        };
        spec.approve_start = !self.approve_start.is_empty();
        spec.approve_pauses = !self.approve_pauses.is_empty();
        spec.expire_after_s = expire_after_s;
        Ok(spec)
    }
}

/// A type of job that can be chosen.
#[derive(Serialize)]
struct Choice {
    name: String,
    title: String,
    params: String,
}

#[derive(Serialize)]
struct Problem {
    title: String,
    fields: Vec<FieldProblem>,
    remedy: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    form: Words,
    choices: Vec<Choice>,
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
    let mut form = Words { group: from.group, query: from.q, ..Words::default() };
    if !from.packages.is_empty() {
        form.params = format!("packages={}", from.packages);
        form.title = from.packages;
    }
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
    let mut choices: Vec<_> = ctx
        .catalog
        .job_types()
        .map(|found| Choice {
            title: job_title(ctx, visitor.language, &found.name),
            params: found.params.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
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

/// Shows what it would do; with `then` made, scheduled or made and started.
pub(super) async fn make(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<Words>,
) -> Result<Response, Rejection> {
    match made(&ctx, &form, visitor.name()).await {
        Ok(Made::At(address)) => Ok(Redirect::to(&address).into_response()),
        Ok(Made::Shown(preview)) => {
            Ok(show(&ctx, &visitor, form, None, Some(*preview)).await?.into_response())
        }
        Err(Error::Invalid { title, fields, remedy }) => {
            let problem = Some(Problem { title, fields, remedy });
            Ok(show(&ctx, &visitor, form, problem, None).await?.into_response())
        }
        Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) => {
            let problem =
                Some(Problem { title: error.to_string(), fields: Vec::new(), remedy: String::new() });
            Ok(show(&ctx, &visitor, form, problem, None).await?.into_response())
        }
        Err(error) => Err(error.into()),
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
