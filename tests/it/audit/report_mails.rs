//! Reports by mail: once a period, with their table, whatever ends in between.

use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{app::report_mails, clock::Clock, db};

use super::{
    entries,
    notices::{Mails, Trust, mail_settings, server},
    register, set,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The last time that it was six, UTC: a certificate of a server whose clock is ahead is not valid yet.
fn six() -> i64 {
    let now = Clock::system().now();
    now - (now - 6 * HOUR * 1_000_000) % (DAY * 1_000_000)
}

async fn daily(server: &TestServer, name: &str, report: &str) {
    let wish = json!({
        "name": name, "report": report, "every": "daily", "time": "07:00", "time_zone": "UTC",
        "to": ["head@school.example"], "language": "de",
    });
    server.send(Method::POST, "/api/v1/report-mails", &wish).await.unwrap().ok().unwrap();
}

async fn sendings(server: &TestServer, name: &str) -> Vec<Value> {
    let path = format!("/api/v1/report-mails/{name}/sendings");
    let found = server.get(&path).await.unwrap().ok().unwrap();
    found.as_array().unwrap().clone()
}

fn states(sendings: &[Value]) -> Vec<&str> {
    sendings.iter().map(|sending| sending["state"].as_str().unwrap()).collect()
}

/// Waits for the end of what the server does by itself beside the test.
async fn settled(server: &TestServer, name: &str, wanted: &[&str]) -> Vec<Value> {
    for _ in 0..600 {
        report_mails::work(&server.ctx).await.unwrap();
        let found = sendings(server, name).await;
        if states(&found) == wanted {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("wanted {wanted:?}: {:?}", sendings(server, name).await);
}

pub(super) async fn a_report_comes_once_a_period_with_its_table(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(six()));
    let server = server(engine, &trust, &clock).await;
    let mut mails = Mails::start(&trust, "starttls").await;
    mail_settings(&server, &mails, "starttls").await;
    for name in ["pc-1", "pc-2"] {
        register(&server, name).await;
    }
    daily(&server, "morning", "software").await;
    report_mails::work(&server.ctx).await.unwrap();
    assert_eq!(sendings(&server, "morning").await, Vec::<Value>::new(), "it is six o'clock");
    clock.advance(HOUR);
    let sent = settled(&server, "morning", &["sent"]).await;
    assert_eq!((&sent[0]["rows"], &sent[0]["attempts"]), (&json!(2), &json!(1)));
    assert_eq!(sent[0]["period_at"], json!(six() + HOUR * 1_000_000));
    let mail = mails.next().await;
    assert_eq!(mail["subject"], "Software: 2 Zeilen");
    assert_eq!(mail["to"], json!(["head@school.example"]));
    for part in ["Client | System", "pc-1", "pc-2", "morning", "/reports/software"] {
        assert!(mail["text"].as_str().unwrap().contains(part), "{part}: {mail}");
    }
    let (name, kind, csv) =
        (&mail["files"][0][0], &mail["files"][0][1], mail["files"][0][2].as_str().unwrap());
    assert!(name.as_str().unwrap().starts_with("morning-20"), "{name}");
    assert_eq!(kind, "text/csv");
    assert!(csv.starts_with("client,system,version,") && csv.contains("\npc-2,"), "{csv}");
    // All day nothing more; a week in which no server ran is one period.
    clock.advance(DAY - 2);
    settled(&server, "morning", &["sent"]).await;
    clock.advance(7 * DAY);
    settled(&server, "morning", &["sent", "sent"]).await;
    let second = mails.next().await;
    assert_ne!(second["id"], mail["id"]);
    // By hand, beside the periods.
    server.send(Method::POST, "/api/v1/report-mails/morning/send", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(mails.next().await["subject"], "Software: 2 Zeilen");
    assert_eq!(sendings(&server, "morning").await.len(), 2);
    assert_eq!(entries(&server).await.last().unwrap()["action"], "report-mail.send");
    // Off is off.
    let mut wish = server.get("/api/v1/report-mails/morning").await.unwrap().ok().unwrap();
    wish["enabled"] = json!(false);
    server.send(Method::PUT, "/api/v1/report-mails/morning", &wish).await.unwrap().ok().unwrap();
    clock.advance(3 * DAY);
    settled(&server, "morning", &["sent", "sent"]).await;
    mails.stop().await;
    server.stop().await.unwrap();
}

pub(super) async fn what_may_have_left_is_not_sent_again_and_what_did_not_is(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(six()));
    let server = server(engine, &trust, &clock).await;
    let mut mails = Mails::start(&trust, "starttls").await;
    daily(&server, "morning", "software").await;
    // No mail server is set: nothing leaves, so it is tried again until it does.
    clock.advance(HOUR);
    let waiting = settled(&server, "morning", &["waiting"]).await;
    assert!(waiting[0]["error"].as_str().unwrap().contains("no mail server"), "{waiting:?}");
    mail_settings(&server, &mails, "starttls").await;
    clock.advance(60);
    settled(&server, "morning", &["sent"]).await;
    mails.next().await;
    // A server takes the next one and ends in the middle: whether it has left nobody knows.
    set(&server, json!({ "mail.server": "" })).await;
    clock.advance(DAY);
    settled(&server, "morning", &["waiting", "sent"]).await;
    clock.advance(60);
    let mut tx = server.ctx.db.write().await.unwrap();
    let now = server.ctx.now();
    // Another loop of this server may have been faster, to no avail; then it waits again.
    let taken = db::report_mails::take(&mut tx, now, now + 600 * 1_000_000).await.unwrap();
    tx.commit().await.unwrap();
    mail_settings(&server, &mails, "starttls").await;
    if taken.is_some() {
        settled(&server, "morning", &["sending", "sent"]).await;
        clock.advance(601);
        let found = settled(&server, "morning", &["unknown", "sent"]).await;
        assert!(found[0]["error"].as_str().unwrap().contains("may have arrived"), "{found:?}");
        clock.advance(HOUR);
        settled(&server, "morning", &["unknown", "sent"]).await;
    }
    mails.stop().await;
    server.stop().await.unwrap();
}

pub(super) async fn two_servers_send_one_report(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(six()));
    let server = server(engine, &trust, &clock).await;
    let mut mails = Mails::start(&trust, "starttls").await;
    mail_settings(&server, &mails, "starttls").await;
    for day in 0..3 {
        daily(&server, &format!("report-{day}"), "software").await;
    }
    for day in 1..=3 {
        clock.advance(if day == 1 { HOUR } else { DAY });
        let work = || report_mails::work(&server.ctx);
        for done in <[_; 4]>::from(tokio::join!(work(), work(), work(), work())) {
            done.unwrap();
        }
        for report in 0..3 {
            settled(&server, &format!("report-{report}"), &vec!["sent"; day]).await;
        }
    }
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..9 {
        let mail = mails.next().await;
        assert!(ids.insert(mail["id"].as_str().unwrap().to_owned()), "{mail} came twice");
    }
    mails.stop().await;
    server.stop().await.unwrap();
}

pub(super) async fn a_report_mail_is_checked_by_field(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let wrong = json!({
        "name": "x", "report": "nothing", "every": "daily", "time": "25:00", "time_zone": "Mars/Olympus", "to": [],
    });
    let answer = server.send(Method::POST, "/api/v1/report-mails", &wrong).await.unwrap();
    assert!(answer.is_problem(422), "{answer:?}");
    let fields: Vec<_> =
        answer.json()["fields"].as_array().unwrap().iter().map(|field| field["field"].clone()).collect();
    assert_eq!(fields, ["report", "time", "time_zone", "to"]);
    daily(&server, "x", "age").await;
    let wish = json!({ "name": "x", "report": "age", "every": "daily", "to": ["a@b.example"] });
    assert!(server.send(Method::POST, "/api/v1/report-mails", &wish).await.unwrap().is_problem(409));
    let group = json!({ "report": "age", "every": "daily", "to": ["a@b.example"], "group": "nobody" });
    let answer = server.send(Method::PUT, "/api/v1/report-mails/x", &group).await.unwrap();
    assert!(answer.is_problem(404), "{answer:?}");
    server.stop().await.unwrap();
}
