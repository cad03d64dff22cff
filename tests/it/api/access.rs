//! Who may do what: every route has a role, and nobody with less gets through.

use std::collections::BTreeSet;

use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::json;
use server::{clock::Clock, domain::people::Role, http::api::ROUTES};

const ROLES: [Role; 4] = [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin];

/// Parameters that lead nowhere.
fn concrete(path: &str) -> String {
    path.replace("{name}", "nobody")
        .replace("{client}", "nobody")
        .replace("{mac}", "52:54:00:00:00:99")
        .replace("{id}", "999999")
}

async fn ask(server: &TestServer, role: Option<Role>, method: &Method, path: &str) -> Answer {
    let request = server.request(role, method.clone(), &concrete(path));
    // Streams do not end, so only their head is waited for.
    if path.ends_with("/stream") {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = if status.is_success() { String::new() } else { response.text().await.unwrap() };
        return Answer { status, headers, text };
    }
    answer(request).await.unwrap()
}

pub(super) async fn every_route_needs_a_token_and_its_role(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for (method, path, needed) in ROUTES {
        let without = ask(&server, None, method, path).await;
        assert!(without.is_problem(401), "{method} {path} without a token: {without:?}");
        assert_eq!(without.headers["www-authenticate"], "Bearer");
        for role in ROLES {
            let got = ask(&server, Some(role), method, path).await;
            if role < *needed {
                assert!(got.is_problem(403), "{method} {path} as {role:?}: {got:?}");
            } else {
                assert!(
                    ![401, 403, 405, 500].contains(&got.status.as_u16()),
                    "{method} {path} as {role:?}: {got:?}"
                );
                assert!(
                    got.status.is_success() || got.is_problem(got.status.as_u16()),
                    "{method} {path}: {got:?}"
                );
            }
        }
    }
    server.stop().await.unwrap();
}

pub(super) async fn the_description_names_every_route_and_no_other(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let spec = server.get("/api/openapi.json").await.unwrap().ok().unwrap();
    let mut described = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{method} {path} has no summary"
            );
            let mut declared: Vec<_> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
                .collect();
            let mut used: Vec<_> =
                path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
            declared.sort();
            used.sort();
            assert_eq!(declared, used, "{method} {path}");
        }
    }
    let mut known: BTreeSet<_> = ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    known.insert("POST /api/v1/login".to_owned());
    assert_eq!(described, known);
    let text = spec.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(spec["components"]["schemas"][name].is_object(), "the schema {name} is not described");
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_revoked_token_is_refused_at_once(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let made =
        server.send(Method::POST, "/api/v1/tokens", &json!({ "name": "x", "role": "viewer" })).await.unwrap();
    let made = made.ok().unwrap();
    let ask = async || {
        let url = format!("{}/api/v1/server", server.ctx.addresses.https);
        server.http.get(url).bearer_auth(made["secret"].as_str().unwrap()).send().await.unwrap().status()
    };
    assert_eq!(ask().await, 200);
    let path = format!("/api/v1/tokens/{}", made["token"]["id"]);
    server.send(Method::DELETE, &path, &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(ask().await, 401);
    assert!(server.send(Method::DELETE, &path, &json!({})).await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

pub(super) async fn a_login_link_works_once_and_not_after_its_day(engine: Engine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    let link = server.first_login.split_once('#').unwrap().1.to_owned();
    let login = async |link: &str| {
        let request = server.request(None, Method::POST, "/api/v1/login");
        answer(request.json(&json!({ "link": link }))).await.unwrap()
    };
    assert!(login("lotse_wrong").await.is_problem(401));
    let shown = login(&link).await.ok().unwrap();
    assert_eq!(shown["token"]["role"], "admin");
    assert!(login(&link).await.is_problem(401));
    let ask = async || {
        let url = format!("{}/api/v1/server", server.ctx.addresses.https);
        server.http.get(url).bearer_auth(shown["secret"].as_str().unwrap()).send().await.unwrap().status()
    };
    assert_eq!(ask().await, 200);
    clock.advance(12 * 3600 + 1);
    assert_eq!(ask().await, 401);
    server.stop().await.unwrap();
}

pub(super) async fn secrets_are_never_listed(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let secret = server.token(Role::Admin).to_owned();
    let tokens = server.get("/api/v1/tokens").await.unwrap();
    assert!(
        tokens.text.contains("\"admin\"") && !tokens.text.contains(&secret) && !tokens.text.contains("hash")
    );
    server.stop().await.unwrap();
}
