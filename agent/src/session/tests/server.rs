//! A server in memory, with a network that loses and repeats messages by a fixed pattern.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use serde_json::Value;
use tokio::sync::Notify;
use wire::{
    AttemptId, ClientId, Sha256,
    console::{
        ConsoleRefusal, ConsolesRequest, ConsolesResponse, SerialPiece, SerialPlace, SerialResponse,
        WantedConsole,
    },
    enrol::{BlobRef, EnrolRequest, EnrolResponse, Identity, Realm, RenewRequest},
    event::{Event, EventKind, Outcome, ReportRequest, ReportResponse, Stream, Verdict},
    facts::Facts,
    packages::{Condition, Package, PackageKey, PackagesRequest, PackagesResponse},
    poll::{Lease, Order, PollRequest, PollResponse},
    survey::Survey,
    trust::Trust,
};

use crate::{
    config::Addresses,
    identity::Credentials,
    plan::tests::Signer,
    server::{Connect, ConnectError, Error, Server},
    trust::tests::TestCa,
};

/// Clones are the same server.
#[derive(Clone)]
pub(super) struct FakeServer(Arc<Inner>);

struct Inner {
    ca: TestCa,
    signer: Signer,
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    now_at: i64,
    waiting: u32,
    refuse_tokens: bool,
    polls_refused: VecDeque<u16>,
    reports_down: bool,
    leases: VecDeque<Lease>,
    current: Option<Lease>,
    events: BTreeMap<i64, Vec<Event>>,
    restores: u32,
    verdicts: VecDeque<Verdict>,
    after_superseded: Option<usize>,
    renewals: Vec<Realm>,
    blobs: BTreeMap<Sha256, Vec<u8>>,
    messages: u32,
    lossy: bool,
    packages: BTreeMap<PackageKey, Package>,
    condition: Condition,
    packages_of: Vec<i64>,
    told: usize,
    packages_refused: usize,
    wanted: Vec<WantedConsole>,
    refused: Vec<String>,
    printed: String,
    printed_to: Option<SerialPlace>,
}

impl FakeServer {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State { now_at: 1_000_000_000_000_000, ..State::default() });
        Self(Arc::new(Inner { ca: TestCa::new(), signer: Signer::new(), state, idle: Notify::new() }))
    }

    pub(super) fn fingerprint(&self) -> Sha256 {
        self.0.ca.fingerprint.clone()
    }

    pub(super) fn now(&self) -> i64 {
        self.0.state.lock().unwrap().now_at
    }

    /// Queues an attempt.
    pub(super) fn queue(&self, attempt: i64, plan: &Value) -> Lease {
        let plan = self.0.signer.sign(plan);
        let lease = Lease { attempt: AttemptId(attempt), lease_s: 60, plan, tools: None };
        self.0.state.lock().unwrap().leases.push_back(lease.clone());
        lease
    }

    /// Queues an attempt whose plan somebody else signed.
    pub(super) fn queue_forged(&self, attempt: i64, plan: &Value) {
        let plan = Signer::new().sign(plan);
        let lease = Lease { attempt: AttemptId(attempt), lease_s: 60, plan, tools: None };
        self.0.state.lock().unwrap().leases.push_back(lease);
    }

    /// Queues an attempt that comes with a tool set.
    pub(super) fn queue_with_tools(&self, attempt: i64, plan: &Value, tools: &[u8]) {
        self.queue(attempt, plan);
        let mut hash = [0; 32];
        hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, tools).as_ref());
        let sha256 = Sha256::from_bytes(hash);
        let mut state = self.0.state.lock().unwrap();
        state.blobs.insert(sha256.clone(), tools.to_vec());
        state.leases.back_mut().unwrap().tools = Some(BlobRef { sha256, size_bytes: tools.len() as u64 });
    }

    pub(super) fn corrupt_blobs(&self) {
        self.0.state.lock().unwrap().blobs.values_mut().for_each(|content| content.reverse());
    }

    pub(super) fn identity(&self) -> Identity {
        let expires_at = self.now() + 90 * 86_400 * 1_000_000;
        Identity { client: ClientId(7), expires_at, ..self.0.signer.identity() }
    }

    /// Somebody wants to see the screen of a machine.
    pub(super) fn want(&self, link: &str, machine: &str) {
        let wanted = WantedConsole { link: link.to_owned(), machine: machine.to_owned() };
        self.0.state.lock().unwrap().wanted.push(wanted);
    }

    /// Which links were refused, and why.
    pub(super) fn refused(&self) -> Vec<String> {
        self.0.state.lock().unwrap().refused.clone()
    }

    /// What the one machine has printed.
    pub(super) fn printed(&self) -> String {
        self.0.state.lock().unwrap().printed.clone()
    }

    /// Enrolment requests that are told to wait first.
    pub(super) fn wait_for_adoption(&self, requests: u32) {
        self.0.state.lock().unwrap().waiting = requests;
    }

    pub(super) fn refuse_tokens(&self) {
        self.0.state.lock().unwrap().refuse_tokens = true;
    }

    /// The next poll gets this status.
    pub(super) fn refuse_poll(&self, status: u16) {
        self.0.state.lock().unwrap().polls_refused.push_back(status);
    }

    /// No report gets through, or all do again.
    pub(super) fn take_reports_down(&self, down: bool) {
        self.0.state.lock().unwrap().reports_down = down;
    }

    /// The answer to the next report that carries output; before and after it is "go on".
    pub(super) fn decide(&self, verdict: Verdict) {
        self.0.state.lock().unwrap().verdicts.push_back(verdict);
    }

    /// The server goes on with a backup from before the events of every attempt.
    pub(super) fn restore_a_backup(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.restores += 1;
        state.events.clear();
    }

    /// From now on every third message is lost, its answer is lost, or it comes twice.
    pub(super) fn lose_messages(&self) {
        self.0.state.lock().unwrap().lossy = true;
    }

    /// Waits until an agent asks for work and there is none.
    pub(super) async fn idle(&self) {
        self.0.idle.notified().await;
    }

    pub(super) fn events(&self, attempt: i64) -> Vec<Event> {
        self.0.state.lock().unwrap().events.get(&attempt).cloned().unwrap_or_default()
    }

    pub(super) fn outcome(&self, attempt: i64) -> Option<Outcome> {
        self.events(attempt).into_iter().find_map(|event| match event.kind {
            EventKind::Finished { outcome } => Some(outcome),
            _ => None,
        })
    }

    pub(super) fn output(&self, attempt: i64) -> Vec<String> {
        let line = |event: Event| match event.kind {
            EventKind::Output { line, stream: Stream::Stdout, .. } => Some(line),
            _ => None,
        };
        self.events(attempt).into_iter().filter_map(line).collect()
    }

    /// Reports that came after one was answered with "superseded"; `None` when none was.
    pub(super) fn reports_after_superseded(&self) -> Option<usize> {
        self.0.state.lock().unwrap().after_superseded
    }

    pub(super) fn renewals(&self) -> Vec<Realm> {
        self.0.state.lock().unwrap().renewals.clone()
    }

    /// The packages that the server knows, in order.
    pub(super) fn packages(&self) -> Vec<Package> {
        self.0.state.lock().unwrap().packages.values().cloned().collect()
    }

    /// What the server knows besides.
    pub(super) fn condition(&self) -> Condition {
        self.0.state.lock().unwrap().condition.clone()
    }

    /// Attempts that were named with packages.
    pub(super) fn packages_of(&self) -> Vec<i64> {
        self.0.state.lock().unwrap().packages_of.clone()
    }

    /// Packages that messages have named so far.
    pub(super) fn told_packages(&self) -> usize {
        self.0.state.lock().unwrap().told
    }

    /// The server takes no packages, but everything else.
    pub(super) fn refuse_packages(&self) {
        self.0.state.lock().unwrap().packages_refused = usize::MAX;
    }

    /// The server knows other packages than it was told.
    pub(super) fn forget_a_package(&self) {
        self.0.state.lock().unwrap().packages.pop_first();
    }

    pub(super) fn calls(&self, name: &str) -> usize {
        self.0.state.lock().unwrap().calls.iter().filter(|call| *call == name).count()
    }

    fn carry<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        act: impl Fn(&mut State) -> Result<T, Error> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut state = self.0.state.lock().unwrap();
            state.calls.push(name.to_owned());
            state.messages += 1;
            match state.messages % 9 {
                _ if !state.lossy => act(&mut state),
                0 => Err(lost(name)),
                3 => act(&mut state).and(Err(lost(name))),
                6 => act(&mut state).and_then(|_| act(&mut state)),
                _ => act(&mut state),
            }
        })
    }
}

fn lost(attempt: &'static str) -> Error {
    Error::Unreachable { attempt, source: "the network is cut".into() }
}

pub(super) fn refused(attempt: &'static str, status: u16) -> Error {
    Error::Refused { attempt, status, code: String::new(), problem: "because".into() }
}

impl Connect for FakeServer {
    fn trust<'a>(&'a self, _boot_url: &'a str, nonce: &'a str) -> BoxFuture<'a, Result<Trust, Error>> {
        self.carry("trust", |state| Ok(self.0.ca.answer(nonce, state.now_at)))
    }

    fn connect(
        &self,
        _addresses: &Addresses,
        _ca_pem: &str,
        _credentials: Option<&Credentials>,
    ) -> Result<Arc<dyn Server>, ConnectError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Server for FakeServer {
    fn enrol<'a>(&'a self, request: &'a EnrolRequest) -> BoxFuture<'a, Result<EnrolResponse, Error>> {
        let identity = self.identity();
        self.carry("enrol", move |state| {
            if state.refuse_tokens && request.token.is_some() {
                return Err(refused("enrol", 403));
            }
            if state.waiting == 0 {
                return Ok(EnrolResponse::Enrolled(Box::new(identity.clone())));
            }
            state.waiting -= 1;
            let fingerprint = Sha256::from_bytes([0; 32]);
            Ok(EnrolResponse::Waiting { fingerprint, ask_again_s: 5, message: "Please adopt me.".into() })
        })
    }

    fn renew<'a>(&'a self, request: &'a RenewRequest) -> BoxFuture<'a, Result<Identity, Error>> {
        let identity = self.identity();
        self.carry("renew", move |state| {
            state.renewals.push(request.realm);
            Ok(identity.clone())
        })
    }

    fn poll<'a>(&'a self, request: &'a PollRequest) -> BoxFuture<'a, Result<PollResponse, Error>> {
        self.carry("poll", |state| {
            if let Some(status) = state.polls_refused.pop_front() {
                return Err(refused("poll", status));
            }
            if state.current.is_none() {
                state.current = state.leases.pop_front();
            }
            let order = match (&state.current, request.working) {
                (Some(lease), _) => Order::Run(Box::new(lease.clone())),
                (None, Some(attempt)) => Order::Drop { attempt, reason: "over".into() },
                (None, None) => {
                    self.0.idle.notify_one();
                    Order::Rest { again_ms: 1000 }
                }
            };
            Ok(PollResponse { server_at: state.now_at, order })
        })
    }

    fn report<'a>(
        &'a self,
        attempt: AttemptId,
        request: &'a ReportRequest,
    ) -> BoxFuture<'a, Result<ReportResponse, Error>> {
        self.carry("report", move |state| {
            if state.reports_down {
                return Err(lost("report"));
            }
            state.after_superseded = state.after_superseded.map(|reports| reports + 1);
            let stored = state.events.entry(attempt.0).or_default();
            for event in &request.events {
                let next = stored.last().map_or(1, |last| last.seq + 1);
                assert!(event.seq <= next || state.restores > 0, "a gap: {} after {}", event.seq, next - 1);
                if event.seq == next {
                    stored.push(event.clone());
                }
            }
            let stored_seq = stored.last().map_or(0, |last| last.seq);
            if stored.last().is_some_and(|event| matches!(event.kind, EventKind::Finished { .. })) {
                state.current = None;
            }
            let has_output = request.events.iter().any(|e| matches!(e.kind, EventKind::Output { .. }));
            let verdict = if has_output { state.verdicts.pop_front() } else { None };
            if matches!(verdict, Some(Verdict::Superseded { .. })) {
                state.current = None;
                state.after_superseded = Some(0);
            }
            Ok(ReportResponse { stored_seq, verdict: verdict.unwrap_or(Verdict::Continue) })
        })
    }

    fn facts<'a>(&'a self, _facts: &'a Facts) -> BoxFuture<'a, Result<(), Error>> {
        self.carry("facts", |_| Ok(()))
    }

    fn survey<'a>(&'a self, _survey: &'a Survey) -> BoxFuture<'a, Result<(), Error>> {
        self.carry("survey", |_| Ok(()))
    }

    fn packages<'a>(
        &'a self,
        request: &'a PackagesRequest,
    ) -> BoxFuture<'a, Result<PackagesResponse, Error>> {
        self.carry("packages", move |state| {
            if state.packages_refused > 0 {
                state.packages_refused -= 1;
                return Err(refused("take the packages", 503));
            }
            let known = state.packages.values().cloned().collect::<Vec<_>>();
            let before = super::super::packages::hash(&known);
            if before != request.sha256 || request.base.is_none() {
                if request.base.as_ref().is_some_and(|base| *base != before) {
                    return Ok(PackagesResponse::SendWhole);
                }
                if request.base.is_none() {
                    state.packages.clear();
                }
                for key in &request.gone {
                    state.packages.remove(key);
                }
                let set = request.set.iter().map(|package| (package.key.clone(), package.clone()));
                state.packages.extend(set);
                state.told += request.set.len() + request.gone.len();
            }
            state.condition = request.condition.clone();
            let attempts = request.attempt.map(|attempt| attempt.0);
            state.packages_of.extend(attempts);
            Ok(PackagesResponse::Kept)
        })
    }

    fn secret<'a>(
        &'a self,
        _attempt: AttemptId,
        _reference: &'a str,
    ) -> BoxFuture<'a, Result<String, Error>> {
        self.carry("secret", |_| Ok("hidden".into()))
    }

    fn package<'a>(
        &'a self,
        _attempt: AttemptId,
        _content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.carry("package", |_| Ok(()))
    }

    fn consoles<'a>(
        &'a self,
        _request: &'a ConsolesRequest,
    ) -> BoxFuture<'a, Result<ConsolesResponse, Error>> {
        let wanted: Vec<_> = self.0.state.lock().unwrap().wanted.drain(..).collect();
        if wanted.is_empty() {
            Box::pin(future::pending())
        } else {
            Box::pin(async { Ok(ConsolesResponse { wanted }) })
        }
    }

    fn console<'a>(
        &'a self,
        _link: &'a str,
        shown: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        // Whoever looks says what the screen says.
        Box::pin(async move { Ok(shown.map(|piece| piece.map_err(|_| lost("console"))).boxed()) })
    }

    fn refuse_console<'a>(
        &'a self,
        link: &'a str,
        refusal: &'a ConsoleRefusal,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.carry("refuse", move |state| {
            state.refused.push(format!("{link}: {}", refusal.reason));
            Ok(())
        })
    }

    fn serial<'a>(&'a self, piece: &'a SerialPiece) -> BoxFuture<'a, Result<SerialResponse, Error>> {
        self.carry("serial", move |state| {
            if piece.length_bytes > 0
                && state.printed_to.is_none_or(|to| to.offset_bytes == piece.from.offset_bytes)
            {
                state.printed += &piece.text;
                let offset_bytes = piece.from.offset_bytes + piece.length_bytes;
                state.printed_to = Some(SerialPlace { offset_bytes, ..piece.from });
            }
            Ok(SerialResponse { known: state.printed_to })
        })
    }

    fn blob<'a>(
        &'a self,
        sha256: &'a Sha256,
        offset: u64,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        // Every connection breaks off after a megabyte and a bit.
        self.carry("blob", move |state| {
            let content = state.blobs.get(sha256).ok_or_else(|| refused("blob", 404))?;
            let rest = &content[usize::try_from(offset).unwrap()..];
            let chunks = rest[..rest.len().min(1_200_000)].chunks(100_000).map(Bytes::copy_from_slice);
            let mut chunks: Vec<_> = chunks.map(Ok).collect();
            if rest.len() > 1_200_000 {
                chunks.push(Err(lost("blob")));
            }
            Ok(stream::iter(chunks).boxed())
        })
    }
}
