//! Finding a few among fifty thousand.

use harness::{
    browser::Look,
    server::{Engine, TestServer},
};
use server::{
    db::clients,
    domain::client::{ClientConfig, Stage},
};

use super::logged_in;

const ALL: u32 = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_are_found_among_fifty_thousand_and_a_wrong_search_says_where() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let mut tx = server.ctx.db.write().await.unwrap();
    for number in 0..ALL {
        let stage = if number % 100 == 7 { Stage::Discovered } else { Stage::Installed };
        let name = format!("pc-{number:05}");
        clients::create(&mut tx, &name, stage, &ClientConfig::default(), &[], 0).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (_browser, page) = logged_in(&server, Look::DESK).await;
    page.goto(&format!("{}/clients", server.ctx.addresses.https)).await.unwrap();
    let found = async |search: &str| {
        page.fill("#q", search).await.unwrap();
        page.follow("Search").await.unwrap();
        page.eval("[...document.querySelectorAll('tbody td.name')].map(cell => cell.innerText)")
            .await
            .unwrap()
    };
    let named = found("name:pc-4999*").await;
    assert_eq!(named.as_array().unwrap().len(), 10, "{named}");
    let new = found("stage:discovered name:pc-0*").await;
    let new = new.as_array().unwrap();
    assert_eq!((new.len(), new[0].as_str().unwrap()), (100, "pc-00007"));
    found("stage:discoverd").await;
    page.until("document.querySelector('[role=alert]')", "what is wrong is told").await.unwrap();
    assert_eq!(page.eval("document.querySelector('#q').value").await.unwrap(), "stage:discoverd");
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
