//! The cache as people see it: API, figures, page.

use harness::{
    archive::Manner,
    server::{Answer, answer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::domain::people::Role;

use super::Site;

async fn ok(site: &Site, path: &str) -> Value {
    site.server.get(path).await.unwrap().ok().unwrap()
}

async fn post(site: &Site, role: Role, path: &str, body: &Value) -> Answer {
    answer(site.server.request(Some(role), Method::POST, path).json(body)).await.unwrap()
}

#[tokio::test]
async fn what_lies_there_is_listed_fetched_beforehand_and_removed() {
    let (site, [hello, other]) =
        Site::with(|archive| ["hello", "other"].map(|name| archive.package(name, "1", 100_000).unwrap()))
            .await;
    let wish = json!({ "mirror": "debian", "path": hello.path });
    let refused = post(&site, Role::Helpdesk, "/api/v1/cache/fetch", &wish).await;
    assert_eq!(refused.status, 403);
    let fetched = post(&site, Role::Operator, "/api/v1/cache/fetch", &wish).await.ok().unwrap();
    assert_eq!((&fetched["size_bytes"], &fetched["was_there"]), (&json!(hello.content.len()), &json!(false)));
    site.fetch(&hello.path).await;
    site.fetch(&other.path).await;
    assert_eq!(post(&site, Role::Operator, "/api/v1/cache/fetch", &wish).await.json()["was_there"], true);
    let unknown = json!({ "mirror": "debian", "path": "pool/x_1_all.deb" });
    assert_eq!(post(&site, Role::Operator, "/api/v1/cache/fetch", &unknown).await.status, 422);
    let files = ok(&site, "/api/v1/cache/files?contains=hello").await;
    assert_eq!(files.as_array().unwrap().len(), 1);
    assert_eq!(files[0]["name"], format!("debian/{}", hello.path));
    let status = ok(&site, "/api/v1/cache").await;
    assert_eq!((&status["files"], &status["mirrors"][0]["misses"]), (&json!(3), &json!(2)), "{status:#}");
    let clean = json!({ "contains": ".deb", "unused_days": 1 });
    assert_eq!(post(&site, Role::Admin, "/api/v1/cache/clean", &clean).await.json()["files"], 0);
    site.clock.advance(2 * 86_400);
    site.fetch(&other.path).await;
    assert_eq!(post(&site, Role::Operator, "/api/v1/cache/clean", &clean).await.status, 403);
    let cleaned = post(&site, Role::Admin, "/api/v1/cache/clean", &clean).await.json();
    assert_eq!(cleaned, json!({ "files": 1, "bytes": hello.content.len() }));
    assert!(!site.stored().iter().any(|name| name.contains("hello")), "{:?}", site.stored());
    site.stop().await;
}

#[tokio::test]
async fn hits_misses_bytes_and_lies_are_counted() {
    let (site, [hello, other]) =
        Site::with(|archive| ["hello", "other"].map(|name| archive.package(name, "1", 100_000).unwrap()))
            .await;
    for _ in 0..3 {
        site.fetch(&hello.path).await;
    }
    site.mirror.set(&other.path, Manner::Gives(b"lies".to_vec()));
    site.fetch(&other.path).await;
    let text = answer(site.server.request(None, Method::GET, "/metrics")).await.unwrap().text;
    let bytes = 3 * hello.content.len();
    for line in [
        "lotse_cache_requests_total{mirror=\"debian\",result=\"hit\"} 2".to_owned(),
        "lotse_cache_requests_total{mirror=\"debian\",result=\"miss\"} 2".to_owned(),
        format!("lotse_cache_transferred_bytes_total{{mirror=\"debian\",way=\"served\"}} {bytes}"),
        "lotse_cache_refused_total{mirror=\"debian\"} 1".to_owned(),
        "lotse_cache_mirror_up{mirror=\"debian\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    site.stop().await;
}
