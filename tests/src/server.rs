//! A whole server for tests: real listeners on free ports, real TLS, a real database in a directory of its own.
//!
//! Invariant: two servers share nothing, so tests run side by side. Stopping is asked for and waited for; a server that is dropped
//! takes its directory along.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use reqwest::{Certificate, Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use server::{
    app::people,
    clock::Clock,
    config::{Config, Notices},
    context::Ctx,
    db::Location,
    domain::people::Role,
    patience::Patience,
    startup::Server,
};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::postgres;

/// A server that runs.
pub struct TestServer {
    /// The doors of the server, to look behind the API.
    pub ctx: Ctx,
    /// The one-time link of the first admin.
    pub first_login: String,
    /// Knows the server's CA and nothing else.
    pub http: reqwest::Client,
    directory: TempDir,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    tokens: BTreeMap<&'static str, String>,
}

/// On which database a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file in the server's data directory.
    Sqlite,
    /// A database of a PostgreSQL that the test process has started.
    Postgres,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

/// The repository, whose job scripts the server reads.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A configuration that shares nothing with this machine.
pub fn config(data: PathBuf, database: Option<Location>) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        database: database.unwrap_or_else(|| Location::Sqlite(data.join("lotse.sqlite"))),
        listen_https: any,
        listen_agents: any,
        listen_boot: any,
        listen_tftp: None,
        host: "127.0.0.1".to_owned(),
        share: repository(),
        site_scripts: None,
        mirrors: Vec::new(),
        cache_keyrings: Vec::new(),
        lease_s: 60,
        installer_command_line: String::new(),
        ldap: None,
        oidc: None,
        log_json: false,
        notices: Notices::default(),
        decided: Vec::new(),
        patience: Patience::default(),
        data,
    }
}

impl TestServer {
    /// Starts a server by the machine's clock.
    pub async fn start(engine: Engine) -> anyhow::Result<Self> {
        Self::start_with(engine, Clock::system()).await
    }

    /// Starts a server by a clock.
    pub async fn start_with(engine: Engine, clock: Clock) -> anyhow::Result<Self> {
        Self::start_as(engine, clock, |_| {}).await
    }

    /// Starts a server by a clock, with another configuration.
    pub async fn start_as(
        engine: Engine,
        clock: Clock,
        adjust: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres::database().await?),
        };
        // Fails only when it was installed before, by another test of the process.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir()?;
        let mut config = config(directory.path().join("data"), database);
        adjust(&mut config);
        let server = Server::bind(config, clock).await?;
        let ctx = server.ctx().clone();
        let first_login = server.first_login().context("a new server has a first login")?.to_owned();
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(ctx.authority.ca_pem().as_bytes())?])
            .build()?;
        let mut tokens = BTreeMap::new();
        let mut tx = ctx.db.write().await?;
        for role in [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin] {
            let shown = people::create_token(&mut tx, role.as_str(), role, None, "test", ctx.now()).await?;
            tokens.insert(role.as_str(), shown.secret);
        }
        tx.commit().await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone()));
        Ok(Self { ctx, first_login, http, directory, stop, task, tokens })
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A token of a role.
    pub fn token(&self, role: Role) -> &str {
        &self.tokens[role.as_str()]
    }

    /// A request with a role's token; without a role with none.
    pub fn request(&self, role: Option<Role>, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.ctx.addresses.https));
        match role {
            Some(role) => request.bearer_auth(self.token(role)),
            None => request,
        }
    }

    /// Asks as an admin.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        answer(self.request(Some(Role::Admin), Method::GET, path)).await
    }

    /// Sends JSON as an admin.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        answer(self.request(Some(Role::Admin), method, path).json(body)).await
    }

    /// Runs a statement on its database, past the server.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn meddle(&self, statement: &str) -> anyhow::Result<()> {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        match &self.ctx.config.database {
            Location::Sqlite(path) => {
                let url = format!("sqlite:{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await?;
                sqlx::raw_sql(statement).execute(&mut connection).await?;
                connection.close().await?;
            }
            Location::Postgres(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await?;
                sqlx::raw_sql(statement).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.context("the server panicked")?
    }
}

/// Sends a request and reads the whole answer.
pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

impl Answer {
    /// The body as JSON; `null` when it is empty or something else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of an answer that must have gone well.
    pub fn ok(&self) -> anyhow::Result<Value> {
        anyhow::ensure!(self.status.is_success(), "the server answered {}: {}", self.status, self.text);
        Ok(self.json())
    }

    /// Whether it is a problem document, complete, with this status.
    pub fn is_problem(&self, status: u16) -> bool {
        let problem = self.json();
        self.status == status
            && self.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json")
            && problem["status"] == status
            && ["code", "title", "request_id"]
                .iter()
                .all(|name| problem[name].as_str().is_some_and(|text| !text.is_empty()))
            && self
                .headers
                .get("x-request-id")
                .is_some_and(|id| problem["request_id"] == id.to_str().unwrap_or_default())
    }
}
