//! The one door to the server. The real one speaks HTTPS; fleets in tests wrap it to lose, delay and repeat messages.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
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

use crate::{config::Addresses, identity::Credentials};

pub mod https;
pub mod plain;

/// How an agent comes to a [`Server`].
pub trait Connect: Send + Sync {
    /// Asks over plain HTTP for the CA and the time; the caller checks the answer.
    fn trust<'a>(&'a self, boot_url: &'a str, nonce: &'a str) -> BoxFuture<'a, Result<Trust, Error>>;

    /// Prepares connections that trust this CA only and show these credentials; without them only [`Server::enrol`] works.
    /// Nothing is sent yet.
    fn connect(
        &self,
        addresses: &Addresses,
        ca_pem: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Arc<dyn Server>, ConnectError>;
}

/// Why connections cannot even be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// CA, certificate or key are not PEM.
    #[error("reading the certificates of the identity")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// CA, certificate or key do not fit.
    #[error("using the certificates of the identity")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be built.
    #[error("preparing the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// What an agent can ask of its server.
pub trait Server: Send + Sync {
    /// Asks for an identity, or to be adopted.
    fn enrol<'a>(&'a self, request: &'a EnrolRequest) -> BoxFuture<'a, Result<EnrolResponse, Error>>;

    /// Exchanges the identity for a new one.
    fn renew<'a>(&'a self, request: &'a RenewRequest) -> BoxFuture<'a, Result<Identity, Error>>;

    /// Asks for work.
    fn poll<'a>(&'a self, request: &'a PollRequest) -> BoxFuture<'a, Result<PollResponse, Error>>;

    /// Reports events of an attempt; an empty list is a heartbeat.
    fn report<'a>(
        &'a self,
        attempt: AttemptId,
        request: &'a ReportRequest,
    ) -> BoxFuture<'a, Result<ReportResponse, Error>>;

    /// Sends what was measured.
    fn facts<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<(), Error>>;

    /// Sends how the system is set up.
    fn survey<'a>(&'a self, survey: &'a Survey) -> BoxFuture<'a, Result<(), Error>>;

    /// Sends which packages there are, or what differs.
    fn packages<'a>(
        &'a self,
        packages: &'a PackagesRequest,
    ) -> BoxFuture<'a, Result<PackagesResponse, Error>>;

    /// A secret that a step of the attempt names.
    fn secret<'a>(&'a self, attempt: AttemptId, reference: &'a str) -> BoxFuture<'a, Result<String, Error>>;

    /// Sends a package that the attempt is to send; the same again is fine.
    fn package<'a>(
        &'a self,
        attempt: AttemptId,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits until somebody wants to see the screen of a machine that is hosted here.
    fn consoles<'a>(&'a self, request: &'a ConsolesRequest)
    -> BoxFuture<'a, Result<ConsolesResponse, Error>>;

    /// Shows a screen to whoever waits for it, over a connection of its own; gives what they do.
    fn console<'a>(
        &'a self,
        link: &'a str,
        shown: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>>;

    /// Says why a screen cannot be shown.
    fn refuse_console<'a>(
        &'a self,
        link: &'a str,
        refusal: &'a ConsoleRefusal,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Sends what a machine has printed on its serial line; tells where the server is.
    fn serial<'a>(&'a self, piece: &'a SerialPiece) -> BoxFuture<'a, Result<SerialResponse, Error>>;

    /// The bytes of a blob from the given offset on. The caller checks the hash.
    fn blob<'a>(
        &'a self,
        sha256: &'a Sha256,
        offset: u64,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, Error>>, Error>>;
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, no answer in time, or the answer broke off: try again later.
    #[error("reaching the server to {attempt}")]
    Unreachable {
        /// What was attempted, such as `poll for work`.
        attempt: &'static str,
        /// Why, as a chain of causes in one line.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server answered with an error.
    #[error("the server refused to {attempt}: {problem} ({status})")]
    Refused {
        /// What was attempted.
        attempt: &'static str,
        /// HTTP status.
        status: u16,
        /// `code` of the problem document, or empty.
        code: String,
        /// Title and remedy of the problem document, or the start of the body.
        problem: String,
    },
}

impl Error {
    /// Trying again later may help: no connection, 429, 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
        }
    }

    /// The server does not know the agent, or not any more.
    pub fn is_unknown_identity(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }
}
