//! Mirrors that give something else than what is signed: it reaches nobody as a whole, nothing of it is kept, and it is reported.

use harness::archive::{Archive, Manner};

use super::{SUITE, Site, dists};

/// What the mirror is said to have done: events and health page.
async fn reported(site: &Site, words: &str) {
    server::app::cache::look_after(&site.server.ctx).await.unwrap();
    let events = site.server.get("/api/v1/events?limit=1000").await.unwrap().json();
    let told =
        events.as_array().unwrap().iter().any(|event| {
            event["kind"] == "mirror.unfit" && event["detail"].as_str().unwrap().contains(words)
        });
    assert!(told, "{words} is not in {events:#}");
    let health = site.server.get("/api/v1/health").await.unwrap().json();
    let parts = health["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "mirror debian").unwrap();
    assert_eq!(part["condition"], "bad", "{part}");
    assert!(part["said"].as_str().unwrap().contains(words), "{part}");
}

#[tokio::test]
async fn a_package_with_wrong_bytes_reaches_nobody_as_a_whole_and_is_not_kept() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 400_000).unwrap()).await;
    let mut wrong = hello.content.clone();
    wrong[200_000] ^= 1;
    site.mirror.set(&hello.path, Manner::Gives(wrong));
    let (status, body) = site.fetch(&hello.path).await;
    assert_eq!((status, body), (200, None), "the answer has to break off");
    assert!(!site.stored().iter().any(|name| name.ends_with(".deb")), "{:?}", site.stored());
    reported(&site, "has another hash than the signed index says").await;
    site.mirror.mend();
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    let health = site.server.get("/api/v1/health").await.unwrap().text;
    assert!(!health.contains("another hash"), "what fits now is still held against it: {health}");
    site.stop().await;
}

#[tokio::test]
async fn a_small_package_with_wrong_bytes_is_refused_before_any_of_it_goes_out() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    let mut wrong = hello.content.clone();
    wrong[50] ^= 1;
    site.mirror.set(&hello.path, Manner::Gives(wrong));
    let answer = site.get(&hello.path).await;
    assert_eq!(answer.status(), 502);
    let text = answer.text().await.unwrap();
    assert!(text.contains("it was not passed on") && text.contains("remedy"), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn a_package_of_another_length_is_refused_at_once() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 200_000).unwrap()).await;
    for wrong in [hello.content[..150_000].to_vec(), [&hello.content[..], b"more"].concat(), Vec::new()] {
        site.mirror.set(&hello.path, Manner::Gives(wrong));
        assert_eq!(site.fetch(&hello.path).await.0, 502);
    }
    reported(&site, "and the signed index says").await;
    site.stop().await;
}

#[tokio::test]
async fn an_index_with_wrong_bytes_is_refused_and_the_right_one_is_found_under_its_hash() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    let index = dists("main/binary-amd64/Packages.xz");
    let right = fs_err::read(site.archive.root().join(&index)).unwrap();
    let mut wrong = right.clone();
    wrong[20] ^= 1;
    site.mirror.set(&index, Manner::Gives(wrong.clone()));
    assert_eq!(site.fetch(&index).await, (200, Some(right.clone())));
    let by_hash = dists(&format!("main/binary-amd64/by-hash/SHA256/{}", server::blobs::hash(&right)));
    let other = dists("main/binary-amd64/Packages.gz");
    let right = fs_err::read(site.archive.root().join(&other)).unwrap();
    let other_by_hash = dists(&format!("main/binary-amd64/by-hash/SHA256/{}", server::blobs::hash(&right)));
    site.mirror.set(&other_by_hash, Manner::Gives(wrong));
    assert_eq!(site.fetch(&other).await.0, 502);
    assert_eq!(site.fetch(&by_hash).await.0, 200);
    site.stop().await;
}

async fn takes_no_other(site: &Site, words: &str) {
    let before = site.fetch(&dists("InRelease")).await;
    site.later();
    let now = fs_err::read(site.archive.root().join(dists("InRelease"))).unwrap();
    assert_eq!(before.0, 200);
    assert!(before.1.as_ref().unwrap() != &now);
    assert_eq!(site.fetch(&dists("InRelease")).await, before, "what was verified before goes on to count");
    reported(site, words).await;
}

#[tokio::test]
async fn a_suite_is_taken_from_nobody_but_those_whose_key_is_known() {
    type Forge = fn(&Archive);
    let forgeries: [(Forge, &str); 4] = [
        (
            |archive| {
                archive.make_key("stranger").unwrap();
                archive.release_with(SUITE, "stranger", &[]).unwrap();
            },
            "is signed by a key that is in no keyring",
        ),
        (
            |archive| {
                let path = archive.root().join(dists("InRelease"));
                let text = fs_err::read_to_string(&path).unwrap();
                fs_err::write(path, text.replace("Components: main", "Components: evil")).unwrap();
            },
            "has a signature that does not fit it",
        ),
        (
            |archive| {
                let release = fs_err::read(archive.root().join(dists("Release"))).unwrap();
                fs_err::write(archive.root().join(dists("InRelease")), release).unwrap();
            },
            "is no signed text",
        ),
        (
            |archive| {
                archive.release("bullseye").unwrap();
                let other = archive.root().join("dists/bullseye/InRelease");
                fs_err::copy(other, archive.root().join(dists("InRelease"))).unwrap();
            },
            "belongs to the suite bullseye",
        ),
    ];
    for (forge, words) in forgeries {
        let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
        site.fetch(&dists("InRelease")).await;
        forge(&site.archive);
        takes_no_other(&site, words).await;
        site.stop().await;
    }
}

#[tokio::test]
async fn an_old_release_that_is_played_again_is_not_taken() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    let old = fs_err::read(site.archive.root().join(dists("InRelease"))).unwrap();
    site.archive.package("hello", "2", 100).unwrap();
    site.archive.release(SUITE).unwrap();
    site.fetch(&dists("InRelease")).await;
    fs_err::write(site.archive.root().join(dists("InRelease")), old).unwrap();
    takes_no_other(&site, "older than the one of").await;
    site.stop().await;
}

#[tokio::test]
async fn a_release_whose_time_is_over_is_not_taken() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    site.fetch(&dists("InRelease")).await;
    let over = [("Valid-Until", "Sat, 21 Nov 2020 08:00:00 UTC")];
    site.archive.release_with(SUITE, "archive", &over).unwrap();
    takes_no_other(&site, "was valid until 2020-11-21").await;
    site.stop().await;
}

#[tokio::test]
async fn without_a_keyring_nothing_is_passed_on() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    fs_err::remove_file(site.archive.keyring()).unwrap();
    for path in [&dists("InRelease"), &hello.path] {
        let answer = site.get(path).await;
        assert_eq!(answer.status(), 502);
        assert!(answer.text().await.unwrap().contains("cache-keyrings"));
    }
    site.stop().await;
}
