//! The plain listener: what firmware, installers and package managers reach, and what nobody does.

use axum::{Router, routing::get};
use harness::server::{Engine, TestServer, config};
use reqwest::StatusCode;
use serde_json::json;
use server::{clock::Clock, startup::Server};
use tokio_util::sync::CancellationToken;

async fn fetch(url: String) -> (StatusCode, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_unknown_machine_is_told_to_wait_until_there_is_an_installer() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let (status, text) =
        fetch(format!("{}/boot/ipxe?mac=52%3A54%3A00%3A12%3A34%3A56", server.ctx.addresses.boot)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        text.starts_with("#!ipxe") && text.contains("lotse image build") && !text.contains("lotse.token"),
        "{text}"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_time_is_signed_for_one_nonce_and_garbage_is_refused() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let boot = &server.ctx.addresses.boot;
    let (status, text) = fetch(format!("{boot}/boot/trust?nonce=abc")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("\"nonce\":\"abc\""), "{text}");
    for path in [
        "/boot/trust",
        "/boot/trust?nonce=a%0ab",
        "/boot/blobs/..%2fkeys",
        "/boot/ipxe?mac=zz",
        "/etc/passwd",
    ] {
        let (status, _) = fetch(format!("{boot}{path}")).await;
        assert!(status.is_client_error(), "{path} gave {status}");
    }
    let (status, _) = fetch(format!("{boot}/boot/trust?nonce={}", "a".repeat(200))).await;
    assert!(status.is_client_error());
    server.stop().await.unwrap();
}

/// A mirror that the test made, and a server that takes packages from it.
async fn with_mirror(mirror: &str) -> (tempfile::TempDir, String, CancellationToken) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path().join("data"), None);
    config.mirrors =
        vec![("debian".to_owned(), mirror.to_owned()), ("node_20.x".to_owned(), mirror.to_owned())];
    let server = Server::bind(config, Clock::system()).await.unwrap();
    let boot = server.ctx().addresses.boot.clone();
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    (directory, boot, stop)
}

#[tokio::test]
async fn packages_come_through_from_the_named_mirror_and_from_nowhere_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/debian/pool/a.deb", get(async || "a package"))
        .route("/secret", get(async || "not for you"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let (_directory, boot, stop) = with_mirror(&format!("http://{address}/debian")).await;
    assert_eq!(
        fetch(format!("{boot}/mirror/debian/pool/a.deb")).await,
        (StatusCode::OK, "a package".to_owned())
    );
    assert_eq!(fetch(format!("{boot}/mirror/debian/pool/b.deb")).await.0, StatusCode::NOT_FOUND);
    for path in [
        "/mirror/debian/..%2fsecret",
        "/mirror/debian/../secret",
        "/mirror/debian/%2e%2e/secret",
        "/mirror/other/pool/a.deb",
        "/mirror/node_20.x/pool/a.deb",
        "/mirror/debian/http://127.0.0.1/secret?x",
        "/mirror/debian//secret",
    ] {
        let (status, text) = fetch(format!("{boot}{path}")).await;
        assert!(status.is_client_error() && !text.contains("not for you"), "{path} gave {status}: {text}");
    }
    stop.cancel();
}

#[tokio::test]
async fn a_mirror_that_is_down_is_said_to_be_down() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_directory, boot, stop) = with_mirror(&format!("http://{address}/debian")).await;
    let (status, text) = fetch(format!("{boot}/mirror/debian/dists/x")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the mirror debian does not answer") && text.contains("apt-get update"), "{text}");
    stop.cancel();
}

#[tokio::test]
async fn a_lease_is_on_the_timeline_and_an_oversized_one_is_refused() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let url = format!("{}/boot/dhcp", server.ctx.addresses.boot);
    let http = reqwest::Client::builder().build().unwrap();
    let lease = json!({ "action": "add", "mac": "52:54:00:12:34:56", "address": "10.0.0.5" });
    assert_eq!(http.post(&url).json(&lease).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let huge = json!({ "action": "a".repeat(10_000), "mac": "52:54:00:12:34:56", "address": "10.0.0.5" });
    assert_eq!(http.post(&url).json(&huge).send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    server.stop().await.unwrap();
}
