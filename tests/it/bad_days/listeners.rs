//! Peers that say nothing, half of something, too much, or something else, on every listener that speaks TCP.

use super::{PATIENCE, serves};
use harness::server::{Engine, TestServer};
use server::{clock::Clock, patience::Patience};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// The first bytes of a real TLS 1.3 client hello, cut off.
const HALF_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// A server with little patience, so that nobody has to wait for its end.
async fn hurried() -> TestServer {
    let short = Duration::from_millis(400);
    let patience = Patience { handshake: short, head: short, silence: short * 2 };
    TestServer::start_as(Engine::Sqlite, Clock::system(), |config| config.patience = patience).await.unwrap()
}

fn address(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(address(url)).await.unwrap()
}

/// Reads until the other side ends the connection, which it must.
async fn end_of(mut stream: impl AsyncRead + Unpin, whose: &str) -> String {
    let mut got = Vec::new();
    let reading = stream.read_to_end(&mut got);
    let ended = tokio::time::timeout(PATIENCE, reading).await;
    // A reset is an end as well.
    drop(ended.unwrap_or_else(|_| panic!("the server keeps the connection of {whose}")));
    String::from_utf8_lossy(&got).into_owned()
}

/// A connection of somebody who trusts the server's CA and shows no certificate.
async fn tls(server: &TestServer, url: &str) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.ctx.authority.ca_der().unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, connect(url).await).await.unwrap()
}

#[tokio::test]
async fn silent_and_slow_peers_are_sent_away() {
    let server = hurried().await;
    let addresses = server.ctx.addresses.clone();
    for (name, url) in [("https", &addresses.https), ("agents", &addresses.agents), ("boot", &addresses.boot)]
    {
        end_of(connect(url).await, &format!("a silent peer on {name}")).await;
        let mut half = connect(url).await;
        half.write_all(HALF_HELLO).await.unwrap();
        end_of(half, &format!("a peer with half a handshake on {name}")).await;
    }
    end_of(tls(&server, &addresses.https).await, "a silent peer after its handshake").await;
    let heads: [&[u8]; 2] =
        [b"GET /api/v1/server HTTP/1.1\r\nhost: x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    for head in heads {
        let mut half = tls(&server, &addresses.https).await;
        half.write_all(head).await.unwrap();
        end_of(half, "a peer with half a request on https").await;
    }
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let server = hurried().await;
    let (reader, mut writer) = connect(&server.ctx.addresses.boot).await.into_split();
    let drip = tokio::spawn(async move {
        // Each byte is a sign of life, but the head as a whole takes too long.
        for byte in b"GET /boot/ca.pem HTTP/1.1\r\nx-header: ".iter().chain(std::iter::repeat(&b'a')) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    end_of(reader, "a dripping peer").await;
    tokio::time::timeout(PATIENCE, drip).await.unwrap().unwrap();
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_hundred_silent_peers_do_not_keep_anybody_out() {
    let server = hurried().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        for url in [&server.ctx.addresses.https, &server.ctx.addresses.agents, &server.ctx.addresses.boot] {
            silent.push(connect(url).await);
        }
    }
    serves(&server).await;
    for peer in silent {
        end_of(peer, "one of many").await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_and_tls_on_the_plain_one_end_at_once() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let addresses = server.ctx.addresses.clone();
    for url in [&addresses.https, &addresses.agents] {
        let plain = url.replace("https://", "http://");
        assert!(server.http.get(format!("{plain}/api/v1/server")).send().await.is_err());
    }
    let wrong = addresses.boot.replace("http://", "https://");
    assert!(server.http.get(format!("{wrong}/boot/ca.pem")).send().await.is_err());
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let addresses = server.ctx.addresses.clone();
    let long = "a".repeat(200 << 10);
    let many = "x-same: y\r\n".repeat(500);
    let heads = [
        format!("GET /boot/ca.pem HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /boot/ca.pem HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
    ];
    for head in &heads {
        let mut plain = connect(&addresses.boot).await;
        plain.write_all(head.as_bytes()).await.ok();
        let got = end_of(plain, "a peer with a large head").await;
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{got}");
        let mut secure = tls(&server, &addresses.https).await;
        secure.write_all(head.as_bytes()).await.ok();
        let got = end_of(secure, "a peer with a large head").await;
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{got}");
    }
    // Over HTTP/2, too.
    let sent =
        server.http.get(format!("{}/api/v1/server", addresses.https)).header("x-long", &long).send().await;
    assert!(sent.as_ref().map_or(true, |answer| answer.status().is_client_error()), "{sent:?}");
    serves(&server).await;
    server.stop().await.unwrap();
}
