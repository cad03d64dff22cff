//! Jobs: ordered, looked at, changed.

use harness::server::{Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::domain::people::Role;

async fn with_client(engine: Engine) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    for name in ["lab-01", "lab-02"] {
        let body = json!({ "name": name, "groups": ["lab"] });
        server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
    }
    server
}

async fn order(server: &TestServer, body: &Value) -> i64 {
    let made = server.send(Method::POST, "/api/v1/clients/lab-01/jobs", body).await.unwrap();
    made.ok().unwrap().as_i64().unwrap()
}

async fn job(server: &TestServer, id: i64) -> Value {
    server.get(&format!("/api/v1/jobs/{id}")).await.unwrap().ok().unwrap()
}

async fn act(server: &TestServer, id: i64, verb: &str) -> harness::server::Answer {
    server.send(Method::POST, &format!("/api/v1/jobs/{id}/{verb}"), &json!({})).await.unwrap()
}

pub(super) async fn a_job_that_waits_says_for_what(engine: Engine) {
    let server = with_client(engine).await;
    let hello = json!({ "job_type": "package-install", "params": { "packages": ["hello"] } });
    let first = order(&server, &hello).await;
    let view = job(&server, first).await;
    assert_eq!(view["state"], "queued");
    assert!(view["waits_for"].as_str().unwrap().contains("never been seen"), "{view}");
    let second = order(&server, &json!({ "job_type": "reboot", "needs": [first] })).await;
    assert!(job(&server, second).await["waits_for"].as_str().unwrap().contains(&format!("job {first}")));
    let client = server.get("/api/v1/clients/lab-01").await.unwrap().ok().unwrap();
    assert_eq!(
        (&client["activity"]["state"], &client["activity"]["job"]),
        (&json!("waiting"), &json!(first))
    );

    act(&server, first, "cancel").await.ok().unwrap();
    let ended = job(&server, second).await;
    assert_eq!(ended["state"], "cancelled");
    assert!(ended["reason"].as_str().unwrap().contains(&format!("needs job {first}")), "{ended}");
    server.stop().await.unwrap();
}

pub(super) async fn a_held_job_runs_only_when_somebody_accepts_it(engine: Engine) {
    let server = with_client(engine).await;
    let id = order(&server, &json!({ "job_type": "reboot", "hold": true })).await;
    assert!(job(&server, id).await["waits_for"].as_str().unwrap().starts_with("held"));
    act(&server, id, "accept").await.ok().unwrap();
    assert!(act(&server, id, "accept").await.is_problem(409));
    assert_eq!(job(&server, id).await["state"], "queued");
    act(&server, id, "hold").await.ok().unwrap();
    act(&server, id, "cancel").await.ok().unwrap();
    assert!(act(&server, id, "cancel").await.is_problem(409));
    let view = job(&server, id).await;
    let states: Vec<_> =
        view["history"].as_array().unwrap().iter().map(|line| line["to"].as_str().unwrap()).collect();
    assert_eq!(states, ["held", "queued", "held", "cancelled"]);
    assert!(view["history"].as_array().unwrap().iter().all(|line| line["actor"] == "admin"), "{view}");
    server.stop().await.unwrap();
}

pub(super) async fn a_cancelled_job_can_be_tried_again_and_an_open_one_not(engine: Engine) {
    let server = with_client(engine).await;
    let id = order(&server, &json!({ "job_type": "reboot" })).await;
    assert!(act(&server, id, "retry").await.is_problem(409));
    act(&server, id, "cancel").await.ok().unwrap();
    let again = act(&server, id, "retry").await.ok().unwrap().as_i64().unwrap();
    assert_eq!(job(&server, again).await["state"], "queued");
    assert!(act(&server, again, "release").await.is_problem(409));
    server.stop().await.unwrap();
}

pub(super) async fn what_was_cancelled_because_of_a_job_is_queued_again_with_it(engine: Engine) {
    let server = with_client(engine).await;
    let first = order(&server, &json!({ "job_type": "hardware-detection" })).await;
    let second = order(&server, &json!({ "job_type": "package-update", "needs": [first] })).await;
    let third = order(&server, &json!({ "job_type": "shutdown", "needs": [second] })).await;
    let unwanted = order(&server, &json!({ "job_type": "reboot", "needs": [second] })).await;
    act(&server, unwanted, "cancel").await.ok().unwrap();
    act(&server, first, "cancel").await.ok().unwrap();
    assert_eq!(job(&server, third).await["state"], "cancelled");
    // What needs it would never run, so that one is no beginning.
    assert!(act(&server, second, "retry").await.is_problem(409));
    let again = act(&server, first, "retry").await.ok().unwrap().as_i64().unwrap();
    assert!(act(&server, first, "retry").await.is_problem(409), "twice the same");
    let all = server.get("/api/v1/jobs?state=queued").await.unwrap().ok().unwrap();
    let queued: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|job| (job["job_type"].as_str().unwrap().to_owned(), job["needs"].clone()))
        .collect();
    let expected = [
        ("hardware-detection".to_owned(), json!([])),
        ("package-update".to_owned(), json!([again])),
        ("shutdown".to_owned(), json!([again + 1])),
    ];
    assert_eq!(queued, expected);
    server.stop().await.unwrap();
}

pub(super) async fn orders_that_cannot_work_are_refused_by_field(engine: Engine) {
    let server = with_client(engine).await;
    for (status, body) in [
        (404, json!({ "job_type": "dance" })),
        (422, json!({ "job_type": "package-install" })),
        (422, json!({ "job_type": "package-install", "params": { "packages": ["rm -rf /"] } })),
        (422, json!({ "job_type": "package-install", "params": { "packages": ["hello"], "colour": "red" } })),
        (422, json!({ "job_type": "reboot", "expires_at": 1 })),
        (422, json!({ "job_type": "reboot", "wehn": 1 })),
        (404, json!({ "job_type": "reboot", "needs": [4711] })),
    ] {
        let got = server.send(Method::POST, "/api/v1/clients/lab-01/jobs", &body).await.unwrap();
        assert!(got.is_problem(status), "{body}: {got:?}");
    }
    let got = server
        .send(Method::POST, "/api/v1/clients/nobody/jobs", &json!({ "job_type": "reboot" }))
        .await
        .unwrap();
    assert!(got.is_problem(404), "{got:?}");
    assert_eq!(server.get("/api/v1/jobs").await.unwrap().ok().unwrap()["items"], json!([]));
    server.stop().await.unwrap();
}

pub(super) async fn a_group_gets_its_jobs_as_a_whole_or_not_at_all(engine: Engine) {
    let server = with_client(engine).await;
    let path = "/api/v1/groups/lab/jobs";
    let made = server.send(Method::POST, path, &json!({ "job_type": "reboot" })).await.unwrap().ok().unwrap();
    assert_eq!(made.as_array().unwrap().len(), 2);
    let wrong = json!({ "job_type": "package-install", "params": {} });
    let got = server.send(Method::POST, path, &wrong).await.unwrap();
    assert!(
        got.is_problem(422) && got.json()["title"].as_str().unwrap().contains("package-install"),
        "{got:?}"
    );
    let needy = json!({ "job_type": "reboot", "needs": [made[0]] });
    assert!(server.send(Method::POST, path, &needy).await.unwrap().is_problem(422));
    let jobs = server.get("/api/v1/jobs?limit=1").await.unwrap().ok().unwrap();
    let next = jobs["next"].as_str().unwrap();
    let rest = server.get(&format!("/api/v1/jobs?before={next}")).await.unwrap().ok().unwrap();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    server.stop().await.unwrap();
}

pub(super) async fn the_helpdesk_rescues_and_restarts_but_does_not_install(engine: Engine) {
    let server = with_client(engine).await;
    let ask = async |path: &str, body: Value| {
        let path = format!("/api/v1/clients/lab-01/{path}");
        answer(server.request(Some(Role::Helpdesk), Method::POST, &path).json(&body)).await.unwrap()
    };
    assert!(ask("install", json!({})).await.is_problem(403));
    assert!(ask("redo", json!({})).await.is_problem(409), "it was never installed");
    assert!(ask("jobs", json!({ "job_type": "reboot" })).await.is_problem(403));
    let restart = ask("restart", json!({})).await.ok().unwrap().as_i64().unwrap();
    assert!(job(&server, restart).await["expires_at"].is_i64());
    assert!(ask("rescue", json!({ "authorized_keys": ["nonsense"] })).await.is_problem(422));
    let keys = json!({ "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 ann"] });
    let rescue = ask("rescue", keys.clone()).await.ok().unwrap();
    assert!(ask("rescue", keys).await.is_problem(409));
    assert_eq!(ask("release", json!({})).await.ok().unwrap(), rescue);
    assert_eq!(job(&server, rescue.as_i64().unwrap()).await["state"], "cancelled");
    assert!(ask("release", json!({})).await.is_problem(409));
    server.stop().await.unwrap();
}

pub(super) async fn what_the_catalogue_has_is_described(engine: Engine) {
    let server = with_client(engine).await;
    let types = server.get("/api/v1/job-types").await.unwrap().ok().unwrap();
    let install = types.as_array().unwrap().iter().find(|found| found["name"] == "package-install").unwrap();
    assert!(install["title"]["de"].is_string());
    assert_eq!(install["params_schema"]["required"], json!(["packages"]));
    let distributions = server.get("/api/v1/distributions").await.unwrap().ok().unwrap();
    assert!(distributions.as_array().unwrap().iter().any(|found| found["name"] == "debian-12"));
    server.stop().await.unwrap();
}

pub(super) async fn an_own_layout_wins_over_the_one_that_lotse_brings_until_it_goes(engine: Engine) {
    let server = with_client(engine).await;
    let path = "/api/v1/layouts/whole-disk";
    let brought = server.get(path).await.unwrap().ok().unwrap();
    assert_eq!(brought["own"], false);
    let put = async |yaml: String| {
        answer(server.request(Some(Role::Operator), Method::PUT, path).body(yaml)).await.unwrap()
    };
    let wrong = put("disks: { a: { table: gpt, partitions: [ { id: x, size: 10 % } ] } }".to_owned()).await;
    assert!(wrong.is_problem(422) || wrong.is_problem(409), "{wrong:?}");
    put(format!("# ours\n{}", brought["yaml"].as_str().unwrap())).await.ok().unwrap();
    assert_eq!(server.get(path).await.unwrap().ok().unwrap()["own"], true);
    server.send(Method::DELETE, path, &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(server.get(path).await.unwrap().ok().unwrap(), brought);
    assert!(server.send(Method::DELETE, path, &json!({})).await.unwrap().is_problem(404));
    assert!(server.get("/api/v1/clients/lab-01/storage").await.unwrap().status.is_client_error());
    server.stop().await.unwrap();
}

pub(super) async fn an_installation_is_refused_while_a_part_of_another_one_waits(engine: Engine) {
    let server = with_client(engine).await;
    let left = order(&server, &json!({ "job_type": "base-system" })).await;
    let install =
        async || server.send(Method::POST, "/api/v1/clients/lab-01/install", &json!({})).await.unwrap();
    let got = install().await;
    assert!(got.is_problem(409), "{got:?}");
    assert!(got.json()["title"].as_str().unwrap().contains(&format!("job {left} (base-system)")), "{got:?}");
    assert!(got.json()["remedy"].as_str().unwrap().contains("reset lab-01"), "{got:?}");
    act(&server, left, "cancel").await.ok().unwrap();
    install().await.ok().unwrap();
    server.stop().await.unwrap();
}

pub(super) async fn a_layout_that_somebody_else_has_changed_is_not_overwritten(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let path = "/api/v1/layouts/lab";
    let [first, second, third] = ["whole-disk", "whole-disk-home", "btrfs"].map(|name| {
        let file = harness::server::repository().join(format!("job-scripts/layouts/{name}.yaml"));
        fs_err::read_to_string(file).unwrap()
    });
    let set = async |tag: Option<&str>, yaml: &str| {
        let request = server.request(Some(Role::Operator), Method::PUT, path).body(yaml.to_owned());
        answer(match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        })
        .await
        .unwrap()
    };
    let tag = async || server.get(path).await.unwrap().headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(set(None, &first).await.status, 204);
    let seen = tag().await;
    assert_eq!(set(Some(&seen), &second).await.status, 204);
    assert!(set(Some(&seen), &third).await.is_problem(412));
    assert_eq!(server.get(path).await.unwrap().json()["yaml"], second);
    let delete =
        |tag: String| server.request(Some(Role::Operator), Method::DELETE, path).header("if-match", tag);
    assert!(answer(delete(seen)).await.unwrap().is_problem(412));
    assert_eq!(answer(delete(tag().await)).await.unwrap().status, 204);
    // What is gone has no tag that could be met.
    assert!(set(Some("\"0123456789abcdef\""), &first).await.is_problem(412));
    server.stop().await.unwrap();
}
