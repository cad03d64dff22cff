//! What needs a second person: one asks, nothing happens; another one approves, and it does.

use harness::{browser::Look, sample, server::Engine};
use reqwest::Method;
use serde_json::json;

use super::{logged_in, login_link};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_over_a_system_waits_until_a_second_person_approves_it() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let rule = json!({ "approval.actions": ["install-over"] });
    server.send(Method::PATCH, "/api/v1/settings", &rule).await.unwrap().ok().unwrap();
    let now = server.ctx.now();
    let second = json!({ "name": "berta", "rights": { "role": "admin", "groups": [] } });
    server.send(Method::POST, "/api/v1/accounts", &second).await.unwrap().ok().unwrap();
    let https = &server.ctx.addresses.https;

    let (browser, page) = logged_in(&server, Look::DESK).await;
    page.goto(&format!("{https}/clients/{}/install", sample.installed)).await.unwrap();
    page.fill("#confirmed", sample.installed).await.unwrap();
    page.follow("Install now").await.unwrap();
    page.until_shown("waits for a second person").await.unwrap();
    page.until_shown("You asked for it; somebody else has to approve").await.unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    let jobs = async || {
        let path = format!("/api/v1/jobs?client={}", sample.installed);
        server.get(&path).await.unwrap().ok().unwrap()["items"].as_array().unwrap().len()
    };
    let before = jobs().await;

    let other = browser.page(Look::PHONE).await.unwrap();
    other.goto(&login_link(&server.ctx.db, https, "berta", now).await).await.unwrap();
    other.until("location.pathname === '/account'", "the link has logged in").await.unwrap();
    other.goto(&format!("{https}/approvals")).await.unwrap();
    assert_eq!(other.overhang().await.unwrap(), None);
    assert_eq!(other.barriers().await.unwrap(), Vec::<String>::new());
    other.submit("form[action$='/approve'] button").await.unwrap();
    other.until_shown("Decided by berta").await.unwrap();
    assert!(jobs().await > before + 3, "the installation was not queued");
    // The one who asked sees it without doing anything.
    page.until_shown("Decided by berta").await.unwrap();
    page.close().await.unwrap();
    other.close().await.unwrap();
    server.stop().await.unwrap();
}
