//! Plain HTTP for firmware, installers and package managers. Nothing here is secret but the one-time token in a boot script.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_http::{services::ServeFile, timeout::TimeoutLayer};
use wire::{Mac, Sha256, trust::Trust};

use super::{Rejection, extract::Json};
use crate::{
    app::Error,
    boot::{
        mirror, neighbour,
        script::{self, Program},
        timeline,
    },
    context::Ctx,
    domain::boot::BootEventKind,
};

/// Nobody waits longer for the beginning of an answer; a mirror that does not connect or is silent is given up before.
const LONGEST: Duration = Duration::from_secs(90);

/// All routes of the plain listener.
pub fn router(ctx: Ctx) -> Router {
    Router::new()
        .route("/boot/ipxe", get(ipxe))
        .route("/boot/trust", get(trust))
        .route("/boot/ca.pem", get(ca))
        .route("/boot/blobs/{sha256}", get(blob))
        .route("/boot/dhcp", axum::routing::post(dhcp))
        .route("/mirror/{name}/{*path}", get(pull_through))
        .layer(DefaultBodyLimit::max(4096))
        // Until the answer begins: files may take as long as they move.
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST))
        .with_state(ctx)
}

#[derive(Deserialize)]
struct Machine {
    mac: Mac,
    #[serde(default)]
    platform: String,
}

async fn ipxe(State(ctx): State<Ctx>, Query(machine): Query<Machine>) -> Result<Response, Rejection> {
    let (decision, text) = script::render(&ctx, machine.mac, Program::Ipxe).await?;
    let firmware =
        if machine.platform.is_empty() { String::new() } else { format!(" ({})", machine.platform) };
    timeline::note(
        &ctx,
        machine.mac,
        BootEventKind::Script,
        &format!("iPXE{firmware} was told: {decision:?}"),
    )
    .await;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text)
        .into_response())
}

#[derive(Deserialize)]
struct Nonce {
    nonce: String,
}

async fn trust(
    State(ctx): State<Ctx>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(query): Query<Nonce>,
) -> Result<Json<Trust>, Rejection> {
    if query.nonce.len() > 128
        || !query.nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Error::invalid(
            "the nonce must be up to 128 letters, digits, - and _",
            "send a fresh random nonce",
        )
        .into());
    }
    if let Some(mac) = neighbour::of(peer.ip()).await {
        timeline::note(&ctx, mac, BootEventKind::Trust, "the agent fetched the CA and the time").await;
    }
    let trust =
        ctx.authority.trust(&query.nonce, ctx.now()).map_err(|error| Error::Internal(error.into()))?;
    Ok(Json(trust))
}

async fn ca(State(ctx): State<Ctx>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], ctx.authority.ca_pem().to_owned()).into_response()
}

#[derive(Deserialize)]
struct BlobQuery {
    #[serde(default)]
    mac: Option<Mac>,
    #[serde(default)]
    part: String,
}

async fn blob(
    State(ctx): State<Ctx>,
    Path(sha256): Path<Sha256>,
    Query(query): Query<BlobQuery>,
    request: Request,
) -> Result<Response, Rejection> {
    let file = ctx.blobs.find(&sha256).ok_or_else(|| Error::not_found(format!("blob {sha256}")))?;
    if let Some(mac) = query.mac {
        match query.part.as_str() {
            "kernel" => timeline::note(&ctx, mac, BootEventKind::Kernel, "over HTTP").await,
            "initramfs" => timeline::note(&ctx, mac, BootEventKind::Initramfs, "over HTTP").await,
            _ => {}
        }
    }
    let Ok(response) = ServeFile::new(file).oneshot(request).await;
    Ok(response.into_response())
}

/// What `lotse pxe event` reports of the DHCP server on this machine.
#[derive(Deserialize)]
struct DhcpEvent {
    action: String,
    mac: Mac,
    address: std::net::IpAddr,
}

async fn dhcp(State(ctx): State<Ctx>, Json(event): Json<DhcpEvent>) -> Result<StatusCode, Rejection> {
    let words = match event.action.as_str() {
        "add" | "old" => format!("has the address {}", event.address),
        "del" => format!("the lease of {} ended", event.address),
        _ => {
            return Err(Error::invalid(
                "the action must be add, old or del",
                "see dnsmasq(8), --dhcp-script",
            )
            .into());
        }
    };
    timeline::note(&ctx, event.mac, BootEventKind::Dhcp, &words).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Headers that make sense between apt and its mirror, in both directions.
const REQUEST_HEADERS: [header::HeaderName; 4] =
    [header::RANGE, header::IF_RANGE, header::IF_MODIFIED_SINCE, header::IF_NONE_MATCH];
const RESPONSE_HEADERS: [header::HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::LAST_MODIFIED,
    header::ETAG,
    header::CACHE_CONTROL,
];

async fn pull_through(
    State(ctx): State<Ctx>,
    Path((name, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let base = ctx.mirrors.url(&name).ok_or_else(|| Error::not_found(format!("mirror {name}")))?;
    if !mirror::is_plain(&path) {
        return Err(Error::invalid(
            "the path is not a plain path below the mirror",
            "ask for a file as the index names it",
        )
        .into());
    }
    let mut request = ctx.mirrors.client().get(format!("{base}/{path}")).timeout(Duration::from_hours(1));
    for name in REQUEST_HEADERS {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let upstream = request.send().await.map_err(|error| {
        if error.is_redirect() {
            let error = anyhow::Error::from(error);
            let reason = error.root_cause().to_string();
            tracing::warn!(mirror = name, path, reason, "a redirect is not followed");
            return Error::Unavailable {
                title: format!("the mirror {name} cannot be used: {reason}"),
                remedy: format!(
                    "name the mirror's real address in the server's configuration: mirrors = [\"{name}=URL\"]"
                ),
            };
        }
        tracing::warn!(
            mirror = name,
            path,
            error = format!("{:#}", anyhow::Error::from(error)),
            "the mirror does not answer"
        );
        Error::Unavailable {
            title: format!("the mirror {name} does not answer"),
            remedy: "look whether the server reaches its own package mirror: `apt-get update` there"
                .to_owned(),
        }
    })?;
    let mut response = Response::builder().status(upstream.status());
    for name in RESPONSE_HEADERS {
        if let Some(value) = upstream.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let body = Body::from_stream(upstream.bytes_stream().map_err(std::io::Error::other));
    response.body(body).map_err(|error| Error::Internal(error.into()).into())
}
