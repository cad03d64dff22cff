//! Requests that need a second person.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::Redirect,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{approvals, people},
    context::Ctx,
    domain::approval::{Approval, ApprovalState, NotYours},
};

/// Decided requests that are shown.
const ROWS: i64 = 50;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/refuse", post(refuse))
}

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    asked: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    pending: Vec<ApprovalView>,
    decided: Vec<ApprovalView>,
    asked: Option<i64>,
}

#[derive(Serialize)]
struct ApprovalView {
    id: i64,
    summary: String,
    risk: &'static str,
    state: &'static str,
    kind: &'static str,
    asked_by: String,
    at: Moment,
    expires_at: Moment,
    decided_by: String,
    decided_at: Option<Moment>,
    reason: String,
    own: bool,
    may: bool,
    role: &'static str,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Page, Rejection> {
    let now = ctx.now();
    let actor = visitor.actor()?;
    let mut tx = ctx.db.read().await?;
    let person = people::person(&mut tx, &people::pass_word(&actor.pass), &actor.name).await?;
    let view = |approval: Approval, may: Result<(), NotYours>| {
        let moment = |at| Moment::new(at, now, visitor.language);
        ApprovalView {
            id: approval.id,
            summary: approval.summary.clone(),
            risk: approval.risk.as_str(),
            state: approval.state.as_str(),
            kind: match approval.state {
                ApprovalState::Pending => "warn",
                ApprovalState::Approved => "good",
                ApprovalState::Refused => "bad",
                ApprovalState::Withdrawn | ApprovalState::Expired => "",
            },
            asked_by: approval.asked_by.clone(),
            at: moment(approval.asked_at),
            expires_at: moment(approval.expires_at),
            decided_by: approval.decided_by.clone().unwrap_or_default(),
            decided_at: approval.decided_at.map(moment),
            reason: approval.reason.clone(),
            own: may == Err(NotYours::Asked),
            may: may.is_ok(),
            role: approval.role.as_str(),
        }
    };
    let mut pending = Vec::new();
    for approval in approvals::list(&mut tx, &actor, Some(ApprovalState::Pending), i64::MAX, 500).await? {
        let may = approvals::may(&mut tx, &approval, &person, &actor.reach).await?;
        pending.push((approval, may));
    }
    let decided = approvals::list(&mut tx, &actor, None, i64::MAX, ROWS).await?;
    let decided = decided.into_iter().filter(|approval| approval.state != ApprovalState::Pending);
    let view = View {
        page: visitor.frame("/approvals"),
        pending: pending
            .into_iter()
            .filter(|(approval, _)| approval.expires_at > now)
            .map(|(approval, may)| view(approval, may))
            .collect(),
        decided: decided.map(|approval| view(approval, Err(NotYours::Asked))).collect(),
        asked: asked.asked.parse().ok(),
    };
    page(&ctx, &visitor, "pages/approvals.html", &view)
}

async fn approve(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Redirect, Rejection> {
    approvals::approve(&ctx, id, &visitor.actor()?).await?;
    Ok(Redirect::to("/approvals"))
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    reason: String,
}

async fn refuse(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(refusal): Form<Refusal>,
) -> Result<Redirect, Rejection> {
    approvals::refuse(&ctx, id, &visitor.actor()?, &refusal.reason).await?;
    Ok(Redirect::to("/approvals"))
}
