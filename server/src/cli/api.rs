//! The command line's way to the API: which server, with which CA, as whom; and errors as people need them.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::Context;
use reqwest::{Certificate, Method, Response, StatusCode, header::IF_MATCH};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wire::{
    Sha256,
    problem::{FieldProblem, Problem},
};

use super::{
    Exit, Failure, Output, ServerWords, output,
    sse::{self, Message},
};
use crate::{config::FILE, context::Addresses, domain::client::is_name};

/// What `lotse login` keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) server: String,
    pub(super) ca_pem: String,
    pub(super) token: String,
}

/// A name of a client, group or layout, which can stand in a path as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name has small letters, digits and hyphens, at most 63".to_owned())
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fingerprint as people copy it: in groups, as a machine's screen shows it, with colons, in capitals.
pub(super) fn fingerprint(text: &str) -> Result<Sha256, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    digits.to_ascii_lowercase().parse().map_err(|_| {
        format!("a fingerprint has 64 hexadecimal digits, this one has {}", digits.chars().count())
    })
}

/// A path with a query, which grows by what is given.
pub(super) struct Query(pub(super) String);

impl Query {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// One more value (RFC 3986, 2.1).
    pub(super) fn with(mut self, name: &str, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            let sign = if self.0.contains('?') { '&' } else { '?' };
            self.0 = format!("{}{sign}{name}=", self.0);
            for byte in value.to_string().bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    self.0.push(char::from(byte));
                } else {
                    self.0.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        self
    }
}

/// A text as a value of a query (RFC 3986, 2.3).
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// After these pauses an order whose answer got lost is sent again.
const PAUSES: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// A connection to a server.
pub(super) struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
    pub(super) output: Output,
}

/// `~/.config/lotse/credentials.toml`
pub(super) fn credentials_path() -> anyhow::Result<PathBuf> {
    let home = std::env::home_dir().context("finding your home directory")?;
    Ok(home.join(".config/lotse/credentials.toml"))
}

/// The data directory of the server on this machine, by its environment or configuration.
pub(super) fn local_data() -> PathBuf {
    if let Some(data) = std::env::var_os("LOTSE_DATA") {
        return data.into();
    }
    let configured = std::fs::read_to_string(FILE)
        .ok()
        .and_then(|text| toml::from_str::<toml::Table>(&text).ok())
        .and_then(|table| table.get("data").and_then(|data| data.as_str().map(PathBuf::from)));
    configured.unwrap_or_else(|| PathBuf::from("/var/lib/lotse"))
}

impl Api {
    /// Finds out which server is meant: the words, then what was kept at login, then the server on this machine.
    ///
    /// # Errors
    /// Something is missing; the error says what to do.
    pub(super) fn connect(words: &ServerWords, output: Output) -> anyhow::Result<Self> {
        let kept = credentials_path()
            .ok()
            .and_then(|path| std::fs::read_to_string(path).ok())
            .and_then(|text| toml::from_str::<Credentials>(&text).ok());
        let data = local_data();
        let local = std::fs::read(data.join("run/addresses.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<Addresses>(&text).ok());
        let missing =
            |what: &str, how: &str| Failure::error(Exit::Usage, format!("{what} is not known; {how}"));
        let base = words
            .server
            .clone()
            .or_else(|| kept.as_ref().map(|kept| kept.server.clone()))
            .or_else(|| local.as_ref().map(|local| local.https.clone()))
            .ok_or_else(|| missing("the server", "give --server URL, or `lotse login LINK` first"))?;
        let base = base.trim_end_matches('/').to_owned();
        let ca = match &words.ca {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("reading the CA {}", path.display()))?
            }
            None => kept
                .as_ref()
                .filter(|kept| kept.server == base)
                .map(|kept| kept.ca_pem.clone())
                .or_else(|| std::fs::read_to_string(data.join("ca.pem")).ok())
                .ok_or_else(|| missing("the server's CA", "give --ca FILE, or `lotse login LINK` first"))?,
        };
        let token = words
            .token
            .clone()
            .or_else(|| kept.filter(|kept| kept.server == base).map(|kept| kept.token))
            .ok_or_else(|| missing("your token", "set LOTSE_TOKEN, or `lotse login LINK` first"))?;
        Ok(Self { client: client(&ca)?, base, token, output })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Response> {
        answer(request.send().await, &self.base).await
    }

    /// Sends JSON. An order whose answer got lost is repeated under the same key, so that it is carried out once.
    async fn send_body(&self, method: Method, path: &str, body: &impl Serialize) -> anyhow::Result<Response> {
        let key = uuid::Uuid::new_v4().to_string();
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut request = self.request(method.clone(), path).json(body);
            if method == Method::POST {
                request = request.header("idempotency-key", &key);
            }
            let sent = request.send().await;
            let lost = match &sent {
                Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
                Err(error) => !error.is_builder(),
            };
            match pauses.next() {
                Some(pause) if lost && method == Method::POST => tokio::time::sleep(pause).await,
                _ => return answer(sent, &self.base).await,
            }
        }
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        self.understood(response).await
    }

    /// Asks for a text.
    pub(super) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.text().await.map_err(|error| broken(error, &self.base))
    }

    async fn understood<T: DeserializeOwned>(&self, response: Response) -> anyhow::Result<T> {
        let body = response.bytes().await.map_err(|error| broken(error, &self.base))?;
        serde_json::from_slice(&body).context("understanding the server's answer")
    }

    /// Changes something that is still of the version that was read.
    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        version: i64,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::PATCH, path).header(IF_MATCH, format!("\"{version}\""));
        let response = self.send(request.json(body)).await?;
        self.understood(response).await
    }

    /// Sends something, and understands the answer.
    pub(super) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let response = self.send_body(method, path, body).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(serde_json::from_str("null")?);
        }
        self.understood(response).await
    }

    /// Asks for a change without an answer; people are told what is `done`.
    pub(super) async fn order(&self, method: Method, path: &str, done: &str) -> anyhow::Result<()> {
        self.send_body(method, path, &serde_json::json!({})).await?;
        self.told(done);
        Ok(())
    }

    /// Tells people what is done; programs see it by the exit status.
    pub(super) fn told(&self, done: &str) {
        if self.output == Output::Table {
            output::say(done);
        }
    }

    /// Asks for something long, which comes piece by piece.
    pub(super) async fn stream(
        &self,
        path: &str,
    ) -> anyhow::Result<impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<>> {
        Ok(Box::pin(self.send(self.request(Method::GET, path)).await?.bytes_stream()))
    }

    /// Sends a text.
    pub(super) async fn put_text(&self, path: &str, text: String) -> anyhow::Result<()> {
        self.send(self.request(Method::PUT, path).body(text)).await.map(|_| ())
    }

    /// Sends a file; `on_sent` hears how many bytes have gone.
    pub(super) async fn send_file<T: DeserializeOwned>(
        &self,
        path: &str,
        file: &std::path::Path,
        on_sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> anyhow::Result<T> {
        use futures_util::TryStreamExt;
        let opened = fs_err::tokio::File::open(file).await?;
        let mut sent = 0;
        let content = tokio_util::io::ReaderStream::with_capacity(opened, 1 << 17).inspect_ok(move |chunk| {
            sent += chunk.len() as u64;
            on_sent(sent);
        });
        let request = self.request(Method::POST, path).body(reqwest::Body::wrap_stream(content));
        let response = self.send(request).await?;
        self.understood(response).await
    }

    /// Follows a stream of server-sent events, from a number on or from now on.
    pub(super) async fn follow(
        &self,
        path: &str,
        after: Option<i64>,
    ) -> anyhow::Result<impl futures_util::Stream<Item = Message> + Unpin + use<>> {
        let mut request = self.request(Method::GET, path);
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        Ok(sse::messages(self.send(request).await?.bytes_stream()))
    }
}

/// A client that trusts one CA and nobody else.
pub(super) fn client(ca_pem: &str) -> anyhow::Result<reqwest::Client> {
    let ca = Certificate::from_pem(ca_pem.as_bytes()).context("reading the server's CA")?;
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_mins(2))
        .user_agent(concat!("lotse-cli/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("setting up HTTPS")
}

/// An answer, or the error that people need.
pub(super) async fn answer(sent: reqwest::Result<Response>, base: &str) -> anyhow::Result<Response> {
    let response = sent.map_err(|error| broken(error, base))?;
    let status = response.status();
    if status.is_success() && status != StatusCode::ACCEPTED {
        return Ok(response);
    }
    let exit = match status {
        StatusCode::ACCEPTED => Exit::AwaitsApproval,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Exit::Usage,
        _ => Exit::Failed,
    };
    let text = response.text().await.unwrap_or_default();
    let message = match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => told(&problem),
        Err(_) => format!("the server answered {status}: {}", text.chars().take(300).collect::<String>()),
    };
    Err(Failure::error(exit, message))
}

fn broken(error: reqwest::Error, base: &str) -> anyhow::Error {
    let chain = format!("{:#}", anyhow::Error::from(error.without_url()));
    // The words of rustls; it is the one error that trying again or looking at the network does not help against.
    let next = if chain.contains("UnknownIssuer") {
        "\n  → it is not the server that you trust: it was set up anew, or somebody answers in its place; compare `lotse ca` on the server's host, then log in again or give --ca FILE"
    } else if chain.contains("not valid for name") {
        "\n  → its certificate is for another name: use the one in `lotse info`, or set `host` in the server's configuration"
    } else {
        ""
    };
    Failure::error(Exit::Unreachable, format!("the server at {base} cannot be reached: {chain}{next}"))
}

fn told(problem: &Problem) -> String {
    let mut lines = vec![problem.title.clone()];
    // A title that is about one field only says it already.
    let told = |wrong: &&FieldProblem| !problem.title.contains(&wrong.message);
    lines.extend(problem.fields.iter().filter(told).map(|wrong| match wrong.field.as_str() {
        "" => format!("  {}", wrong.message),
        field => format!("  {field}: {}", wrong.message),
    }));
    if !problem.remedy.is_empty() {
        lines.push(format!("  → {}", problem.remedy));
    }
    // Our own faults are found in the log by their number; in all other cases it would only be noise.
    if problem.status >= 500 && !problem.request_id.is_empty() {
        lines.push(format!("  request id: {}", problem.request_id));
    }
    lines.join("\n")
}

impl Api {
    /// Writes an answer as JSON when that is wanted; tells whether it did.
    pub(super) fn wrote_json(&self, value: &impl Serialize) -> anyhow::Result<bool> {
        if self.output == Output::Json {
            output::write_json(value)?;
        }
        Ok(self.output == Output::Json)
    }
}
