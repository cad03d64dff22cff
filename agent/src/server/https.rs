//! The server over HTTPS: one client for one identity, which trusts the pinned CA and nothing else.
//!
//! A new identity gets a new client: the old connection would go on with the old certificate. No retries here; the
//! callers know what may be repeated.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Version, header};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::de::DeserializeOwned;
use wire::{
    AttemptId, Sha256,
    console::{ConsoleRefusal, ConsolesRequest, ConsolesResponse, SerialPiece, SerialResponse},
    enrol::{EnrolRequest, EnrolResponse, Identity, RenewRequest},
    event::{ReportRequest, ReportResponse},
    facts::Facts,
    packages::{PackagesRequest, PackagesResponse},
    poll::{PollRequest, PollResponse},
    problem::Problem,
    survey::Survey,
    trust::Trust,
};

use super::{Connect, ConnectError, Error, Server};
use crate::{config::Addresses, identity::Credentials};

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// Beyond the time that a poll is allowed to wait on the server.
const POLL_PATIENCE: Duration = Duration::from_secs(15);
/// Without a single byte of a blob.
const SILENCE_PATIENCE: Duration = Duration::from_secs(30);

/// On a connection of its own that may be quiet for long, a peer that is gone is noticed by this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The largest answers are plans. The plain listener's can be forged by anybody on the way, who must not fill the machine's memory.
const LARGEST_ANSWER: usize = 8 << 20;

/// Makes real connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Https;

impl Connect for Https {
    fn trust<'a>(&'a self, boot_url: &'a str, nonce: &'a str) -> BoxFuture<'a, Result<Trust, Error>> {
        Box::pin(async move {
            let attempt = "ask for its certificate authority";
            let client = plain(attempt, CONNECT_PATIENCE)?;
            let request = client.get(format!("{boot_url}/boot/trust")).query(&[("nonce", nonce)]);
            json(attempt, request.timeout(ANSWER_PATIENCE)).await
        })
    }

    fn connect(
        &self,
        addresses: &Addresses,
        ca_pem: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Arc<dyn Server>, ConnectError> {
        let tls = tls(ca_pem, credentials)?;
        let client =
            builder().tls_backend_preconfigured(tls.clone()).build().map_err(ConnectError::Client)?;
        let identity = credentials.map(|credentials| &credentials.identity);
        let either = |named: Option<&str>, configured: &str| {
            named.filter(|url| !url.is_empty()).unwrap_or(configured).to_owned()
        };
        Ok(Arc::new(HttpsServer {
            client,
            tls,
            enrol_url: addresses.server.clone(),
            agents_url: either(identity.map(|identity| identity.agents_url.as_str()), &addresses.agents),
            boot_url: either(identity.map(|identity| identity.boot_url.as_str()), &addresses.boot),
        }))
    }
}

/// For plain HTTP: whom TLS would trust does not matter, but loading the system's roots would cost memory.
pub(super) fn plain(attempt: &'static str, patience: Duration) -> Result<Client, Error> {
    let tls = tls_trusting(RootCertStore::empty()).map_err(|error| unreachable(attempt, error))?;
    builder()
        .connect_timeout(patience)
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .build()
        .map_err(|error| unreachable(attempt, error))
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("lotse-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_PATIENCE)
        // What the environment says of proxies is for people; the server is reached directly.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(1)
        .tcp_keepalive(Duration::from_secs(30))
}

fn tls(ca_pem: &str, credentials: Option<&Credentials>) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(ConnectError::Pem)?;
    roots.add(ca).map_err(ConnectError::Tls)?;
    let config = tls_trusting(roots).map_err(ConnectError::Tls)?;
    let mut config = match credentials {
        None => config.with_no_client_auth(),
        Some(credentials) => {
            let chain = CertificateDer::pem_slice_iter(credentials.identity.certificate_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(ConnectError::Pem)?;
            let key =
                PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes()).map_err(ConnectError::Pem)?;
            config.with_client_auth_cert(chain, key).map_err(ConnectError::Tls)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn tls_trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots))
}

struct HttpsServer {
    client: Client,
    /// For connections beside the one that is kept.
    tls: ClientConfig,
    enrol_url: String,
    agents_url: String,
    boot_url: String,
}

impl HttpsServer {
    fn agents(&self, path: &str) -> String {
        format!("{}/agent/v1/{path}", self.agents_url)
    }
}

impl Server for HttpsServer {
    fn enrol<'a>(&'a self, request: &'a EnrolRequest) -> BoxFuture<'a, Result<EnrolResponse, Error>> {
        let post = self.client.post(format!("{}/agent/v1/enrol", self.enrol_url)).json(request);
        Box::pin(json("enrol", post.timeout(ANSWER_PATIENCE)))
    }

    fn renew<'a>(&'a self, request: &'a RenewRequest) -> BoxFuture<'a, Result<Identity, Error>> {
        let post = self.client.post(self.agents("renew")).json(request);
        Box::pin(json("renew the identity", post.timeout(ANSWER_PATIENCE)))
    }

    fn poll<'a>(&'a self, request: &'a PollRequest) -> BoxFuture<'a, Result<PollResponse, Error>> {
        let patience = Duration::from_secs(request.wait_s.into()) + POLL_PATIENCE;
        let post = self.client.post(self.agents("poll")).json(request);
        Box::pin(json("poll for work", post.timeout(patience)))
    }

    fn report<'a>(
        &'a self,
        attempt: AttemptId,
        request: &'a ReportRequest,
    ) -> BoxFuture<'a, Result<ReportResponse, Error>> {
        let post = self.client.post(self.agents(&format!("attempts/{attempt}/report"))).json(request);
        Box::pin(json("take the report", post.timeout(ANSWER_PATIENCE)))
    }

    fn facts<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<(), Error>> {
        let post = self.client.post(self.agents("facts")).json(facts).timeout(ANSWER_PATIENCE);
        Box::pin(async move { answer("take the facts", post).await.map(drop) })
    }

    fn survey<'a>(&'a self, survey: &'a Survey) -> BoxFuture<'a, Result<(), Error>> {
        let post = self.client.post(self.agents("survey")).json(survey).timeout(ANSWER_PATIENCE);
        Box::pin(async move { answer("take the survey", post).await.map(drop) })
    }

    fn packages<'a>(
        &'a self,
        packages: &'a PackagesRequest,
    ) -> BoxFuture<'a, Result<PackagesResponse, Error>> {
        let post = self.client.post(self.agents("packages")).json(packages);
        Box::pin(json("take the packages", post.timeout(ANSWER_PATIENCE)))
    }

    fn secret<'a>(&'a self, attempt: AttemptId, reference: &'a str) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            let what = "hand out a secret";
            let mut url = reqwest::Url::parse(&self.agents(&format!("attempts/{attempt}/secrets")))
                .map_err(|error| unreachable(what, error))?;
            // A reference is one segment, whatever signs it contains.
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.push(reference);
            }
            json(what, self.client.get(url).timeout(ANSWER_PATIENCE)).await
        })
    }

    fn package<'a>(
        &'a self,
        attempt: AttemptId,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        // It takes as long as it takes; the step's own time is its limit.
        let post = self.client.post(self.agents(&format!("attempts/{attempt}/packages")));
        let post = post.body(reqwest::Body::wrap_stream(content));
        Box::pin(async move { answer("take a package", post).await.map(drop) })
    }

    fn consoles<'a>(
        &'a self,
        request: &'a ConsolesRequest,
    ) -> BoxFuture<'a, Result<ConsolesResponse, Error>> {
        let patience = Duration::from_secs(request.wait_s.into()) + POLL_PATIENCE;
        let post = self.client.post(self.agents("consoles")).json(request);
        Box::pin(json("wait for consoles", post.timeout(patience)))
    }

    fn console<'a>(
        &'a self,
        link: &'a str,
        shown: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        let what = "show a console";
        Box::pin(async move {
            // A screen that nobody takes would hold up everything else on a connection that it shares.
            let client = builder()
                .http2_keep_alive_interval(KEEP_ALIVE)
                .http2_keep_alive_while_idle(true)
                .tls_backend_preconfigured(self.tls.clone())
                .build()
                .map_err(|error| broken(what, error))?;
            let post = client.post(self.agents(&format!("consoles/{link}")));
            let post = post.body(reqwest::Body::wrap_stream(shown));
            let response = tokio::time::timeout(ANSWER_PATIENCE, answer(what, post))
                .await
                .map_err(|elapsed| unreachable(what, elapsed))??;
            // Over HTTP/1.1 an answer comes after its request, and not beside it.
            if response.version() != Version::HTTP_2 {
                return Err(unreachable(what, "the server does not speak HTTP/2"));
            }
            Ok(response.bytes_stream().map_err(move |error| broken(what, error)).boxed())
        })
    }

    fn refuse_console<'a>(
        &'a self,
        link: &'a str,
        refusal: &'a ConsoleRefusal,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let post = self.client.post(self.agents(&format!("consoles/{link}/refusal"))).json(refusal);
        Box::pin(async move {
            answer("hear why there is no console", post.timeout(ANSWER_PATIENCE)).await.map(drop)
        })
    }

    fn serial<'a>(&'a self, piece: &'a SerialPiece) -> BoxFuture<'a, Result<SerialResponse, Error>> {
        let post = self.client.post(self.agents("serial")).json(piece);
        Box::pin(json("take what a machine prints", post.timeout(ANSWER_PATIENCE)))
    }

    fn blob<'a>(
        &'a self,
        sha256: &'a Sha256,
        offset: u64,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>> {
        let what = "send a stored file";
        let mut get = self.client.get(format!("{}/boot/blobs/{sha256}", self.boot_url));
        if offset > 0 {
            get = get.header(header::RANGE, format!("bytes={offset}-"));
        }
        Box::pin(async move {
            let response = tokio::time::timeout(ANSWER_PATIENCE, answer(what, get))
                .await
                .map_err(|elapsed| unreachable(what, elapsed))??;
            // A server that ignored the range would make us append the beginning to the middle.
            if offset > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
                let problem = format!("asked for the rest from byte {offset}, but all of the file came");
                let status = response.status().as_u16();
                return Err(Error::Refused { attempt: what, status, code: String::new(), problem });
            }
            let chunks = response.bytes_stream().map_err(move |error| broken(what, error));
            let chunks = until_silent(chunks.boxed(), what);
            Ok(chunks.boxed())
        })
    }
}

/// Ends a stream with an error when nothing comes for too long.
fn until_silent(
    chunks: BoxStream<'static, Result<Bytes, Error>>,
    attempt: &'static str,
) -> impl futures_util::Stream<Item = Result<Bytes, Error>> + Send {
    futures_util::stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(SILENCE_PATIENCE, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Err(elapsed) => Some((Err(unreachable(attempt, elapsed)), None)),
        }
    })
}

pub(super) fn broken(attempt: &'static str, error: reqwest::Error) -> Error {
    // The caller knows whom it asked; the nonce in the URL helps nobody.
    unreachable(attempt, error.without_url())
}

pub(super) fn unreachable(
    attempt: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Unreachable { attempt, source: source.into() }
}

async fn json<T: DeserializeOwned>(attempt: &'static str, request: RequestBuilder) -> Result<T, Error> {
    let body = whole(attempt, answer(attempt, request).await?).await?;
    serde_json::from_slice(&body).map_err(|error| unreachable(attempt, error))
}

/// All of an answer, unless that is too much.
async fn whole(attempt: &'static str, mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(attempt, error))? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(unreachable(attempt, "the answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The response, when its status says success; else the problem in it.
async fn answer(attempt: &'static str, request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await.map_err(|error| broken(attempt, error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = whole(attempt, response).await.unwrap_or_default();
    let (code, problem) = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if problem.remedy.is_empty() => (problem.code, problem.title),
        Ok(problem) => (problem.code, format!("{}; {}", problem.title, problem.remedy)),
        Err(_) => (String::new(), String::from_utf8_lossy(&body).chars().take(200).collect()),
    };
    Err(Error::Refused { attempt, status: status.as_u16(), code, problem })
}

#[cfg(test)]
mod tests;
