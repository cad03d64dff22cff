//! Roles for single groups: for every route, what they may do with the clients of their group, with others, and with everything else.

use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    domain::people::Role,
    http::{
        access::{Subject, subject},
        api::ROUTES,
    },
};

const ROLES: [Role; 4] = [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin];

/// What a path names, once where the roles count and once where they do not.
pub(super) struct Names {
    client: String,
    group: &'static str,
    pub(super) job: i64,
    mac: &'static str,
}

impl Names {
    fn concrete(&self, path: &str) -> String {
        let name = if path.starts_with("/api/v1/groups") { self.group } else { &self.client };
        let id = if path.starts_with("/api/v1/jobs") { self.job } else { 999_999 };
        path.replace("{name}", name)
            .replace("{client}", &self.client)
            .replace("{mac}", self.mac)
            .replace("{id}", &id.to_string())
    }
}

pub(super) async fn client(server: &TestServer, name: &str, group: &'static str, mac: &'static str) -> Names {
    let new = json!({ "name": name, "macs": [mac], "groups": [group] });
    server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    let order = json!({ "job_type": "hardware-detection" });
    let path = format!("/api/v1/clients/{name}/jobs");
    let job = server.send(Method::POST, &path, &order).await.unwrap().ok().unwrap();
    Names { client: name.to_owned(), group, job: job.as_i64().unwrap(), mac }
}

/// The token of a login of a new account with one role for one group.
pub(super) async fn login(server: &TestServer, role: Role, group: &str) -> String {
    let rights = json!({ "groups": [{ "group": group, "role": role }] });
    let body = json!({ "name": format!("{}-of-{group}", role.as_str()), "rights": rights });
    let made = server.send(Method::POST, "/api/v1/accounts", &body).await.unwrap().ok().unwrap();
    let link = made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let request = server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
    answer(request).await.unwrap().ok().unwrap()["secret"].as_str().unwrap().to_owned()
}

pub(super) async fn ask(
    server: &TestServer,
    secret: &str,
    method: &Method,
    path: &str,
    body: &Value,
) -> Answer {
    let url = format!("{}{path}", server.ctx.addresses.https);
    let request = server.http.request(method.clone(), url).bearer_auth(secret).json(body);
    if path.ends_with("/stream") {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = if status.is_success() { String::new() } else { response.text().await.unwrap() };
        return Answer { status, headers, text };
    }
    answer(request).await.unwrap()
}

pub(super) async fn a_role_for_a_group_counts_for_its_clients_on_every_route(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for role in ROLES {
        let group: &'static str = match role {
            Role::Viewer => "room-1",
            Role::Helpdesk => "room-2",
            Role::Operator => "room-3",
            Role::Admin => "room-4",
        };
        let mac = |last: usize| {
            ["52:54:00:00:01:01", "52:54:00:00:01:02", "52:54:00:00:01:03", "52:54:00:00:01:04"][last]
        };
        let foreign = |last: usize| {
            ["52:54:00:00:02:01", "52:54:00:00:02:02", "52:54:00:00:02:03", "52:54:00:00:02:04"][last]
        };
        let number = ROLES.iter().position(|known| *known == role).unwrap();
        let inside = client(&server, &format!("in-{}", role.as_str()), group, mac(number)).await;
        let outside = client(&server, &format!("out-{}", role.as_str()), "elsewhere", foreign(number)).await;
        let secret = login(&server, role, group).await;
        // Removing comes last, so that there is something to be asked about until then.
        let (last, first): (Vec<_>, Vec<_>) =
            ROUTES.iter().partition(|(method, _, _)| **method == Method::DELETE);
        for (method, path, needed) in first.into_iter().chain(last) {
            let may = role >= needed;
            let (here, there) = (inside.concrete(path), outside.concrete(path));
            let body = json!({});
            let told = |answer: &Answer| format!("{method} {path} as {role:?} of {group}: {answer:?}");
            match subject(method, path) {
                Subject::Everything => {
                    let got = ask(&server, &secret, method, &here, &body).await;
                    assert!(got.is_problem(403), "{}", told(&got));
                }
                Subject::Own => {
                    let got = ask(&server, &secret, method, &here, &body).await;
                    assert_eq!(got.status == 403, !may, "{}", told(&got));
                    assert!(![401, 500].contains(&got.status.as_u16()), "{}", told(&got));
                }
                Subject::Attempt => {
                    let got = ask(&server, &secret, method, &there, &body).await;
                    assert!(got.is_problem(if may { 404 } else { 403 }), "{}", told(&got));
                }
                Subject::Client | Subject::Job | Subject::Group | Subject::Member | Subject::Machine => {
                    let got = ask(&server, &secret, method, &there, &body).await;
                    assert!(got.is_problem(if may { 404 } else { 403 }), "{}", told(&got));
                    let got = ask(&server, &secret, method, &here, &body).await;
                    assert_eq!(got.status == 403, !may, "{}", told(&got));
                    assert!(![401, 500].contains(&got.status.as_u16()), "{}", told(&got));
                }
            }
        }
    }
    server.stop().await.unwrap();
}

pub(super) async fn lists_leave_out_what_somebody_does_not_see(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let inside = client(&server, "in-01", "room-101", "52:54:00:00:01:01").await;
    let outside = client(&server, "out-01", "room-102", "52:54:00:00:02:01").await;
    let secret = login(&server, Role::Operator, "room-101").await;
    let get = async |path: &str| ask(&server, &secret, &Method::GET, path, &json!({})).await.ok().unwrap();
    let clients = get("/api/v1/clients").await;
    assert_eq!(
        (clients["items"].as_array().unwrap().len(), &clients["items"][0]["name"]),
        (1, &"in-01".into())
    );
    let jobs = get("/api/v1/jobs").await;
    let seen: Vec<_> =
        jobs["items"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(seen, [inside.job]);
    let groups = get("/api/v1/groups").await;
    assert_eq!((groups.as_array().unwrap().len(), &groups[0]["name"]), (1, &"room-101".into()));
    let events = get("/api/v1/events?limit=1000").await.to_string();
    assert!(
        events.contains("in-01") && !events.contains("out-01") && !events.contains("account."),
        "{events}"
    );
    assert!(outside.job != inside.job);
    server.stop().await.unwrap();
}

pub(super) async fn nobody_reaches_further_by_way_of_groups_or_jobs(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    client(&server, "in-01", "room-101", "52:54:00:00:01:01").await;
    let outside = client(&server, "out-01", "room-102", "52:54:00:00:02:01").await;
    let secret = login(&server, Role::Operator, "room-101").await;
    let send =
        async |method: Method, path: &str, body: Value| ask(&server, &secret, &method, path, &body).await;
    // Taking a foreign client into one's own group would give one its rights.
    let taken = send(Method::PUT, "/api/v1/groups/room-101/members/out-01", json!({})).await;
    assert!(taken.is_problem(404), "{taken:?}");
    let put = send(Method::PUT, "/api/v1/groups/room-102/members/in-01", json!({})).await;
    assert!(put.is_problem(404), "{put:?}");
    let made =
        send(Method::PATCH, "/api/v1/clients/in-01", json!({ "groups": ["room-101", "room-103"] })).await;
    assert!(made.is_problem(404), "{made:?}");
    let entered =
        send(Method::PATCH, "/api/v1/clients/in-01", json!({ "groups": ["room-101", "room-102"] })).await;
    assert!(entered.is_problem(404), "{entered:?}");
    let order = json!({ "job_type": "hardware-detection", "needs": [outside.job] });
    let waits = send(Method::POST, "/api/v1/clients/in-01/jobs", order).await;
    assert!(waits.is_problem(404), "{waits:?}");
    let kept = send(Method::PATCH, "/api/v1/clients/in-01", json!({ "groups": ["room-101"] })).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    let work =
        send(Method::POST, "/api/v1/groups/room-101/jobs", json!({ "job_type": "hardware-detection" })).await;
    assert_eq!(work.status, 201, "{work:?}");
    // A group that goes takes its roles along.
    server.send(Method::DELETE, "/api/v1/groups/room-101", &json!({})).await.unwrap().ok().unwrap();
    let gone = send(Method::GET, "/api/v1/clients", json!({})).await;
    assert!(gone.is_problem(403) && gone.text.contains("no role"), "{gone:?}");
    server.stop().await.unwrap();
}
