//! What brings machines in: presets, rules, installations of many; and what is known of a client beside its state.

use harness::{
    sample,
    server::{Engine, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};

async fn order(server: &TestServer, dry_run: bool, body: &Value) -> harness::server::Answer {
    let path = format!("/api/v1/mass-installations?dry_run={dry_run}");
    server.send(Method::POST, &path, body).await.unwrap()
}

async fn names(server: &TestServer) -> Vec<String> {
    let page = server.get("/api/v1/clients?limit=500").await.unwrap().ok().unwrap();
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

pub(super) async fn many_are_installed_by_a_table_or_none_is(engine: Engine) {
    let (server, _) = sample::start(engine).await.unwrap();
    let before = names(&server).await;
    let wrong = json!({
        "sheet": "name;mac;address\npc-1;52:54:00:00:01:01;\nlab-01;52:54:00:00:01:02;\n;nonsense;10.0.0.5\n",
        "config": {},
    });
    let plan = order(&server, true, &wrong).await.ok().unwrap();
    let fields = |row: usize| -> Vec<&str> {
        let problems = plan["rows"][row]["problems"].as_array().unwrap();
        problems.iter().map(|problem| problem["field"].as_str().unwrap()).collect()
    };
    assert!(fields(0).is_empty(), "{plan}");
    assert_eq!(fields(1), [""], "the name is taken: {plan}");
    assert_eq!(fields(2), ["mac", "address", "name"], "{plan}");
    let refused = order(&server, false, &wrong).await;
    assert!(refused.is_problem(422), "{refused:?}");
    assert_eq!(refused.json()["fields"][1]["field"], "rows[2].mac");
    assert_eq!(names(&server).await, before, "a row was wrong, so nothing was begun");

    let right = json!({
        "sheet": "mac;user;groups\n52:54:00:00:01:01;ann;room-9\n52:54:00:00:01:02;ben;room-9\n",
        "config": {},
        "names": "lab-{01..}",
        "addresses": "10.0.0.10-10.0.0.20/24",
        "gateway": "10.0.0.1",
        "passwords": true,
        "key": "first press",
    });
    let shown = order(&server, true, &right).await.ok().unwrap();
    assert_eq!(names(&server).await, before, "showing does nothing");
    let cells = &shown["rows"][0]["cells"];
    assert_eq!((&cells["address"], &cells["gateway"]), (&json!("10.0.0.10/24"), &json!("10.0.0.1")));
    let mut begun = right.clone();
    begun["sheet"] = shown["sheet"].clone();
    let done = order(&server, false, &begun).await.ok().unwrap();
    assert_eq!(done["rows"][0]["cells"], shown["rows"][0]["cells"], "what was shown is what is done");
    assert_eq!(done["rows"][0]["jobs"].as_array().unwrap().len(), 6);
    let name = done["rows"][1]["cells"]["name"].as_str().unwrap();
    let client = server.get(&format!("/api/v1/clients/{name}")).await.unwrap().ok().unwrap();
    assert_eq!(client["stage"], "installing");
    assert_eq!(client["groups"], json!(["room-9"]));
    assert_eq!(client["config"]["network"]["interfaces"][0]["ipv4"]["address"], "10.0.0.11");
    assert_eq!(client["config"]["users"][0]["has_password"], true);

    let again = order(&server, false, &begun).await;
    let text = again.text.clone();
    assert_eq!(
        again.ok().unwrap()["rows"][0]["jobs"],
        done["rows"][0]["jobs"],
        "pressed twice is pressed once"
    );
    let password = done["rows"][0]["cells"]["password"].as_str().unwrap();
    assert!(password.len() == 14 && !text.contains(password), "the second answer has no password");
    begun["key"] = json!("another");
    let third = order(&server, false, &begun).await.ok().unwrap();
    assert_eq!(third["rows"][0]["what"], "under-way");
    assert_eq!(names(&server).await.len(), before.len() + 2);
    server.stop().await.unwrap();
}

pub(super) async fn a_table_adopts_machines_by_serial_and_destroys_only_when_allowed(engine: Engine) {
    let (server, sample) = sample::start(engine).await.unwrap();
    let facts =
        server.get(&format!("/api/v1/clients/{}/facts", sample.discovered)).await.unwrap().ok().unwrap();
    let serial = facts["dmi"]["serial"].as_str().unwrap();
    let adopted = json!({ "sheet": format!("name;serial\npc-77;{serial}\n"), "config": {} });
    let plan = order(&server, true, &adopted).await.ok().unwrap();
    assert_eq!(
        (&plan["rows"][0]["what"], &plan["rows"][0]["machine"]),
        (&json!("adopt"), &json!(sample.discovered))
    );
    assert!(!plan["rows"][0]["disks"].as_array().unwrap().is_empty(), "{plan}");
    assert!(order(&server, false, &adopted).await.ok().unwrap()["done"] == true);
    assert!(server.get("/api/v1/clients/pc-77").await.unwrap().ok().is_ok());

    let mut over = json!({ "sheet": format!("name\n{}\n", sample.installed) });
    let plan = order(&server, true, &over).await.ok().unwrap();
    assert_eq!(plan["rows"][0]["problems"][0]["field"], "wipe", "{plan}");
    over["wipe"] = json!(true);
    let plan = order(&server, true, &over).await.ok().unwrap();
    assert!(plan["rows"][0]["problems"].as_array().unwrap().is_empty(), "{plan}");
    assert_ne!(plan["rows"][0]["disks"][0]["destroyed"], "");
    server.stop().await.unwrap();
}

pub(super) async fn a_rule_adopts_what_fits_and_leaves_disks_alone_that_hold_something(engine: Engine) {
    let (server, sample) = sample::start(engine).await.unwrap();
    let put = async |name: &str, body: Value| {
        server.send(Method::PUT, &format!("/api/v1/rules/{name}"), &body).await.unwrap()
    };
    let refused = put("all", json!({ "names": "pc-{1..}" })).await;
    assert!(refused.is_problem(422), "a rule for every machine: {refused:?}");
    let unknown = put("room", json!({ "model": "*", "names": "pc-{01..}", "preset": "nothing" })).await;
    assert!(unknown.is_problem(404), "{unknown:?}");
    let preset = json!({ "config": { "locale": "de_DE.UTF-8" }, "groups": ["room-9"] });
    server.send(Method::PUT, "/api/v1/presets/room", &preset).await.unwrap().ok().unwrap();
    let rule = json!({ "model": "*", "names": "pc-{01..}", "preset": "room", "install": true });
    assert_eq!(put("room", rule).await.status, 204);
    let run = async |dry_run: bool| {
        let path = format!("/api/v1/rule-runs?dry_run={dry_run}");
        server.send(Method::POST, &path, &json!({})).await.unwrap().ok().unwrap()
    };
    let shown = run(true).await;
    let hit =
        shown.as_array().unwrap().iter().find(|hit| hit["machine"] == sample.discovered).unwrap().clone();
    assert!(server.get("/api/v1/clients/pc-01").await.unwrap().is_problem(404), "showing does nothing");
    let done = run(false).await;
    let same = done.as_array().unwrap().iter().find(|hit| hit["machine"] == sample.discovered).unwrap();
    assert_eq!(same["name"], hit["name"]);
    let name = hit["name"].as_str().unwrap();
    let client = server.get(&format!("/api/v1/clients/{name}")).await.unwrap().ok().unwrap();
    assert_eq!((&client["groups"], &client["config"]["locale"]), (&json!(["room-9"]), &json!("de_DE.UTF-8")));
    let blank = hit["disks"].as_array().unwrap().iter().all(|disk| disk["destroyed"] == "");
    assert_eq!(client["stage"], if blank { "installing" } else { "discovered" }, "{hit}");
    assert_eq!(run(false).await, json!([]), "who is adopted is left alone");
    server.stop().await.unwrap();
}

pub(super) async fn a_recovered_client_gets_back_what_had_succeeded_on_it(engine: Engine) {
    let (server, sample) = sample::start(engine).await.unwrap();
    let path = format!("/api/v1/clients/{}/recover", sample.installed);
    let shown =
        server.send(Method::POST, &format!("{path}?dry_run=true"), &json!({})).await.unwrap().ok().unwrap();
    let client = server.get(&format!("/api/v1/clients/{}", sample.installed)).await.unwrap().ok().unwrap();
    assert_eq!(client["stage"], "installed", "showing does nothing");
    let done = server.send(Method::POST, &path, &json!({})).await.unwrap().ok().unwrap();
    let jobs = done["jobs"].as_array().unwrap();
    assert_eq!(shown["jobs"].as_array().unwrap().len(), jobs.len());
    let last = server.get(&format!("/api/v1/jobs/{}", jobs.last().unwrap())).await.unwrap().ok().unwrap();
    assert_eq!(
        (&last["job_type"], &last["needs"]),
        (&json!("package-install"), &json!([jobs[jobs.len() - 2]]))
    );
    assert!(
        server
            .send(Method::POST, "/api/v1/clients/new-3f01/recover", &json!({}))
            .await
            .unwrap()
            .is_problem(409)
    );
    server.stop().await.unwrap();
}

pub(super) async fn notes_and_history_stay_with_their_client(engine: Engine) {
    let (server, sample) = sample::start(engine).await.unwrap();
    let path = format!("/api/v1/clients/{}/notes", sample.installed);
    assert!(server.send(Method::POST, &path, &json!({ "text": "  " })).await.unwrap().is_problem(422));
    let id = server
        .send(Method::POST, &path, &json!({ "text": "Netzteil getauscht" }))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let kept = server.get(&path).await.unwrap().ok().unwrap();
    assert_eq!((&kept[0]["text"], &kept[0]["id"]), (&json!("Netzteil getauscht"), &id));
    let history = server.get(&format!("/api/v1/clients/{}/history?limit=1", sample.installed)).await.unwrap();
    let history = history.ok().unwrap();
    assert_eq!(history["items"][0]["kind"], "client.noted");
    let before = history["next"].as_str().unwrap();
    let older =
        server.get(&format!("/api/v1/clients/{}/history?before={before}", sample.installed)).await.unwrap();
    assert!(
        !older.ok().unwrap()["items"].as_array().unwrap().iter().any(|item| item["kind"] == "client.noted")
    );
    let elsewhere = format!("/api/v1/clients/lab-02/notes/{id}");
    assert!(server.send(Method::DELETE, &elsewhere, &json!({})).await.unwrap().is_problem(404));
    assert_eq!(server.send(Method::DELETE, &format!("{path}/{id}"), &json!({})).await.unwrap().status, 204);
    server.stop().await.unwrap();
}

pub(super) async fn jobs_are_found_by_type_and_cause(engine: Engine) {
    let (server, _) = sample::start(engine).await.unwrap();
    let found =
        server.get("/api/v1/jobs?cause=UNABLE%20to&type=package-install").await.unwrap().ok().unwrap();
    let items = found["items"].as_array().unwrap();
    assert!(!items.is_empty(), "{found}");
    assert!(items.iter().all(|job| job["reason"].as_str().unwrap().contains("Unable to")));
    let none = server.get("/api/v1/jobs?cause=100%25%5F").await.unwrap().ok().unwrap();
    assert_eq!(none["items"], json!([]), "signs with a meaning in LIKE mean themselves");
    server.stop().await.unwrap();
}
