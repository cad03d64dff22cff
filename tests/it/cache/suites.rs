//! Suites: what lies beside a signed text fits to it, also while the mirror changes; and what is given when the mirror cannot be asked.

use harness::archive::Manner;
use serde_json::json;

use super::{SUITE, Site, dists, how};

fn index() -> String {
    dists("main/binary-amd64/Packages.xz")
}

fn by_hash(content: &[u8]) -> String {
    dists(&format!("main/binary-amd64/by-hash/SHA256/{}", server::blobs::hash(content)))
}

#[tokio::test]
async fn a_mirror_in_the_middle_of_an_update_gives_the_earlier_state_until_all_of_it_is_there() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    let (release, packages) = (site.fetch(&dists("InRelease")).await, site.fetch(&index()).await);
    site.archive.package("hello", "2", 100).unwrap();
    site.archive.release(SUITE).unwrap();
    let new = fs_err::read(site.archive.root().join(index())).unwrap();
    let early = packages.1.clone().unwrap();
    site.mirror.set(&by_hash(&new), Manner::Status(404));
    site.mirror.set(&index(), Manner::Gives(early));
    site.later();
    let answer = site.get(&dists("InRelease")).await;
    assert!(how(&answer).contains("detail="), "{}", how(&answer));
    assert_eq!(Some(answer.bytes().await.unwrap().to_vec()), release.1);
    assert_eq!(site.fetch(&index()).await, packages);
    site.mirror.mend();
    site.later();
    assert_ne!(site.fetch(&dists("InRelease")).await, release);
    assert_eq!(site.fetch(&index()).await, (200, Some(new)));
    // A client that is still in the middle of its own update.
    assert_eq!(site.fetch(&by_hash(&packages.1.clone().unwrap())).await, packages);
    site.stop().await;
}

#[tokio::test]
async fn a_suite_is_only_asked_for_again_when_it_may_have_changed() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    for _ in 0..10 {
        assert_eq!(site.fetch(&dists("InRelease")).await.0, 200);
    }
    assert_eq!(site.mirror.asked().len(), 1);
    site.later();
    let answer = site.get(&dists("InRelease")).await;
    assert_eq!(how(&answer), "lotse; hit");
    assert!(site.mirror.asked()[1].unchanged, "{:?}", site.mirror.asked());
    let since = answer.headers()["last-modified"].clone();
    let request = site.server.http.get(site.url(&dists("InRelease"))).header("if-modified-since", since);
    assert_eq!(request.send().await.unwrap().status(), 304);
    site.stop().await;
}

#[tokio::test]
async fn a_mirror_without_inline_signatures_serves_the_two_documents_and_one_with_them_all_three() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    let file = |name: &str| fs_err::read(site.archive.root().join(dists(name))).unwrap();
    for name in ["InRelease", "Release", "Release.gpg"] {
        assert_eq!(site.fetch(&dists(name)).await, (200, Some(file(name))), "{name}");
    }
    site.archive.release("trixie").unwrap();
    let other = |name: &str| format!("dists/trixie/{name}");
    fs_err::remove_file(site.archive.root().join(other("InRelease"))).unwrap();
    assert_eq!(site.fetch(&other("InRelease")).await.0, 404);
    for name in ["Release", "Release.gpg"] {
        let there = fs_err::read(site.archive.root().join(other(name))).unwrap();
        assert_eq!(site.fetch(&other(name)).await, (200, Some(there)), "{name}");
    }
    assert_eq!(site.fetch(&other("main/binary-amd64/Packages.gz")).await.0, 200);
    site.stop().await;
}

#[tokio::test]
async fn offline_gives_what_is_there_and_asks_nobody() {
    let (site, packages) = Site::with(|archive| {
        [archive.package("hello", "1", 100).unwrap(), archive.package("other", "1", 100).unwrap()]
    })
    .await;
    let before = site.fetch(&dists("InRelease")).await;
    site.fetch(&packages[0].path).await;
    let set = async |word: &str| {
        let body = json!({ "cache.offline": word });
        site.server.send(reqwest::Method::PATCH, "/api/v1/settings", &body).await.unwrap().ok().unwrap();
    };
    let asked = site.mirror.asked().len();
    set("on").await;
    site.later();
    let answer = site.get(&dists("InRelease")).await;
    assert!(how(&answer).contains("offline"), "{}", how(&answer));
    assert_eq!(Some(answer.bytes().await.unwrap().to_vec()), before.1);
    assert_eq!(site.fetch(&packages[0].path).await, (200, Some(packages[0].content.clone())));
    let missing = site.get(&packages[1].path).await;
    assert_eq!(missing.status(), 504);
    assert!(missing.text().await.unwrap().contains("cache.offline"));
    assert_eq!(site.mirror.asked().len(), asked);
    set("off").await;
    assert_eq!(site.fetch(&packages[1].path).await, (200, Some(packages[1].content.clone())));
    site.stop().await;
}
