//! Coming in: by the first link, by password, in German; and that a page's complaints are noticed at all.

use harness::{
    browser::{Browser, Look},
    server::{Engine, TestServer},
};

use super::logged_in;

const PASSWORD: &str = "a boat leaves the harbour";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_comes_by_the_link_sets_a_password_and_comes_again_by_it() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let (browser, page) = logged_in(&server, Look::DESK).await;
    page.until_shown("You have no password yet").await.unwrap();
    page.fill("#password", PASSWORD).await.unwrap();
    page.fill("#again", PASSWORD).await.unwrap();
    page.follow("Save the password").await.unwrap();
    page.until_shown("The password is set").await.unwrap();
    page.close().await.unwrap();

    // At another desk, by a page that needs a login: it leads back there.
    let mut page = browser.page(Look::DESK).await.unwrap();
    page.forgive("401");
    page.goto(&format!("{}/clients?stage=installed", server.ctx.addresses.https)).await.unwrap();
    page.fill("#name", "admin").await.unwrap();
    page.fill("#password", "not the password").await.unwrap();
    page.follow("Log in").await.unwrap();
    page.until_shown("Name and password do not belong together").await.unwrap();
    page.fill("#password", PASSWORD).await.unwrap();
    page.follow("Log in").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/clients?stage=installed");
    page.follow("Log out").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/login");
    page.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_german_browser_is_answered_in_german_until_its_owner_chooses_otherwise() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look::GERMAN).await;
    page.goto(&server.ctx.addresses.https).await.unwrap();
    assert_eq!(page.eval("document.documentElement.lang").await.unwrap(), "de");
    page.until_shown("Gerade ist nichts zu tun").await.unwrap();
    page.follow("English").await.unwrap();
    page.until_shown("Nothing needs you").await.unwrap();
    page.follow("Deutsch").await.unwrap();
    page.until_shown("Gerade ist nichts zu tun").await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_forbids_and_what_scripts_throw_fails_the_test_of_the_page() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let (browser, page) = logged_in(&server, Look::DESK).await;
    page.eval("document.body.setAttribute('style', 'color: red'), true").await.unwrap();
    let error = page.close().await.unwrap_err().to_string();
    assert!(error.contains("Content Security Policy"), "{error}");

    let page = browser.page(Look::DESK).await.unwrap();
    page.goto(&format!("{}/login", server.ctx.addresses.https)).await.unwrap();
    page.eval("queueMicrotask(() => { throw new Error('a plank is loose') }), true").await.unwrap();
    let error = page.close().await.unwrap_err().to_string();
    assert!(error.contains("a plank is loose"), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_trusts_no_server_of_another_ca() {
    let [server, other] =
        [TestServer::start(Engine::Sqlite).await.unwrap(), TestServer::start(Engine::Sqlite).await.unwrap()];
    let browser = Browser::start(other.ctx.authority.ca_pem()).await.unwrap();
    let page = browser.page(Look::DESK).await.unwrap();
    let error = page.goto(&server.ctx.addresses.https).await.unwrap_err().to_string();
    assert!(error.contains("ERR_CERT_AUTHORITY_INVALID"), "{error}");
    page.goto(&other.ctx.addresses.https).await.unwrap();
    server.stop().await.unwrap();
    other.stop().await.unwrap();
}
