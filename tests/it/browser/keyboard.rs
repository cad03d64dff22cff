//! Without a mouse: from the login to a client and into its installation.

use harness::{browser::Look, sample, server::Engine};

use super::logged_in;

const PASSWORD: &str = "a boat leaves the harbour";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_alone_leads_from_the_login_to_a_client() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (browser, first) = logged_in(&server, Look::DESK).await;
    first.fill("#password", PASSWORD).await.unwrap();
    first.fill("#again", PASSWORD).await.unwrap();
    first.follow("Save the password").await.unwrap();
    let page = browser.page(Look::DESK).await.unwrap();
    page.goto(&server.ctx.addresses.https).await.unwrap();
    // The first field has the focus already.
    page.until("document.activeElement.name === 'name'", "the name can be typed").await.unwrap();
    page.write("admin").await.unwrap();
    page.press("Tab").await.unwrap();
    page.write(PASSWORD).await.unwrap();
    page.press("Enter").await.unwrap();
    page.until("location.pathname === '/' && document.readyState === 'complete'", "the login leads on")
        .await
        .unwrap();

    page.tab_to("Skip to the content").await.unwrap();
    page.tab_to("Clients").await.unwrap();
    page.press("Enter").await.unwrap();
    page.until(
        "location.pathname === '/clients' && document.readyState === 'complete'",
        "the clients are there",
    )
    .await
    .unwrap();
    page.tab_to(sample.installed).await.unwrap();
    page.press("Enter").await.unwrap();
    let there = format!(
        "location.pathname === '/clients/{}' && document.readyState === 'complete'",
        sample.installed
    );
    page.until(&there, "the client is there").await.unwrap();
    page.tab_to("Install").await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
