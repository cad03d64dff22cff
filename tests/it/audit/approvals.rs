//! What needs a second person happens once, when a second person says so, and not otherwise.

use futures_util::future::join_all;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{clock::Clock, db::people as rows, domain::people::Role};

use super::{Person, entries, register, set, verdict};

async fn with_rules(engine: Engine, clock: Clock) -> TestServer {
    let server = TestServer::start_with(engine, clock).await.unwrap();
    set(&server, json!({ "approval.actions": ["retire", "delete-client", "wipe-disk", "mass-action"] }))
        .await;
    register(&server, "lab-01").await;
    server
}

async fn stage(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/api/v1/clients/{name}")).await.unwrap().json()["stage"].clone()
}

/// Asks for something that needs a second person; gives the number of the request.
async fn asked(person: &Person<'_>, path: &str, body: &Value) -> i64 {
    let answer = person.send(Method::POST, path, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["code"], "awaits-approval", "{problem}");
    assert_eq!(problem["fields"][0]["field"], "approval");
    problem["fields"][0]["message"].as_str().unwrap().parse().unwrap()
}

pub(super) async fn a_second_person_approves_and_whoever_asks_cannot(engine: Engine) {
    let server = with_rules(engine, Clock::system()).await;
    let (ann, bob) = tokio::join!(
        Person::new(&server, "ann", Role::Operator),
        Person::new(&server, "bob", Role::Operator)
    );
    let id = asked(&ann, "/api/v1/clients/lab-01/retire", &json!({})).await;
    assert_eq!(stage(&server, "lab-01").await, "registered");
    // Asking again is the same request.
    assert_eq!(asked(&ann, "/api/v1/clients/lab-01/retire", &json!({})).await, id);
    let approve = format!("/api/v1/approvals/{id}/approve");
    let own = ann.post(&approve).await;
    assert!(own.is_problem(403), "{own:?}");
    // Nor by another token that the same person has made.
    let other = Person::new(&server, "ann", Role::Admin).await;
    assert!(other.post(&approve).await.is_problem(403));
    // Nor by one that was made with such a token.
    let made = other.send(Method::POST, "/api/v1/tokens", &json!({ "name": "bob", "role": "admin" })).await;
    let disguised =
        Person { server: &server, token: made.json()["secret"].as_str().unwrap().to_owned(), number: 0 };
    assert!(disguised.post(&approve).await.is_problem(403));
    let viewer = Person::new(&server, "eve", Role::Viewer).await;
    assert!(viewer.post(&approve).await.is_problem(403));
    assert_eq!(stage(&server, "lab-01").await, "registered");
    let done = bob.post(&approve).await.ok().unwrap();
    assert_eq!((&done["state"], &done["decided_by"]), (&json!("approved"), &json!("bob's")));
    assert_eq!(stage(&server, "lab-01").await, "retired");
    // An operator cannot approve what needs an admin.
    let id = {
        let answer = other.send(Method::DELETE, "/api/v1/clients/lab-01", &json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["fields"][0]["message"].as_str().unwrap().to_owned()
    };
    assert!(bob.post(&format!("/api/v1/approvals/{id}/approve")).await.is_problem(403));
    let actions: Vec<_> = entries(&server).await.iter().map(|entry| entry["action"].clone()).collect();
    for expected in ["approval.ask", "approval.approve", "client.retire"] {
        assert!(actions.contains(&json!(expected)), "{expected}: {actions:?}");
    }
    assert_eq!(verdict(&server).await["good"], true);
    server.stop().await.unwrap();
}

pub(super) async fn two_who_decide_at_once_decide_once(engine: Engine) {
    let server = with_rules(engine, Clock::system()).await;
    let ann = Person::new(&server, "ann", Role::Operator).await;
    let bob = Person::new(&server, "bob", Role::Operator).await;
    let eve = Person::new(&server, "eve", Role::Operator).await;
    let order = json!({ "job_type": "script", "params": { "text": "true" } });
    set(&server, json!({ "approval.mass-above": 1 })).await;
    register(&server, "lab-02").await;
    let admin = async |method: Method, path: &str, body: &Value| {
        server.send(method, path, body).await.unwrap().ok().unwrap()
    };
    admin(Method::POST, "/api/v1/groups", &json!({ "name": "lab" })).await;
    for name in ["lab-01", "lab-02"] {
        admin(Method::PUT, &format!("/api/v1/groups/lab/members/{name}"), &json!({})).await;
    }
    let jobs = async || {
        let page = server.get("/api/v1/jobs").await.unwrap().ok().unwrap();
        page["items"].as_array().unwrap().len()
    };
    for round in 0..4 {
        let before = jobs().await;
        let id = asked(&ann, "/api/v1/groups/lab/jobs", &order).await;
        let approve = format!("/api/v1/approvals/{id}/approve");
        let refuse = format!("/api/v1/approvals/{id}/refuse");
        // Twice approved; then approved and refused, in either order.
        let (first, second) = match round {
            0 => (approve.clone(), approve.clone()),
            1 => (approve.clone(), refuse.clone()),
            2 => (refuse.clone(), approve.clone()),
            _ => (refuse.clone(), refuse.clone()),
        };
        let (one, two) = tokio::join!(bob.post(&first), eve.post(&second));
        let wins = [&one, &two].into_iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(wins, 1, "{one:?} {two:?}");
        assert!(one.is_problem(409) || two.is_problem(409), "{one:?} {two:?}");
        let record = server.get(&format!("/api/v1/approvals/{id}")).await.unwrap().ok().unwrap();
        let made = jobs().await - before;
        match record["state"].as_str().unwrap() {
            "approved" => assert_eq!(made, 2, "once for each client"),
            "refused" => assert_eq!(made, 0),
            other => panic!("{other}"),
        }
    }
    server.stop().await.unwrap();
}

pub(super) async fn who_was_demoted_meanwhile_gets_nothing_carried_out(engine: Engine) {
    let server = with_rules(engine, Clock::system()).await;
    let ann = Person::new(&server, "ann", Role::Operator).await;
    let bob = Person::new(&server, "bob", Role::Operator).await;
    let id = asked(&ann, "/api/v1/clients/lab-01/retire", &json!({})).await;
    let mut tx = server.ctx.db.write().await.unwrap();
    assert!(rows::revoke_token(&mut tx, ann.number, server.ctx.now()).await.unwrap());
    tx.commit().await.unwrap();
    let refused = bob.post(&format!("/api/v1/approvals/{id}/approve")).await;
    assert!(refused.is_problem(409), "{refused:?}");
    assert!(refused.json()["title"].as_str().unwrap().contains("may not do it any more"), "{refused:?}");
    assert_eq!(stage(&server, "lab-01").await, "registered");
    let done = bob.post(&format!("/api/v1/approvals/{id}/refuse")).await.ok().unwrap();
    assert_eq!(done["state"], "refused");
    // The same for an account whose role is taken, and for one that cannot log in any more.
    let new = json!({ "name": "cleo", "rights": { "role": "operator" } });
    let made = server.send(Method::POST, "/api/v1/accounts", &new).await.unwrap().ok().unwrap();
    let link = made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let login = server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
    let shown = harness::server::answer(login).await.unwrap().ok().unwrap();
    let token = shown["secret"].as_str().unwrap().to_owned();
    let cleo = Person { server: &server, token, number: 0 };
    for (change, back) in [
        (json!({ "rights": { "role": "viewer" } }), json!({ "rights": { "role": "operator" } })),
        (json!({ "disabled": true }), json!({ "disabled": false })),
    ] {
        let id = asked(&cleo, "/api/v1/clients/lab-01/retire", &json!({})).await;
        let path = "/api/v1/accounts/cleo";
        server.send(Method::PATCH, path, &change).await.unwrap().ok().unwrap();
        let refused = bob.post(&format!("/api/v1/approvals/{id}/approve")).await;
        assert!(refused.is_problem(409), "{change}: {refused:?}");
        assert_eq!(stage(&server, "lab-01").await, "registered");
        server.send(Method::PATCH, path, &back).await.unwrap().ok().unwrap();
        bob.post(&format!("/api/v1/approvals/{id}/refuse")).await.ok().unwrap();
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_request_expires_and_can_be_asked_again(engine: Engine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = with_rules(engine, clock.clone()).await;
    set(&server, json!({ "approval.valid-hours": 1 })).await;
    let ann = Person::new(&server, "ann", Role::Operator).await;
    let bob = Person::new(&server, "bob", Role::Operator).await;
    let first = asked(&ann, "/api/v1/clients/lab-01/retire", &json!({})).await;
    clock.advance(3601);
    let late = bob.post(&format!("/api/v1/approvals/{first}/approve")).await;
    assert!(late.is_problem(409), "{late:?}");
    assert_eq!(stage(&server, "lab-01").await, "registered");
    server::app::approvals::expire(&server.ctx).await.unwrap();
    let record = server.get(&format!("/api/v1/approvals/{first}")).await.unwrap().ok().unwrap();
    assert_eq!(record["state"], "expired");
    let second = asked(&ann, "/api/v1/clients/lab-01/retire", &json!({})).await;
    assert_ne!(first, second);
    // Whoever asked can take it back.
    let done = ann.post(&format!("/api/v1/approvals/{second}/refuse")).await.ok().unwrap();
    assert_eq!(done["state"], "withdrawn");
    assert!(bob.post(&format!("/api/v1/approvals/{second}/approve")).await.is_problem(409));
    server.stop().await.unwrap();
}

pub(super) async fn what_cannot_be_carried_out_stays_undecided(engine: Engine) {
    let server = with_rules(engine, Clock::system()).await;
    let ann = Person::new(&server, "ann", Role::Operator).await;
    let bob = Person::new(&server, "bob", Role::Operator).await;
    let order = json!({ "job_type": "wipe-disk", "params": { "no": "such" } });
    let id = asked(&ann, "/api/v1/clients/lab-01/jobs", &order).await;
    let wrong = bob.post(&format!("/api/v1/approvals/{id}/approve")).await;
    assert!(wrong.is_problem(422), "{wrong:?}");
    let record = server.get(&format!("/api/v1/approvals/{id}")).await.unwrap().ok().unwrap();
    assert_eq!(record["state"], "pending", "nothing was carried out, so nothing was decided");
    let actions: Vec<_> = entries(&server).await.iter().map(|entry| entry["action"].clone()).collect();
    assert!(!actions.contains(&json!("approval.approve")), "{actions:?}");
    server.stop().await.unwrap();
}

pub(super) async fn many_clients_at_once_need_a_second_person(engine: Engine) {
    let server = with_rules(engine, Clock::system()).await;
    set(&server, json!({ "approval.mass-above": 3 })).await;
    let ann = Person::new(&server, "ann", Role::Admin).await;
    ann.send(Method::POST, "/api/v1/groups", &json!({ "name": "lab" })).await.ok().unwrap();
    let names: Vec<_> = (1..=4).map(|number| format!("pc-{number}")).collect();
    join_all(names.iter().map(|name| register(&server, name))).await;
    let order = json!({ "job_type": "script", "params": { "text": "true" } });
    for (at, name) in names.iter().enumerate() {
        ann.send(Method::PUT, &format!("/api/v1/groups/lab/members/{name}"), &json!({})).await.ok().unwrap();
        let answer = ann.send(Method::POST, "/api/v1/groups/lab/jobs", &order).await;
        assert_eq!(answer.status, if at < 3 { 201 } else { 202 }, "{answer:?}");
    }
    server.stop().await.unwrap();
}
