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
        // One of two that failed does not halt it yet: whether the runner looks between the two is chance.
        ("max_failed_percent", "60"),
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
        page.text.contains("In Welle 1 sind 2 von 2 Clients fehlgeschlagen; erlaubt sind höchstens 60 %."),
        "{}",
        page.text
    );
    let retried = post(&browser, &format!("/rollouts/{id}/retry"), &[]).await;
    assert_eq!(retried.headers["location"], format!("/rollouts/{id}").as_str());
    assert_eq!(site.show(id).await["state"], json!("running"));
    site.server.stop().await.unwrap();
}

pub(super) async fn the_form_takes_several_jobs_in_their_order(engine: Engine) {
    let site = Site::start(engine, 2).await;
    let browser =
        Browser::of_new_account(&site.server, "ann", Rights::everything(Role::Operator)).await.unwrap();
    let how = [("title", "Zwei"), ("query", "name:pc-*"), ("waves", "rest"), ("expire_after", "7d")];
    let with = |jobs: &[(&'static str, &'static str)], then: &'static str| {
        [&how[..], jobs, &[("then", then)]].concat()
    };
    let page = get(&browser, "/new-rollout", "en").await.text;
    assert!(page.contains(">Install packages</option>"), "a job goes by its name alone: {page}");
    // One more, and another order, without a script.
    let one = [("job", "script"), ("params", "text=true")];
    let page = post(&browser, "/new-rollout", &with(&one, "add")).await.text;
    assert_eq!(page.matches("name=\"job\"").count(), 2, "{page}");
    let two = [("job", "script"), ("params", "text=true"), ("job", "reboot"), ("params", "")];
    let page = post(&browser, "/new-rollout", &with(&two, "earlier-2")).await.text;
    let (reboot, script) =
        (page.find("value=\"reboot\" selected").unwrap(), page.find("value=\"script\" selected").unwrap());
    assert!(reboot < script, "{page}");
    let page = post(&browser, "/new-rollout", &with(&two, "without-1")).await.text;
    assert!(
        page.matches("name=\"job\"").count() == 1 && !page.contains("value=\"script\" selected"),
        "{page}"
    );

    // What is wrong names its job; an installation anew has no others beside it; a row without a job does not count.
    let wrong = [("job", "script"), ("params", "text=true"), ("job", "script"), ("params", "")];
    let page = post(&browser, "/new-rollout", &with(&wrong, "start")).await.text;
    assert!(page.contains("work.jobs[1].params.text"), "{page}");
    let anew = [("job", "reinstall"), ("params", ""), ("job", "reboot"), ("params", "")];
    let page = post(&browser, "/new-rollout", &with(&anew, "start")).await.text;
    assert!(page.contains("keine anderen Jobs"), "{page}");
    let empty = [&two[..], &[("job", ""), ("params", "")]].concat();
    let made = post(&browser, "/new-rollout", &with(&empty, "make")).await;
    let id: i64 =
        made.headers["location"].to_str().unwrap().strip_prefix("/rollouts/").unwrap().parse().unwrap();
    let jobs = site.show(id).await["spec"]["work"]["jobs"].clone();
    let types: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["job_type"].clone()).collect();
    assert_eq!(types, ["script", "reboot"]);
    site.server.stop().await.unwrap();
}
