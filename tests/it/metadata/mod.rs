//! Machines that were told nothing at boot: the agent finds its server by the user-data of a cloud, and is let in by the token in it.

mod media;

use std::{collections::BTreeMap, sync::Arc};

use agent::{
    config::{self, Config},
    host::fake::FakeHost,
    identity::Credentials,
    metadata::{self, Machine, Search},
    server::{
        Error,
        https::Https,
        plain::{Answer, Ask, Http, Question},
    },
    session::{self, Session},
};
use axum::{Router, routing::get};
use futures_util::future::BoxFuture;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{db, domain::client::Stage};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const MAC: &str = "02:00:0a:01:01:39";
const ROUTER: &str = "10.1.1.1";

/// The guest network of a cloud: addresses that machines in it use, and where they are here. All others refuse.
#[derive(Clone, Debug, Default)]
struct Network(BTreeMap<&'static str, String>);

impl Network {
    /// With a virtual router that has this user-data.
    async fn with_router(text: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/latest/user-data", get(async move || text))
            .route("/latest/meta-data/", get(async || "service-offering\navailability-zone\nlocal-hostname"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self([(ROUTER, place)].into())
    }
}

impl Ask for Network {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(async move {
            let host = question.url.split('/').nth(2).unwrap();
            // Nobody listens on the port of this address.
            let place = self.0.get(host).map_or("127.0.0.1:1", String::as_str);
            let url = question.url.replacen(host, place, 1);
            Http::new().unwrap().ask(&Question { url, ..question.clone() }).await
        })
    }
}

/// A virtual machine that has an address by DHCP, and nothing else.
fn machine(uuid: &str) -> FakeHost {
    FakeHost::new(server::clock::Clock::system().now())
        .with_file("/sys/class/net/eth0/address", MAC)
        .with_file("/sys/class/net/eth0/carrier", "1")
        .with_file("/sys/class/net/eth0/device/vendor", "0x1af4")
        .with_file("/sys/class/dmi/id/product_uuid", uuid)
        .with_file("/run/lotse/lease.eth0", format!("SERVER_ADDRESS={ROUTER}\n"))
}

async fn look(host: &FakeHost, network: &Network) -> Search {
    let search = metadata::find(Machine { host, ask: network }, &|_| {}, &CancellationToken::new()).await;
    metadata::keep(host, &search.looked).unwrap();
    search
}

/// What the installer does: looks for user-data, then enrols with what it says.
async fn enrol(host: &FakeHost, network: &Network) -> Result<Credentials, session::Error> {
    let found = look(host, network).await.found.expect("no user-data was found");
    let config = Config::from_command_line(&config::words(&found)).unwrap();
    let session =
        Session { config, host: Arc::new(host.clone()), connect: Arc::new(Https), console: Arc::new(|_| {}) };
    session::enrol(&session, &CancellationToken::new()).await.map(Option::unwrap)
}

/// A server with a client, and the network that its machine will be in.
async fn site(engine: Engine) -> (TestServer, Network) {
    let server = TestServer::start(engine).await.unwrap();
    let client = json!({ "name": "desktop-01" });
    server.send(Method::POST, "/api/v1/clients", &client).await.unwrap().ok().unwrap();
    let path = "/api/v1/clients/desktop-01/user-data";
    let made = server.send(Method::POST, path, &json!({})).await.unwrap();
    assert_eq!(made.status, 201);
    let text = made.ok().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("#lotse-v1\n") && text.len() < 2048, "{text}");
    (server, Network::with_router(text).await)
}

async fn client(server: &TestServer) -> Value {
    server.get("/api/v1/clients/desktop-01").await.unwrap().ok().unwrap()
}

async fn alarm(server: &TestServer) -> Option<String> {
    let mut tx = server.ctx.db.read().await.unwrap();
    db::clients::find_by_name(&mut tx, "desktop-01").await.unwrap().unwrap().alarm
}

async fn set_stage(server: &TestServer, stage: Stage) {
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = db::clients::find_by_name(&mut tx, "desktop-01").await.unwrap().unwrap().id;
    db::clients::set_stage(&mut tx, id, stage).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_machine_finds_its_user_data_and_is_let_in_by_its_token(engine: Engine) {
    let (server, network) = site(engine).await;
    let credentials = enrol(&machine("6a3d7a0e-0000-4000-8000-000000000001"), &network).await.unwrap();
    assert_eq!(credentials.identity.name, "desktop-01");
    assert_eq!(client(&server).await["macs"], json!([MAC]), "the address that the cloud gave is known now");
    let timeline = server.get("/api/v1/clients/desktop-01/timeline").await.unwrap().ok().unwrap();
    let lines = timeline["lines"].as_array().unwrap();
    let searched = lines.iter().find(|line| line["kind"] == "searched").unwrap();
    let detail = searched["detail"].as_str().unwrap();
    assert!(detail.starts_with("CloudStack: http://10.1.1.1/latest/user-data: found; "), "{detail}");
    assert!(detail.contains("configuration drive: media: none has the label config-2"), "{detail}");
    assert!(lines.iter().any(|line| line["kind"] == "enrolled"));
    server.stop().await.unwrap();
}

async fn the_token_lets_its_machine_in_again_while_it_waits_for_the_installer(engine: Engine) {
    let (server, network) = site(engine).await;
    let host = machine("6a3d7a0e-0000-4000-8000-000000000001");
    enrol(&host, &network).await.unwrap();
    // The power is cut: the installer starts again from its medium, and makes another key.
    host.restart();
    let host = host.with_file("/run/lotse/lease.eth0", format!("SERVER_ADDRESS={ROUTER}\n"));
    enrol(&host, &network).await.unwrap();
    // It is installed, and somebody has left the medium in.
    set_stage(&server, Stage::Installed).await;
    host.restart();
    let host = host.with_file("/run/lotse/lease.eth0", format!("SERVER_ADDRESS={ROUTER}\n"));
    let refused = enrol(&host, &network).await.unwrap_err().to_string();
    assert!(refused.contains("take the boot medium out"), "{refused}");
    assert_eq!(alarm(&server).await, None, "everybody on that machine can read its user-data");
    server.stop().await.unwrap();
}

async fn a_token_that_comes_from_another_machine_raises_an_alarm(engine: Engine) {
    let (server, network) = site(engine).await;
    enrol(&machine("6a3d7a0e-0000-4000-8000-000000000001"), &network).await.unwrap();
    let refused = enrol(&machine("6a3d7a0e-0000-4000-8000-000000000002"), &network).await.unwrap_err();
    assert!(refused.to_string().contains("second time"), "{refused}");
    assert!(alarm(&server).await.unwrap().contains("second time"));
    // Who is stopped by an alarm gets no new user-data either.
    let made = server.send(Method::POST, "/api/v1/clients/desktop-01/user-data", &json!({})).await.unwrap();
    assert!(made.is_problem(409));
    server.stop().await.unwrap();
}

macro_rules! on_both_engines {
    ($($test:ident,)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Engine::Postgres).await;
            })*
        }
    };
}

on_both_engines! {
    a_machine_finds_its_user_data_and_is_let_in_by_its_token,
    the_token_lets_its_machine_in_again_while_it_waits_for_the_installer,
    a_token_that_comes_from_another_machine_raises_an_alarm,
}
