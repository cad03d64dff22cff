//! What agents call. Enrolment is on the open HTTPS listener; everything else needs the agent's certificate, looked up at every request.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{DefaultBodyLimit, FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tower_http::timeout::TimeoutLayer;
use wire::{
    AttemptId, ClientId,
    console::{ConsoleRefusal, ConsolesRequest, ConsolesResponse, SerialPiece, SerialResponse},
    enrol::{EnrolRequest, EnrolResponse, Identity, RenewRequest},
    event::{ReportRequest, ReportResponse},
    facts::Facts,
    packages::{PackagesRequest, PackagesResponse},
    poll::{PollRequest, PollResponse},
    survey::Survey,
};

use super::{
    Rejection,
    extract::Json,
    sent::{LARGEST_PACKAGE, sent},
};
use crate::{
    app::{Error, agents, enrolment, integration, inventory, repositories, serial},
    consoles::{NotWanted, Shown},
    context::Ctx,
    identity::tls::Peer,
};

/// Facts of a machine with many disks are the largest message.
const LARGEST_MESSAGE: usize = 4 << 20;

/// A stranger may say less: what strangers announce is kept for thousands of them, and read when clients are listed.
const LARGEST_OF_STRANGERS: usize = 512 << 10;

/// Longer than any poll waits; a message that takes longer to arrive is given up.
const LONGEST: Duration = Duration::from_secs(90);

/// Route of the open HTTPS listener.
pub fn enrolment(ctx: Ctx) -> Router {
    Router::new()
        .route("/agent/v1/enrol", post(enrol))
        .layer(DefaultBodyLimit::max(LARGEST_OF_STRANGERS))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST))
        .with_state(ctx)
}

/// Routes of the agents' listener.
pub fn router(ctx: Ctx) -> Router {
    Router::new()
        .route("/agent/v1/renew", post(renew))
        .route("/agent/v1/poll", post(poll))
        .route("/agent/v1/facts", post(facts))
        .route("/agent/v1/survey", post(survey))
        .route("/agent/v1/packages", post(packages))
        .route("/agent/v1/attempts/{id}/report", post(report))
        .route("/agent/v1/attempts/{id}/secrets/{reference}", get(secret))
        .route("/agent/v1/consoles", post(consoles))
        .route("/agent/v1/consoles/{link}/refusal", post(refuse_console))
        .route("/agent/v1/serial", post(printed))
        .layer(DefaultBodyLimit::max(LARGEST_MESSAGE))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST))
        // As large as a package is, and as long as it comes.
        .route("/agent/v1/attempts/{id}/packages", post(package))
        // For as long as somebody looks.
        .route("/agent/v1/consoles/{link}", post(console))
        .with_state(ctx)
}

/// Longest time that a question for consoles may wait here.
const LONGEST_WAIT_S: u32 = 60;
/// Pieces of what a person does that wait for the agent.
const PIECES: usize = 16;
/// Longest reason of an agent, in letters.
const LONGEST_REASON: usize = 300;

/// The client that asks, by its certificate.
struct Asking(ClientId);

impl FromRequestParts<Ctx> for Asking {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> Result<Self, Rejection> {
        let Extension(Peer(serial)) = Extension::<Peer>::from_request_parts(parts, ctx)
            .await
            .map_err(|_| Error::Unauthenticated("the connection has no client certificate".to_owned()))?;
        Ok(Self(agents::authenticate(ctx, &serial).await?))
    }
}

async fn enrol(
    State(ctx): State<Ctx>,
    Json(request): Json<EnrolRequest>,
) -> Result<Json<EnrolResponse>, Rejection> {
    Ok(Json(enrolment::enrol(&ctx, &request).await?))
}

async fn renew(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(request): Json<RenewRequest>,
) -> Result<Json<Identity>, Rejection> {
    Ok(Json(enrolment::renew(&ctx, client, &request).await?))
}

async fn poll(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(request): Json<PollRequest>,
) -> Result<Json<PollResponse>, Rejection> {
    let _counted = ctx.metrics.poll();
    Ok(Json(agents::poll(&ctx, client, &request).await?))
}

async fn facts(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(facts): Json<Facts>,
) -> Result<Json<()>, Rejection> {
    agents::facts(&ctx, client, &facts).await?;
    Ok(Json(()))
}

async fn survey(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(survey): Json<Survey>,
) -> Result<Json<()>, Rejection> {
    integration::receive(&ctx, client, &survey).await?;
    Ok(Json(()))
}

async fn packages(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(request): Json<PackagesRequest>,
) -> Result<Json<PackagesResponse>, Rejection> {
    Ok(Json(inventory::receive(&ctx, client, &request).await?))
}

async fn report(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Path(id): Path<AttemptId>,
    Json(request): Json<ReportRequest>,
) -> Result<Json<ReportResponse>, Rejection> {
    Ok(Json(agents::report(&ctx, client, id, &request).await?))
}

async fn secret(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Path((id, reference)): Path<(AttemptId, String)>,
) -> Result<Json<String>, Rejection> {
    Ok(Json(agents::secret(&ctx, client, id, &reference).await?))
}

async fn package(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Path(id): Path<AttemptId>,
    body: Body,
) -> Result<StatusCode, Rejection> {
    let content = std::pin::pin!(sent(body, LARGEST_PACKAGE));
    repositories::taken(&ctx, client, id, content).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until somebody wants to see the screen of a machine of this host.
async fn consoles(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(request): Json<ConsolesRequest>,
) -> Result<Json<ConsolesResponse>, Rejection> {
    let wait = Duration::from_secs(request.wait_s.min(LONGEST_WAIT_S).into());
    let wanted = tokio::select! {
        wanted = tokio::time::timeout(wait, ctx.consoles.wanted(client)) => wanted.unwrap_or_default(),
        () = ctx.presence.closing().cancelled() => Vec::new(),
    };
    Ok(Json(ConsolesResponse { wanted }))
}

/// Shows a screen: what it says is the request, what the person does is the answer.
async fn console(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Path(link): Path<String>,
    body: Body,
) -> Result<Body, Rejection> {
    let (input, done) = mpsc::channel(PIECES);
    let screen = body.into_data_stream().map_err(std::io::Error::other).boxed();
    ctx.consoles.answer(client, &link, Ok(Shown { screen, input })).map_err(not_wanted)?;
    Ok(Body::from_stream(ReceiverStream::new(done).map(Ok::<_, Infallible>)))
}

async fn refuse_console(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Path(link): Path<String>,
    Json(refusal): Json<ConsoleRefusal>,
) -> Result<StatusCode, Rejection> {
    let reason = refusal.reason.chars().filter(|sign| !sign.is_control()).take(LONGEST_REASON).collect();
    ctx.consoles.answer(client, &link, Err(reason)).map_err(not_wanted)?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_wanted(NotWanted: NotWanted) -> Error {
    Error::not_found("somebody who waits for this console")
}

async fn printed(
    State(ctx): State<Ctx>,
    Asking(client): Asking,
    Json(piece): Json<SerialPiece>,
) -> Result<Json<SerialResponse>, Rejection> {
    Ok(Json(serial::receive(&ctx, client, &piece).await?))
}
