//! Agents that meet a server of another CA, or whose clock is wrong.

use super::{Machine, installer, mac, register, serves, timeline, token_on_the_wire, until};
use harness::server::{Engine, TestServer};
use wire::{Sha256, enrol::Realm};

#[tokio::test]
async fn an_agent_that_expects_another_ca_says_both_fingerprints_and_shows_its_token_to_nobody() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    installer(&server, b"tools").await;
    register(&server, "lab-01", mac(1)).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let mut machine = Machine::new(&server, mac(1), Realm::Installer, Some(token.clone()));
    let expected = Sha256::from_bytes([7; 32]);
    machine.config.addresses.ca = expected.clone();
    machine.start();
    machine.shows(&server, "this is not the expected server").await;
    let console = machine.console();
    assert!(console.contains(expected.as_str()) && console.contains(&server.ctx.addresses.ca), "{console}");
    assert!(console.contains("take its fingerprint from `lotse`"), "no remedy: {console}");
    machine.stop().await;
    let lines = timeline(&server, mac(1)).await;
    assert!(!lines.contains("enrolled") && !lines.contains("announced"), "{lines}");
    // The token is as good as before.
    let mut right = Machine::new(&server, mac(1), Realm::Installer, Some(token));
    right.start();
    right.shows(&server, "enrolled as lab-01").await;
    right.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_with_another_ca_behind_the_right_address_hears_nothing_from_an_enrolled_agent() {
    let first = TestServer::start(Engine::Sqlite).await.unwrap();
    let mut machine = Machine::enrolled(&first, "lab-01", mac(1)).await;
    machine.stop().await;
    // Somebody else answers where the server was: the addresses in the identity lead to a server of another CA.
    let other = TestServer::start(Engine::Sqlite).await.unwrap();
    let mut credentials =
        agent::identity::Credentials::find(&machine.host, &machine.config.state_dir).unwrap().unwrap();
    credentials.identity.agents_url = other.ctx.addresses.agents.clone();
    credentials.store(&machine.host, &machine.config.state_dir).unwrap();
    machine.lines.lock().unwrap().clear();
    machine.start();
    machine.shows(&first, "waiting for the server at").await;
    assert!(
        machine.console().contains("UnknownIssuer") || machine.console().contains("certificate"),
        "{}",
        machine.console()
    );
    assert!(
        other.get("/api/v1/clients").await.unwrap().ok().unwrap()["items"].as_array().unwrap().is_empty()
    );
    machine.stop().await;
    serves(&other).await;
    first.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_whose_clock_is_in_2001_gets_the_right_time_and_enrols() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    installer(&server, b"tools").await;
    register(&server, "lab-01", mac(1)).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let mut machine = Machine::new(&server, mac(1), Realm::Installer, Some(token));
    let in_2001 = 978_307_200_000_000;
    machine.host = agent::host::fake::FakeHost::new(in_2001)
        .with_file("/sys/class/net/eth0/address", format!("{}\n", mac(1)))
        .with_file("/sys/class/net/eth0/carrier", "1\n")
        .with_file("/sys/class/net/eth0/device/vendor", "0x1af4\n");
    machine.start();
    machine.shows(&server, "the clock was wrong and has been set to the server's time").await;
    machine.shows(&server, "enrolled as lab-01").await;
    let off = agent::host::Host::now(&machine.host).abs_diff(server.ctx.now());
    assert!(off < 60_000_000, "the clock is off by {off} µs");
    until(&server, "the contact is on the timeline", async || {
        timeline(&server, mac(1)).await.contains("connected").then_some(())
    })
    .await;
    machine.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}
