//! What steps are given in tests: a fake machine, a server that can fail in the middle, a voice that remembers.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Mutex,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use wire::{
    AttemptId, Sha256,
    enrol::{BlobRef, EnrolRequest, EnrolResponse, Identity, RenewRequest},
    event::{ReportRequest, ReportResponse, Stream},
    facts::Facts,
    package_work::Transaction,
    poll::{PollRequest, PollResponse},
    storage::DiskExpectation,
    survey::Survey,
};

use super::{StepContext, Voice};
use crate::{
    config::Addresses,
    host::fake::FakeHost,
    server::{Error, Server},
};

/// Everything that a step needs.
pub(crate) struct Stage {
    pub(crate) host: FakeHost,
    pub(crate) server: FakeServer,
    pub(crate) voice: RecordingVoice,
    pub(crate) stop: CancellationToken,
    pub(crate) release: CancellationToken,
    identity: Identity,
    addresses: Addresses,
}

impl Stage {
    pub(crate) fn new(host: FakeHost) -> Self {
        Self {
            host,
            server: FakeServer::default(),
            voice: RecordingVoice::default(),
            stop: CancellationToken::new(),
            release: CancellationToken::new(),
            identity: crate::identity::tests::identity(),
            addresses: Addresses {
                server: "https://s:8443".into(),
                agents: "https://s:8444".into(),
                boot: "http://s:8080".into(),
                ca: Sha256::from_bytes([7; 32]),
            },
        }
    }

    pub(crate) fn ctx(&self) -> StepContext<'_> {
        StepContext {
            host: &self.host,
            server: &self.server,
            attempt: AttemptId(3),
            identity: &self.identity,
            addresses: &self.addresses,
            state_dir: Path::new("/run/lotse-agent"),
            target: Path::new("/target"),
            voice: &self.voice,
            stop: &self.stop,
            release: &self.release,
        }
    }

    /// Every line that was said, with its stream.
    pub(crate) fn lines(&self) -> Vec<(Stream, String)> {
        self.voice.lines.lock().unwrap().clone()
    }

    /// Every line in one text.
    pub(crate) fn said(&self) -> String {
        self.lines().into_iter().map(|(_, line)| line + "\n").collect()
    }
}

#[derive(Default)]
pub(crate) struct RecordingVoice {
    lines: Mutex<Vec<(Stream, String)>>,
    pub(crate) progress: Mutex<Vec<(u8, String)>>,
    pub(crate) transactions: Mutex<Vec<(bool, Transaction)>>,
}

impl Voice for RecordingVoice {
    fn line(&self, stream: Stream, line: &str) {
        self.lines.lock().unwrap().push((stream, line.to_owned()));
    }

    fn transaction(&self, is_preview: bool, transaction: &Transaction) {
        self.transactions.lock().unwrap().push((is_preview, transaction.clone()));
    }

    fn progress(&self, percent: u8, message: &str) {
        self.progress.lock().unwrap().push((percent, message.to_owned()));
    }
}

/// The disk of [`disk_in_memory`].
pub(crate) const DISK: &str = "/dev/vda";

/// A machine whose kernel knows of one disk of `size_bytes`; what is on it comes from `FakeHost::with_disk`.
pub(crate) fn disk_in_memory(size_bytes: u64) -> FakeHost {
    FakeHost::new(0)
        .with_file("/sys/block/vda/size", (size_bytes / 512).to_string())
        .with_file("/sys/block/vda/queue/logical_block_size", "512")
        .with_file("/sys/block/vda/serial", "S1")
}

/// What a plan says of that disk.
pub(crate) fn expectation_of_disk_in_memory(size_bytes: u64) -> DiskExpectation {
    DiskExpectation {
        disk: "system".into(),
        path: DISK.into(),
        serial: "S1".into(),
        wwn: String::new(),
        size_bytes,
        sector_bytes: 512,
        model: String::new(),
    }
}

/// A server with one blob and some secrets.
#[derive(Default)]
pub(crate) struct FakeServer {
    pub(crate) secrets: BTreeMap<String, String>,
    /// So many answers with a secret are lost.
    pub(crate) lost_secrets: Mutex<u32>,
    pub(crate) facts: Mutex<Vec<Facts>>,
    pub(crate) surveys: Mutex<Vec<Survey>>,
    pub(crate) blob: Vec<u8>,
    /// What was sent.
    pub(crate) packages: Mutex<Vec<Vec<u8>>>,
    /// After how many bytes the next connections break off; none left: they do not.
    pub(crate) breaks: Mutex<VecDeque<usize>>,
    /// Where each connection began.
    pub(crate) offsets: Mutex<Vec<u64>>,
}

impl FakeServer {
    /// The next answers with a secret are lost.
    pub(super) fn lose_secrets(&self, answers: u32) {
        *self.lost_secrets.lock().unwrap() = answers;
    }

    /// What the plan says about the blob.
    pub(crate) fn reference(&self) -> BlobRef {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.blob).as_ref());
        BlobRef { sha256: Sha256::from_bytes(hash), size_bytes: self.blob.len() as u64 }
    }
}

fn cut(attempt: &'static str) -> Error {
    Error::Unreachable { attempt, source: "the connection was cut".into() }
}

impl Server for FakeServer {
    fn enrol<'a>(&'a self, _: &'a EnrolRequest) -> BoxFuture<'a, Result<EnrolResponse, Error>> {
        Box::pin(async { Err(cut("enrol")) })
    }

    fn renew<'a>(&'a self, _: &'a RenewRequest) -> BoxFuture<'a, Result<Identity, Error>> {
        Box::pin(async { Err(cut("renew the identity")) })
    }

    fn poll<'a>(&'a self, _: &'a PollRequest) -> BoxFuture<'a, Result<PollResponse, Error>> {
        Box::pin(async { Err(cut("poll for work")) })
    }

    fn report<'a>(
        &'a self,
        _: AttemptId,
        _: &'a ReportRequest,
    ) -> BoxFuture<'a, Result<ReportResponse, Error>> {
        Box::pin(async { Err(cut("take the report")) })
    }

    fn facts<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<(), Error>> {
        self.facts.lock().unwrap().push(facts.clone());
        Box::pin(async { Ok(()) })
    }

    fn survey<'a>(&'a self, survey: &'a Survey) -> BoxFuture<'a, Result<(), Error>> {
        self.surveys.lock().unwrap().push(survey.clone());
        Box::pin(async { Ok(()) })
    }

    fn packages<'a>(
        &'a self,
        _: &'a wire::packages::PackagesRequest,
    ) -> BoxFuture<'a, Result<wire::packages::PackagesResponse, Error>> {
        Box::pin(async { Err(cut("take the packages")) })
    }

    fn secret<'a>(&'a self, _: AttemptId, reference: &'a str) -> BoxFuture<'a, Result<String, Error>> {
        let mut lost = self.lost_secrets.lock().unwrap();
        let found = self.secrets.get(reference).filter(|_| *lost == 0).cloned();
        *lost = lost.saturating_sub(1);
        let secret = found.ok_or_else(|| cut("hand out a secret"));
        Box::pin(async { secret })
    }

    fn package<'a>(
        &'a self,
        _: AttemptId,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let pieces: Vec<_> = content.map(|piece| piece.unwrap().to_vec()).collect().await;
            self.packages.lock().unwrap().push(pieces.concat());
            Ok(())
        })
    }

    fn consoles<'a>(
        &'a self,
        _: &'a wire::console::ConsolesRequest,
    ) -> BoxFuture<'a, Result<wire::console::ConsolesResponse, Error>> {
        Box::pin(async { Err(cut("wait for consoles")) })
    }

    fn console<'a>(
        &'a self,
        _: &'a str,
        _: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        Box::pin(async { Err(cut("show a console")) })
    }

    fn refuse_console<'a>(
        &'a self,
        _: &'a str,
        _: &'a wire::console::ConsoleRefusal,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(cut("hear why there is no console")) })
    }

    fn serial<'a>(
        &'a self,
        _: &'a wire::console::SerialPiece,
    ) -> BoxFuture<'a, Result<wire::console::SerialResponse, Error>> {
        Box::pin(async { Err(cut("take what a machine prints")) })
    }

    fn blob<'a>(
        &'a self,
        _: &'a Sha256,
        offset: u64,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        self.offsets.lock().unwrap().push(offset);
        let rest = self.blob[usize::try_from(offset).unwrap()..].to_vec();
        let broken = self.breaks.lock().unwrap().pop_front();
        let length = broken.unwrap_or(rest.len()).min(rest.len());
        let mut chunks: Vec<_> = rest[..length].chunks(1000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        if broken.is_some() {
            chunks.push(Err(cut("send a stored file")));
        }
        Box::pin(async move { Ok(futures_util::stream::iter(chunks).boxed()) })
    }
}
