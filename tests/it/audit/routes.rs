//! Every way to change something leaves an entry: who, from where, what, before and after, under which request.

mod accounts;
mod clients;
mod desktops;
mod files;
mod jobs;
mod rollouts;
mod selections;
mod settings;
mod sources;

use std::collections::BTreeSet;

use harness::{
    server::{Answer, Engine, TestServer, answer, repository},
    telephone::code_of,
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::job_scripts,
    auth::totp,
    blobs,
    db::{accounts as account_rows, approvals, batches, channels, clients as client_rows},
    domain::{
        approval::{Approval, ApprovalState, Risk},
        batch::Action,
        client::Stage,
        notice::Notice,
        people::Role,
    },
    http::api::ROUTES,
    queue,
};
use wire::{ClientId, enrol::Realm};

use super::{entries, register, verdict};

/// Walks through changes, and remembers which routes it has used.
struct Walk<'a> {
    server: &'a TestServer,
    used: BTreeSet<String>,
    seen: usize,
    /// A login of the first admin, where the account itself matters.
    login: Option<String>,
}

impl Walk<'_> {
    async fn send(&mut self, method: Method, route: &str, path: &str, body: &Value) -> Answer {
        let route = route.split('?').next().unwrap_or(route);
        self.used.insert(format!("{method} {route}"));
        let request = match &self.login {
            Some(login) => self.server.request(None, method.clone(), path).bearer_auth(login),
            None => self.server.request(Some(Role::Admin), method.clone(), path),
        };
        let request = match body {
            Value::String(text) => request.body(text.clone()),
            body => request.json(body),
        };
        let answer = answer(request).await.unwrap();
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        answer
    }

    /// A change, and the entry that it must leave. `sides` says whether there is something before and something after.
    async fn step(
        &mut self,
        (method, route): (Method, &str),
        names: &[(&str, &str)],
        body: &Value,
        (action, object, sides): (&str, &str, (bool, bool)),
    ) -> Value {
        let path = names
            .iter()
            .fold(route.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        let answer = self.send(method.clone(), route, &path, body).await;
        let id = answer.headers["x-request-id"].to_str().unwrap();
        let all = entries(self.server).await;
        let new = &all[self.seen..];
        self.seen = all.len();
        assert!(!new.is_empty(), "{method} {route} left no entry");
        for entry in new {
            assert_eq!(entry["actor"], "admin", "{method} {route}: {entry}");
            assert_eq!(entry["address"], "127.0.0.1", "{method} {route}: {entry}");
            assert_eq!(entry["request_id"], id, "{method} {route}: {entry}");
            assert!(entry["via"].as_str().unwrap().starts_with("token "), "{entry}");
        }
        let found = new.iter().find(|entry| entry["action"] == action);
        let found = found.unwrap_or_else(|| panic!("{method} {route}: no {action} in {new:#?}"));
        assert!(found["object"].as_str().unwrap().starts_with(object), "{method} {route}: {found}");
        let there = (!found["before"].is_null(), !found["after"].is_null());
        assert_eq!(there, sides, "{method} {route}: {found}");
        assert_ne!(found["before"], found["after"], "{method} {route}: {found}");
        answer.json()
    }
}

/// What is sent there is only looked at; a build that runs elsewhere tells how far it is, and is in memory only.
/// What is fetched into the package cache is what any client makes it fetch, and so is the index that packages are searched in.
const CHANGE_NOTHING: [&str; 7] = [
    "/api/v1/desktop-plans",
    "/api/v1/layout-checks",
    "/api/v1/job-scripts/{name}/render",
    "/api/v1/image-builds",
    "/api/v1/cache/fetch",
    "/api/v1/source-list-checks",
    "/api/v1/source-lists/{name}/refresh",
];

const NEW: (bool, bool) = (false, true);
const CHANGED: (bool, bool) = (true, true);
const GONE: (bool, bool) = (true, false);

async fn id_of(server: &TestServer, name: &str) -> ClientId {
    let mut tx = server.ctx.db.read().await.unwrap();
    client_rows::find_by_name(&mut tx, name).await.unwrap().unwrap().id
}

pub(super) async fn every_changing_route_leaves_an_entry_with_before_and_after(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let mut walk =
        Walk { server: &server, used: BTreeSet::new(), seen: entries(&server).await.len(), login: None };
    clients::about_clients(&mut walk).await;
    jobs::about_jobs(&mut walk).await;
    jobs::about_many(&mut walk).await;
    rollouts::about_rollouts(&mut walk).await;
    selections::about_selections(&mut walk).await;
    files::about_groups_and_files(&mut walk).await;
    sources::about_sources(&mut walk).await;
    desktops::about_desktops(&mut walk).await;
    settings::about_people_and_settings(&mut walk).await;
    accounts::about_accounts(&mut walk).await;
    accounts::about_ones_own_account(&mut walk).await;
    let changing: BTreeSet<_> = ROUTES
        .iter()
        .filter(|(method, route, _)| *method != Method::GET && !CHANGE_NOTHING.contains(route))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(
        changing.difference(&walk.used).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "routes without a step here"
    );
    assert_eq!(verdict(&server).await["good"], true);
    server.stop().await.unwrap();
}

pub(super) async fn what_nobody_notes_is_noted_as_the_request_itself(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let ctx = &server.ctx;
    let origin = server::db::audit::Origin::new("ann", "session", ctx.now(), server::app::audit::signer(ctx));
    let forgotten = async {
        // A change that its use case has forgotten to note.
        let mut tx = ctx.db.write().await.unwrap();
        server::db::groups::create(&mut tx, "secret-group", "", ctx.now()).await.unwrap();
        tx.commit().await.unwrap();
    };
    origin.scope(Box::pin(forgotten)).await;
    let last = entries(&server).await.pop().unwrap();
    assert_eq!((&last["actor"], &last["action"]), (&json!("ann"), &json!("request")));
    assert_eq!(verdict(&server).await["good"], true);
    server.stop().await.unwrap();
}

pub(super) async fn failed_logins_are_entries_and_secrets_are_not(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let login = server
        .request(None, Method::POST, "/login")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=admin&password=my+old+password");
    assert_eq!(answer(login).await.unwrap().status, 401);
    let link = json!({ "link": "lotse_nonsense-that-somebody-typed" });
    let login = server.request(None, Method::POST, "/api/v1/login").json(&link);
    assert!(answer(login).await.unwrap().is_problem(401));
    let found = entries(&server).await;
    let failed: Vec<_> = found.iter().filter(|entry| entry["action"] == "login.failed").collect();
    assert_eq!(failed.len(), 2, "{found:#?}");
    assert_eq!(failed[0]["object"], "account admin");
    assert_eq!((&failed[0]["actor"], &failed[0]["address"]), (&json!("nobody"), &json!("127.0.0.1")));
    // Passwords, tokens and links come in many ways, and are in none of the entries.
    let client = json!({ "name": "lab-01", "config": { "users": [{ "name": "ann" }] }, "passwords": { "ann": "correct horse battery" } });
    server.send(Method::POST, "/api/v1/clients", &client).await.unwrap().ok().unwrap();
    let change = json!({ "config": { "users": [{ "name": "ann" }] }, "passwords": { "ann": "another horse battery" } });
    server.send(Method::PATCH, "/api/v1/clients/lab-01", &change).await.unwrap().ok().unwrap();
    let token = json!({ "name": "x", "role": "viewer" });
    let token = server.send(Method::POST, "/api/v1/tokens", &token).await.unwrap().ok().unwrap();
    let command =
        server.send(Method::POST, "/api/v1/clients/lab-01/enrol-command", &json!({})).await.unwrap();
    let command = command.ok().unwrap()["command"].as_str().unwrap().to_owned();
    let enrol = command.split(' ').find_map(|word| word.strip_prefix("LOTSE_TOKEN=")).unwrap();
    let first = server.first_login.split_once('#').unwrap().1;
    let login = server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": first }));
    let shown = answer(login).await.unwrap().ok().unwrap();
    let text = server.get("/api/v1/audit/export").await.unwrap().text;
    assert!(text.contains("new_password_of"), "that there is a new password is told");
    for secret in [
        "my old password",
        "nonsense-that-somebody-typed",
        "horse",
        "$6$",
        token["secret"].as_str().unwrap(),
        enrol,
        first,
        shown["secret"].as_str().unwrap(),
    ] {
        assert!(!text.contains(secret), "{secret} is in the audit");
    }
    server.stop().await.unwrap();
}

pub(super) async fn what_was_not_carried_out_leaves_no_entry(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    register(&server, "lab-01").await;
    let before = entries(&server).await.len();
    register_again(&server).await;
    let dry = "/api/v1/clients/lab-01/install?dry_run=true";
    server.send(Method::POST, dry, &json!({})).await.unwrap().ok().unwrap();
    let forbidden = server.request(Some(Role::Viewer), Method::DELETE, "/api/v1/clients/lab-01");
    assert!(answer(forbidden).await.unwrap().is_problem(403));
    assert_eq!(entries(&server).await.len(), before);
    // The same request twice under one key is one change and one entry.
    for _ in 0..2 {
        let request = server.request(Some(Role::Admin), Method::POST, "/api/v1/groups");
        let request = request.header("idempotency-key", "k-1").json(&json!({ "name": "lab" }));
        answer(request).await.unwrap().ok().unwrap();
    }
    assert_eq!(entries(&server).await.len(), before + 1);
    server.stop().await.unwrap();
}

async fn register_again(server: &TestServer) {
    let again = server.send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-01" })).await.unwrap();
    assert!(again.is_problem(409));
}
