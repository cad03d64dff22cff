//! The loop of an agent that has an identity: renew it when due, send facts, ask for work, do it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio_util::task::AbortOnDropHandle;
use wire::{
    AttemptId,
    event::{Event, EventKind, Outcome, ReportRequest, Verdict},
    poll::{Lease, Order, PollRequest},
};

use crate::{
    backoff::{self, Backoff},
    facts,
    identity::Credentials,
    journal::{self, Journal},
    report::chain,
    runner::{After, Runner, spool_dir_of},
    server::{self, Server},
    spool::Spool,
    upgrade::Upgrade,
    vm,
};

use super::{
    Ended, Error, Life, hosting,
    packages::Told,
    react::{Reaction, react},
};

/// How long the server may keep a poll waiting.
const POLL_WAIT_S: u32 = 60;
/// After an order that this version does not know.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(1);
/// Facts change by themselves, above all how full file systems are; after this many microseconds they are measured again.
const FACTS_HOLD_US: u64 = 6 * 3_600 * 1_000_000;
/// Before other work is taken on by a machine that could not even write its journal.
const DECLINED_PAUSE: Duration = Duration::from_secs(30);
/// For an identity that the server does not know, beyond the back-off: only a person can help.
const UNKNOWN_IDENTITY_PAUSE: Duration = Duration::from_mins(1);
/// When there is nothing to do, so that a server's slip does not become a flood.
const SHORTEST_REST: Duration = Duration::from_millis(10);

/// How the loop ended.
pub(super) enum End {
    /// The session ends.
    Ended(Ended),
    /// The server does not know the identity.
    EnrolAgain,
    /// The server has been away for long.
    TrustAgain,
}

/// What one round of the loop led to.
enum Round {
    /// The next round, after this time.
    Next(Duration),
    Over(End),
}

/// When facts were sent last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FactsSent {
    /// Of the machines that this one hosted then.
    hosted: u64,
    /// By this machine's clock, in microseconds since the Unix epoch.
    at: i64,
}

impl FactsSent {
    /// Whether they still hold. A clock that was set makes them old in either direction.
    fn hold(self, now: Self) -> bool {
        self.hosted == now.hosted && now.at.abs_diff(self.at) < FACTS_HOLD_US
    }
}

/// What is known while the loop runs.
struct State<'a> {
    credentials: Credentials,
    server: Arc<dyn Server>,
    facts_sent: Option<FactsSent>,
    packages: Told,
    backoff: &'a mut Backoff,
    /// Of the attempt that the agent holds, in seconds.
    lease_s: Option<u32>,
    /// What goes on beside it on a host of machines.
    hosting: Option<AbortOnDropHandle<()>>,
}

impl Life<'_> {
    pub(super) async fn work(
        &self,
        ca_pem: &str,
        credentials: Credentials,
        backoff: &mut Backoff,
    ) -> Result<End, Error> {
        let session = self.session;
        let server = session.connect.connect(&session.config.addresses, ca_pem, Some(&credentials))?;
        let mut state = State {
            credentials,
            server,
            facts_sent: None,
            packages: Told::default(),
            backoff,
            lease_s: None,
            hosting: None,
        };
        let mut announced = false;
        loop {
            let round = self.round(&mut state, ca_pem).await?;
            if !announced && state.backoff.failures() == 0 {
                self.say(&format!("{} is ready and waits for work", state.credentials.identity.name));
                announced = true;
            }
            match round {
                Round::Over(end) => return Ok(end),
                Round::Next(pause) if self.pause(pause.max(SHORTEST_REST)).await => {}
                Round::Next(_) => return Ok(End::Ended(Ended::Stopped)),
            }
        }
    }

    async fn round(&self, state: &mut State<'_>, ca_pem: &str) -> Result<Round, Error> {
        let session = self.session;
        if state.credentials.is_due(session.config.realm, session.host.now()) {
            let renewed = tokio::select! {
                renewed = self.renew(state.server.as_ref()) => renewed?,
                () = self.stop.cancelled() => return Ok(stopped()),
            };
            match renewed {
                Ok(credentials) => {
                    state.server =
                        session.connect.connect(&session.config.addresses, ca_pem, Some(&credentials))?;
                    state.credentials = credentials;
                    state.hosting = None;
                    state.backoff.succeed();
                }
                Err(error) => return Ok(self.failed(state, "renewing the identity", &error)),
            }
        }
        let hosted = vm::stamp(session.host.as_ref());
        if hosted != 0 && state.hosting.is_none() {
            state.hosting = Some(hosting::begin(Arc::clone(&session.host), Arc::clone(&state.server)));
        }
        let held = Journal::find(&session.host, &session.config.state_dir)?;
        state.lease_s = held.as_ref().map(|journal| journal.lease().lease_s);
        if let Some(journal) = held {
            // Its end was reached before: the server only has to hear of it.
            if journal.end().is_some() {
                return self.carry_out(state, journal).await;
            }
            return self.poll(state, Some(journal)).await;
        }
        let now = FactsSent { hosted, at: session.host.now() };
        if !state.facts_sent.is_some_and(|sent| sent.hold(now)) {
            let sent = tokio::select! {
                sent = self.send_facts(state) => sent,
                () = self.stop.cancelled() => return Ok(stopped()),
            };
            match sent {
                Ok(()) => state.facts_sent = Some(now),
                // Facts that the server cannot use must not keep the machine from its work.
                Err(error) if !error.is_transient() && !error.is_unknown_identity() => {
                    tracing::error!(error = chain(&error), "the server refused the facts");
                    state.facts_sent = Some(now);
                }
                Err(error) => return Ok(self.failed(state, "sending the facts", &error)),
            }
        }
        let told = tokio::select! {
            told = self.tell_packages(&mut state.packages, state.server.as_ref()) => told,
            () = self.stop.cancelled() => return Ok(stopped()),
        };
        match told {
            Ok(()) => {}
            Err(error) if !error.is_transient() && !error.is_unknown_identity() => {
                tracing::error!(error = chain(&error), "the server refused the packages");
                state.packages.give_up();
            }
            // Nor must a server that takes everything else but these.
            Err(error) if error.is_transient() && state.packages.fails_again() => {
                tracing::warn!(error = chain(&error), "the packages are told later");
            }
            Err(error) => return Ok(self.failed(state, "sending the packages", &error)),
        }
        self.poll(state, None).await
    }

    async fn send_facts(&self, state: &State<'_>) -> Result<(), server::Error> {
        let facts = facts::gather(self.session.host.as_ref(), self.session.config.realm).await;
        state.server.facts(&facts).await
    }

    async fn poll(&self, state: &mut State<'_>, held: Option<Journal>) -> Result<Round, Error> {
        let request = PollRequest {
            boot_id: self.boot_id.clone(),
            realm: self.realm(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            working: held.as_ref().map(|journal| journal.lease().attempt),
            wait_s: POLL_WAIT_S,
        };
        let answer = tokio::select! {
            answer = state.server.poll(&request) => answer,
            () = self.stop.cancelled() => return Ok(stopped()),
        };
        let order = match answer {
            Ok(response) => response.order,
            Err(error) => return Ok(self.failed(state, "asking for work", &error)),
        };
        state.backoff.succeed();
        // An agent on trial proves itself in its own attempt; when the server has ended that one, by having reached the server.
        let holds = held.as_ref().map(|journal| journal.lease().attempt);
        if self.on_trial.is_some_and(|attempt| Some(attempt) != holds)
            && !self.proved.swap(true, Ordering::Relaxed)
            && let Err(error) =
                Upgrade::new(self.session.host.as_ref(), &self.session.config.state_dir).prove()
        {
            tracing::error!(error = chain(&error), "this agent works, but cannot say so");
        }
        match (order, held) {
            (Order::Run(lease), Some(journal)) if journal.lease().attempt == lease.attempt => {
                self.carry_out(state, journal).await
            }
            (Order::Run(lease), held) => {
                if let Some(journal) = held {
                    self.forget(journal, "the server gave other work")?;
                }
                match self.begin(&lease) {
                    Ok(journal) => self.carry_out(state, journal).await,
                    Err(error) => Ok(self.decline(state, &lease, &error).await),
                }
            }
            (Order::Drop { attempt, reason }, Some(journal)) if journal.lease().attempt == attempt => {
                self.forget(journal, &reason)?;
                Ok(Round::Next(Duration::ZERO))
            }
            (Order::Rest { again_ms }, Some(journal)) => {
                self.ask_about(state, journal, Duration::from_millis(again_ms)).await
            }
            (Order::Rest { again_ms }, None) => Ok(Round::Next(Duration::from_millis(again_ms))),
            (Order::Drop { .. } | Order::Unknown, _) => Ok(Round::Next(UNKNOWN_PAUSE)),
        }
    }

    /// The server had nothing to say of the attempt that the agent holds: whether it goes on is asked by a report.
    async fn ask_about(
        &self,
        state: &mut State<'_>,
        journal: Journal,
        pause: Duration,
    ) -> Result<Round, Error> {
        let request = ReportRequest { boot_id: self.boot_id.clone(), events: Vec::new() };
        let answer = tokio::select! {
            answer = state.server.report(journal.lease().attempt, &request) => answer,
            () = self.stop.cancelled() => return Ok(stopped()),
        };
        match answer.map(|response| response.verdict) {
            Ok(Verdict::Superseded { reason }) => self.forget(journal, &reason)?,
            Ok(_) => return self.carry_out(state, journal).await,
            Err(error) if error.is_transient() || error.is_unknown_identity() => {
                return Ok(self.failed(state, "asking about the attempt", &error));
            }
            Err(error) => self.forget(journal, &chain(&error))?,
        }
        Ok(Round::Next(pause))
    }

    /// An attempt that cannot be journalled (full disk) is not begun, and the server hears why.
    async fn decline(&self, state: &mut State<'_>, lease: &Lease, error: &journal::Error) -> Round {
        let reason = chain(error);
        tracing::error!(attempt = lease.attempt.0, reason, "the attempt cannot be begun");
        let outcome = Outcome::Failed { step: String::new(), reason, transient: true };
        let event = Event { seq: 1, at: self.session.host.now(), kind: EventKind::Finished { outcome } };
        let request = ReportRequest { boot_id: self.boot_id.clone(), events: vec![event] };
        match state.server.report(lease.attempt, &request).await {
            Ok(_) => Round::Next(DECLINED_PAUSE),
            Err(error) => self.failed(state, "declining an attempt", &error),
        }
    }

    fn begin(&self, lease: &Lease) -> Result<Journal, journal::Error> {
        let session = self.session;
        // A spool of this number can only be the rest of an attempt whose journal was lost.
        self.remove_spool(lease.attempt);
        tracing::info!(attempt = lease.attempt.0, "taking on an attempt");
        Journal::begin(&session.host, &session.config.state_dir, lease)
    }

    fn forget(&self, journal: Journal, reason: &str) -> Result<(), Error> {
        tracing::warn!(attempt = journal.lease().attempt.0, reason, "the attempt is dropped");
        self.remove_spool(journal.lease().attempt);
        Ok(journal.forget()?)
    }

    fn remove_spool(&self, attempt: AttemptId) {
        let session = self.session;
        let dir = spool_dir_of(&session.config.state_dir, attempt);
        if let Err(error) = Spool::remove(session.host.as_ref(), &dir) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a spool stays on disk");
        }
    }

    async fn carry_out(&self, state: &mut State<'_>, journal: Journal) -> Result<Round, Error> {
        let session = self.session;
        let runner = Runner {
            host: &session.host,
            server: state.server.as_ref(),
            identity: &state.credentials.identity,
            config: &session.config,
            boot_id: &self.boot_id,
            in_tools: &self.in_tools,
            console: &session.console,
            stop: self.stop,
        };
        let attempt = journal.lease().attempt;
        let after = runner.run(journal).await?;
        Ok(match after {
            After::Free => {
                state.packages.carried_out(attempt);
                Round::Next(Duration::ZERO)
            }
            After::Down => Round::Over(End::Ended(Ended::Down)),
            After::Stopped => stopped(),
        })
    }

    fn failed(&self, state: &mut State<'_>, doing: &str, error: &server::Error) -> Round {
        let longest = state.lease_s.map_or(Duration::MAX, backoff::longest_within);
        let pause = state.backoff.fail(backoff::random()).min(longest);
        let url = &state.credentials.identity.agents_url;
        let expired = self.session.host.now() >= state.credentials.identity.expires_at;
        match react(self.realm(), error, state.backoff.failures(), expired) {
            Reaction::Retry => {
                self.say_unreachable(url, error);
                Round::Next(pause)
            }
            Reaction::CheckTrust => Round::Over(End::TrustAgain),
            Reaction::Enrol => {
                self.say(&format!("the server does not know this machine any more: {}", chain(error)));
                Round::Over(End::EnrolAgain)
            }
            Reaction::CallForHelp => {
                tracing::error!(
                    url,
                    error = chain(error),
                    "{doing}: the server does not accept this agent's identity; if it was revoked or has expired, \
                     get a new token from the server and run `lotse-agent enrol`"
                );
                Round::Next(UNKNOWN_IDENTITY_PAUSE + pause)
            }
        }
    }
}

fn stopped() -> Round {
    Round::Over(End::Ended(Ended::Stopped))
}
