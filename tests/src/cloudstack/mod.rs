//! A CloudStack for tests: one account, real TLS, real signatures, asynchronous jobs, and faults on demand.
//!
//! Invariant: it is written from the API's documentation and the management server's own algorithms, not from our client; two clients of
//! others check it (`tests/it/vm/clients.rs`). What was made stays until it is removed, whoever has heard of it: [`Cloud::left`] counts it.

mod answer;
mod commands;
mod faults;
mod jobs;
mod lists;
mod signature;
mod world;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use server::{
    app::providers::ProviderKeys,
    clock::Clock,
    domain::provider::{ProviderWish, SizeThere},
};
use tokio::task::JoinHandle;

use self::{faults::Faults, signature::Params, world::World};
pub use self::{
    faults::{Fault, Random},
    world::{ImageThere, Left, MachineThere},
};

/// The keys of its account.
pub const KEYS: (&str, &str) = ("api-key-of-the-test", "secret+key/of=the=test");

/// Who has the machines: told when one is made, started, stopped or removed. A test may let a real one run.
pub trait Host: Send + Sync {
    /// A machine is there, with the image in its drive and what it may read about itself; it does not run yet.
    fn deployed(&self, machine: &MachineThere);
    /// It is to run from now on.
    fn started(&self, machine: &MachineThere);
    /// It is not to run any more.
    fn stopped(&self, machine: &MachineThere);
    /// It is gone with its disk.
    fn removed(&self, machine: &MachineThere);
}

/// Machines that only stand in a list.
pub struct Nowhere;

impl Host for Nowhere {
    fn deployed(&self, _machine: &MachineThere) {}
    fn started(&self, _machine: &MachineThere) {}
    fn stopped(&self, _machine: &MachineThere) {}
    fn removed(&self, _machine: &MachineThere) {}
}

struct Inside {
    world: Mutex<World>,
    faults: Mutex<Faults>,
    clock: Clock,
    host: Box<dyn Host>,
    /// Where answers are kept that somebody has recorded.
    recorded: Option<PathBuf>,
}

impl Inside {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A CloudStack that runs.
pub struct Cloud {
    /// Where its API is.
    pub endpoint: String,
    /// The certificate of its CA.
    pub ca_pem: String,
    /// SHA-256 of its own certificate (DER), hexadecimal.
    pub fingerprint: String,
    inside: Arc<Inside>,
    task: JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// [`KEYS`], as a provider is registered with them.
pub fn keys() -> ProviderKeys {
    ProviderKeys { api_key: KEYS.0.to_owned(), secret_key: KEYS.1.to_owned() }
}

impl Cloud {
    /// What is wanted of it by whoever makes desktops there.
    pub fn wish(&self) -> ProviderWish {
        let there =
            SizeThere { offering: "medium".to_owned(), disk: "custom".to_owned(), disk_gib: Some(20) };
        ProviderWish {
            endpoint: self.endpoint.clone(),
            ca_pem: self.ca_pem.clone(),
            zone: "north".to_owned(),
            network: "desktops".to_owned(),
            iso: "lotse".to_owned(),
            sizes: [("standard".to_owned(), there)].into(),
            ..ProviderWish::default()
        }
    }

    /// Starts one by this clock, which says whether requests have expired.
    pub async fn start(clock: Clock) -> Result<Self> {
        Self::start_with(clock, Box::new(Nowhere)).await
    }

    /// Starts one that says to each command what `COMMAND_default.json` in a folder says, and of a job what `queryAsyncJobResult_ID.json` says.
    pub async fn replay(recorded: PathBuf) -> Result<Self> {
        Self::begin(Clock::system(), Box::new(Nowhere), Some(recorded)).await
    }

    /// Starts one whose machines are somewhere.
    pub async fn start_with(clock: Clock, host: Box<dyn Host>) -> Result<Self> {
        Self::begin(clock, host, None).await
    }

    async fn begin(clock: Clock, host: Box<dyn Host>, recorded: Option<PathBuf>) -> Result<Self> {
        // Fails only when it was installed before, by another test of the process.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let inside = Arc::new(Inside {
            world: Mutex::new(World::new()),
            faults: Mutex::default(),
            clock,
            host,
            recorded,
        });
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(Vec::new())?;
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "Cloud CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
        let fingerprint = server::blobs::hash(certificate.der()).to_string();
        let config =
            RustlsConfig::from_pem(certificate.pem().into_bytes(), key.serialize_pem().into_bytes()).await?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("https://{}/client/api", listener.local_addr()?);
        let router = Router::new().route("/client/api", any(serve)).with_state(Arc::clone(&inside));
        let server = axum_server::from_tcp_rustls(listener, config)?;
        let task = tokio::spawn(async move {
            server.serve(router.into_make_service()).await.ok();
        });
        Ok(Self { endpoint, ca_pem, fingerprint, inside, task })
    }

    /// What there is that somebody has made.
    pub fn left(&self) -> Left {
        self.inside.world().left()
    }

    /// The machines that there are.
    pub fn machines(&self) -> Vec<MachineThere> {
        self.inside.world().machines()
    }

    /// How often a command was called.
    pub fn calls(&self, command: &str) -> usize {
        self.inside.faults().calls(command)
    }

    /// Lets the next call of a command go wrong.
    pub fn next(&self, command: &str, fault: Fault) {
        self.inside.faults().next(command, fault);
    }

    /// Lets calls go wrong at random from now on; `None` ends that.
    pub fn random(&self, random: Option<Random>) {
        self.inside.faults().random(random);
    }

    /// Lets every call go wrong; `None` ends that.
    pub fn always(&self, fault: Option<Fault>) {
        self.inside.faults().always(fault);
    }

    /// Changes what there is, past the API.
    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.inside.world());
    }

    /// The account may have so many machines.
    pub fn limit(&self, machines: usize) {
        self.change(|world| world.limit = machines);
    }

    /// There is room for so many machines.
    pub fn room(&self, machines: usize) {
        self.change(|world| world.room = machines);
    }

    /// The image is loaded so far; at 100 % it can be used.
    pub fn load_image(&self, percent: u8) {
        self.change(|world| world.image_percent = percent);
    }

    /// Machines leave their disks behind from now on.
    pub fn leave_volumes(&self) {
        self.change(|world| world.leaves_volumes = true);
    }

    /// Somebody takes all openings from outside away, past us.
    pub fn close_firewall(&self) {
        self.change(World::close_firewall);
    }

    /// Images that were registered here.
    pub fn images(&self) -> Vec<ImageThere> {
        self.inside.world().images.clone()
    }

    /// So much of each registered image comes with every call, in per cent.
    pub fn image_pace(&self, percent: u8) {
        self.change(|world| world.image_pace = percent);
    }

    /// From now on images do not come, for this reason; `None` ends that for new ones.
    pub fn refuse_downloads(&self, fault: Option<&str>) {
        self.change(|world| world.download_fault = fault.map(str::to_owned));
    }

    /// The network has no address of its own.
    pub fn without_own_address(&self) {
        self.change(|world| world.addresses.clear());
    }

    /// Somebody removes a machine, past us.
    pub fn lose(&self, name: &str) {
        self.change(|world| world.lose(name));
    }

    /// Jobs take so many calls to end.
    pub fn job_length(&self, calls: u32) {
        self.change(|world| world.job_length = calls);
    }
}

async fn serve(State(inside): State<Arc<Inside>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let form = String::from_utf8_lossy(&body).into_owned();
    let params = match (query, form) {
        (Some(query), form) if form.is_empty() => Params::parse(&query),
        (_, form) => Params::parse(&form),
    };
    let command = params.get("command").to_owned();
    if let Some(folder) = &inside.recorded {
        return replayed(folder, &params);
    }
    let fault = inside.faults().meet(&command);
    match fault {
        Some(Fault::Silent) => return broken_off(),
        Some(Fault::Page) => {
            return (StatusCode::BAD_GATEWAY, "<html><h1>Bad Gateway</h1></html>").into_response();
        }
        Some(Fault::Before(code)) => return answer::error(&command, code, "it is so in this test"),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let answer = carry_out(&inside, &params, fault.as_ref());
    match fault {
        Some(Fault::Lost) => broken_off(),
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Garbage) => (StatusCode::OK, "\u{1}\u{2}{[not an answer").into_response(),
        Some(Fault::After(code)) => answer::error(&command, code, "it is so in this test, after the work"),
        _ => answer,
    }
}

fn replayed(folder: &Path, params: &Params) -> Response {
    let command = params.get("command");
    let which = if command == "queryAsyncJobResult" { params.get("jobid") } else { "default" };
    match fs_err::read(folder.join(format!("{command}_{which}.json"))) {
        Ok(answer) => answer.into_response(),
        Err(_) => answer::error(command, 432, "nothing was recorded for this command"),
    }
}

fn carry_out(inside: &Inside, params: &Params, fault: Option<&Fault>) -> Response {
    let command = params.get("command");
    if command.is_empty() {
        return answer::error("", 400, "Missing parameter: command");
    }
    if let Err(reason) = signature::verify(params, KEYS, inside.clock.now()) {
        return answer::error(command, 401, &reason);
    }
    let mut world = inside.world();
    for change in jobs::tick(&mut world) {
        change.tell(inside.host.as_ref());
    }
    let fails = match fault {
        Some(Fault::JobFails(code)) => Some(*code),
        _ => None,
    };
    match commands::run(&mut world, params, fails) {
        Ok((inner, told)) => {
            for change in told {
                change.tell(inside.host.as_ref());
            }
            answer::ok(command, &inner)
        }
        Err((code, text)) => answer::error(command, code, &text),
    }
}

/// An answer that begins and does not end: the connection goes away.
fn broken_off() -> Response {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("broken off"))]);
    Response::new(Body::from_stream(broken))
}
