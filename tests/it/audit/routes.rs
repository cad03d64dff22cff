//! Every way to change something leaves an entry: who, from where, what, before and after, under which request.

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
    db::{accounts, approvals, batches, channels, clients, rollouts::members},
    domain::{
        approval::{Approval, ApprovalState, Risk},
        batch::Action,
        client::Stage,
        notice::Notice,
        people::Role,
        rollout::RolloutClientState,
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
const CHANGE_NOTHING: [&str; 3] =
    ["/api/v1/layout-checks", "/api/v1/job-scripts/{name}/render", "/api/v1/image-builds"];

const NEW: (bool, bool) = (false, true);
const CHANGED: (bool, bool) = (true, true);
const GONE: (bool, bool) = (true, false);

async fn id_of(server: &TestServer, name: &str) -> ClientId {
    let mut tx = server.ctx.db.read().await.unwrap();
    clients::find_by_name(&mut tx, name).await.unwrap().unwrap().id
}

pub(super) async fn every_changing_route_leaves_an_entry_with_before_and_after(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let mut walk =
        Walk { server: &server, used: BTreeSet::new(), seen: entries(&server).await.len(), login: None };
    about_clients(&mut walk).await;
    about_jobs(&mut walk).await;
    about_many(&mut walk).await;
    about_rollouts(&mut walk).await;
    about_groups_and_files(&mut walk).await;
    about_people_and_settings(&mut walk).await;
    about_accounts(&mut walk).await;
    about_ones_own_account(&mut walk).await;
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

async fn about_accounts(walk: &mut Walk<'_>) {
    let ann = &[("name", "ann")];
    let none = &json!({});
    let account = "account ann";
    let p = |method, route| (method, route);
    let new = json!({ "name": "ann", "rights": { "role": "viewer" } });
    let made =
        walk.step(p(Method::POST, "/api/v1/accounts"), &[], &new, ("account.create", account, NEW)).await;
    let change = json!({ "rights": { "role": "operator" } });
    let route = "/api/v1/accounts/{name}";
    walk.step(p(Method::PATCH, route), ann, &change, ("account.change", account, CHANGED)).await;
    let log_in = async |link: &Value| {
        let link = link["link"].as_str().unwrap().split_once('#').unwrap().1;
        let request = walk.server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
        answer(request).await.unwrap().ok().unwrap()
    };
    let shown = log_in(&made).await;
    walk.seen = entries(walk.server).await.len();
    let login = format!("token-{}", shown["token"]["id"]);
    let one = &[("name", "ann"), ("id", login.as_str())];
    let route = "/api/v1/accounts/{name}/logins/{id}";
    walk.step(p(Method::DELETE, route), one, none, ("session.end", "login ", GONE)).await;
    let route = "/api/v1/accounts/{name}/logins";
    walk.step(p(Method::DELETE, route), ann, none, ("session.end", account, GONE)).await;
    let route = "/api/v1/accounts/{name}/login-link";
    walk.step(p(Method::POST, route), ann, none, ("account.link", account, NEW)).await;
    {
        let mut tx = walk.server.ctx.db.write().await.unwrap();
        let (found, _) = accounts::find(&mut tx, "ann").await.unwrap().unwrap();
        accounts::offer_totp(&mut tx, found.id, &totp::new_secret()).await.unwrap();
        accounts::begin_totp(&mut tx, found.id, 1, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let route = "/api/v1/accounts/{name}/second-factor";
    walk.step(p(Method::DELETE, route), ann, none, ("account.second-factor", account, CHANGED)).await;
    let route = "/api/v1/accounts/{name}";
    walk.step(p(Method::DELETE, route), ann, none, ("account.delete", account, GONE)).await;
}

async fn about_ones_own_account(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let account = "account admin";
    let p = |method, route| (method, route);
    let log_in = async |order: &Value| {
        let request = server.request(None, Method::POST, "/api/v1/login").json(order);
        answer(request).await.unwrap().ok().unwrap()
    };
    let link = server.first_login.split_once('#').unwrap().1;
    let shown = log_in(&json!({ "link": link })).await;
    walk.login = Some(shown["secret"].as_str().unwrap().to_owned());
    walk.seen = entries(server).await.len();
    let new = json!({ "new": "a good password" });
    let route = "/api/v1/account/password";
    walk.step(p(Method::POST, route), &[], &new, ("password.change", account, NEW)).await;
    let language = json!({ "language": "de" });
    let route = "/api/v1/account/language";
    walk.step(p(Method::POST, route), &[], &language, ("account.language", account, NEW)).await;
    let route = "/api/v1/account/prolong";
    walk.step(p(Method::POST, route), &[], none, ("token.prolong", "token ", CHANGED)).await;
    let other = log_in(&json!({ "name": "admin", "password": "a good password" })).await;
    walk.seen = entries(server).await.len();
    let id = format!("token-{}", other["token"]["id"]);
    let route = "/api/v1/account/logins/{id}";
    walk.step(p(Method::DELETE, route), &[("id", &id)], none, ("session.end", "login ", GONE)).await;
    let route = "/api/v1/account/logins";
    walk.step(p(Method::DELETE, route), &[], none, ("session.end", account, GONE)).await;
    let route = "/api/v1/account/second-factor";
    let offered =
        walk.step(p(Method::POST, route), &[], none, ("account.offer-second-factor", account, NEW)).await;
    let secret = offered["secret"].as_str().unwrap();
    let code = code_of(secret, server.ctx.now()).unwrap();
    let route = "/api/v1/account/second-factor/confirm";
    let code = json!({ "code": code });
    let on = walk.step(p(Method::POST, route), &[], &code, ("account.second-factor", account, CHANGED)).await;
    let code = json!({ "code": on["codes"][0] });
    let route = "/api/v1/account/second-factor/end";
    walk.step(p(Method::POST, route), &[], &code, ("account.second-factor", account, CHANGED)).await;
    walk.login = None;
    walk.seen = entries(server).await.len();
}

async fn about_clients(walk: &mut Walk<'_>) {
    let server = walk.server;
    let lab = &[("name", "lab-01")];
    let client = "client lab-01";
    let none = &json!({});
    let p = |method, route| (method, route);
    let new = json!({ "name": "lab-01", "macs": ["52:54:00:00:00:01"], "groups": ["lab"] });
    walk.step(p(Method::POST, "/api/v1/clients"), &[], &new, ("client.register", client, NEW)).await;
    let change = json!({ "groups": ["lab", "room-2"] });
    walk.step(p(Method::PATCH, "/api/v1/clients/{name}"), lab, &change, ("client.change", client, CHANGED))
        .await;
    let id = id_of(server, "lab-01").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    clients::set_announced_key(&mut tx, id, &blobs::hash(b"key")).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/clients/{name}/adopt"), lab, none, ("client.adopt", client, CHANGED))
        .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/install"),
        lab,
        none,
        ("client.install", client, CHANGED),
    )
    .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/reset"), lab, none, ("client.reset", client, CHANGED))
        .await;
    let mut tx = server.ctx.db.write().await.unwrap();
    clients::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    clients::set_alarm(&mut tx, id, Some("two machines show one identity")).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(
        p(Method::DELETE, "/api/v1/clients/{name}/alarm"),
        lab,
        none,
        ("client.clear-alarm", client, CHANGED),
    )
    .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/redo"), lab, none, ("client.install", client, CHANGED))
        .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/restart"), lab, none, ("job.create", "job ", NEW))
        .await;
    about_machines(walk, lab, client).await;
    let keys = json!({ "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHz7H6pRrRjQ1m4i1sVZkzQm1tB8vEoTWpT0oVnSnkR ann"] });
    walk.step(p(Method::POST, "/api/v1/clients/{name}/rescue"), lab, &keys, ("job.create", "job ", NEW))
        .await;
    walk.step(p(Method::POST, "/api/v1/clients/{name}/release"), lab, none, ("job.cancel", "job ", CHANGED))
        .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/enrol-command"),
        lab,
        none,
        ("client.enrol-command", client, NEW),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/retire"),
        lab,
        none,
        ("client.retire", client, CHANGED),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/reinstate"),
        lab,
        none,
        ("client.reinstate", client, CHANGED),
    )
    .await;
    walk.step(p(Method::DELETE, "/api/v1/clients/{name}"), lab, none, ("client.delete", client, GONE)).await;
}

async fn about_machines(walk: &mut Walk<'_>, lab: &[(&str, &str)], client: &str) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let id = id_of(server, "lab-01").await;
    // Whatever the installation before has queued is in the way of the next one.
    walk.send(Method::POST, "/api/v1/clients/{name}/reset", "/api/v1/clients/lab-01/reset", none).await;
    let mut tx = server.ctx.db.write().await.unwrap();
    clients::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    tx.commit().await.unwrap();
    walk.seen = entries(server).await.len();
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/recover"),
        lab,
        none,
        ("client.install", client, CHANGED),
    )
    .await;
    let note = json!({ "text": "Netzteil getauscht" });
    let id = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/notes"), lab, &note, ("client.note", client, NEW))
        .await;
    let number = id.to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/clients/{name}/notes/{id}"),
        &[("name", "lab-01"), ("id", number.as_str())],
        none,
        ("client.delete-note", client, GONE),
    )
    .await;
    let (room, preset) = (&[("name", "room")], json!({ "groups": ["room-9"] }));
    walk.step(p(Method::PUT, "/api/v1/presets/{name}"), room, &preset, ("preset.set", "preset room", NEW))
        .await;
    walk.step(
        p(Method::DELETE, "/api/v1/presets/{name}"),
        room,
        none,
        ("preset.delete", "preset room", GONE),
    )
    .await;
    let rule = json!({ "mac": "52:54:77", "names": "pc-{01..}" });
    walk.step(p(Method::PUT, "/api/v1/rules/{name}"), room, &rule, ("rule.set", "rule room", NEW)).await;
    walk.send(Method::POST, "/api/v1/rule-runs", "/api/v1/rule-runs?dry_run=true", none).await;
    walk.seen = entries(server).await.len();
    walk.step(p(Method::DELETE, "/api/v1/rules/{name}"), room, none, ("rule.delete", "rule room", GONE))
        .await;
    let many = json!({ "sheet": "name;mac\npc-1;52:54:00:00:07:01\n", "config": {}, "install": false });
    walk.step(
        p(Method::POST, "/api/v1/mass-installations"),
        &[],
        &many,
        ("client.mass-install", "machines", NEW),
    )
    .await;
    let stranger = id_of(server, "pc-1").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    clients::set_stage(&mut tx, stranger, Stage::Discovered).await.unwrap();
    tx.commit().await.unwrap();
    let pc = &[("name", "pc-1")];
    walk.step(
        p(Method::POST, "/api/v1/clients/{name}/forget"),
        pc,
        none,
        ("client.delete", "client pc-1", GONE),
    )
    .await;
}

async fn about_many(walk: &mut Walk<'_>) {
    let server = walk.server;
    for name in ["pc-01", "pc-02"] {
        let mac = format!("52:54:00:00:01:{}", &name[3..]);
        let new = json!({ "name": name, "macs": [mac] });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    }
    walk.seen = entries(server).await.len();
    let none = &json!({});
    let p = |method, route| (method, route);
    let filter = json!({ "name": "silent", "query": "seen>7d" });
    let made = walk
        .step(p(Method::POST, "/api/v1/filters"), &[], &filter, ("filter.save", "filter silent", NEW))
        .await;
    let number = made["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/filters/{id}"),
        &[("id", &number)],
        none,
        ("filter.delete", "filter ", GONE),
    )
    .await;
    let group = json!({ "name": "own", "description": "a room" });
    walk.step(p(Method::POST, "/api/v1/groups"), &[], &group, ("group.create", "group own", NEW)).await;
    let change = json!({ "description": "another room" });
    walk.step(
        p(Method::PATCH, "/api/v1/groups/{name}"),
        &[("name", "own")],
        &change,
        ("group.change", "group own", CHANGED),
    )
    .await;
    // Woken is over the network, which not every machine that tests has.
    let wake = server.send(Method::POST, "/api/v1/clients/pc-01/wake", none).await.unwrap();
    let all = entries(server).await;
    assert_eq!(wake.status.is_success(), all.last().unwrap()["action"] == "client.wake", "{wake:?}");
    walk.used.insert("POST /api/v1/clients/{name}/wake".to_owned());
    walk.seen = all.len();
    let order = json!({ "order": { "action": "join-group", "group": "own" }, "clients": ["pc-01", "pc-02"] });
    walk.step(p(Method::POST, "/api/v1/batches"), &[], &order, ("batch.order", "batch ", NEW)).await;
    // One that waits, as it would when the server had more to do.
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = clients::find_by_name(&mut tx, "pc-01").await.unwrap().unwrap().id;
    let chosen = [(id, None)];
    let batch =
        batches::create(&mut tx, &Action::Reboot, "", "admin", &chosen, server.ctx.now()).await.unwrap();
    assert!(batches::take(&mut tx, batch, id, server.ctx.now()).await.unwrap());
    tx.commit().await.unwrap();
    walk.step(
        p(Method::POST, "/api/v1/batches/{id}/stop"),
        &[("id", &batch.to_string())],
        none,
        ("batch.stop", "batch ", CHANGED),
    )
    .await;
    let mut tx = server.ctx.db.read().await.unwrap();
    let files = job_scripts::files(&server.ctx, &mut tx, "reboot", 0).await.unwrap();
    drop(tx);
    let script = &[("name", "reboot")];
    let new = json!({ "files": files, "comment": "the same" });
    walk.step(
        p(Method::POST, "/api/v1/job-scripts/{name}/versions"),
        script,
        &new,
        ("job-script.upload", "job script reboot", CHANGED),
    )
    .await;
    let old = json!({ "version": 0 });
    walk.step(
        p(Method::PUT, "/api/v1/job-scripts/{name}/version"),
        script,
        &old,
        ("job-script.choose", "job script reboot", CHANGED),
    )
    .await;
}

async fn about_jobs(walk: &mut Walk<'_>) {
    let server = walk.server;
    register(server, "lab-02").await;
    walk.seen = entries(server).await.len();
    let none = &json!({});
    let order = json!({ "job_type": "script", "params": { "text": "true" } });
    let p = |method, route| (method, route);
    let lab = &[("name", "lab-02")];
    let made = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/jobs"), lab, &order, ("job.create", "job ", NEW))
        .await;
    let number = made.to_string();
    let (job, object) = (&[("id", number.as_str())], format!("job {number}"));
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/hold"), job, none, ("job.hold", &object, CHANGED)).await;
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/accept"), job, none, ("job.accept", &object, CHANGED)).await;
    let id = id_of(server, "lab-02").await;
    let mut tx = server.ctx.db.write().await.unwrap();
    queue::claim(&mut tx, id, Realm::System, "boot", 60, server.ctx.now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/release"), job, none, ("job.release", &object, CHANGED))
        .await;
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/cancel"), job, none, ("job.cancel", &object, CHANGED)).await;
    let other = walk
        .step(p(Method::POST, "/api/v1/clients/{name}/jobs"), lab, &order, ("job.create", "job ", NEW))
        .await;
    let number = other.to_string();
    let (job, object) = (&[("id", number.as_str())], format!("job {number}"));
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/cancel"), job, none, ("job.cancel", &object, CHANGED)).await;
    // The running one is the same, so it must be over before it can be tried again.
    let mut tx = server.ctx.db.write().await.unwrap();
    queue::reap(&mut tx, server.ctx.now() + 3_600_000_000).await.unwrap();
    tx.commit().await.unwrap();
    walk.step(p(Method::POST, "/api/v1/jobs/{id}/retry"), job, none, ("job.create", "job ", NEW)).await;
}

async fn about_rollouts(walk: &mut Walk<'_>) {
    let p = |method, route| (method, route);
    let none = &json!({});
    let job = json!({ "job_type": "script", "params": { "text": "true" } });
    let mut spec = json!({ "work": { "kind": "jobs", "jobs": [job] }, "target": { "clients": ["pc-01"] } });
    let mut numbers = Vec::new();
    for title in ["one", "two"] {
        let order = json!({ "title": title, "spec": spec });
        let new = ("rollout.create", "rollout ", NEW);
        let made = walk.step(p(Method::POST, "/api/v1/rollouts"), &[], &order, new).await;
        numbers.push(made["id"].to_string());
        let change = ("rollout.start", "rollout ", CHANGED);
        let id = &[("id", numbers.last().unwrap().as_str())];
        walk.step(p(Method::POST, "/api/v1/rollouts/{id}/start"), id, none, change).await;
    }
    for (route, action) in [
        ("/api/v1/rollouts/{id}/pause", "rollout.pause"),
        ("/api/v1/rollouts/{id}/resume", "rollout.resume"),
        ("/api/v1/rollouts/{id}/halt", "rollout.halt"),
    ] {
        let change = (action, "rollout ", CHANGED);
        walk.step(p(Method::POST, route), &[("id", &numbers[0])], none, change).await;
    }
    let mut tx = walk.server.ctx.db.write().await.unwrap();
    let failed = members::Become { state: RolloutClientState::Failed, reason: "", cause: "", job: None };
    let (id, client) =
        (numbers[0].parse().unwrap(), clients::find_by_name(&mut tx, "pc-01").await.unwrap().unwrap().id);
    members::set(&mut tx, id, client, &failed, 1).await.unwrap();
    tx.commit().await.unwrap();
    let change = ("rollout.retry", "rollout ", CHANGED);
    walk.step(p(Method::POST, "/api/v1/rollouts/{id}/retry"), &[("id", &numbers[0])], none, change).await;
    let change = ("rollout.cancel", "rollout ", CHANGED);
    walk.step(p(Method::POST, "/api/v1/rollouts/{id}/cancel"), &[("id", &numbers[1])], none, change).await;
    spec["windows"] = json!({ "open": ["sun 02:00-02:01"] });
    let order = json!({ "name": "weekly", "spec": spec });
    let object = "rollout schedule weekly";
    let new = ("rollout.schedule", object, NEW);
    walk.step(p(Method::POST, "/api/v1/rollout-schedules"), &[], &order, new).await;
    let (route, weekly) = ("/api/v1/rollout-schedules/{name}", &[("name", "weekly")]);
    let change = ("rollout.schedule-change", object, CHANGED);
    walk.step(
        p(Method::POST, "/api/v1/rollout-schedules/{name}/switch"),
        weekly,
        &json!({ "enabled": false }),
        change,
    )
    .await;
    walk.step(p(Method::DELETE, route), weekly, none, ("rollout.unschedule", object, GONE)).await;
}

async fn about_groups_and_files(walk: &mut Walk<'_>) {
    let none = &json!({});
    let p = |method, route| (method, route);
    let member = &[("name", "room-9"), ("client", "lab-02")];
    let group = "group room-9";
    walk.step(
        p(Method::POST, "/api/v1/groups"),
        &[],
        &json!({ "name": "room-9" }),
        ("group.create", group, NEW),
    )
    .await;
    walk.step(
        p(Method::PUT, "/api/v1/groups/{name}/members/{client}"),
        member,
        none,
        ("group.join", "client lab-02", CHANGED),
    )
    .await;
    let order = json!({ "job_type": "script", "params": { "text": "false" } });
    walk.step(p(Method::POST, "/api/v1/groups/{name}/jobs"), member, &order, ("job.create", "job ", NEW))
        .await;
    walk.step(
        p(Method::DELETE, "/api/v1/groups/{name}/members/{client}"),
        member,
        none,
        ("group.leave", "client lab-02", CHANGED),
    )
    .await;
    walk.step(p(Method::DELETE, "/api/v1/groups/{name}"), member, none, ("group.delete", group, GONE)).await;
    let layouts = repository().join("job-scripts/layouts");
    let mut paths: Vec<_> = fs_err::read_dir(layouts).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let yaml = |at: usize| Value::from(fs_err::read_to_string(&paths[at]).unwrap());
    let layout = &[("name", "own")];
    walk.step(
        p(Method::PUT, "/api/v1/layouts/{name}"),
        layout,
        &yaml(0),
        ("layout.change", "layout own", NEW),
    )
    .await;
    walk.step(
        p(Method::PUT, "/api/v1/layouts/{name}"),
        layout,
        &yaml(1),
        ("layout.change", "layout own", CHANGED),
    )
    .await;
    walk.step(
        p(Method::DELETE, "/api/v1/layouts/{name}"),
        layout,
        none,
        ("layout.delete", "layout own", GONE),
    )
    .await;
    let file = Value::from("content");
    let blob = walk.step(p(Method::POST, "/api/v1/blobs"), &[], &file, ("file.store", "file ", NEW)).await;
    let image = json!({ "name": "own", "recipe": blobs::hash(b"r"), "parts": { "part": blob } });
    let image =
        walk.step(p(Method::POST, "/api/v1/images"), &[], &image, ("image.create", "image own", NEW)).await;
    let number = image["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/images/{id}"),
        &[("id", &number)],
        none,
        ("image.delete", "image own", GONE),
    )
    .await;
}

async fn about_people_and_settings(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let token = json!({ "name": "x", "role": "viewer" });
    let made =
        walk.step(p(Method::POST, "/api/v1/tokens"), &[], &token, ("token.create", "token ", NEW)).await;
    let number = made["token"]["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/tokens/{id}"),
        &[("id", &number)],
        none,
        ("token.revoke", "token ", CHANGED),
    )
    .await;
    let wanted = json!({ "retention.events": 1000 });
    walk.step(
        p(Method::PATCH, "/api/v1/settings"),
        &[],
        &wanted,
        ("setting.change", "setting retention.events", CHANGED),
    )
    .await;
    about_channels(walk).await;
    for (route, action) in [
        ("/api/v1/approvals/{id}/approve", "approval.approve"),
        ("/api/v1/approvals/{id}/refuse", "approval.refuse"),
    ] {
        let number = waiting(server).await.to_string();
        walk.seen = entries(server).await.len();
        walk.step(p(Method::POST, route), &[("id", &number)], none, (action, "approval ", CHANGED)).await;
    }
}

async fn about_channels(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let hook = &[("name", "hook")];
    let wish = json!({ "name": "hook", "kind": "webhook", "url": "https://hooks.example/x" });
    walk.step(p(Method::POST, "/api/v1/channels"), &[], &wish, ("channel.create", "channel hook", NEW)).await;
    let off = json!({ "kind": "webhook", "url": "https://hooks.example/x", "enabled": false });
    walk.step(
        p(Method::PUT, "/api/v1/channels/{name}"),
        hook,
        &off,
        ("channel.change", "channel hook", CHANGED),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/channels/{name}/secret"),
        hook,
        none,
        ("channel.new-secret", "channel hook", NEW),
    )
    .await;
    // It does not arrive, and that, too, is an entry.
    let test = server.send(Method::POST, "/api/v1/channels/hook/test", none).await.unwrap();
    assert!(test.is_problem(503), "{test:?}");
    walk.used.insert("POST /api/v1/channels/{name}/test".to_owned());
    let all = entries(server).await;
    assert_eq!(all.last().unwrap()["action"], "channel.test");
    walk.seen = all.len();
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = channels::find(&mut tx, "hook").await.unwrap().unwrap().id;
    let notice = Notice::test("n".to_owned(), "hook", server.ctx.now());
    let posted = channels::post(&mut tx, id, &notice, server.ctx.now()).await.unwrap();
    channels::finish(&mut tx, posted, "given-up", "nobody there", server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    let number = posted.to_string();
    walk.step(
        p(Method::POST, "/api/v1/notices/{id}/retry"),
        &[("id", &number)],
        none,
        ("notice.retry", "notice ", CHANGED),
    )
    .await;
    walk.step(
        p(Method::DELETE, "/api/v1/channels/{name}"),
        hook,
        none,
        ("channel.delete", "channel hook", GONE),
    )
    .await;
}

/// A request by somebody else that waits for a second person.
async fn waiting(server: &TestServer) -> i64 {
    let other = super::Person::new(server, "ann", Role::Admin).await;
    register(server, &format!("old-{}", other.number)).await;
    let wish = json!({ "action": "retire", "client": format!("old-{}", other.number) });
    let approval = Approval {
        id: 0,
        wish,
        summary: "retire".to_owned(),
        risk: Risk::Retire,
        role: Role::Operator,
        asked_by: "ann".to_owned(),
        person: "ann".to_owned(),
        pass: format!("token {}", other.number),
        asked_at: server.ctx.now(),
        expires_at: i64::MAX,
        state: ApprovalState::Pending,
        decided_by: None,
        decided_at: None,
        reason: String::new(),
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = approvals::create(&mut tx, &approval).await.unwrap();
    tx.commit().await.unwrap();
    id
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
