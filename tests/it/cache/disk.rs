//! The cache's own disk: what it holds, what it gives up, and what a server that is killed leaves behind.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use harness::archive::{Archive, Manner, Mirror, Package};
use server::clock::Clock;

use super::{SUITE, Site, configured};

#[tokio::test]
async fn what_was_not_used_for_longest_goes_and_what_is_being_read_stays() {
    let (site, packages) =
        Site::with(|archive| ["a", "b", "c", "d"].map(|name| archive.package(name, "1", 1_000_000).unwrap()))
            .await;
    let [a, b, c, d] = &packages;
    for package in [a, b, c] {
        site.fetch(&package.path).await;
        site.clock.advance(1);
    }
    let mut reading = site.get(&a.path).await;
    let mut got = reading.chunk().await.unwrap().unwrap().to_vec();
    let cache = &site.server.ctx.cache;
    cache.store().set_limit(cache.store().size().1);
    site.clock.advance(1);
    assert_eq!(site.fetch(&d.path).await.1.as_ref(), Some(&d.content));
    let stored = site.stored();
    let has = |package: &Package| stored.iter().any(|name| name.ends_with(&package.path));
    assert!(has(a) && !has(b) && has(c) && has(d), "{stored:?}");
    while let Some(piece) = reading.chunk().await.unwrap() {
        got.extend(piece);
    }
    assert!(got == a.content);
    assert_eq!(site.fetch(&b.path).await.1.as_ref(), Some(&b.content), "what went comes again");
    site.stop().await;
}

#[tokio::test]
async fn a_file_that_the_limit_has_no_room_for_is_said_to_have_none() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1_000_000).unwrap()).await;
    site.server.ctx.cache.store().set_limit(500_000);
    let answer = site.get(&hello.path).await;
    assert_eq!(answer.status(), 507);
    assert!(answer.text().await.unwrap().contains("cache.limit-gib"));
    site.server.ctx.cache.store().set_limit(5_000_000);
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    site.stop().await;
}

/// Tells a copy of this program to be a server in a directory, and from which mirror: `DIR URL KEYRING`.
const SERVE: &str = "LOTSE_TEST_CACHE_SERVES";

/// Only of use to the test below, which starts it as a process that can be killed.
#[tokio::test]
async fn a_server_of_its_own() {
    let Some(words) = std::env::var_os(SERVE) else { return };
    let words = words.into_string().unwrap();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let [data, url, keyring] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
    let mut config = harness::server::config(PathBuf::from(data), None);
    config.mirrors = vec![("debian".to_owned(), url.to_owned())];
    config.cache_keyrings = vec![("debian".to_owned(), PathBuf::from(keyring))];
    let server = server::startup::Server::bind(config, Clock::system()).await.unwrap();
    println!("address={}", server.ctx().addresses.boot);
    server.run(tokio_util::sync::CancellationToken::new()).await.unwrap();
}

struct Killable(Child, String);

impl Drop for Killable {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "only a process of its own can be killed")]
fn start(data: &std::path::Path, mirror: &Mirror, archive: &Archive) -> Killable {
    let words = format!("{} {} {}", data.display(), mirror.url, archive.keyring().display());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::disk::a_server_of_its_own", "--nocapture"])
        .env(SERVE, words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("address=").map(|(_, address)| address.to_owned()));
    Killable(child, format!("{}/mirror/debian", address.unwrap()))
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_leaves_nothing_half_and_goes_on_where_it_was() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let archive = Archive::new().unwrap();
    let hello = archive.package("hello", "1", 3_000_000).unwrap();
    archive.release(SUITE).unwrap();
    let mirror = Mirror::serve(&archive.root()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    mirror.set(&hello.path, Manner::WaitsAfter(2_000_000));
    let server = start(&data, &mirror, &archive);
    let mut answer = reqwest::get(format!("{}/{}", server.1, hello.path)).await.unwrap();
    let mut got = 0;
    while got < 1_900_000 {
        got += answer.chunk().await.unwrap().unwrap().len();
    }
    drop(server);
    while let Ok(Some(_)) = answer.chunk().await {}
    mirror.mend();
    let server = start(&data, &mirror, &archive);
    let body = reqwest::get(format!("{}/{}", server.1, hello.path)).await.unwrap().bytes().await.unwrap();
    assert!(body == hello.content, "the halves do not fit together");
    let last = mirror.asked().pop().unwrap();
    assert!(last.path == hello.path && last.from.is_some_and(|from| from >= 1_900_000), "{last:?}");
    assert_eq!(fs_err::read_dir(data.join("cache/partial")).unwrap().count(), 0);
    let asked = mirror.asked().len();
    let again = reqwest::get(format!("{}/{}", server.1, hello.path)).await.unwrap();
    assert!(again.bytes().await.unwrap() == hello.content);
    assert_eq!(mirror.asked().len(), asked, "it is a hit");
}

#[tokio::test]
async fn a_part_that_was_damaged_meanwhile_is_not_built_upon_twice() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1_000_000).unwrap()).await;
    let partial = site.server.data().join("cache/partial").join(server::blobs::hash(&hello.content).as_str());
    fs_err::write(&partial, vec![7; 300_000]).unwrap();
    assert_eq!(site.fetch(&hello.path).await.1, None, "the damaged part must not be passed on as a whole");
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    site.stop().await;
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let archive = Archive::new().unwrap();
    let hello = archive.package("hello", "1", 100_000).unwrap();
    archive.release(SUITE).unwrap();
    let mirror = Mirror::serve(&archive.root()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let data = place.path().join("data");
        let set = configured(&mirror, &archive);
        let mut config = harness::server::config(data, None);
        set(&mut config);
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let server = server::startup::Server::bind(config, Clock::system()).await.unwrap();
        let url = format!("{}/mirror/debian/{}", server.ctx().addresses.boot, hello.path);
        let stop = tokio_util::sync::CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone()));
        if round == 1 {
            mirror.set(&hello.path, Manner::Status(500));
        }
        assert!(reqwest::get(&url).await.unwrap().bytes().await.unwrap() == hello.content);
        stop.cancel();
        task.await.unwrap().unwrap();
    }
    assert_eq!(mirror.count(&hello.path), 1);
}
