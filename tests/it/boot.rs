//! The plain listener: what firmware, installers and package managers reach, and what nobody does.

use harness::server::{Engine, TestServer, answer};
use reqwest::{Method, StatusCode};
use serde_json::json;
use server::domain::people::Role;

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

#[tokio::test]
async fn the_boot_iso_is_served_as_a_cloud_wants_it_and_tells_when_the_installer_is_newer() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    assert!(server.get("/api/v1/boot-iso").await.unwrap().is_problem(409));
    let stored = server.request(Some(Role::Admin), Method::POST, "/api/v1/blobs").body("an image");
    let blob = answer(stored).await.unwrap().ok().unwrap();
    let image = json!({ "name": "iso", "recipe": blob["sha256"], "parts": { "file": blob } });
    server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    let iso = server.get("/api/v1/boot-iso").await.unwrap().ok().unwrap();
    let url = iso["url"].as_str().unwrap().to_owned();
    assert!(url.ends_with(".iso") && url.starts_with(&server.ctx.addresses.boot), "{url}");
    assert_eq!(iso["checksum"], format!("{{SHA-256}}{}", blob["sha256"].as_str().unwrap()));
    assert_eq!((&iso["size_bytes"], &iso["current"]), (&json!(8), &json!(true)));
    let http = reqwest::Client::builder().build().unwrap();
    // Clouds look how long a file is before they fetch it.
    let head = http.head(&url).send().await.unwrap();
    assert_eq!((head.status(), head.headers()["content-length"].to_str().unwrap()), (StatusCode::OK, "8"));
    assert_eq!(fetch(url.clone()).await, (StatusCode::OK, "an image".to_owned()));
    let (status, _) = fetch(url.replace(".iso", ".img")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let installer = json!({ "name": "installer", "recipe": blob["sha256"], "parts": { "vmlinuz": blob } });
    server.send(Method::POST, "/api/v1/images", &installer).await.unwrap().ok().unwrap();
    assert_eq!(server.get("/api/v1/boot-iso").await.unwrap().ok().unwrap()["current"], false);
    server.stop().await.unwrap();
}
