//! Searching clients: what the database finds is what a naive reading of the same expression finds, on both databases.

mod plans;
mod reference;

use harness::postgres;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};
use server::{
    db::{
        Db, Location, clients, groups, jobs, packages,
        search::{self, Around, Key, Part, SortBy},
    },
    domain::{
        client::{ClientConfig, Stage},
        inventory::Inventory,
        job::{JobEvent, NewJob},
        reach::Sees,
        search::{Expr, parse},
    },
    queue,
};
use wire::{
    ClientId, Mac,
    enrol::Realm,
    packages::{Condition, Package, PackageFamily, PackageKey, PackageUpdate},
};

use reference::Subject;

const NOW: i64 = 1_800_000_000_000_000;
const DAY: i64 = 24 * 3600 * 1_000_000;
/// Clients of the test.
const CLIENTS: usize = 60;
/// Expressions that are tried.
const EXPRESSIONS: usize = 400;

#[tokio::test]
async fn sqlite_finds_what_a_naive_reading_finds() {
    let directory = tempfile::tempdir().unwrap();
    exercise(&Location::Sqlite(directory.path().join("lotse.sqlite"))).await;
}

#[tokio::test]
async fn postgresql_finds_what_a_naive_reading_finds() {
    exercise(&postgres::database().await.unwrap()).await;
}

async fn exercise(location: &Location) {
    let db = Db::open(location, NOW).await.unwrap();
    // The same clients and expressions each time; the seed is part of what a failure says.
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &[7; 32]),
    );
    let mut subjects = Vec::new();
    for number in 0..CLIENTS {
        let subject = subject(number).new_tree(&mut runner).unwrap().current();
        subjects.push(stored(&db, subject).await);
    }
    let dynamic = [
        ("found-a".to_owned(), parse("stage:installed or group:room-1").unwrap()),
        ("found-b".to_owned(), parse("not group:found-a").unwrap()),
    ];
    let around = Around { now: NOW, groups: &dynamic, sees: &Sees::Everything };
    let mut told = 0;
    for _ in 0..EXPRESSIONS {
        let text = expression().new_tree(&mut runner).unwrap().current();
        let expr = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut tx = db.read().await.unwrap();
        let mut found = search::all(&mut tx, &expr, around).await.unwrap();
        found.sort_unstable();
        let mut expected: Vec<ClientId> = subjects
            .iter()
            .filter(|(_, subject)| reference::matches(&expr, subject, NOW, &dynamic))
            .map(|(id, _)| *id)
            .collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
        assert_eq!(
            search::count(&mut tx, &expr, around).await.unwrap(),
            i64::try_from(expected.len()).unwrap()
        );
        told += usize::from(!expected.is_empty() && expected.len() < CLIENTS);
    }
    assert!(told > EXPRESSIONS / 4, "only {told} expressions told clients apart");
    parts_join(&db, around).await;
}

/// Page by page, forwards and backwards, in every order, nothing is left out and nothing comes twice.
async fn parts_join(db: &Db, around: Around<'_>) {
    let everything = Expr::All(Vec::new());
    let mut tx = db.read().await.unwrap();
    for by in SortBy::ALL {
        for descending in [false, true] {
            let whole = Part { by, descending, from: None, backwards: false, limit: 1000 };
            let whole = search::part(&mut tx, &everything, around, &whole).await.unwrap();
            assert_eq!(whole.len(), CLIENTS);
            for pair in whole.windows(2) {
                let (one, other) = (&pair[0].1, &pair[1].1);
                if let (Key::Int(a), Key::Int(b)) = (&one.key, &other.key) {
                    let rising = (a, &one.name) < (b, &other.name);
                    assert_eq!(rising, !descending, "{by:?} {one:?} {other:?}");
                }
            }
            let (mut joined, mut from) = (Vec::new(), None);
            loop {
                let part = Part { by, descending, from: from.clone(), backwards: false, limit: 7 };
                let part = search::part(&mut tx, &everything, around, &part).await.unwrap();
                let Some((_, last)) = part.last() else { break };
                let back = Part { by, descending, from: Some(last.clone()), backwards: true, limit: 3 };
                let back = search::part(&mut tx, &everything, around, &back).await.unwrap();
                let at = joined.len() + part.len() - 1;
                assert_eq!(back, whole[at.saturating_sub(3)..at], "{by:?} {descending}");
                from = Some(last.clone());
                joined.extend(part);
            }
            assert_eq!(joined, whole, "{by:?} {descending}");
        }
    }
}

fn subject(number: usize) -> impl Strategy<Value = Subject> {
    let stage = prop_oneof![
        Just(Stage::Registered),
        Just(Stage::Installing),
        Just(Stage::Installed),
        Just(Stage::Installed),
        Just(Stage::Retired)
    ];
    let ages = prop::option::of(prop_oneof![Just(60 * 1_000_000), Just(3 * DAY), Just(30 * DAY)]);
    let jobs = prop::collection::vec(0..6_u8, 0..4);
    let packages = prop::collection::btree_map(
        prop_oneof![Just("openssl".to_owned()), Just("hello".to_owned())],
        prop_oneof![Just("3.0.9-1".to_owned()), Just("3.0.15-1~deb12u1".to_owned()), Just("2.10".to_owned())],
        0..3,
    );
    let hardware = prop::option::of((
        prop_oneof![Just("OptiPlex 7080"), Just("ThinkCentre_M70%"), Just("")],
        prop_oneof![Just("7XK9"), Just("SER!1")],
        prop_oneof![Just(2_u64 << 30), Just(8 << 30), Just(0)],
        prop_oneof![Just(64_u64 << 30), Just(1_u64 << 40)],
        prop_oneof![Just(4_u32), Just(16)],
        prop_oneof![Just(("debian", "12")), Just(("linuxmint", "22.1")), Just(("", ""))],
    ));
    (stage, any::<bool>(), ages, jobs, packages, hardware, 0..4_u8, 1..40_i64).prop_map(
        move |(stage, alarm, seen, jobs, packages, hardware, rooms, added)| {
            let kind = if number.is_multiple_of(3) { "pc" } else { "lab" };
            let last = u8::try_from(number).unwrap();
            Subject {
                name: format!("{kind}-{number:02}"),
                stage,
                alarm: alarm && number.is_multiple_of(5),
                seen: seen.map(|age| NOW - age),
                added: NOW - added * DAY,
                jobs,
                macs: vec![Mac::from_bytes([0x52, 0x54, 0, 0, last % 3, last])],
                addresses: if hardware.is_some() {
                    vec![format!("10.0.{}.{last}", last % 4).parse().unwrap(), "fe80::1".parse().unwrap()]
                } else {
                    Vec::new()
                },
                groups: (0..2)
                    .filter(|bit| rooms & (1 << bit) > 0)
                    .map(|bit| format!("room-{bit}"))
                    .collect(),
                packages: packages.into_iter().collect(),
                hardware: hardware.map(|(model, serial, memory, disk, threads, (os, version))| {
                    reference::Hardware {
                        model: model.to_owned(),
                        serial: serial.to_owned(),
                        memory,
                        disk,
                        threads,
                        os: os.to_owned(),
                        version: version.to_owned(),
                    }
                }),
                distribution: if number.is_multiple_of(2) { "debian-12" } else { "debian-13" }.to_owned(),
            }
        },
    )
}

/// Texts of expressions, made of every field.
fn expression() -> impl Strategy<Value = String> {
    let tests: Vec<&'static str> = vec![
        "pc",
        "lab-0",
        "7xk",
        "52:54:00:00:01",
        "10.0.2",
        "SER!",
        "name:pc-*",
        "name:LAB-01",
        "name:*-1*",
        "stage:installed",
        "stage:installing",
        "stage:retired",
        "health:ok",
        "health:warning",
        "health:critical",
        "health:offline",
        "activity:idle",
        "activity:waiting",
        "activity:working",
        "group:room-0",
        "group:room-*",
        "group:\"\"",
        "group:found-a",
        "group:found-*",
        "os:debian",
        "os:debian-12",
        "os:linuxmint-22",
        "os:\"\"",
        "distribution:debian-12",
        "model:optiplex",
        "model:\"OptiPlex 7080\"",
        "model:m70%",
        "model:*_*",
        "serial:7x",
        "serial:\"\"",
        "mac:52-54-00-00-02",
        "mac:*:05",
        "mac:\"\"",
        "ip:10.0.1.",
        "ip:10.0.0.0/23",
        "ip:fe80::/10",
        "ip:10.0.*.7",
        "ip:\"\"",
        "package:openssl",
        "package:openssl<3.0.15",
        "package:openssl>=3.0.15-1~deb12u1",
        "package:*=2.10",
        "updates>0",
        "updates=0",
        "updates<2",
        "security-updates:yes",
        "security-updates:no",
        "reboot-needed:yes",
        "reboot-needed:no",
        "memory<4G",
        "memory>=8G",
        "disk>500G",
        "threads=16",
        "seen<7d",
        "seen>2d",
        "seen:never",
        "added<10d",
        "failed<1d",
        "failed>1h",
    ];
    let test = prop::sample::select(tests).prop_map(str::to_owned);
    test.prop_recursive(3, 12, 3, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" "))),
            prop::collection::vec(inside.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inside.prop_map(|part| format!("not {part}")),
        ]
    })
}

/// Writes a client by the functions that the server uses.
async fn stored(db: &Db, subject: Subject) -> (ClientId, Subject) {
    let mut tx = db.write().await.unwrap();
    let config = ClientConfig { distribution: subject.distribution.clone(), ..ClientConfig::default() };
    let id = clients::create(&mut tx, &subject.name, subject.stage, &config, &subject.macs, subject.added)
        .await
        .unwrap();
    for name in &subject.groups {
        let group = match groups::find(&mut tx, name).await.unwrap() {
            Some(group) => group,
            None => groups::create(&mut tx, name, "", NOW).await.unwrap(),
        };
        groups::add_member(&mut tx, group, id).await.unwrap();
    }
    if let Some(facts) = subject.facts() {
        clients::set_facts(&mut tx, id, &facts, NOW).await.unwrap();
    }
    if let Some(at) = subject.seen {
        clients::set_seen(&mut tx, id, "boot", Realm::System, "0.1.0", at).await.unwrap();
    }
    if subject.alarm {
        clients::set_alarm(&mut tx, id, Some("stolen token")).await.unwrap();
    }
    let packages: Vec<Package> = subject
        .packages
        .iter()
        .map(|(name, version)| Package {
            key: PackageKey {
                name: name.clone(),
                architecture: "amd64".to_owned(),
                version: version.clone(),
            },
            automatic: false,
            held: false,
            size_bytes: 0,
            update: reference::newer(version)
                .map(|security| PackageUpdate { version: "9.9".to_owned(), security }),
        })
        .collect();
    packages::make_known(&mut tx, packages.iter().map(|package| &package.key)).await.unwrap();
    packages::store(&mut tx, id, &[], &packages).await.unwrap();
    if let Some((updates, security)) = subject.updates() {
        let condition = Condition {
            reboot_why: if subject.wants_reboot() { "kernel".to_owned() } else { String::new() },
            ..Condition::default()
        };
        let inventory = Inventory {
            family: PackageFamily::Dpkg,
            collected_at: NOW,
            received_at: NOW,
            first_at: NOW,
            packages: i64::try_from(packages.len()).unwrap(),
            updates: i64::try_from(updates).ok(),
            security_updates: i64::try_from(security).ok(),
            condition,
        };
        packages::set_inventory(&mut tx, id, "hash", &inventory).await.unwrap();
    }
    for kind in &subject.jobs {
        job(&mut tx, id, *kind).await;
    }
    tx.commit().await.unwrap();
    (id, subject)
}

/// A job that ends as [`reference::Deed`] says.
async fn job(tx: &mut server::db::Tx, client: ClientId, kind: u8) {
    let new = NewJob {
        client,
        job_type: "script".to_owned(),
        params: serde_json::json!({}),
        realm: None,
        priority: 25,
        held: None,
        not_before: None,
        expires_at: None,
        max_attempts: 1,
        retry_after_s: 60,
        created_by: "test".to_owned(),
        needs: Vec::new(),
    };
    let deed = reference::deed(kind);
    let id = queue::enqueue(tx, &new, NOW - deed.age).await.unwrap();
    let running = jobs::open(tx, client).await.unwrap().iter().any(|job| job.state.as_str() == "running");
    for event in deed.events {
        // A second running job of a client is refused by the database itself.
        if running && *event == JobEvent::Claim {
            break;
        }
        let job = jobs::find(tx, id).await.unwrap().unwrap();
        queue::transition(tx, &job, *event, "test", "", None, NOW - deed.age).await.unwrap();
    }
}
