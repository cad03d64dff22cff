//! Many machines at once, from the browser alone, in German: a mistake is mended where it is, then one button.

use harness::{browser::Look, sample, server::Engine};

use super::logged_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_a_mistake_is_mended_in_its_row_and_begun_with_one_button() {
    let (server, _) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look { language: "de", ..Look::PHONE }).await;
    page.goto(&format!("{}/mass-installation", server.ctx.addresses.https)).await.unwrap();
    page.fill("#sheet", "name;mac\npc-001;52:54:00:00:01:01\nlab-01;52:54:00:00:01:02").await.unwrap();
    page.fill("#user", "ann").await.unwrap();
    page.click_text("Passwörter erzeugen; sie werden danach einmal gezeigt").await.unwrap();
    page.follow("Prüfen und ansehen").await.unwrap();
    page.until_shown("Einen Client lab-01 gibt es schon").await.unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    page.fill("#name-2", "pc-002").await.unwrap();
    page.follow("Noch einmal prüfen").await.unwrap();
    page.until_shown("Alle 2 Rechner sind bereit").await.unwrap();
    page.follow("Alle 2 installieren").await.unwrap();
    page.until_shown("2 Rechner sind begonnen").await.unwrap();
    page.until_shown("Die Passwörter stehen nur hier").await.unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    let jobs = server.get("/api/v1/jobs?client=pc-002").await.unwrap().ok().unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 6);
    page.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_back_needs_the_clients_name() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look::GERMAN).await;
    page.goto(&format!("{}/clients/{}/do/retire", server.ctx.addresses.https, sample.installed))
        .await
        .unwrap();
    page.until_shown("Die Aufzeichnungen bleiben").await.unwrap();
    page.fill("#confirmed", "lab-99").await.unwrap();
    page.follow("Ausmustern").await.unwrap();
    page.until_shown("Das ist nicht sein Name").await.unwrap();
    page.fill("#confirmed", sample.installed).await.unwrap();
    page.follow("Ausmustern").await.unwrap();
    page.until_shown("ausgemustert").await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
