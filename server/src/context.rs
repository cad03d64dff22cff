//! What every use case is given: the doors of the running server. Always the first parameter, always called `ctx`.

use std::sync::Arc;

use crate::{
    app::{images::Builds, login::Tries, overview::EndedJobs, providers::OpenProviders},
    auth::{ldap::Directory, oidc::LoginService},
    blobs::Blobs,
    boot::mirror::Mirrors,
    cache::Cache,
    catalog::Catalog,
    clock::Clock,
    config::Config,
    consoles::Consoles,
    db::Db,
    identity::{ArchiveKey, Authority},
    metrics::Metrics,
    pages::Pages,
    presence::Presence,
};

/// The running server. Cheap to clone.
#[derive(Clone)]
pub struct Ctx(Arc<Doors>);

/// What is behind a [`Ctx`].
pub struct Doors {
    /// The configuration.
    pub config: Config,
    /// Where the listeners really are.
    pub addresses: Addresses,
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// CA and plan key.
    pub authority: Authority,
    /// The key that own repositories are signed with.
    pub archive_key: ArchiveKey,
    /// Stored files.
    pub blobs: Blobs,
    /// Packages and indices of own repositories.
    pub packages: Blobs,
    /// Held by whoever changes what an own repository offers.
    pub publishing: tokio::sync::Mutex<()>,
    /// Job types, distributions and layouts.
    pub catalog: Catalog,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// What is kept of them.
    pub cache: Cache,
    /// Pages for people.
    pub pages: Pages,
    /// Jobs that ended in hours that are over.
    pub ended: EndedJobs,
    /// What the server counts about itself.
    pub metrics: Metrics,
    /// Images that are being built.
    pub builds: Builds,
    /// Failed logins.
    pub tries: Tries,
    /// The directory that knows people who have no account here.
    pub directory: Option<Directory>,
    /// The login service that knows people who have no account here.
    pub login_service: Option<LoginService>,
    /// Connections to providers.
    pub providers: OpenProviders,
    /// Screens of machines that somebody sees or wants to see.
    pub consoles: Consoles,
    /// Who is connected, and who has work waiting.
    pub presence: Presence,
}

/// Base URLs as clients reach them, without a slash at the end; `DATA/run/addresses.json` holds the same.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Addresses {
    /// Pages, API, enrolment.
    pub https: String,
    /// Agents.
    pub agents: String,
    /// Firmware and files.
    pub boot: String,
    /// SHA-256 of the CA certificate (DER).
    pub ca: String,
    /// Process number of the server.
    pub pid: u32,
}

impl Ctx {
    /// Puts the doors together.
    pub fn new(doors: Doors) -> Self {
        Self(Arc::new(doors))
    }

    /// Microseconds since the Unix epoch, UTC.
    pub fn now(&self) -> i64 {
        self.0.clock.now()
    }
}

impl std::ops::Deref for Ctx {
    type Target = Doors;

    fn deref(&self) -> &Doors {
        &self.0
    }
}
