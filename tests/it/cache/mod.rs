//! The package cache: what apt and many clients get of mirrors that are well, slow, down, or lie.
//!
//! Archives are made and signed by Debian's own tools, mirrors are on loopback, and apt is the real one with a state of its own.

mod apt;
mod closed;
mod console;
mod disk;
mod lies;
mod suites;
mod transfers;

use harness::{
    archive::{Archive, Mirror},
    server::{Engine, TestServer},
};
use reqwest::Response;
use server::{clock::Clock, config::Config};

/// An archive, a mirror of it, and a server that takes packages from there as `debian`.
struct Site {
    archive: Archive,
    mirror: Mirror,
    server: TestServer,
    clock: Clock,
}

/// The suite of the archive.
const SUITE: &str = "bookworm";

impl Site {
    /// The archive has what `fill` puts there.
    async fn with<T>(fill: impl FnOnce(&Archive) -> T) -> (Self, T) {
        let archive = Archive::new().unwrap();
        let filled = fill(&archive);
        archive.release(SUITE).unwrap();
        let mirror = Mirror::serve(&archive.root()).await.unwrap();
        let clock = Clock::fixed(Clock::system().now());
        let set = configured(&mirror, &archive);
        let server = TestServer::start_as(Engine::Sqlite, clock.clone(), set).await.unwrap();
        (Self { archive, mirror, server, clock }, filled)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/mirror/debian/{path}", self.server.ctx.addresses.boot)
    }

    async fn get(&self, path: &str) -> Response {
        self.server.http.get(self.url(path)).send().await.unwrap()
    }

    /// Status and body; the body is absent when it breaks off.
    async fn fetch(&self, path: &str) -> (u16, Option<Vec<u8>>) {
        let answer = self.get(path).await;
        (answer.status().as_u16(), answer.bytes().await.ok().map(Into::into))
    }

    /// Everything of the suite is looked at anew.
    fn later(&self) {
        self.clock.advance(60);
    }

    /// Files that are stored.
    fn stored(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.server.ctx.cache.store().list().into_iter().map(|file| file.name).collect();
        names.sort();
        names
    }

    async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// Takes packages from a mirror.
fn configured(mirror: &Mirror, archive: &Archive) -> impl FnOnce(&mut Config) + use<> {
    let (url, keyring) = (mirror.url.clone(), archive.keyring());
    move |config| {
        config.mirrors = vec![("debian".to_owned(), url)];
        config.cache_keyrings = vec![("debian".to_owned(), keyring)];
    }
}

/// What somebody reads in `Cache-Status`.
fn how(answer: &Response) -> &str {
    answer.headers()["cache-status"].to_str().unwrap()
}

/// `dists/bookworm/` and a name.
fn dists(name: &str) -> String {
    format!("dists/{SUITE}/{name}")
}
