//! Groups: made, changed, removed. Who belongs to one is the list of clients, searched by it.

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
};
use crate::{
    app::groups::{self, Group, GroupChange},
    context::Ctx,
    domain::people::Role,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/groups", get(list).post(create))
        .route("/groups/{name}", get(show).post(change))
        .route("/groups/{name}/delete", post(delete))
}

#[derive(Default, Serialize, Deserialize)]
struct GroupForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    query: String,
}

#[derive(Serialize)]
struct GroupRow {
    name: String,
    description: String,
    query: String,
    members: i64,
    href: String,
}

impl From<Group> for GroupRow {
    fn from(group: Group) -> Self {
        Self {
            href: format!("/clients?q={}", query_encoded(&format!("group:{}", group.name))),
            name: group.name,
            description: group.description,
            query: group.query.unwrap_or_default(),
            members: group.members,
        }
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    groups: Vec<GroupRow>,
    form: GroupForm,
    problem: Option<Problem>,
    may_change: bool,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    listed(&ctx, &visitor, GroupForm::default(), None).await
}

async fn listed(
    ctx: &Ctx,
    visitor: &Visitor,
    form: GroupForm,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let groups =
        groups::list(ctx, &mut tx, &visitor.actor()?.sees()).await?.into_iter().map(GroupRow::from).collect();
    let may_change = visitor.may(Role::Operator);
    let view = ListView { page: visitor.frame("/groups"), groups, form, problem, may_change };
    page(ctx, visitor, "pages/groups.html", &view)
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<GroupForm>,
) -> Result<Response, Rejection> {
    let query = Some(form.query.trim()).filter(|query| !query.is_empty());
    match groups::create(&ctx, form.name.trim(), form.description.trim(), query, visitor.name()).await {
        Ok(()) => Ok(Redirect::to("/groups").into_response()),
        Err(error) => {
            Ok(listed(&ctx, &visitor, form, Some(problem::mendable(error)?)).await?.into_response())
        }
    }
}

#[derive(Serialize)]
struct GroupView {
    page: Frame,
    group: GroupRow,
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
    form: Option<GroupForm>,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let mut group = GroupRow::from(groups::get(ctx, &mut tx, name).await?);
    if let Some(form) = form {
        (group.description, group.query) = (form.description, form.query);
    }
    let may_change = visitor.may(Role::Operator);
    let view = GroupView { page: visitor.frame("/groups"), group, problem, may_change };
    page(ctx, visitor, "pages/group.html", &view)
}

async fn change(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<GroupForm>,
) -> Result<Response, Rejection> {
    let query = Some(form.query.trim().to_owned()).filter(|query| !query.is_empty());
    let change = GroupChange { description: Some(form.description.trim().to_owned()), query };
    match groups::update(&ctx, &name, &change, None, visitor.name()).await {
        Ok(()) => Ok(Redirect::to("/groups").into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(shown(&ctx, &visitor, &name, Some(form), problem).await?.into_response())
        }
    }
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    groups::delete(&ctx, &name, visitor.name()).await?;
    Ok(Redirect::to("/groups"))
}
