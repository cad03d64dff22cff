//! What browsers follow: that something has happened, and the output of an attempt.

use axum::{
    Router,
    extract::{Path, State},
    http::HeaderMap,
    response::IntoResponse,
    routing::get,
};
use wire::AttemptId;

use super::{super::stream, frame::Visitor};
use crate::{
    app::{happenings, job_records},
    context::Ctx,
    http::Rejection,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/live", get(live)).route("/attempts/{id}/output", get(output))
}

/// Says `changed` whenever something has happened; pages then fetch what they show.
async fn live(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Rejection> {
    let newest = {
        let mut tx = ctx.db.read().await?;
        happenings::newest(&mut tx).await?
    };
    let after = stream::last_event_id(&headers).unwrap_or(newest);
    let came = ctx.presence.events();
    Ok(stream::follow(ctx, visitor.actor()?, came, after, |ctx, after| {
        Box::pin(async move {
            let mut tx = ctx.db.read().await?;
            let newest = happenings::newest(&mut tx).await?;
            let items =
                if newest > after { vec![stream::item(newest, "changed", &newest)?] } else { Vec::new() };
            Ok((items, false))
        })
    }))
}

async fn output(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<AttemptId>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Rejection> {
    {
        let mut tx = ctx.db.read().await?;
        job_records::attempt(&mut tx, id).await?;
    }
    Ok(stream::output(ctx, visitor.actor()?, id, stream::last_event_id(&headers).unwrap_or(0)))
}
