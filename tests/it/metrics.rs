//! What Prometheus reads, who may read it, and that the dashboard asks for nothing else.

use std::collections::{BTreeMap, BTreeSet};

use harness::{
    sample,
    server::{Engine, TestServer, answer, repository},
};
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use server::{clock::Clock, db::clients, domain::people::Role, queue};
use wire::{
    enrol::Realm,
    event::{Event, EventKind, Outcome},
};

/// A sample's name, its labels as one text, its value as it is written.
fn samples(text: &str) -> Vec<(String, String, String)> {
    let line = Regex::new(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$").unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|text| {
            let found = line.captures(text).unwrap_or_else(|| panic!("not a sample: {text}"));
            let labels = found.get(2).map_or("", |labels| labels.as_str());
            (found[1].to_owned(), labels.to_owned(), found[3].to_owned())
        })
        .collect()
}

/// A filled server on which an attempt has ended and everything was asked for once.
async fn measured(engine: Engine) -> (TestServer, String) {
    // Certificates are compared with the clock of the machine, so it stands still now.
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_as(engine, clock.clone(), |config| config.lease_s = 86_400).await.unwrap();
    sample::fill(&server.ctx).await.unwrap();
    let now = server.ctx.now();
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = clients::find_by_name(&mut tx, "office-03").await.unwrap().unwrap().id;
    let (_, attempt) =
        queue::claim(&mut tx, client, Realm::System, "boot", 60, now + 1).await.unwrap().unwrap();
    let ended = Event { seq: 1, at: now, kind: EventKind::Finished { outcome: Outcome::Succeeded } };
    queue::report(&mut tx, client, attempt, &[ended], 60, now + 2).await.unwrap();
    tx.commit().await.unwrap();
    clock.advance(60);
    for path in ["/api/v1/clients", "/api/v1/jobs/999999", "/nowhere"] {
        server.get(path).await.unwrap();
    }
    let answer = answer(server.request(None, Method::GET, "/metrics")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    (server, answer.text)
}

async fn a_site_is_told_in_figures(engine: Engine) {
    let (server, text) = measured(engine).await;
    assert!(text.ends_with("# EOF\n"));
    let found = samples(&text);
    let value = |name: &str, labels: &str| {
        let hit = found.iter().find(|(known, with, _)| known == name && with == labels);
        hit.unwrap_or_else(|| panic!("{name}{{{labels}}} is not there: {text}")).2.as_str()
    };
    assert_eq!(value("lotse_clients", "stage=\"installed\""), "27");
    assert_eq!(value("lotse_clients", "stage=\"discovered\""), "3");
    assert_eq!(value("lotse_jobs_open", "job_type=\"base-system\",state=\"running\""), "1");
    assert_eq!(value("lotse_jobs_open", "job_type=\"package-upgrade\",state=\"held\""), "1");
    assert_eq!(
        value("lotse_attempts_ended_total", "job_type=\"package-upgrade\",outcome=\"succeeded\""),
        "1"
    );
    assert!(value("lotse_queue_age_seconds", "").parse::<u64>().unwrap() >= 60);
    let route = "method=\"GET\",route=\"/api/v1/clients\",status=\"2xx\"";
    assert_eq!(value("lotse_http_request_duration_seconds_count", route), "1");
    assert_eq!(
        value("lotse_http_request_duration_seconds_count", "method=\"other\",route=\"other\",status=\"4xx\""),
        "1"
    );
    assert_ne!(value("lotse_database_commit_seconds_count", "kind=\"write\""), "0");
    // An attempt that was counted is not counted again.
    let again = answer(server.request(None, Method::GET, "/metrics")).await.unwrap();
    let ended = "lotse_attempts_ended_total{job_type=\"package-upgrade\",outcome=\"succeeded\"} 1";
    assert!(again.text.lines().any(|line| line == ended), "{}", again.text);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_site_is_told_in_figures_from_sqlite() {
    a_site_is_told_in_figures(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_site_is_told_in_figures_from_postgres() {
    a_site_is_told_in_figures(Engine::Postgres).await;
}

#[tokio::test]
async fn figures_are_for_the_own_host_and_for_those_who_have_a_token() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let passed_on =
        |role| server.request(role, Method::GET, "/metrics").header("x-forwarded-for", "10.0.0.9");
    assert!(answer(passed_on(None)).await.unwrap().is_problem(401));
    assert_eq!(answer(passed_on(Some(Role::Viewer))).await.unwrap().status, 200);
    let wrong = passed_on(None).bearer_auth("lotse_of-somebody-else");
    assert!(answer(wrong).await.unwrap().is_problem(401));
    assert_eq!(answer(server.request(None, Method::GET, "/metrics")).await.unwrap().status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_dashboard_asks_only_for_what_is_there() {
    let (server, text) = measured(Engine::Sqlite).await;
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    for (name, with, _) in samples(&text) {
        let known = labels.entry(name).or_default();
        // Prometheus adds this one itself.
        known.insert("instance".to_owned());
        known.extend(label.captures_iter(&with).map(|found| found[1].to_owned()));
    }
    let file = fs_err::read_to_string(repository().join("packaging/grafana/lotse.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&file).unwrap();
    let (name, chosen) =
        (Regex::new(r"\blotse_[a-z_]+").unwrap(), Regex::new(r#"([a-z_]+)\s*(?:=~|!=|=)\s*""#).unwrap());
    let by = Regex::new(r"by \(([^)]*)\)").unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let names: Vec<_> = name.find_iter(expression).map(|found| found.as_str()).collect();
            assert!(!names.is_empty(), "{expression} asks for nothing");
            for name in names {
                let known = labels.get(name).unwrap_or_else(|| panic!("{expression}: there is no {name}"));
                let used = by.captures_iter(expression).flat_map(|found| {
                    found[1].split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()
                });
                let used = used.chain(chosen.captures_iter(expression).map(|found| found[1].to_owned()));
                for label in used {
                    assert!(known.contains(&label), "{expression}: {name} has no label {label}");
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 12, "only {asked} names are asked for");
    assert_eq!(dashboard["uid"], json!("lotse"));
    server.stop().await.unwrap();
}
