//! The pages of rollouts, without a browser: what somebody fills in is shown first, then made, then ordered about, in both languages.

use harness::{
    cookies::Browser,
    server::{Answer, Engine, answer},
};
use reqwest::Method;
use serde_json::json;
use server::domain::people::{Rights, Role};

use super::site::{End, Site, count, is_in};

async fn get(browser: &Browser, path: &str, language: &str) -> Answer {
    answer(browser.request(Method::GET, path).header("accept-language", language)).await.unwrap()
}

async fn post(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("accept-language", "de");
    answer(harness::cookies::form(request, fields)).await.unwrap()
}

pub(super) async fn a_rollout_is_shown_made_and_ordered_about_on_pages(engine: Engine) {
    let mut site = Site::start(engine, 5).await;
    let browser =
        Browser::of_new_account(&site.server, "ann", Rights::everything(Role::Operator)).await.unwrap();
    assert!(get(&browser, "/rollouts", "de").await.text.contains("Es gibt noch keinen Rollout."));
    let form = [
        ("title", "Hallo"),
        ("job", "script"),
        ("params", "text=true"),
        ("query", "name:pc-*"),
        ("waves", "2/1h\nrest"),
        ("max_failed_percent", "10"),
        ("expire_after", "7d"),
        ("zone", "Europe/Berlin"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&form[..], more].concat();
    let shown = post(&browser, "/new-rollout", &with(&[("then", "preview")])).await;
    assert!(
        shown.text.contains("5 Clients") && shown.text.contains("Für 5 Clients starten"),
        "{}",
        shown.text
    );
    let wrong = post(&browser, "/new-rollout", &with(&[("windows", "irgendwann"), ("then", "start")])).await;
    assert!(wrong.text.contains("windows.open[0]"), "{}", wrong.text);
    let made = post(&browser, "/new-rollout", &with(&[("then", "start")])).await;
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let id: i64 = place.strip_prefix("/rollouts/").unwrap().parse().unwrap();
    let weekly =
        [("title", "weekly"), ("windows", "sun 02:00-02:01"), ("recurring", "yes"), ("then", "make")];
    let weekly: Vec<_> = form.iter().filter(|(name, _)| *name != "title").chain(&weekly).copied().collect();
    assert_eq!(post(&browser, "/new-rollout", &weekly).await.headers["location"], "/rollouts");
    assert!(get(&browser, "/rollouts", "en").await.text.contains("sun 02:00-02:01"));
    assert_eq!(post(&browser, "/rollout-schedules/weekly/off", &[]).await.headers["location"], "/rollouts");
    site.until(id, "two have jobs", |view| count(view, "queued") == 2).await;
    site.work(End::Badly).await;
    site.until(id, "it halts", is_in("halted")).await;
    for language in ["de", "en"] {
        for path in ["/rollouts", "/new-rollout"] {
            assert_eq!(get(&browser, path, language).await.status, 200);
        }
        let page = get(&browser, &format!("/rollouts/{id}"), language).await;
        assert!(page.text.contains("E: Unable to locate package helo"), "{}", page.text);
        let clients = get(&browser, &format!("/rollouts/{id}/clients?state=failed"), language).await;
        assert!(clients.text.contains("/jobs/"), "{}", clients.text);
    }
    let page = get(&browser, &format!("/rollouts/{id}"), "de").await;
    assert!(
        page.text.contains("In Welle 1 sind 2 von 2 Clients fehlgeschlagen; erlaubt sind höchstens 10 %."),
        "{}",
        page.text
    );
    let retried = post(&browser, &format!("/rollouts/{id}/retry"), &[]).await;
    assert_eq!(retried.headers["location"], format!("/rollouts/{id}").as_str());
    assert_eq!(site.show(id).await["state"], json!("running"));
    site.server.stop().await.unwrap();
}
