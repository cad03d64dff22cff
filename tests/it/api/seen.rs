//! Sums, reports and requests for approval, for somebody whose roles count for one group.

use harness::{
    cookies::Browser,
    server::{Engine, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::domain::people::{GroupRole, Rights, Role};

use super::reach::{ask, client, login};

/// Two clients in two groups, each installed, silent, and with a failed job: everything that sums could tell.
async fn two_rooms(engine: Engine) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    for (name, group, mac) in
        [("in-01", "room-101", "52:54:00:00:01:01"), ("out-01", "room-102", "52:54:00:00:02:01")]
    {
        let made = client(&server, name, group, mac).await;
        let (at, job) = (server.ctx.now() - 1_000_000, made.job);
        let failed = format!(
            "UPDATE jobs SET state = 'failed', reason = '{name} has no disk', finished_at = {at} WHERE id = {job}"
        );
        server.meddle(&failed).await.unwrap();
        let silent =
            format!("UPDATE clients SET stage = 'installed', last_seen_at = 1 WHERE name = '{name}'");
        server.meddle(&silent).await.unwrap();
    }
    server
}

pub(super) async fn packages_for_a_client_out_of_sight_are_not_looked_for(engine: Engine) {
    let server = two_rooms(engine).await;
    let secret = login(&server, Role::Viewer, "room-101").await;
    for (name, status) in [("in-01", 200), ("out-01", 404), ("no-such", 404)] {
        let path = format!("/api/v1/package-search?q=hello&client={name}");
        assert_eq!(ask(&server, &secret, &Method::GET, &path, &json!({})).await.status, status, "{name}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn reports_are_about_the_clients_that_somebody_sees(engine: Engine) {
    let server = two_rooms(engine).await;
    let secret = login(&server, Role::Viewer, "room-101").await;
    let get = async |path: &str| ask(&server, &secret, &Method::GET, path, &json!({})).await;
    let all = server.get("/api/v1/reports/silent").await.unwrap().ok().unwrap();
    assert_eq!(all["rows"].as_array().unwrap().len(), 2, "{all}");
    for name in get("/api/v1/reports").await.ok().unwrap().as_array().unwrap() {
        let path = format!("/api/v1/reports/{}", name.as_str().unwrap());
        for path in [path.clone(), format!("{path}?group=room-101"), format!("{path}?format=csv")] {
            let report = get(&path).await;
            assert_eq!(report.status, 200, "{path}: {report:?}");
            assert!(!report.text.contains("out-01"), "{path}: {}", report.text);
        }
        let hidden = get(&format!("{path}?group=room-102")).await;
        assert!(hidden.is_problem(404), "{hidden:?}");
        // There and not there look the same.
        assert_eq!(get(&format!("{path}?group=room-999")).await.status, 404);
    }
    for name in ["silent", "failures", "updates", "age"] {
        let report = get(&format!("/api/v1/reports/{name}")).await.ok().unwrap();
        assert_eq!(report["rows"].as_array().unwrap().len(), 1, "{name}: {report}");
    }
    let failures = get("/api/v1/reports/failures").await.ok().unwrap();
    let counted: i64 =
        failures["days"].as_array().unwrap().iter().map(|day| day["count"].as_i64().unwrap()).sum();
    assert_eq!(counted, 1, "{failures}");
    server.stop().await.unwrap();
}

pub(super) async fn the_overview_is_about_the_clients_that_somebody_sees(engine: Engine) {
    let server = two_rooms(engine).await;
    let groups = vec![GroupRole { group: "room-101".to_owned(), role: Role::Helpdesk }];
    let scoped = Browser::of_new_account(&server, "ann", Rights { role: None, groups }).await.unwrap();
    let all = Browser::of_new_account(&server, "bob", Role::Viewer.into()).await.unwrap();
    let page = scoped.get("/").await.unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("in-01 has no disk"), "{}", page.text);
    assert!(!page.text.contains("out-01"), "{}", page.text);
    let whole = all.get("/").await.unwrap().text;
    assert!(whole.contains("in-01 has no disk") && whole.contains("out-01 has no disk"), "{whole}");
    let sees = server::domain::reach::Sees::Groups(Vec::new());
    let nothing = server::app::overview::look(&server.ctx, &sees).await.unwrap();
    assert!(nothing.stages.is_empty() && nothing.concerns.is_empty() && nothing.happened.is_empty());
    assert_eq!(nothing.days.iter().map(|day| day.ended.failed).sum::<i64>(), 0);
    // What others have asked for meanwhile changes nothing of it.
    let sees = server::domain::reach::Sees::Everything;
    let everything = server::app::overview::look(&server.ctx, &sees).await.unwrap();
    assert_eq!(everything.days.iter().map(|day| day.ended.failed).sum::<i64>(), 2);
    server.stop().await.unwrap();
}

/// Gives an account of [`login`] a role for another group in place of its own.
async fn move_to(server: &TestServer, name: &str, group: &str) {
    let rights = json!({ "rights": { "role": null, "groups": [{ "group": group, "role": "operator" }] } });
    let path = format!("/api/v1/accounts/{name}");
    server.send(Method::PATCH, &path, &rights).await.unwrap().ok().unwrap();
}

pub(super) async fn a_request_is_decided_by_who_has_the_role_where_it_happens(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for (name, group, mac) in [
        ("in-01", "room-101", "52:54:00:00:01:01"),
        ("in-02", "room-101", "52:54:00:00:01:02"),
        ("out-01", "room-102", "52:54:00:00:02:01"),
    ] {
        client(&server, name, group, mac).await;
    }
    let rules = json!({ "approval.actions": ["retire"] });
    server.send(Method::PATCH, "/api/v1/settings", &rules).await.unwrap().ok().unwrap();
    let asks = login(&server, Role::Operator, "room-101").await;
    let elsewhere = login(&server, Role::Operator, "room-102").await;
    let helps = login(&server, Role::Helpdesk, "room-101").await;
    let decides = {
        let body = json!({ "name": "second", "rights": { "groups": [{ "group": "room-101", "role": "operator" }] } });
        let made = server.send(Method::POST, "/api/v1/accounts", &body).await.unwrap().ok().unwrap();
        let link = made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
        let request = server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
        let shown = harness::server::answer(request).await.unwrap().ok().unwrap();
        shown["secret"].as_str().unwrap().to_owned()
    };
    let post = async |who: &str, path: &str| ask(&server, who, &Method::POST, path, &json!({})).await;
    let wait = async |who: &str, name: &str| -> i64 {
        let answer = post(who, &format!("/api/v1/clients/{name}/retire")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["fields"][0]["message"].as_str().unwrap().parse().unwrap()
    };
    let id = wait(&asks, "in-01").await;
    let path = format!("/api/v1/approvals/{id}/approve");
    // An operator of another room neither sees nor decides it; one who helps there sees it.
    let seen = async |who: &str| -> Value {
        ask(&server, who, &Method::GET, "/api/v1/approvals", &json!({})).await.ok().unwrap()["items"].clone()
    };
    assert!(post(&elsewhere, &path).await.is_problem(404));
    assert_eq!(seen(&elsewhere).await, json!([]));
    assert_eq!(seen(&helps).await[0]["id"], id);
    assert!(post(&helps, &path).await.is_problem(403));
    assert!(post(&asks, &path).await.is_problem(403));
    assert_eq!(post(&decides, &path).await.ok().unwrap()["state"], "approved");
    // Whoever asked has the role somewhere else now: that does not count here.
    let id = wait(&asks, "in-02").await;
    move_to(&server, "operator-of-room-101", "room-102").await;
    let refused = post(&decides, &format!("/api/v1/approvals/{id}/approve")).await;
    assert!(refused.is_problem(409) && refused.text.contains("may not do it any more"), "{refused:?}");
    server.stop().await.unwrap();
}
