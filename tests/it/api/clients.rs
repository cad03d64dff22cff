//! Clients and groups, as admins see them.

use harness::server::{Engine, TestServer, answer};
use reqwest::{Method, header::IF_MATCH};
use serde_json::{Value, json};
use server::{db, domain::people::Role};

async fn create(server: &TestServer, name: &str, mac: &str) -> Value {
    let body = json!({ "name": name, "macs": [mac], "groups": ["lab"] });
    server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap()
}

pub(super) async fn a_registered_client_shows_its_three_answers(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let made = create(&server, "lab-01", "52-54-00-00-00-01").await;
    assert_eq!(
        (&made["stage"], &made["activity"]["state"], &made["health"]["state"]),
        (&json!("registered"), &json!("idle"), &json!("ok"))
    );
    assert_eq!(made["macs"], json!(["52:54:00:00:00:01"]));
    assert_eq!(made["groups"], json!(["lab"]));
    let timeline = server.get("/api/v1/clients/lab-01/timeline").await.unwrap().ok().unwrap();
    assert!(timeline["expected"]["remedy"].as_str().unwrap().contains("PXE"));
    server.stop().await.unwrap();
}

pub(super) async fn two_clients_share_neither_name_nor_address(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    for body in [
        json!({ "name": "lab-02", "macs": ["52:54:00:00:00:01"] }),
        json!({ "name": "lab-01", "macs": ["52:54:00:00:00:02"] }),
    ] {
        let got = server.send(Method::POST, "/api/v1/clients", &body).await.unwrap();
        assert!(got.is_problem(409) && got.json()["title"].as_str().unwrap().contains("lab-01"), "{got:?}");
    }
    let twice = json!({ "name": "lab-03", "macs": ["52:54:00:00:00:03", "52-54-00-00-00-03"] });
    let got = server.send(Method::POST, "/api/v1/clients", &twice).await.unwrap();
    assert_eq!(got.ok().unwrap()["macs"], json!(["52:54:00:00:00:03"]));
    create(&server, "lab-04", "52:54:00:00:00:04").await;
    let got =
        server.send(Method::PATCH, "/api/v1/clients/lab-04", &json!({ "name": "lab-01" })).await.unwrap();
    assert!(got.is_problem(409), "{got:?}");
    server.stop().await.unwrap();
}

pub(super) async fn a_change_to_what_somebody_else_has_changed_is_refused(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    let seen = server.get("/api/v1/clients/lab-01").await.unwrap();
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let change = async |tag: &str, zone: &str| {
        let request = server.request(Some(Role::Operator), Method::PATCH, "/api/v1/clients/lab-01");
        let body = json!({ "config": { "timezone": zone } });
        answer(request.header(IF_MATCH, tag).json(&body)).await.unwrap()
    };
    let first = change(&tag, "Europe/Berlin").await;
    assert_eq!(first.ok().unwrap()["config"]["timezone"], "Europe/Berlin");
    assert!(change(&tag, "Europe/Paris").await.is_problem(412));
    let newer = first.headers["etag"].to_str().unwrap();
    assert_eq!(change(newer, "Europe/Paris").await.status, 200);
    assert_eq!(change("*", "Europe/Rome").await.status, 200);
    assert!(change("yesterday", "Europe/Oslo").await.is_problem(422));
    let delete = |tag: &str| {
        server.request(Some(Role::Admin), Method::DELETE, "/api/v1/clients/lab-01").header(IF_MATCH, tag)
    };
    assert!(answer(delete(&tag)).await.unwrap().is_problem(412));
    let now = server.get("/api/v1/clients/lab-01").await.unwrap();
    assert_eq!(answer(delete(now.headers["etag"].to_str().unwrap())).await.unwrap().status, 204);
    server.stop().await.unwrap();
}

pub(super) async fn passwords_are_hashed_and_never_come_back(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let secret = async || {
        let mut tx = server.ctx.db.read().await.unwrap();
        let client = db::clients::find_by_name(&mut tx, "lab-01").await.unwrap().unwrap();
        db::clients::find_secret(&mut tx, client.id, "user-passwords").await.unwrap().unwrap_or_default()
    };
    let users = json!([{ "name": "ann" }, { "name": "bob" }]);
    let body = json!({
        "name": "lab-01",
        "config": { "users": users },
        "passwords": { "ann": "correct horse", "bob": "battery staple" }
    });
    let made = server.send(Method::POST, "/api/v1/clients", &body).await.unwrap();
    assert!(!made.text.contains("horse") && !made.text.contains("$6$"), "{made:?}");
    assert_eq!(made.ok().unwrap()["config"]["users"][0]["has_password"], true);
    let lines = secret().await;
    assert!(lines.starts_with("ann:$6$") && lines.contains("\nbob:$6$"), "{lines}");

    let change = json!({ "config": { "users": [{ "name": "bob" }, { "name": "cyd" }] } });
    let changed = server.send(Method::PATCH, "/api/v1/clients/lab-01", &change).await.unwrap().ok().unwrap();
    assert_eq!(changed["config"]["users"][0]["has_password"], true);
    assert_eq!(changed["config"]["users"][1]["has_password"], false);
    assert_eq!(secret().await, lines.lines().last().unwrap(), "a user who is gone has no line");

    let foreign = json!({ "passwords": { "dan": "long enough" } });
    let got = server.send(Method::PATCH, "/api/v1/clients/lab-01", &foreign).await.unwrap();
    assert_eq!(got.json()["fields"][0]["field"], "passwords.dan", "{got:?}");
    server.stop().await.unwrap();
}

pub(super) async fn pages_of_a_list_join_without_gap_or_double(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for number in 0..7 {
        create(&server, &format!("lab-{number}"), &format!("52:54:00:00:00:0{number}")).await;
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/api/v1/clients?limit=3&after={after}")).await.unwrap().ok().unwrap();
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(names, (0..7).map(|number| format!("lab-{number}")).collect::<Vec<_>>());
    let filtered = server.get("/api/v1/clients?stage=installed").await.unwrap().ok().unwrap();
    assert_eq!(filtered["items"], json!([]));
    assert!(server.get("/api/v1/clients?group=nowhere").await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

pub(super) async fn a_client_joins_and_leaves_groups(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    server.send(Method::POST, "/api/v1/groups", &json!({ "name": "art" })).await.unwrap().ok().unwrap();
    assert!(
        server.send(Method::POST, "/api/v1/groups", &json!({ "name": "art" })).await.unwrap().is_problem(409)
    );
    assert!(
        server.send(Method::POST, "/api/v1/groups", &json!({ "name": "A B" })).await.unwrap().is_problem(422)
    );
    let member = "/api/v1/groups/art/members/lab-01";
    for _ in 0..2 {
        server.send(Method::PUT, member, &json!({})).await.unwrap().ok().unwrap();
    }
    assert_eq!(server.get("/api/v1/groups/art").await.unwrap().ok().unwrap()["members"], 1);
    server.send(Method::DELETE, member, &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(server.get("/api/v1/groups/art").await.unwrap().ok().unwrap()["members"], 0);
    server.send(Method::DELETE, "/api/v1/groups/lab", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(server.get("/api/v1/clients/lab-01").await.unwrap().ok().unwrap()["groups"], json!([]));
    server.stop().await.unwrap();
}

pub(super) async fn a_machine_that_nobody_knows_has_a_timeline(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let url = format!("{}/boot/ipxe?mac=52:54:00:00:00:77", server.ctx.addresses.boot);
    server.http.get(url).send().await.unwrap();
    let strangers = server.get("/api/v1/boot-timelines").await.unwrap().ok().unwrap();
    assert_eq!(strangers[0]["mac"], "52:54:00:00:00:77");
    let timeline = server.get("/api/v1/boot-timelines/52-54-00-00-00-77").await.unwrap().ok().unwrap();
    assert_eq!(timeline["lines"][0]["kind"], "script");
    assert!(!timeline["expected"]["likely_cause"].as_str().unwrap().is_empty());
    assert!(server.get("/api/v1/boot-timelines/52-54-00-00-00-78").await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

pub(super) async fn a_machine_that_has_not_announced_itself_cannot_be_adopted(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    let got = server.send(Method::POST, "/api/v1/clients/lab-01/adopt", &json!({})).await.unwrap();
    assert!(got.is_problem(409), "{got:?}");
    server.stop().await.unwrap();
}

pub(super) async fn an_enrolment_command_carries_a_token_and_the_fingerprint(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    let made = server.send(Method::POST, "/api/v1/clients/lab-01/enrol-command", &json!({})).await.unwrap();
    let made = made.ok().unwrap();
    let command = made["command"].as_str().unwrap();
    assert!(
        command.starts_with("LOTSE_TOKEN=lotse_") && command.contains(&server.ctx.addresses.ca),
        "{command}"
    );
    server.stop().await.unwrap();
}

pub(super) async fn a_layout_that_nobody_knows_is_refused(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    create(&server, "lab-01", "52:54:00:00:00:01").await;
    let wish = json!({ "config": { "layout": "my-own" } });
    let got = server.send(Method::PATCH, "/api/v1/clients/lab-01", &wish).await.unwrap();
    assert!(got.is_problem(422) && got.json()["fields"][0]["field"] == "layout", "{got:?}");
    let brought = server.get("/api/v1/layouts/whole-disk").await.unwrap().ok().unwrap();
    let text = brought["yaml"].as_str().unwrap().to_owned();
    let request = server.request(Some(Role::Operator), Method::PUT, "/api/v1/layouts/my-own");
    answer(request.body(text)).await.unwrap().ok().unwrap();
    server.send(Method::PATCH, "/api/v1/clients/lab-01", &wish).await.unwrap().ok().unwrap();
    server.stop().await.unwrap();
}
