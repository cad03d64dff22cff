//! The cache is a way to the configured mirrors and to nothing else.

use harness::archive::{Manner, Mirror};

use super::{Site, dists};

#[tokio::test]
async fn only_what_a_signed_index_names_is_passed_on_and_only_from_the_named_mirror() {
    let (site, hello) = Site::with(|archive| {
        fs_err::write(archive.root().join("secret"), "not for you").unwrap();
        archive.package("hello", "1", 100).unwrap()
    })
    .await;
    fs_err::write(site.archive.root().join("pool/main/late_1_all.deb"), "not for you").unwrap();
    assert_eq!(site.fetch(&hello.path).await.0, 200);
    let boot = &site.server.ctx.addresses.boot;
    for path in [
        "/mirror/debian/secret",
        "/mirror/debian/pool/main/late_1_all.deb",
        "/mirror/debian/dists/bookworm/main/secret",
        "/mirror/debian/pool/..%2f..%2fsecret",
        "/mirror/debian/pool/../secret",
        "/mirror/debian/%2e%2e/secret",
        "/mirror/debian/http://127.0.0.1/secret?x",
        "/mirror/debian//secret",
        "/mirror/other/secret",
        "/mirror/../cache/names",
    ] {
        let answer = reqwest::get(format!("{boot}{path}")).await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_client_error() && !text.contains("not for you"), "{path} gave {status}: {text}");
    }
    let asked = site.mirror.asked();
    assert!(
        !asked.iter().any(|asked| asked.path.contains("secret") || asked.path.contains("late")),
        "{asked:?}"
    );
    site.stop().await;
}

#[tokio::test]
async fn a_mirror_cannot_make_the_server_ask_somebody_else() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    site.fetch(&dists("InRelease")).await;
    let inside = Mirror::serve(&site.archive.root()).await.unwrap();
    let port = inside.url.rsplit_once(':').unwrap().1;
    for to in [format!("http://localhost:{port}/{}", hello.path), format!("{}/{}", inside.url, hello.path)] {
        site.mirror.set(&hello.path, Manner::Redirects(to));
        site.later();
        let answer = site.get(&hello.path).await;
        assert_eq!(answer.status(), 503);
        let text = answer.text().await.unwrap();
        assert!(text.contains("redirects to another host") && text.contains("mirrors = "), "{text}");
    }
    assert_eq!(inside.asked(), [], "the other host was asked");
    // Elsewhere on the same mirror is fine: what comes is verified in any case.
    let moved = "/moved.deb";
    fs_err::write(site.archive.root().join("moved.deb"), &hello.content).unwrap();
    site.mirror.set(&hello.path, Manner::Redirects(moved.to_owned()));
    site.later();
    assert_eq!(site.fetch(&hello.path).await, (200, Some(hello.content)));
    site.stop().await;
}

#[tokio::test]
async fn a_mirror_that_redirects_without_end_or_speaks_something_else_is_said_to_be_down() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 100).unwrap()).await;
    site.fetch(&dists("InRelease")).await;
    site.mirror.set(&hello.path, Manner::Redirects(format!("/{}", hello.path)));
    let answer = site.get(&hello.path).await;
    assert_eq!(answer.status(), 503);
    assert!(site.mirror.count(&hello.path) < 20);
    site.stop().await;
}
