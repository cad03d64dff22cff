//! Plain HTTP for firmware, installers and package managers. Nothing here is secret but the one-time token in a boot script.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tower::ServiceExt;
use tower_http::{services::ServeFile, timeout::TimeoutLayer};
use wire::{Mac, Sha256, trust::Trust};

use super::{Rejection, extract::Json, packages, repository};
use crate::{
    app::Error,
    boot::{
        neighbour,
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
        .route("/boot/iso/{file}", get(iso))
        .route("/boot/dhcp", axum::routing::post(dhcp))
        .route("/mirror/{name}/{*path}", get(packages::get))
        .route("/repository/{name}/{*path}", get(repository::get))
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

/// A stored file under a name that ends with `.iso`: `CloudStack` registers no other.
async fn iso(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let sha256 = name.strip_suffix(".iso").and_then(|hash| hash.parse().ok());
    let file = sha256.and_then(|sha256| ctx.blobs.find(&sha256));
    let file = file.ok_or_else(|| Error::not_found(format!("boot ISO {name}")))?;
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
