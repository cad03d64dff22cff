//! How both databases carry out what the pages of people and the agents ask: whatever grows with the site is looked at by an index.
//!
//! The statements are those that the server runs, as it says them (`lotse::sql`); the plans are the databases' own. PostgreSQL is told to
//! avoid reading a table from its beginning to its end, which it would rightly do with the few rows that there are here: where it
//! does so all the same, there is no index for it.

#[path = "../../bench/console/fill.rs"]
mod fill;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use harness::{
    cookies::Browser,
    server::{Engine, TestServer, answer},
};
use regex::Regex;
use reqwest::Method;
use server::{
    app::agents,
    db::{
        Location, archives,
        identities::{self, Certificate},
        search::SortBy,
    },
    domain::people::{Rights, Role},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use wire::{ClientId, enrol::Realm, poll::PollRequest};

const CLIENTS: u32 = 300;
const JOBS: u32 = 1000;

/// Tables that grow with the site and whose rows are wide. Those beside clients that hold an address or a name are made to be read as they are.
const GROWS: &str = "clients|jobs|job_history|attempts|packages|client_packages|client_updates|archive_packages|events|package_changes|certificates";

/// Searches by everything that has an index, alone and with what it is often asked with.
const SEARCHES: [&str; 26] = [
    "",
    "stage:installed",
    "health:critical",
    "health:warning",
    "health:offline",
    "health:ok",
    "activity:working",
    "activity:waiting",
    "name:pc-7",
    "name:pc-*",
    "group:room-1",
    "not group:room-1",
    "mac:52:54:00",
    "ip:10.0.0.7",
    "ip:10.0.0.0/24",
    "os:debian-12",
    "distribution:debian-12",
    "model:optiplex*",
    "serial:S7",
    "agent<0.2",
    "memory>4G",
    "updates>0",
    "package:package-7",
    "package:package-7<2",
    "failed<1d",
    "seen<1h stage:installed memory>4G",
];

/// Keeps every statement that is said on this thread.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "lotse::sql"
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "statement" {
                    value.clone_into(&mut self.0);
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().insert(text.0);
    }
}

#[tokio::test]
async fn sqlite_finds_what_pages_ask_by_an_index() {
    let (server, statements) = asked(Engine::Sqlite).await;
    let Location::Sqlite(path) = &server.ctx.config.database else { panic!("another database") };
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let scan = Regex::new(r"^SCAN (\w+)$").unwrap();
    let named = Regex::new(&format!(r"\b({GROWS})\s+(?:AS\s+)?(\w+)")).unwrap();
    let grows = Regex::new(&format!("^({GROWS})$")).unwrap();
    // The newest rows are those at the end of the table itself.
    let newest = Regex::new(r"ORDER BY (\w+\.)?id( DESC)? LIMIT \$?\w+$").unwrap();
    let mut faults = Vec::new();
    for statement in &statements {
        let plan = format!("EXPLAIN QUERY PLAN {statement}");
        let rows = sqlx::query(AssertSqlSafe(plan)).fetch_all(&mut connection).await.unwrap();
        let details: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let sorts = details.iter().any(|detail| detail.contains("TEMP B-TREE"));
        if newest.is_match(statement) && !sorts {
            continue;
        }
        let scanned = details.iter().filter_map(|detail| Some(scan.captures(detail)?[1].to_owned()));
        for alias in scanned {
            let of = |table: &regex::Captures<'_>| table[2] == alias;
            if grows.is_match(&alias) || named.captures_iter(statement).any(|found| of(&found)) {
                faults.push(format!("{alias} in\n  {statement}\n  {}", details.join("\n  ")));
            }
        }
    }
    assert!(faults.is_empty(), "read from the beginning to the end:\n{}", faults.join("\n\n"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn postgresql_finds_what_pages_ask_by_an_index() {
    let (server, statements) = asked(Engine::Postgres).await;
    let Location::Postgres(url) = &server.ctx.config.database else { panic!("another database") };
    let mut connection = PgConnection::connect(url).await.unwrap();
    let told = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
    sqlx::raw_sql(told).execute(&mut connection).await.unwrap();
    let scan = Regex::new(&format!(r"Seq Scan on ({GROWS})\b")).unwrap();
    let placeholder = Regex::new(r"\$(\d+)").unwrap();
    let mut faults = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        let count =
            placeholder.captures_iter(statement).map(|found| found[1].parse::<usize>().unwrap()).max();
        let nulls = vec!["NULL"; count.unwrap_or(0)].join(", ");
        let execute = if nulls.is_empty() { format!("s{number}") } else { format!("s{number}({nulls})") };
        let prepare = format!("PREPARE s{number} AS {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
        let plan = format!("EXPLAIN EXECUTE {execute}");
        let rows = sqlx::raw_sql(AssertSqlSafe(plan)).fetch_all(&mut connection).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if lines.iter().any(|line| scan.is_match(line)) {
            faults.push(format!("  {statement}\n  {}", lines.join("\n  ")));
        }
    }
    assert!(faults.is_empty(), "read from the beginning to the end:\n{}", faults.join("\n\n"));
    server.stop().await.unwrap();
}

/// What every agent asks every minute.
async fn an_agent_polls(server: &TestServer) {
    let (now, client) = (server.ctx.now(), ClientId(1));
    let certificate = Certificate {
        serial: "0a".to_owned(),
        client,
        fingerprint: server::blobs::hash(b"its key"),
        expires_at: now + 3_600_000_000,
        revoked_at: None,
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    identities::create_certificate(&mut tx, &certificate, Realm::System, "boot", now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(agents::authenticate(&server.ctx, &certificate.serial).await.unwrap(), client);
    let request = PollRequest {
        boot_id: "boot".to_owned(),
        realm: Realm::System,
        agent_version: "0.1.0".to_owned(),
        working: None,
        wait_s: 0,
    };
    for _ in 0..2 {
        agents::poll(&server.ctx, client, &request).await.unwrap();
    }
}

/// The statements of lists, searches, overview, package search and of an agent, at a site that has something to look through.
async fn asked(engine: Engine) -> (TestServer, BTreeSet<String>) {
    let server = TestServer::start(engine).await.unwrap();
    fill::fill(&server, CLIENTS, JOBS).await.unwrap();
    packages(&server).await;
    let browser = Browser::of_new_account(&server, "ann", Rights::everything(Role::Operator)).await.unwrap();
    let statements = Statements::default();
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(statements.clone()));
    let mut paths = vec!["/".to_owned(), "/packages?q=web+browser&list=".to_owned()];
    for search in SEARCHES {
        let query: String = form(search);
        paths.push(format!("/clients?q={query}"));
        paths.push(format!("/clients?q={query}&after=pc-20"));
    }
    for by in SortBy::ALL {
        paths.extend(["", "-"].map(|sign| format!("/clients?sort={sign}{}", by.as_str())));
    }
    for path in paths {
        let page = answer(browser.request(Method::GET, &path)).await.unwrap();
        assert_eq!(page.status, 200, "{path}: {}", page.text);
    }
    an_agent_polls(&server).await;
    drop(listening);
    let found = statements.0.lock().unwrap();
    let found: BTreeSet<_> = found.iter().filter(|text| text.starts_with("SELECT")).cloned().collect();
    assert!(found.len() > 40, "only {} statements were heard", found.len());
    (server, found)
}

fn form(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "+").replace('<', "%3C").replace('>', "%3E").replace('/', "%2F")
}

/// An index of an archive in which somebody searches.
async fn packages(server: &TestServer) {
    let place = archives::Place {
        archive: "debian".to_owned(),
        suite: "bookworm".to_owned(),
        component: "main".to_owned(),
        architecture: "amd64".to_owned(),
    };
    let entry = |number: usize| archives::Entry {
        name: format!("package-{number}"),
        version: "1".to_owned(),
        description: "a web browser".to_owned(),
        ..archives::Entry::default()
    };
    let entries: Vec<_> = (0..500).map(entry).collect();
    let mut tx = server.ctx.db.write().await.unwrap();
    let now = server.ctx.now();
    let index = archives::want(&mut tx, &place, now).await.unwrap();
    let version = archives::begin(&mut tx, index, now).await.unwrap();
    archives::add(&mut tx, version, 0, &entries).await.unwrap();
    archives::publish(&mut tx, index, version, ("", now, 500), now).await.unwrap();
    tx.commit().await.unwrap();
}
