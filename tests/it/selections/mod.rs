//! Selections of packages: given to groups once, compared with what clients have, applied; and package jobs that are carried out
//! together. On both databases.

mod joining;
mod pages;

use harness::{
    server::{Engine, TestServer},
    told::{message, package},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::{agents, inventory, selections},
    db::clients,
    domain::client::{ClientConfig, Stage},
};
use wire::{
    AttemptId, ClientId,
    enrol::Realm,
    event::{Event, EventKind, Outcome, ReportRequest},
    packages::{Package, PackageUpdate},
    plan::Plan,
    poll::{Order, PollRequest},
};

use self::joining::{
    a_lost_attempt_is_nobodys_own, cancelling_one_leaves_the_others,
    one_broken_package_fails_its_own_job_only, what_differs_or_stands_between_is_not_joined,
    what_waits_is_carried_out_together, whatever_happens_every_job_ends_once,
};

on_both_engines! {
    a_member_is_given_a_selection_once,
    who_leaves_is_not_given_what_nobody_has_begun,
    members_that_are_found_are_followed,
    an_installation_ends_with_the_selections,
    drift_is_shown_and_found,
    a_selection_is_a_file_and_has_revisions,
    what_waits_is_carried_out_together,
    one_broken_package_fails_its_own_job_only,
    a_lost_attempt_is_nobodys_own,
    what_differs_or_stands_between_is_not_joined,
    cancelling_one_leaves_the_others,
    whatever_happens_every_job_ends_once,
}

async fn ok(server: &TestServer, method: Method, path: &str, body: &Value) -> Value {
    let answer = server.send(method, &format!("/api/v1/{path}"), body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.json()
}

async fn get(server: &TestServer, path: &str) -> Value {
    server.get(&format!("/api/v1/{path}")).await.unwrap().ok().unwrap()
}

async fn site(engine: Engine) -> TestServer {
    TestServer::start_with(engine, server::clock::Clock::fixed(1_774_699_200_000_000)).await.unwrap()
}

async fn client(server: &TestServer, name: &str, stage: Stage) -> ClientId {
    let mut tx = server.ctx.db.write().await.unwrap();
    let id =
        clients::create(&mut tx, name, stage, &ClientConfig::default(), &[], server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// What an agent gets when it asks for work.
async fn poll(
    server: &TestServer,
    client: ClientId,
    working: Option<AttemptId>,
) -> Option<(AttemptId, Plan)> {
    let request = PollRequest {
        boot_id: "boot".to_owned(),
        realm: Realm::System,
        agent_version: "0.1.0".to_owned(),
        working,
        wait_s: 0,
    };
    server.ctx.presence.work_waits_for(client);
    match agents::poll(&server.ctx, client, &request).await.unwrap().order {
        Order::Run(lease) => Some((lease.attempt, serde_json::from_str(&lease.plan.text).unwrap())),
        _ => None,
    }
}

async fn ends(server: &TestServer, client: ClientId, attempt: AttemptId, outcome: Outcome) {
    let event = Event { seq: 1, at: server.ctx.now(), kind: EventKind::Finished { outcome } };
    let request = ReportRequest { boot_id: "boot".to_owned(), events: vec![event] };
    agents::report(&server.ctx, client, attempt, &request).await.unwrap();
}

async fn jobs_of(server: &TestServer, name: &str) -> Vec<Value> {
    let mut jobs = get(server, &format!("jobs?client={name}")).await["items"].as_array().unwrap().clone();
    jobs.reverse();
    jobs
}

async fn tells(server: &TestServer, client: ClientId, packages: &[Package]) {
    let mut packages = packages.to_vec();
    packages.sort_by(|a, b| a.key.cmp(&b.key));
    inventory::receive(&server.ctx, client, &message(None, &packages)).await.unwrap();
}

async fn group(server: &TestServer, name: &str, query: Option<&str>) {
    ok(server, Method::POST, "groups", &json!({ "name": name, "query": query })).await;
}

async fn office(server: &TestServer) {
    let contents = json!({ "install": ["libreoffice", "vim=2"], "remove": ["games"] });
    ok(server, Method::PUT, "selections/office", &json!({ "contents": contents })).await;
}

async fn a_member_is_given_a_selection_once(engine: Engine) {
    let server = site(engine).await;
    office(&server).await;
    group(&server, "room", None).await;
    for name in ["pc-1", "pc-2"] {
        client(&server, name, Stage::Installed).await;
    }
    let none = &json!({});
    ok(&server, Method::PUT, "groups/room/members/pc-1", none).await;
    assert!(jobs_of(&server, "pc-1").await.is_empty());
    ok(&server, Method::PUT, "selections/office/groups/room", none).await;
    let given = jobs_of(&server, "pc-1").await;
    assert_eq!(given.len(), 1, "{given:?}");
    assert_eq!(given[0]["job_type"], "package-selection");
    let params = &given[0]["params"];
    assert_eq!((&params["revision"], &params["packages"]), (&json!(1), &json!(["libreoffice", "vim=2"])));
    assert_eq!(params["remove"], json!(["games"]));

    // Who joins later gets it; nobody gets it twice, however often somebody looks.
    ok(&server, Method::PUT, "groups/room/members/pc-2", none).await;
    for _ in 0..3 {
        ok(&server, Method::PUT, "groups/room/members/pc-2", none).await;
        selections::follow(&server.ctx).await.unwrap();
    }
    assert_eq!((jobs_of(&server, "pc-1").await.len(), jobs_of(&server, "pc-2").await.len()), (1, 1));
    // Two servers that look at once give it once.
    client(&server, "pc-3", Stage::Installed).await;
    let mut tx = server.ctx.db.write().await.unwrap();
    let room = server::db::groups::find(&mut tx, "room").await.unwrap().unwrap();
    let pc = clients::find_by_name(&mut tx, "pc-3").await.unwrap().unwrap().id;
    server::db::groups::add_member(&mut tx, room, pc).await.unwrap();
    tx.commit().await.unwrap();
    let both = tokio::join!(selections::follow(&server.ctx), selections::follow(&server.ctx));
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(jobs_of(&server, "pc-3").await.len(), 1);

    // Leaving removes nothing, and is no longer asked about.
    ok(&server, Method::DELETE, "groups/room/members/pc-2", none).await;
    assert_eq!(jobs_of(&server, "pc-2").await.len(), 1, "nothing is queued that removes");
    assert_eq!(get(&server, "clients/pc-2/selections").await, json!([]));
    assert_eq!(get(&server, "selections/office").await["counts"]["clients"], 2);
    // A revision changes nobody by itself.
    let next = json!({ "contents": { "install": ["libreoffice"] }, "expected": 1 });
    assert_eq!(ok(&server, Method::PUT, "selections/office", &next).await["revision"], 2);
    selections::follow(&server.ctx).await.unwrap();
    assert_eq!(jobs_of(&server, "pc-1").await.len(), 1);
    let stale = server.send(Method::PUT, "/api/v1/selections/office", &next).await.unwrap();
    assert!(stale.is_problem(409), "{stale:?}");
    ok(&server, Method::DELETE, "selections/office", none).await;
    server.stop().await.unwrap();
}

async fn who_leaves_is_not_given_what_nobody_has_begun(engine: Engine) {
    let server = site(engine).await;
    office(&server).await;
    let none = &json!({});
    for room in ["room", "house"] {
        group(&server, room, None).await;
        ok(&server, Method::PUT, &format!("selections/office/groups/{room}"), none).await;
    }
    let works = client(&server, "works", Stage::Installed).await;
    for name in ["leaves", "in-two", "stays"] {
        client(&server, name, Stage::Installed).await;
    }
    for name in ["works", "leaves", "in-two", "stays"] {
        ok(&server, Method::PUT, &format!("groups/room/members/{name}"), none).await;
    }
    ok(&server, Method::PUT, "groups/house/members/in-two", none).await;
    let (attempt, _) = poll(&server, works, None).await.unwrap();
    // One whose agent is at it ends it; one whom another group gives it keeps it; one who only leaves is given nothing.
    for name in ["works", "leaves", "in-two"] {
        ok(&server, Method::DELETE, &format!("groups/room/members/{name}"), none).await;
    }
    let job = async |name: &str| jobs_of(&server, name).await.last().unwrap().clone();
    let left = job("leaves").await;
    assert_eq!(
        (&left["state"], &left["reason"]),
        (&json!("cancelled"), &json!("no group of the client gives it the selection office any more"))
    );
    assert_eq!(
        (&job("works").await["state"], &job("in-two").await["state"]),
        (&json!("running"), &json!("queued"))
    );
    ends(&server, works, attempt, Outcome::Succeeded).await;
    assert_eq!(job("works").await["state"], "succeeded");
    // Who comes again gets it again.
    ok(&server, Method::PUT, "groups/room/members/leaves", none).await;
    assert_eq!(
        (jobs_of(&server, "leaves").await.len(), &job("leaves").await["state"]),
        (2, &json!("queued"))
    );
    // The selection goes from the group, then altogether.
    ok(&server, Method::DELETE, "selections/office/groups/room", none).await;
    assert_eq!(
        (&job("stays").await["state"], &job("in-two").await["state"]),
        (&json!("cancelled"), &json!("queued"))
    );
    ok(&server, Method::DELETE, "selections/office", none).await;
    assert_eq!(job("in-two").await["reason"], "the selection office was deleted");
    server.stop().await.unwrap();
}

async fn members_that_are_found_are_followed(engine: Engine) {
    let server = site(engine).await;
    office(&server).await;
    group(&server, "labs", Some("name:lab-*")).await;
    ok(&server, Method::PUT, "selections/office/groups/labs", &json!({})).await;
    client(&server, "lab-1", Stage::Installed).await;
    client(&server, "lab-2", Stage::Discovered).await;
    client(&server, "pc-1", Stage::Installed).await;
    selections::follow(&server.ctx).await.unwrap();
    assert_eq!(jobs_of(&server, "lab-1").await.len(), 1);
    assert!(jobs_of(&server, "lab-2").await.is_empty(), "it has no system yet");
    assert!(jobs_of(&server, "pc-1").await.is_empty());
    assert_eq!(get(&server, "selections/office").await["counts"]["clients"], 2);
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = clients::find_by_name(&mut tx, "lab-2").await.unwrap().unwrap().id;
    clients::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    tx.commit().await.unwrap();
    selections::follow(&server.ctx).await.unwrap();
    assert_eq!(jobs_of(&server, "lab-2").await.len(), 1);
    server.stop().await.unwrap();
}

async fn an_installation_ends_with_the_selections(engine: Engine) {
    let server = site(engine).await;
    office(&server).await;
    let first = json!({ "contents": { "install": ["firefox-esr"], "order": -5 } });
    ok(&server, Method::PUT, "selections/web", &first).await;
    group(&server, "room", None).await;
    client(&server, "pc-1", Stage::Registered).await;
    let none = &json!({});
    for name in ["office", "web"] {
        ok(&server, Method::PUT, &format!("selections/{name}/groups/room"), none).await;
    }
    ok(&server, Method::PUT, "groups/room/members/pc-1", none).await;
    assert!(jobs_of(&server, "pc-1").await.is_empty());
    ok(&server, Method::POST, "clients/pc-1/install", none).await;
    let jobs = jobs_of(&server, "pc-1").await;
    let last: Vec<_> = jobs[jobs.len() - 2..].iter().map(|job| job["params"]["selection"].clone()).collect();
    assert_eq!(last, [json!("web"), json!("office")], "in their order");
    let reboot = jobs.iter().find(|job| job["job_type"] == "reboot").unwrap();
    assert_eq!(jobs[jobs.len() - 1]["needs"], json!([reboot["id"]]));
    selections::follow(&server.ctx).await.unwrap();
    assert_eq!(jobs_of(&server, "pc-1").await.len(), jobs.len(), "it has them");
    server.stop().await.unwrap();
}

async fn drift_is_shown_and_found(engine: Engine) {
    let server = site(engine).await;
    let contents = json!({ "install": ["mc", "vim=2", "htop"], "remove": ["games"] });
    ok(&server, Method::PUT, "selections/office", &json!({ "contents": contents })).await;
    group(&server, "room", None).await;
    let none = &json!({});
    let held = Package {
        held: true,
        update: Some(PackageUpdate { version: "3".to_owned(), security: false }),
        ..package("htop", "1")
    };
    let states: [(&str, Option<Vec<Package>>); 5] = [
        ("as-it-is-to-be", Some(vec![package("mc", "1"), package("vim", "2"), package("htop", "3")])),
        ("lacks", Some(vec![package("vim", "1"), package("htop", "3")])),
        (
            "too-much",
            Some(vec![package("mc", "1"), package("vim", "2"), package("htop", "3"), package("games", "7")]),
        ),
        ("held", Some(vec![package("mc", "1"), package("vim", "2"), held])),
        ("silent", None),
    ];
    for (name, packages) in &states {
        let id = client(&server, name, Stage::Installed).await;
        ok(&server, Method::PUT, &format!("groups/room/members/{name}"), none).await;
        if let Some(packages) = packages {
            tells(&server, id, packages).await;
        }
    }
    ok(&server, Method::PUT, "selections/office/groups/room", none).await;
    let counts = get(&server, "selections/office").await["counts"].clone();
    assert_eq!(counts, json!({ "clients": 5, "known": 4, "drifting": 3 }));
    let drift = get(&server, "selections/office/drift").await;
    let told: Vec<String> = drift
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| {
            let kinds = one["drift"].as_array().unwrap().iter();
            kinds.map(|it| format!("{} {} {}", one["client"], it["kind"], it["package"]).replace('"', ""))
        })
        .collect();
    let expected =
        ["held held-back htop", "lacks missing mc", "lacks other-version vim=2", "too-much unwanted games"];
    assert_eq!(told, expected);
    for (search, wanted) in [
        ("drift:yes", "held lacks too-much"),
        ("drift:no", "as-it-is-to-be"),
        ("selection:office", "as-it-is-to-be held lacks silent too-much"),
        ("selection:off* drift:yes not name:held", "lacks too-much"),
        ("selection:other", ""),
    ] {
        let query = search.replace(' ', "%20");
        let found = get(&server, &format!("clients?q={query}")).await;
        let names: Vec<&str> =
            found["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), wanted, "{search}");
    }
    // One is brought there on request, whether it has it or not.
    let job = ok(&server, Method::POST, "clients/lacks/selections/office", none).await;
    assert_eq!(get(&server, &format!("jobs/{job}")).await["params"]["selection"], "office");
    client(&server, "stranger", Stage::Installed).await;
    let standing = get(&server, "clients/stranger/selections/office").await;
    assert_eq!(standing["known"], false);
    server.stop().await.unwrap();
}

async fn a_selection_is_a_file_and_has_revisions(engine: Engine) {
    let server = site(engine).await;
    let yaml = "name: office\ndescription: Büro\norder: 3\ninstall: [libreoffice]\nremove: [games]\nanswers:\n  - postfix postfix/mailname string a.example\n";
    let made = ok(&server, Method::POST, "selection-imports", &json!({ "yaml": yaml })).await;
    assert_eq!((&made["revision"], &made["contents"]["order"]), (&json!(1), &json!(3)));
    let text = server.get("/api/v1/selections/office/file").await.unwrap();
    let again = ok(&server, Method::POST, "selection-imports", &json!({ "yaml": text.text })).await;
    assert_eq!(again["revision"], 1, "the same is no change");
    for (wrong, part) in [
        ("name: [", "no selection"),
        ("name: office\n", "cannot be kept"),
        ("name: Office!\ninstall: [vim]\n", "cannot be a selection's name"),
        ("name: office\ninstall: [vim]\ncolour: red\n", "no selection"),
    ] {
        let answer =
            server.send(Method::POST, "/api/v1/selection-imports", &json!({ "yaml": wrong })).await.unwrap();
        assert!(answer.is_problem(422), "{answer:?}");
        assert!(answer.json()["title"].as_str().unwrap().contains(part), "{answer:?}");
    }
    let next = json!({ "contents": { "install": ["vim"] }, "expected": 1 });
    ok(&server, Method::PUT, "selections/office", &next).await;
    let revisions = get(&server, "selections/office/revisions").await;
    let installs: Vec<_> =
        revisions.as_array().unwrap().iter().map(|one| one["contents"]["install"].clone()).collect();
    assert_eq!(installs, [json!(["vim"]), json!(["libreoffice"])]);
    // An older revision can be applied.
    client(&server, "pc-1", Stage::Installed).await;
    let order =
        json!({ "job_type": "package-selection", "params": { "selection": "office", "revision": 1 } });
    let job = ok(&server, Method::POST, "clients/pc-1/jobs", &order).await;
    let id = job["id"].as_i64().or(job.as_i64()).unwrap();
    assert_eq!(get(&server, &format!("jobs/{id}")).await["params"]["packages"], json!(["libreoffice"]));
    let order = json!({ "job_type": "package-selection", "params": { "selection": "nothing" } });
    let answer = server.send(Method::POST, "/api/v1/clients/pc-1/jobs", &order).await.unwrap();
    assert!(answer.is_problem(404), "{answer:?}");
    server.stop().await.unwrap();
}
