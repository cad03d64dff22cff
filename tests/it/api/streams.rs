//! Live streams: nothing is lost, nothing comes twice, and a reader that comes back goes on where it was.

use futures_util::StreamExt;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    db::{attempts, clients, events, jobs},
    domain::{people::Role, reach::Sees},
    queue,
};
use wire::{
    AttemptId, ClientId,
    enrol::Realm,
    event::{Event, EventKind, Outcome, Stream},
};

/// Reads a stream until `enough`, or its end; gives the numbers and values of its events.
async fn read(server: &TestServer, path: &str, last: Option<i64>, enough: usize) -> Vec<(i64, Value)> {
    let mut request = server.request(Some(Role::Viewer), Method::GET, path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.bytes_stream();
    let (mut text, mut found) = (String::new(), Vec::new());
    while found.len() < enough {
        let Some(chunk) = chunks.next().await else { break };
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                found.push((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    found
}

pub(super) async fn the_event_stream_goes_on_where_a_reader_left_it(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        server.send(Method::POST, "/api/v1/groups", &json!({ "name": name })).await.unwrap().ok().unwrap();
    }
    let all = server.get("/api/v1/events").await.unwrap().ok().unwrap();
    let all: Vec<_> = all.as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect();
    let first = read(&server, "/api/v1/events/stream?after=0", None, 2).await;
    let rest = read(&server, "/api/v1/events/stream", Some(first[1].0), all.len() - 2).await;
    let ids: Vec<_> = first[..2].iter().chain(&rest).map(|(id, _)| *id).collect();
    assert_eq!(ids, all);

    let reader = read(&server, "/api/v1/events/stream", Some(*all.last().unwrap()), 1);
    let writer = async {
        server.send(Method::POST, "/api/v1/groups", &json!({ "name": "e" })).await.unwrap().ok().unwrap();
    };
    let (live, ()) = tokio::join!(reader, writer);
    assert_eq!((&live[0].1["kind"], &live[0].1["detail"]), (&json!("group.created"), &json!("e")));
    server.stop().await.unwrap();
}

fn line(seq: u64) -> Event {
    let (step, line) = ("apt".to_owned(), format!("line {seq}"));
    Event { seq, at: 0, kind: EventKind::Output { step, stream: Stream::Stdout, line } }
}

async fn running(server: &TestServer) -> (ClientId, AttemptId) {
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-01" })).await.unwrap().ok().unwrap();
    let order = json!({ "job_type": "reboot" });
    server.send(Method::POST, "/api/v1/clients/lab-01/jobs", &order).await.unwrap().ok().unwrap();
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = clients::find_by_name(&mut tx, "lab-01").await.unwrap().unwrap().id;
    let claimed = queue::claim(&mut tx, client, Realm::System, "boot", 60, server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    (client, claimed.unwrap().1)
}

async fn report(server: &TestServer, client: ClientId, attempt: AttemptId, events: &[Event]) {
    let mut tx = server.ctx.db.write().await.unwrap();
    queue::report(&mut tx, client, attempt, events, 60, server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    server.ctx.presence.output_came(attempt);
}

pub(super) async fn output_comes_live_once_and_in_order_and_the_stream_ends_with_the_attempt(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let (client, attempt) = running(&server).await;
    let path = format!("/api/v1/attempts/{attempt}/output/stream");
    report(&server, client, attempt, &(1..=700).map(line).collect::<Vec<_>>()).await;
    let writer = async {
        for batch in 0..5 {
            let events: Vec<_> = (701 + batch * 20..721 + batch * 20).map(line).collect();
            report(&server, client, attempt, &events).await;
        }
        let finished = Event { seq: 801, at: 0, kind: EventKind::Finished { outcome: Outcome::Succeeded } };
        report(&server, client, attempt, &[finished]).await;
    };
    let (live, ()) = tokio::join!(read(&server, &path, None, usize::MAX), writer);
    assert_eq!(live.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=801).collect::<Vec<_>>());
    assert_eq!(live[41].1["line"], "line 42");

    let resumed = read(&server, &path, Some(798), usize::MAX).await;
    assert_eq!(resumed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [799, 800, 801]);
    let page = server
        .get(&format!("/api/v1/attempts/{attempt}/output?after=10&limit=2"))
        .await
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!((&page[0]["seq"], page.as_array().unwrap().len()), (&json!(11), 2));

    let mut tx = server.ctx.db.read().await.unwrap();
    let job = jobs::list(&mut tx, &Sees::Everything, &jobs::Filter::default(), i64::MAX, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(attempts::list(&mut tx, job.id).await.unwrap().len(), 1);
    drop(tx);
    server.stop().await.unwrap();
}

pub(super) async fn a_stopping_server_ends_its_streams_and_stops_at_once(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let (_, attempt) = running(&server).await;
    let mut open = Vec::new();
    for path in ["/api/v1/events/stream".to_owned(), format!("/api/v1/attempts/{attempt}/output/stream")] {
        let request = server.request(Some(Role::Viewer), Method::GET, &path);
        open.push(request.send().await.unwrap());
    }
    let begun = std::time::Instant::now();
    server.stop().await.unwrap();
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    for stream in open {
        stream.bytes().await.ok();
    }
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_not_overtaken() {
    // SQLite has one writer at a time, so nothing can be late there.
    let server = TestServer::start(Engine::Postgres).await.unwrap();
    let db = &server.ctx.db;
    let seen = async || {
        let mut tx = db.read().await.unwrap();
        let events = events::after(&mut tx, &Sees::Everything, 0, 1000).await.unwrap();
        let last = events::newest(&mut tx).await.unwrap();
        assert_eq!(events.last().map(|event| event.id), Some(last));
        events
            .into_iter()
            .map(|event| event.kind)
            .filter(|kind| kind.starts_with("test."))
            .collect::<Vec<_>>()
    };
    let mut early = db.write().await.unwrap();
    events::add(&mut early, "test.early", None, None, "test", "", 1).await.unwrap();
    let mut late = db.write().await.unwrap();
    events::add(&mut late, "test.late", None, None, "test", "", 2).await.unwrap();
    late.commit().await.unwrap();
    assert!(seen().await.is_empty(), "a reader that went on after `late` would never see `early`");
    early.commit().await.unwrap();
    assert_eq!(seen().await, ["test.early", "test.late"]);
    server.stop().await.unwrap();
}
