//! Accounts and roles, for admins: who may do what, new people, forgotten passwords.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use super::{
    Rejection,
    account::{Ended, LoginRow},
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
    rights::{Fields, RightsForm, shown},
};
use crate::{
    app::{
        Error,
        accounts::{self, AccountChange, LoginLink, NewAccount},
        groups, second_factors, sessions,
    },
    context::Ctx,
    domain::people::{Account, Rights, Role, Source},
    http::problem,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/accounts", get(list).post(create))
        .route("/accounts/{name}", get(show).post(change))
        .route("/accounts/{name}/login-link", post(login_link))
        .route("/accounts/{name}/logins/end", post(end_login))
        .route("/accounts/{name}/second-factor/end", post(end_second_factor))
        .route("/accounts/{name}/delete", post(delete))
}

#[derive(Serialize)]
struct Row {
    name: String,
    full_name: String,
    source: &'static str,
    rights: Vec<(&'static str, String)>,
    disabled: bool,
    second_factor: bool,
    never: bool,
    last_login: Option<Moment>,
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    accounts: Vec<Row>,
    form: NewForm,
    rights: RightsForm,
    problem: Option<Problem>,
    done: String,
}

#[derive(Default, Serialize)]
struct NewForm {
    name: String,
    full_name: String,
}

async fn group_names(ctx: &Ctx, visitor: &Visitor) -> Result<Vec<String>, Error> {
    let mut tx = ctx.db.read().await?;
    let all = groups::list(ctx, &mut tx, &visitor.actor()?.sees()).await?;
    Ok(all.into_iter().filter(|group| group.query.is_none()).map(|group| group.name).collect())
}

async fn list_page(
    ctx: &Ctx,
    visitor: &Visitor,
    form: NewForm,
    rights: &Rights,
    problem: Option<Problem>,
    done: &str,
) -> Result<Page, Rejection> {
    let all = {
        let mut tx = ctx.db.read().await?;
        accounts::list(&mut tx).await?
    };
    let row = |account: Account| Row {
        source: account.source.as_str(),
        rights: shown(&account.rights),
        disabled: account.disabled_at.is_some(),
        second_factor: account.has_second_factor,
        never: account.source == Source::Local && !account.has_password,
        last_login: account.last_login_at.map(|at| Moment::new(at, ctx.now(), visitor.language)),
        name: account.name,
        full_name: account.full_name,
    };
    let view = ListView {
        page: visitor.frame("/accounts"),
        accounts: all.into_iter().map(row).collect(),
        form,
        rights: RightsForm::new(rights, group_names(ctx, visitor).await?),
        problem,
        done: done.to_owned(),
    };
    page(ctx, visitor, "pages/accounts.html", &view)
}

#[derive(Default, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(query): Query<Done>,
) -> Result<Page, Rejection> {
    let done = if query.done == "deleted" { "deleted" } else { "" };
    list_page(&ctx, &visitor, NewForm::default(), &Role::Viewer.into(), None, done).await
}

#[derive(Serialize)]
struct LinkView {
    page: Frame,
    name: String,
    link: String,
    until: Moment,
    new: bool,
}

fn link_page(ctx: &Ctx, visitor: &Visitor, link: LoginLink, new: bool) -> Result<Response, Rejection> {
    let view = LinkView {
        page: visitor.frame("/accounts"),
        name: link.account,
        link: link.link,
        until: Moment::new(link.expires_at, ctx.now(), visitor.language),
        new,
    };
    Ok(page(ctx, visitor, "pages/login-link.html", &view)?.into_response())
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let fields = Fields(fields);
    let form = NewForm { name: fields.get("name").to_owned(), full_name: fields.get("full_name").to_owned() };
    let rights = fields.rights()?;
    let new =
        NewAccount { name: form.name.clone(), full_name: form.full_name.clone(), rights: rights.clone() };
    match accounts::create(&ctx, &new, visitor.name()).await {
        Ok(link) => link_page(&ctx, &visitor, link, true),
        Err(error) => {
            let found = problem::mendable(error)?;
            let shown = list_page(&ctx, &visitor, form, &rights, Some(found), "").await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
        }
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct View {
    page: Frame,
    name: String,
    full_name: String,
    source: &'static str,
    is_local: bool,
    is_own: bool,
    disabled: bool,
    has_password: bool,
    second_factor: bool,
    rights: RightsForm,
    given: Vec<(&'static str, String)>,
    created: Moment,
    last_login: Option<Moment>,
    checked: Option<Moment>,
    logins: Vec<LoginRow>,
    problem: Option<Problem>,
    done: String,
}

async fn account_page(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    problem: Option<Problem>,
    done: &str,
) -> Result<Page, Rejection> {
    let account = {
        let mut tx = ctx.db.read().await?;
        accounts::get(&mut tx, name).await?
    };
    let actor = visitor.actor()?;
    let logins = sessions::list(ctx, account.id, &actor).await?;
    let moment = |at| Moment::new(at, ctx.now(), visitor.language);
    let view = View {
        page: visitor.frame("/accounts"),
        source: account.source.as_str(),
        is_local: account.source == Source::Local,
        is_own: actor.account == Some(account.id),
        disabled: account.disabled_at.is_some(),
        has_password: account.has_password,
        second_factor: account.has_second_factor,
        rights: RightsForm::new(&account.rights, group_names(ctx, visitor).await?),
        given: shown(&account.rights),
        created: moment(account.created_at),
        last_login: account.last_login_at.map(moment),
        checked: account.checked_at.map(moment),
        logins: logins.into_iter().map(|login| LoginRow::new(login, ctx.now(), visitor.language)).collect(),
        problem,
        done: done.to_owned(),
        name: account.name,
        full_name: account.full_name,
    };
    page(ctx, visitor, "pages/account-of.html", &view)
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<Done>,
) -> Result<Page, Rejection> {
    let known = ["changed", "login", "second-factor-off"];
    let done = known.into_iter().find(|word| *word == query.done).unwrap_or_default();
    account_page(&ctx, &visitor, &name, None, done).await
}

fn done(name: &str, word: &str) -> Response {
    Redirect::to(&format!("/accounts/{}?done={word}", query_encoded(name))).into_response()
}

async fn change(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let fields = Fields(fields);
    let change = match fields.get("disabled") {
        "yes" => AccountChange { disabled: Some(true), ..AccountChange::default() },
        "no" => AccountChange { disabled: Some(false), ..AccountChange::default() },
        _ => AccountChange {
            full_name: Some(fields.get("full_name").to_owned()),
            rights: Some(fields.rights()?),
            disabled: None,
        },
    };
    match accounts::change(&ctx, &name, &change, None, visitor.name()).await {
        Ok(_) => Ok(done(&name, "changed")),
        Err(error) => refused(&ctx, &visitor, &name, error).await,
    }
}

async fn refused(ctx: &Ctx, visitor: &Visitor, name: &str, error: Error) -> Result<Response, Rejection> {
    let found = problem::mendable(error)?;
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    Ok((status, account_page(ctx, visitor, name, Some(found), "").await?).into_response())
}

async fn login_link(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    match accounts::link(&ctx, &name, visitor.name()).await {
        Ok(link) => link_page(&ctx, &visitor, link, false),
        Err(error) => refused(&ctx, &visitor, &name, error).await,
    }
}

async fn end_login(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(ended): Form<Ended>,
) -> Result<Response, Rejection> {
    let actor = visitor.actor()?;
    let account = {
        let mut tx = ctx.db.read().await?;
        accounts::get(&mut tx, &name).await?
    };
    if ended.id.is_empty() {
        sessions::revoke_all(&ctx, &account, &actor).await?;
    } else {
        sessions::revoke(&ctx, account.id, &ended.id, &actor.name).await?;
    }
    Ok(done(&name, "login"))
}

async fn end_second_factor(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    second_factors::reset(&ctx, &name, visitor.name()).await?;
    Ok(done(&name, "second-factor-off"))
}

#[derive(Default, Deserialize)]
struct Confirmed {
    #[serde(default)]
    confirmed: String,
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<Confirmed>,
) -> Result<Response, Rejection> {
    let deleted = if form.confirmed.trim() == name {
        accounts::delete(&ctx, &name, visitor.name()).await
    } else {
        Err(Error::invalid("that is not the name of the account", "type the name exactly to delete it"))
    };
    match deleted {
        Ok(()) => Ok(Redirect::to("/accounts?done=deleted").into_response()),
        Err(error) => refused(&ctx, &visitor, &name, error).await,
    }
}
