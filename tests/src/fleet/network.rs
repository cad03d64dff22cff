//! The agent's door to its server, behind a network on which messages are lost, repeated, held up and broken off.
//!
//! Messages that were repeated die with the agent that sent them, as they do when its connection is closed.

use std::{fmt, sync::Arc};

use agent::{
    config::Addresses,
    identity::Credentials,
    server::{Connect, ConnectError, Error, Server, https::Https},
};
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::task::AbortHandle;
use wire::{
    AttemptId, Sha256,
    console::{ConsoleRefusal, ConsolesRequest, ConsolesResponse, SerialPiece, SerialResponse},
    enrol::{EnrolRequest, EnrolResponse, Identity, RenewRequest},
    event::{ReportRequest, ReportResponse},
    facts::Facts,
    packages::{PackagesRequest, PackagesResponse},
    poll::{PollRequest, PollResponse},
    survey::Survey,
    trust::Trust,
};

use super::luck::{Call, Fate, Luck};

/// Real connections with bad luck.
pub struct BadNetwork(pub Arc<Luck>);

struct BadServer {
    inner: Arc<dyn Server>,
    luck: Arc<Luck>,
    repeated: Repeated,
}

/// Ends what it holds when it is dropped.
#[derive(Default)]
struct Repeated(std::sync::Mutex<Vec<AbortHandle>>);

impl Repeated {
    fn keep(&self, message: AbortHandle) {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.retain(|message| !message.is_finished());
        kept.push(message);
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        for message in self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            message.abort();
        }
    }
}

fn lost(attempt: &'static str) -> Error {
    Error::Unreachable { attempt, source: "the network has lost it".into() }
}

type Answer<T> = BoxFuture<'static, Result<T, Error>>;

impl BadServer {
    /// Carries a message to the server and its answer back, or not.
    async fn carry<T: Send + 'static>(
        &self,
        call: Call,
        send: impl Fn(Arc<dyn Server>) -> Answer<T> + Send + Sync,
    ) -> Result<T, Error> {
        let Some(way) = self.luck.way(call) else { return std::future::pending().await };
        if !way.held_up.is_zero() {
            tokio::time::sleep(way.held_up).await;
        }
        let answer = match way.fate {
            Fate::RequestLost => return Err(lost("send a message")),
            Fate::Fine => send(self.inner.clone()).await?,
            Fate::AnswerLost => {
                send(self.inner.clone()).await?;
                return Err(lost("receive an answer"));
            }
            Fate::Twice(later) => {
                let again = send(self.inner.clone());
                let repeated = tokio::spawn(async move {
                    tokio::time::sleep(later).await;
                    again.await.map(drop)
                });
                self.repeated.keep(repeated.abort_handle());
                send(self.inner.clone()).await?
            }
        };
        if let Some(ambush) = self.luck.ambush(call) {
            ambush.reached.notify_one();
            ambush.done.notified().await;
            return Err(lost("receive the one answer that was waited for"));
        }
        Ok(answer)
    }
}

impl Connect for BadNetwork {
    fn trust<'a>(&'a self, boot_url: &'a str, nonce: &'a str) -> BoxFuture<'a, Result<Trust, Error>> {
        Box::pin(async move {
            let Some(way) = self.0.way(Call::Trust) else { return std::future::pending().await };
            match way.fate {
                Fate::RequestLost => Err(lost("ask for trust")),
                Fate::AnswerLost => Https.trust(boot_url, nonce).await.and(Err(lost("be told of trust"))),
                Fate::Fine | Fate::Twice(_) => Https.trust(boot_url, nonce).await,
            }
        })
    }

    fn connect(
        &self,
        addresses: &Addresses,
        ca_pem: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Arc<dyn Server>, ConnectError> {
        let inner = Https.connect(addresses, ca_pem, credentials)?;
        Ok(Arc::new(BadServer { inner, luck: self.0.clone(), repeated: Repeated::default() }))
    }
}

impl fmt::Debug for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BadNetwork")
    }
}

impl Server for BadServer {
    fn enrol<'a>(&'a self, request: &'a EnrolRequest) -> BoxFuture<'a, Result<EnrolResponse, Error>> {
        let request = request.clone();
        Box::pin(self.carry(Call::Enrol, move |server| {
            let request = request.clone();
            Box::pin(async move { server.enrol(&request).await })
        }))
    }

    fn renew<'a>(&'a self, request: &'a RenewRequest) -> BoxFuture<'a, Result<Identity, Error>> {
        let request = request.clone();
        Box::pin(self.carry(Call::Renew, move |server| {
            let request = request.clone();
            Box::pin(async move { server.renew(&request).await })
        }))
    }

    fn poll<'a>(&'a self, request: &'a PollRequest) -> BoxFuture<'a, Result<PollResponse, Error>> {
        let request = request.clone();
        Box::pin(self.carry(Call::Poll, move |server| {
            let request = request.clone();
            Box::pin(async move { server.poll(&request).await })
        }))
    }

    fn report<'a>(
        &'a self,
        attempt: AttemptId,
        request: &'a ReportRequest,
    ) -> BoxFuture<'a, Result<ReportResponse, Error>> {
        let request = request.clone();
        Box::pin(self.carry(Call::Report, move |server| {
            let request = request.clone();
            Box::pin(async move { server.report(attempt, &request).await })
        }))
    }

    fn facts<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<(), Error>> {
        let facts = facts.clone();
        Box::pin(self.carry(Call::Facts, move |server| {
            let facts = facts.clone();
            Box::pin(async move { server.facts(&facts).await })
        }))
    }

    fn survey<'a>(&'a self, survey: &'a Survey) -> BoxFuture<'a, Result<(), Error>> {
        let survey = survey.clone();
        Box::pin(self.carry(Call::Facts, move |server| {
            let survey = survey.clone();
            Box::pin(async move { server.survey(&survey).await })
        }))
    }

    fn packages<'a>(
        &'a self,
        packages: &'a PackagesRequest,
    ) -> BoxFuture<'a, Result<PackagesResponse, Error>> {
        let packages = packages.clone();
        Box::pin(self.carry(Call::Packages, move |server| {
            let packages = packages.clone();
            Box::pin(async move { server.packages(&packages).await })
        }))
    }

    fn secret<'a>(&'a self, attempt: AttemptId, reference: &'a str) -> BoxFuture<'a, Result<String, Error>> {
        let reference = reference.to_owned();
        Box::pin(self.carry(Call::Secret, move |server| {
            let reference = reference.clone();
            Box::pin(async move { server.secret(attempt, &reference).await })
        }))
    }

    fn package<'a>(
        &'a self,
        attempt: AttemptId,
        content: BoxStream<'static, std::io::Result<bytes::Bytes>>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        // A stream is there once: it cannot be repeated by the network.
        self.inner.package(attempt, content)
    }

    fn consoles<'a>(
        &'a self,
        request: &'a ConsolesRequest,
    ) -> BoxFuture<'a, Result<ConsolesResponse, Error>> {
        // Whoever hosts machines asks beside everything else: a bad network is the session's own.
        self.inner.consoles(request)
    }

    fn console<'a>(
        &'a self,
        link: &'a str,
        shown: BoxStream<'static, std::io::Result<bytes::Bytes>>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<bytes::Bytes, Error>>, Error>> {
        self.inner.console(link, shown)
    }

    fn refuse_console<'a>(
        &'a self,
        link: &'a str,
        refusal: &'a ConsoleRefusal,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.refuse_console(link, refusal)
    }

    fn serial<'a>(&'a self, piece: &'a SerialPiece) -> BoxFuture<'a, Result<SerialResponse, Error>> {
        self.inner.serial(piece)
    }

    fn blob<'a>(
        &'a self,
        sha256: &'a Sha256,
        offset: u64,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<bytes::Bytes, Error>>, Error>> {
        let sha256 = sha256.clone();
        Box::pin(async move {
            let whole = self
                .carry(Call::Blob, move |server| {
                    let sha256 = sha256.clone();
                    Box::pin(async move { server.blob(&sha256, offset).await })
                })
                .await?;
            Ok(match self.luck.breaks_after() {
                None => whole,
                Some(pieces) => {
                    whole.take(pieces).chain(stream::once(async { Err(lost("receive a piece")) })).boxed()
                }
            })
        })
    }
}
