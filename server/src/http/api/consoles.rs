//! Consoles of clients that are virtual machines: their screens, and what they print.

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Asking, Rejection};
use crate::{
    app::{
        consoles::{self, OpenedConsole},
        serial::{self, SerialOutput},
    },
    context::Ctx,
    http::{
        console::{Upgrade, relayed},
        extract::Json,
    },
    pages::LANGUAGES,
};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(screen)).routes(routes!(output))
}

/// Opens the console of a client that is a virtual machine: with a ticket for this server, or at its provider.
#[utoipa::path(post, path = "/clients/{name}/console", responses((status = 200, body = OpenedConsole)))]
async fn open(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
) -> Result<Json<OpenedConsole>, Rejection> {
    Ok(Json(consoles::open(&ctx, &name, &actor).await?))
}

/// The screen: a WebSocket whose binary messages are RFB (RFC 6143). It offers the subprotocols `binary` and `ticket.` with the ticket.
#[utoipa::path(get, path = "/clients/{name}/console/screen", responses((status = 101, description = "The WebSocket is open; a close frame says why it ends.")))]
async fn screen(
    State(ctx): State<Ctx>,
    Asking(actor): Asking,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Rejection> {
    relayed(ctx, actor, name, LANGUAGES[0], (&headers, upgrade))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct OutputQuery {
    /// From this place on: `next` of the answer before.
    #[serde(default)]
    after: i64,
    /// Only lines with this text, whatever its case.
    #[serde(default)]
    search: String,
}

/// What the machine of a client has printed on its serial line, up to 2000 lines at a time.
#[utoipa::path(get, path = "/clients/{name}/console/output", params(OutputQuery), responses((status = 200, body = SerialOutput)))]
async fn output(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(query): Query<OutputQuery>,
) -> Result<Json<SerialOutput>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(serial::output(&mut tx, &name, query.after, &query.search).await?))
}
