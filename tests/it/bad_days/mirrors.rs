//! Mirrors that lie: that send less than they said, stop in the middle, or lead elsewhere. (Down and foreign ones are in `boot.rs`.)

use harness::server::{Engine, TestServer};
use server::clock::Clock;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::serves;

/// A host that answers every request with these bytes, and counts them.
async fn host(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let length = socket.read(&mut head).await.unwrap();
                assert!(head[..length].starts_with(b"GET /debian/pool/a.deb"), "asked for something else");
                socket.write_all(answer.as_bytes()).await.unwrap();
                socket.shutdown().await.ok();
            });
        }
    });
    (address.to_string(), asked)
}

async fn with_mirror(address: &str) -> (TestServer, String) {
    let mirror = ("debian".to_owned(), format!("http://{address}/debian"));
    let server =
        TestServer::start_as(Engine::Sqlite, Clock::system(), |config| config.mirrors = vec![mirror]);
    let server = server.await.unwrap();
    let url = format!("{}/mirror/debian/pool/a.deb", server.ctx.addresses.boot);
    (server, url)
}

#[tokio::test]
async fn a_package_that_is_shorter_than_the_mirror_said_is_not_taken_for_whole() {
    let (address, _) = host("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this".to_owned()).await;
    let (server, url) = with_mirror(&address).await;
    let answer = server.http.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["content-length"], "1000", "apt has to know what was promised");
    assert!(answer.bytes().await.is_err(), "half a package came as a whole one");
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_breaks_off_without_a_length_is_not_taken_for_whole() {
    let broken = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n";
    let (address, _) = host(broken.to_owned()).await;
    let (server, url) = with_mirror(&address).await;
    assert!(server.http.get(&url).send().await.unwrap().bytes().await.is_err());
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_mirror_cannot_make_the_server_ask_another_host() {
    let (inside, asked) = host("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret".to_owned()).await;
    let port = inside.rsplit_once(':').unwrap().1.to_owned();
    let away = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://localhost:{port}/metadata\r\ncontent-length: 0\r\n\r\n"
    );
    let (address, _) = host(away).await;
    let (server, url) = with_mirror(&address).await;
    let answer = server.http.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    assert!(text.contains("redirects to another host") && text.contains("mirrors = "), "{text}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the other host was asked");
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_http_or_redirects_without_end_is_said_to_be_no_answer() {
    let endless = "HTTP/1.1 302 Found\r\nlocation: /debian/pool/a.deb\r\ncontent-length: 0\r\n\r\n";
    for answer in ["SSH-2.0-OpenSSH_9.2p1\r\n", "", endless] {
        let (address, asked) = host(answer.to_owned()).await;
        let (server, url) = with_mirror(&address).await;
        let answer = server.http.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let text = answer.text().await.unwrap();
        assert!(text.contains("the mirror debian") && text.contains("remedy"), "{text}");
        assert!(asked.load(Ordering::SeqCst) < 20);
        serves(&server).await;
        server.stop().await.unwrap();
    }
}
