//! Selections of packages: made, imported, changed, given to groups; who differs from them, and the way to mend that.

use axum::{
    Form, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        Error, groups,
        selections::{self, Counts, SelectionRecord, Standing},
    },
    context::Ctx,
    domain::{people::Role, selection::Contents},
};

/// Changes of a selection that are shown.
const REVISIONS: usize = 20;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/selections", get(list).post(create))
        .route("/selection-imports", post(import))
        .route("/selections/{name}", get(show).post(change))
        .route("/selections/{name}/file", get(file))
        .route("/selections/{name}/groups", post(group))
        .route("/selections/{name}/repair", post(repair))
        .route("/selections/{name}/delete", post(delete))
}

/// A selection as a form holds it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Typed {
    name: String,
    description: String,
    order: String,
    /// Names with spaces or line ends between them.
    install: String,
    remove: String,
    purge: String,
    /// One in a line.
    answers: String,
    revision: Option<i64>,
    yaml: String,
}

impl Typed {
    fn of(name: &str, revision: i64, contents: Contents) -> Self {
        Self {
            name: name.to_owned(),
            description: contents.description,
            order: contents.order.to_string(),
            install: contents.install.join("\n"),
            remove: contents.remove.join("\n"),
            purge: if contents.purge { "yes" } else { "" }.to_owned(),
            answers: contents.answers.join("\n"),
            revision: Some(revision),
            yaml: String::new(),
        }
    }

    fn contents(&self) -> Result<Contents, Error> {
        let words = |text: &str| {
            text.split([' ', '\n', '\r', '\t', ','])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let order = match self.order.trim() {
            "" => 0,
            text => text.parse().map_err(|_| {
                Error::invalid(format!("`{text}` is no place in an order"), "give a whole number, or nothing")
            })?,
        };
        Ok(Contents {
            description: self.description.trim().to_owned(),
            order,
            install: words(&self.install),
            remove: words(&self.remove),
            purge: !self.purge.is_empty(),
            answers: self
                .answers
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    selections: Vec<SelectionRecord>,
    form: Typed,
    problem: Option<Problem>,
    may_change: bool,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    listed(&ctx, &visitor, Typed::default(), None).await
}

async fn listed(
    ctx: &Ctx,
    visitor: &Visitor,
    form: Typed,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let view = ListView {
        page: visitor.frame("/selections"),
        selections: selections::list(&mut tx).await?,
        form,
        problem,
        may_change: visitor.may(Role::Operator),
    };
    page(ctx, visitor, "pages/selections.html", &view)
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<Typed>,
) -> Result<Response, Rejection> {
    let name = form.name.trim().to_owned();
    let made = match form.contents() {
        Ok(contents) => match taken(&ctx, &name).await {
            Ok(()) => selections::set(&ctx, &name, &contents, None, visitor.name()).await.map(drop),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => Ok(Redirect::to(&format!("/selections/{name}")).into_response()),
        Err(error) => {
            Ok(listed(&ctx, &visitor, form, Some(problem::mendable(error)?)).await?.into_response())
        }
    }
}

/// A new selection does not change one that is there.
async fn taken(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let mut tx = ctx.db.read().await?;
    match selections::get(&mut tx, name).await {
        Ok(_) => Err(Error::conflict(
            format!("the selection {name} exists already"),
            "change that one, or choose another name",
        )),
        Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn import(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<Typed>,
) -> Result<Response, Rejection> {
    let done = match selections::read_file(&form.yaml) {
        Ok(file) => selections::set(&ctx, &file.name, &file.contents, None, visitor.name()).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(selection) => Ok(Redirect::to(&format!("/selections/{}", selection.name)).into_response()),
        Err(error) => {
            Ok(listed(&ctx, &visitor, form, Some(problem::mendable(error)?)).await?.into_response())
        }
    }
}

#[derive(Serialize)]
struct RevisionView {
    revision: i64,
    by: String,
    at: Moment,
    contents: Contents,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    counts: Counts,
    groups: Vec<String>,
    /// Groups that do not have it.
    others: Vec<String>,
    drifting: Vec<Standing>,
    revisions: Vec<RevisionView>,
    members_href: String,
    drifting_href: String,
    form: Typed,
    problem: Option<Problem>,
    may_change: bool,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    shown(&ctx, &visitor, &name, None, None).await
}

async fn shown(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: Option<Typed>,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let SelectionRecord { selection, counts } = selections::record(&mut tx, name).await?;
    let known = groups::list(ctx, &mut tx, &visitor.actor()?.sees()).await?;
    let others = known.into_iter().map(|group| group.name).filter(|name| !selection.groups.contains(name));
    let revisions = selections::revisions(&mut tx, name).await?.into_iter().take(REVISIONS);
    let view = View {
        page: visitor.frame("/selections"),
        counts,
        others: others.collect(),
        drifting: selections::drifting(&mut tx, name).await?,
        revisions: revisions
            .map(|it| RevisionView {
                revision: it.revision,
                by: it.by,
                at: Moment::new(it.at, ctx.now(), visitor.language),
                contents: it.contents,
            })
            .collect(),
        members_href: format!("/clients?q={}", query_encoded(&format!("selection:{name}"))),
        drifting_href: format!("/clients?q={}", query_encoded(&format!("selection:{name} drift:yes"))),
        groups: selection.groups,
        form: form.unwrap_or_else(|| Typed::of(name, selection.revision, selection.contents)),
        name: selection.name,
        problem,
        may_change: visitor.may(Role::Operator),
    };
    page(ctx, visitor, "pages/selection.html", &view)
}

async fn change(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<Typed>,
) -> Result<Response, Rejection> {
    let changed = match form.contents() {
        Ok(contents) => {
            selections::set(&ctx, &name, &contents, form.revision, visitor.name()).await.map(drop)
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => Ok(Redirect::to(&format!("/selections/{name}")).into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(shown(&ctx, &visitor, &name, Some(form), problem).await?.into_response())
        }
    }
}

async fn file(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let text = selections::file(&mut tx, &name).await?;
    let head = [
        ("content-type", "application/yaml".to_owned()),
        ("content-disposition", format!("attachment; filename=\"{name}.yaml\"")),
    ];
    Ok((head, text).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupForm {
    group: String,
    what: String,
}

async fn group(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<GroupForm>,
) -> Result<Redirect, Rejection> {
    selections::set_group(&ctx, &name, &form.group, form.what != "detach", visitor.name()).await?;
    Ok(Redirect::to(&format!("/selections/{name}")))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RepairForm {
    client: String,
    /// The page to go back to.
    back: String,
}

/// Brings one client to the selection; many are brought there by an order for many, or by a rollout.
async fn repair(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<RepairForm>,
) -> Result<Redirect, Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = crate::app::clients::get(&mut tx, &form.client).await?;
    drop(tx);
    let job = selections::apply(&ctx, client.id, &name, false, visitor.name()).await?;
    let to = if form.back == "job" { format!("/jobs/{job}") } else { format!("/selections/{name}") };
    Ok(Redirect::to(&to))
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    selections::delete(&ctx, &name, visitor.name()).await?;
    Ok(Redirect::to("/selections"))
}
