//! API tokens, for admins: what programs use.

use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Serialize;
use wire::problem::Problem;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    rights::{Fields, RightsForm, shown},
};
use crate::{
    app::{
        Error, groups,
        people::{self, NewToken},
    },
    clock::SECOND,
    context::Ctx,
    domain::people::{ApiToken, Rights, Role},
    http::problem,
};

/// For how many days a token can be made; 0 is for ever.
const DAYS: [i64; 5] = [7, 30, 90, 365, 0];

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/tokens", get(list).post(create)).route("/tokens/{id}/revoke", post(revoke))
}

#[derive(Serialize)]
struct Row {
    id: i64,
    name: String,
    account: Option<String>,
    rights: Vec<(&'static str, String)>,
    read_only: bool,
    state: &'static str,
    until: Option<Moment>,
    used: Option<Moment>,
    created_by: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    tokens: Vec<Row>,
    rights: RightsForm,
    days: [i64; 5],
    name: String,
    chosen_days: i64,
    read_only: bool,
    secret: Option<String>,
    problem: Option<Problem>,
}

struct Wanted {
    name: String,
    rights: Rights,
    days: i64,
    read_only: bool,
}

async fn tokens_page(
    ctx: &Ctx,
    visitor: &Visitor,
    wanted: Wanted,
    secret: Option<String>,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let (tokens, groups) = {
        let mut tx = ctx.db.read().await?;
        let groups = groups::list(ctx, &mut tx, &visitor.actor()?.sees()).await?;
        (people::list_tokens(&mut tx).await?, groups.into_iter().filter(|group| group.query.is_none()))
    };
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let row = |token: ApiToken| Row {
        id: token.id,
        state: match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            (None, _) => "valid",
        },
        rights: shown(&Rights { role: token.role, groups: token.groups }),
        name: token.name,
        account: token.account,
        read_only: token.read_only,
        until: token.expires_at.map(moment),
        used: token.last_used_at.map(moment),
        created_by: token.created_by,
    };
    let view = View {
        page: visitor.frame("/tokens"),
        tokens: tokens.into_iter().map(row).collect(),
        rights: RightsForm::new(&wanted.rights, groups.map(|group| group.name).collect()),
        days: DAYS,
        name: wanted.name,
        chosen_days: wanted.days,
        read_only: wanted.read_only,
        secret,
        problem,
    };
    page(ctx, visitor, "pages/tokens.html", &view)
}

fn nothing() -> Wanted {
    Wanted { name: String::new(), rights: Role::Viewer.into(), days: 90, read_only: false }
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    tokens_page(&ctx, &visitor, nothing(), None, None).await
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let fields = Fields(fields);
    let days = DAYS.into_iter().find(|days| days.to_string() == fields.get("days")).ok_or_else(|| {
        Error::invalid("there is no such time for a token", "choose one of the times that are offered")
    })?;
    let wanted = Wanted {
        name: fields.get("name").to_owned(),
        rights: fields.rights()?,
        days,
        read_only: fields.get("read_only") == "yes",
    };
    let new = NewToken {
        name: wanted.name.clone(),
        role: wanted.rights.role,
        groups: wanted.rights.groups.clone(),
        read_only: wanted.read_only,
        expires_at: (days > 0).then(|| ctx.now() + days * 86_400 * SECOND),
    };
    match people::add_token(&ctx, new, visitor.name()).await {
        Ok(made) => {
            Ok(tokens_page(&ctx, &visitor, nothing(), Some(made.secret), None).await?.into_response())
        }
        Err(error) => {
            let found = problem::mendable(error)?;
            let shown = tokens_page(&ctx, &visitor, wanted, None, Some(found)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
        }
    }
}

async fn revoke(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Redirect, Rejection> {
    people::revoke_token(&ctx, id, visitor.name()).await?;
    Ok(Redirect::to("/tokens"))
}
