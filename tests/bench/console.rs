//! The pages of the console with many clients and jobs: list, search by package and overview, asked 50 times a second.
//!
//! Requests are sent by the clock, not one after another: one that has to wait for others counts with its waiting.

mod fill;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::server::{Engine, TestServer};
use reqwest::{Certificate, Client, redirect::Policy};
use tokio::task::JoinSet;

use crate::{
    say,
    table::{Line, at, count, median},
};

const PER_SECOND: u32 = 50;
const FOR: Duration = Duration::from_secs(15);
const AIM_MS: f64 = 50.0;

/// Measures on both databases.
pub(crate) async fn measure(clients: u32, jobs: u32) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (engine, name) in [(Engine::Sqlite, "SQLite"), (Engine::Postgres, "PostgreSQL")] {
        say(&format!("console on {name}: writing {clients} clients and {jobs} jobs"));
        lines.extend(on(engine, name, clients, jobs).await.with_context(|| format!("on {name}"))?);
    }
    Ok(lines)
}

async fn on(engine: Engine, name: &str, clients: u32, jobs: u32) -> Result<Vec<Line>> {
    let server = TestServer::start(engine).await?;
    fill::fill(&server, clients, jobs).await?;
    let browser = Browser::log_in(&server).await?;
    let mut lines = Vec::new();
    // Different addresses of a kind, so that nothing is answered from what was just asked.
    let list = |turn: u32| format!("/clients?after=pc-{}", (turn * 7919) % clients);
    let filtered =
        |turn: u32| format!("/clients?q=stage:installed+memory>4G&after=pc-{}", (turn * 7919) % clients);
    let package = |turn: u32| format!("/clients?q=package:package-{}<2", turn % fill::PACKAGES);
    let overview = |_: u32| "/".to_owned();
    let kinds: [(&str, &dyn Fn(u32) -> String); 4] = [
        ("list of clients", &list),
        ("list, searched by stage and memory", &filtered),
        ("search by package and version", &package),
        ("overview", &overview),
    ];
    for (what, address) in kinds {
        say(&format!("console on {name}: {what}, {PER_SECOND} a second"));
        let took = browser.ask(address).await.with_context(|| what.to_owned())?;
        let (p50, p99) = (median(&took), at(&took, 0.99));
        lines.push(
            Line::new(
                format!("{name}: {what}, {clients} clients, {jobs} jobs"),
                format!("p50 {p50:.1} ms, p99 {p99:.1} ms at {PER_SECOND}/s ({} pages)", took.len()),
            )
            .aim("p99 under 50 ms", p99 < AIM_MS),
        );
    }
    server.stop().await?;
    Ok(lines)
}

/// Somebody who is logged in.
struct Browser {
    http: Client,
    base: String,
    cookie: String,
}

impl Browser {
    async fn log_in(server: &TestServer) -> Result<Self> {
        let ca = Certificate::from_pem(server.ctx.authority.ca_pem().as_bytes())?;
        let http = Client::builder().tls_certs_only([ca]).redirect(Policy::none()).build()?;
        let base = server.ctx.addresses.https.clone();
        let secret = server.first_login.rsplit('#').next().context("the first login has a secret")?;
        let answer = http
            .post(format!("{base}/login"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("link={secret}"))
            .send()
            .await?;
        let cookie = answer.headers().get("set-cookie").context("logging in gives no cookie")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { http, base, cookie })
    }

    /// Asks by the clock; gives how long each page took, in milliseconds.
    async fn ask(&self, address: &dyn Fn(u32) -> String) -> Result<Vec<f64>> {
        // What is counted once and kept is counted by the first one.
        self.page(&address(0)).await?;
        let begun = Instant::now();
        let mut asking: JoinSet<Result<f64>> = JoinSet::new();
        let mut turn = 0;
        while begun.elapsed() < FOR {
            turn += 1;
            tokio::time::sleep_until((begun + Duration::from_secs(1) * turn / PER_SECOND).into()).await;
            let (http, url) = (self.http.clone(), format!("{}{}", self.base, address(turn)));
            let cookie = self.cookie.clone();
            asking.spawn(async move {
                let asked = Instant::now();
                let answer = http.get(url).header("cookie", cookie).send().await?;
                let status = answer.status();
                let length = answer.bytes().await?.len();
                ensure!(status.is_success() && length > 1000, "the server answered {status}, {length} bytes");
                Ok(asked.elapsed().as_secs_f64() * 1000.0)
            });
        }
        let mut took = Vec::new();
        while let Some(done) = asking.join_next().await {
            took.push(done.context("a request broke down")??);
        }
        ensure!(count(took.len()) > 0.0, "nothing was asked");
        Ok(took)
    }

    async fn page(&self, address: &str) -> Result<()> {
        let request = self.http.get(format!("{}{address}", self.base)).header("cookie", &self.cookie);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
