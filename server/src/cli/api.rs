//! The command line's way to the API: which server, with which CA, as whom; and errors as people need them.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use reqwest::{Certificate, Method, Response, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wire::problem::Problem;

use super::{Exit, Failure, Output, ServerWords, output};
use crate::{config::FILE, context::Addresses};

/// What `lotse login` keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) server: String,
    pub(super) ca_pem: String,
    pub(super) token: String,
}

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
fn local_data() -> PathBuf {
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
        Ok(Self { client: client(&ca)?, base: base.trim_end_matches('/').to_owned(), token, output })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Response> {
        answer(request.send().await, &self.base).await
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.json().await.context("understanding the server's answer")
    }

    /// Sends something, and understands the answer.
    pub(super) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let response = self.send(self.request(method, path).json(body)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(serde_json::from_str("null")?);
        }
        response.json().await.context("understanding the server's answer")
    }

    /// Asks for a change without an answer.
    pub(super) async fn order(&self, method: Method, path: &str) -> anyhow::Result<()> {
        self.send(self.request(method, path).json(&serde_json::json!({}))).await.map(|_| ())
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
        response.json().await.context("understanding the server's answer")
    }

    /// Follows a stream of server-sent events from a number on.
    pub(super) async fn follow(&self, path: &str, after: i64) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, path).header("last-event-id", after.to_string());
        self.send(request).await
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
    let response = sent.map_err(|error| {
        let chain = format!("{:#}", anyhow::Error::from(error.without_url()));
        Failure::error(Exit::Unreachable, format!("the server at {base} cannot be reached: {chain}"))
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let exit = match status {
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

fn told(problem: &Problem) -> String {
    let mut text = problem.title.clone();
    for field in &problem.fields {
        text.push_str(&format!("\n  {}: {}", field.field, field.message));
    }
    if !problem.remedy.is_empty() {
        text.push_str(&format!("\n  → {}", problem.remedy));
    }
    text
}

impl Api {
    /// Writes an answer as JSON when that is wanted; tells whether it did.
    pub(super) fn wrote_json(&self, value: &impl Serialize) -> anyhow::Result<bool> {
        if self.output == Output::Json {
            output::say(&serde_json::to_string_pretty(value)?);
        }
        Ok(self.output == Output::Json)
    }
}
