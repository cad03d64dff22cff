//! Packages of clients: told by agents on bad networks, kept with their history, listed, compared, found. On both databases.

use std::{collections::BTreeMap, path::Path};

use agent::host::Host as _;
use harness::{
    cookies::Browser,
    fleet::{
        dice::Dice,
        luck::Chances,
        program::Script,
        run::{Arrival, Fleet},
    },
    server::{Answer, Engine, TestServer, answer},
    told::{hash, message, package},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::inventory,
    db::{clients, packages},
};
use wire::{
    ClientId,
    packages::{Package, PackageUpdate, PackagesRequest, PackagesResponse},
};

on_both_engines! {
    a_fleet_on_a_bad_network_has_what_its_machines_have,
    whatever_is_lost_or_repeated_the_table_is_what_the_agent_has,
    changes_are_kept_and_compared,
    what_could_be_newer_is_marked_and_found,
    a_client_out_of_sight_is_compared_with_nothing,
    what_does_not_fit_its_hash_or_is_no_package_is_refused,
    a_desktop_of_five_thousand_packages_is_told_once_and_quickly,
    old_changes_are_forgotten,
}

const STATUS: &str = "/var/lib/dpkg/status";

fn status(state: &BTreeMap<String, u64>) -> String {
    let stanza = |(name, version): (&String, &u64)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}.0-1\n\n"
        )
    };
    state.iter().map(stanza).collect()
}

fn throw(dice: &mut Dice) -> BTreeMap<String, u64> {
    let names = ["bash", "htop", "nano", "openssl", "vim", "zsh"];
    let chosen = names.into_iter().filter(|_| dice.hits(600)).map(str::to_owned).collect::<Vec<_>>();
    chosen.into_iter().map(|name| (name, dice.between(1, 4))).collect()
}

async fn a_fleet_on_a_bad_network_has_what_its_machines_have(engine: Engine) {
    let mut fleet = Fleet::start(engine, 7).await.unwrap();
    let mut dice = Dice::new(7, "packages");
    for _ in 0..4 {
        let member = fleet.add(Arrival::Installed, Chances::BAD, BTreeMap::new()).await.unwrap();
        fleet.members[member]
            .host
            .write(Path::new(STATUS), status(&throw(&mut dice)).as_bytes(), 0o644)
            .unwrap();
    }
    for round in 0..4 {
        let mut states = Vec::new();
        for member in 0..fleet.members.len() {
            let state = throw(&mut dice);
            fleet.members[member].host.write(Path::new(STATUS), status(&state).as_bytes(), 0o644).unwrap();
            let script = Script { name: format!("round{round}"), lines: 2, pace_ms: 1, status: 0, busy: 0 };
            fleet.order(member, "fleet-once", &[("text", &script)], json!({})).await.unwrap();
            states.push(state);
        }
        let told = async |fleet: &Fleet| {
            for (member, state) in fleet.members.iter().zip(&states) {
                let mut tx = fleet.server.db.read().await?;
                let known = packages::installed(&mut tx, member.client).await?;
                let wanted: Vec<_> =
                    state.iter().map(|(name, version)| (name.clone(), format!("{version}.0-1"))).collect();
                let known: Vec<_> =
                    known.into_iter().map(|package| (package.key.name, package.key.version)).collect();
                if known != wanted {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        fleet.until("the server knows what is installed", told).await.unwrap();
    }
    // Changes that were noticed after a job name it.
    let mut tx = fleet.server.db.read().await.unwrap();
    let mut named = 0;
    for member in &fleet.members {
        let changes = packages::changes(&mut tx, member.client, i64::MAX, i64::MIN, "", 1000).await.unwrap();
        assert!(changes.iter().all(|change| change.was != change.became), "{changes:?}");
        named += changes.iter().filter(|change| change.job.is_some()).count();
    }
    drop(tx);
    assert!(named > 0);
    fleet.finish().await.unwrap();
}

async fn client(server: &TestServer, name: &str) -> ClientId {
    let mac = format!("52:54:00:aa:00:{:02x}", name.bytes().fold(0_u8, u8::wrapping_add));
    let new = json!({ "name": name, "macs": [mac] });
    server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    let mut tx = server.ctx.db.read().await.unwrap();
    clients::find_by_name(&mut tx, name).await.unwrap().unwrap().id
}

async fn tell(server: &TestServer, client: ClientId, request: &PackagesRequest) -> PackagesResponse {
    inventory::receive(&server.ctx, client, request).await.unwrap()
}

async fn known(server: &TestServer, client: ClientId) -> Vec<Package> {
    let mut tx = server.ctx.db.read().await.unwrap();
    packages::installed(&mut tx, client).await.unwrap()
}

fn random(dice: &mut Dice) -> Vec<Package> {
    let mut packages = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        for version in ["1.0-1", "2.0-1"] {
            if dice.hits(350) {
                let update = PackageUpdate { version: "9".to_owned(), security: dice.hits(500) };
                packages.push(Package {
                    automatic: dice.hits(500),
                    held: dice.hits(200),
                    update: dice.hits(300).then_some(update),
                    ..package(name, version)
                });
            }
        }
    }
    packages
}

async fn whatever_is_lost_or_repeated_the_table_is_what_the_agent_has(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let pc = client(&server, "pc").await;
    for seed in 0..6 {
        let mut dice = Dice::new(seed, "messages");
        // What the agent believes that the server knows: what the last answer that came has acknowledged.
        let mut acknowledged: Option<Vec<Package>> = None;
        let mut last: Option<PackagesRequest> = None;
        for _ in 0..12 {
            let now = random(&mut dice);
            let mut request = message(acknowledged.as_deref(), &now);
            if let Some(stale) = last.as_ref().filter(|_| dice.hits(200)) {
                // A message from before that was held up on the way must not win.
                let answer = tell(&server, pc, stale).await;
                assert!(matches!(answer, PackagesResponse::Kept | PackagesResponse::SendWhole));
            }
            if dice.hits(150) {
                // Lost on the way there.
                continue;
            }
            let answer = if dice.hits(200) {
                let both = tokio::join!(tell(&server, pc, &request), tell(&server, pc, &request));
                if both.0 == PackagesResponse::Kept { both.0 } else { both.1 }
            } else {
                tell(&server, pc, &request).await
            };
            if dice.hits(150) {
                // Lost on the way back; the agent knows of nothing.
                last = Some(request);
                continue;
            }
            if answer == PackagesResponse::SendWhole {
                request = message(None, &now);
                assert_eq!(tell(&server, pc, &request).await, PackagesResponse::Kept);
            }
            assert_eq!(known(&server, pc).await, now);
            acknowledged = Some(now);
            last = Some(request);
        }
    }
    server.stop().await.unwrap();
}

async fn get(server: &TestServer, path: &str) -> Value {
    server.get(path).await.unwrap().ok().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// A system that lacks updates, one of which is held back.
fn outdated() -> [Package; 3] {
    let update = |security| Some(PackageUpdate { version: "3.0.15-1".to_owned(), security });
    [
        Package { update: update(true), ..package("openssl", "3.0.9-1") },
        Package { held: true, automatic: true, update: update(false), ..package("vim", "2:9.0-1") },
        package("zsh", "5.9-4"),
    ]
}

async fn changes_are_kept_and_compared(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let (one, other) = (client(&server, "pc-1").await, client(&server, "pc-2").await);
    let empty = get(&server, "/api/v1/clients/pc-1/packages").await;
    assert_eq!(empty, json!({ "inventory": null, "packages": [] }));
    let answer = server.get("/api/v1/clients/pc-1/packages/comparison?with=pc-2").await.unwrap();
    assert!(answer.is_problem(409), "{answer:?}");

    let first = outdated();
    let mut request = message(None, &first);
    request.condition.services = vec!["ssh.service".to_owned()];
    assert_eq!(tell(&server, one, &request).await, PackagesResponse::Kept);
    let before = server.ctx.now();
    tell(&server, other, &message(None, &[package("openssl", "3.0.15-1"), package("zsh", "5.9-4")])).await;
    let second = [package("htop", "3.2-1"), package("openssl", "3.0.15-1"), package("zsh", "5.9-4")];
    let mut request = message(Some(&first), &second);
    request.condition.updates_unknown = "apt-get ended with status 100".to_owned();
    assert_eq!(tell(&server, one, &request).await, PackagesResponse::Kept);

    let shown = get(&server, "/api/v1/clients/pc-1/packages").await;
    assert_eq!(shown["inventory"]["packages"], 3);
    assert_eq!(shown["inventory"]["updates"], Value::Null, "nobody knows");
    let history = get(&server, "/api/v1/clients/pc-1/packages/history").await;
    let lines: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            format!(
                "{} {}>{}",
                line["name"].as_str().unwrap(),
                line["was"].as_str().unwrap(),
                line["became"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(lines, ["vim 2:9.0-1>", "openssl 3.0.9-1>3.0.15-1", "htop >3.2-1"]);
    let part = get(&server, "/api/v1/clients/pc-1/packages/history?package=SSL&limit=1").await;
    assert_eq!(names(&part["items"]), ["openssl"]);
    let page = get(&server, "/api/v1/clients/pc-1/packages/history?limit=2").await;
    let next = page["next"].as_str().unwrap();
    let rest = get(&server, &format!("/api/v1/clients/pc-1/packages/history?limit=2&before={next}")).await;
    assert_eq!((names(&rest["items"]), &rest["next"]), (vec!["htop"], &Value::Null));

    let compared = get(&server, "/api/v1/clients/pc-1/packages/comparison?with=pc-2").await;
    assert_eq!((&compared["alike"], names(&compared["differences"])), (&json!(2), vec!["htop"]));
    let compared = get(&server, &format!("/api/v1/clients/pc-1/packages/comparison?at={before}")).await;
    let kinds: Vec<_> =
        compared["differences"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(
        (names(&compared["differences"]), kinds),
        (vec!["htop", "openssl", "vim"], vec!["left", "older", "right"])
    );
    for (wrong, status) in [("", 422), ("?with=pc-2&at=1", 422), ("?at=1", 422), ("?with=nobody", 404)] {
        let answer = server.get(&format!("/api/v1/clients/pc-1/packages/comparison{wrong}")).await.unwrap();
        assert!(answer.is_problem(status), "{wrong}: {answer:?}");
    }
    let csv = server.get("/api/v1/clients/pc-1/packages/comparison?with=pc-2&format=csv").await.unwrap().text;
    assert_eq!(csv, "package,architecture,pc-1,pc-2,difference\r\nhtop,amd64,3.2-1,,left\r\n");

    server.stop().await.unwrap();
}

async fn what_could_be_newer_is_marked_and_found(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let (one, other) = (client(&server, "pc-1").await, client(&server, "pc-2").await);
    let mut request = message(None, &outdated());
    request.condition.reboot_why = "linux-image-amd64".to_owned();
    tell(&server, one, &request).await;
    tell(&server, other, &message(None, &[package("openssl", "3.0.15-1"), package("zsh", "5.9-4")])).await;
    for (only, wanted) in [
        ("all", vec!["openssl", "vim", "zsh"]),
        ("updates", vec!["openssl", "vim"]),
        ("security", vec!["openssl"]),
        ("held", vec!["vim"]),
        ("manual", vec!["openssl", "zsh"]),
        ("automatic", vec!["vim"]),
    ] {
        let shown = get(&server, &format!("/api/v1/clients/pc-1/packages?only={only}")).await;
        assert_eq!(names(&shown["packages"]), wanted, "{only}");
    }
    let csv = server.get("/api/v1/clients/pc-1/packages?name=vi&format=csv").await.unwrap().text;
    assert!(csv.ends_with("\r\nvim,amd64,2:9.0-1,2048,automatic,held,3.0.15-1,\r\n"), "{csv}");
    for (query, wanted) in [
        ("package:openssl<3.0.15", vec!["pc-1"]),
        ("package:openssl>=3.0.15", vec!["pc-2"]),
        ("updates>1", vec!["pc-1"]),
        ("updates=0", vec!["pc-2"]),
        ("security-updates:yes", vec!["pc-1"]),
        ("reboot-needed:yes", vec!["pc-1"]),
        ("not reboot-needed:yes", vec!["pc-2"]),
    ] {
        let query = query.replace('>', "%3E").replace('<', "%3C").replace('=', "%3D").replace(' ', "%20");
        let found = get(&server, &format!("/api/v1/clients?q={query}")).await;
        assert_eq!(names(&found["items"]), wanted, "{query}");
    }
    let report = get(&server, "/api/v1/reports/reboots").await;
    assert_eq!(report["rows"][0][1], "linux-image-amd64");
    let report = get(&server, "/api/v1/reports/packages").await;
    assert_eq!(report["rows"][3], json!(["zsh", "amd64", "5.9-4", 2]));
    server.stop().await.unwrap();
}

async fn a_client_out_of_sight_is_compared_with_nothing(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for name in ["near", "far"] {
        let id = client(&server, name).await;
        tell(&server, id, &message(None, &[package("vim", name)])).await;
    }
    let group = json!({ "name": "room", "members": ["near"] });
    server.send(Method::POST, "/api/v1/groups", &json!({ "name": "room" })).await.unwrap().ok().unwrap();
    server.send(Method::PUT, "/api/v1/groups/room/members/near", &group).await.unwrap().ok().unwrap();
    let new = json!({ "name": "ann", "rights": { "groups": [{ "group": "room", "role": "viewer" }] } });
    let made = server.send(Method::POST, "/api/v1/accounts", &new).await.unwrap().ok().unwrap();
    let link = made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let login = server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
    let token = answer(login).await.unwrap().ok().unwrap()["secret"].as_str().unwrap().to_owned();
    let ask = async |path: &str| -> Answer {
        answer(server.request(None, Method::GET, path).bearer_auth(&token)).await.unwrap()
    };
    assert!(ask("/api/v1/clients/near/packages").await.status.is_success());
    assert!(ask("/api/v1/clients/far/packages").await.is_problem(404));
    assert!(ask("/api/v1/clients/near/packages/comparison?with=far").await.is_problem(404));
    assert!(ask("/api/v1/clients/far/packages/comparison?with=near").await.is_problem(404));
    server.stop().await.unwrap();
}

async fn what_does_not_fit_its_hash_or_is_no_package_is_refused(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let pc = client(&server, "pc").await;
    let good = [package("vim", "1")];
    let mut lying = message(None, &good);
    lying.sha256 = hash(&[]);
    assert!(inventory::receive(&server.ctx, pc, &lying).await.is_err());
    assert!(inventory::receive(&server.ctx, pc, &message(None, &[package("a\tb", "1")])).await.is_err());
    assert!(
        inventory::receive(&server.ctx, pc, &message(None, &[package("a", &"9".repeat(300))])).await.is_err()
    );
    let mut long = message(None, &good);
    long.condition.services = vec!["x".to_owned(); 101];
    assert!(inventory::receive(&server.ctx, pc, &long).await.is_err());
    assert_eq!(known(&server, pc).await, Vec::new());
    // A difference to nothing, or to something else, changes nothing.
    assert_eq!(tell(&server, pc, &message(Some(&good), &[])).await, PackagesResponse::SendWhole);
    tell(&server, pc, &message(None, &good)).await;
    let other = [package("vim", "2")];
    assert_eq!(tell(&server, pc, &message(Some(&other), &[])).await, PackagesResponse::SendWhole);
    let mut wrong = message(Some(&good), &other);
    wrong.sha256 = hash(&[]);
    assert_eq!(tell(&server, pc, &wrong).await, PackagesResponse::SendWhole);
    assert_eq!(known(&server, pc).await, good);
    server.stop().await.unwrap();
}

async fn a_desktop_of_five_thousand_packages_is_told_once_and_quickly(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let (first, second) = (client(&server, "first").await, client(&server, "second").await);
    let all: Vec<Package> =
        (0..5000).map(|number| package(&format!("package-{number:04}"), "1:2.34.5-6+deb12u1")).collect();
    let whole = message(None, &all);
    let size = serde_json::to_vec(&whole).unwrap().len();
    assert!(size < 600_000, "{size} bytes");
    assert_eq!(tell(&server, first, &whole).await, PackagesResponse::Kept);
    let begun = std::time::Instant::now();
    assert_eq!(tell(&server, second, &whole).await, PackagesResponse::Kept);
    let took = begun.elapsed();
    assert!(took.as_secs() < 20, "{took:?}");
    assert_eq!(known(&server, second).await, all);
    let same = message(Some(&all), &all);
    assert!(serde_json::to_vec(&same).unwrap().len() < 400);
    assert_eq!(tell(&server, second, &same).await, PackagesResponse::Kept);
    server.stop().await.unwrap();
}

async fn old_changes_are_forgotten(engine: Engine) {
    let clock = server::clock::Clock::fixed(server::clock::Clock::system().now());
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    let pc = client(&server, "pc").await;
    let states = [[package("vim", "1")], [package("vim", "2")], [package("vim", "3")]];
    tell(&server, pc, &message(None, &states[0])).await;
    tell(&server, pc, &message(Some(&states[0]), &states[1])).await;
    clock.advance(300 * 86_400);
    tell(&server, pc, &message(Some(&states[1]), &states[2])).await;
    clock.advance(100 * 86_400);
    inventory::prune(&server.ctx).await.unwrap();
    let history = get(&server, "/api/v1/clients/pc/packages/history").await;
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
    let long_ago = server.ctx.now() - 390 * 86_400 * 1_000_000;
    let answer = server.get(&format!("/api/v1/clients/pc/packages/comparison?at={long_ago}")).await.unwrap();
    assert!(answer.is_problem(422), "of what is forgotten nothing is claimed: {answer:?}");
    let lately = server.ctx.now() - 200 * 86_400 * 1_000_000;
    let then = get(&server, &format!("/api/v1/clients/pc/packages/comparison?at={lately}")).await;
    assert_eq!(then["differences"][0]["right"], "2");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_packages_read_in_both_languages() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let pc = client(&server, "pc").await;
    let update = Some(PackageUpdate { version: "2".to_owned(), security: true });
    let states = [[Package { update, ..package("openssl", "1") }], [package("openssl", "2")]];
    tell(&server, pc, &message(None, &states[0])).await;
    tell(&server, pc, &message(Some(&states[0]), &states[1])).await;
    tell(&server, pc, &message(Some(&states[1]), &states[0])).await;
    let mut browser = Browser::new(&server).unwrap();
    let link = server.first_login.rsplit('#').next().unwrap().to_owned();
    browser.login(&[("link", &link)]).await.unwrap();
    for (language, words) in
        [("de", ["Sicherheit", "Verlauf", "Paket"]), ("en", ["security", "History", "Package"])]
    {
        let page = async |path: &str| {
            let request = browser.request(Method::GET, path).header("accept-language", language);
            answer(request).await.unwrap().text
        };
        let text = page("/clients/pc/packages").await;
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(page("/clients/pc/comparison?with=nobody").await.contains("role=\"alert\""));
        assert!(page("/clients/pc/comparison").await.contains("type=\"date\""));
    }
    server.stop().await.unwrap();
}
