//! Packages are found in an index that follows its archive.

use harness::{archive::Manner, server::Engine};
use reqwest::Method;
use serde_json::{Value, json};
use server::app::package_search;

use super::{SUITE, Site};

async fn search(site: &Site, words: &str) -> Value {
    let path = format!("/api/v1/package-search?list=vendor&q={words}");
    site.server.get(&path).await.unwrap().ok().unwrap()
}

fn packages(found: &Value) -> impl Iterator<Item = &Value> {
    found["packages"].as_array().unwrap().iter()
}

fn names(found: &Value) -> Vec<&str> {
    packages(found).map(|package| package["name"].as_str().unwrap()).collect()
}

fn names_of<'a>(found: &'a Value, archive: &str) -> Vec<&'a str> {
    let of_archive = packages(found).filter(|package| package["archive"] == archive);
    of_archive.map(|package| package["name"].as_str().unwrap()).collect()
}

async fn listed(engine: Engine) -> Site {
    let site = Site::new(engine, &["hello", "hello-doc", "othello", "tree"]).await;
    let wish = site.list(&site.key());
    site.server.send(Method::PUT, "/api/v1/source-lists/vendor", &wish).await.unwrap().ok().unwrap();
    site
}

async fn ready(engine: Engine) -> Site {
    let site = listed(engine).await;
    let first = search(&site, "hello").await;
    assert!(names(&first).is_empty() && first["indices"][0]["packages"].is_null(), "{first}");
    package_search::look_after(&site.server.ctx).await.unwrap();
    site
}

pub(super) async fn packages_are_found_by_name_and_description_and_what_is_new_is_seen(engine: Engine) {
    let site = ready(engine).await;
    let found = search(&site, "hello").await;
    assert_eq!(names(&found), ["hello", "hello-doc", "othello"], "exact, then beginning, then within");
    let hello = &found["packages"][0];
    assert_eq!(
        (&hello["version"], &hello["suite"], &hello["component"]),
        (&json!("1"), &json!(SUITE), &json!("main"))
    );
    assert!(hello["size_bytes"].as_i64().unwrap() > 1000, "{hello}");
    assert_eq!((&found["indices"][0]["packages"], &found["more"]), (&json!(4), &json!(false)));
    assert_eq!(
        names(&search(&site, "HELLO%20doc").await),
        ["hello-doc"],
        "every word counts, in any letters"
    );
    assert!(
        names(&search(&site, "h%25llo").await).is_empty(),
        "a character with a meaning of its own has none here"
    );
    assert!(names(&search(&site, "").await).is_empty());
    let few = site.server.get("/api/v1/package-search?q=hello&limit=1").await.unwrap().ok().unwrap();
    assert_eq!(
        (names(&few), &few["more"]),
        (vec!["hello"], &json!(true)),
        "without a list in all that was read"
    );
    let nowhere = site.server.get("/api/v1/package-search?q=x&list=nothing").await.unwrap();
    assert!(nowhere.is_problem(404));
    // In what one client can install: nothing of a list that it has not.
    let of_client = "/api/v1/package-search?q=hello&client=pc";
    assert!(site.server.get(of_client).await.unwrap().is_problem(404));
    site.server.send(Method::POST, "/api/v1/clients", &json!({ "name": "pc" })).await.unwrap().ok().unwrap();
    let vendor = hello["archive"].as_str().unwrap();
    // The list of its distribution names the same mirror, whose index is read because of this search.
    let found = site.server.get(of_client).await.unwrap().ok().unwrap();
    package_search::look_after(&site.server.ctx).await.unwrap();
    assert!(names_of(&found, vendor).is_empty(), "{found:#}");
    let given = "/api/v1/source-lists/vendor/clients/pc";
    assert_eq!(site.server.send(Method::PUT, given, &json!({})).await.unwrap().status, 204);
    let found = site.server.get(of_client).await.unwrap().ok().unwrap();
    assert_eq!(names_of(&found, vendor), ["hello", "hello-doc", "othello"]);
    // Something new: seen when the archive is asked again, at once when somebody wants that.
    site.archive.package("hello", "2", 1000).unwrap();
    site.archive.package("hellokitty", "1", 1000).unwrap();
    site.archive.release(SUITE).unwrap();
    package_search::look_after(&site.server.ctx).await.unwrap();
    assert!(!names(&search(&site, "hello").await).contains(&"hellokitty"), "the archive was asked too soon");
    site.clock.advance(60);
    site.server.send(Method::POST, "/api/v1/source-lists/vendor/refresh", &json!({})).await.unwrap();
    package_search::look_after(&site.server.ctx).await.unwrap();
    let found = search(&site, "hello").await;
    assert!(names(&found).contains(&"hellokitty"), "{found:#}");
    assert_eq!(found["indices"][0]["packages"], 6);
    // What does not count any more goes.
    site.clock.advance(2 * 3600);
    package_search::look_after(&site.server.ctx).await.unwrap();
    assert_eq!(search(&site, "hello").await["indices"][0]["packages"], 6);
    site.stop().await;
}

pub(super) async fn an_archive_that_is_away_costs_nothing_but_news(engine: Engine) {
    let site = ready(engine).await;
    site.archive.package("newer", "1", 1000).unwrap();
    site.archive.release(SUITE).unwrap();
    site.mirror.set(&format!("dists/{SUITE}/InRelease"), Manner::Status(502));
    site.clock.advance(7 * 3600);
    package_search::look_after(&site.server.ctx).await.unwrap();
    let found = search(&site, "hello").await;
    assert_eq!(names(&found).len(), 3);
    site.mirror.mend();
    site.clock.advance(7 * 3600);
    package_search::look_after(&site.server.ctx).await.unwrap();
    let found = search(&site, "newer").await;
    assert_eq!(names(&found), ["newer"], "{found:#}");
    assert!(found["indices"][0]["problem"].is_null());
    site.stop().await;
}

pub(super) async fn an_index_that_cannot_be_read_says_why(engine: Engine) {
    let site = listed(engine).await;
    site.mirror.set(&format!("dists/{SUITE}/InRelease"), Manner::Status(502));
    search(&site, "hello").await;
    package_search::look_after(&site.server.ctx).await.unwrap();
    let found = search(&site, "hello").await;
    let index = &found["indices"][0];
    assert!(index["packages"].is_null() && index["problem"].as_str().unwrap().contains("502"), "{index}");
    site.mirror.mend();
    site.clock.advance(3600);
    package_search::look_after(&site.server.ctx).await.unwrap();
    assert_eq!(names(&search(&site, "tree").await), ["tree"]);
    site.stop().await;
}
