//! Output of a job on a page, line by line, while the server is killed and started again.

use std::collections::BTreeMap;

use harness::{
    browser::{Browser, Look},
    fleet::{
        luck::Chances,
        program::Script,
        run::{Arrival, Fleet},
    },
    server::Engine,
};
use serde_json::json;
use server::{clock::Clock, domain::job::JobState};

use super::login_link;

const LINES: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_shown_once_and_in_order_though_the_server_is_killed_meanwhile() {
    let mut fleet = Fleet::start(Engine::Sqlite, 7).await.unwrap();
    let member = fleet.add(Arrival::Installed, Chances::NONE, BTreeMap::new()).await.unwrap();
    let script = Script { name: "watched".to_owned(), lines: LINES, pace_ms: 15, status: 0, busy: 0 };
    let job = fleet.order(member, "fleet-once", &[("text", &script)], json!({})).await.unwrap();
    fleet.until("the job runs", async |fleet| fleet.is(job, &[JobState::Running]).await).await.unwrap();

    let https = fleet.server.addresses.https.clone();
    let browser = Browser::start(fleet.server.ca_pem().unwrap()).await.unwrap();
    let mut page = browser.page(Look::DESK).await.unwrap();
    // While the server is away, nobody answers the page.
    page.forgive("net::ERR_");
    page.goto(&login_link(&fleet.server.db, &https, "admin", Clock::system().now()).await).await.unwrap();
    page.until("location.pathname === '/account'", "the link has logged in").await.unwrap();
    page.goto(&format!("{https}/clients/{}", fleet.members[member].name)).await.unwrap();
    let shown = |text: &str| {
        format!("document.querySelector('.output').textContent.includes({:?})", format!("{text}\n"))
    };
    page.until(&shown("watched line 20 of 400"), "some lines have come").await.unwrap();
    fleet.server.kill_and_restart().await.unwrap();
    page.until(&shown("watched line 400 of 400"), "all lines have come").await.unwrap();

    let lines = page
        .eval("document.querySelector('.output').textContent.split('\\n').filter(line => line.startsWith('watched line'))")
        .await
        .unwrap();
    let expected: Vec<_> = (1..=LINES).map(|line| format!("watched line {line} of {LINES}")).collect();
    assert_eq!(lines, json!(expected));
    page.close().await.unwrap();
    fleet.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_client_goes_on_with_the_output_of_its_next_job() {
    let mut fleet = Fleet::start(Engine::Sqlite, 8).await.unwrap();
    let member = fleet.add(Arrival::Installed, Chances::NONE, BTreeMap::new()).await.unwrap();
    let script = |name: &str| Script { name: name.to_owned(), lines: 5, pace_ms: 1, status: 0, busy: 0 };
    fleet.order(member, "fleet-once", &[("text", &script("first"))], json!({})).await.unwrap();
    let browser = Browser::start(fleet.server.ca_pem().unwrap()).await.unwrap();
    let page = browser.page(Look::DESK).await.unwrap();
    let https = fleet.server.addresses.https.clone();
    page.goto(&login_link(&fleet.server.db, &https, "admin", Clock::system().now()).await).await.unwrap();
    page.until("location.pathname === '/account'", "the link has logged in").await.unwrap();
    page.goto(&format!("{https}/clients/{}", fleet.members[member].name)).await.unwrap();
    page.until_shown("first line 5 of 5").await.unwrap();

    fleet.order(member, "fleet-once", &[("text", &script("second"))], json!({})).await.unwrap();
    page.until_shown("second line 5 of 5").await.unwrap();
    let text = page.text().await.unwrap();
    assert_eq!(text.matches("second line 5 of 5").count(), 1, "{text}");
    assert!(!text.contains("first line"), "the output of the job before is still there: {text}");
    page.close().await.unwrap();
    fleet.finish().await.unwrap();
}
