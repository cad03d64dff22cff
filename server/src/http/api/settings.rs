//! Settings.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection, tag};
use crate::{
    app::{
        settings::{self, AllSettings, NewValue},
        tag as content,
    },
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(all, change))
}

/// What can be set while the server runs, and what only the configuration decides.
#[utoipa::path(get, path = "/settings", responses((status = 200, body = AllSettings, headers(("ETag" = String, description = "Changes with what is set, for `If-Match`.")))))]
async fn all(State(ctx): State<Ctx>) -> Result<Response, Rejection> {
    view(&ctx).await
}

async fn view(ctx: &Ctx) -> Result<Response, Rejection> {
    let all = settings::all(ctx).await?;
    Ok((tag::header(content::of(&all.values())), Json(all)).into_response())
}

/// Sets what the body names, all of it or nothing; `null` sets the default.
#[utoipa::path(patch, path = "/settings", params(("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 when a setting was changed since.")), request_body = BTreeMap<String, Object>, responses((status = 200, body = AllSettings)))]
async fn change(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    headers: HeaderMap,
    Json(wanted): Json<BTreeMap<String, Value>>,
) -> Result<Response, Rejection> {
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|(name, value)| (name, if value.is_null() { NewValue::Default } else { NewValue::Json(value) }))
        .collect();
    settings::set(&ctx, &wanted, tag::expected(&headers)?.as_deref(), &actor.name).await?;
    view(&ctx).await
}
