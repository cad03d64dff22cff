//! The plain listener: what firmware, installers and package managers reach, and what nobody does.

use harness::server::{Engine, TestServer};
use reqwest::StatusCode;
use serde_json::json;

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
