//! Two things in the same moment, and things that come late: what a bad network makes of an agent's requests. On both engines.

use std::time::Duration;

use agent::{host::fake::FakeHost, identity::NewKey};
use futures_util::future::join_all;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::json;
use server::{
    app::{agents, enrolment},
    db::{attempts, clients, jobs},
    domain::job::{AttemptState, JobState},
};
use wire::{
    AttemptId, ClientId, JobId,
    enrol::{EnrolRequest, EnrolResponse, Realm},
    event::{Event, EventKind, Outcome, ReportRequest, Stream, Verdict},
    poll::{Order, PollRequest, PollResponse},
};

/// A bound for what must happen at once; slow computers are slow.
const AT_ONCE: Duration = Duration::from_secs(20);

on_both_engines! {
    an_enrolment_that_comes_twice_at_once_is_answered_twice,
    a_report_that_comes_many_times_at_once_is_stored_once,
    a_job_that_is_cancelled_while_it_ends_has_one_end,
    work_goes_to_the_newest_poll_of_a_client,
    a_late_copy_of_a_report_hides_no_new_work,
    a_poll_that_drops_old_work_does_not_hide_new_work,
}

struct Site {
    server: TestServer,
    client: ClientId,
}

impl Site {
    async fn start(engine: Engine) -> Self {
        let server = TestServer::start(engine).await.unwrap();
        let new = json!({ "name": "lab-01" });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
        let mut tx = server.ctx.db.read().await.unwrap();
        let client = clients::find_by_name(&mut tx, "lab-01").await.unwrap().unwrap().id;
        drop(tx);
        Self { server, client }
    }

    async fn order(&self) -> JobId {
        let order = json!({ "job_type": "script", "params": { "text": "echo hello" } });
        let made = self.server.send(Method::POST, "/api/v1/clients/lab-01/jobs", &order).await.unwrap();
        JobId(made.ok().unwrap().as_i64().unwrap())
    }

    async fn poll(&self, working: Option<AttemptId>) -> PollResponse {
        self.poll_for(working, 60).await
    }

    async fn poll_for(&self, working: Option<AttemptId>, wait_s: u32) -> PollResponse {
        let request = PollRequest {
            boot_id: "boot".into(),
            realm: Realm::System,
            agent_version: "1".into(),
            working,
            wait_s,
        };
        let poll = agents::poll(&self.server.ctx, self.client, &request);
        tokio::time::timeout(AT_ONCE, poll).await.expect("the poll waits on").unwrap()
    }

    /// Takes a job, as an agent does.
    async fn begin(&self) -> AttemptId {
        match self.poll(None).await.order {
            Order::Run(lease) => lease.attempt,
            other => panic!("{other:?}"),
        }
    }

    async fn report(&self, attempt: AttemptId, events: &[Event]) -> Result<Verdict, server::app::Error> {
        let request = ReportRequest { boot_id: "boot".into(), events: events.to_vec() };
        let answer = agents::report(&self.server.ctx, self.client, attempt, &request).await;
        answer.map(|answer| answer.verdict)
    }

    async fn state(&self, job: JobId) -> JobState {
        let mut tx = self.server.ctx.db.read().await.unwrap();
        jobs::find(&mut tx, job).await.unwrap().unwrap().state
    }
}

fn line(seq: u64) -> Event {
    let kind = EventKind::Output { step: "s".into(), stream: Stream::Stdout, line: format!("line {seq}") };
    Event { seq, at: 0, kind }
}

fn end(seq: u64) -> Event {
    Event { seq, at: 0, kind: EventKind::Finished { outcome: Outcome::Succeeded } }
}

async fn an_enrolment_that_comes_twice_at_once_is_answered_twice(engine: Engine) {
    let site = Site::start(engine).await;
    let path = "/api/v1/clients/lab-01/enrol-command";
    let command = site.server.send(Method::POST, path, &json!({})).await.unwrap().ok().unwrap();
    let command = command["command"].as_str().unwrap().to_owned();
    let token = command.split(' ').find_map(|word| word.strip_prefix("LOTSE_TOKEN=")).unwrap();
    let request = EnrolRequest {
        token: Some(token.to_owned()),
        csr_pem: NewKey::generate().unwrap().csr_pem,
        mac: "52:54:00:00:00:01".parse().unwrap(),
        boot_id: "boot".into(),
        realm: Realm::System,
        agent_version: "1".into(),
        facts: agent::facts::gather(&FakeHost::new(0), Realm::System).await,
        looked: Vec::new(),
    };
    let answers = join_all((0..6).map(|_| enrolment::enrol(&site.server.ctx, &request))).await;
    for answer in answers {
        let Ok(EnrolResponse::Enrolled(identity)) = answer else { panic!("{answer:?}") };
        // Whichever answer the agent hears, it is let in with it.
        let pem = x509_parser::pem::parse_x509_pem(identity.certificate_pem.as_bytes()).unwrap().1;
        let serial = hex::encode(pem.parse_x509().unwrap().raw_serial());
        assert_eq!(agents::authenticate(&site.server.ctx, &serial).await.unwrap(), site.client);
    }
    site.server.stop().await.unwrap();
}

async fn a_report_that_comes_many_times_at_once_is_stored_once(engine: Engine) {
    let site = Site::start(engine).await;
    let job = site.order().await;
    let attempt = site.begin().await;
    let events: Vec<Event> = (1..=40).map(line).collect();
    for verdict in join_all((0..8).map(|_| site.report(attempt, &events))).await {
        assert_eq!(verdict.unwrap(), Verdict::Continue);
    }
    let last = [line(41), end(42)];
    for verdict in join_all((0..8).map(|_| site.report(attempt, &last))).await {
        assert_eq!(verdict.unwrap(), Verdict::Continue);
    }
    let mut tx = site.server.ctx.db.read().await.unwrap();
    let stored = attempts::events(&mut tx, attempt, 0, 1000).await.unwrap();
    assert_eq!(stored.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=42).collect::<Vec<_>>());
    let ends = jobs::history(&mut tx, job).await.unwrap().iter().filter(|line| line.to.is_final()).count();
    assert_eq!(ends, 1);
    drop(tx);
    site.server.stop().await.unwrap();
}

async fn a_job_that_is_cancelled_while_it_ends_has_one_end(engine: Engine) {
    let site = Site::start(engine).await;
    for _ in 0..8 {
        let job = site.order().await;
        let attempt = site.begin().await;
        let path = format!("/api/v1/jobs/{job}/cancel");
        let body = json!({});
        let cancel = site.server.send(Method::POST, &path, &body);
        let last = [line(1), end(2)];
        let (verdict, cancelled) = tokio::join!(site.report(attempt, &last), cancel);
        assert_eq!(verdict.unwrap(), Verdict::Continue, "the agent is told that its report was taken");
        let status = cancelled.unwrap().status;
        assert!(status.is_success() || status == 409, "{status}");
        assert_eq!(site.state(job).await, JobState::Succeeded);
        let mut tx = site.server.ctx.db.read().await.unwrap();
        let ended = attempts::find(&mut tx, attempt).await.unwrap().unwrap();
        assert_eq!(ended.state, AttemptState::Succeeded);
    }
    site.server.stop().await.unwrap();
}

async fn work_goes_to_the_newest_poll_of_a_client(engine: Engine) {
    let site = Site::start(engine).await;
    // Nobody hears the answer to the first one any more: its agent has lost the connection and asks on a new one.
    let deaf = site.poll(None);
    let heard = async {
        let heard = site.poll(None);
        let order = async {
            // The first poll waits by now: it was begun before.
            tokio::task::yield_now().await;
            site.order().await
        };
        tokio::join!(heard, order)
    };
    let (deaf, (heard, _)) = tokio::join!(deaf, heard);
    assert!(matches!(heard.order, Order::Run(_)), "{heard:?}");
    assert!(matches!(deaf.order, Order::Rest { again_ms } if again_ms > 0), "{deaf:?}");
    site.server.stop().await.unwrap();
}

async fn a_late_copy_of_a_report_hides_no_new_work(engine: Engine) {
    let site = Site::start(engine).await;
    site.order().await;
    let first = site.begin().await;
    site.report(first, &[end(1)]).await.unwrap();
    site.order().await;
    let second = site.begin().await;
    // The answer with the second attempt is lost, and a copy of the last report of the first one comes late.
    site.report(first, &[end(1)]).await.unwrap();
    assert_eq!(site.begin().await, second);
    site.server.stop().await.unwrap();
}

async fn a_poll_that_drops_old_work_does_not_hide_new_work(engine: Engine) {
    let site = Site::start(engine).await;
    site.order().await;
    let first = site.begin().await;
    site.report(first, &[end(1)]).await.unwrap();
    site.order().await;
    let second = site.begin().await;
    // An agent that never heard of the second attempt still holds the first one, drops it, and asks for work.
    let dropped = site.poll(Some(first)).await.order;
    assert!(matches!(dropped, Order::Drop { attempt, .. } if attempt == first), "{dropped:?}");
    assert_eq!(site.begin().await, second);
    site.server.stop().await.unwrap();
}
