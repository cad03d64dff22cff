//! Agents without machines: the real agent's HTTPS connections with identities of their own, asked by hand.

use std::sync::Arc;

use agent::{
    config::Addresses,
    identity::NewKey,
    server::{Connect, Server, https::Https},
};
use anyhow::{Context, Result, bail, ensure};
use harness::server::{TestServer, repository};
use reqwest::Method;
use serde_json::json;
use server::{
    app::jobs::{self, JobOrder},
    context::Ctx,
};
use wire::{
    AttemptId, ClientId,
    enrol::{EnrolRequest, EnrolResponse, Realm},
    event::{Event, EventKind, Outcome, ReportRequest, Stream, Verdict},
    facts::Facts,
    poll::{Lease, Order, PollRequest},
};

/// Lines of output of a job.
const LINES: usize = 10;
const STEP: &str = "script";

/// An agent that holds an identity and a connection.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(super) client: ClientId,
    boot_id: String,
    server: Arc<dyn Server>,
}

/// Registers clients and lets their agents enrol by token.
pub(crate) async fn enrol(server: &TestServer, count: usize) -> Result<Vec<Agent>> {
    let facts = fs_err::read(repository().join("job-scripts/_facts/qemu-bios.json"))?;
    let facts: Facts = serde_json::from_slice(&facts)?;
    let mut agents = Vec::with_capacity(count);
    for number in 0..count {
        agents.push(one(server, number, &facts).await.with_context(|| format!("enrolling agent {number}"))?);
    }
    Ok(agents)
}

async fn one(server: &TestServer, number: usize, facts: &Facts) -> Result<Agent> {
    let name = format!("bench-{number}");
    let token = token(server, &name).await?;
    let addresses = addresses(&server.ctx)?;
    let ca = server.ctx.authority.ca_pem();
    let key = NewKey::generate()?;
    let boot_id = format!("00000000-0000-4000-8000-{number:012}");
    let request = EnrolRequest {
        token: Some(token),
        csr_pem: key.csr_pem.clone(),
        mac: format!("52:54:00:be:{:02x}:{:02x}", number >> 8 & 0xff, number & 0xff).parse()?,
        boot_id: boot_id.clone(),
        realm: Realm::System,
        agent_version: "0.1.0".to_owned(),
        facts: facts.clone(),
    };
    let EnrolResponse::Enrolled(identity) = Https.connect(&addresses, ca, None)?.enrol(&request).await?
    else {
        bail!("the server lets it wait");
    };
    let client = identity.client;
    let credentials = key.into_credentials(*identity, Realm::System, server.ctx.now());
    let agent = Agent { client, boot_id, server: Https.connect(&addresses, ca, Some(&credentials))? };
    agent.poll_for_nothing().await?;
    Ok(agent)
}

/// Registers a client; gives a token for its agent.
pub(crate) async fn token(server: &TestServer, name: &str) -> Result<String> {
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": name })).await?.ok()?;
    let path = format!("/api/v1/clients/{name}/enrol-command");
    let made = server.send(Method::POST, &path, &json!({})).await?.ok()?;
    let command = made["command"].as_str().unwrap_or_default();
    let token = command.split_whitespace().find_map(|word| word.strip_prefix("LOTSE_TOKEN="));
    Ok(token.context("finding the token in the command")?.trim_matches('\'').to_owned())
}

/// Where agents find the server.
pub(crate) fn addresses(ctx: &Ctx) -> Result<Addresses> {
    let found = &ctx.addresses;
    Ok(Addresses {
        server: found.https.clone(),
        agents: found.agents.clone(),
        boot: found.boot.clone(),
        ca: found.ca.parse()?,
    })
}

/// Queues as many jobs for each agent; as through the API, each with its signed plan. Not those of packages, which are carried out together.
pub(crate) async fn order(ctx: &Ctx, agents: &[Agent], jobs: usize) -> Result<()> {
    let order = JobOrder {
        job_type: "script".to_owned(),
        params: json!({ "text": "echo hello" }),
        hold: false,
        not_before: None,
        expires_at: None,
        needs: Vec::new(),
    };
    for agent in agents {
        for _ in 0..jobs {
            jobs::create(ctx, agent.client, &order, "bench").await?;
        }
    }
    Ok(())
}

impl Agent {
    /// Asks once, without waiting on the server.
    pub(super) async fn poll_for_nothing(&self) -> Result<()> {
        match self.poll().await? {
            Order::Rest { .. } => Ok(()),
            order => bail!("nothing was to do, but the server says {order:?}"),
        }
    }

    /// Takes a job and reports it as an agent does that runs a short command: begun, its lines, ended.
    pub(super) async fn run_a_job(&self) -> Result<()> {
        let attempt = self.begin_a_job().await?;
        let line = |number| format!("Setting up a package, line {number} of what it says about itself ...");
        let lines: Vec<_> = (0..LINES).map(line).collect();
        let next = self.say(attempt, 2, &lines).await?;
        self.end_a_job(attempt, next).await
    }

    /// Takes a job, and reports that its step is begun, as event 1.
    pub(crate) async fn begin_a_job(&self) -> Result<AttemptId> {
        let lease = match self.poll().await? {
            Order::Run(lease) => lease,
            order => bail!("a job waits, but the server says {order:?}"),
        };
        let Lease { attempt, plan, .. } = *lease;
        ensure!(plan.text.contains("hello"), "the plan is another one");
        self.report(attempt, 1, [EventKind::StepStarted { step: STEP.to_owned() }]).await?;
        Ok(attempt)
    }

    /// Reports lines of output as events from `first` on; gives the number of the next event.
    pub(crate) async fn say(&self, attempt: AttemptId, first: u64, lines: &[String]) -> Result<u64> {
        let event = |line: &String| EventKind::Output {
            step: STEP.to_owned(),
            stream: Stream::Stdout,
            line: line.clone(),
        };
        self.report(attempt, first, lines.iter().map(event)).await?;
        Ok(first + u64::try_from(lines.len())?)
    }

    /// Reports that the job has succeeded, as events from `first` on.
    pub(crate) async fn end_a_job(&self, attempt: AttemptId, first: u64) -> Result<()> {
        let end = [
            EventKind::StepFinished { step: STEP.to_owned() },
            EventKind::Finished { outcome: Outcome::Succeeded },
        ];
        self.report(attempt, first, end).await
    }

    async fn poll(&self) -> Result<Order> {
        let request = PollRequest {
            boot_id: self.boot_id.clone(),
            realm: Realm::System,
            agent_version: "0.1.0".to_owned(),
            working: None,
            wait_s: 0,
        };
        Ok(self.server.poll(&request).await?.order)
    }

    async fn report(
        &self,
        attempt: AttemptId,
        first: u64,
        kinds: impl IntoIterator<Item = EventKind>,
    ) -> Result<()> {
        let events: Vec<_> = (first..).zip(kinds).map(|(seq, kind)| Event { seq, at: 0, kind }).collect();
        let last = events.last().map_or(0, |event| event.seq);
        let request = ReportRequest { boot_id: self.boot_id.clone(), events };
        let answer = self.server.report(attempt, &request).await?;
        ensure!(
            answer.stored_seq == last && answer.verdict == Verdict::Continue,
            "the server stored {} of {last} events and says {:?}",
            answer.stored_seq,
            answer.verdict
        );
        Ok(())
    }
}
