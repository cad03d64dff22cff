//! Accounts over the API: made, changed, removed, and never without an admin.

use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{clock::Clock, domain::people::Role};

async fn login(server: &TestServer, order: &Value) -> Answer {
    answer(server.request(None, Method::POST, "/api/v1/login").json(order)).await.unwrap()
}

async fn ask(server: &TestServer, secret: &str, method: Method, path: &str) -> Answer {
    let url = format!("{}/api/v1{path}", server.ctx.addresses.https);
    answer(server.http.request(method, url).bearer_auth(secret).json(&json!({}))).await.unwrap()
}

/// Makes an account and logs in by its link; gives the token's secret.
async fn new_account(server: &TestServer, name: &str, rights: Value) -> String {
    let made =
        server.send(Method::POST, "/api/v1/accounts", &json!({ "name": name, "rights": rights })).await;
    let made = made.unwrap().ok().unwrap();
    let link = made["link"].as_str().unwrap().split_once('#').unwrap().1;
    let shown = login(server, &json!({ "link": link })).await.ok().unwrap();
    shown["secret"].as_str().unwrap().to_owned()
}

pub(super) async fn an_account_is_made_changed_and_removed(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let secret = new_account(&server, "ann", json!({ "role": "operator" })).await;
    let own = ask(&server, &secret, Method::GET, "/account").await.ok().unwrap();
    assert_eq!((&own["name"], &own["rights"]["role"]), (&"ann".into(), &"operator".into()));
    assert_eq!(ask(&server, &secret, Method::GET, "/clients").await.status, 200);
    let change = json!({ "rights": { "role": "viewer" }, "full_name": "Ann Lee" });
    let changed = server.send(Method::PATCH, "/api/v1/accounts/ann", &change).await.unwrap().ok().unwrap();
    assert_eq!((&changed["full_name"], &changed["rights"]["role"]), (&"Ann Lee".into(), &"viewer".into()));
    // The role of a login is the account's, at once.
    let registers = ask(&server, &secret, Method::POST, "/clients").await;
    assert!(registers.is_problem(403), "{registers:?}");
    let listed = server.get("/api/v1/accounts").await.unwrap().ok().unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admin", "ann"]);
    assert!(!listed.to_string().contains("hash") && !listed.to_string().contains("secret\""));
    server.send(Method::DELETE, "/api/v1/accounts/ann", &json!({})).await.unwrap().ok().unwrap();
    assert!(ask(&server, &secret, Method::GET, "/account").await.is_problem(401));
    assert!(server.get("/api/v1/accounts/ann").await.unwrap().is_problem(404));
    let events = server.get("/api/v1/events?limit=1000").await.unwrap().text;
    for kind in ["account.created", "account.changed", "account.deleted"] {
        assert!(events.contains(kind), "{kind}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn the_last_local_admin_can_be_neither_removed_nor_demoted(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let refused = async |method: Method, body: Value| {
        let answer = server.send(method, "/api/v1/accounts/admin", &body).await.unwrap();
        assert!(answer.is_problem(409) && answer.text.contains("last local admin"), "{answer:?}");
    };
    refused(Method::DELETE, json!({})).await;
    refused(Method::PATCH, json!({ "disabled": true })).await;
    refused(Method::PATCH, json!({ "rights": { "role": "operator" } })).await;
    new_account(&server, "ann", json!({ "role": "admin" })).await;
    let disable = json!({ "disabled": true });
    server.send(Method::PATCH, "/api/v1/accounts/ann", &disable).await.unwrap().ok().unwrap();
    refused(Method::DELETE, json!({})).await;
    let enable = json!({ "disabled": false });
    server.send(Method::PATCH, "/api/v1/accounts/ann", &enable).await.unwrap().ok().unwrap();
    server.send(Method::DELETE, "/api/v1/accounts/admin", &json!({})).await.unwrap().ok().unwrap();
    server.stop().await.unwrap();
}

pub(super) async fn of_two_admins_who_demote_each_other_one_stays(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    new_account(&server, "ann", json!({ "role": "admin" })).await;
    let body = json!({ "rights": { "role": "viewer" } });
    let (first, second) = tokio::join!(
        server.send(Method::PATCH, "/api/v1/accounts/admin", &body),
        server.send(Method::PATCH, "/api/v1/accounts/ann", &body),
    );
    let mut answers = [first.unwrap().status.as_u16(), second.unwrap().status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
    server.stop().await.unwrap();
}

pub(super) async fn a_wrong_account_is_refused(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for (body, status) in [
        (json!({ "name": "Ann", "rights": { "role": "viewer" } }), 422),
        (json!({ "name": "ann", "rights": {} }), 422),
        (json!({ "name": "ann", "rights": { "role": "root" } }), 422),
        (json!({ "name": "ann", "rights": { "groups": [{ "group": "nowhere", "role": "viewer" }] } }), 404),
        (json!({ "name": "admin", "rights": { "role": "viewer" } }), 409),
    ] {
        let answer = server.send(Method::POST, "/api/v1/accounts", &body).await.unwrap();
        assert!(answer.is_problem(status), "{body}: {answer:?}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_link_works_once_and_a_newer_one_ends_it(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let make = async || {
        let path = "/api/v1/accounts/admin/login-link";
        let made = server.send(Method::POST, path, &json!({})).await.unwrap().ok().unwrap();
        made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
    };
    let (first, second) = (make().await, make().await);
    assert!(login(&server, &json!({ "link": first })).await.is_problem(401));
    assert_eq!(login(&server, &json!({ "link": second })).await.status, 200);
    assert!(login(&server, &json!({ "link": second })).await.is_problem(401));
    server.stop().await.unwrap();
}

pub(super) async fn a_login_is_prolonged_until_its_session_would_end(engine: Engine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    let secret = new_account(&server, "ann", json!({ "role": "viewer" })).await;
    let mut hours = 0;
    loop {
        clock.advance(8 * 3600);
        hours += 8;
        let prolonged = ask(&server, &secret, Method::POST, "/account/prolong").await;
        // Its session's end is also its own: then it is not known any more.
        if prolonged.status == 409 || prolonged.status == 401 {
            break;
        }
        prolonged.ok().unwrap();
        assert!(hours < 7 * 24, "it can be prolonged for ever");
    }
    assert!(hours > 6 * 24, "it ended after {hours} hours");
    clock.advance(12 * 3600);
    assert!(ask(&server, &secret, Method::GET, "/account").await.is_problem(401));
    // A token that is no login has its own time.
    let path = "/api/v1/account/prolong";
    assert!(server.send(Method::POST, path, &json!({})).await.unwrap().is_problem(422));
    server.stop().await.unwrap();
}

pub(super) async fn a_login_by_name_needs_password_and_code(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let secret = new_account(&server, "ann", json!({ "role": "viewer" })).await;
    let url = format!("{}/api/v1/account/password", server.ctx.addresses.https);
    let set = server.http.post(url).bearer_auth(&secret).json(&json!({ "new": "a good password" }));
    assert_eq!(answer(set).await.unwrap().status, 204);
    let right = json!({ "name": "ann", "password": "a good password" });
    let shown = login(&server, &right).await.ok().unwrap();
    assert_eq!(shown["token"]["account"], "ann");
    assert!(login(&server, &json!({ "name": "ann", "password": "a bad password" })).await.is_problem(401));
    assert!(login(&server, &json!({ "name": "ann" })).await.is_problem(422));
    server.stop().await.unwrap();
}

pub(super) async fn a_token_has_the_roles_that_it_was_given_and_may_only_read(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let body = json!({ "name": "backup", "role": "admin", "read_only": true });
    let made = server.send(Method::POST, "/api/v1/tokens", &body).await.unwrap().ok().unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(ask(&server, secret, Method::GET, "/accounts").await.status, 200);
    let refused = ask(&server, secret, Method::POST, "/groups").await;
    assert!(refused.is_problem(403) && refused.text.contains("only reads"), "{refused:?}");
    let nothing = json!({ "name": "nothing" });
    assert!(server.send(Method::POST, "/api/v1/tokens", &nothing).await.unwrap().is_problem(422));
    assert_eq!(Role::Admin.as_str(), made["token"]["role"]);
    server.stop().await.unwrap();
}
