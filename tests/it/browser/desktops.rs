//! A desktop from the pages alone: an account at a CloudStack is registered, a desktop ordered there, its machine becomes a client, and its
//! page says how to connect; then it is deleted with nothing left.

use std::sync::Arc;

use agent::{
    config::Config,
    host::fake::FakeHost,
    server::https::Https,
    session::{self, Session},
};
use harness::{
    browser::{Look, Page},
    cloudstack::{Cloud, KEYS, Left},
    server::{Engine, TestServer},
};
use server::{clock::Clock, db, queue};
use tokio_util::sync::CancellationToken;
use wire::{
    event::{Event, EventKind, Outcome},
    user_data::UserData,
};

use super::logged_in;

const MAC: &str = "02:00:7d:00:00:65";

/// The machine of the only desktop boots: its agent reads the user-data and is let in.
async fn boots(cloud: &Cloud) {
    let read = UserData::parse(&cloud.machines().remove(0).user_data).unwrap();
    let words = agent::config::words(&read);
    let host = FakeHost::new(Clock::system().now())
        .with_file("/sys/class/net/eth0/address", MAC)
        .with_file("/sys/class/net/eth0/carrier", "1")
        .with_file("/sys/class/net/eth0/device/vendor", "0x1af4")
        .with_file("/sys/class/dmi/id/product_uuid", "6a3d7a0e-0000-4000-8000-000000000065");
    let config = Config::from_command_line(&words).unwrap();
    let session =
        Session { config, host: Arc::new(host), connect: Arc::new(Https), console: Arc::new(|_| {}) };
    session::enrol(&session, &CancellationToken::new()).await.unwrap().unwrap();
}

/// Every job of the only client succeeds.
async fn is_set_up(server: &TestServer, name: &str) {
    let ctx = &server.ctx;
    let mut tx = ctx.db.write().await.unwrap();
    let client = db::clients::find_by_name(&mut tx, name).await.unwrap().unwrap().id;
    for realm in [wire::enrol::Realm::Installer, wire::enrol::Realm::System] {
        while let Some((_, attempt)) =
            queue::claim(&mut tx, client, realm, "boot", 60, ctx.now()).await.unwrap()
        {
            let kind = EventKind::Finished { outcome: Outcome::Succeeded };
            let events = [Event { seq: 1, at: ctx.now(), kind }];
            queue::report(&mut tx, client, attempt, &events, 60, ctx.now()).await.unwrap();
        }
    }
    db::events::add(&mut tx, "job.succeeded", Some(client), None, "test", "", ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    ctx.presence.events_came();
}

async fn registers_a_provider(page: &Page, https: &str, cloud: &Cloud) {
    page.goto(&format!("{https}/desktops")).await.unwrap();
    page.until_shown("None is registered yet").await.unwrap();
    page.follow("Register a provider").await.unwrap();
    page.fill("#name", "North!").await.unwrap();
    page.fill("#endpoint", &cloud.endpoint).await.unwrap();
    page.fill("#api_key", KEYS.0).await.unwrap();
    page.fill("#secret_key", KEYS.1).await.unwrap();
    page.click_text("Its certificate").await.unwrap();
    page.fill("#ca_pem", &cloud.ca_pem).await.unwrap();
    page.follow("Register").await.unwrap();
    // What is wrong stands beside its field; keys are typed again, the rest stays.
    page.until_shown("must have small letters").await.unwrap();
    page.fill("#name", "north").await.unwrap();
    page.fill("#api_key", KEYS.0).await.unwrap();
    page.fill("#secret_key", KEYS.1).await.unwrap();
    page.follow("Register").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/providers/north/edit");
    assert_eq!(page.eval("document.querySelector('#zone').value").await.unwrap(), "north", "the only one");
    page.choose("#network", "desktops").await.unwrap();
    page.choose("#iso", "lotse").await.unwrap();
    page.choose("#offering-1", "medium").await.unwrap();
    page.choose("#disk-1", "custom").await.unwrap();
    page.follow("Save").await.unwrap();
    page.follow("Test").await.unwrap();
    page.until_shown("the size `standard` has no GiB").await.unwrap();
    page.follow("Edit").await.unwrap();
    page.fill("#gib-1", "20").await.unwrap();
    page.follow("Save").await.unwrap();
    page.follow("Test").await.unwrap();
    page.until_shown("Desktops can be made there.").await.unwrap();
    page.until_shown("It answers as CloudStack 4.19.1.0.").await.unwrap();
    assert_eq!(page.barriers().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_is_ordered_connected_to_and_deleted_from_the_pages() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let cloud = Cloud::start(Clock::system()).await.unwrap();
    let (_browser, mut page) = logged_in(&server, Look::DESK).await;
    let https = &server.ctx.addresses.https;
    registers_a_provider(&page, https, &cloud).await;

    page.goto(&format!("{https}/new-desktop")).await.unwrap();
    page.until_shown("lotse image build installer iso").await.unwrap();
    page.fill("#name", "ann-desk").await.unwrap();
    page.fill("#user", "ann").await.unwrap();
    page.follow("Show what will be made").await.unwrap();
    page.until_shown("What will be made for ann-desk").await.unwrap();
    page.until_shown("tried first").await.unwrap();
    assert_eq!(cloud.left(), Left::default(), "it was only shown");
    assert_eq!(page.barriers().await.unwrap(), Vec::<String>::new());
    page.follow("Make this desktop").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/desktops/ann-desk");
    page.until_shown("machine is there").await.unwrap();
    page.until_shown("203.0.113.10").await.unwrap();
    let connect = "document.querySelector('#connect').innerText";
    for word in ["20000", "MATE", "ann", "X2Go"] {
        page.until(&format!("{connect}.includes({word:?})"), word).await.unwrap();
    }

    boots(&cloud).await;
    let stage = |name: &str, state: &str| {
        format!(
            "[...document.querySelectorAll('#stages li.{state}')].some(li => li.innerText.includes({name:?}))"
        )
    };
    page.until(&stage("Booted, server found", "done"), "it has booted").await.unwrap();
    is_set_up(&server, "ann-desk").await;
    page.until(&stage("Ready to log in", "done"), "it is ready").await.unwrap();
    page.click("#connect [data-copy]").await.unwrap();
    page.until("document.querySelector('#connect .copy').innerText.includes('Copied')", "it is copied")
        .await
        .unwrap();
    assert_eq!(page.overhang().await.unwrap(), None);
    page.follow("Its client").await.unwrap();
    page.follow("Its desktop").await.unwrap();

    page.follow("Delete").await.unwrap();
    page.until_shown("This is removed").await.unwrap();
    page.fill("#confirmed", "bob-desk").await.unwrap();
    page.follow("Delete").await.unwrap();
    page.until_shown("That is not its name").await.unwrap();
    page.fill("#confirmed", "ann-desk").await.unwrap();
    page.follow("Delete").await.unwrap();
    page.until_shown("Everything of it is gone").await.unwrap();
    assert_eq!(cloud.left(), Left::default());
    assert_eq!(page.complaints(), Vec::<String>::new());
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
