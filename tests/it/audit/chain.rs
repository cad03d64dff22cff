//! The chain holds under many writers, and nothing that is done to it goes unnoticed.

use futures_util::future::join_all;
use harness::server::{Engine, TestServer, answer};
use reqwest::Method;
use serde_json::json;
use server::domain::people::Role;

use super::{entries, register, verdict};

pub(super) async fn many_writers_at_once_make_one_chain(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    server.send(Method::POST, "/api/v1/groups", &json!({ "name": "lab" })).await.unwrap().ok().unwrap();
    let before = entries(&server).await.len();
    let names: Vec<_> = (0..24).map(|number| format!("pc-{number:02}")).collect();
    join_all(names.iter().map(async |name| {
        register(&server, name).await;
        // Two more for each, on rows that others change as well.
        let path = format!("/api/v1/groups/lab/members/{name}");
        server.send(Method::PUT, &path, &json!({})).await.unwrap().ok().unwrap();
        let order = json!({ "job_type": "script", "params": { "text": "true" } });
        let path = format!("/api/v1/clients/{name}/jobs");
        server.send(Method::POST, &path, &order).await.unwrap().ok().unwrap();
    }))
    .await;
    let all = entries(&server).await;
    assert_eq!(all.len(), before + 3 * names.len());
    let numbers: Vec<_> = all.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
    let verdict = verdict(&server).await;
    assert_eq!((&verdict["good"], &verdict["entries"]), (&json!(true), &json!(all.len())), "{verdict}");
    server.stop().await.unwrap();
}

/// What somebody with access to the database, but without the server's key, might do.
async fn meddle(server: &TestServer, statement: &str) {
    server.meddle(statement).await.unwrap();
}

pub(super) async fn whatever_is_done_to_the_chain_is_found_and_the_first_bad_entry_named(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for number in 0..8 {
        if number == 3 {
            meddle(&server, "CREATE TABLE old_head AS SELECT * FROM audit_head").await;
        }
        register(&server, &format!("pc-{number}")).await;
    }
    let head = server.get("/api/v1/audit/head").await.unwrap().ok().unwrap();
    let (last, hash) = (head["seq"].as_i64().unwrap(), head["hash"].as_str().unwrap().to_owned());
    let noted = format!("/api/v1/audit/verify?seq={last}&hash={hash}");
    assert_eq!(server.get(&noted).await.unwrap().ok().unwrap()["good"], true);
    // What is done, what takes it back, and the entry that must be named.
    let copy = "CREATE TABLE kept AS SELECT * FROM audit; CREATE TABLE kept_head AS SELECT * FROM audit_head";
    meddle(&server, copy).await;
    let swapped = "UPDATE audit SET seq = -1 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = -1";
    for (what, bad) in [
        ("UPDATE audit SET actor = 'bob' WHERE seq = 3".to_owned(), 3),
        ("UPDATE audit SET new_value = '{}' WHERE seq = 5".to_owned(), 5),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1".to_owned(), 1),
        ("UPDATE audit SET hash = 'x' WHERE seq = 2".to_owned(), 2),
        ("DELETE FROM audit WHERE seq = 1".to_owned(), 1),
        ("DELETE FROM audit WHERE seq = 4".to_owned(), 4),
        (format!("DELETE FROM audit WHERE seq = {last}"), last),
        (swapped.to_owned(), 4),
        // The end cut off, and its record, too: the signature does not fit.
        (
            "DELETE FROM audit WHERE seq > 6; UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit WHERE seq = 6)"
                .to_owned(),
            6,
        ),
        // An end that was signed once, put back to hide what came after it.
        ("UPDATE audit_head SET seq = (SELECT seq FROM old_head), hash = (SELECT hash FROM old_head), signature = (SELECT signature FROM old_head)".to_owned(), 4),
        ("DELETE FROM audit; UPDATE audit_head SET seq = 0, hash = '', signature = ''".to_owned(), 1),
        ("DELETE FROM audit_head".to_owned(), last + 1),
        (
            "INSERT INTO audit (at, actor, via, address, request_id, action, object) VALUES (1, 'x', 'x', 'x', 'x', 'x', 'x')"
                .to_owned(),
            last + 1,
        ),
    ] {
        meddle(&server, &what).await;
        // Emptied as a whole it looks like a new one; an end that was noted down shows it.
        let found = if bad == 1 && what.contains("audit_head") {
            server.get(&noted).await.unwrap().ok().unwrap()
        } else {
            verdict(&server).await
        };
        assert_eq!((&found["good"], &found["broken"]["seq"]), (&json!(false), &json!(bad)), "{what}: {found}");
        let back = match engine {
            Engine::Sqlite => "INSERT INTO audit SELECT * FROM kept",
            Engine::Postgres => "INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT * FROM kept",
        };
        meddle(&server, &format!("DELETE FROM audit; DELETE FROM audit_head; {back}; INSERT INTO audit_head SELECT * FROM kept_head")).await;
        assert_eq!(verdict(&server).await["good"], true, "after {what}");
    }
    // Without the record of the end nothing can be changed unseen: the change is refused.
    meddle(&server, "DELETE FROM audit_head").await;
    let refused = server.send(Method::POST, "/api/v1/clients", &json!({ "name": "pc-9" })).await.unwrap();
    assert!(refused.is_problem(500), "{refused:?}");
    assert!(server.get("/api/v1/clients/pc-9").await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

pub(super) async fn an_export_holds_everything_and_filters_find(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for name in ["lab-01", "lab-02"] {
        register(&server, name).await;
    }
    let login = server
        .request(None, Method::POST, "/login")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=pc_1&password=wrong");
    assert_eq!(answer(login).await.unwrap().status, 401);
    let group = server.request(Some(Role::Operator), Method::POST, "/api/v1/groups");
    answer(group.json(&json!({ "name": "lab", "description": "=1+1, \"x\"" }))).await.unwrap().ok().unwrap();
    let found = async |query: &str| -> Vec<String> {
        let page = server.get(&format!("/api/v1/audit?{query}")).await.unwrap().ok().unwrap();
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|entry| entry["object"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found("actor=operator").await, ["group lab"]);
    assert_eq!(found("action=client").await, ["client lab-02", "client lab-01"]);
    assert_eq!(found("action=client.register&object=LAB").await, ["client lab-02", "client lab-01"]);
    // What has a meaning in a pattern is meant literally.
    assert_eq!(found("object=pc_").await, ["account pc_1"]);
    assert_eq!(found("object=b_0").await, Vec::<String>::new());
    assert_eq!(found("action=clien").await, Vec::<String>::new());
    let at = server.ctx.now();
    assert_eq!(found(&format!("since={at}")).await, Vec::<String>::new());
    assert_eq!(found(&format!("until={at}")).await.len(), entries(&server).await.len());
    // Pages join without gap or double.
    let mut joined = Vec::new();
    let mut before = String::new();
    loop {
        let page = server.get(&format!("/api/v1/audit?limit=2{before}")).await.unwrap().ok().unwrap();
        joined.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["seq"].as_i64().unwrap()));
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let count = i64::try_from(entries(&server).await.len()).unwrap();
    assert_eq!(joined, (1..=count).rev().collect::<Vec<_>>());
    let csv = server.get("/api/v1/audit/export?format=csv").await.unwrap().text;
    assert_eq!(csv.lines().count(), usize::try_from(count).unwrap() + 1, "{csv}");
    assert!(csv.starts_with("seq,at,actor,") && csv.contains("\"group lab\""), "{csv}");
    server.stop().await.unwrap();
}
