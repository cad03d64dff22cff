//! JSON for people and scripts, under `/api/v1`.

use axum::Router;

use crate::context::Ctx;

/// All routes of the API.
pub fn router(ctx: Ctx) -> Router {
    Router::new().with_state(ctx)
}
