//! Bad requests: each is answered by a problem document that says what to do, and none harms the server.

use harness::server::{Engine, TestServer, answer};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::json;
use server::domain::people::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) async fn whatever_refuses_a_request_answers_with_a_problem(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let admin = |method: Method, path: &str| server.request(Some(Role::Admin), method, path);
    let json_body = |text: &'static str| (CONTENT_TYPE, "application/json", text);
    let cases = [
        (404, admin(Method::GET, "/api/v1/nothing")),
        (404, admin(Method::GET, "/nothing")),
        (405, admin(Method::PUT, "/api/v1/clients")),
        (404, admin(Method::GET, "/api/v1/clients/nobody")),
        (400, admin(Method::GET, "/api/v1/jobs/first")),
        (400, admin(Method::GET, "/api/v1/clients?stage=asleep")),
        (400, admin(Method::GET, "/api/v1/clients?stgae=installed")),
        (415, admin(Method::POST, "/api/v1/clients").header(CONTENT_TYPE, "text/plain").body("{}")),
    ];
    for (status, request) in cases {
        let got = answer(request).await.unwrap();
        assert!(got.is_problem(status), "expected {status}: {got:?}");
    }
    for (status, (name, kind, text)) in [
        (400, json_body("{")),
        (400, json_body("{\"name\": \"a\"} more")),
        (422, json_body("[]")),
        (422, json_body("{}")),
        (422, json_body("{\"name\": \"a\", \"mac\": []}")),
    ] {
        let request = admin(Method::POST, "/api/v1/clients").header(name, kind).body(text);
        let got = answer(request).await.unwrap();
        assert!(got.is_problem(status), "{text}: {got:?}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_wrong_field_is_named_with_its_path(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let body = json!({ "name": "a", "macs": ["52:54:00:00:00:01", "zz"] });
    let got = server.send(Method::POST, "/api/v1/clients", &body).await.unwrap();
    assert_eq!(got.json()["fields"][0]["field"], "macs[1]", "{got:?}");
    let body =
        json!({ "name": "a", "config": { "timezone": "now\n", "keyboard": "🎹", "layout": "whole-disk" } });
    let got = server.send(Method::POST, "/api/v1/clients", &body).await.unwrap();
    assert!(got.is_problem(422), "{got:?}");
    assert_eq!(got.json()["fields"].as_array().unwrap().len(), 2, "{got:?}");
    assert!(!got.json()["remedy"].as_str().unwrap().is_empty());
    server.stop().await.unwrap();
}

pub(super) async fn a_request_that_is_too_large_is_refused_and_the_server_stays(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let request = server.request(Some(Role::Admin), Method::POST, "/api/v1/clients");
    let got = answer(request.header(CONTENT_TYPE, "application/json").body(vec![b' '; (1 << 20) + 1]))
        .await
        .unwrap();
    assert!(got.is_problem(413), "{got:?}");
    let request = server.request(None, Method::POST, "/api/v1/login");
    let got =
        answer(request.header(CONTENT_TYPE, "application/json").body(vec![b' '; 2 << 20])).await.unwrap();
    assert!(got.is_problem(413), "{got:?}");
    server.get("/api/v1/server").await.unwrap().ok().unwrap();
    server.stop().await.unwrap();
}

pub(super) async fn garbage_on_every_listener_harms_nobody(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let addresses = server.ctx.addresses.clone();
    for url in [&addresses.https, &addresses.agents, &addresses.boot] {
        let address = url.split_once("://").unwrap().1;
        for garbage in
            [&b"\x16\x03\x01\xff\xff garbage"[..], b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\0", b"\n\n\n\n"]
        {
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            socket.write_all(garbage).await.unwrap();
            socket.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // A reset is as good an answer as an error.
            socket.read_to_end(&mut answer).await.ok();
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{url}: {}", String::from_utf8_lossy(&answer));
        }
    }
    server.get("/api/v1/server").await.unwrap().ok().unwrap();
    server.stop().await.unwrap();
}

pub(super) async fn a_blob_is_stored_whole_with_its_hash_or_not_at_all(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let send = async |path: &str, body: Vec<u8>| {
        answer(server.request(Some(Role::Admin), Method::POST, path).body(body)).await.unwrap()
    };
    let content = vec![7; 3 << 20];
    let stored = send("/api/v1/blobs", content.clone()).await.ok().unwrap();
    assert_eq!(stored["size_bytes"], 3 << 20);
    let sha256 = stored["sha256"].as_str().unwrap();
    let url = format!("{}/boot/blobs/{sha256}", server.ctx.addresses.boot);
    assert_eq!(server.http.get(url).send().await.unwrap().bytes().await.unwrap(), content);
    let wrong = send(&format!("/api/v1/blobs?sha256={sha256}"), b"something else".to_vec()).await;
    assert!(wrong.is_problem(409), "{wrong:?}");
    let again = send(&format!("/api/v1/blobs?sha256={sha256}"), content).await.ok().unwrap();
    assert_eq!(again, stored);
    let files = fs_err::read_dir(server.data().join("blobs")).unwrap().count();
    assert_eq!(files, 1);
    server.stop().await.unwrap();
}
