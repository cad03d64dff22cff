//! A client that hosts machines: a real agent on a fake host whose virsh is the real one, with libvirt's `test` driver behind it.

use std::{sync::Arc, time::Duration};

use agent::{
    config::{Addresses, Config},
    host::fake::FakeHost,
    server::https::Https,
    session::{self, Session},
};
use harness::{
    cookies::Browser,
    fleet::machine::hardware,
    libvirt::Libvirt,
    server::{Engine, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::{
        clients::NewClient,
        desktops::{self, DesktopRecord, NewDesktop},
        helpdesk,
        passwords::Passwords,
        providers::{self, NewProvider, ProviderKeys, QueuedHost},
    },
    clock::Clock,
    db,
    domain::{
        client::ClientConfig,
        desktop::{DesktopState, FaultClass, PowerOrder, TrialState},
        job::JobState,
        people::Role,
        provider::{PoolMember, ProviderWish, SizeThere},
    },
    vm::{Provider as _, kvm::Kvm, place},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::{JobId, Mac};

use super::conformance::conforms;

/// Nothing takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(50);

/// A client that hosts machines, with its agent.
pub(crate) struct Attic {
    pub(crate) name: &'static str,
    pub(crate) libvirt: Libvirt,
    pub(crate) host: FakeHost,
    pub(crate) end: CancellationToken,
    life: JoinHandle<()>,
}

impl Attic {
    /// Registers a client, lets it in, and makes it a host.
    pub(crate) async fn new(server: &TestServer, name: &'static str, number: u8) -> Self {
        let mac = Mac::from_bytes([0x52, 0x54, 0, 0xa7, 0, number]);
        let new = json!({ "name": name, "macs": [mac.to_string()] });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
        let libvirt = Libvirt::start().unwrap();
        let host = hardware(mac, Clock::system().now())
            .with_file("/proc/meminfo", "MemTotal: 16777216 kB\n")
            .with_file("/proc/cpuinfo", "processor : 0\n\nprocessor : 1\n\nprocessor : 2\n\nprocessor : 3\n");
        host.run_by(libvirt.program());
        let command = helpdesk::enrol_command(&server.ctx, name, "test").await.unwrap().command;
        let token = command.split(' ').find_map(|word| word.strip_prefix("LOTSE_TOKEN=")).unwrap().to_owned();
        let there = &server.ctx.addresses;
        let addresses = Addresses {
            server: there.https.clone(),
            agents: there.agents.clone(),
            boot: there.boot.clone(),
            ca: there.ca.parse().unwrap(),
        };
        let session = Session {
            config: Config::system(addresses, Some(token)),
            host: Arc::new(host.clone()),
            connect: Arc::new(Https),
            console: Arc::new(|_| {}),
        };
        let end = CancellationToken::new();
        let stop = end.clone();
        let life = tokio::spawn(async move {
            session::run(&session, &stop).await.unwrap();
        });
        let attic = Self { name, libvirt, host, end, life };
        attic.carries_out(server, "vm-host", json!({ "packages": [] })).await;
        attic
    }

    /// Orders a job and waits for its good end.
    pub(crate) async fn carries_out(&self, server: &TestServer, job_type: &str, params: Value) {
        let order = json!({ "job_type": job_type, "params": params });
        let path = format!("/api/v1/clients/{}/jobs", self.name);
        let id = server.send(Method::POST, &path, &order).await.unwrap().ok().unwrap();
        let id = JobId(id.as_i64().unwrap());
        let over = async {
            loop {
                let mut tx = server.ctx.db.read().await.unwrap();
                let job = db::jobs::find(&mut tx, id).await.unwrap().unwrap();
                drop(tx);
                if job.state.is_final() {
                    return job;
                }
                tokio::time::sleep(GLANCE).await;
            }
        };
        let job = tokio::time::timeout(PATIENCE, over).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    }

    pub(crate) async fn end(self) {
        self.end.cancel();
        self.life.await.unwrap();
    }
}

/// A server that has a boot image.
pub(crate) async fn site(engine: Engine) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    let blob = server.http.post(format!("{}/api/v1/blobs", server.ctx.addresses.https));
    let blob = blob.bearer_auth(server.token(Role::Admin)).body(b"boot image".to_vec());
    let blob = harness::server::answer(blob).await.unwrap().ok().unwrap();
    let image = json!({ "name": "iso", "recipe": "0".repeat(64), "parts": { "file": blob } });
    server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    server
}

pub(crate) fn wish(host: &str) -> ProviderWish {
    let there = SizeThere { offering: "2x4096".to_owned(), disk: "lotse".to_owned(), disk_gib: Some(20) };
    ProviderWish { sizes: [("standard".to_owned(), there)].into(), ..ProviderWish::kvm(host) }
}

pub(crate) async fn register(server: &TestServer, name: &str, wish: ProviderWish) {
    let new = NewProvider { name: name.to_owned(), wish, keys: ProviderKeys::default() };
    providers::create(&server.ctx, &new).await.unwrap();
}

pub(crate) async fn order(server: &TestServer, name: &str, provider: Option<&str>) {
    let client = NewClient {
        name: name.to_owned(),
        macs: Vec::new(),
        config: ClientConfig::default(),
        groups: Vec::new(),
        passwords: Passwords::default(),
    };
    let new = NewDesktop {
        client,
        provider: provider.map(str::to_owned),
        pool: provider.is_none().then(|| "all".to_owned()),
        size: "standard".to_owned(),
        network: None,
        selection: None,
    };
    desktops::create(&server.ctx, &new, "test").await.unwrap();
}

async fn get(server: &TestServer, name: &str) -> DesktopRecord {
    let mut tx = server.ctx.db.read().await.unwrap();
    desktops::get(&mut tx, name).await.unwrap()
}

/// Waits until a desktop is as it shall be; the running server works on it meanwhile.
pub(crate) async fn until(
    server: &TestServer,
    name: &str,
    holds: impl Fn(&DesktopRecord) -> bool,
) -> DesktopRecord {
    let waiting = async {
        loop {
            let record = get(server, name).await;
            if holds(&record) {
                return record;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(record) => record,
        Err(late) => panic!("{late}: {:#?}", get(server, name).await),
    }
}

pub(crate) fn is(state: DesktopState) -> impl Fn(&DesktopRecord) -> bool {
    move |record| record.desktop.state == state
}

pub(super) async fn a_host_does_what_every_provider_must(engine: Engine) {
    let server = site(engine).await;
    let attic = Attic::new(&server, "attic", 1).await;
    let host = QueuedHost::new(server.ctx.clone(), "attic", 30);
    let provider = Kvm::new(Box::new(host), wish("attic"));
    let place = place(&wish("attic"), "standard", &provider.offers().await.unwrap()).unwrap();
    conforms(&provider, &place).await;
    assert_eq!(attic.libvirt.machines().unwrap(), Vec::<String>::new());
    assert_eq!(attic.libvirt.disks().unwrap(), Vec::<String>::new());
    // One machine was made, started and removed, and nothing was asked twice.
    for (word, times) in
        [("vol-create-as", 1), ("start", 1), ("reboot", 1), ("undefine", 1), ("vol-delete", 1)]
    {
        assert_eq!(attic.libvirt.asked(word), times, "{word}");
    }
    let mut tx = server.ctx.db.read().await.unwrap();
    let id = db::clients::find_by_name(&mut tx, "attic").await.unwrap().unwrap().id;
    let secret = db::clients::find_secret(&mut tx, id, "vm conformance-lotse-0123456789ab").await.unwrap();
    assert_eq!(secret, None, "user-data is kept no longer than it is needed");
    drop(tx);
    attic.end().await;
    server.stop().await.unwrap();
}

pub(super) async fn a_desktop_is_made_on_a_host_switched_and_deleted(engine: Engine) {
    let server = site(engine).await;
    let attic = Attic::new(&server, "attic", 1).await;
    register(&server, "attic", wish("attic")).await;
    let test = providers::test(&server.ctx, "attic").await.unwrap();
    assert!(test.good, "{test:?}");
    order(&server, "ann-desk", Some("attic")).await;
    until(&server, "ann-desk", is(DesktopState::Ready)).await;
    let machines = attic.libvirt.machines().unwrap();
    assert!(machines.len() == 1 && machines[0].starts_with("ann-desk-lotse-"), "{machines:?}");
    let (_, state) = attic.libvirt.ask(&["domstate", &machines[0]], None).unwrap();
    assert_eq!(state.trim(), "running");
    // The token is on the disc of the machine, and neither in a job nor in a plan.
    let jobs = server.get("/api/v1/jobs?limit=100").await.unwrap();
    let made = server.get("/api/v1/jobs?type=vm-create").await.unwrap().json();
    let create = &made["items"][0]["id"];
    let plan = server.get(&format!("/api/v1/jobs/{create}/plan")).await.unwrap().text;
    assert!(plan.contains("vm ann-desk-lotse-"), "{plan}");
    for text in [jobs.text, plan] {
        assert!(!text.contains("lotse_") && !text.contains("token="), "{text}");
    }
    let burnt = attic.host.command_lines().into_iter().filter(|line| line.starts_with("xorriso")).count();
    assert_eq!(burnt, 1);

    is_reached_where_its_agent_says(&server, "ann-desk", "attic").await;
    stays_while_it_hosts(&server, "attic").await;

    desktops::power(&server.ctx, "ann-desk", PowerOrder::Stop, "test").await.unwrap();
    let stopped =
        until(&server, "ann-desk", |record| record.desktop.order.is_none() && record.desktop.doing.is_none())
            .await;
    assert_eq!(stopped.desktop.power, "shut off");

    desktops::delete(&server.ctx, "ann-desk", "test").await.unwrap();
    until(&server, "ann-desk", is(DesktopState::Deleted)).await;
    assert_eq!(attic.libvirt.machines().unwrap(), Vec::<String>::new());
    assert_eq!(attic.libvirt.disks().unwrap(), Vec::<String>::new());
    attic.end().await;
    server.stop().await.unwrap();
}

/// Nothing is forwarded to a machine on a host. Its agent's facts are made of those of another client.
async fn is_reached_where_its_agent_says(server: &TestServer, desktop: &str, like: &str) {
    assert!(get(server, desktop).await.reached.is_empty(), "its agent has not told yet");
    let mut tx = server.ctx.db.write().await.unwrap();
    let mut facts = db::clients::find_by_name(&mut tx, like).await.unwrap().unwrap().facts.unwrap();
    facts.vm_host = None;
    facts.nics[0].addresses = ["fe80::1/64", "192.168.150.7/24"].map(str::to_owned).to_vec();
    let id = db::clients::find_by_name(&mut tx, desktop).await.unwrap().unwrap().id;
    db::clients::set_facts(&mut tx, id, &facts, 0).await.unwrap();
    tx.commit().await.unwrap();
    let reached = get(server, desktop).await.reached;
    assert_eq!((reached[0].port, reached[0].at.as_str()), (22, "192.168.150.7:22"), "{reached:?}");
}

/// Nobody would reach the machines of a host that is gone, or that has another name.
async fn stays_while_it_hosts(server: &TestServer, host: &str) {
    let path = format!("/api/v1/clients/{host}");
    for (method, verb, body) in [
        (Method::DELETE, "", Value::Null),
        (Method::POST, "/retire", json!({})),
        (Method::PATCH, "", json!({ "name": "cellar" })),
    ] {
        let refused = server.send(method, &format!("{path}{verb}"), &body).await.unwrap();
        assert!(refused.is_problem(409) && refused.text.contains("provider attic"), "{verb}: {refused:?}");
    }
    let other = json!({ "config": { "timezone": "Europe/Berlin" } });
    server.send(Method::PATCH, &path, &other).await.unwrap().ok().unwrap();
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = db::clients::find_by_name(&mut tx, host).await.unwrap().unwrap();
    let warnings = server::app::installation::warnings(&mut tx, &client).await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("all of them are lost"), "{warnings:?}");
}

pub(super) async fn a_host_is_registered_on_the_page(engine: Engine) {
    let server = site(engine).await;
    let attic = Attic::new(&server, "attic", 1).await;
    let browser = Browser::of_new_account(&server, "ann", Role::Admin.into()).await.unwrap();
    let form = browser.get("/new-provider").await.unwrap();
    assert!(form.text.contains("<option value=\"attic\""), "{}", form.text);
    let words = [("kind", "kvm"), ("name", "attic"), ("host", "attic"), ("most_machines", "")];
    let size = [("size", "standard"), ("offering", "2x4096"), ("disk", "lotse"), ("gib", "20")];
    let wrong =
        browser.post("/new-provider", &[&words[..3], &[("most_machines", "x")], &size].concat()).await;
    assert!(wrong.unwrap().text.contains("must be a number"));
    let made = browser.post("/new-provider", &[&words[..], &size].concat()).await.unwrap();
    assert_eq!(made.headers["location"], "/providers/attic", "{}", made.text);
    let mut tx = server.ctx.db.read().await.unwrap();
    assert_eq!(providers::get(&mut tx, "attic").await.unwrap().wish, wish("attic"));
    drop(tx);
    let edit = browser.get("/providers/attic/edit").await.unwrap();
    assert!(edit.text.contains("2x4096") && !edit.text.contains("api_key"), "{}", edit.text);
    let more = [("enabled", "yes"), ("host", "attic"), ("most_machines", "3"), ("timeout_s", "30")];
    let saved = browser.post("/providers/attic/edit", &[&more[..], &size].concat()).await.unwrap();
    assert_eq!(saved.headers["location"], "/providers/attic", "{}", saved.text);
    let mut tx = server.ctx.db.read().await.unwrap();
    let changed = ProviderWish { most_machines: Some(3), ..wish("attic") };
    assert_eq!(providers::get(&mut tx, "attic").await.unwrap().wish, changed);
    drop(tx);
    attic.end().await;
    server.stop().await.unwrap();
}

pub(super) async fn what_does_not_fit_on_a_host_goes_to_the_next_provider(engine: Engine) {
    let server = site(engine).await;
    let small = Attic::new(&server, "small", 1).await;
    let limited = Attic::new(&server, "limited", 2).await;
    let large = Attic::new(&server, "large", 3).await;
    let huge = SizeThere { offering: "2x65536".to_owned(), ..wish("small").sizes["standard"].clone() };
    register(
        &server,
        "small",
        ProviderWish { sizes: [("standard".to_owned(), huge)].into(), ..wish("small") },
    )
    .await;
    register(&server, "limited", ProviderWish { most_machines: Some(0), ..wish("limited") }).await;
    register(&server, "large", wish("large")).await;
    let member = |(order, provider): (usize, &str)| PoolMember {
        provider: provider.to_owned(),
        order: i32::try_from(order).unwrap(),
        weight: 1,
    };
    let members: Vec<_> = ["small", "limited", "large"].into_iter().enumerate().map(member).collect();
    providers::set_pool(&server.ctx, "all", &members, None).await.unwrap();
    order(&server, "desk", None).await;
    let made = until(&server, "desk", is(DesktopState::Ready)).await;
    let trials: Vec<_> =
        made.trials.iter().map(|trial| (trial.provider.as_str(), trial.state, trial.class)).collect();
    assert_eq!(
        trials,
        [
            ("small", TrialState::Failed, Some(FaultClass::Capacity)),
            ("limited", TrialState::Failed, Some(FaultClass::Quota)),
            ("large", TrialState::Succeeded, None),
        ]
    );
    for (attic, machines) in [(small, 0), (limited, 0), (large, 1)] {
        assert_eq!(attic.libvirt.machines().unwrap().len(), machines, "{}", attic.name);
        attic.end().await;
    }
    server.stop().await.unwrap();
}
