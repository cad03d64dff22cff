//! Searching, sorting and ordering for many, as admins do it.

use std::time::Duration;

use harness::server::{Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::domain::people::Role;

async fn clients(server: &TestServer, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let groups = if number % 2 == 0 { json!(["even"]) } else { json!([]) };
        let body =
            json!({ "name": name, "macs": [format!("52:54:00:00:00:{number:02x}")], "groups": groups });
        server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

pub(super) async fn a_search_finds_sorts_and_pages(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    clients(&server, &["pc-1", "lab-1", "pc-2", "lab-2", "pc-3"]).await;
    let get = async |path: &str| server.get(&format!("/api/v1/clients{path}")).await.unwrap();
    let found = get("?q=name:pc-*%20not%20pc-2").await.ok().unwrap();
    assert_eq!((names(&found), &found["total"]), (vec!["pc-1", "pc-3"], &json!(2)));
    assert_eq!(names(&get("?q=52:54:00:00:00:03").await.ok().unwrap()), ["lab-2"]);
    let first = get("?sort=-group&limit=3").await.ok().unwrap();
    assert_eq!(names(&first), ["pc-3", "pc-2", "pc-1"], "members of `even` first, then by name, backwards");
    let next = first["next"].as_str().unwrap().replace('~', "%7E");
    let second = get(&format!("?sort=-group&limit=3&after={next}")).await.ok().unwrap();
    assert_eq!((names(&second), &second["total"]), (vec!["lab-2", "lab-1"], &json!(5)));
    assert!(second.get("next").is_none());
    let back = second["previous"].as_str().unwrap().replace('~', "%7E");
    let back = get(&format!("?sort=-group&limit=3&before={back}")).await.ok().unwrap();
    assert_eq!((names(&back), back.get("previous")), (vec!["pc-3", "pc-2", "pc-1"], None));
    let narrow = get("?columns=stage&limit=1").await.ok().unwrap();
    assert_eq!(narrow["items"], json!([{ "name": "lab-1", "stage": "registered" }]));
    for wrong in ["?q=staeg:installed", "?sort=colour", "?columns=colour", "?sort=stage&after=pc-1"] {
        assert!(get(wrong).await.is_problem(422), "{wrong}");
    }
    let problem = get("?q=staeg:installed").await.json();
    assert_eq!(problem["fields"][0]["field"], "q");
    assert!(problem["remedy"].as_str().unwrap().contains("stage"), "{problem}");
    server.stop().await.unwrap();
}

pub(super) async fn a_group_is_whoever_its_search_finds_at_the_moment(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    clients(&server, &["pc-1", "lab-1"]).await;
    let post = async |path: &str, body: Value| server.send(Method::POST, path, &body).await.unwrap();
    let made = post("/api/v1/groups", json!({ "name": "pcs", "query": "name:PC-*" })).await.ok().unwrap();
    assert_eq!((&made["members"], &made["query"]), (&json!(1), &json!("name:PC-*")));
    clients_more(&server).await;
    let group = server.get("/api/v1/groups/pcs").await.unwrap().ok().unwrap();
    assert_eq!(group["members"], 2);
    let found = server.get("/api/v1/clients?q=group:pcs").await.unwrap().ok().unwrap();
    assert_eq!(names(&found), ["pc-1", "pc-9"]);
    assert_eq!(found["items"][0]["found_in"], json!(["pcs"]));
    let old = server.get("/api/v1/clients?group=pcs").await.unwrap().ok().unwrap();
    assert_eq!(names(&old), ["pc-1", "pc-9"]);
    // Nobody can be put in by name, and no search leads back to its own group.
    let joined = server.request(Some(Role::Admin), Method::PUT, "/api/v1/groups/pcs/members/lab-1");
    assert!(answer(joined).await.unwrap().is_problem(409));
    post("/api/v1/groups", json!({ "name": "others", "query": "not group:pcs" })).await.ok().unwrap();
    let change = json!({ "query": "name:pc-* group:others" });
    let looped = server.send(Method::PATCH, "/api/v1/groups/pcs", &change).await.unwrap();
    assert!(looped.is_problem(422), "{looped:?}");
    let change = json!({ "query": "name:lab-*", "description": "now labs" });
    let changed = server.send(Method::PATCH, "/api/v1/groups/pcs", &change).await.unwrap().ok().unwrap();
    assert_eq!((&changed["members"], &changed["description"]), (&json!(1), &json!("now labs")));
    server.stop().await.unwrap();
}

async fn clients_more(server: &TestServer) {
    let body = json!({ "name": "pc-9", "macs": ["52:54:00:00:01:09"] });
    server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
}

async fn finished(server: &TestServer, batch: &Value) -> Value {
    for _ in 0..600 {
        let view = server.get(&format!("/api/v1/batches/{batch}")).await.unwrap().ok().unwrap();
        if view["finished_at"].is_i64() {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("batch {batch} is not finished after half a minute");
}

pub(super) async fn an_order_for_many_is_shown_then_carried_out_for_each(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    clients(&server, &["pc-1", "pc-2", "pc-3", "lab-1"]).await;
    server.send(Method::POST, "/api/v1/clients/pc-3/retire", &json!({})).await.unwrap();
    let send = async |body: Value| server.send(Method::POST, "/api/v1/batches", &body).await.unwrap();
    let install = |dry_run: bool, expected: Value| json!({ "order": { "action": "install" }, "where": "name:pc-*", "dry_run": dry_run, "expected": expected });
    let shown = send(install(true, Value::Null)).await;
    assert_eq!(shown.status, 200);
    let shown = shown.json();
    assert_eq!((&shown["batch"], &shown["preview"]["names"]), (&Value::Null, &json!(["pc-1", "pc-2"])));
    assert_eq!(shown["preview"]["skipped"], json!([{ "reason": "retired", "count": 1, "names": ["pc-3"] }]));
    // What destroys is ordered for exactly as many clients as somebody has seen.
    assert!(send(install(false, Value::Null)).await.is_problem(422));
    assert!(send(install(false, json!(3))).await.is_problem(409));
    let ordered = send(install(false, json!(2))).await;
    assert_eq!(ordered.status, 202);
    let view = finished(&server, &ordered.json()["batch"]).await;
    assert_eq!((&view["done"], &view["skipped"], &view["failed"]), (&json!(2), &json!(1), &json!(0)));
    let installing = server.get("/api/v1/clients?q=stage:installing").await.unwrap().ok().unwrap();
    assert_eq!(names(&installing), ["pc-1", "pc-2"]);
    let again = send(install(true, Value::Null)).await.ok().unwrap();
    assert_eq!(again["preview"]["fitting"], 0, "{again}");
    let join = json!({ "order": { "action": "join-group", "group": "room" }, "clients": ["lab-1", "pc-1"] });
    let ordered = send(join).await.ok().unwrap();
    assert_eq!(finished(&server, &ordered["batch"]).await["done"], 2);
    assert_eq!(server.get("/api/v1/groups/room").await.unwrap().ok().unwrap()["members"], 2);
    for wrong in [
        json!({ "order": { "action": "wake" } }),
        json!({ "order": { "action": "package-install", "packages": ["A b"] }, "where": "" }),
        json!({ "order": { "action": "explode" }, "where": "" }),
    ] {
        assert!(send(wrong.clone()).await.is_problem(422), "{wrong}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn the_helpdesk_orders_for_many_only_what_it_may_for_one(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    clients(&server, &["pc-1"]).await;
    for (action, status) in [("install", 403), ("retire", 403), ("wake", 202)] {
        let request = server.request(Some(Role::Helpdesk), Method::POST, "/api/v1/batches");
        let body = json!({ "order": { "action": action }, "where": "pc", "expected": 1 });
        let got = answer(request.json(&body)).await.unwrap();
        assert_eq!(got.status.as_u16(), status, "{action}: {}", got.text);
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_search_is_kept_for_oneself_or_for_everybody(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let send = async |role: Role, method: Method, path: &str, body: Value| {
        answer(server.request(Some(role), method, path).json(&body)).await.unwrap()
    };
    let path = "/api/v1/filters";
    let own = json!({ "name": "silent", "query": "seen>7d", "sort": "-seen", "columns": "name,seen" });
    send(Role::Viewer, Method::POST, path, own).await.ok().unwrap();
    let shared = json!({ "name": "broken", "query": "health:critical", "shared": true });
    let shared = send(Role::Operator, Method::POST, path, shared).await.ok().unwrap();
    let seen = async |role: Role| {
        let list = send(role, Method::GET, path, json!({})).await.ok().unwrap();
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(Role::Viewer).await, ["broken", "silent"]);
    assert_eq!(seen(Role::Operator).await, ["broken"]);
    let theirs = format!("{path}/{}", shared["id"]);
    assert!(send(Role::Viewer, Method::DELETE, &theirs, json!({})).await.is_problem(404));
    assert_eq!(send(Role::Operator, Method::DELETE, &theirs, json!({})).await.status, 204);
    for wrong in [
        json!({ "name": "" }),
        json!({ "name": "x", "query": "(" }),
        json!({ "name": "x", "sort": "colour" }),
    ] {
        assert!(send(Role::Viewer, Method::POST, path, wrong.clone()).await.is_problem(422), "{wrong}");
    }
    server.stop().await.unwrap();
}

/// A browser that is logged in by the link of the first start: what it asks with, and its cookie.
async fn browser(server: &TestServer) -> (reqwest::Client, String) {
    let ca = reqwest::Certificate::from_pem(server.ctx.authority.ca_pem().as_bytes()).unwrap();
    let none = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().tls_certs_only([ca]).redirect(none).build().unwrap();
    let secret = server.first_login.rsplit('#').next().unwrap().to_owned();
    let login = http
        .post(format!("{}/login", server.ctx.addresses.https))
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("link={secret}"));
    let got = answer(login).await.unwrap();
    let cookie = got.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    (http, cookie)
}

pub(super) async fn the_pages_of_a_search_say_what_is_wrong_and_what_would_happen(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    clients(&server, &["pc-1", "pc-2"]).await;
    let (http, cookie) = browser(&server).await;
    let base = &server.ctx.addresses.https;
    let page = async |path: &str, language: &str| {
        let request = http
            .get(format!("{base}{path}"))
            .header("cookie", format!("{cookie}; lotse-language={language}"));
        answer(request).await.unwrap()
    };
    for language in ["en", "de"] {
        for path in [
            "/",
            "/clients",
            "/clients?q=name:pc-*&sort=-seen&column=os&column=memory",
            "/clients?q=nobody",
            "/clients?q=staeg:x",
            "/clients-words?q=sta",
            "/groups",
            "/batches",
        ] {
            let got = page(path, language).await;
            assert_eq!(got.status, 200, "{path}: {}", got.text);
        }
    }
    assert!(page("/clients?q=staeg:x", "de").await.text.contains("Ein Feld „staeg“ gibt es nicht."));
    assert!(page("/clients-words?q=not%20sta", "en").await.text.contains("not stage:"));
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace(':', "%3A").replace(' ', "+")))
            .collect::<Vec<_>>()
            .join("&");
        let request = http
            .post(format!("{base}{path}"))
            .header("cookie", format!("{cookie}; lotse-language=de"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let got = answer(request).await.unwrap();
        match got.headers.get("location") {
            Some(location) => page(location.to_str().unwrap(), "de").await,
            None => got,
        }
    };
    let asked =
        form("/batches/preview", &[("action", "package-install"), ("all", "yes"), ("query", "pc")]).await;
    assert!(asked.status == 200 && asked.text.contains("name=\"words\""), "{asked:?}");
    let install = [("action", "install"), ("all", "yes"), ("query", "pc")];
    let shown = form("/batches/preview", &install).await;
    assert!(shown.text.contains("Für 2 Clients") && shown.text.contains("pc-1, pc-2"), "{}", shown.text);
    let mistyped = form("/batches", &[&install[..], &[("expected", "2"), ("confirmed", "3")]].concat()).await;
    assert!(mistyped.text.contains("Das ist nicht die Zahl."), "{}", mistyped.text);
    let ordered = form("/batches", &[&install[..], &[("expected", "2"), ("confirmed", "2")]].concat()).await;
    assert!(ordered.status.is_success() && ordered.text.contains("Installieren"), "{ordered:?}");
    let group = form("/groups", &[("name", "pcs"), ("query", "nonsense:x"), ("description", "")]).await;
    assert!(group.text.contains("nonsense"), "{}", group.text);
    let group = form("/groups", &[("name", "pcs"), ("query", "name:pc-*"), ("description", "")]).await;
    assert!(group.text.contains("name:pc-*"), "{}", group.text);
    assert_eq!(page("/groups/pcs", "de").await.status, 200);
    let kept = form("/filters", &[("name", "Meine"), ("query", "pc"), ("shared", "yes")]).await;
    assert!(kept.text.contains("Meine"), "{}", kept.text);
    server.stop().await.unwrap();
}
