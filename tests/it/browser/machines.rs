//! From a machine that nobody knows to an installation that is queued, in German, on a telephone.

use harness::{browser::Look, sample, server::Engine};

use super::logged_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_machine_is_adopted_and_its_installation_ordered_on_a_telephone() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look { language: "de", ..Look::PHONE }).await;
    page.goto(&server.ctx.addresses.https).await.unwrap();
    page.until_shown("Rechner warten auf die Übernahme").await.unwrap();
    page.goto(&format!("{}/clients/{}", server.ctx.addresses.https, sample.discovered)).await.unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    page.follow("Übernehmen").await.unwrap();

    // A name that cannot be is refused beside its field, and what was typed stays.
    page.click_text("Ich habe verglichen: Der Rechner zeigt auf seinem Bildschirm dasselbe.").await.unwrap();
    page.fill("#name", "Raum 12").await.unwrap();
    page.fill("#user", "ann").await.unwrap();
    page.follow("Übernehmen und den Plan ansehen").await.unwrap();
    assert_eq!(
        page.eval("document.querySelector('#name').getAttribute('aria-invalid')").await.unwrap(),
        "true"
    );
    assert_eq!(page.eval("document.querySelector('#user').value").await.unwrap(), "ann");
    assert_eq!(page.overhang().await.unwrap(), None);

    page.fill("#name", "lab-30").await.unwrap();
    page.choose("#layout", "whole-disk").await.unwrap();
    page.follow("Übernehmen und den Plan ansehen").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/clients/lab-30/install");
    page.until_shown("Diese Platte ist leer").await.unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    page.follow("Jetzt installieren").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/clients/lab-30");
    page.until_shown("wird installiert").await.unwrap();

    let jobs = server.get("/api/v1/jobs?client=lab-30").await.unwrap().ok().unwrap();
    let types: Vec<_> =
        jobs["items"].as_array().unwrap().iter().rev().map(|job| job["job_type"].as_str().unwrap()).collect();
    assert_eq!(types.first().copied(), Some("storage"));
    assert_eq!(types.last().copied(), Some("reboot"));
    page.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_destroyed_is_shown_and_needs_the_machines_name() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look::DESK).await;
    page.goto(&format!("{}/clients/{}/install", server.ctx.addresses.https, sample.installed)).await.unwrap();
    page.until_shown("This will be destroyed").await.unwrap();
    page.fill("#confirmed", "lab-99").await.unwrap();
    page.follow("Install now").await.unwrap();
    page.until_shown("That is not its name").await.unwrap();
    page.fill("#confirmed", sample.installed).await.unwrap();
    page.follow("Install now").await.unwrap();
    assert_eq!(page.path().await.unwrap(), format!("/clients/{}", sample.installed));
    page.until_shown("Install").await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_telephone_the_menu_leads_to_every_page_and_what_was_said_to_be_old_gets_older() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look { language: "de", ..Look::PHONE }).await;
    page.goto(&format!("{}/clients/{}", server.ctx.addresses.https, sample.installed)).await.unwrap();
    let seen = "[...document.querySelectorAll('#navigation a')].filter(a => a.checkVisibility()).length";
    let all = page.eval("document.querySelectorAll('#navigation a').length").await.unwrap();
    assert_eq!(page.eval(seen).await.unwrap(), 4);
    assert!(all.as_i64() > Some(10), "{all}");
    page.click_text("Menü").await.unwrap();
    assert_eq!(page.eval(seen).await.unwrap(), all);
    assert_eq!(page.overhang().await.unwrap(), None);
    page.follow("Speicherlayouts").await.unwrap();
    // Folded up again, it still shows where one is.
    assert_eq!(page.eval("document.querySelector('[aria-current]').checkVisibility()").await.unwrap(), true);

    page.goto(&format!("{}/clients/{}", server.ctx.addresses.https, sample.installed)).await.unwrap();
    page.eval("document.querySelector('main time').dataset.age = '125'").await.unwrap();
    page.until("document.querySelector('main time').innerText === 'vor 2 min'", "the age is told")
        .await
        .unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
