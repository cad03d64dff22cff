//! Settings.

use std::collections::BTreeMap;

use axum::extract::State;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::settings::{self, AllSettings, NewValue},
    context::Ctx,
    http::extract::Json,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(all, change))
}

/// What can be set while the server runs, and what only the configuration decides.
#[utoipa::path(get, path = "/settings", responses((status = 200, body = AllSettings)))]
async fn all(State(ctx): State<Ctx>) -> Result<Json<AllSettings>, Rejection> {
    Ok(Json(settings::all(&ctx).await?))
}

/// Sets what the body names, all of it or nothing; `null` sets the default.
#[utoipa::path(patch, path = "/settings", request_body = BTreeMap<String, Object>, responses((status = 200, body = AllSettings)))]
async fn change(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Json(wanted): Json<BTreeMap<String, Value>>,
) -> Result<Json<AllSettings>, Rejection> {
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|(name, value)| (name, if value.is_null() { NewValue::Default } else { NewValue::Json(value) }))
        .collect();
    settings::set(&ctx, &wanted, &actor.name).await?;
    Ok(Json(settings::all(&ctx).await?))
}
