//! Files on their way: many who want one, transfers that break off, clients that resume.

use harness::archive::Manner;
use tokio::task::JoinSet;

use super::{Site, dists, how};

/// Clients that ask for the same file at once.
const MANY: usize = 300;

#[tokio::test]
async fn three_hundred_clients_cost_one_transfer_and_all_get_the_right_bytes_while_it_still_comes() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 2_000_000).unwrap()).await;
    site.mirror.set(&hello.path, Manner::WaitsAfter(1_000_000));
    let mut clients = JoinSet::new();
    let (begun, mut beginning) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..MANY {
        let (url, begun, whole) = (site.url(&hello.path), begun.clone(), hello.content.clone());
        clients.spawn(async move {
            // Each is a machine of its own; some resume what they have begun before.
            let from = if number % 3 == 0 { 700_000 } else { 0 };
            let client = reqwest::Client::builder().build().unwrap();
            let request = client.get(url).header("range", format!("bytes={from}-"));
            let mut answer = request.send().await.unwrap();
            let mut got = answer.chunk().await.unwrap().unwrap().to_vec();
            begun.send(how(&answer).to_owned()).unwrap();
            while let Some(piece) = answer.chunk().await.unwrap() {
                got.extend(piece);
            }
            assert!(got == whole[from..], "client {number} got something else");
        });
    }
    let mut joined = 0;
    for _ in 0..MANY {
        joined += usize::from(beginning.recv().await.unwrap().contains("collapsed"));
    }
    assert_eq!(joined, MANY - 1, "everybody has bytes before the mirror has given all of them");
    site.mirror.go_on();
    clients.join_all().await;
    assert_eq!(site.mirror.count(&hello.path), 1);
    assert!(how(&site.get(&hello.path).await).contains("hit"));
    site.stop().await;
}

#[tokio::test]
async fn a_transfer_that_breaks_off_goes_on_where_it_was_and_nobody_notices() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1_000_000).unwrap()).await;
    site.mirror.set(&hello.path, Manner::BreaksAfter(400_000));
    let (status, body) = site.fetch(&hello.path).await;
    assert_eq!(status, 200);
    assert!(body.unwrap() == hello.content, "the pieces do not fit together");
    let asked = site.mirror.asked();
    let last = asked.last().unwrap();
    assert_eq!((last.path.as_str(), last.from), (hello.path.as_str(), Some(400_000)));
    assert!(last.if_range.is_some(), "it could have been the rest of another file");
    site.stop().await;
}

#[tokio::test]
async fn a_client_resumes_by_range_and_is_not_given_a_part_of_something_else() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 500_000).unwrap()).await;
    let whole = site.get(&hello.path).await;
    let (etag, date) = (whole.headers()["etag"].clone(), whole.headers()["last-modified"].clone());
    assert_eq!(whole.headers()["content-length"], hello.content.len().to_string().as_str());
    assert!(whole.bytes().await.unwrap() == hello.content);
    for condition in [&etag, &date] {
        let request = site.server.http.get(site.url(&hello.path)).header("range", "bytes=400000-");
        let answer = request.header("if-range", condition).send().await.unwrap();
        assert_eq!(answer.status(), 206);
        assert!(answer.bytes().await.unwrap() == hello.content[400_000..]);
    }
    let request = site.server.http.get(site.url(&hello.path)).header("range", "bytes=400000-");
    let other = request.header("if-range", "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), 200);
    let same =
        site.server.http.get(site.url(&hello.path)).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    let beyond = site.server.http.get(site.url(&hello.path)).header("range", "bytes=9999999-");
    assert_eq!(beyond.send().await.unwrap().status(), 416);
    let head = site.server.http.head(site.url(&hello.path)).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], hello.content.len().to_string().as_str());
    assert_eq!(site.mirror.count(&hello.path), 1);
    site.stop().await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_kept_all_the_same() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1_000_000).unwrap()).await;
    site.mirror.set(&hello.path, Manner::WaitsAfter(500_000));
    let mut answer = site.get(&hello.path).await;
    answer.chunk().await.unwrap().unwrap();
    drop(answer);
    site.mirror.go_on();
    let (_, body) = site.fetch(&hello.path).await;
    assert!(body.unwrap() == hello.content);
    assert_eq!(site.mirror.count(&hello.path), 1);
    site.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_asked_for_again_at_once() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1000).unwrap()).await;
    fs_err::remove_file(site.archive.root().join(&hello.path)).unwrap();
    for _ in 0..5 {
        assert_eq!(site.fetch(&hello.path).await.0, 404);
        assert_eq!(site.fetch("dists/trixie/InRelease").await.0, 404);
    }
    assert_eq!(site.mirror.count(&hello.path), 1);
    assert_eq!(site.mirror.count("dists/trixie/InRelease"), 1);
    fs_err::write(site.archive.root().join(&hello.path), &hello.content).unwrap();
    site.later();
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    site.stop().await;
}

#[tokio::test]
async fn a_package_is_known_although_no_client_has_asked_for_its_index() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 1000).unwrap()).await;
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    let asked: Vec<_> = site.mirror.asked().into_iter().map(|asked| asked.path).collect();
    assert!(asked.contains(&dists("InRelease")), "{asked:?}");
    site.stop().await;
}
