//! Choosing single clients of a long list, as a browser without scripts does it; and the order of lists.

use harness::{
    cookies::Browser,
    server::{Engine, TestServer},
};
use regex::Regex;
use reqwest::Method;
use serde_json::json;
use server::domain::people::Role;

/// The names in the fields that an expression finds.
fn names(page: &str, pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(page).map(|found| found[1].to_owned()).collect()
}

const HIDDEN: &str = r#"type="hidden" name="client" value="([^"]+)""#;
const CHECKED: &str = r#"name="client" value="([^"]+)" checked"#;

pub(super) async fn clients_that_are_chosen_stay_so_from_page_to_page_without_scripts(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for number in 1..=102 {
        let new = json!({ "name": format!("pc-{number:03}") });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    }
    let browser = Browser::of_new_account(&server, "ann", Role::Operator.into()).await.unwrap();
    let first = browser.get("/clients").await.unwrap().text;
    assert!(names(&first, HIDDEN).is_empty() && names(&first, CHECKED).is_empty());
    let onwards =
        names(&first, r#"formaction="([^"]+after=[^"]+)""#)[0].replace("&amp;", "&").replace("&#x2F;", "/");
    let second = browser.post(&onwards, &[("client", "pc-001"), ("client", "pc-050")]).await.unwrap();
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(names(&second.text, HIDDEN), ["pc-001", "pc-050"]);
    assert!(second.text.contains("2 clients are chosen."), "{}", second.text);
    assert!(second.text.contains("2 of them are on other pages."), "{}", second.text);
    // Back, with one more and without one; what is no name is no choice.
    let chosen = [("client", "pc-001"), ("client", "pc-102"), ("client", "\"><script>")];
    let back = browser.post("/clients", &chosen).await.unwrap().text;
    assert_eq!(
        (names(&back, CHECKED), names(&back, HIDDEN)),
        (vec!["pc-001".to_owned()], vec!["pc-102".to_owned()])
    );
    assert!(!back.contains("<script>"));
    // The same in another order, and then the order for both.
    let sorted = browser.post("/clients?sort=-name", &chosen).await.unwrap().text;
    assert_eq!(names(&sorted, CHECKED), ["pc-102"]);
    let order = [("action", "package-upgrade"), ("client", "pc-001"), ("client", "pc-102")];
    let preview = browser.post("/batches/preview", &order).await.unwrap().text;
    assert!(
        preview.contains("pc-001") && preview.contains("pc-102") && !preview.contains("pc-050"),
        "{preview}"
    );
    let viewer = Browser::of_new_account(&server, "eve", Role::Viewer.into()).await.unwrap();
    assert_eq!(viewer.post("/clients", &[("client", "pc-001")]).await.unwrap().status, 403);
    server.stop().await.unwrap();
}

pub(super) async fn a_list_by_groups_follows_who_joins_and_leaves(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for (name, groups) in [("a", json!(["m"])), ("b", json!([])), ("c", json!(["k", "z"]))] {
        let new = json!({ "name": name, "groups": groups });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    }
    let order = async || -> String {
        let list = server.get("/api/v1/clients?sort=group").await.unwrap().ok().unwrap();
        let names = list["items"].as_array().unwrap().iter().map(|client| client["name"].as_str().unwrap());
        names.collect::<Vec<_>>().concat()
    };
    assert_eq!(order().await, "bca");
    server.send(Method::PUT, "/api/v1/groups/z/members/b", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(order().await, "cab");
    server.send(Method::DELETE, "/api/v1/groups/k/members/c", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(order().await, "abc");
    server.send(Method::DELETE, "/api/v1/groups/m", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(order().await, "abc");
    server.send(Method::DELETE, "/api/v1/groups/z", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(order().await, "abc");
    server.stop().await.unwrap();
}
