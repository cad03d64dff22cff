//! A server without listeners and several clouds: work is done when the test says so, and the clock goes as it says.

use std::path::PathBuf;

use harness::{
    cloudstack::{Cloud, Left, keys},
    postgres,
    server::{Engine, config},
};
use server::{
    app::{
        clients::NewClient,
        desktops::{self, DesktopRecord, NewDesktop},
        passwords::Passwords,
        providers::{self, NewProvider},
    },
    clock::Clock,
    context::Ctx,
    db::Location,
    domain::{
        client::ClientConfig,
        desktop::DesktopState,
        provider::{PoolMember, ProviderWish},
    },
    startup::Server,
};
use tempfile::TempDir;

/// What is wanted of a CloudStack of ours; nobody waits long for one that says nothing.
pub(super) fn wish(cloud: &Cloud) -> ProviderWish {
    ProviderWish { timeout_s: 2, ..cloud.wish() }
}

/// A desktop of the pool with all providers.
pub(super) fn wanted(name: &str) -> NewDesktop {
    let client = NewClient {
        name: name.to_owned(),
        macs: Vec::new(),
        config: ClientConfig::default(),
        groups: Vec::new(),
        passwords: Passwords::default(),
    };
    let (size, pool) = ("standard".to_owned(), Some("cloud".to_owned()));
    NewDesktop { client, provider: None, pool, size, network: None, selection: None }
}

pub(super) struct Site {
    pub(super) ctx: Ctx,
    pub(super) clouds: Vec<Cloud>,
    pub(super) clock: Clock,
    directory: TempDir,
    database: Option<Location>,
}

impl Site {
    /// A server with so many providers, all of them in the pool `cloud`, in this order.
    pub(super) async fn new(engine: Engine, providers: usize) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let clock = Clock::fixed(Clock::system().now());
        let directory = tempfile::tempdir().unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres::database().await.unwrap()),
        };
        let mut clouds = Vec::new();
        for _ in 0..providers {
            clouds.push(Cloud::start(clock.clone()).await.unwrap());
        }
        let ctx = bind(directory.path().join("data"), database.clone(), &clock).await;
        let mut members = Vec::new();
        for (at, cloud) in clouds.iter().enumerate() {
            let name = format!("cloud-{at}");
            let new = NewProvider { name: name.clone(), wish: wish(cloud), keys: keys() };
            providers::create(&ctx, &new).await.unwrap();
            members.push(PoolMember { provider: name, order: i32::try_from(at).unwrap(), weight: 1 });
        }
        if !members.is_empty() {
            providers::set_pool(&ctx, "cloud", &members, None).await.unwrap();
        }
        Self { ctx, clouds, clock, directory, database }
    }

    /// The server ends as if its power was cut, and another one begins where it was.
    pub(super) async fn restart(&mut self) {
        self.ctx.db.close().await;
        self.ctx = bind(self.directory.path().join("data"), self.database.clone(), &self.clock).await;
    }

    pub(super) async fn order(&self, name: &str) -> DesktopRecord {
        desktops::create(&self.ctx, &wanted(name), "test").await.unwrap()
    }

    pub(super) async fn get(&self, name: &str) -> DesktopRecord {
        let mut tx = self.ctx.db.read().await.unwrap();
        desktops::get(&mut tx, name).await.unwrap()
    }

    pub(super) async fn state(&self, name: &str) -> DesktopState {
        self.get(name).await.desktop.state
    }

    /// Works until a desktop is where it shall be; the clock goes on meanwhile.
    pub(super) async fn until(&self, name: &str, wanted: DesktopState) -> DesktopRecord {
        for _ in 0..600 {
            desktops::work(&self.ctx).await.unwrap();
            let record = self.get(name).await;
            if record.desktop.state == wanted {
                return record;
            }
            self.clock.advance(1);
        }
        panic!("{name} does not become {}: {:#?}", wanted.as_str(), self.get(name).await);
    }

    /// What is left at all providers together.
    pub(super) fn left(&self) -> Left {
        self.clouds.iter().map(Cloud::left).fold(Left::default(), |sum, left| Left {
            machines: sum.machines + left.machines,
            volumes: sum.volumes + left.volumes,
            addresses: sum.addresses + left.addresses,
            forwardings: sum.forwardings + left.forwardings,
            firewall: sum.firewall + left.firewall,
            egress: sum.egress + left.egress,
        })
    }
}

async fn bind(data: PathBuf, database: Option<Location>, clock: &Clock) -> Ctx {
    Server::bind(config(data, database), clock.clone()).await.unwrap().ctx().clone()
}
